"""The work that a session can start, and the kinds of outstanding work.

Laws: work is frozen and complete: the engine that does it sees nothing else of the session.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from parley.core.words.ids import AttemptId, ListingId, SummaryId, ToolCallId, TurnId
from parley.core.words.items import Item, ItemReference
from parley.core.words.settings import AudioFormat, FunctionTool, Modality, ModelToolChoice, ToolChoice, ToolSource


@dataclass(frozen=True, slots=True)
class ResponseParams:
    """What `response.create` asks for. None means the session's own setting; `max_output_tokens` 0 means "inf".

    `input` None takes the conversation; a tuple, empty too, replaces it.
    """

    in_conversation: bool = True
    input: tuple[Item | ItemReference, ...] | None = None
    instructions: str | None = None
    modality: Modality | None = None
    voice: str | None = None
    output_format: AudioFormat | None = None
    tools: tuple[ToolSource, ...] | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    max_output_tokens: int | None = None
    reasoning_effort: str | None = None
    temperature: float | None = None
    metadata: tuple[tuple[str, str], ...] | None = None


AS_THE_SESSION = ResponseParams()
"""A reply with default options."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the language model sees: frozen, complete. `max_output_tokens` None: no limit. Its items hold audio only where
    the model hears: that of the user's last turns. `summary` stands for the older items that are not among them ("": none)."""

    instructions: str
    items: tuple[Item, ...]
    tools: tuple[FunctionTool, ...] = ()
    tool_choice: ModelToolChoice = "auto"
    parallel_tool_calls: bool | None = None
    max_output_tokens: int | None = None
    reasoning_effort: str = ""
    temperature: float | None = None
    summary: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    """The language model answers this prompt."""

    prompt: Prompt


@dataclass(frozen=True, slots=True)
class Translation:
    """The translation model puts `text` into another language. Languages are BCP 47 tags; `from_language` "" is unknown.

    `terms` are pairs of a term and its prescribed translation; `context` are the texts translated before, oldest first. `clause` is the
    number of the last clause in it (from 1 on), `end_ms` where its words end in the input audio at the latest; `clauses` are more than one
    where late clauses were merged.
    """

    text: str
    from_language: str
    to_language: str
    terms: tuple[tuple[str, str], ...] = ()
    context: tuple[str, ...] = ()
    clause: int = 0
    end_ms: int = 0
    clauses: int = 1


@dataclass(frozen=True, slots=True)
class Utterance:
    """The text itself is spoken, without a model. `language` (BCP 47) "": the session's; `end_ms` as in `Translation`."""

    text: str
    language: str = ""
    end_ms: int = 0


Work = Reply | Translation | Utterance


@dataclass(frozen=True, slots=True)
class HeardTurn:
    """Something said before, with its sound as it was heard: a turn of the user's, or a clause of the assistant's (its `id` is that of
    its `ClauseStarted`, if it had one). `text` are the words that were heard, `audio` whole samples in `format`."""

    id: str
    speaker: Literal["user", "assistant"]
    text: str
    audio: bytes
    format: AudioFormat


@dataclass(frozen=True, slots=True)
class OriginalSpeech:
    """The speaker's own audio, in the output format, is passed on to the listener; `text` are its words. No model is asked."""

    text: str
    audio: bytes
    end_ms: int = 0


@dataclass(frozen=True, slots=True)
class AwaitedTranscript:
    """The words of a committed turn."""

    turn: TurnId


@dataclass(frozen=True, slots=True)
class AwaitedGeneration:
    """The output of an attempt."""

    attempt: AttemptId


@dataclass(frozen=True, slots=True)
class AwaitedListing:
    """The tools of an MCP server."""

    listing: ListingId


@dataclass(frozen=True, slots=True)
class AwaitedCall:
    """The outcome of an MCP tool call."""

    call: ToolCallId


@dataclass(frozen=True, slots=True)
class AwaitedSummary:
    """The summary of the older part of the conversation."""

    summary: SummaryId


Outstanding = AwaitedTranscript | AwaitedGeneration | AwaitedListing | AwaitedCall | AwaitedSummary
