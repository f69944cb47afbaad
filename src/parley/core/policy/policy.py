"""Policies: a policy decides which work a turn causes; it does none of it.

Laws: a policy is a pure function of what it is given, so that the same conversation causes the same work. Meet the `Policy` protocol,
or override what differs in `Assistant`, and give it to the session.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol


@dataclass(frozen=True, slots=True)
class Said:
    """What is known of a turn's words. `text` are all of them so far; those from index `begin` on are the ones for which no work has
    been decided; `language` is a BCP 47 tag, "" where it is not known."""

    text: str
    begin: int = 0
    language: str = ""

    @property
    def new(self) -> str:
        return self.text[self.begin :]


@dataclass(frozen=True, slots=True)
class Answer:
    """The language model answers the conversation."""


@dataclass(frozen=True, slots=True)
class Translate:
    """The words from `Said.begin` to `end` (an index of `Said.text`) are translated and spoken.

    Languages are BCP 47 tags; `terms` are pairs of a term and its prescribed translation.
    """

    end: int
    to_language: str
    from_language: str = ""
    terms: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Say:
    """This text is spoken."""

    text: str


Decided = Answer | Translate | Say

OverOutput = Literal["cut", "queue", "ignore"]
"""What a voice over the session's output does: it takes the floor, as the settings and rules say (`cut`); it is a turn whose work waits
until the output is over (`queue`); it is no turn (`ignore`)."""


class Policy(Protocol):
    """Called by the session when words became stable, a turn ended, or a voice began over output.

    The answers to the first two are work in the order in which it is to be done; an empty tuple is none.
    """

    speaks: bool
    """Whether this kind of session ever answers; False refuses `response.create`."""

    def words_became_stable(self, said: Said) -> tuple[Decided, ...]:
        """Called during a turn for words that are never taken back. `Answer` is not possible here; a turn is answered at its end."""
        ...

    def turn_ended(self, said: Said) -> tuple[Decided, ...]:
        """Called when a turn with `create_response` has ended and its transcript is known."""
        ...

    def may_speculate(self, said: Said) -> bool:
        """Called in a pause: whether an answer may start before the turn has certainly ended."""
        ...

    def voice_over_output(self) -> OverOutput:
        """Called when a voice begins during output and the client's settings allow it to interrupt."""
        ...
