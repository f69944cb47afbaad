"""The limits of the server's settings, and the answer to a client that reaches one."""

from __future__ import annotations

from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed

from parley.runtime.trace import replay
from tests.server.harness import configured, running, talking


async def test_a_session_ends_at_its_longest_with_an_error_and_1001() -> None:
    async with running(configured(session_minutes=0.002)) as server, talking(server) as talk:
        assert (await talk.until("error")).error.code == "session_expired"
        with pytest.raises(ConnectionClosed) as closed:
            await talk.next()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1001


async def test_a_response_too_many_in_a_minute_is_refused_and_named() -> None:
    async with running(configured(responses_per_minute=1)) as server, talking(server) as talk:
        await talk.send(type="response.create")
        assert (await talk.until("response.done")).response.status == "completed"
        await talk.send(type="response.create", event_id="second")
        error = (await talk.until("error")).error
    assert (error.code, error.event_id) == ("rate_limit_exceeded", "second")


async def test_a_traced_session_can_be_replayed(tmp_path: Path) -> None:
    async with running(configured(trace_dir=tmp_path)) as server, talking(server) as talk:
        await talk.send(type="response.create")
        await talk.until("response.done")
        session_id = talk.events[0].session.id
    result = replay(tmp_path / f"{session_id}.trace")
    assert result.mismatch is None
    assert result.events > 5
