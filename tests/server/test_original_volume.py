"""`original_volume` on links that play one voice only: their sessions are conversations, and a translation is refused by name."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from parley.server.access.access import Grant
from parley.server.links.media_format import MediaFormat
from parley.server.links.output_queue import OutputQueue
from parley.server.links.pacing import ClockedReports, PacedOutput
from parley.server.realtime_session import RealtimeSession, SessionRequest
from parley.server.refusals import Refusal
from parley.wire.dialects import TRANSLATIONS
from tests.server.harness import Running, configured, loaded, running
from tests.server.test_raw_stream import refused
from tests.server.test_translation_sessions import engines, with_original
from tests.server.test_twilio import rejected
from tests.server.twilio_player import calling

KEY = "sk-of-the-owner"


def serving(original: float | None, **server: Any) -> Any:
    config = configured(**server)
    if original is not None:
        config = with_original(config, original)
    return running(config, loaded(config, engines("Good day.")))


async def translation_secret(server: Running) -> str:
    async with server.client(KEY) as client:
        session: Any = {"model": "gpt-realtime-translate"}
        return (await client.realtime.translations.client_secrets.create(session=session)).value


async def test_raw_streams_and_telephone_calls_refuse_to_be_translation_sessions(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    async with serving(0.2, api_keys=(KEY,)) as server:
        secret = await translation_secret(server)
        error = await refused(server, f"?key={secret}")
        assert (error["status"], error["code"]) == (403, "intent_not_allowed")
        assert "/v1/realtime/translations" in error["message"]
        async with calling(server) as call:
            assert await rejected(call, key=secret) == 1008
    assert "intent_not_allowed" in caplog.text


async def test_a_link_that_cannot_mix_is_refused() -> None:
    async with serving(0.2) as server:
        output = PacedOutput(
            MediaFormat("pcm16", 24_000),
            lambda audio: None,
            ClockedReports(lambda samples: None),
            loop=asyncio.get_running_loop(),
            lead_ms=100,
        )
        request = SessionRequest(Grant(), TRANSLATIONS, client="a test")
        refusal = server.app.factory.open(request, output)
        assert isinstance(refusal, Refusal)
        assert (refusal.code, refusal.param) == ("original_volume_not_available", "model")
        assert "remove original_volume" in refusal.message
        session = server.app.factory.open(request, OutputQueue())
        assert isinstance(session, RealtimeSession), "a call mixes"
        assert session.paced
        output.close()
    async with serving(None) as server:
        assert isinstance(server.app.factory.open(request, output), RealtimeSession)
