"""What a link to a translating server reports, in the order in which it happened.

Laws: values only. Text only grows; what may still change is `SourceText.unstable`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from parley.audio.types import Int16

DirectionName = Literal["forward", "reverse"]
"""forward: from the user to the other party. reverse: from the other party to the user."""

NoteLevel = Literal["note", "warning", "error"]


@dataclass(frozen=True, slots=True)
class SourceText:
    """More of the speaker's words. `text` is appended to what was heard; `unstable` follows it, may still change, and replaces what was
    unstable before. `ends`: a sentence (or a turn) ends here."""

    text: str = ""
    unstable: str = ""
    ends: bool = False


@dataclass(frozen=True, slots=True)
class TargetText:
    """More of the translation, appended. `ends`: a sentence (or a response) ends here."""

    text: str = ""
    ends: bool = False


@dataclass(frozen=True, slots=True)
class TargetAudio:
    """More of the spoken translation, int16 `[n]` at 24 kHz, to be played after what came before. `until_ms` is how much of the audio sent
    on this link it translates, in milliseconds from the link's first sample; None where the server does not say."""

    audio: Int16
    until_ms: float | None = None


@dataclass(frozen=True, slots=True)
class ClauseReport:
    """The record of a clause, from servers that send one. `waited_ms` is from the decision to its first audio; `differences` are numbers,
    names and the like of the source that the translation lacks; `outcome` "shown": it was not translated, the source is shown."""

    source: str
    text: str
    waited_ms: float
    outcome: str
    differences: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Drifted:
    """The model did something else than translate. `again`: it was asked once more; otherwise the source is shown as a caption."""

    source: str
    output: str
    why: str
    again: bool


@dataclass(frozen=True, slots=True)
class RouteNote:
    """Something to tell the user."""

    level: NoteLevel
    message: str


@dataclass(frozen=True, slots=True)
class RouteLinkEnded:
    """The last update of a link. `flushed`: everything that was sent has been answered. `again`: another link may be opened."""

    why: str
    flushed: bool = False
    again: bool = True


RouteUpdate = SourceText | TargetText | TargetAudio | ClauseReport | Drifted | RouteNote | RouteLinkEnded
