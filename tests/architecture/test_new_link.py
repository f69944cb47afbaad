"""A new link, made of lists, and a new dialect: what each must implement, and that no file of the server depends on either."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from parley.core.words.effects import Play
from parley.core.words.notices import Notice
from parley.server.access.access import Grant
from parley.server.links.link import EndReason
from parley.server.realtime_session import RealtimeSession, SessionRequest
from parley.server.refusals import Refusal
from parley.testing.fakes import FakeModel
from parley.wire.dialect import Dialect
from parley.wire.dialects import BETA, GA
from parley.wire.encoding import Named
from tests.runtime.rig import settled
from tests.server.harness import Engines, Running, configured, running


@dataclass
class ListLink:
    """A `Link` and, where the server plays the audio, its `Loudspeaker`."""

    events: list[dict[str, Any]] = field(default_factory=list)
    audio: bytearray = field(default_factory=bytearray)
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    reason: EndReason | None = None

    def open(self, server: Running, dialect: Dialect, *, paced: bool) -> None:
        request = SessionRequest(Grant(), dialect, client="a list")
        session = server.app.factory.open(request, loudspeaker=self if paced else None)
        assert isinstance(session, RealtimeSession)
        self.session = session
        session.opened(self)

    def client_sends(self, **event: Any) -> None:
        self.session.received(json.dumps(event).encode())

    def send(self, text: str) -> None:
        self.events.append(json.loads(text))

    def close(self, reason: EndReason) -> None:
        if not self.closed.is_set():
            self.reason = reason
            self.closed.set()
            self.session.lost(f"closed: {reason}")

    def play(self, effect: Play) -> None:
        self.audio += effect.audio
        self.session.played(len(effect.audio) // 2)

    def stop(self) -> None:
        pass

    def kinds(self) -> list[str]:
        return [event["type"] for event in self.events]


def _shouted(notice: Notice, wall_s: Callable[[], float]) -> Named | None:
    named = GA.event_writer(notice, wall_s)
    return None if named is None else (f"loud.{named[0]}", named[1])


LOUD = replace(GA, name="loud", event_writer=_shouted, audio_delta="loud.response.output_audio.delta")
"""A dialect whose events have other names."""


def speaking() -> Engines:
    return Engines(llm=FakeModel(["Hello."]))


@pytest.mark.parametrize("dialect", [GA, BETA, LOUD], ids=lambda dialect: dialect.name)
@pytest.mark.parametrize("paced", [False, True])
async def test_a_new_link_needs_only_a_link_and_a_playback(dialect: Dialect, paced: bool) -> None:
    async with running(configured(), speaking()) as server:
        link = ListLink()
        link.open(server, dialect, paced=paced)
        prefix = "loud." if dialect is LOUD else ""
        assert link.kinds()[0] == f"{prefix}session.created"
        assert len(server.app.sessions) == 1
        link.client_sends(type="response.create")
        done = f"{prefix}response.done"
        await settled(lambda: done in link.kinds())
        assert link.events[link.kinds().index(done)]["response"]["status"] == "completed"
        assert all(kind.startswith(prefix) for kind in link.kinds()), "no event of another dialect"
        deltas = [kind for kind in link.kinds() if kind.endswith("audio.delta")]
        assert (bool(deltas), bool(link.audio)) == (not paced, paced)
        server.server.leave()
        await asyncio.wait_for(link.closed.wait(), 5)
        assert link.reason == "server_shutting_down"
        assert len(server.app.sessions) == 0


async def test_a_refusal_is_the_same_on_every_link() -> None:
    async with running(configured(max_sessions=1)) as server:
        link = ListLink()
        link.open(server, GA, paced=False)
        refused = server.app.factory.open(SessionRequest(Grant(), GA))
        assert isinstance(refused, Refusal)
        assert refused.code == "session_limit_reached"
        unknown = server.app.factory.open(SessionRequest(Grant(), GA, "gpt-9"))
        assert isinstance(unknown, Refusal)
        assert unknown.code == "model_not_found"
        link.close("internal_error")
        assert len(server.app.sessions) == 0
