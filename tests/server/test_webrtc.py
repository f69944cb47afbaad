"""Calls over WebRTC, by a stock client: aiortc."""

from __future__ import annotations

from parley.testing.fakes import FakeModel
from tests.server.caller import calling
from tests.server.harness import Engines, configured, running


async def test_a_call_has_its_events_and_its_reply_is_heard() -> None:
    async with running(configured(), Engines(llm=FakeModel(["Hello there."]))) as server, calling(server) as caller:
        assert (await caller.next()).type == "session.created"
        caller.send(type="response.create")
        await caller.until("output_audio_buffer.stopped")
        print(caller.kinds())
        assert len(server.app.calls) == 1
        print(len(caller.heard), abs(caller.heard).max())
