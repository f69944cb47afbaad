"""What a speaker would notice of a decoder process that ends (SIGKILL) or hangs (SIGSTOP): a later transcript, and not a lost one."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import numpy as np
import pytest
from numpy.typing import NDArray

from parley.audio import pcm
from parley.audio.resampling import resample
from parley.audio.types import Samples
from parley.engines.ports import EngineError, Partial, RecognitionSpec
from parley.engines.stt import pocketsphinx_pool
from parley.engines.stt.pocketsphinx import PocketsphinxRecognizer
from parley.engines.stt.pocketsphinx_stream import PocketsphinxStream

pytestmark = pytest.mark.slow

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


@asynccontextmanager
async def recognizer(threads: int = 1) -> AsyncIterator[PocketsphinxRecognizer]:
    engine = PocketsphinxRecognizer(threads, limit_s=LIMIT_S)
    await engine.open()
    try:
        yield engine
    finally:
        for pid in filter(None, engine.pids):
            send(pid, signal.SIGCONT)
        await engine.close()


async def settled(condition: Callable[[], bool]) -> None:
    """Until something has come true that another process does."""
    async with asyncio.timeout(90):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event of its own
            await asyncio.sleep(0.005)


def speaker(engine: PocketsphinxRecognizer, heard: list[Partial] | None = None) -> PocketsphinxStream:
    """A session's live turn."""
    return engine.open_stream(RecognitionSpec(share=object()), (heard if heard is not None else []).append)


async def replaced(engine: PocketsphinxRecognizer, *pids: int) -> None:
    await settled(lambda: all(pid and pid not in pids for pid in engine.pids))


@pytest.mark.parametrize("what", [signal.SIGKILL, signal.SIGSTOP])
async def test_between_two_turns(hello: Samples, what: signal.Signals) -> None:
    async with recognizer() as engine:
        for _ in range(2):
            (pid,) = engine.pids
            os.kill(pid, what)
            for _ in range(2):
                stream = speaker(engine)
                stream.feed(hello)
                assert (await stream.finish()).text == "hello world"
            assert pid not in engine.pids


@pytest.mark.parametrize("what", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_to_the_whole_process_group_is_for_the_server(hello: Samples, what: signal.Signals) -> None:
    """It then closes the processes itself: none of them is missed and started again in the meantime."""
    async with recognizer() as engine:
        pids = tuple(engine.pids)
        for pid in pids:
            os.kill(pid, what)
        stream = speaker(engine)
        stream.feed(hello)
        assert (await stream.finish()).text == "hello world"
        assert tuple(engine.pids) == pids


async def test_an_idle_process_that_ends_is_started_again_before_anyone_speaks(hello: Samples) -> None:
    async with recognizer(2) as engine:
        pids = engine.pids
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        await replaced(engine, *pids)
        stream = speaker(engine)
        stream.feed(hello)
        assert (await stream.finish()).text == "hello world"
        assert engine.fault is None


async def test_an_idle_process_that_hangs_is_replaced_before_anyone_speaks(
    hello: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pocketsphinx_pool, "PING_S", 0.05)
    async with recognizer(2) as engine:
        pids = engine.pids
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        await replaced(engine, *pids)
        stream = speaker(engine)
        stream.feed(hello)
        assert (await stream.finish()).text == "hello world"


async def test_asking_whether_a_process_answers_disturbs_no_turn(
    weather: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with recognizer() as engine:
        stream = speaker(engine)
        stream.feed(weather)
        undisturbed = (await stream.finish()).text
        pids = engine.pids
        monkeypatch.setattr(pocketsphinx_pool, "PING_S", 0.001)
        heard: list[Partial] = []
        stream = speaker(engine, heard)
        half = len(weather) // 2
        stream.feed(weather[:half])
        await settled(lambda: bool(heard))
        stream.feed(weather[half:])
        assert (await stream.finish()).text == undisturbed
        assert engine.pids == pids


@pytest.mark.parametrize("what", [signal.SIGKILL, signal.SIGSTOP])
async def test_in_the_middle_of_a_turn(weather: Samples, what: signal.Signals) -> None:
    async with recognizer() as engine:
        stream = speaker(engine)
        stream.feed(weather)
        undisturbed = (await stream.finish()).text
        heard: list[Partial] = []
        stream = speaker(engine, heard)
        half = len(weather) // 2
        stream.feed(weather[:half])
        await settled(lambda: bool(heard))
        os.kill(engine.pids[0], what)
        stream.feed(weather[half:])
        assert (await stream.finish()).text == undisturbed


async def test_two_sessions_whose_decoders_end_at_once_while_both_wait_for_their_words(
    hello: Samples, weather: Samples
) -> None:
    async with recognizer(2) as engine:
        streams = [speaker(engine), speaker(engine)]
        for stream, audio in zip(streams, (hello, np.tile(weather, 2)), strict=True):
            stream.feed(audio)
        waiting = [asyncio.create_task(stream.finish()) for stream in streams]
        await settled(lambda: any(stream.busy for stream in streams))
        for pid in engine.pids:
            os.kill(pid, signal.SIGKILL)
        first, second = await asyncio.gather(*waiting)
        assert first.text == "hello world"
        assert second.text.split().count("weather") == 2


async def test_one_sessions_hanging_decoder_leaves_another_session_its_words(hello: Samples) -> None:
    async with recognizer(2) as engine:
        one, other = speaker(engine), speaker(engine)
        os.kill(engine.pids[0], signal.SIGSTOP)
        for stream in (one, other):
            stream.feed(hello)
        finals = await asyncio.gather(one.finish(), other.finish())
        assert [final.text for final in finals] == ["hello world", "hello world"]


async def test_twice_in_a_row_and_the_second_time_during_its_start(hello: Samples) -> None:
    async with recognizer() as engine:
        (pid,) = engine.pids
        stream = speaker(engine)
        stream.feed(hello)
        waiting = asyncio.create_task(stream.finish())
        await settled(lambda: stream.busy)
        os.kill(pid, signal.SIGKILL)
        await replaced(engine, pid)  # it is there, and still loads
        os.kill(engine.pids[0], signal.SIGKILL)
        assert (await waiting).text == "hello world"


async def test_audio_that_ends_every_decoder_fails_alone(hello: Samples) -> None:
    async with recognizer() as engine:
        stream = speaker(engine)
        stream.feed(hello)
        waiting = asyncio.create_task(stream.finish())

        def kill_what_decodes_it() -> bool:
            (pid,) = engine.pids
            if stream.busy:
                send(pid, signal.SIGKILL)
            return waiting.done()

        await settled(kill_what_decodes_it)
        with pytest.raises(EngineError) as caught:
            await waiting
        assert caught.value.code == "recognizer_crashed"
        other = speaker(engine)
        other.feed(hello)
        assert (await other.finish()).text == "hello world"


async def test_processes_that_keep_ending_are_named_at_once_and_used_again_when_they_last(hello: Samples) -> None:
    async with recognizer() as engine:
        waits, speaks = speaker(engine), speaker(engine)
        waits.feed(hello)
        waiting = asyncio.create_task(waits.finish())

        def kill_every_one() -> bool:
            (pid,) = engine.pids
            send(pid, signal.SIGKILL)
            return engine.fault is not None

        waits.lost = -1000  # its own tries are not what this is about
        await settled(kill_every_one)
        with pytest.raises(EngineError, match="Speech recognition is down") as caught:
            await waiting
        assert caught.value.code == "recognizer_down"
        speaks.feed(hello)
        with pytest.raises(EngineError) as caught:
            await speaks.finish()
        assert caught.value.code == "recognizer_down"
        await settled(lambda: engine.fault is None)
        later = speaker(engine)
        later.feed(hello)
        assert (await later.finish()).text == "hello world"
