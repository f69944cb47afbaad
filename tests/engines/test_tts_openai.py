"""A voice behind any OpenAI-compatible server: heard as it is made, never broken, and what goes wrong is said clearly."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from parley.engines.ports import (
    EngineError,
    EngineRefused,
    EngineUnavailable,
    Samples,
    SpeechChunk,
    SpeechRequest,
    SpeechSynthesizer,
)
from parley.engines.tts.openai import OpenAISynthesizer, create
from tests.engines.audio_server import AudioServer, slowly, speak, tone, wav_bytes
from tests.engines.chat_server import Answer, Request, Script

KEY = "sk-secret-1234567890abcdef"
HELLO = SpeechRequest("Hello there.")


@asynccontextmanager
async def connected(
    *scripts: Script, voices: object = None, **options: object
) -> AsyncIterator[tuple[OpenAISynthesizer, AudioServer]]:
    server = AudioServer(speech=list(scripts) or [speak], voices=voices)
    async with server.running():
        engine = create("m", {"base_url": server.url, "warm_up": False, **options})
        await engine.open()
        try:
            yield engine, server
        finally:
            await engine.close()


async def chunks_of(engine: OpenAISynthesizer, request: SpeechRequest = HELLO) -> list[SpeechChunk]:
    return [chunk async for chunk in engine.speak(request)]


async def spoken(engine: OpenAISynthesizer, request: SpeechRequest = HELLO) -> Samples:
    return np.concatenate([chunk.audio for chunk in await chunks_of(engine, request)])


async def error_of(engine: OpenAISynthesizer, request: SpeechRequest = HELLO) -> EngineError:
    with pytest.raises(EngineError) as caught:
        await chunks_of(engine, request)
    return caught.value


def sending(*pieces: bytes, kind: str = "audio/pcm") -> Script:
    async def script(request: Request, answer: Answer) -> None:
        for piece in pieces:
            await answer.raw(piece, content_type=kind)
        await answer.end()

    return script


def failing(status: int, body: object, headers: dict[str, str] | None = None) -> Script:
    async def script(request: Request, answer: Answer) -> None:
        await answer.json(status, body, headers)

    return script


def floats(samples: NDArray[np.int16]) -> Samples:
    return samples.astype(np.float32) / np.float32(32_768)


# --- what is heard ---


@pytest.mark.parametrize("response_format", ["pcm", "wav"])
async def test_what_is_said_is_heard_and_another_text_sounds_different(response_format: str) -> None:
    async with connected(response_format=response_format) as (engine, server):
        assert isinstance(engine, SpeechSynthesizer)
        said = await chunks_of(engine, SpeechRequest("Abc", "marin", speed=1.25))
        expected = [tone(200 + 8 * (ord(character) % 100), 0.05) for character in "Abc"]
        assert np.array_equal(np.concatenate([chunk.audio for chunk in said]), floats(np.concatenate(expected)))
        assert {chunk.sample_rate for chunk in said} == {engine.info.sample_rate} == {24_000}
        assert all(chunk.words == () and chunk.audio.dtype == np.float32 for chunk in said)
        assert not np.array_equal(
            await spoken(engine, SpeechRequest("Abd")), await spoken(engine, SpeechRequest("Abc"))
        )
    request = server.posted("/audio/speech")[0]
    assert request.body == {
        "model": "m",
        "input": "Abc",
        "voice": "marin",
        "response_format": response_format,
        "speed": 1.25,
    }


async def test_the_options_reach_the_server() -> None:
    options: dict[str, object] = {
        "api_key": KEY,
        "headers": {"x-team": "7"},
        "instructions": "Whisper.",
        "extra_body": {"stream": True, "model": "other"},
    }
    async with connected(**options) as (engine, server):
        await spoken(engine)
    request = server.posted("/audio/speech")[0]
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.headers["x-team"] == "7"
    assert request.body["instructions"] == "Whisper."
    assert (request.body["stream"], request.body["model"]) == (True, "other")
    assert "speed" not in request.body


async def test_audio_is_handed_on_before_the_rest_of_it_is_made() -> None:
    heard = asyncio.Event()
    first, second = tone(440, 0.1), tone(880, 0.1)

    async def script(request: Request, answer: Answer) -> None:
        await answer.raw(first.tobytes(), content_type="audio/pcm")
        await heard.wait()
        await answer.raw(second.tobytes())
        await answer.end()

    async with connected(script) as (engine, _):
        stream = engine.speak(HELLO)
        assert np.array_equal((await anext(stream)).audio, floats(first))
        heard.set()
        assert np.array_equal(np.concatenate([chunk.audio async for chunk in stream]), floats(second))


@pytest.mark.parametrize("size", [1, 3, 7, 1_001])
@pytest.mark.parametrize("channels", [1, 2])
async def test_no_sample_is_split_however_the_bytes_are_cut(size: int, channels: int) -> None:
    mono = tone(440, 0.02)
    data = wav_bytes(np.repeat(mono, channels), 22_050, channels) if channels > 1 else mono.tobytes()
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    async with connected(sending(*pieces, kind="application/octet-stream")) as (engine, _):
        said = await chunks_of(engine)
    assert np.array_equal(np.concatenate([chunk.audio for chunk in said]), floats(mono))
    assert {chunk.sample_rate for chunk in said} == {24_000 if channels == 1 else 22_050}


async def test_a_long_answer_comes_in_bounded_chunks() -> None:
    samples = tone(300, 20)
    async with connected(sending(samples.tobytes())) as (engine, _):
        said = await chunks_of(engine)
    assert np.array_equal(np.concatenate([chunk.audio for chunk in said]), floats(samples))
    assert max(len(chunk.audio) for chunk in said) <= 8 * 1024


@pytest.mark.parametrize(
    ("kind", "rate"), [("audio/pcm", 16_000), ("audio/pcm;rate=48000;channels=1", 48_000), ("", 16_000)]
)
async def test_the_rate_of_pcm_is_the_options_unless_the_server_names_it(kind: str, rate: int) -> None:
    async with connected(sending(tone(300, 0.1).tobytes(), kind=kind), sample_rate=16_000) as (engine, _):
        assert {chunk.sample_rate for chunk in await chunks_of(engine)} == {rate}


def streamed_wav(rate: int, bits: int = 16, tag: int = 1, size: int = 0xFFFFFFFF, extra: bytes = b"") -> bytes:
    """The header of a WAV that does not know its length, with a chunk before its samples."""
    width = bits // 8
    body = tag.to_bytes(2, "little") + b"\x01\x00" + rate.to_bytes(4, "little")
    body += (rate * width).to_bytes(4, "little") + width.to_bytes(2, "little") + bits.to_bytes(2, "little") + extra
    note = b"LIST\x05\x00\x00\x00INFO!\x00"
    fmt = b"fmt " + len(body).to_bytes(4, "little") + body
    return b"RIFF\xff\xff\xff\xffWAVE" + note + fmt + b"data" + size.to_bytes(4, "little")


EXTENSIBLE = b"\x16\x00\x10\x00\x04\x00\x00\x00\x01\x00" + b"\x00\x00\x00\x00\x10\x00\x80\x00\x00\xaa\x00\x38\x9b\x71"


@pytest.mark.parametrize(
    ("header", "rate"),
    [
        (streamed_wav(44_100), 44_100),
        (streamed_wav(8_000, size=0), 8_000),
        (streamed_wav(22_050, tag=0xFFFE, extra=EXTENSIBLE), 22_050),
    ],
    ids=["size of -1", "size of 0", "extensible"],
)
@pytest.mark.parametrize("kind", ["audio/wav", "audio/pcm"])
async def test_a_wav_that_streams_has_its_own_rate_and_no_length(header: bytes, rate: int, kind: str) -> None:
    samples = tone(300, 0.1)
    async with connected(sending(header[:9], header[9:] + samples.tobytes(), kind=kind)) as (engine, _):
        said = await chunks_of(engine)
        assert np.array_equal(np.concatenate([chunk.audio for chunk in said]), floats(samples))
        assert {chunk.sample_rate for chunk in said} == {rate} == {engine.info.sample_rate}


async def test_a_wav_of_floats_is_read_and_held_within_full_scale() -> None:
    samples = np.array([0.5, -0.25, 1.5, -2.0], "<f4")
    header = streamed_wav(24_000, 32, 3)
    async with connected(sending(header + samples.tobytes(), kind="audio/wav")) as (engine, _):
        assert (await spoken(engine)).tolist() == [0.5, -0.25, 1.0, -1.0]


async def test_what_follows_the_samples_of_a_wav_is_not_heard() -> None:
    samples = tone(300, 0.1)
    data = wav_bytes(samples, 24_000) + b"LIST\x04\x00\x00\x00\xff\x7f\xff\x7f"
    async with connected(sending(data, kind="audio/wav")) as (engine, _):
        assert np.array_equal(await spoken(engine), floats(samples))


@pytest.mark.parametrize("text", ["", "  \n"])
async def test_a_blank_text_asks_nothing_of_the_server(text: str) -> None:
    async with connected() as (engine, server):
        assert await chunks_of(engine, SpeechRequest(text)) == []
        assert server.posted("/audio/speech") == []


async def test_a_symbol_that_has_no_sound_is_no_fault() -> None:
    async with connected(sending(b"")) as (engine, _):
        assert await chunks_of(engine, SpeechRequest("…")) == []


async def test_sixteen_at_once_are_each_heard_alone() -> None:
    texts = [f"Number {chr(97 + at)} {'x' * at}." for at in range(16)]
    async with connected() as (engine, server):
        alone = [await spoken(engine, SpeechRequest(text)) for text in texts]
        together = await asyncio.gather(*(spoken(engine, SpeechRequest(text, share=text)) for text in texts))
        assert len(server.posted("/audio/speech")) == 32
    for one, other in zip(alone, together, strict=True):
        assert np.array_equal(one, other)


# --- the end ---


async def test_leaving_the_iterator_closes_the_connection() -> None:
    async def script(request: Request, answer: Answer) -> None:
        await answer.raw(tone(300, 0.1).tobytes(), content_type="audio/pcm")
        await answer.until_client_leaves()

    async with connected(script) as (engine, server):
        stream = engine.speak(HELLO)
        await anext(stream)
        await stream.aclose()  # type: ignore[attr-defined]
        async with asyncio.timeout(5):
            await server.client_left.wait()


async def test_cancelling_before_any_audio_closes_the_connection() -> None:
    asked = asyncio.Event()

    async def script(request: Request, answer: Answer) -> None:
        asked.set()
        await answer.until_client_leaves()

    async with connected(script) as (engine, server):
        speaking = asyncio.create_task(chunks_of(engine))
        await asked.wait()
        speaking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await speaking
        async with asyncio.timeout(5):
            await server.client_left.wait()


async def test_an_engine_that_is_closed_says_so() -> None:
    engine = create("m", {"base_url": "http://127.0.0.1:1/v1"})
    assert (await error_of(engine)).code == "not_open"
    await engine.close()


# --- what goes wrong ---


@pytest.mark.parametrize(
    ("status", "body", "code", "words"),
    [
        (401, {"error": {"message": f"Incorrect API key provided: {KEY}."}}, "invalid_api_key", "tts_options.api_key"),
        (403, {"error": {"message": "Not yours."}}, "permission_denied", "Not yours"),
        (404, {"detail": "Model 'm' is not installed locally."}, "model_not_found", "It has: m."),
        (404, {"detail": "Not Found"}, "invalid_base_url", "There is no speech API at"),
        (
            400,
            {"error": {"message": "Bad value.", "param": "voice"}},
            "unknown_voice",
            "no voice 'alloy': Bad value.",
        ),
        (
            400,
            {"detail": {"error": "validation_error", "message": "Voice 'alloy' not found. Available voices: a, b"}},
            "unknown_voice",
            "Available voices: a, b",
        ),
        (
            422,
            {"detail": [{"loc": ["body", "voice"], "msg": "Input should be 'a' or 'b'", "type": "enum"}]},
            "unknown_voice",
            "body.voice: Input should be 'a' or 'b'",
        ),
        (400, {"error": {"message": "Input too odd."}}, "invalid_request", "Input too odd"),
        (429, {"error": {"message": "Slow down."}}, "rate_limit_exceeded", "It asks to wait 30 s"),
        (429, {"error": {"code": "insufficient_quota"}}, "insufficient_quota", "no credit"),
        (501, {"error": {"message": "Not built in."}}, "server_error", "Not built in"),
    ],
)
async def test_a_refusal_says_what_and_where_and_is_not_repeated(
    status: int, body: object, code: str, words: str
) -> None:
    script = failing(status, body, {"retry-after": "30"} if status == 429 else None)
    async with connected(script, api_key=KEY) as (engine, server):
        error = await error_of(engine)
        assert (error.code, words in str(error)) == (code, True), str(error)
        assert KEY not in str(error)
        assert len(server.posted("/audio/speech")) == 1


@pytest.mark.parametrize(
    "failure", [failing(500, {}), failing(503, {}, {"retry-after": "0"}), failing(429, {}, {"retry-after": "0.3"})]
)
async def test_what_passes_is_tried_again_before_any_audio_has_come(failure: Script) -> None:
    async with connected(failure, speak) as (engine, server):
        assert (await spoken(engine)).size
        assert len(server.posted("/audio/speech")) == 2


async def test_a_server_that_keeps_failing_is_given_up_after_three_attempts() -> None:
    async with connected(failing(502, {"error": {"message": "No workers."}})) as (engine, server):
        error = await error_of(engine)
        assert (error.code, "No workers" in str(error)) == ("server_error", True)
        assert len(server.posted("/audio/speech")) == 3


async def test_a_connection_that_breaks_before_the_audio_is_tried_again_and_one_within_it_is_not() -> None:
    async def breaks(request: Request, answer: Answer) -> None:
        answer.break_off()

    async def breaks_later(request: Request, answer: Answer) -> None:
        await answer.raw(tone(300, 0.1).tobytes(), content_type="audio/pcm")
        answer.break_off()

    async with connected(breaks, speak) as (engine, server):
        assert (await spoken(engine)).size
        assert len(server.posted("/audio/speech")) == 2
    async with connected(breaks_later) as (engine, server):
        error = await error_of(engine)
        assert (error.code, "The speech server at" in str(error)) == ("connection_failed", True)
        assert len(server.posted("/audio/speech")) == 1


async def test_a_slow_start_and_an_idle_stream_name_their_options() -> None:
    async def silent(request: Request, answer: Answer) -> None:
        await answer.until_client_leaves()

    async def headers_only(request: Request, answer: Answer) -> None:
        await answer.raw(streamed_wav(24_000), content_type="audio/wav")
        await answer.until_client_leaves()

    async def stalls(request: Request, answer: Answer) -> None:
        await answer.raw(tone(300, 0.1).tobytes(), content_type="audio/pcm")
        await answer.until_client_leaves()

    for script, option in ((silent, " timeout_s"), (headers_only, " timeout_s"), (stalls, "audio_timeout_s")):
        limits = {"timeout_s": 60, "audio_timeout_s": 60} | {option.strip(): 0.2}
        async with connected(script, **limits) as (engine, server):
            async with asyncio.timeout(10):
                error = await error_of(engine)
                await server.client_left.wait()
            assert (error.code, option in str(error)) == ("timeout", True), str(error)
            assert len(server.posted("/audio/speech")) == 1


@pytest.mark.parametrize(
    ("kind", "body", "code", "words"),
    [
        ("application/json", b'{"error":{"message":"No GPU left."}}', "server_error", "No GPU left"),
        ("application/json; charset=utf-8", b'{"detail":"Busy."}', "server_error", "Busy"),
        ("application/json", b'{"audio":"UklGRg=="}', "server_error", "JSON in place of audio"),
        ("text/html", b"<html><title>Router login</title>", "invalid_base_url", "'Router login'"),
        (
            "text/event-stream",
            b'data: {"type":"speech.audio.delta"}\n\n',
            "server_error",
            "text/event-stream in place of audio",
        ),
        ("audio/mpeg", b"\xff\xfb\x90\x00", "invalid_audio", 'response_format to "wav"'),
        ("audio/ogg", b"OggS", "invalid_audio", "audio/ogg in place of pcm"),
        ("application/octet-stream", b"ID3\x04" + b"\0" * 40, "invalid_audio", "MP3 in place of pcm"),
        ("", b"fLaC" + b"\0" * 40, "invalid_audio", "FLAC in place of pcm"),
    ],
)
async def test_what_is_no_audio_is_never_played(kind: str, body: bytes, code: str, words: str) -> None:
    async with connected(sending(body, kind=kind), api_key=KEY) as (engine, server):
        error = await error_of(engine)
        assert (error.code, words in str(error)) == (code, True), str(error)
        assert len(server.posted("/audio/speech")) == 1


WHOLE = wav_bytes(tone(300, 0.1), 24_000)


@pytest.mark.parametrize(
    ("body", "words", "heard"),
    [
        (WHOLE[:-1_000], "ends 1000 bytes before its header says", 1_900),
        (WHOLE[:30], "ends before its samples begin", 0),
        (streamed_wav(24_000) + b"\1\2\3", "in the middle of a sample", 1),
        (streamed_wav(24_000, 24), "24 bits", 0),
        (streamed_wav(24_000, 8, 7), "format 0x7", 0),
        (streamed_wav(100), "100 Hz", 0),
        (streamed_wav(24_000, 32, 3) + np.array([np.nan], "<f4").tobytes(), "NaN", 0),
        (b"RIFF\0\0\0\0WAVEdata\4\0\0\0\1\2\3\4", "without a format", 0),
        (b"RIFF\0\0\0\0WAVEJUNK" + (1 << 20).to_bytes(4, "little") + b"\0" * 70_000, "64 KiB before its samples", 0),
        (b"RIFX" + WHOLE[4:], "no WAV", 0),
    ],
)
async def test_a_wav_that_cannot_be_read_is_an_error_after_what_could(body: bytes, words: str, heard: int) -> None:
    async with connected(sending(body, kind="audio/wav"), response_format="wav") as (engine, server):
        given: list[SpeechChunk] = []

        async def listen() -> None:
            async for chunk in engine.speak(HELLO):
                given.append(chunk)

        with pytest.raises(EngineError) as caught:
            await listen()
        assert (caught.value.code, words in str(caught.value)) == ("invalid_audio", True), str(caught.value)
        assert sum(len(chunk.audio) for chunk in given) == heard
        assert len(server.posted("/audio/speech")) == 1


async def test_an_odd_byte_at_the_end_of_pcm_is_an_error_after_the_samples() -> None:
    async with connected(sending(tone(300, 0.1).tobytes() + b"\1")) as (engine, _):
        stream = engine.speak(HELLO)
        assert len((await anext(stream)).audio) == 2_400
        with pytest.raises(EngineError, match="in the middle of a sample") as caught:
            await anext(stream)
        assert caught.value.code == "invalid_audio"


async def test_an_answer_without_audio_to_a_sentence_is_tried_again_then_an_error() -> None:
    async with connected(sending(b""), speak) as (engine, _):
        assert (await spoken(engine)).size
    async with connected(sending(b"")) as (engine, _):
        assert "sent no audio" in str(await error_of(engine))


async def test_an_answer_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("parley.engines.openai_api.answer.MAX_REPLY_BYTES", 100_000)
    async with connected(sending(tone(300, 10).tobytes())) as (engine, _):
        assert "a speech of more than" in str(await error_of(engine))


async def test_the_key_is_never_logged(caplog: pytest.LogCaptureFixture) -> None:
    body = {"error": {"message": f"Bad key {KEY}"}}
    with caplog.at_level(logging.DEBUG):
        async with connected(failing(500, body), api_key=KEY) as (engine, _):
            assert KEY not in str(await error_of(engine))
            assert KEY not in repr(engine._config)
    assert "again in" in caplog.text
    assert KEY not in caplog.text


# --- opening ---


async def test_openai_itself_needs_a_key_and_a_model_before_anything_is_sent() -> None:
    with pytest.raises(EngineUnavailable, match=r"OPENAI_API_KEY.*--tts-base-url"):
        await create("gpt-4o-mini-tts", {}).open()
    with pytest.raises(EngineUnavailable, match="--tts openai:MODEL"):
        await create("", {"api_key": KEY}).open()


async def test_a_key_of_another_stage_or_of_openai_goes_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("PARLEY_LLM_API_KEY", KEY)
    async with connected() as (engine, server):
        await spoken(engine)
    assert server.requests
    assert all("authorization" not in request.headers for request in server.requests)


async def test_the_environment_names_an_endpoint_and_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    server = AudioServer()
    async with server.running():
        monkeypatch.setenv("PARLEY_TTS_BASE_URL", server.url)
        monkeypatch.setenv("PARLEY_TTS_API_KEY", KEY)
        engine = create("m", {})
        await engine.open()
        await engine.close()
    assert {request.headers["authorization"] for request in server.requests} == {f"Bearer {KEY}"}


@pytest.mark.parametrize(
    ("models", "model", "chosen"), [(["kokoro"], "", "kokoro"), (404, "tts-1", "tts-1"), (["a", "b"], "b", "b")]
)
async def test_a_model_is_named_or_the_only_one(models: Any, model: str, chosen: str) -> None:
    server = AudioServer(models=models)
    async with server.running():
        engine = create(model, {"base_url": server.url})
        await engine.open()
        await engine.close()
    assert server.posted("/audio/speech")[0].body["model"] == chosen


@pytest.mark.parametrize(("models", "words"), [(["a", "b"], "lists a, b"), ([], "lists none")])
async def test_without_a_model_a_server_of_many_is_refused(models: list[str], words: str) -> None:
    server = AudioServer(models=models)
    async with server.running():
        with pytest.raises(EngineUnavailable, match=words) as caught:
            await create("", {"base_url": server.url}).open()
    assert caught.value.code == "model_not_found"


async def test_an_unlisted_model_is_tried_before_it_is_refused() -> None:
    server = AudioServer(
        models=["kokoro"], speech=[failing(400, {"error": {"message": "Unknown model: no such model"}})]
    )
    async with server.running():
        with pytest.raises(EngineUnavailable, match="It has: kokoro") as caught:
            await create("kokora", {"base_url": server.url, "warm_up": False}).open()
        assert "Did you mean 'kokoro'?" in str(caught.value)
        server.speech = [speak]
        engine = create("alias", {"base_url": server.url, "warm_up": False})
        await engine.open()
        await engine.close()


async def test_a_server_may_take_its_time_to_load_its_model_at_the_start() -> None:
    async with connected(slowly(speak, 0.4), speak, warm_up=True, timeout_s=0.2) as (_, server):
        assert len(server.posted("/audio/speech")) == 1
    async with connected(slowly(speak, 0.4), timeout_s=0.2) as (engine, _):
        assert (await error_of(engine)).code == "timeout"


async def test_an_endpoint_that_is_not_there_says_so_at_once() -> None:
    with pytest.raises(EngineUnavailable, match=r"The speech server at .* the connection was refused.*--tts-base-url"):
        await create("m", {"base_url": "http://127.0.0.1:1/v1"}).open()


async def test_a_redirect_to_another_server_is_not_followed_with_the_text_or_the_key() -> None:
    elsewhere = AudioServer()
    async with elsewhere.running():
        location = f"http://127.0.0.1:{elsewhere.port}/v1/audio/speech"
        async with connected(failing(307, {}, {"location": location}), api_key=KEY) as (engine, _):
            assert "redirects to another server" in str(await error_of(engine))
    assert elsewhere.requests == []


# --- voices ---


@pytest.mark.parametrize(
    "listed",
    [
        {"voices": ["af_heart", "af_sky", "bm_george"]},
        {"voices": [{"id": "af_heart"}, {"voice_id": "af_sky"}, {"name": "bm_george"}]},
        ["af_heart", "af_sky", "bm_george"],
    ],
)
async def test_the_voices_are_those_that_the_server_lists(listed: object) -> None:
    async with connected(voices=listed) as (engine, server):
        assert engine.info.voices == ("af_heart", "af_sky", "bm_george")
        assert engine.resolve_voice("af_sky") == "af_sky"
        assert engine.resolve_voice("alloy") == engine.resolve_voice("") == "af_heart"
        await spoken(engine, SpeechRequest("Hi.", "cedar"))
        assert server.posted("/audio/speech")[0].body["voice"] == "af_heart"
        with pytest.raises(EngineRefused, match=r"no voice 'af_ski'.*Did you mean 'af_sky'") as caught:
            await chunks_of(engine, SpeechRequest("Hi.", "af_ski"))
        assert caught.value.code == "unknown_voice"
        assert len(server.posted("/audio/speech")) == 1


LISTED = {"voices": ["af_heart", "af_sky"]}
MIX = "af_heart(2)+af_sky(1)"


async def test_a_mix_is_sent_as_written_to_a_server_that_takes_mixes() -> None:
    async with connected(voices=LISTED, mixes=True, voice=MIX) as (engine, server):
        assert engine.info.mixes
        assert [engine.resolve_voice(voice) for voice in ("", MIX)] == [MIX, MIX]
        for wrong in ("af_heart+nobody", "af_heart(0)+af_sky", "af_heart(x)+af_sky", "+"):
            assert engine.resolve_voice(wrong) is None, wrong
        await spoken(engine, SpeechRequest("Hi.", MIX))
        assert server.posted("/audio/speech")[0].body["voice"] == MIX


async def test_a_mix_is_refused_where_the_server_is_not_said_to_take_any() -> None:
    async with connected(voices=LISTED) as (engine, server):
        assert not engine.info.mixes
        assert engine.resolve_voice(MIX) is None
        with pytest.raises(EngineRefused, match="If the server takes mixes of its voices, set the option mixes"):
            await chunks_of(engine, SpeechRequest("Hi.", MIX))
        assert not server.posted("/audio/speech")
    with pytest.raises(EngineUnavailable, match="set the option mixes"):
        async with connected(voices=LISTED, voice=MIX):
            pass


async def test_a_server_without_a_list_is_asked_for_any_voice() -> None:
    async with connected() as (engine, server):
        assert engine.info.voices == ()
        assert [engine.resolve_voice(voice) for voice in ("", "verse", "xy")] == ["alloy", "verse", "xy"]
    async with connected(voice="af_heart") as (engine, server):
        assert [engine.resolve_voice(voice) for voice in ("", "verse", "xy")] == ["af_heart", "af_heart", "xy"]
        await spoken(engine)
        assert server.posted("/audio/speech")[0].body["voice"] == "af_heart"


async def test_a_configured_voice_that_the_server_lacks_stops_the_start() -> None:
    with pytest.raises(EngineUnavailable, match="Did you mean 'af_heart'") as caught:
        async with connected(voices={"voices": ["af_heart"]}, voice="af_hart"):
            pass
    assert caught.value.code == "unknown_voice"


async def test_openai_has_its_own_key_and_voices_and_those_of_the_account(monkeypatch: pytest.MonkeyPatch) -> None:
    """The proxy of the environment is the server."""
    server = AudioServer(root="http://eu.api.openai.com/v1", models=["gpt-4o-mini-tts"])
    async with server.running():
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.port}")
        engine = create("gpt-4o-mini-tts", {"base_url": "http://eu.api.openai.com/v1", "api_key": KEY})
        await engine.open()
        assert {"alloy", "marin", "nova"} < set(engine.info.voices)
        assert engine.resolve_voice("af_heart") is None
        await spoken(engine, SpeechRequest("Hi.", "voice_1234"))
        await spoken(engine, SpeechRequest("Hi.", "nova"))
        await engine.close()
    assert [request.body["voice"] for request in server.posted("/audio/speech")] == [{"id": "voice_1234"}, "nova"]
    assert {request.headers["authorization"] for request in server.requests} == {f"Bearer {KEY}"}
    assert not server.posted("/audio/voices")


async def test_languages_are_those_of_the_options() -> None:
    async with connected(languages="en, de", voices={"voices": ["a"]}) as (engine, _):
        assert engine.info.languages == ("en", "de")
        assert (engine.resolve_voice("a", "de-CH"), engine.resolve_voice("a", "fr")) == ("a", None)
        error = await error_of(engine, SpeechRequest("Bonjour.", "a", "fr"))
        assert error.code == "unsupported_language"
    async with connected() as (engine, _):
        assert engine.resolve_voice("alloy", "fr") == "alloy"


def test_options_are_checked() -> None:
    for options, words in (
        ({"response_format": "mp3"}, "one of pcm, wav"),
        ({"voices": [1]}, "a list of texts"),
        ({"voise": "x"}, "Did you mean 'voice'"),
        ({"sample_rate": 5}, "8000"),
    ):
        with pytest.raises(ValueError, match=words):
            create("m", options)
    assert create("m", {"base_url": "http://user:word@h/v1", "api_key": KEY}).info.summary.endswith("m at http://h/v1.")
    assert json.dumps(create("m", {}).info.voices).count("alloy") == 1
