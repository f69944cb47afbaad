"""A language model that hears, over real sockets: the WAV that its server receives is what the client spoke."""

from __future__ import annotations

import base64
import io
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from parley.audio.g711 import decode_mulaw, encode_mulaw
from parley.config import load
from parley.engines import registry
from parley.engines.mt.bench import BenchTranslator
from parley.engines.ports import LLM, MT, STT, TTS, TURN, VAD, Engine, EngineSpec, Stage
from parley.runtime.engines import LoadedEngines
from parley.testing.fakes import FakeRecognizer, FakeSynthesizer, FakeTurnJudge, FakeVoiceActivity
from tests.engines.chat_server import Answer, ChatServer, Request
from tests.server.harness import Talk, running, talking
from tests.server.test_conversation import configure, push

RATE = 24_000
Int16 = NDArray[np.int16]
PCMU = {"type": "audio/pcmu"}


def speech(seed: int, seconds: float = 0.8, rate: int = RATE) -> Int16:
    """Noise, which correlates with itself only."""
    noise = np.random.default_rng(seed).standard_normal(round(seconds * rate)) * 4000
    return noise.astype(np.int16)


def silence(seconds: float = 1.0) -> bytes:
    return bytes(2 * round(seconds * RATE))


@asynccontextmanager
async def hearing(
    tmp_path: Path, audio: str, *words: str, speculation: str = "off"
) -> AsyncIterator[tuple[Talk, ChatServer]]:
    """A conversation with a model behind a chat server; `words` are what the recogniser makes of the turns."""

    async def answers(request: Request, answer: Answer) -> None:
        await answer.text("I heard you.")

    def create(stage: Stage[Any], spec: EngineSpec) -> Engine:
        fakes: dict[Any, Any] = {
            VAD: FakeVoiceActivity,
            TURN: FakeTurnJudge,
            STT: lambda: FakeRecognizer(*words),
            TTS: FakeSynthesizer,
            MT: lambda: BenchTranslator(0, 0),
        }
        made: Engine = registry.create(stage, spec) if stage is LLM else fakes[stage]()
        return made

    file = tmp_path / "parley.toml"
    async with ChatServer([answers] * 12).running() as model:
        options = f'base_url = "{model.url}"\nwarm_up = false\n{audio}'
        kind = f'[pipelines.default]\nllm = "openai:m"\nspeculation = "{speculation}"\n'
        file.write_text(f"{kind}[pipelines.default.llm_options]\n{options}\n")
        config = load(file, {"port": 0}, {})
        engines = await LoadedEngines.open_all([config.pipelines["default"]], create=create)
        assert not engines.failures, engines.failures
        async with running(config, engines) as server, talking(server) as talk:
            yield talk, model


async def say(talk: Talk, audio: Int16) -> None:
    """One turn, up to the end of its reply."""
    await push(talk, silence(0.5) + audio.tobytes() + silence())
    await talk.until("response.done")


def contents(model: ChatServer) -> list[Any]:
    """What the user's messages hold in the last request."""
    return [message["content"] for message in model.requests[-1].body["messages"] if message["role"] == "user"]


def sound_of(content: Any) -> tuple[Int16, int]:
    """The samples and the rate of the only part of a message."""
    ((part),) = content
    assert part["type"] == "input_audio"
    assert part["input_audio"]["format"] == "wav"
    with wave.open(io.BytesIO(base64.b64decode(part["input_audio"]["data"]))) as wav:
        assert (wav.getnchannels(), wav.getsampwidth()) == (1, 2)
        return np.frombuffer(wav.readframes(wav.getnframes()), "<i2"), wav.getframerate()


def holds(heard: Int16, spoken: Int16) -> bool:
    """Whether all of what was spoken is in what was heard, sample for sample."""
    return spoken.tobytes() in heard.tobytes()


@pytest.mark.parametrize("speculation", ["off", "on"])
async def test_the_model_receives_what_was_spoken(tmp_path: Path, speculation: str) -> None:
    spoken = speech(1)
    async with hearing(tmp_path, "audio = true", "what time is it", speculation=speculation) as (talk, model):
        await say(talk, spoken)
        heard, rate = sound_of(contents(model)[-1])
        assert rate == RATE
        assert holds(heard, spoken)
        assert not holds(heard, speech(2))
        assert len(heard) < len(spoken) + 1.5 * RATE


async def test_the_client_still_has_the_words(tmp_path: Path) -> None:
    async with hearing(tmp_path, "audio = true", "what time is it") as (talk, _):
        await configure(talk, audio={"input": {"transcription": {"model": "whisper-1"}}})
        await say(talk, speech(1))
        (done,) = talk.of("conversation.item.input_audio_transcription.completed")
        assert done.transcript == "what time is it"


async def test_a_model_that_is_not_said_to_hear_is_sent_words(tmp_path: Path) -> None:
    async with hearing(tmp_path, "", "what time is it") as (talk, model):
        await say(talk, speech(1))
        assert contents(model) == ["what time is it"]


async def test_a_telephone_line_is_sent_as_16_bit_samples(tmp_path: Path) -> None:
    spoken = encode_mulaw(speech(1, rate=8000))
    quiet = encode_mulaw(np.zeros(8000, np.int16))
    async with hearing(tmp_path, "audio = true", "hello") as (talk, model):
        await configure(talk, audio={"input": {"format": PCMU}})
        await push(talk, quiet.tobytes() + spoken.tobytes() + quiet.tobytes())
        await talk.until("response.done")
        heard, rate = sound_of(contents(model)[-1])
        assert rate == 8000
        assert holds(heard, decode_mulaw(spoken))


async def test_only_the_last_turns_are_heard_and_the_others_read(tmp_path: Path) -> None:
    words = [f"turn {number}" for number in range(4)]
    async with hearing(tmp_path, "audio = true", *words) as (talk, model):
        for number in range(4):
            await say(talk, speech(number))
        first, *last = contents(model)
        assert first == "turn 0"
        assert all(holds(sound_of(content)[0], speech(at)) for at, content in enumerate(last, 1))


async def test_a_deleted_turn_is_not_sent(tmp_path: Path) -> None:
    async with hearing(tmp_path, "audio = true", "secret", "hello") as (talk, model):
        await say(talk, speech(1))
        item = talk.of("input_audio_buffer.committed")[0].item_id
        await talk.send(type="conversation.item.delete", item_id=item)
        await talk.until("conversation.item.deleted")
        await say(talk, speech(2))
        (content,) = contents(model)
        assert holds(sound_of(content)[0], speech(2))
        assert not holds(sound_of(content)[0], speech(1))
