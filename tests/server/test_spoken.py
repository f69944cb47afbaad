"""Recorded speech, real engines, the stock client, blocking and async: transcribed, answered in speech, and interrupted."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import soxr
from numpy.typing import NDArray

from parley.config import Config
from parley.engines import registry
from parley.engines.ports import (
    LLM,
    STT,
    TTS,
    TURN,
    VAD,
    EngineSet,
    EngineSpec,
    SpeechRecognizer,
    SpeechSynthesizer,
    VoiceActivityModel,
)
from parley.runtime.engines import LoadedEngines
from parley.runtime.pipeline import LoadedPipeline
from parley.runtime.voice_worker import VoiceWorker
from parley.testing.fakes import FakeModel, FakeTurnJudge
from tests.server.harness import BlockingTalk, Running, running_in_thread

pytestmark = [
    pytest.mark.slow,
    # The blocking client of `openai` uses `websockets` in a way that newer versions of it discourage.
    pytest.mark.filterwarnings("ignore:connect\\(\\) must be used as a context manager:DeprecationWarning"),
]

RATE = 24_000
Speech = Callable[[str], tuple[NDArray[np.int16], int]]


def engines_with(model: FakeModel) -> Callable[[Config], Coroutine[Any, Any, LoadedEngines]]:
    """Silero, PocketSphinx and hibari, with a model that says what the test wants."""

    async def make(config: Config) -> LoadedEngines:
        vad = registry.create(VAD, EngineSpec("silero"))
        stt = registry.create(STT, EngineSpec("pocketsphinx"))
        tts = registry.create(TTS, EngineSpec("auto"))
        for engine in (vad, stt, tts):
            await engine.open()
        assert isinstance(vad, VoiceActivityModel)
        assert isinstance(stt, SpeechRecognizer)
        assert isinstance(tts, SpeechSynthesizer)
        settings = replace(config.pipelines["default"], language="en")
        engines = EngineSet({VAD: vad, TURN: FakeTurnJudge(), STT: stt, LLM: model, TTS: tts})
        pipeline = LoadedPipeline("default", engines, VoiceWorker(vad), settings)
        return LoadedEngines({"default": pipeline}, {"bench": ()}, [vad, stt, tts])

    return make


def pcm(speech: Speech, name: str, silence_s: float = 1.0) -> bytes:
    samples, rate = speech(name)
    resampled = soxr.resample(samples, rate, RATE) if rate != RATE else samples
    quiet = np.zeros(round(silence_s * RATE), "<i2")
    return np.concatenate([quiet[: RATE // 2], resampled.astype("<i2"), quiet]).tobytes()


def speak(talk: BlockingTalk, audio: bytes, pace: float = 1.0) -> None:
    """Send the audio as a microphone does, `pace` times as fast."""
    due = time.monotonic()
    for at in range(0, len(audio), 960):
        chunk = base64.b64encode(audio[at : at + 960]).decode()
        talk.connection.input_audio_buffer.append(audio=chunk)
        due += 0.02 / pace
        time.sleep(max(0.0, due - time.monotonic()))


@contextmanager
def talking_with(model: FakeModel) -> Iterator[BlockingTalk]:
    with (
        running_in_thread(make=engines_with(model)) as server,
        server.sync_client() as client,
        client.realtime.connect(model="gpt-realtime") as connection,
    ):
        yield BlockingTalk(connection)


def asked(model: FakeModel) -> str:
    return model.requests[-1].messages[-1].text.lower()


@pytest.fixture
def model() -> FakeModel:
    return FakeModel(["It is sunny in Paris today, with a light wind from the sea."])


def test_a_recorded_question_is_transcribed_and_answered_in_speech(speech: Speech, model: FakeModel) -> None:
    question = pcm(speech, "weather_question")
    with talking_with(model) as talk:
        assert talk.until("session.created").session.type == "realtime"
        speaker = threading.Thread(target=speak, args=(talk, question))
        speaker.start()
        done = talk.until("response.done")
        speaker.join()
    assert "paris" in asked(model) or "weather" in asked(model)
    assert done.response.status == "completed"
    assert done.response.output[0].content[0].transcript == model.replies[0][0]
    audio = b"".join(
        base64.b64decode(event.delta) for event in talk.events if event.type == "response.output_audio.delta"
    )
    loudness = np.sqrt(np.mean(np.frombuffer(audio, "<i2").astype(np.float64) ** 2))
    assert 2.0 < len(audio) / 2 / RATE < 10.0
    assert loudness > 300


def test_a_recording_pushed_at_once_has_the_same_turn_as_one_spoken(speech: Speech, model: FakeModel) -> None:
    """Positions count samples, not time."""
    question = pcm(speech, "hello_world")

    def turn(server: Running, pace: float) -> tuple[int, int]:
        with server.sync_client() as client, client.realtime.connect(model="gpt-realtime") as connection:
            talk = BlockingTalk(connection)
            talk.until("session.created")
            speaker = threading.Thread(target=speak, args=(talk, question, pace))
            speaker.start()
            talk.until("response.done")
            speaker.join()
            started = next(event for event in talk.events if event.type == "input_audio_buffer.speech_started")
            stopped = next(event for event in talk.events if event.type == "input_audio_buffer.speech_stopped")
            return started.audio_start_ms, stopped.audio_end_ms

    with running_in_thread(make=engines_with(model)) as server:
        assert turn(server, pace=1.0) == turn(server, pace=50.0)


def test_talking_over_the_spoken_answer_stops_it(speech: Speech) -> None:
    model = FakeModel(["This is a very long answer. " * 20], ["I am listening."])
    question, interruption = pcm(speech, "hello_world"), pcm(speech, "weather_question", 1.5)
    with talking_with(model) as talk:
        talk.until("session.created")
        speak(talk, question, 4)
        first = talk.until("response.created").response.id
        talk.until("response.output_audio.delta")
        item_id = talk.events[-1].item_id
        speaker = threading.Thread(target=speak, args=(talk, interruption))
        speaker.start()
        talk.until("input_audio_buffer.speech_started")
        talk.connection.conversation.item.truncate(item_id=item_id, content_index=0, audio_end_ms=400)
        talk.until("conversation.item.truncated")
        second = talk.until("response.created").response.id
        done = talk.until("response.done")
        speaker.join()
    assert done.response.id == second != first
    kept = [message.text for message in model.requests[-1].messages if message.role == "assistant"]
    assert len(kept) == 1
    assert len(kept[0]) < 30, "the conversation keeps 400 ms of the answer"
    ends = [event for event in talk.events if event.type == "response.done"]
    assert [end.response.id for end in ends] == [first, second]
    assert not [
        event
        for before, event in pairwise(talk.events)
        if getattr(event, "response_id", "") == first and before.type == "response.done"
    ]
