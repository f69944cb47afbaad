"""Policies: a policy decides which work a turn causes; it does none of it.

Laws: a policy is a pure function of what it is given, so that the same conversation causes the same work. Meet the `Policy` protocol,
or override what differs in `Assistant`, and give it to the session.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class Said:
    """What is known of a turn's words. `text` are all of them so far; those from index `begin` on are the ones for which no work has
    been decided; `language` is a BCP 47 tag, "" where it is not known; `waited_ms` of audio have passed since the first of these became
    stable."""

    text: str
    begin: int = 0
    language: str = ""
    waited_ms: int = 0

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
    """This text is spoken, for the words from `Said.begin` to `end` where it stands for any. `language` (BCP 47) "": the session's."""

    text: str
    end: int = 0
    language: str = ""


@dataclass(frozen=True, slots=True)
class PassOn:
    """The speaker's own audio of the words from `Said.begin` to `end` is passed on to the listener."""

    end: int


@dataclass(frozen=True, slots=True)
class Skip:
    """The words from `Said.begin` to `end` cause nothing."""

    end: int


Decided = Answer | Translate | Say | PassOn | Skip

OverOutput = Literal["cut", "queue", "ignore"]
"""What a voice over the session's output does: it takes the floor, as the settings and rules say (`cut`); it is a turn whose work waits
until the output is over (`queue`); it is no turn (`ignore`)."""


@runtime_checkable
class Waiting(Protocol):
    """A policy that also decides on stable words because time passes."""

    def words_wait(self, said: Said) -> tuple[Decided, ...]:
        """Called during a turn, every `CONSIDER_EVERY_MS` of audio while there are stable words without work. What it decides on must
        be named by its end, or it is asked again."""
        ...


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
