"""Transcripts from an upstream Realtime transcription session: audio as it comes, promises, breaks, refusals."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AbstractAsyncContextManager

import numpy as np
import pytest

from parley.audio import pcm
from parley.audio.resampling import resample
from parley.config import load
from parley.engines import registry
from parley.engines.ports import (
    STT,
    EngineError,
    EngineRefused,
    EngineSpec,
    EngineUnavailable,
    Partial,
    RecognitionSpec,
    Samples,
    SpeechRecognizer,
)
from parley.engines.stt.realtime import RealtimeRecognizer, create
from parley.runtime.engines import LoadedEngines
from tests.engines.opening import while_open
from tests.engines.realtime_server import RealtimeServer, Script, Session, counts
from tests.server.harness import running
from tests.speech import clip
from tests.speech import load as load_clip

RATE = 16_000
KEY = "sk-very-secret-key"


def tone(seconds: float) -> Samples:
    times = np.arange(round(seconds * RATE)) / RATE
    return (0.3 * np.sin(2 * np.pi * 440 * times)).astype(np.float32)


def silence(seconds: float) -> Samples:
    return np.zeros(round(seconds * RATE), np.float32)


def opened(
    server: RealtimeServer, model: str = "m", **options: object
) -> AbstractAsyncContextManager[RealtimeRecognizer]:
    return while_open(create(model, {"base_url": server.url, "api_key": KEY, **options}))


async def final(engine: SpeechRecognizer, *audio: Samples, spec: RecognitionSpec | None = None) -> str:
    stream = engine.open_stream(spec or RecognitionSpec(), lambda _: None)
    for piece in audio:
        stream.feed(piece)
    return (await stream.finish()).text


async def test_a_turn_is_sent_as_it_comes_and_committed_at_its_pauses() -> None:
    server, partials = RealtimeServer(), list[Partial]()
    async with server.running(), opened(server, prompt="Names:") as engine:
        assert isinstance(engine, SpeechRecognizer)
        spec = RecognitionSpec("en-GB", "Ada.", keywords=("Babbage",))
        stream = engine.open_stream(spec, partials.append)
        stream.feed(tone(1))
        assert (await stream.flush()).text == "10 tenths"
        stream.feed(silence(0.5))
        assert (await stream.flush()).text == "10 tenths"
        stream.feed(tone(0.5))
        heard = await stream.finish()
    assert (heard.text, heard.language, heard.language_confidence) == ("10 tenths 10 tenths", "en", 1.0)
    assert [partial.stable for partial in partials] == ["10 t", "10 tenths", "10 tenths 10 t", "10 tenths 10 tenths"]
    probe, turn = server.sessions
    assert (probe.items, turn.items) == (0, 2), "silence is not asked about, and lies before what is said next"
    assert turn.path == "/v1/realtime?intent=transcription"
    assert turn.headers["authorization"] == f"Bearer {KEY}"
    assert turn.settings["format"] == {"type": "audio/pcm", "rate": 24_000}
    assert turn.settings["transcription"] == {"model": "m", "language": "en", "prompt": "Names: Ada. Babbage"}
    assert turn.settings["turn_detection"] is None


async def breaks(session: Session, item: str) -> None:
    session.socket.transport.abort()


async def half(session: Session, item: str) -> None:
    await session.delta("10 ten", item)
    await breaks(session, item)


async def test_audio_without_a_final_is_sent_again_when_the_connection_breaks() -> None:
    server, partials = RealtimeServer(scripts=[counts, half, counts]), list[Partial]()
    async with server.running(), opened(server) as engine:
        stream = engine.open_stream(RecognitionSpec(), partials.append)
        stream.feed(tone(2))
        await stream.flush()
        stream.feed(tone(1))
        assert (await stream.finish()).text == "20 tenths 10 tenths"
    assert len(server.sessions) == 3, "one to look, one that broke, one that went on"
    assert partials[-1].stable == "20 tenths 10 tenths"


async def other(session: Session, item: str) -> None:
    await session.completed("11 other words", item)


async def test_other_words_on_a_new_connection_are_the_final_and_no_partial(caplog: pytest.LogCaptureFixture) -> None:
    server, partials = RealtimeServer(scripts=[half, other]), list[Partial]()
    async with server.running(), opened(server) as engine:
        stream = engine.open_stream(RecognitionSpec(), partials.append)
        stream.feed(tone(1))
        assert (await stream.finish()).text == "11 other words"
    assert {partial.stable for partial in partials} == {"10 ten"}
    assert "took back a part of its transcript" in caplog.text
    assert "other" not in caplog.text


async def bad_utf8(session: Session, item: str) -> None:
    await session.socket.send(b'{"type": "\xff\xfe"}', text=True)


async def no_json(session: Session, item: str) -> None:
    await session.socket.send("{")


async def a_list(session: Session, item: str) -> None:
    await session.socket.send("[1]")


async def too_large(session: Session, item: str) -> None:
    await session.socket.send('"' + "x" * (1 << 20) + '"')


async def many_words(session: Session, item: str) -> None:
    for _ in range(70):
        await session.delta("word " * 200, item)


async def long_final(session: Session, item: str) -> None:
    await session.completed("word " * 20_000, item)


async def odd_fields(session: Session, item: str) -> None:
    await session.send("conversation.item.input_audio_transcription.delta", item_id=[1], delta={"a": 1})
    await session.send("conversation.item.input_audio_transcription.completed", item_id={}, transcript=None)
    await session.send("error", error="no object")


@pytest.mark.parametrize("script", [bad_utf8, no_json, a_list, too_large, many_words, long_final, odd_fields])
async def test_what_is_no_event_fails_the_turn_and_not_the_next(script: Script) -> None:
    server = RealtimeServer(scripts=[script])
    async with server.running(), opened(server, timeout_s=5) as engine:
        with pytest.raises(EngineError) as caught:
            await final(engine, tone(1))
        assert caught.value.code in ("server_error", "connection_failed")
        server.scripts = [counts]
        assert await final(engine, tone(1)) == "10 tenths"


async def test_a_server_that_breaks_every_time_is_given_up() -> None:
    server = RealtimeServer(scripts=[breaks])
    async with server.running(), opened(server) as engine:
        with pytest.raises(EngineError, match="connection broke") as caught:
            await final(engine, tone(1))
        assert caught.value.code == "connection_failed"
        server.scripts = [counts]
        assert await final(engine, tone(1)) == "10 tenths"


def says(code: str, kind: str = "invalid_request_error") -> object:
    async def script(session: Session, item: str) -> None:
        await session.error(code, f"No. {KEY}", kind)

    return script


@pytest.mark.parametrize(
    ("code", "kind", "expected"),
    [
        ("rate_limit_exceeded", "requests", "rate_limit_exceeded"),
        ("insufficient_quota", "requests", "insufficient_quota"),
        ("invalid_api_key", "invalid_request_error", "invalid_api_key"),
        ("oops", "server_error", "server_error"),
        ("bad_field", "invalid_request_error", "invalid_request"),
    ],
)
async def test_what_the_server_reports_is_typed_and_holds_no_key(
    code: str, kind: str, expected: str, caplog: pytest.LogCaptureFixture
) -> None:
    server = RealtimeServer(scripts=[says(code, kind)])  # type: ignore[list-item]
    async with server.running(), opened(server) as engine:
        with caplog.at_level(logging.INFO), pytest.raises(EngineError) as caught:
            await final(engine, tone(1))
        assert caught.value.code == expected
        assert isinstance(caught.value, EngineRefused) == (expected == "invalid_request")
        assert KEY not in f"{caught.value} {caplog.text} {engine!r} {engine.info}"


async def never(session: Session, item: str) -> None:
    """Nothing comes."""


async def test_a_transcript_that_does_not_come_is_a_time_out() -> None:
    server = RealtimeServer(scripts=[never])
    async with server.running(), opened(server, timeout_s=0.05) as engine:
        with pytest.raises(EngineError) as caught:
            await final(engine, tone(1))
    assert caught.value.code == "timeout"
    assert "timeout_s" in caught.value.remedy


@pytest.mark.parametrize(
    ("refuses", "code"),
    [
        ((401, {"error": {"code": "invalid_api_key", "message": f"Wrong: {KEY}"}}), "invalid_api_key"),
        ((404, {"error": {"message": "Not Found"}}), "invalid_base_url"),
        ((429, {"error": {"code": "rate_limit_exceeded", "message": "Slow down."}}), "rate_limit_exceeded"),
        ((302, "http://127.0.0.1:9/v1/realtime"), "server_error"),
    ],
)
async def test_a_server_that_refuses_the_session_is_named_at_the_start(refuses: tuple[int, object], code: str) -> None:
    server = RealtimeServer(refuses=refuses)
    async with server.running():
        with pytest.raises(EngineUnavailable) as caught:
            await create("m", {"base_url": server.url, "api_key": KEY}).open()
    assert caught.value.code == code
    assert KEY not in str(caught.value)


async def test_an_unknown_model_and_no_server_are_named_at_the_start() -> None:
    server = RealtimeServer()
    async with server.running():
        with pytest.raises(EngineUnavailable) as caught:
            await create("none", {"base_url": server.url}).open()
        assert caught.value.code == "model_not_found"
    with pytest.raises(EngineUnavailable) as caught:
        await create("m", {"base_url": server.url}).open()
    assert caught.value.code == "connection_failed"
    with pytest.raises(EngineUnavailable, match="No model is named"):
        await create("", {"base_url": server.url}).open()
    with pytest.raises(EngineUnavailable, match="API key"):
        await create("m", {}).open()


async def test_turns_beyond_the_limit_wait_for_a_place() -> None:
    server = RealtimeServer()
    async with server.running(), opened(server, max_sessions=1) as engine:
        first = engine.open_stream(RecognitionSpec(), lambda _: None)
        first.feed(tone(1))
        await first.flush()
        second = asyncio.ensure_future(final(engine, tone(0.5)))
        await first.flush()
        assert len(server.sessions) == 2
        assert (await first.finish()).text == "10 tenths"
        assert await second == "5 tenths"


async def test_a_parley_may_be_the_server() -> None:
    """The real protocol of the other side, with a real recogniser and real speech."""
    samples, rate = load_clip(clip("weather_question"))
    speech = resample(pcm.to_float(samples), rate, RATE)
    config = load(None, {"stt": "pocketsphinx", "llm": "responder", "tts": "bench", "port": "0"}, {})
    engines = await LoadedEngines.open_all([config.pipelines["default"]])
    async with running(config, engines) as upstream:
        engine = registry.create(
            STT, EngineSpec("realtime", "gpt-live-transcribe", {"base_url": f"{upstream.http}/v1"})
        )
        assert isinstance(engine, RealtimeRecognizer)
        await engine.open()
        try:
            heard, quiet = await final(engine, speech, spec=RecognitionSpec("en")), await final(engine, silence(1))
        finally:
            await engine.close()
    assert "weather" in heard
    assert quiet == ""
