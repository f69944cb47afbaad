"""The library: the server's sessions inside your own program.

`Pipeline` names the engines; `VoiceSession` is one conversation, fed frame by frame, run over frames, or live. It yields the events of
`parley.library.events`. Everything here is also a name of `parley` itself. See docs/library.md.
"""

from __future__ import annotations

from parley.audio.files import AudioFileError, Recording
from parley.core.policy.assistant import Assistant
from parley.core.policy.interpreter import Interpreter
from parley.core.policy.policy import Answer, Policy, Said, Say, Translate
from parley.core.policy.transcriber import Transcriber
from parley.core.policy.turn_rules import Endpointing, FloorRule, PauseSeen, PreRoll, RuleTable
from parley.core.words.settings import SemanticVad, ServerVad, Transcription
from parley.engines.ports import EngineError, EngineSpec, EngineUnavailable, Transcript
from parley.errors import ParleyError
from parley.library.conversion import convert_voice
from parley.library.dubbing import Dub, dub
from parley.library.errors import FrameRefused, LibraryError, SessionBroken, SessionClosed, SinkRefused
from parley.library.events import (
    Failed,
    HeardToken,
    HeardWord,
    PartialTranscript,
    ReplyAudio,
    ReplyEnded,
    ReplyText,
    SpeechStarted,
    SpeechStopped,
    ToolCalled,
    ToolEnded,
    Turn,
    TurnEnded,
    TurnFigures,
    VoiceEvent,
)
from parley.library.models import CallFunction
from parley.library.pipeline import Pipeline
from parley.library.placement import Placement, placed
from parley.library.recordings import frames, read_audio, write_audio
from parley.library.session import VoiceSession
from parley.library.speech import Spoken, synthesize
from parley.library.transcription import Segment, SegmentWord, transcribe
from parley.library.translation import TranslatedSegment, atranslate, translate

__all__ = [
    "Answer",
    "Assistant",
    "AudioFileError",
    "CallFunction",
    "Dub",
    "Endpointing",
    "EngineError",
    "EngineSpec",
    "EngineUnavailable",
    "Failed",
    "FloorRule",
    "FrameRefused",
    "HeardToken",
    "HeardWord",
    "Interpreter",
    "LibraryError",
    "ParleyError",
    "PartialTranscript",
    "PauseSeen",
    "Pipeline",
    "Placement",
    "Policy",
    "PreRoll",
    "Recording",
    "ReplyAudio",
    "ReplyEnded",
    "ReplyText",
    "RuleTable",
    "Said",
    "Say",
    "Segment",
    "SegmentWord",
    "SemanticVad",
    "ServerVad",
    "SessionBroken",
    "SessionClosed",
    "SinkRefused",
    "SpeechStarted",
    "SpeechStopped",
    "Spoken",
    "ToolCalled",
    "ToolEnded",
    "Transcriber",
    "Transcript",
    "Transcription",
    "Translate",
    "TranslatedSegment",
    "Turn",
    "TurnEnded",
    "TurnFigures",
    "VoiceEvent",
    "VoiceSession",
    "atranslate",
    "convert_voice",
    "dub",
    "frames",
    "placed",
    "read_audio",
    "synthesize",
    "transcribe",
    "translate",
    "write_audio",
]
