"""Judges a session from outside: shown every event and the effects it caused, it raises when one of the laws is broken.

Laws: it never touches a session and shares no code with the core beyond its public values, so that a mistake there cannot hide here.
What each invariant says stands at the rule that checks it, in `parley.testing.rules`.

Use: `checker.saw(None, now_ns, session.start())` first, then `checker.saw(event, now_ns, session.handle(event, now_ns))` for each event,
and `checker.finish()` at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal

from parley.core.words.effects import Effect, Tell
from parley.core.words.events import Event
from parley.core.words.settings import Capabilities, OwnerSettings, Settings
from parley.testing.rules.answers import Answers
from parley.testing.rules.arguments import Arguments
from parley.testing.rules.attempts import AttemptLifecycle
from parley.testing.rules.base import CheckFailed, Hearing, Rule, Step
from parley.testing.rules.bounds import Bounds, Closing
from parley.testing.rules.buffer import BufferNotices
from parley.testing.rules.conversation import ConversationOrder
from parley.testing.rules.heard_text import OnlyHeardIsKept
from parley.testing.rules.input import Arrived, SpeechSpans
from parley.testing.rules.listener import HeardAudio
from parley.testing.rules.one_reply import OneReply
from parley.testing.rules.order import OneAtATime, SpeechFirst
from parley.testing.rules.pipelines import ChangesOfPipeline
from parley.testing.rules.policies import OnlyTranscripts, TurnsAnswered
from parley.testing.rules.prompts import Prompts
from parley.testing.rules.provenance import OwnWords
from parley.testing.rules.response_lifecycle import Ledgers
from parley.testing.rules.speculation import HeldInAPause, HeldIsSilent
from parley.testing.rules.tools import McpServers
from parley.testing.rules.transcripts import Streams, TranscriptionTold

__all__ = ["CheckFailed", "Checker"]

_Table = dict[type, list[Callable[[Any], None]]]


class Checker:
    """One session's judge. Call `saw` for every step, in order, then `finish` once.

    `playback` says who holds the playback, as in `Session`. Raises `CheckFailed` naming the invariant by its number.
    """

    def __init__(
        self,
        settings: Settings,
        owner: OwnerSettings,
        capabilities: Capabilities,
        playback: Literal["remote", "paced"],
    ) -> None:
        self.capabilities = capabilities
        self.closing = Closing()
        self.arrived = Arrived()
        self.arrived.settings = settings
        self.ledgers = Ledgers()
        self.conversation = ConversationOrder(self.ledgers)
        self.streams = Streams(self.arrived)
        self.attempts = AttemptLifecycle(self.ledgers, self.arrived, self.conversation)
        self.listener = HeardAudio(self.ledgers, self.attempts, self.arrived, playback)
        self.speech = SpeechSpans(self.arrived)
        self.told = TranscriptionTold(self.arrived, self.streams, self.conversation)
        self.tools = McpServers()
        self.turns = TurnsAnswered(self.arrived, self.streams)
        kept = OnlyHeardIsKept(self.listener)
        self._rules: list[Rule] = [
            self.arrived,
            self.ledgers,
            Arguments(self.ledgers),
            OneAtATime(self.ledgers),
            SpeechFirst(self.arrived),
            self.conversation,
            self.streams,
            self.attempts,
            self.listener,
            OwnWords(self.attempts, self.ledgers),
            HeldInAPause(self.attempts, self.streams, self.arrived, owner),
            HeldIsSilent(self.attempts),
            self.speech,
            self.told,
            kept,
            Prompts(self.attempts, self.conversation, self.streams, self.arrived, kept, owner),
            BufferNotices(playback),
            OnlyTranscripts(self.arrived),
            self.turns,
            OneReply(self.arrived, self.streams),
            self.tools,
            ChangesOfPipeline(self.arrived, self.ledgers, self.attempts),
            Answers(self.ledgers, self.conversation, playback, lambda: self.closing.closed),
            Bounds(self.ledgers),
            self.closing,
        ]
        self._before = [rule.before for rule in self._rules if type(rule).before is not Rule.before]
        self._after = [rule.after for rule in self._rules if type(rule).after is not Rule.after]
        self._sees = _table(rule.sees() for rule in self._rules)
        self._hears = _table(rule.hears() for rule in self._rules)

    @property
    def closed(self) -> bool:
        """Whether the session has ended."""
        return self.closing.closed

    @property
    def busy(self) -> bool:
        """Whether a response, a transcript or a tool is still under way."""
        waiting = any(not stream.settled for stream in self.streams.by_turn.values())
        return bool(self.ledgers.open) or waiting or self.turns.owing or self.tools.busy

    def saw(self, event: Event | None, now_ns: int, effects: Iterable[Effect]) -> None:
        """One step: the event (None: the start), when it was handled, and everything that came of it."""
        step = Step(event, now_ns, tuple(effects))
        if self.closing.closed:
            self.closing.before(step)
            return
        for before in self._before:
            before(step)
        for see in self._sees.get(type(event), ()):
            see(event)
        for effect in step.effects:
            if isinstance(effect, Tell):
                for hear in self._hears.get(type(effect.notice), ()):
                    hear(effect.notice)
            else:
                for hear in self._hears.get(type(effect), ()):
                    hear(effect)
        for after in self._after:
            after(step)
        self._check_end()

    def finish(self, *, quiet: bool = True) -> None:
        """The end of the watch. `quiet`: nothing is under way any more, so everything begun must have ended."""
        for rule in self._rules:
            rule.finish(quiet and not self.closed)

    def _check_end(self) -> None:
        if not self.closing.closed:
            return
        self.streams.ended()
        self.attempts.finish(False)


def _table(hearings: Iterable[Hearing]) -> _Table:
    table: _Table = {}
    for hearing in hearings:
        for kind, heard in hearing.items():
            table.setdefault(kind, []).append(heard)
    return table
