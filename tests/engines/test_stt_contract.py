"""What every recogniser owes a session, whichever it is: the same text for the same audio, promises kept, and a clean end.

PocketSphinx runs on recorded speech. Whisper runs its real loading and decoding code on a random model: what it hears means
nothing, but promises, queueing and cancellation are the real ones. `BurstRecognizer` is the smallest engine on `OfflineTurns`. The remote
recogniser speaks to a server on this machine that hears bursts.
"""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
from numpy.typing import NDArray

from parley.audio import pcm
from parley.audio.resampling import resample
from parley.audio.types import Samples
from parley.engines.ports import (
    STT,
    EngineError,
    EngineSpec,
    Partial,
    RecognitionSpec,
    RecognizerStream,
    SpeechRecognizer,
    Transcript,
)
from parley.engines.registry import create
from parley.engines.stt.turn_stream import MAX_SHARE_BACKLOG
from tests.engines.audio_server import AudioServer
from tests.engines.bursts import BurstRecognizer
from tests.engines.tiny_models import whisper_folder

Speech = Callable[[str], tuple[NDArray[np.int16], int]]
pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass
class Listener:
    """Keeps partials and lets a test wait for them."""

    partials: list[Partial] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    def __call__(self, partial: Partial) -> None:
        self.partials.append(partial)
        self.arrived.set()

    def check(self, final: Transcript) -> None:
        """The law of `Partial.stable`."""
        promised = ""
        for partial in self.partials:
            assert partial.stable.startswith(promised)
            assert partial.text.startswith(partial.stable)
            promised = partial.stable
        assert final.text.startswith(promised)


@pytest.fixture(scope="module")
def whisper_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return whisper_folder(tmp_path_factory.mktemp("whisper") / "tiny")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def audio_url() -> AsyncIterator[str]:
    async with AudioServer().running() as server:
        yield server.url


async def opened(name: str, weights: Path, audio_url: str) -> SpeechRecognizer:
    specs = {
        "pocketsphinx": EngineSpec("pocketsphinx"),
        "whisper": EngineSpec("whisper", str(weights), {"device": "cpu"}),
        "openai": EngineSpec("openai", "m", {"base_url": audio_url, "logprobs": True}),
    }
    engine = create(STT, specs[name]) if name in specs else BurstRecognizer()
    assert isinstance(engine, SpeechRecognizer)
    await engine.open()
    return engine


@pytest_asyncio.fixture(params=["pocketsphinx", "whisper", "bursts", "openai"], scope="module", loop_scope="module")
async def recognizer(
    request: pytest.FixtureRequest, whisper_weights: Path, audio_url: str
) -> AsyncIterator[SpeechRecognizer]:
    """Shared by the tests, as a server shares it among sessions."""
    engine = await opened(request.param, whisper_weights, audio_url)
    yield engine
    await engine.close()


@pytest.fixture
def at_16k(speech: Speech) -> Callable[[str], Samples]:
    def load(name: str) -> Samples:
        ints, rate = speech(name)
        return resample(pcm.to_float(ints), rate, 16000)

    return load


def feed(stream: RecognizerStream, audio: Samples, size: int = 320) -> None:
    for start in range(0, len(audio), size):
        stream.feed(audio[start : start + size])


async def transcribe(engine: SpeechRecognizer, audio: Samples, size: int = 320) -> tuple[Transcript, Listener]:
    listener = Listener()
    stream = engine.open_stream(RecognitionSpec(language="en"), listener)
    feed(stream, audio, size)
    return await stream.finish(), listener


@pytest.mark.slow
async def test_the_final_does_not_depend_on_the_chunks(
    recognizer: SpeechRecognizer, at_16k: Callable[[str], Samples]
) -> None:
    audio = at_16k("weather_question")
    results = [await transcribe(recognizer, audio, size) for size in (160, 320, 1777, len(audio))]
    assert len({final.text for final, _ in results}) == 1
    assert results[0][0].text
    for final, listener in results:
        listener.check(final)


@pytest.mark.slow
async def test_promises_are_kept_over_pauses(recognizer: SpeechRecognizer, at_16k: Callable[[str], Samples]) -> None:
    hello, weather = at_16k("hello_world"), at_16k("weather_question")
    silence = np.zeros(16000, np.float32)
    listener = Listener()
    stream = recognizer.open_stream(RecognitionSpec(language="en"), listener)
    feed(stream, hello)
    first = await stream.flush()
    listener.check(first)
    feed(stream, silence)
    feed(stream, weather)
    second = await stream.flush()
    listener.check(second)
    feed(stream, silence)
    final = await stream.finish()
    listener.check(final)
    # nothing but silence came after the last pause
    assert final.text == second.text
    assert len(second.text) > len(first.text) > 0


@pytest.mark.slow
async def test_partials_come_while_audio_is_fed(recognizer: SpeechRecognizer, at_16k: Callable[[str], Samples]) -> None:
    listener = Listener()
    stream = recognizer.open_stream(RecognitionSpec(language="en"), listener)
    feed(stream, at_16k("weather_question"))
    async with asyncio.timeout(20):
        await listener.arrived.wait()
    assert listener.partials[0].text
    final = await stream.finish()
    count = len(listener.partials)
    listener.check(final)
    # the stream is over: no word comes after the final
    other, _ = await transcribe(recognizer, at_16k("hello_world"))
    assert other.text
    assert len(listener.partials) == count


@pytest.mark.slow
async def test_many_turns_at_once_do_not_mix(recognizer: SpeechRecognizer, at_16k: Callable[[str], Samples]) -> None:
    hello, weather = at_16k("hello_world"), at_16k("weather_question")
    alone = [(await transcribe(recognizer, audio))[0].text for audio in (hello, weather)]
    results = await asyncio.gather(*(transcribe(recognizer, (hello, weather)[i % 2]) for i in range(5)))
    assert alone[0] != alone[1]
    for i, (final, listener) in enumerate(results):
        listener.check(final)
        if recognizer.info.name == "pocketsphinx":
            assert final.text == alone[i % 2]


async def test_a_turn_without_sound_has_no_words(recognizer: SpeechRecognizer) -> None:
    final, listener = await transcribe(recognizer, np.zeros(16000, np.float32))
    assert final.text == ""
    empty, _ = await transcribe(recognizer, np.zeros(0, np.float32))
    assert empty.text == ""
    listener.check(final)


@pytest.mark.slow
async def test_a_turn_may_be_closed_at_any_moment(
    recognizer: SpeechRecognizer, at_16k: Callable[[str], Samples]
) -> None:
    audio = at_16k("weather_question")
    for fed in (0, 320, 16000, len(audio)):
        stream = recognizer.open_stream(RecognitionSpec(), Listener())
        feed(stream, audio[:fed])
        stream.close()
        stream.close()
        stream.feed(audio)
        with pytest.raises(EngineError) as caught:
            await stream.flush()
        assert caught.value.code == "transcription_closed"
    # the others never notice
    assert (await transcribe(recognizer, audio))[0].text


async def test_closing_ends_a_flush_and_a_finish_that_wait(
    recognizer: SpeechRecognizer, at_16k: Callable[[str], Samples]
) -> None:
    long = np.tile(at_16k("weather_question"), 6)
    for wait in ("flush", "finish"):
        listener = Listener()
        stream = recognizer.open_stream(RecognitionSpec(), listener)
        feed(stream, long)
        pending = asyncio.create_task(getattr(stream, wait)())
        await asyncio.sleep(0)
        stream.close()
        async with asyncio.timeout(2):
            with pytest.raises(EngineError):
                await pending
    final, _ = await transcribe(recognizer, at_16k("hello_world"))
    assert final.text


async def test_a_cancelled_flush_leaves_the_turn_usable(
    recognizer: SpeechRecognizer, at_16k: Callable[[str], Samples]
) -> None:
    stream = recognizer.open_stream(RecognitionSpec(language="en"), Listener())
    feed(stream, at_16k("hello_world"))
    pending = asyncio.create_task(stream.flush())
    await asyncio.sleep(0)
    pending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await pending
    assert (await stream.finish()).text


@pytest.mark.slow
async def test_a_listener_that_raises_harms_no_other(
    recognizer: SpeechRecognizer, at_16k: Callable[[str], Samples]
) -> None:
    faults: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: faults.append(context["exception"]))

    def broken(partial: Partial) -> None:
        raise ZeroDivisionError

    stream = recognizer.open_stream(RecognitionSpec(language="en"), broken)
    feed(stream, at_16k("weather_question"))
    assert (await stream.finish()).text
    assert any(isinstance(fault, ZeroDivisionError) for fault in faults)
    loop.set_exception_handler(None)
    assert (await transcribe(recognizer, at_16k("hello_world")))[0].text


@pytest.mark.slow
async def test_a_turn_without_pauses_is_cut_and_goes_on(
    recognizer: SpeechRecognizer, at_16k: Callable[[str], Samples]
) -> None:
    audio = np.tile(at_16k("weather_question"), 18)
    assert len(audio) > 33 * 16000
    final, listener = await transcribe(recognizer, audio)
    listener.check(final)
    if recognizer.info.name == "pocketsphinx":
        assert final.text.split().count("weather") >= 15


async def test_a_hopeless_backlog_is_an_error_by_name(recognizer: SpeechRecognizer) -> None:
    stream = recognizer.open_stream(RecognitionSpec(), Listener())
    noise = np.random.default_rng(1).normal(0, 0.1, 16000 * 10).astype(np.float32)
    for _ in range(MAX_SHARE_BACKLOG // len(noise)):
        stream.feed(noise)
    with pytest.raises(EngineError) as caught:
        stream.feed(noise)
    assert caught.value.code == "transcription_backlog"
    with pytest.raises(EngineError) as again:
        await stream.flush()
    assert again.value.code == "transcription_backlog"
    stream.close()
    # what was given up waits no more
    assert (await transcribe(recognizer, noise[:3200]))[0] is not None


async def test_logprobs_come_when_asked_for(recognizer: SpeechRecognizer, at_16k: Callable[[str], Samples]) -> None:
    stream = recognizer.open_stream(RecognitionSpec(language="en", logprobs=True), Listener())
    feed(stream, at_16k("hello_world"))
    final = await stream.finish()
    assert final.logprobs
    assert all(each.logprob <= 0 for each in final.logprobs)
    assert "".join(each.token for each in final.logprobs).replace(" ", "") == final.text.replace(" ", "")
    assert final.confidence is not None
    assert 0 < final.confidence <= 1


@pytest.mark.slow
@pytest.mark.parametrize("name", ["pocketsphinx", "whisper", "openai"])
async def test_closing_the_engine_ends_its_turns(
    name: str, whisper_weights: Path, audio_url: str, at_16k: Callable[[str], Samples]
) -> None:
    recognizer = await opened(name, whisper_weights, audio_url)
    stream = recognizer.open_stream(RecognitionSpec(), Listener())
    feed(stream, at_16k("weather_question"))
    pending = asyncio.create_task(stream.finish())
    await asyncio.sleep(0)
    await recognizer.close()
    with pytest.raises(EngineError):
        await pending
    await recognizer.close()
    with pytest.raises(EngineError):
        recognizer.open_stream(RecognitionSpec(), Listener())


@pytest.mark.slow
@pytest.mark.parametrize("end", ["finish", "close", "a full backlog"])
async def test_a_stream_that_has_ended_is_freed_without_the_collector(
    recognizer: SpeechRecognizer, at_16k: Callable[[str], Samples], end: str
) -> None:
    class Turn:
        """Knows its stream, which knows it."""

        stream: RecognizerStream

        def hear(self, partial: Partial) -> None:
            pass

    async def speak() -> weakref.ref[Turn]:
        turn = Turn()
        turn.stream = recognizer.open_stream(RecognitionSpec(language="en", share=object()), turn.hear)
        turn.stream.feed(at_16k("hello_world"))
        if end == "finish":
            await turn.stream.finish()
        elif end == "a full backlog":
            with pytest.raises(EngineError):
                turn.stream.feed(np.zeros(MAX_SHARE_BACKLOG, np.float32))
        turn.stream.close()
        return weakref.ref(turn)

    gc.collect()
    gc.disable()
    try:
        turn = await speak()
        async with asyncio.timeout(60):
            while turn() is not None:  # noqa: ASYNC110 - a decoder may be at it still
                await asyncio.sleep(0.01)
    finally:
        gc.enable()
