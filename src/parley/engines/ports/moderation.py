"""Moderation: whether a text may be answered, or said."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

from parley.engines.ports.engine import Engine


@dataclass(frozen=True, slots=True)
class ModerationRequest:
    """A text to judge: what the user said, or a clause of a reply.

    `language` is a BCP-47 tag, "" where it is not known. `share` is an opaque key: requests of different keys take turns (see
    `RecognitionSpec`).
    """

    text: str
    side: Literal["user", "assistant"]
    language: str = ""
    share: object = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class ModerationVerdict:
    """`flagged`: the text must be neither answered nor said. `categories` are the engine's names of the reasons."""

    flagged: bool
    categories: tuple[str, ...] = ()


@runtime_checkable
class Moderator(Engine, Protocol):
    """Judges texts. The same text of the same side and language gets the same verdict where `info.deterministic` is declared."""

    async def judge(self, request: ModerationRequest) -> ModerationVerdict:
        """The verdict on one text; an empty text is never flagged. Must not block the event loop; cancelling stops the request.

        Raises `EngineError` where the engine cannot judge: what was to be judged is then withheld.
        """
        ...
