"""Voices that an OpenAI-style server makes of recordings: one upload for each, found again, and every fault is named."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import pytest

from parley.engines.openai_api import custom_voices
from parley.engines.openai_api.custom_voices import CustomVoices
from parley.engines.ports import (
    VOICE_LOST,
    ClonesVoices,
    ConsentRecording,
    EngineError,
    EngineRefused,
    EngineUnavailable,
    SpeechRequest,
    VoiceSample,
)
from parley.engines.tts.openai import OpenAISynthesizer, create
from tests.engines.audio_server import wav_bytes
from tests.engines.chat_server import Answer, Request, Script
from tests.engines.voices_server import VoicesServer, error, refusing

KEY = "sk-secret-1234567890abcdef"
VOICES, CONSENTS = "/audio/voices", "/audio/voice_consents"
READ = wav_bytes(np.arange(4_000, dtype=np.int16), 24_000)


def sample(digit: str = "a", consent: str = "c") -> VoiceSample:
    read = ConsentRecording(READ, "en-GB", 64 * consent) if consent else None
    return VoiceSample(np.linspace(-0.5, 0.5, 4_000, dtype=np.float32), 24_000, 64 * digit, "Hello.", consent=read)


@asynccontextmanager
async def opened(server: VoicesServer, **options: object) -> AsyncIterator[OpenAISynthesizer]:
    engine = create("m", {"base_url": server.url, "warm_up": False, "clones": True, "api_key": KEY, **options})
    await engine.open()
    try:
        yield engine
    finally:
        await engine.close()


@asynccontextmanager
async def connected(
    *, lists: bool = True, faults: dict[str, list[Script]] | None = None, **options: object
) -> AsyncIterator[tuple[OpenAISynthesizer, VoicesServer]]:
    server = VoicesServer(lists=lists)
    async with server.running(), opened(server, **options) as engine:
        server.faults.update(faults or {})
        yield engine, server


async def spoken(engine: OpenAISynthesizer, voice: str) -> int:
    return sum([len(chunk.audio) async for chunk in engine.speak(SpeechRequest("Good evening.", voice))])


async def refused(engine: OpenAISynthesizer, one: VoiceSample | None = None) -> EngineError:
    with pytest.raises(EngineError) as caught:
        await engine.clone_voice(one or sample())
    assert KEY not in str(caught.value)
    return caught.value


@pytest.mark.parametrize("lists", [True, False])
async def test_a_voice_is_made_of_its_recording_and_its_consent_and_spoken_with_by_its_id(lists: bool) -> None:
    async with connected(lists=lists) as (engine, server):
        assert isinstance(engine, ClonesVoices)
        name = await engine.clone_voice(sample())
        assert await engine.clone_voice(sample()) == name == engine.resolve_voice(name)
        other = await engine.clone_voice(sample("b"))
        assert name not in engine.info.voices
        assert await spoken(engine, name)
        assert await spoken(engine, other)
        assert await spoken(engine, "alloy")
    assert [one.body["voice"] for one in server.posted("/audio/speech")] == [
        {"id": "voice_2"},
        {"id": "voice_3"},
        "alloy",
    ]
    (consent,) = server.consents.values()
    assert (consent.file, consent.texts["language"]) == (READ, ["en-GB"]), (
        "the second voice has the consent of the first"
    )
    assert [form.texts["consent"] for form in server.made.values()] == [["cons_1"], ["cons_1"]]
    names = [form.texts["name"][0] for form in server.made.values()]
    assert len(set(names)) == 2
    assert all(one.startswith("parley-") and len(one) == 23 for one in names)
    assert all(one.headers["authorization"] == f"Bearer {KEY}" for one in server.requests)


async def test_another_process_finds_the_voice_on_whichever_page_it_is_and_uploads_nothing() -> None:
    server = VoicesServer(page=2)
    async with server.running():
        async with opened(server) as engine:
            for digit in "12345":
                await engine.clone_voice(sample(digit))
        uploads = len(server.asked("POST", VOICES)), len(server.asked("POST", CONSENTS))
        async with opened(server) as engine:
            name = await engine.clone_voice(sample("5"))
            assert await spoken(engine, name)
            assert engine.resolve_voice("alloy") == "alloy", "what others made is nobody's usual voice"
            assert (len(server.asked("POST", VOICES)), len(server.asked("POST", CONSENTS))) == uploads == (5, 1)
            await engine.clone_voice(sample("6"))
            assert len(server.asked("POST", CONSENTS)) == 1, "the consent is found as well"


async def test_those_who_want_one_voice_at_once_share_an_upload_that_outlives_the_first_of_them() -> None:
    asked, go = asyncio.Event(), asyncio.Event()

    async def slow(request: Request, answer: Answer) -> None:
        asked.set()
        await go.wait()
        await answer.json(200, {"object": "list", "data": []})

    async with connected(faults={f"GET {VOICES}": [slow]}) as (engine, server):
        first = asyncio.create_task(engine.clone_voice(sample()))
        others = [asyncio.create_task(engine.clone_voice(sample())) for _ in range(5)]
        await asked.wait()
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        assert first.cancelled()
        go.set()
        assert len(set(await asyncio.gather(*others))) == 1
        assert len(server.made) == 1


async def test_closing_the_engine_ends_an_upload_and_tells_who_waits() -> None:
    asked = asyncio.Event()

    async def never(request: Request, answer: Answer) -> None:
        asked.set()
        await answer.until_client_leaves()

    async with connected(faults={f"POST {VOICES}": [never]}) as (engine, server):
        waiting = asyncio.create_task(engine.clone_voice(sample()))
        await asked.wait()
        await engine.close()
        with pytest.raises(EngineUnavailable) as caught:
            await waiting
        assert caught.value.code == "engine_closed"
        await asyncio.wait_for(server.client_left.wait(), 5)


async def test_a_voice_without_a_consent_is_refused_with_the_command_and_nothing_is_sent() -> None:
    async with connected() as (engine, server):
        before = len(server.requests)
        failure = await refused(engine, sample(consent=""))
        assert isinstance(failure, EngineRefused)
        assert failure.code == "consent_required"
        assert "voices add NAME clip.wav --consent recording.wav" in str(failure)
        assert len(server.requests) == before


@pytest.mark.parametrize(
    ("step", "answer", "code", "said"),
    [
        (f"POST {CONSENTS}", refusing(401), "invalid_api_key", "API key"),
        (f"POST {CONSENTS}", refusing(403, error("Not eligible.")), "permission_denied", "Not eligible"),
        (f"POST {CONSENTS}", refusing(404), "no_cloning", "clones to false"),
        (f"POST {CONSENTS}", refusing(400, error("Read it.", "x", "recording")), "consent_refused", "Read it"),
        (f"POST {CONSENTS}", refusing(200, b"<html><title>Hi</title>"), "invalid_base_url", "Hi"),
        (f"POST {CONSENTS}", refusing(200, {"ok": True}), "server_error", "without an id"),
        (f"POST {VOICES}", refusing(405), "no_cloning", "clones to false"),
        (f"POST {VOICES}", refusing(400, error("Too noisy.", "x", "audio_sample")), "invalid_sample", "Too noisy"),
        (f"POST {VOICES}", refusing(400, error("At most 20.", "too_many", "name")), "voice_refused", "At most 20"),
        (f"POST {VOICES}", refusing(413), "voice_refused", "413"),
        (f"POST {VOICES}", refusing(500, error(f"Broken by {KEY}")), "server_error", "Broken"),
        (f"POST {VOICES}", refusing(200, {"id": 7}), "server_error", "without an id"),
        (f"POST {VOICES}", refusing(429, headers={"retry-after": "60"}), "rate_limit_exceeded", "wait 60 s"),
        (f"GET {VOICES}", refusing(500), "server_error", "HTTP 500"),
    ],
)
async def test_every_fault_is_named(step: str, answer: Script, code: str, said: str) -> None:
    async with connected(faults={step: [answer]}) as (engine, server):
        failure = await refused(engine)
        assert (failure.code, said in str(failure)) == (code, True), failure
        sent = len(server.requests)
        if isinstance(failure, EngineRefused):
            again = await refused(engine)
            assert (again.code, str(again)) == (code, str(failure))
            assert len(server.requests) == sent, "what was refused is not sent with each text"
        else:
            assert await spoken(engine, await engine.clone_voice(sample())), "the next text tries again"


@pytest.mark.parametrize("status", [429, 503])
async def test_a_busy_server_is_asked_again_and_one_that_may_have_done_it_is_not(
    status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("parley.engines.openai_api.retries.FIRST_PAUSE_S", 0.001)
    async with connected(faults={f"POST {VOICES}": [refusing(status)] * 2}) as (engine, server):
        assert await engine.clone_voice(sample())
        assert len(server.asked("POST", VOICES)) == 3
    async with connected(faults={f"POST {VOICES}": [refusing(502)]}) as (engine, server):
        await refused(engine)
        assert len(server.asked("POST", VOICES)) == 1


async def test_a_server_that_is_too_slow_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(request: Request, answer: Answer) -> None:
        await answer.until_client_leaves()

    async with connected(faults={f"POST {VOICES}": [never]}) as (engine, server):
        voices = CustomVoices(
            lambda: engine._connection.client, lambda: engine._connection.endpoint, make_s=0.2, rest_s=0
        )
        with pytest.raises(EngineError) as caught:
            await voices.name_of(sample())
        assert caught.value.code == "timeout"
        assert "within 0.2 s" in str(caught.value)
        await asyncio.wait_for(server.client_left.wait(), 5)
        assert await voices.name_of(sample())


async def test_a_voice_that_the_server_forgot_is_made_again_with_the_next_text() -> None:
    server = VoicesServer()
    async with server.running():
        async with opened(server) as before:
            await before.clone_voice(sample())
        async with opened(server) as engine:
            name = await engine.clone_voice(sample())
            server.made.clear()
            with pytest.raises(EngineRefused) as caught:
                await spoken(engine, name)
            assert caught.value.code == VOICE_LOST
            assert "made again" in str(caught.value)
            assert engine.resolve_voice(name) is None
            with pytest.raises(EngineRefused) as caught:
                await spoken(engine, name)
            assert caught.value.code == VOICE_LOST
            assert await engine.clone_voice(sample()) == name
            assert await spoken(engine, name)
            assert len(server.made) == 1


async def test_a_server_that_never_knows_what_it_makes_is_not_sent_a_recording_with_each_text() -> None:
    async with connected(lists=False) as (engine, server):
        name = await engine.clone_voice(sample())
        server.made.clear()
        with pytest.raises(EngineRefused):
            await spoken(engine, name)
        for _ in range(3):
            assert "Does the model speak with custom voices?" in str(await refused(engine))
        assert len(server.asked("POST", VOICES)) == 1


async def test_a_voice_that_is_listed_and_never_known_is_not_asked_for_with_each_text() -> None:
    says = refusing(404, error("There is no such voice.", "voice_not_found", "voice"))
    server = VoicesServer()
    async with server.running():
        async with opened(server) as before:
            await before.clone_voice(sample())
        async with opened(server) as engine:
            server.faults["POST /audio/speech"] = [says] * 2
            for _ in range(2):
                with pytest.raises(EngineRefused):
                    await spoken(engine, await engine.clone_voice(sample()))
            sent = len(server.requests)
            assert (await refused(engine)).code == "unknown_voice"
            assert len(server.requests) == sent
            assert len(server.made) == 1


async def test_a_voice_that_the_model_refuses_is_not_forgotten() -> None:
    says = refusing(400, error("This model has no use for custom voices of others.", "unsupported", "voice"))
    async with connected() as (engine, server):
        name = await engine.clone_voice(sample())
        server.faults["POST /audio/speech"] = [says]
        with pytest.raises(EngineRefused) as caught:
            await spoken(engine, name)
        assert "no use" in str(caught.value)
        assert engine.resolve_voice(name) == name


async def test_a_consent_that_the_server_lost_is_sent_again() -> None:
    async with connected() as (engine, server):
        await engine.clone_voice(sample())
        server.consents.clear()
        await engine.clone_voice(sample("b"))
        assert len(server.asked("POST", CONSENTS)) == 2


async def test_a_voice_that_another_process_made_in_the_same_moment_is_taken() -> None:
    server = VoicesServer()

    async def taken(request: Request, answer: Answer) -> None:
        server.made["voice_other"] = request.body
        await answer.json(409, error("There is one.", "name_taken", "name"))

    async with server.running(), opened(server) as engine:
        server.faults[f"POST {VOICES}"] = [taken]
        assert await spoken(engine, await engine.clone_voice(sample()))
        assert server.posted("/audio/speech")[-1].body["voice"] == {"id": "voice_other"}


async def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(custom_voices, "MAX_KEPT", 3)
    async with connected() as (engine, server):
        names = [await engine.clone_voice(sample(digit)) for digit in "12345"]
        assert [engine.resolve_voice(name) for name in names] == [None, None, *names[2:]]
        assert await engine.clone_voice(sample("1")) == names[0]
        assert len(server.made) == 5, "it is found again"


async def test_no_recording_and_no_key_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "parley")
    async with connected(faults={f"POST {VOICES}": [refusing(400, error(f"bad {KEY}", "x", "audio_sample"))]}) as (
        engine,
        _,
    ):
        await refused(engine)
    assert KEY not in caplog.text
    assert "RIFF" not in caplog.text


def test_openai_makes_voices_and_no_other_server_unless_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    assert create("m", {}).clones
    assert not create("m", {"base_url": "http://localhost:1/v1"}).clones
    assert create("m", {"base_url": "http://localhost:1/v1", "clones": "on"}).clones
    assert not create("m", {"clones": False}).clones
