"""The base of every rule: one step of a session, and the failure that names the law that was broken.

Laws: a rule never touches a session; it learns everything from the steps it is given, in order. Rules that are also models
(the conversation, the listener...) come first in the checker, so that later rules can read them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NoReturn

from parley.core.words.effects import Effect, Tell
from parley.core.words.events import Event
from parley.core.words.notices import Notice

Handlers = Mapping[type, Callable[[Any], None]]
"""The methods of a rule that take events, or effects and notices, by their type."""


class CheckFailed(AssertionError):
    """A law was broken: `law` is the invariant's number (or the clause of the protocol's order), `what` the contradiction."""

    def __init__(self, law: str, what: str) -> None:
        super().__init__(f"invariant {law}: {what}")
        self.law = law
        self.what = what


@dataclass(frozen=True, slots=True)
class Step:
    """One call of `Session.handle`: `event` None is `Session.start`."""

    event: Event | None
    now_ns: int
    effects: tuple[Effect, ...]

    @property
    def notices(self) -> list[Notice]:
        return [effect.notice for effect in self.effects if isinstance(effect, Tell)]


class Rule:
    """One law. Override what you need: for each step `before`, `event_handlers`, `effect_handlers`, `after`; at the end `finish`."""

    law: ClassVar[str] = "?"

    def before(self, step: Step) -> None:
        """Called at the beginning of every step; a rule that needs only some events uses `event_handlers`."""

    def event_handlers(self) -> Handlers:
        """The methods that take events, called before the effects are handled."""
        return {}

    def effect_handlers(self) -> Handlers:
        """The methods that take effects and notices, called in the order of the effects."""
        return {}

    def after(self, step: Step) -> None:
        """Called when all effects of the step have been handled."""

    def finish(self, quiet: bool) -> None:
        """Called when the session is over (`quiet` False) or idle with the link open (`quiet` True)."""

    def fail(self, what: str, law: str | None = None) -> NoReturn:
        raise CheckFailed(law or self.law, what)

    def require(self, holds: bool, what: str, law: str | None = None) -> None:
        if not holds:
            self.fail(what, law)
