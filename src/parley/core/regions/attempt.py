"""One attempt at generating a reply: held (a guess in a pause) or released, and the basis it was started on.

Laws: a held attempt's output is kept here, bounded, and tells and plays nothing; a released one feeds its response.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from parley.core.regions.context import Shown
from parley.core.regions.entry import Entry
from parley.core.regions.mcp_offer import OfferedTool
from parley.core.regions.response import Response
from parley.core.words.events import GenerationEvent, SpeechGenerated
from parley.core.words.ids import AttemptId
from parley.core.words.items import Message
from parley.core.words.work import AS_THE_SESSION, Prompt, ResponseParams


@dataclass(frozen=True, slots=True)
class Plan:
    """What a response will be generated from, once the transcripts it needs are there. `entries` None: the conversation."""

    params: ResponseParams = AS_THE_SESSION
    entries: tuple[Entry, ...] | None = None
    hint: Message | None = None


@dataclass(frozen=True, slots=True)
class Basis:
    """What a guess rests on: it may be released only if all three still hold when the turn is over."""

    transcript: str
    settings_version: int
    conversation_version: int


@dataclass(slots=True)
class Attempt:
    """A generation under way. `response` is None while it is held; `shown` is what its prompt has of the items, `input_tokens` and
    `input_audio_ms` are the prompt's, reckoned."""

    id: AttemptId
    prompt: Prompt
    shown: Shown
    input_tokens: int
    input_audio_ms: int
    progress_ns: int
    plan: Plan
    mcp: Mapping[str, OfferedTool]
    """Which of the tools that the model was offered are MCP servers', by the names it knows them by."""
    response: Response | None = None
    basis: Basis | None = None
    held: list[GenerationEvent] = field(default_factory=list)
    held_bytes: int = 0
    ended: bool = False
    ended_badly: bool = False

    def hold(self, event: GenerationEvent) -> None:
        """Keep the guess's output until it is known whether the guess was right."""
        self.held.append(event)
        self.held_bytes += len(event.audio) if isinstance(event, SpeechGenerated) else 256
