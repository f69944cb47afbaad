"""Moderation: whether a text may be answered, or said."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

from parley.engines.ports.engine import Engine


@dataclass(frozen=True, slots=True)
class ModerationRequest:
    """A text to judge: what the user said, or a clause of a reply.

    `before` is what a reply said just before the clause, "" at its beginning: it was judged, and is there for what begins in it and ends in
    the clause. `language` is a BCP-47 tag, "" where it is not known. `share` is an opaque key: requests of different keys take turns (see
    `RecognitionSpec`).
    """

    text: str
    side: Literal["user", "assistant"]
    language: str = ""
    share: object = field(default=None, repr=False, compare=False)
    before: str = ""


@dataclass(frozen=True, slots=True)
class ModerationVerdict:
    """`flagged`: the text must be neither answered nor said. `categories` are the engine's names of the reasons.

    `open_from`: the end of the text may be the beginning of something that is flagged, which begins in the "text" or in what stood
    "before" it; "" where what follows changes nothing. Such a clause is said once the next one is judged, or the reply has ended.
    """

    flagged: bool
    categories: tuple[str, ...] = ()
    open_from: Literal["", "text", "before"] = ""


@runtime_checkable
class Moderator(Engine, Protocol):
    """Judges texts. The same text of the same side and language, after the same one, gets the same verdict where `info.deterministic` is
    declared."""

    async def judge(self, request: ModerationRequest) -> ModerationVerdict:
        """The verdict on one text; an empty text is never flagged. Must not block the event loop; cancelling stops the request.

        Raises `EngineError` where the engine cannot judge: what was to be judged is then withheld.
        """
        ...
