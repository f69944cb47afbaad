"""The rules of a conversation session and a double of a server on one table: time is an argument, messages move when a test says so."""

from __future__ import annotations

from typing import TypeVar

import numpy as np

from parley.interpret.ports import RouteWishes
from parley.interpret.routes.conversation_rules import ConversationRules
from parley.interpret.routes.translating_session import ConversationOptions
from parley.interpret.updates import (
    Drifted,
    RouteLinkEnded,
    RouteNote,
    RouteUpdate,
    SourceText,
    TargetAudio,
    TargetText,
)
from parley.wire.dialects import BETA, GA
from tests.interpret.realtime_double import Closed, RealtimeDouble, Script

PIECE_MS = 20
Kind = TypeVar("Kind", bound=RouteUpdate)


class RulesTable:
    """Spanish to English. `said()` is a sentence of the speaker's; `settle()` lets both sides go on until nothing moves."""

    def __init__(
        self, script: Script | None = None, options: ConversationOptions | None = None, source: str = "es"
    ) -> None:
        self.script = script or Script()
        beta = self.script.dialect == "beta"
        self.rules = ConversationRules(
            options or ConversationOptions(), RouteWishes(source, "en"), BETA if beta else GA, out_of_band=not beta
        )
        self.server = RealtimeDouble(self.script)
        self.now_s = 1_000.0
        self.updates: list[RouteUpdate] = []
        self.settle()

    # --- the speaker ---------------------------------------------------------------------------------------------------

    def hear(self, mark: int, length_ms: int) -> None:
        """Audio in pieces of 20 ms; 0 is silence."""
        for _ in range(length_ms // PIECE_MS):
            self.now_s += PIECE_MS / 1000
            self.take(self.rules.audio(np.full(PIECE_MS * 24, mark, np.int16), self.now_s))

    def began(self) -> None:
        self.take(self.rules.speech_began(self.now_s))

    def ended(self) -> None:
        self.take(self.rules.speech_ended(self.now_s))

    def said(self, mark: int, length_ms: int = 600) -> None:
        """A pause, a sentence, and its end."""
        self.hear(0, 200)
        self.hear(mark, 100)  # the detection is late
        self.began()
        self.hear(mark, length_ms)
        self.ended()

    # --- both ends -----------------------------------------------------------------------------------------------------

    def take(self, updates: list[RouteUpdate]) -> None:
        self.updates += updates

    def send(self) -> None:
        """The client's messages reach the server."""
        for message in self.rules.outgoing():
            self.server.receive(message)

    def receive(self, most: int = 1_000_000) -> bool:
        """The server's messages reach the client; whether there were any."""
        moved = False
        while self.server.out and most:
            self.take(self.rules.received(self.server.out.popleft(), self.now_s))
            moved, most = True, most - 1
        return moved

    def settle(self, *, work: bool = True) -> None:
        """Until nothing moves; `work` False: the response in progress stands still."""
        while True:
            self.send()
            if self.receive():
                continue
            try:
                if not (work and self.server.work()) and not self.server.out:
                    return
            except Closed:
                self.take(self.rules.lost("the server closed with 1006"))
                return

    def begin_response(self, steps: int = 3) -> None:
        """Some of the response in progress comes."""
        self.settle(work=False)
        for _ in range(steps):
            self.server.work()
            self.settle(work=False)

    def wait(self, seconds: float) -> None:
        """Time passes, with a tick at each deadline."""
        until_s = self.now_s + seconds
        for _ in range(10_000):
            due_s = self.rules.deadline()
            if due_s is None or due_s > until_s:
                break
            self.now_s = max(self.now_s, due_s)
            self.take(self.rules.tick(self.now_s))
            after_s = self.rules.deadline()
            assert after_s is None or after_s > self.now_s, "a tick that changes nothing would be repeated for ever"
            self.settle()
        self.now_s = until_s

    def finish(self) -> None:
        self.take(self.rules.finish(self.now_s))
        self.settle()
        self.wait(60)

    # --- what came -----------------------------------------------------------------------------------------------------

    def of(self, kind: type[Kind]) -> list[Kind]:
        return [update for update in self.updates if isinstance(update, kind)]

    @property
    def played(self) -> list[int]:
        """The sentences whose translation was played, in order."""
        marks: list[int] = []
        for update in self.of(TargetAudio):
            mark = int(update.audio[0])
            if not marks or marks[-1] != mark:
                marks.append(mark)
        return marks

    @property
    def text(self) -> list[str]:
        """The translations shown, one for each end."""
        lines = [""]
        for update in self.of(TargetText):
            lines[-1] += update.text
            if update.ends:
                lines.append("")
        return lines[:-1] if not lines[-1] else lines

    @property
    def source(self) -> list[str]:
        return [update.text for update in self.of(SourceText) if update.ends]

    @property
    def notes(self) -> list[str]:
        return [update.message for update in self.of(RouteNote)]

    @property
    def drifts(self) -> list[Drifted]:
        return self.of(Drifted)

    @property
    def end(self) -> RouteLinkEnded | None:
        ends = self.of(RouteLinkEnded)
        assert len(ends) <= 1
        return ends[0] if ends else None
