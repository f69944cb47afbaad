"""What an engine is: small Protocols, one file for each stage, and the immutable values that cross them.

Laws:
- An engine receives a snapshot (prompt, voice, language) and never sees a session, a socket or the core.
- One engine object is one loaded model, shared by all sessions; whatever belongs to one session is a stream.
- `open()` loads and warms; it is the only place where a heavy library is imported. Nothing else is called before it.
- Audio inside an engine is a mono float32 array in [-1, 1]; the array's sample rate is named beside it.
- Every expected fault is raised as `EngineError` (see `engine.py`) and caught once, in `runtime/`.
"""

from parley.engines.ports.engine import (
    ChainCount,
    Chained,
    Engine,
    EngineError,
    EngineFactory,
    EngineInfo,
    EngineRefused,
    EngineSpec,
    EngineUnavailable,
    NeedsModels,
    Samples,
    Supervised,
    Word,
)
from parley.engines.ports.llm import (
    AudioPart,
    ChatEnd,
    ChatEvent,
    ChatMessage,
    ChatRequest,
    ForceTool,
    ImagePart,
    LanguageModel,
    Role,
    TextDelta,
    TokenUsage,
    Tool,
    ToolCall,
    ToolCallDelta,
    ToolChoice,
)
from parley.engines.ports.moderation import ModerationRequest, ModerationVerdict, Moderator
from parley.engines.ports.mt import GuardCount, Guarded, Term, TranslationRequest, Translator
from parley.engines.ports.speech import DialogueEvent, DialogueRequest, SpeechModel, SpokenDelta
from parley.engines.ports.stages import (
    BUILT_IN,
    LLM,
    MODERATION,
    MT,
    SPEECH,
    STT,
    TTS,
    TURN,
    VAD,
    VC,
    EngineSet,
    Stage,
    stages,
)
from parley.engines.ports.stt import (
    Partial,
    RecognitionSpec,
    RecognizerStream,
    SpeechRecognizer,
    TokenLogprob,
    Transcript,
)
from parley.engines.ports.tts import SpeechChunk, SpeechRequest, SpeechSynthesizer, VoicesByLanguage
from parley.engines.ports.turn import PauseContext, TurnJudge
from parley.engines.ports.vad import VoiceActivityModel
from parley.engines.ports.vc import ConversionSpec, ConversionStream, VoiceConverter

__all__ = [
    "BUILT_IN",
    "LLM",
    "MODERATION",
    "MT",
    "SPEECH",
    "STT",
    "TTS",
    "TURN",
    "VAD",
    "VC",
    "AudioPart",
    "ChainCount",
    "Chained",
    "ChatEnd",
    "ChatEvent",
    "ChatMessage",
    "ChatRequest",
    "ConversionSpec",
    "ConversionStream",
    "DialogueEvent",
    "DialogueRequest",
    "Engine",
    "EngineError",
    "EngineFactory",
    "EngineInfo",
    "EngineRefused",
    "EngineSet",
    "EngineSpec",
    "EngineUnavailable",
    "ForceTool",
    "GuardCount",
    "Guarded",
    "ImagePart",
    "LanguageModel",
    "ModerationRequest",
    "ModerationVerdict",
    "Moderator",
    "NeedsModels",
    "Partial",
    "PauseContext",
    "RecognitionSpec",
    "RecognizerStream",
    "Role",
    "Samples",
    "SpeechChunk",
    "SpeechModel",
    "SpeechRecognizer",
    "SpeechRequest",
    "SpeechSynthesizer",
    "SpokenDelta",
    "Stage",
    "Supervised",
    "Term",
    "TextDelta",
    "TokenLogprob",
    "TokenUsage",
    "Tool",
    "ToolCall",
    "ToolCallDelta",
    "ToolChoice",
    "Transcript",
    "TranslationRequest",
    "Translator",
    "TurnJudge",
    "VoiceActivityModel",
    "VoiceConverter",
    "VoicesByLanguage",
    "Word",
    "stages",
]
