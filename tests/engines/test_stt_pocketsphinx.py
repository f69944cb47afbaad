"""What a user of the offline recogniser would notice: wrong words, another language taken for English, a crash that spreads."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
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
    EngineRefused,
    EngineSpec,
    EngineUnavailable,
    Partial,
    RecognitionSpec,
)
from parley.engines.registry import create
from parley.engines.stt.pocketsphinx import PocketsphinxRecognizer
from parley.engines.stt.pocketsphinx_pool import SLICE, DecoderPool
from parley.engines.stt.pocketsphinx_process import DecoderProcess, Hypothesis
from parley.engines.stt.pocketsphinx_stream import PocketsphinxStream
from parley.engines.stt.turn_stream import new_backlog

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

Speech = Callable[[str], tuple[NDArray[np.int16], int]]


def ignore(partial: Partial) -> None:
    """A listener that does not mind."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def recognizer() -> AsyncIterator[PocketsphinxRecognizer]:
    """One process for all tests that leave it as it was."""
    engine = PocketsphinxRecognizer(threads=1)
    await engine.open()
    yield engine
    await engine.close()


@pytest.fixture
def at_16k(speech: Speech) -> Callable[[str], Samples]:
    def load(name: str) -> Samples:
        ints, rate = speech(name)
        return resample(pcm.to_float(ints), rate, 16000)

    return load


async def test_the_recordings_are_understood(
    recognizer: PocketsphinxRecognizer, at_16k: Callable[[str], Samples]
) -> None:
    texts = {}
    for name in ("hello_world", "weather_question"):
        stream = recognizer.open_stream(RecognitionSpec(language="en-US"), ignore)
        stream.feed(at_16k(name))
        final = await stream.finish()
        assert (final.language, final.language_confidence) == ("en", 1.0)
        texts[name] = final.text
    assert texts["hello_world"] == "hello world"
    assert {"weather", "paris"} <= set(texts["weather_question"].split())


async def test_what_is_heard_depends_on_nobody_who_spoke_before(
    recognizer: PocketsphinxRecognizer, at_16k: Callable[[str], Samples]
) -> None:
    noise = np.random.default_rng(1).normal(0, 0.3, 48_000).clip(-1, 1).astype(np.float32)
    question, slice_samples = at_16k("weather_question"), SLICE // 2
    heard = []
    for before in (None, noise, 0.03 * at_16k("hello_world")):
        if before is not None:
            stream = recognizer.open_stream(RecognitionSpec(share=object()), ignore)
            stream.feed(before)
            await stream.finish()
        partials: asyncio.Queue[Partial] = asyncio.Queue()
        stream = recognizer.open_stream(RecognitionSpec(share=object(), logprobs=True), partials.put_nowait)
        stream.feed(question[: len(question) // slice_samples * slice_samples])
        texts = [await partials.get()]
        while "paris" not in texts[-1].text:
            texts.append(await partials.get())
        heard.append((texts, await stream.finish()))
    assert heard[1] == heard[0], "after noise"
    assert heard[2] == heard[0], "after a quiet voice"


async def test_words_are_where_they_were_said(
    recognizer: PocketsphinxRecognizer, at_16k: Callable[[str], Samples]
) -> None:
    hello, silence = at_16k("hello_world"), np.zeros(8000, np.float32)
    stream = recognizer.open_stream(RecognitionSpec(), ignore)
    stream.feed(hello)
    await stream.flush()
    stream.feed(silence)
    stream.feed(hello)
    final = await stream.finish()
    assert [word.text for word in final.words] == ["hello", "world", "hello", "world"]
    starts = [word.start_ms for word in final.words]
    assert starts == sorted(starts)
    between = 1000 * (len(hello) + len(silence)) / 16000
    assert final.words[2].start_ms - final.words[0].start_ms == pytest.approx(between, abs=80)
    assert all(0 <= word.start_ms < word.end_ms for word in final.words)


async def test_another_language_is_refused_by_name(recognizer: PocketsphinxRecognizer) -> None:
    with pytest.raises(EngineRefused, match="'es'") as caught:
        recognizer.open_stream(RecognitionSpec(language="es"), ignore)
    assert caught.value.code == "unsupported_language"
    with pytest.raises(EngineRefused, match="English only, not 'es', 'pt'"):
        recognizer.open_stream(RecognitionSpec(languages=("es", "pt")), ignore)
    recognizer.open_stream(RecognitionSpec(languages=("es", "en-GB")), ignore).close()


async def test_the_event_loop_keeps_its_pace_while_speech_is_decoded(
    recognizer: PocketsphinxRecognizer, at_16k: Callable[[str], Samples]
) -> None:
    loop = asyncio.get_running_loop()
    stream = recognizer.open_stream(RecognitionSpec(), ignore)
    stream.feed(np.tile(at_16k("weather_question"), 3))
    final = asyncio.create_task(stream.finish())
    longest, began = 0.0, loop.time()
    last = began
    while not final.done():
        await asyncio.sleep(0.001)
        longest, last = max(longest, loop.time() - last), loop.time()
    assert "weather" in final.result().text
    # in this process, decoding would have been one gap of its whole length: PocketSphinx keeps the GIL
    assert longest < (last - began) / 4


class Unreadable:
    """A turn that its decoder's result cannot be given to."""

    closed = busy = muted = False
    share: object = None
    live = True
    decoded = lost = abandoned = 0
    last_fed_s = 0.0
    error: EngineError | None = None

    def available(self) -> int:
        return 6400

    def audio(self, start: int, end: int) -> bytes:
        return bytes(end - start)

    def next_cut(self) -> int | None:
        return None if self.error else 6400

    def cuts(self) -> int:
        return 0 if self.error else 1

    def report(self, text: str) -> None:
        raise ValueError("no such word")

    def worth_decoding(self, size: int) -> bool:
        return True

    def commit(self, size: int, hypothesis: Hypothesis | None) -> None:
        raise ValueError("no such word")

    def fail(self, error: EngineError) -> None:
        self.error = error


async def test_a_result_that_cannot_be_delivered_fails_its_turn_and_leaves_the_others_their_decoder(
    at_16k: Callable[[str], Samples],
) -> None:
    pool, turn = DecoderPool([DecoderProcess({"samprate": 16000})]), Unreadable()
    await pool.start()
    try:
        pool.want_pause(turn)
        stream = PocketsphinxStream(RecognitionSpec(), ignore, pool, new_backlog(), lambda _: None)
        stream.feed(at_16k("hello_world"))
        assert (await asyncio.wait_for(stream.finish(), 20)).text == "hello world"
    finally:
        await pool.stop()
    assert turn.error is not None
    assert turn.error.code == "recognizer_failed"


class Speakers:
    """Speakers whose turns all end at once; `done` says in which order their words came."""

    def __init__(self, recognizer: PocketsphinxRecognizer) -> None:
        self.recognizer = recognizer
        self.done: list[str] = []
        self.waiting: list[asyncio.Task[None]] = []

    def speak(self, name: str, audio: Samples, share: object, *, live: bool = True) -> PocketsphinxStream:
        stream = self.recognizer.open_stream(RecognitionSpec(share=share, live=live), ignore)
        stream.feed(audio)
        self.waiting.append(asyncio.create_task(self._words(name, stream)))
        return stream

    async def _words(self, name: str, stream: PocketsphinxStream) -> None:
        assert (await stream.finish()).text
        self.done.append(name)


async def test_sessions_take_turns_and_live_turns_come_before_items(
    recognizer: PocketsphinxRecognizer, at_16k: Callable[[str], Samples]
) -> None:
    speakers, hello = Speakers(recognizer), at_16k("hello_world")
    item_owner, greedy = object(), object()
    for number in range(2):
        speakers.speak(f"item {number}", hello, item_owner, live=False)
    for number in range(3):
        speakers.speak(f"greedy {number}", hello, greedy)
    speakers.speak("newcomer", hello, object())
    await asyncio.gather(*speakers.waiting)
    assert speakers.done[4:] == ["item 0", "item 1"]
    assert speakers.done.index("newcomer") <= 1
    assert [name for name in speakers.done if name.startswith("greedy")] == ["greedy 0", "greedy 1", "greedy 2"]


@pytest.mark.parametrize("live", [True, False])
async def test_a_newcomer_does_not_wait_for_the_segment_of_one_who_has_more_waiting(
    recognizer: PocketsphinxRecognizer, at_16k: Callable[[str], Samples], live: bool
) -> None:
    speakers, greedy = Speakers(recognizer), object()
    long = np.tile(at_16k("weather_question"), 2)
    first = speakers.speak("greedy 0", long, greedy, live=live)
    speakers.speak("greedy 1", long, greedy, live=live)
    while not first.busy:  # noqa: ASYNC110 - a decoder begins when it can
        await asyncio.sleep(0.001)  # until its decoding has begun
    speakers.speak("newcomer", at_16k("hello_world"), object())
    await asyncio.gather(*speakers.waiting)
    assert speakers.done == ["newcomer", "greedy 0", "greedy 1"]


async def test_an_item_is_never_decoded_for_partials(
    recognizer: PocketsphinxRecognizer, at_16k: Callable[[str], Samples]
) -> None:
    partials: list[Partial] = []
    item = recognizer.open_stream(RecognitionSpec(live=False), partials.append)
    item.feed(at_16k("weather_question"))
    turn = recognizer.open_stream(RecognitionSpec(), ignore)
    turn.feed(at_16k("hello_world"))
    await turn.finish()
    assert partials == []
    assert "weather" in (await item.finish()).text


async def test_turns_closed_in_the_middle_of_any_step_harm_no_process(
    recognizer: PocketsphinxRecognizer, at_16k: Callable[[str], Samples]
) -> None:
    hello, pids = at_16k("hello_world"), recognizer.pids
    for steps in range(40):
        stream = recognizer.open_stream(RecognitionSpec(), ignore)
        stream.feed(hello)
        waiting = asyncio.create_task(stream.flush()) if steps % 2 else None
        await asyncio.sleep(steps * 0.002)  # waits for nothing: the moment of closing is what varies
        stream.close()
        if waiting is not None:
            await asyncio.gather(waiting, return_exceptions=True)
    stream = recognizer.open_stream(RecognitionSpec(), ignore)
    stream.feed(hello)
    assert (await stream.finish()).text == "hello world"
    assert recognizer.pids == pids


async def test_closing_leaves_no_process_behind() -> None:
    engine = PocketsphinxRecognizer(threads=2)
    await engine.open()
    pids = engine.pids
    assert len(set(pids)) == 2
    await engine.close()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


GRAMMAR = """#JSGF V1.0;
grammar talk;
public <talk> = hello world | good morning | what's the weather like in (paris | london);
"""


async def test_a_grammar_allows_its_sentences_only(tmp_path: Path, at_16k: Callable[[str], Samples]) -> None:
    path = tmp_path / "talk.gram"
    path.write_text(GRAMMAR)
    engine = create(STT, EngineSpec("pocketsphinx", options={"grammar": str(path), "threads": "1"}))
    assert isinstance(engine, PocketsphinxRecognizer)
    await engine.open()
    try:
        for name, text in (("weather_question", "what's the weather like in paris"), ("hello_world", "hello world")):
            stream = engine.open_stream(RecognitionSpec(), ignore)
            stream.feed(at_16k(name))
            assert (await stream.finish()).text == text
    finally:
        await engine.close()


@pytest.mark.parametrize("content", [None, "this is no grammar"])
async def test_a_bad_grammar_is_named_at_start_up(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "talk.gram"
    if content is not None:
        path.write_text(content)
    engine = create(STT, EngineSpec("pocketsphinx", options={"grammar": str(path)}))
    with pytest.raises(EngineUnavailable, match=r"talk\.gram.*option `grammar`"):
        await engine.open()
    await engine.close()
