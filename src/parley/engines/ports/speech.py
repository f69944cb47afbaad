"""Speech to speech: one model hears the user and speaks the answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from parley.engines.ports.engine import Engine, Samples, Word
from parley.engines.ports.llm import ChatEnd, ChatMessage, Tool, ToolCallDelta, ToolChoice


@dataclass(frozen=True, slots=True)
class DialogueRequest:
    """A turn of the user's to be answered aloud.

    `audio` is the turn, float32 `[n]` at `info.sample_rate`; `messages` are what came before it as text, instructions first. Empty `audio`
    asks for an answer to the last message. `transcript` is what a recogniser heard in `audio` ("": nothing, or not known): a later
    request has it as the text of that turn. `voice` is one of `info.voices` or an alias the engine knows; `language` is a BCP-47 tag or "".
    `text_only`: only the texts of the answer are wanted; an engine that must speak to answer speaks all the same. `speed` (1: the voice's
    own) and `max_tokens` (None: the model's own limit) are for engines that can. `share` tells apart who asks, as for the other stages; an
    engine that keeps something for it lets go of that when the object is gone.
    """

    audio: Samples
    messages: tuple[ChatMessage, ...] = ()
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice = "auto"
    voice: str = ""
    language: str = ""
    transcript: str = ""
    text_only: bool = False
    speed: float = 1.0
    max_tokens: int | None = None
    share: object = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class SpokenDelta:
    """The next piece of the answer: audio at `sample_rate` Hz, and the text that goes with it.

    The texts join to the whole answer as it is shown. `words` are those that begin in this piece, timed in milliseconds from the start of
    the answer; () where the model reports no times.
    """

    audio: Samples
    sample_rate: int
    text: str = ""
    words: tuple[Word, ...] = ()


DialogueEvent = SpokenDelta | ToolCallDelta | ChatEnd


@runtime_checkable
class SpeechModel(Engine, Protocol):
    """A model that hears and speaks. When a turn begins and ends is decided outside it, as for every stage."""

    def reply(self, request: DialogueRequest) -> AsyncIterator[DialogueEvent]:
        """Stream the answer; ends with exactly one `ChatEnd`. Closing the iterator (`aclose`) stops the model.

        Raises `EngineRefused` (`unknown_voice`) for a voice that `resolve_voice()` does not know, `EngineError` where the engine fails.
        """
        ...

    def resolve_voice(self, voice: str, language: str = "") -> str | None:
        """The engine's own name of `voice`, or None if it is unknown or does not speak `language`."""
        ...
