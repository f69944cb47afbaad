"""Everything that can happen to a session, in the past tense.

Client events carry the client's own `event_id` (None when it gave none) so that an error can name it; where the owner's settings may forbid
them, also who asks (`asker`). Events of engines carry the id of the work they belong to; an event of ended work is counted and dropped.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from parley.core.words.errors import ErrorType, Fault
from parley.core.words.ids import (
    AttemptId,
    CallId,
    ClientEventId,
    FlushId,
    ItemId,
    JudgementId,
    ListingId,
    ResponseId,
    ToolCallId,
    TurnId,
)
from parley.core.words.items import Item, McpError, McpTool
from parley.core.words.pipeline_events import PipelineFound, PipelineNotFound
from parley.core.words.rights import Asker
from parley.core.words.settings import SettingsPatch
from parley.core.words.summary_events import Summarized as Summarized
from parley.core.words.summary_events import SummaryFailed as SummaryFailed
from parley.core.words.work import AS_THE_SESSION, Outstanding, ResponseParams

# --- the client ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SessionUpdateRequested:
    patch: SettingsPatch
    event_id: ClientEventId | None = None
    asker: Asker = "client"


@dataclass(frozen=True, slots=True)
class AudioArrived:
    """`audio` in the session's input format; chunks may be of any size and split anywhere."""

    audio: bytes
    event_id: ClientEventId | None = None


@dataclass(frozen=True, slots=True)
class CommitRequested:
    event_id: ClientEventId | None = None


@dataclass(frozen=True, slots=True)
class ClearRequested:
    event_id: ClientEventId | None = None


@dataclass(frozen=True, slots=True)
class OutputClearRequested:
    """`output_audio_buffer.clear`: stop what is being played (only where the server holds the playback)."""

    event_id: ClientEventId | None = None


@dataclass(frozen=True, slots=True)
class ItemCreateRequested:
    """`item.id` is "" where the client gave none; `previous_item_id` None appends, "root" puts it first."""

    item: Item
    previous_item_id: str | None = None
    event_id: ClientEventId | None = None
    asker: Asker = "client"


@dataclass(frozen=True, slots=True)
class ItemRetrieveRequested:
    item_id: ItemId
    event_id: ClientEventId | None = None


@dataclass(frozen=True, slots=True)
class ItemDeleteRequested:
    item_id: ItemId
    event_id: ClientEventId | None = None


@dataclass(frozen=True, slots=True)
class ItemTruncateRequested:
    item_id: ItemId
    content_index: int
    audio_end_ms: int
    event_id: ClientEventId | None = None


@dataclass(frozen=True, slots=True)
class ResponseRequested:
    params: ResponseParams = AS_THE_SESSION
    event_id: ClientEventId | None = None
    asker: Asker = "client"


@dataclass(frozen=True, slots=True)
class CancelRequested:
    response_id: ResponseId | None = None
    event_id: ClientEventId | None = None


@dataclass(frozen=True, slots=True)
class SessionCloseRequested:
    """`session.close`: all audio has been sent. What is pending is finished, then the session ends. (Translation sessions only.)"""

    event_id: ClientEventId | None = None


@dataclass(frozen=True, slots=True)
class ClientErred:
    """A client's event could not be read: the answer is this error, and the session continues. `path` is the member as it was written."""

    code: str
    message: str
    path: str | None = None
    kind: ErrorType = "invalid_request_error"
    event_id: ClientEventId | None = None


# --- voice, transcripts, judgements -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class VoiceScored:
    """Voice activity of the 32 ms that end at `end_sample` (24 kHz): a probability in 0..1."""

    end_sample: int
    probability: float


@dataclass(frozen=True, slots=True)
class PartialTranscribed:
    """A hypothesis during the turn; `stable` is its leading part that is never taken back, `end_of_turn` the probability in 0..1
    that the speaker has finished, None where the recogniser does not judge it (see `engines.ports.Partial`). `language` and
    `language_confidence` are as in `Transcribed`."""

    turn: TurnId
    text: str
    stable: str = ""
    end_of_turn: float | None = None
    language: str = ""
    language_confidence: float | None = None


@dataclass(frozen=True, slots=True)
class TranscribedWord:
    text: str
    start_ms: float
    end_ms: float


@dataclass(frozen=True, slots=True)
class Transcribed:
    """The transcript of all audio handed over: for a flush when `flush` names one, else the turn's final.

    `logprobs` is JSON text ("" for none), passed through to a client that asked for it; `words` are timed from the
    start of the turn's audio, where the recogniser times them. `confidence` of the text and `language_confidence` (the probability of
    the language) are in 0..1, None where it gives none.
    """

    turn: TurnId
    text: str
    flush: FlushId | None = None
    language: str = ""
    logprobs: str = ""
    words: tuple[TranscribedWord, ...] = ()
    confidence: float | None = None
    language_confidence: float | None = None


@dataclass(frozen=True, slots=True)
class TranscriptionFailed:
    turn: TurnId
    fault: Fault


@dataclass(frozen=True, slots=True)
class PauseJudged:
    """The turn judge's answer: the probability in 0..1 that the speaker has finished."""

    turn: TurnId
    judgement: JudgementId
    finished: float


# --- one attempt at a reply ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TextGenerated:
    """The model's next text, exactly as it is to be shown. In audio replies it comes with its clause, see
    `SpeechGenerated`."""

    attempt: AttemptId
    text: str


@dataclass(frozen=True, slots=True)
class SpokenWord:
    """A word of a clause's text: where it ends in the text (characters) and in the clause's audio (24 kHz samples)."""

    text_end: int
    end_sample: int


@dataclass(frozen=True, slots=True)
class ClauseStarted:
    """The words of the audio that follows. `text` is shown verbatim; the clauses of a reply join to its whole text. `id` is the
    synthesizer's name of the audio, "" where it has none."""

    attempt: AttemptId
    text: str
    id: str = ""


@dataclass(frozen=True, slots=True)
class SpeechGenerated:
    """Audio of the clause last started, in the attempt's output format; `words` timed by the engine so far (empty: not timed)."""

    attempt: AttemptId
    audio: bytes
    words: tuple[SpokenWord, ...] = ()


@dataclass(frozen=True, slots=True)
class FirstTokenGenerated:
    """The attempt's model has produced its first token; nothing of it need be ready to be spoken."""

    attempt: AttemptId


@dataclass(frozen=True, slots=True)
class ToolCallStarted:
    attempt: AttemptId
    index: int
    call_id: CallId
    name: str


@dataclass(frozen=True, slots=True)
class ToolArgumentsGenerated:
    attempt: AttemptId
    index: int
    arguments: str


@dataclass(frozen=True, slots=True)
class MeasuredUsage:
    """The model's own token counts; None where its server does not tell."""

    input_tokens: int
    output_tokens: int
    cached_tokens: int = 0


@dataclass(frozen=True, slots=True)
class GenerationFinished:
    """The attempt's last event. `reason` "length" means the token limit cut it. `differences`: numbers, addresses and codes of a text
    that its translation lacks."""

    attempt: AttemptId
    reason: Literal["stop", "length", "tool_calls", "content_filter"] = "stop"
    usage: MeasuredUsage | None = None
    differences: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GenerationFailed:
    attempt: AttemptId
    fault: Fault


GenerationEvent = (
    TextGenerated
    | ClauseStarted
    | SpeechGenerated
    | ToolCallStarted
    | ToolArgumentsGenerated
    | GenerationFinished
    | GenerationFailed
)

# --- MCP servers -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ToolsListed:
    """An MCP server has listed its tools, all of them."""

    listing: ListingId
    tools: tuple[McpTool, ...]


@dataclass(frozen=True, slots=True)
class ToolListingFailed:
    listing: ListingId
    fault: Fault


@dataclass(frozen=True, slots=True)
class ToolAnswered:
    """A call of an MCP server's tool has succeeded; `output` is the text for the model."""

    call: ToolCallId
    output: str


@dataclass(frozen=True, slots=True)
class ToolFailed:
    call: ToolCallId
    error: McpError


# --- the loudspeaker, the clock, the link ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AudioPlayed:
    """Where the server plays: this many more 24 kHz samples have been played."""

    samples: int


@dataclass(frozen=True, slots=True)
class TimePassed:
    """The deadline of `next_deadline()` has been reached (or may have been)."""


@dataclass(frozen=True, slots=True)
class InputEnded:
    """No more audio follows. An open turn ends with what was received; with manual turns, what is buffered is committed."""


@dataclass(frozen=True, slots=True)
class WorkAbandoned:
    """The shell has stopped waiting for this work, which `Session.outstanding()` named: the core fails it now."""

    work: Outstanding


@dataclass(frozen=True, slots=True)
class WindDownRequested:
    """The server wants to stop: let the reply end, then close."""


@dataclass(frozen=True, slots=True)
class LinkClosed:
    """The client is gone, or the server is closing the link for a reason of its own."""

    reason: str = ""


ClientRequest = (
    SessionUpdateRequested
    | CommitRequested
    | ClearRequested
    | OutputClearRequested
    | ItemCreateRequested
    | ItemRetrieveRequested
    | ItemDeleteRequested
    | ItemTruncateRequested
    | ResponseRequested
    | CancelRequested
    | SessionCloseRequested
    | ClientErred
)
ClientEvent = AudioArrived | ClientRequest
Event = (
    ClientEvent
    | VoiceScored
    | PartialTranscribed
    | Transcribed
    | TranscriptionFailed
    | PauseJudged
    | FirstTokenGenerated
    | GenerationEvent
    | Summarized
    | SummaryFailed
    | ToolsListed
    | ToolListingFailed
    | ToolAnswered
    | ToolFailed
    | PipelineFound
    | PipelineNotFound
    | AudioPlayed
    | TimePassed
    | InputEnded
    | WorkAbandoned
    | WindDownRequested
    | LinkClosed
)
