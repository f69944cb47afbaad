"""A recogniser made of one blocking function: long turns, silence, what the function gets and gives, and its faults."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from parley.engines.ports import EngineError, EngineRefused, Partial, RecognitionSpec, Samples, Transcript, Word
from parley.engines.stt import offline_turns
from parley.engines.stt.offline_turns import COMMIT_SAMPLES, MAX_SEGMENT, OfflineTurns, joined
from tests.engines.bursts import transcribe

RATE = 16_000
SPEC = RecognitionSpec(language="en")


def tone(seconds: float, level: float = 0.3) -> Samples:
    """Sound of that length, 440 Hz."""
    times = np.arange(int(seconds * RATE)) / RATE
    return (level * np.sin(2 * np.pi * 440 * times)).astype(np.float32)


def silence(seconds: float) -> Samples:
    return np.zeros(int(seconds * RATE), np.float32)


class Recorder:
    """`bursts.transcribe`, and the audio that it was given."""

    def __init__(self) -> None:
        self.lengths: list[int] = []

    def __call__(self, audio: Samples, spec: RecognitionSpec) -> Transcript:
        self.lengths.append(len(audio))
        return transcribe(audio, spec)


async def heard(
    turns: OfflineTurns, *audio: Samples, on_partial: Callable[[Partial], None] = lambda _: None
) -> Transcript:
    stream = turns.open_stream(SPEC, on_partial)
    for piece in audio:
        stream.feed(piece)
    async with asyncio.timeout(60):
        return await stream.finish()


async def test_a_long_turn_is_cut_at_its_quietest_place_and_its_words_keep_their_times() -> None:
    recorder, partials = Recorder(), list[Partial]()
    turns = OfflineTurns("Toy", recorder)
    quiet = tone(0.4, 0.001)
    final = await heard(turns, tone(20), quiet, tone(20), on_partial=partials.append)
    assert final.text == "burst1000 burst1000"
    assert [(word.start_ms, word.end_ms) for word in final.words] == [
        pytest.approx((0, 20_000), abs=40),
        pytest.approx((20_400, 40_400), abs=40),
    ]
    assert max(recorder.lengths) <= MAX_SEGMENT
    assert partials[0].stable == "burst1000"
    await turns.close()


async def test_a_pause_behind_much_audio_ends_a_segment_and_one_behind_little_does_not() -> None:
    recorder = Recorder()
    turns = OfflineTurns("Toy", recorder, partials=False)
    stream = turns.open_stream(SPEC, lambda _: None)
    long, short = COMMIT_SAMPLES / RATE, 1
    for seconds in (short, long, short):
        stream.feed(np.concatenate([tone(seconds), silence(0.2)]))
        await stream.flush()
    assert (await stream.finish()).text == "burst50 burst500 burst50"
    assert recorder.lengths == [int(1.2 * RATE), int(11.4 * RATE), int(1.2 * RATE)]
    await turns.close()


@pytest.mark.parametrize("live", [True, False])
async def test_a_pause_that_is_heard_ends_a_segment_of_a_live_turn_that_nobody_flushes(live: bool) -> None:
    function = Recorder()
    turns = OfflineTurns("bursts", function, partials=False)
    decoded = asyncio.Event()
    stream = turns.open_stream(RecognitionSpec(language="en", live=live), lambda partial: decoded.set())
    for part in (tone(4), silence(0.5), tone(COMMIT_SAMPLES / RATE), silence(1)):
        stream.feed(part)
    if live:
        await asyncio.wait_for(decoded.wait(), 60)
    stream.feed(tone(2))
    final = await stream.finish()
    await turns.close()
    assert len(final.text.split()) == 3
    assert all(begun >= COMMIT_SAMPLES for begun in function.lengths[:-1]), "a pause behind little is none to cut at"
    assert len(function.lengths) == (2 if live else 1)
    if live:
        assert function.lengths[-1] < 4 * RATE, "what was decoded while it was held is not decoded again"


async def test_the_end_of_a_turn_after_a_pause_is_not_decoded_again() -> None:
    recorder = Recorder()
    turns = OfflineTurns("Toy", recorder, partials=False)
    stream = turns.open_stream(SPEC, lambda _: None)
    stream.feed(np.concatenate([tone(1), silence(0.2)]))
    assert (await stream.flush()).text == "burst50"
    stream.feed(silence(2))
    assert (await stream.flush()).text == "burst50"
    assert len(recorder.lengths) == 1
    stream.feed(tone(1))
    assert (await stream.finish()).text == "burst50 burst50"
    assert len(recorder.lengths) == 2
    await turns.close()


@pytest.mark.parametrize("live", [True, False])
async def test_a_busy_model_decodes_the_last_of_the_pauses_that_wait_in_a_live_turn(live: bool) -> None:
    recorder = Recorder()
    goes_on, begun = threading.Event(), threading.Event()

    def slow(audio: Samples, spec: RecognitionSpec) -> Transcript:
        begun.set()
        goes_on.wait()
        return recorder(audio, spec)

    turns = OfflineTurns("Toy", slow, partials=False)
    stream = turns.open_stream(RecognitionSpec(language="en", live=live), lambda _: None)
    asked: list[asyncio.Task[Transcript]] = []
    for _ in range(4):
        stream.feed(np.concatenate([tone(1), silence(0.2)]))
        asked.append(asyncio.create_task(stream.flush()))
        await asyncio.sleep(0)
        await asyncio.to_thread(begun.wait)
    goes_on.set()
    texts = [text.text for text in await asyncio.wait_for(asyncio.gather(*asked), 60)]
    whole = " ".join(["burst50"] * 4)
    if live:
        assert texts == ["burst50", whole, whole, whole]
        assert recorder.lengths == [int(1.2 * RATE), int(4.8 * RATE)]
    else:
        assert texts == ["burst50", "burst50 burst50", "burst50 burst50 burst50", whole]
    await turns.close()


async def test_a_pause_that_is_being_decoded_serves_the_end_of_the_turn_too() -> None:
    recorder = Recorder()
    goes_on = threading.Event()

    def slow(audio: Samples, spec: RecognitionSpec) -> Transcript:
        goes_on.wait()
        return recorder(audio, spec)

    turns = OfflineTurns("Toy", slow, partials=False)
    stream = turns.open_stream(SPEC, lambda _: None)
    stream.feed(np.concatenate([tone(1), silence(0.2)]))
    first = asyncio.create_task(stream.flush())
    await asyncio.sleep(0)
    stream.feed(silence(1))
    last = asyncio.create_task(stream.finish())
    await asyncio.sleep(0)
    goes_on.set()
    assert (await last).text == (await first).text == "burst50"
    assert recorder.lengths == [int(1.2 * RATE)]
    await turns.close()


async def test_silence_is_not_decoded() -> None:
    recorder = Recorder()
    turns = OfflineTurns("Toy", recorder)
    assert await heard(turns, silence(40)) == Transcript("")
    assert recorder.lengths == []
    await turns.close()


async def test_what_a_client_brings_has_no_partials() -> None:
    recorder, partials = Recorder(), list[Partial]()
    turns = OfflineTurns("Toy", recorder)
    stream = turns.open_stream(RecognitionSpec(live=False), partials.append)
    stream.feed(tone(5))
    final = await stream.finish()
    assert final.text == "burst250"
    assert recorder.lengths == [5 * RATE]
    await turns.close()


@pytest.mark.parametrize(
    ("gives", "code", "message"),
    [
        ("hello", "invalid_transcript", r"Toy gave 'hello'\. Its function returns a Transcript\."),
        (None, "invalid_transcript", r"Toy gave None\."),
        (Transcript(5), "recognizer_failed", r"Toy failed \('int' object has no attribute 'strip'\)"),  # type: ignore[arg-type]
        (
            ValueError("shape (1, 80, 3000) expected"),
            "recognizer_failed",
            r"Toy failed \(shape \(1, 80, 3000\) expected\)",
        ),
        (EngineRefused("No Welsh.", code="unsupported_language"), "unsupported_language", "No Welsh"),
    ],
    ids=["a string", "nothing", "no text", "an error of the library", "a refusal"],
)
async def test_a_function_that_fails_fails_its_turn_by_name_and_no_other(gives: Any, code: str, message: str) -> None:
    def fails_once(audio: Samples, spec: RecognitionSpec) -> Any:
        if spec.prompt != "fails":
            return transcribe(audio, spec)
        if isinstance(gives, Exception):
            raise gives
        return gives

    turns = OfflineTurns("Toy", fails_once, partials=False)
    failing = turns.open_stream(RecognitionSpec(prompt="fails"), lambda _: None)
    failing.feed(tone(1))
    with pytest.raises(EngineError, match=message) as caught:
        await failing.finish()
    assert caught.value.code == code
    with pytest.raises(EngineError):
        await failing.flush()
    assert (await heard(turns, tone(1))).text == "burst50"
    await turns.close()


async def test_a_function_that_never_returns_fails_its_turn_and_is_reported() -> None:
    goes_on = threading.Event()

    def hangs(audio: Samples, spec: RecognitionSpec) -> Transcript:
        goes_on.wait()
        return Transcript("too late")

    turns = OfflineTurns("Toy", hangs, limit_s=0.1)
    with pytest.raises(EngineError, match=r"Toy did not answer within 0\.1 s") as caught:
        await heard(turns, tone(1))
    assert caught.value.code == "recognizer_stuck"
    assert str(turns.fault).startswith("Speech recognition is down: Toy has not returned")
    await turns.close()
    goes_on.set()


async def test_closing_the_engine_fails_the_turns_that_wait() -> None:
    entered, goes_on = threading.Event(), threading.Event()

    def slow(audio: Samples, spec: RecognitionSpec) -> Transcript:
        entered.set()
        goes_on.wait()
        return transcribe(audio, spec)

    turns = OfflineTurns("Toy", slow, partials=False)
    waiting = asyncio.create_task(heard(turns, tone(1)))
    await asyncio.to_thread(entered.wait)
    closing = asyncio.create_task(turns.close())
    with pytest.raises(EngineRefused, match="closed before its text was ready"):
        await waiting
    goes_on.set()
    await closing


async def test_too_many_open_turns_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offline_turns, "MAX_STREAMS", 2)
    turns = OfflineTurns("Toy", transcribe)
    first = turns.open_stream(SPEC, lambda _: None)
    turns.open_stream(SPEC, lambda _: None)
    with pytest.raises(EngineError, match="2 transcriptions are open already"):
        turns.open_stream(SPEC, lambda _: None)
    first.close()
    turns.open_stream(SPEC, lambda _: None)
    await turns.close()


def test_pieces_are_joined_as_their_language_is_written() -> None:
    word = Word("hi", 0, 1)
    whole = joined(
        [Transcript("one", (word,), "en", 0.5), Transcript(""), Transcript("two", (word,), "de", 0.75, (), 0.9)]
    )
    assert whole == Transcript("one two", (word, word), "de", 0.625, (), 0.9)
    assert joined([Transcript("你好", language="zh"), Transcript("吗", language="zh")]).text == "你好吗"
    assert joined([]) == Transcript("")
