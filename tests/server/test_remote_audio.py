"""A Parley whose recogniser, model and voice are other servers answers the stock client in speech, and says which of them fails."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import numpy as np
import pytest
import soxr
from numpy.typing import NDArray

from parley.config import load
from parley.runtime.engines import LoadedEngines
from tests.engines.audio_server import AudioServer, tone
from tests.engines.chat_server import Answer, Request
from tests.server.harness import Running, Talk, running, talking

RATE = 24_000
Speech = Callable[[str], tuple[NDArray[np.int16], int]]


async def reply(request: Request, answer: Answer) -> None:
    """Repeats what the recogniser heard."""
    heard = next(message["content"] for message in reversed(request.body["messages"]) if message["role"] == "user")
    await answer.text("You said ", f"{heard}.")


@asynccontextmanager
async def remote(server: AudioServer, **flags: str) -> AsyncIterator[Running]:
    """A server with the engines that the flags of `parley serve` name."""
    named: dict[str, str] = {
        "stt": "openai:ears",
        "stt_base_url": server.url,
        "llm": "openai:mind",
        "llm_base_url": server.url,
        "tts": "openai:mouth",
        "tts_base_url": server.url,
        "port": "0",
    } | flags
    urls = {f"PARLEY_{stage.upper()}_BASE_URL": named.pop(f"{stage}_base_url") for stage in ("stt", "llm", "tts")}
    config = load(None, named, {**urls, "PARLEY_STT_API_KEY": "key-ears", "PARLEY_TTS_API_KEY": "key-mouth"})
    engines = await LoadedEngines.open_all([config.pipelines["default"]])
    assert not engines.failures, engines.failures
    async with running(config, engines) as parley:
        yield parley


async def say(talk: Talk, speech: Speech, name: str) -> None:
    samples, rate = speech(name)
    quiet = np.zeros(RATE, "<i2")
    audio = np.concatenate([quiet, soxr.resample(samples, rate, RATE).astype("<i2"), quiet, quiet]).tobytes()
    for at in range(0, len(audio), 4_800):
        chunk = base64.b64encode(audio[at : at + 4_800]).decode()
        await talk.send(type="input_audio_buffer.append", audio=chunk)


def sound_of(text: str) -> NDArray[np.int16]:
    """What `audio_server.speak` sends for a text."""
    return np.concatenate([tone(200 + 8 * (ord(character) % 100), 0.05) for character in text])


@pytest.mark.slow
async def test_a_spoken_question_is_heard_answered_and_spoken_by_other_servers(speech: Speech) -> None:
    server = AudioServer([reply], models=["ears", "mind", "mouth"], voices={"voices": ["af_heart", "alloy"]})
    async with server.running(), remote(server) as parley, talking(parley) as talk:
        transcription = {"input": {"transcription": {"model": "whisper-1"}}}
        await talk.send(type="session.update", session={"type": "realtime", "audio": transcription})
        await say(talk, speech, "weather_question")
        done = await talk.until("response.done")
    assert done.response.status == "completed"
    heard = talk.of("conversation.item.input_audio_transcription.completed")[0].transcript
    assert heard.startswith("burst")
    said = done.response.output[0].content[0].transcript
    assert said == f"You said {heard}."
    spoken = b"".join(base64.b64decode(event.delta) for event in talk.of("response.output_audio.delta"))
    texts = [request.body["input"] for request in server.posted("/audio/speech")[1:]]  # the first one warms it up
    assert "".join(texts).split() == said.split()
    expected = np.concatenate([sound_of(text) for text in texts])
    assert np.array_equal(np.frombuffer(spoken, "<i2")[: len(expected)], expected)
    assert {request.body["voice"] for request in server.posted("/audio/speech")} == {"alloy"}


@pytest.mark.slow
async def test_each_server_gets_its_own_key_only(speech: Speech) -> None:
    mind, ears, mouth = AudioServer([reply]), AudioServer(models=["ears"]), AudioServer(models=["mouth"])
    async with ears.running(), mouth.running(), mind.running():
        urls = {"stt_base_url": ears.url, "tts_base_url": mouth.url, "llm": "openai:m"}
        async with remote(mind, **urls) as parley, talking(parley) as talk:
            await say(talk, speech, "hello_world")
            assert (await talk.until("response.done")).response.status == "completed"
    for server, key in ((ears, "Bearer key-ears"), (mouth, "Bearer key-mouth"), (mind, None)):
        assert server.requests
        assert {request.headers.get("authorization") for request in server.requests} == {key}


@pytest.mark.slow
async def test_a_voice_that_fails_fails_its_response_by_name_and_not_the_session(speech: Speech) -> None:
    server = AudioServer([reply], models=["ears", "mind", "mouth"])
    async with server.running(), remote(server) as parley, talking(parley) as talk:

        async def broken(request: Request, answer: Answer) -> None:
            await answer.json(401, {"error": {"message": "No."}})

        working, server.speech = server.speech, [broken]
        await say(talk, speech, "hello_world")
        failed = await talk.until("response.done")
        assert failed.response.status == "failed"
        assert failed.response.status_details.error.code == "invalid_api_key"
        server.speech = working
        await say(talk, speech, "hello_world")
        assert (await talk.until("response.done")).response.status == "completed"
