"""`POST /v1/audio/speech` with the stock client: every format, streamed, every refusal, and what happens when the client goes away."""

from __future__ import annotations

import asyncio
import base64
import io
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import numpy as np
import pytest
from openai import APIError, APIStatusError, AsyncOpenAI

from parley.audio.files import read
from parley.audio.stream_encoder import FORMATS
from parley.engines.ports import EngineError, SpeechChunk, SpeechRequest
from parley.server.audio_upload import MAX_REQUESTS
from parley.server.speech_rest import MAX_BODY_BYTES, MAX_CHARACTERS
from parley.testing.fakes import FakeSynthesizer
from tests.runtime.rig import settled
from tests.server.harness import Engines, configured, running

TEXT = "Good morning to you all. The news are short today."
WORDS = len(TEXT.split())
SECONDS = WORDS * 0.1
"""The fake speaks for a tenth of a second a word."""


class Endless(FakeSynthesizer):
    """Never ends a clause; `ended` counts those that were closed."""

    def __init__(self) -> None:
        super().__init__()
        self.ended = asyncio.Semaphore(0)

    async def speak(self, request: SpeechRequest) -> AsyncIterator[SpeechChunk]:
        try:
            while True:
                yield SpeechChunk(np.full(2_400, 0.1, np.float32), 24_000)
                await asyncio.sleep(0)
        finally:
            self.ended.release()


class Breaking(FakeSynthesizer):
    async def speak(self, request: SpeechRequest) -> AsyncIterator[SpeechChunk]:
        if "news" in request.text:
            raise EngineError("The voice's process ended.", code="process_ended")
        async for chunk in super().speak(request):
            yield chunk


async def refused(client: AsyncOpenAI, **request: Any) -> APIStatusError:
    chosen: dict[str, Any] = {"model": "tts-1", "voice": "alloy", "input": TEXT} | request
    with pytest.raises(APIStatusError) as error:
        await client.audio.speech.create(**chosen)
    body = error.value.response.json()
    assert set(body["error"]) == {"message", "type", "param", "code"}
    return error.value


@pytest.mark.parametrize("form", list(FORMATS))
async def test_the_stock_client_gets_the_format_that_it_asks_for(form: Any) -> None:
    async with running(engines=Engines()) as server, server.client() as client:
        made = await client.audio.speech.create(model="tts-1", voice="alloy", input=TEXT, response_format=form)
    assert made.response.headers["content-type"] == FORMATS[form].media_type
    if form == "pcm":
        assert len(made.content) / 48_000 == pytest.approx(SECONDS, abs=0.02)
    else:
        assert read(io.BytesIO(made.content)).seconds == pytest.approx(SECONDS, abs=0.12)


async def test_mp3_is_the_usual_format_and_each_model_that_clients_name_is_the_default_pipeline() -> None:
    async with running(engines=Engines()) as server, server.client() as client:
        for model in ("tts-1", "tts-1-hd", "gpt-4o-mini-tts", "default"):
            made = await client.audio.speech.create(model=model, voice="alloy", input="Hello.")
            assert made.response.headers["content-type"] == "audio/mpeg"
            assert read(io.BytesIO(made.content)).seconds > 0.05


async def test_voice_and_speed_reach_the_synthesizer() -> None:
    engines = Engines()
    async with running(engines=engines) as server, server.client() as client:
        await client.audio.speech.create(model="tts-1", voice="marin", input="Hello.", speed=1.5)
        await client.audio.speech.create(model="tts-1", voice={"id": "marin"}, input="Hello.")
    assert [(request.voice, request.speed) for request in engines.tts.requests] == [("marin", 1.5), ("marin", 1.0)]


async def test_null_is_a_field_that_is_left_out() -> None:
    engines = Engines()
    async with running(engines=engines) as server, httpx.AsyncClient(base_url=server.http, trust_env=False) as client:
        body = {"model": "tts-1", "input": "Hello.", "voice": None, "speed": None, "instructions": None}
        answer = await client.post("/v1/audio/speech", json={**body, "response_format": None, "stream_format": None})
    assert answer.headers["content-type"] == "audio/mpeg"
    assert engines.tts.requests[0].speed == 1.0


class Mute(FakeSynthesizer):
    """Never has any audio; `begun` and `ended` count its clauses."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = asyncio.Semaphore(0)
        self.ended = asyncio.Semaphore(0)

    async def speak(self, request: SpeechRequest) -> AsyncIterator[SpeechChunk]:
        self.begun.release()
        try:
            await asyncio.Event().wait()
            yield SpeechChunk(np.zeros(0, np.float32), 24_000)
        finally:
            self.ended.release()


@pytest.mark.parametrize("stream_format", ["audio", "sse"])
async def test_a_client_that_goes_away_before_the_first_audio_ends_the_synthesis(stream_format: Any) -> None:
    voice = Mute()
    async with running(engines=Engines(tts=voice)) as server, server.client() as client:
        create = client.audio.speech.create(model="tts-1", voice="alloy", input=TEXT, stream_format=stream_format)
        asking = asyncio.create_task(create)
        await asyncio.wait_for(voice.begun.acquire(), 20)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        await asyncio.wait_for(voice.ended.acquire(), 20)
        await settled(lambda: not len(server.app.audio))


async def test_the_first_bytes_come_before_the_last_are_made() -> None:
    voice = Endless()
    async with running(engines=Engines(tts=voice)) as server, server.client() as client:
        create = client.audio.speech.with_streaming_response.create
        async with create(model="tts-1", voice="alloy", input=TEXT, response_format="pcm") as response:
            async for piece in response.iter_bytes(4_800):
                assert piece
                break
        await asyncio.wait_for(voice.ended.acquire(), 20)
        await settled(lambda: not len(server.app.audio))


async def test_server_sent_events_carry_the_audio_and_its_usage() -> None:
    async with running(engines=Engines()) as server, httpx.AsyncClient(base_url=server.http, trust_env=False) as client:
        body = {"model": "tts-1", "voice": "alloy", "input": TEXT, "response_format": "pcm", "stream_format": "sse"}
        answer = await client.post("/v1/audio/speech", json=body)
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = [json.loads(line.removeprefix("data: ")) for line in answer.text.split("\n\n") if line]
    *deltas, done = events
    assert {event["type"] for event in deltas} == {"speech.audio.delta"}
    audio = b"".join(base64.b64decode(event["audio"]) for event in deltas)
    assert len(audio) / 48_000 == pytest.approx(SECONDS, abs=0.02)
    assert done["type"] == "speech.audio.done"
    assert done["usage"]["total_tokens"] == done["usage"]["input_tokens"] + done["usage"]["output_tokens"]


@pytest.mark.parametrize(
    ("request_", "param", "said"),
    [
        ({"model": "gpt-9"}, "model", "gpt-9"),
        ({"input": ""}, "input", "length >= 1"),
        ({"input": "a" * (MAX_CHARACTERS + 1)}, "input", "length <= 4096"),
        ({"voice": "nobody"}, "voice", "has no voice 'nobody'"),
        ({"voice": {"id": "voice_0"}}, "voice", "voice_0"),
        ({"response_format": "midi"}, "response_format", "midi"),
        ({"speed": 9}, "speed", "<= 4"),
        ({"instructions": "Whisper."}, "instructions", "leave `instructions` out"),
        ({"extra_body": {"pitch": 2}}, "pitch", "pitch"),
        ({"extra_body": {"language": "?"}}, "language", "BCP-47"),
        ({"extra_body": {"stream_format": "flv"}}, "stream_format", "flv"),
    ],
)
async def test_what_cannot_be_done_names_the_field(request_: dict[str, Any], param: str | None, said: str) -> None:
    async with running(engines=Engines()) as server, server.client() as client:
        error = await refused(client, **request_)
        assert len(server.app.audio) == 0
    assert error.status_code == (404 if "model" in request_ else 400)
    assert error.param == param
    assert said in error.message


async def test_a_body_that_is_no_request_is_refused() -> None:
    async with running(engines=Engines()) as server, httpx.AsyncClient(base_url=server.http, trust_env=False) as client:
        for content, status, code in (
            (b"", 400, "invalid_json"),
            (b"[]", 400, "invalid_value"),
            (b"{" + b" " * MAX_BODY_BYTES + b"}", 413, "request_too_large"),
            (b'{"input": "a"}', 400, "missing_required_parameter"),
            (b'{"model": "tts-1", "input": "a", "voice": {"id": 5}}', 400, "invalid_value"),
            (b"[" * 50_000, 400, "invalid_json"),
        ):
            answer = await client.post("/v1/audio/speech", content=content)
            assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), content[:20]


async def test_a_voice_that_fails_at_once_is_an_error_and_later_breaks_the_file_off() -> None:
    async with running(engines=Engines(tts=Breaking())) as server, server.client() as client:
        error = await refused(client, input="The news.")
        assert (error.status_code, error.code) == (502, "process_ended")
        with pytest.raises((APIError, httpx.HTTPError)):
            await client.audio.speech.create(model="tts-1", voice="alloy", input=TEXT)
        assert len(server.app.audio) == 0


async def test_a_voice_that_fails_later_ends_the_events_with_an_error() -> None:
    async with (
        running(engines=Engines(tts=Breaking())) as server,
        httpx.AsyncClient(base_url=server.http, trust_env=False) as client,
    ):
        body = {"model": "tts-1", "voice": "alloy", "input": TEXT, "response_format": "pcm", "stream_format": "sse"}
        answer = await client.post("/v1/audio/speech", json=body)
    last = json.loads(answer.text.strip().split("\n\n")[-1].removeprefix("data: "))
    assert (last["type"], last["error"]["code"]) == ("error", "process_ended")


async def test_a_key_is_demanded_and_places_are_bounded() -> None:
    async with running(configured(api_keys=("sk-parley",)), Engines(tts=Endless())) as server:
        async with server.client("wrong") as client:
            assert (await refused(client)).status_code == 401
        async with server.client("sk-parley") as client:
            create = client.audio.speech.with_streaming_response.create
            opened = [
                create(model="tts-1", voice="alloy", input=TEXT, response_format="pcm") for _ in range(MAX_REQUESTS)
            ]
            for one in opened:
                await one.__aenter__()
            assert (await refused(client)).status_code == 429
            for one in opened:
                await one.__aexit__(None, None, None)
