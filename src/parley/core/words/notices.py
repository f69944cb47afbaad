"""What is sent to the client, independent of any wire dialect.

Laws: one notice is one event of the GA protocol (dialects may leave some out or rename them); a notice carries
values, never encodings. A server event's own `event_id` is the wire's business.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from parley.core.words.errors import ErrorType
from parley.core.words.ids import CallId, ClientEventId, ConversationId, ItemId, ResponseId, SessionId
from parley.core.words.items import Item
from parley.core.words.settings import AudioFormat, Modality, Settings
from parley.core.words.shell_notices import ShellNotice
from parley.core.words.translation_notices import ClauseTranslated as ClauseTranslated
from parley.core.words.translation_notices import TranslationClosed as TranslationClosed
from parley.core.words.translation_notices import TranslationNotice as TranslationNotice
from parley.core.words.unstable_transcript import UnstableTranscript

ResponseStatus = Literal["in_progress", "completed", "cancelled", "failed", "incomplete"]
StatusReason = Literal["turn_detected", "client_cancelled", "max_output_tokens", "content_filter"]


@dataclass(frozen=True, slots=True)
class Usage:
    """Measured tokens. Text counts are the model's own where it reports them, else estimated from characters; audio is
    estimated from its length: a token for each 100 ms heard, for each 50 ms spoken."""

    input_text: int = 0
    input_audio: int = 0
    input_image: int = 0
    input_cached: int = 0
    output_text: int = 0
    output_audio: int = 0


@dataclass(frozen=True, slots=True)
class ResponseError:
    type: str
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class ResponseView:
    """A response as the client sees it. `conversation_id` None: out of band. `max_output_tokens` None: "inf"."""

    id: ResponseId
    status: ResponseStatus
    conversation_id: ConversationId | None
    modality: Modality
    voice: str
    output_format: AudioFormat
    max_output_tokens: int | None
    metadata: tuple[tuple[str, str], ...] | None
    output: tuple[Item, ...] = ()
    reason: StatusReason | None = None
    error: ResponseError | None = None
    usage: Usage | None = None
    temperature: float | None = None


@dataclass(frozen=True, slots=True)
class SessionCreated:
    """`expires_in_ms` from now; the wire adds the wall clock."""

    session_id: SessionId
    settings: Settings
    expires_in_ms: int


@dataclass(frozen=True, slots=True)
class SessionUpdated:
    session_id: SessionId
    settings: Settings
    expires_in_ms: int


@dataclass(frozen=True, slots=True)
class ConversationCreated:
    """Only the beta dialect sends it."""

    conversation_id: ConversationId


@dataclass(frozen=True, slots=True)
class ErrorRaised:
    """`field` is the core's name of the offending field, which a dialect maps to its own path; `path` is set instead where the codec
    found the fault, and is what the client wrote."""

    code: str
    message: str
    field: str | None = None
    kind: ErrorType = "invalid_request_error"
    client_event_id: ClientEventId | None = None
    path: str | None = None


@dataclass(frozen=True, slots=True)
class InputSpeechStarted:
    item_id: ItemId
    audio_start_ms: int


@dataclass(frozen=True, slots=True)
class InputSpeechStopped:
    item_id: ItemId
    audio_end_ms: int


@dataclass(frozen=True, slots=True)
class IdleTimeoutTriggered:
    item_id: ItemId
    audio_start_ms: int
    audio_end_ms: int


@dataclass(frozen=True, slots=True)
class InputCommitted:
    item_id: ItemId
    previous_item_id: ItemId | None


@dataclass(frozen=True, slots=True)
class InputCleared:
    pass


@dataclass(frozen=True, slots=True)
class ItemAdded:
    item: Item
    previous_item_id: ItemId | None


@dataclass(frozen=True, slots=True)
class ItemDone:
    item: Item
    previous_item_id: ItemId | None


@dataclass(frozen=True, slots=True)
class ItemRetrieved:
    item: Item


@dataclass(frozen=True, slots=True)
class ItemTruncated:
    item_id: ItemId
    content_index: int
    audio_end_ms: int


@dataclass(frozen=True, slots=True)
class ItemDeleted:
    item_id: ItemId


@dataclass(frozen=True, slots=True)
class TranscriptionDelta:
    """`elapsed_ms`: in a translation session, how much input audio had been scored by then."""

    item_id: ItemId
    content_index: int
    delta: str
    elapsed_ms: int = 0


@dataclass(frozen=True, slots=True)
class TranscriptionCompleted:
    """`seconds` of audio transcribed; `logprobs` JSON text or "" for none."""

    item_id: ItemId
    content_index: int
    transcript: str
    seconds: float
    logprobs: str = ""


@dataclass(frozen=True, slots=True)
class TranscriptionFailedNotice:
    item_id: ItemId
    content_index: int
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class ResponseCreated:
    response: ResponseView


@dataclass(frozen=True, slots=True)
class ResponseDone:
    response: ResponseView


@dataclass(frozen=True, slots=True)
class OutputItemAdded:
    response_id: ResponseId
    output_index: int
    item: Item


@dataclass(frozen=True, slots=True)
class OutputItemDone:
    response_id: ResponseId
    output_index: int
    item: Item


@dataclass(frozen=True, slots=True)
class PartAt:
    """Where a content part lies in a response. `elapsed_ms`: in a translation session, where in the input audio the words end that it
    translates, at the latest; None: it translates none."""

    response_id: ResponseId
    item_id: ItemId
    output_index: int
    content_index: int
    elapsed_ms: int | None = 0


@dataclass(frozen=True, slots=True)
class ContentPartAdded:
    at: PartAt
    modality: Modality


@dataclass(frozen=True, slots=True)
class ContentPartDone:
    """`text` is the part's transcript (audio) or text."""

    at: PartAt
    modality: Modality
    text: str


@dataclass(frozen=True, slots=True)
class OutputTextDelta:
    at: PartAt
    delta: str


@dataclass(frozen=True, slots=True)
class OutputTextDone:
    at: PartAt
    text: str


@dataclass(frozen=True, slots=True)
class OutputTranscriptDelta:
    at: PartAt
    delta: str


@dataclass(frozen=True, slots=True)
class OutputTranscriptDone:
    at: PartAt
    transcript: str


@dataclass(frozen=True, slots=True)
class OutputAudioDelta:
    """`audio` in the response's output format."""

    at: PartAt
    audio: bytes


@dataclass(frozen=True, slots=True)
class OutputAudioDone:
    at: PartAt


@dataclass(frozen=True, slots=True)
class FunctionArgumentsDelta:
    response_id: ResponseId
    item_id: ItemId
    output_index: int
    call_id: CallId
    delta: str


@dataclass(frozen=True, slots=True)
class FunctionArgumentsDone:
    response_id: ResponseId
    item_id: ItemId
    output_index: int
    call_id: CallId
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class McpArgumentsDelta:
    response_id: ResponseId
    item_id: ItemId
    output_index: int
    delta: str


@dataclass(frozen=True, slots=True)
class McpArgumentsDone:
    response_id: ResponseId
    item_id: ItemId
    output_index: int
    arguments: str


@dataclass(frozen=True, slots=True)
class McpCallProgress:
    """A call of an MCP server's tool has begun, or ended. It belongs to the item: an interrupted response is over already."""

    item_id: ItemId
    output_index: int
    state: Literal["in_progress", "completed", "failed"]


@dataclass(frozen=True, slots=True)
class McpListProgress:
    item_id: ItemId
    state: Literal["in_progress", "completed", "failed"]


@dataclass(frozen=True, slots=True)
class OutputBufferStarted:
    """Only where the server holds the playback."""

    response_id: ResponseId


@dataclass(frozen=True, slots=True)
class OutputBufferStopped:
    response_id: ResponseId


@dataclass(frozen=True, slots=True)
class OutputBufferCleared:
    response_id: ResponseId


@dataclass(frozen=True, slots=True)
class RateLimit:
    name: Literal["requests", "tokens"]
    limit: int
    remaining: int
    reset_seconds: float


@dataclass(frozen=True, slots=True)
class RateLimitsUpdated:
    limits: tuple[RateLimit, ...]


Notice = (
    SessionCreated
    | SessionUpdated
    | ConversationCreated
    | ErrorRaised
    | InputSpeechStarted
    | InputSpeechStopped
    | IdleTimeoutTriggered
    | InputCommitted
    | InputCleared
    | ItemAdded
    | ItemDone
    | ItemRetrieved
    | ItemTruncated
    | ItemDeleted
    | TranscriptionDelta
    | TranscriptionCompleted
    | TranscriptionFailedNotice
    | ResponseCreated
    | ResponseDone
    | OutputItemAdded
    | OutputItemDone
    | ContentPartAdded
    | ContentPartDone
    | OutputTextDelta
    | OutputTextDone
    | OutputTranscriptDelta
    | OutputTranscriptDone
    | OutputAudioDelta
    | OutputAudioDone
    | FunctionArgumentsDelta
    | FunctionArgumentsDone
    | McpArgumentsDelta
    | McpArgumentsDone
    | McpCallProgress
    | McpListProgress
    | OutputBufferStarted
    | OutputBufferStopped
    | OutputBufferCleared
    | TranslationNotice
    | UnstableTranscript
    | RateLimitsUpdated
    | ShellNotice
)
