"""Checks a session from outside: given every event and the effects it caused, it raises when one of the laws is broken.

Laws: it never touches a session and shares no code with the core beyond its public values, so that a mistake in the core cannot be
repeated here. Each invariant is described at the rule that checks it, in `parley.testing.rules`.

Use: `checker.on_step(None, now_ns, session.start())` first, then `checker.on_step(event, now_ns, session.handle(event, now_ns))` for
each event, and `checker.finish()` at the end.
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
from parley.testing.rules.base import CheckFailed, Handlers, Rule, Step
from parley.testing.rules.bounds import Bounds, Closing
from parley.testing.rules.buffer import BufferNotices
from parley.testing.rules.conversation import ConversationOrder
from parley.testing.rules.fillers import FillersInSilence
from parley.testing.rules.heard_context import HeardContext
from parley.testing.rules.heard_text import OnlyHeardIsKept
from parley.testing.rules.input import Arrived, SpeechSpans
from parley.testing.rules.listener import HeardAudio
from parley.testing.rules.one_reply import OneReply
from parley.testing.rules.order import OneAtATime, SpeechFirst
from parley.testing.rules.pipelines import ChangesOfPipeline
from parley.testing.rules.policies import OnlyTranscripts, TurnsAnswered
from parley.testing.rules.prompts import Prompts
from parley.testing.rules.provenance import OwnOutput
from parley.testing.rules.response_lifecycle import ResponseLifecycle
from parley.testing.rules.speculation import HeldInAPause, HeldIsSilent
from parley.testing.rules.summaries import SummarizedMessages
from parley.testing.rules.tools import McpServers
from parley.testing.rules.transcripts import Streams, TranscriptionNotices
from parley.testing.rules.unstable_words import UnstableWords

__all__ = ["CheckFailed", "Checker"]

_Table = dict[type, list[Callable[[Any], None]]]


class Checker:
    """Checks one session. Call `on_step` for every step, in order, then `finish` once.

    `playback` says who plays, as in `Session`. Raises `CheckFailed` with the number of the invariant.
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
        self.responses = ResponseLifecycle()
        self.conversation = ConversationOrder(self.responses)
        self.streams = Streams(self.arrived)
        self.attempts = AttemptLifecycle(self.responses, self.arrived, self.conversation)
        self.listener = HeardAudio(self.responses, self.attempts, self.arrived, playback)
        self.speech = SpeechSpans(self.arrived)
        self.transcription_notices = TranscriptionNotices(self.arrived, self.streams, self.conversation)
        self.tools = McpServers()
        self.turns = TurnsAnswered(self.arrived, self.streams)
        heard_text = OnlyHeardIsKept(self.listener)
        self._rules: list[Rule] = [
            self.arrived,
            self.responses,
            Arguments(self.responses),
            OneAtATime(self.responses),
            SpeechFirst(self.arrived),
            self.conversation,
            self.streams,
            self.attempts,
            self.listener,
            OwnOutput(self.attempts, self.responses),
            HeldInAPause(self.attempts, self.streams, self.arrived, owner),
            HeldIsSilent(self.attempts),
            self.speech,
            self.transcription_notices,
            UnstableWords(self.arrived, self.streams),
            heard_text,
            Prompts(self.attempts, self.conversation, self.streams, self.arrived, heard_text, owner),
            HeardContext(self.attempts, self.listener, capabilities),
            SummarizedMessages(self.attempts, self.conversation, heard_text, owner.compaction),
            BufferNotices(playback),
            OnlyTranscripts(self.arrived),
            self.turns,
            OneReply(self.arrived, self.streams),
            self.tools,
            ChangesOfPipeline(self.arrived, self.responses, self.attempts),
            Answers(self.responses, self.conversation, playback, lambda: self.closing.closed),
            Bounds(self.responses),
            FillersInSilence(self.responses, self.listener, owner),
            self.closing,
        ]
        self._before = [rule.before for rule in self._rules if type(rule).before is not Rule.before]
        self._after = [rule.after for rule in self._rules if type(rule).after is not Rule.after]
        self._event_handlers = _table(rule.event_handlers() for rule in self._rules)
        self._effect_handlers = _table(rule.effect_handlers() for rule in self._rules)

    @property
    def closed(self) -> bool:
        """Whether the session has ended."""
        return self.closing.closed

    @property
    def busy(self) -> bool:
        """Whether a response, a transcript or a tool is still pending."""
        waiting = any(not stream.settled for stream in self.streams.by_turn.values())
        return bool(self.responses.open) or waiting or self.turns.reply_pending or self.tools.busy

    def on_step(self, event: Event | None, now_ns: int, effects: Iterable[Effect]) -> None:
        """Check one step: the event (None: the start), the time it was handled, and its effects."""
        step = Step(event, now_ns, tuple(effects))
        if self.closing.closed:
            self.closing.before(step)
            return
        for before in self._before:
            before(step)
        for handle in self._event_handlers.get(type(event), ()):
            handle(event)
        for effect in step.effects:
            if isinstance(effect, Tell):
                for handle in self._effect_handlers.get(type(effect.notice), ()):
                    handle(effect.notice)
            else:
                for handle in self._effect_handlers.get(type(effect), ()):
                    handle(effect)
        for after in self._after:
            after(step)
        self._check_end()

    def finish(self, *, quiet: bool = True) -> None:
        """Check the end. `quiet`: nothing is running any more, so everything that began must have ended."""
        for rule in self._rules:
            rule.finish(quiet and not self.closed)

    def _check_end(self) -> None:
        if not self.closing.closed:
            return
        self.streams.ended()
        self.attempts.finish(False)


def _table(tables: Iterable[Handlers]) -> _Table:
    table: _Table = {}
    for handlers in tables:
        for kind, handler in handlers.items():
            table.setdefault(kind, []).append(handler)
    return table
