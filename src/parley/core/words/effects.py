"""Everything that a session asks its shell to do, in the imperative.

Laws: the shell performs them in order and decides nothing; the work that an effect starts answers with events that
carry its id, and stops when an effect cancels it. Every `StartGeneration` ends in exactly one of `GenerationFinished`,
`GenerationFailed` or a `CancelGeneration`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from parley.core.words.ids import AttemptId, FlushId, JudgementId, ListingId, ResponseId, SummaryId, ToolCallId, TurnId
from parley.core.words.notices import Notice
from parley.core.words.settings import AudioFormat, McpServer, Modality, SessionKind
from parley.core.words.work import HeardTurn, Prompt, Reply, Work

CloseReason = Literal[
    "session_expired", "session_closed", "server_shutting_down", "internal_error", "voice_detection_failed"
]
"""Why the server ends a connection: the first three are the core's, the others are its shell's own faults."""


@dataclass(frozen=True, slots=True)
class Tell:
    """Send this to the client."""

    notice: Notice


@dataclass(frozen=True, slots=True)
class ScoreVoice:
    """Score these bytes for voice: whole samples in the input format, beginning at `start_sample` (24 kHz).

    A `start_sample` that does not follow the last call's end begins a new stream. Answer: a `VoiceScored` for each
    32 ms.
    """

    start_sample: int
    audio: bytes
    format: AudioFormat


@dataclass(frozen=True, slots=True)
class OpenTranscription:
    """A turn has begun: open a recogniser stream for it. `languages` are those that may be spoken, where several are named and
    `language` is "". `live`: a turn in progress; else whole audio of an item, which may wait for live turns. `agreement`:
    how many hypotheses in a row make words stable."""

    turn: TurnId
    format: AudioFormat
    language: str
    prompt: str
    keywords: tuple[str, ...]
    logprobs: bool
    languages: tuple[str, ...] = ()
    live: bool = True
    agreement: int = 2


@dataclass(frozen=True, slots=True)
class Transcribe:
    """The turn's next audio."""

    turn: TurnId
    audio: bytes


@dataclass(frozen=True, slots=True)
class FlushTranscription:
    """Ask for the best transcript of what the turn has so far. Answer: `Transcribed` with this flush, or
    `TranscriptionFailed`."""

    turn: TurnId
    flush: FlushId


@dataclass(frozen=True, slots=True)
class FinishTranscription:
    """The turn is over. Answer: `Transcribed` without a flush, or `TranscriptionFailed`."""

    turn: TurnId


@dataclass(frozen=True, slots=True)
class DropTranscription:
    """This turn's transcript is no longer needed; no answer."""

    turn: TurnId


@dataclass(frozen=True, slots=True)
class JudgePause:
    """Has the speaker finished? `audio` is the turn's last seconds up to the pause. Answer: `PauseJudged`.

    `confidence` is the recogniser's in `text`, in 0..1; None where it gives none or `text` is a partial transcript.
    """

    turn: TurnId
    judgement: JudgementId
    text: str
    audio: bytes
    format: AudioFormat
    language: str
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class StartGeneration:
    """Do this work: text only, or text and speech in `format`. `language` is what is spoken, "" where it is not known.

    `response` None: the attempt is speculative and its output is held; a `ReleaseGeneration` names its response. `tight`: the silence
    before and behind the speech is cut, because the listener is behind. `heard` is the conversation as it was heard, the oldest turn first,
    for a synthesizer that is conversational.
    """

    attempt: AttemptId
    work: Work
    modality: Modality
    voice: str
    speed: float
    format: AudioFormat
    language: str
    response: ResponseId | None = None
    tight: bool = False
    heard: tuple[HeardTurn, ...] = ()

    @property
    def held(self) -> bool:
        return self.response is None

    @property
    def prompt(self) -> Prompt:
        """What the language model sees. Raises `TypeError` for work that asks no language model."""
        if not isinstance(self.work, Reply):
            raise TypeError(f"work of type {type(self.work).__name__} has no prompt")
        return self.work.prompt


@dataclass(frozen=True, slots=True)
class ReleaseGeneration:
    """The output of this held attempt is the response's from now on; no answer."""

    attempt: AttemptId
    response: ResponseId


@dataclass(frozen=True, slots=True)
class CancelGeneration:
    """Stop the attempt and forget it; no answer."""

    attempt: AttemptId


@dataclass(frozen=True, slots=True)
class Summarize:
    """Have the language model sum up the items of this prompt in at most `words`; `modality` is that of the session's replies, so that the
    prompt begins as theirs do and a model's cache of it holds. Answer: `Summarized` or `SummaryFailed`."""

    summary: SummaryId
    prompt: Prompt
    words: int
    modality: Modality
    language: str


@dataclass(frozen=True, slots=True)
class AbandonSummary:
    """Stop the model; no answer."""

    summary: SummaryId


@dataclass(frozen=True, slots=True)
class ListTools:
    """Ask an MCP server for its tools, and stay connected. Answer: `ToolsListed` or `ToolListingFailed`."""

    listing: ListingId
    server: McpServer


@dataclass(frozen=True, slots=True)
class CallTool:
    """Have an MCP server run a tool; `arguments` is JSON text as the model wrote it. Answer: `ToolAnswered` or
    `ToolFailed`. It is never called back: what a tool does cannot be undone."""

    call: ToolCallId
    server: McpServer
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class AbandonListing:
    """Stop waiting for a server's tools and disconnect from it; no answer."""

    listing: ListingId


@dataclass(frozen=True, slots=True)
class AbandonCall:
    """Stop waiting for a call, and disconnect from its server once its other calls have ended; no answer."""

    call: ToolCallId


@dataclass(frozen=True, slots=True)
class ReleaseServer:
    """The MCP server is no longer needed: disconnect once its calls have ended."""

    server: McpServer


@dataclass(frozen=True, slots=True)
class FindPipeline:
    """Find the pipeline that serves `model`, for a client that asks to change to it. Answer: `PipelineFound` or `PipelineNotFound`."""

    model: str
    kind: SessionKind


@dataclass(frozen=True, slots=True)
class UsePipeline:
    """Change to this pipeline, the one found last: its engines perform all later effects; no engine is busy."""

    pipeline: str


@dataclass(frozen=True, slots=True)
class Play:
    """Where the server holds the playback: queue this audio for the listener. Answers: `AudioPlayed` as it goes out. `elapsed_ms` as in
    `PartAt`."""

    response: ResponseId
    audio: bytes
    format: AudioFormat
    elapsed_ms: int = 0


@dataclass(frozen=True, slots=True)
class StopPlayback:
    """Silence the listener now and empty the queue."""


@dataclass(frozen=True, slots=True)
class CloseLink:
    """Close the connection for this reason, after everything sent before. Each kind of link has its own code for it."""

    reason: CloseReason


Effect = (
    Tell
    | ScoreVoice
    | OpenTranscription
    | Transcribe
    | FlushTranscription
    | FinishTranscription
    | DropTranscription
    | JudgePause
    | StartGeneration
    | ReleaseGeneration
    | CancelGeneration
    | Summarize
    | AbandonSummary
    | ListTools
    | CallTool
    | AbandonListing
    | AbandonCall
    | ReleaseServer
    | FindPipeline
    | UsePipeline
    | Play
    | StopPlayback
    | CloseLink
)
