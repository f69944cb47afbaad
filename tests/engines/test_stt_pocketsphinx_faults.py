"""What a speaker would notice of a decoder process that ends (SIGKILL) or hangs (SIGSTOP): a later transcript, and not a lost one."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

import numpy as np
import pytest
import pytest_asyncio
from numpy.typing import NDArray

from parley.audio import pcm
from parley.audio.resampling import resample
from parley.audio.types import Samples
from parley.engines.ports import EngineError, Partial, RecognitionSpec
from parley.engines.stt import pocketsphinx_pool
from parley.engines.stt.pocketsphinx import PocketsphinxRecognizer
from parley.engines.stt.pocketsphinx_stream import PocketsphinxStream

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

Speech = Callable[[str], tuple[NDArray[np.int16], int]]

LIMIT_S = 1.0
"""Until a process that hangs is replaced: short beside a test's time. One that does not hang uses the processor meanwhile."""


@pytest.fixture
def hello(speech: Speech) -> Samples:
    ints, rate = speech("hello_world")
    return resample(pcm.to_float(ints), rate, 16000)


@pytest.fixture
def weather(speech: Speech) -> Samples:
    ints, rate = speech("weather_question")
    return resample(pcm.to_float(ints), rate, 16000)


def send(pid: int, what: signal.Signals) -> None:
    """To a process that may have ended already, or not have begun (0)."""
    if pid:
        with suppress(ProcessLookupError):
            os.kill(pid, what)


async def settled(condition: Callable[[], bool]) -> None:
    """Until something has come true that another process does."""
    async with asyncio.timeout(90):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event of its own
            await asyncio.sleep(0.005)


def speaker(engine: PocketsphinxRecognizer, heard: list[Partial] | None = None) -> PocketsphinxStream:
    """A session's live turn."""
    return engine.open_stream(RecognitionSpec(share=object()), (heard if heard is not None else []).append)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engines() -> AsyncIterator[Callable[[int], Awaitable[PocketsphinxRecognizer]]]:
    """Gives the engine of so many processes: one for all tests, as each process takes half a second to start."""
    made: dict[int, PocketsphinxRecognizer] = {}

    async def engine(threads: int) -> PocketsphinxRecognizer:
        if threads not in made:
            made[threads] = PocketsphinxRecognizer(threads, limit_s=LIMIT_S)
            await made[threads].open()
        return made[threads]

    yield engine
    for one in made.values():
        await one.close()


@pytest_asyncio.fixture(loop_scope="module", params=[1])
async def recognizer(
    request: pytest.FixtureRequest, engines: Callable[[int], Awaitable[PocketsphinxRecognizer]]
) -> AsyncIterator[PocketsphinxRecognizer]:
    """An engine of one process, or of two; it is well again after each test, and forgets how often its processes ended."""
    engine = await engines(request.param)
    yield engine
    for pid in engine.pids:
        send(pid, signal.SIGCONT)
    assert engine._pool is not None
    decoders = engine._pool._decoders
    await settled(lambda: all(decoder.process.alive and decoder.idle for decoder in decoders))
    for decoder in decoders:
        decoder._deaths = 0


two = pytest.mark.parametrize("recognizer", [2], indirect=True)


async def replaced(engine: PocketsphinxRecognizer, *pids: int) -> None:
    await settled(lambda: all(pid and pid not in pids for pid in engine.pids))


@pytest.mark.parametrize("what", [signal.SIGKILL, signal.SIGSTOP])
async def test_between_two_turns(recognizer: PocketsphinxRecognizer, hello: Samples, what: signal.Signals) -> None:
    for _ in range(2):
        (pid,) = recognizer.pids
        os.kill(pid, what)
        for _ in range(2):
            stream = speaker(recognizer)
            stream.feed(hello)
            assert (await stream.finish()).text == "hello world"
        assert pid not in recognizer.pids


@pytest.mark.parametrize("what", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_to_the_whole_process_group_is_for_the_server(
    recognizer: PocketsphinxRecognizer, hello: Samples, what: signal.Signals
) -> None:
    """It then closes the processes itself: none of them is missed and started again in the meantime."""
    pids = tuple(recognizer.pids)
    for pid in pids:
        os.kill(pid, what)
    stream = speaker(recognizer)
    stream.feed(hello)
    assert (await stream.finish()).text == "hello world"
    assert tuple(recognizer.pids) == pids


@two
async def test_an_idle_process_that_ends_is_started_again_before_anyone_speaks(
    recognizer: PocketsphinxRecognizer, hello: Samples
) -> None:
    pids = recognizer.pids
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    await replaced(recognizer, *pids)
    stream = speaker(recognizer)
    stream.feed(hello)
    assert (await stream.finish()).text == "hello world"
    assert recognizer.fault is None


@two
async def test_an_idle_process_that_hangs_is_replaced_before_anyone_speaks(
    recognizer: PocketsphinxRecognizer, hello: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pocketsphinx_pool, "PING_S", 0.05)
    assert recognizer._pool is not None
    recognizer._pool._wake.set()  # ends the waits that began with another time
    pids = recognizer.pids
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    await replaced(recognizer, *pids)
    stream = speaker(recognizer)
    stream.feed(hello)
    assert (await stream.finish()).text == "hello world"


async def test_asking_whether_a_process_answers_disturbs_no_turn(
    recognizer: PocketsphinxRecognizer, weather: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = speaker(recognizer)
    stream.feed(weather)
    undisturbed = (await stream.finish()).text
    pids = recognizer.pids
    monkeypatch.setattr(pocketsphinx_pool, "PING_S", 0.001)
    heard: list[Partial] = []
    stream = speaker(recognizer, heard)
    half = len(weather) // 2
    stream.feed(weather[:half])
    await settled(lambda: bool(heard))
    stream.feed(weather[half:])
    assert (await stream.finish()).text == undisturbed
    assert recognizer.pids == pids


@pytest.mark.parametrize("what", [signal.SIGKILL, signal.SIGSTOP])
async def test_in_the_middle_of_a_turn(
    recognizer: PocketsphinxRecognizer, weather: Samples, what: signal.Signals
) -> None:
    stream = speaker(recognizer)
    stream.feed(weather)
    undisturbed = (await stream.finish()).text
    heard: list[Partial] = []
    stream = speaker(recognizer, heard)
    half = len(weather) // 2
    stream.feed(weather[:half])
    await settled(lambda: bool(heard))
    os.kill(recognizer.pids[0], what)
    stream.feed(weather[half:])
    assert (await stream.finish()).text == undisturbed


@two
async def test_two_sessions_whose_decoders_end_at_once_while_both_wait_for_their_words(
    recognizer: PocketsphinxRecognizer, hello: Samples, weather: Samples
) -> None:
    streams = [speaker(recognizer), speaker(recognizer)]
    for stream, audio in zip(streams, (hello, np.tile(weather, 2)), strict=True):
        stream.feed(audio)
    waiting = [asyncio.create_task(stream.finish()) for stream in streams]
    await settled(lambda: any(stream.busy for stream in streams))
    for pid in recognizer.pids:
        os.kill(pid, signal.SIGKILL)
    first, second = await asyncio.gather(*waiting)
    assert first.text == "hello world"
    assert second.text.split().count("weather") == 2


@two
async def test_one_sessions_hanging_decoder_leaves_another_session_its_words(
    recognizer: PocketsphinxRecognizer, hello: Samples
) -> None:
    one, other = speaker(recognizer), speaker(recognizer)
    os.kill(recognizer.pids[0], signal.SIGSTOP)
    for stream in (one, other):
        stream.feed(hello)
    finals = await asyncio.gather(one.finish(), other.finish())
    assert [final.text for final in finals] == ["hello world", "hello world"]


async def test_twice_in_a_row_and_the_second_time_during_its_start(
    recognizer: PocketsphinxRecognizer, hello: Samples
) -> None:
    (pid,) = recognizer.pids
    stream = speaker(recognizer)
    stream.feed(hello)
    waiting = asyncio.create_task(stream.finish())
    await settled(lambda: stream.busy)
    os.kill(pid, signal.SIGKILL)
    await replaced(recognizer, pid)  # it is there, and still loads
    os.kill(recognizer.pids[0], signal.SIGKILL)
    assert (await waiting).text == "hello world"


async def test_audio_that_ends_every_decoder_fails_alone(recognizer: PocketsphinxRecognizer, hello: Samples) -> None:
    stream = speaker(recognizer)
    stream.feed(hello)
    waiting = asyncio.create_task(stream.finish())

    def kill_what_decodes_it() -> bool:
        (pid,) = recognizer.pids
        if stream.busy:
            send(pid, signal.SIGKILL)
        return waiting.done()

    await settled(kill_what_decodes_it)
    with pytest.raises(EngineError) as caught:
        await waiting
    assert caught.value.code == "recognizer_crashed"
    other = speaker(recognizer)
    other.feed(hello)
    assert (await other.finish()).text == "hello world"


async def test_processes_that_keep_ending_are_named_at_once_and_used_again_when_they_last(
    recognizer: PocketsphinxRecognizer, hello: Samples
) -> None:
    waits, speaks = speaker(recognizer), speaker(recognizer)
    waits.feed(hello)
    waiting = asyncio.create_task(waits.finish())

    def kill_every_one() -> bool:
        (pid,) = recognizer.pids
        send(pid, signal.SIGKILL)
        return recognizer.fault is not None

    waits.lost = -1000  # its own tries are not what this is about
    await settled(kill_every_one)
    with pytest.raises(EngineError, match="Speech recognition is down") as caught:
        await waiting
    assert caught.value.code == "recognizer_down"
    speaks.feed(hello)
    with pytest.raises(EngineError) as caught:
        await speaks.finish()
    assert caught.value.code == "recognizer_down"
    await settled(lambda: recognizer.fault is None)
    later = speaker(recognizer)
    later.feed(hello)
    assert (await later.finish()).text == "hello world"
