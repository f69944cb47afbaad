"""What every rule is made of: one step of a session, and the failure that names the law it broke.

Laws: a rule never touches a session; it learns everything from the steps it is shown, in order. Rules that are also models
(the conversation, the listener...) come first in the checker, so that later ones may read them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NoReturn

from parley.core.words.effects import Effect, Tell
from parley.core.words.events import Event
from parley.core.words.notices import Notice

Handlers = Mapping[type, Callable[[Any], None]]
"""What a rule wants to be shown: events, or effects and notices, by their type."""


class CheckFailed(AssertionError):
    """A law was broken; `law` is the invariant's number (or the clause of the protocol's order), `what` the contradiction."""

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
    """One law. Override what you need: `sees` names events, `hears` names effects and notices, `after` closes the step."""

    law: ClassVar[str] = "?"

    def before(self, step: Step) -> None:
        """A step begins (called for every event; rules that want only some use `sees`)."""

    def event_handlers(self) -> Handlers:
        """Which events to be shown, before their effects."""
        return {}

    def effect_handlers(self) -> Handlers:
        """Which effects and notices to be shown, in order."""
        return {}

    def after(self, step: Step) -> None:
        """All effects of the step have been shown."""

    def finish(self, quiet: bool) -> None:
        """The session is over (`quiet` False) or has come to rest with the link open (`quiet` True)."""

    def fail(self, what: str, law: str | None = None) -> NoReturn:
        raise CheckFailed(law or self.law, what)

    def require(self, holds: bool, what: str, law: str | None = None) -> None:
        if not holds:
            self.fail(what, law)
