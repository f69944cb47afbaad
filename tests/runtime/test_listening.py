"""A session's hearing: what the recogniser is fed, what is answered, and what a failure does."""

from __future__ import annotations

import asyncio
import gc
import logging
import weakref
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest

from parley.core.words.effects import (
    DropTranscription,
    FinishTranscription,
    FlushTranscription,
    JudgePause,
    OpenTranscription,
    Transcribe,
)
from parley.core.words.errors import Fault
from parley.core.words.events import Event, PartialTranscribed, PauseJudged, Transcribed, TranscriptionFailed
from parley.core.words.ids import FlushId, JudgementId, TurnId
from parley.core.words.settings import AudioFormat
from parley.engines.ports import (
    EngineError,
    Partial,
    PauseContext,
    RecognitionSpec,
    Samples,
    TokenLogprob,
    Transcript,
    Word,
)
from parley.runtime.listening import Listening
from parley.runtime.voice_worker import VoiceWorker
from parley.testing.fakes import FakeRecognizer, FakeRecognizerStream, FakeTurnJudge, FakeVoiceActivity, Hold
from tests.runtime.rig import settled

TURN = TurnId(3)
OPEN = OpenTranscription(TURN, AudioFormat.PCM16, "de", "names: Anna", ("Parley",), True)
JUDGE = JudgePause(TURN, JudgementId(5), "so I was", bytes(48_000), AudioFormat.PCM16, "de")


class _Hearing:
    def __init__(self, stt: FakeRecognizer, judge: FakeTurnJudge | None = None) -> None:
        self.stt = stt
        self.events: list[Event] = []
        voice = VoiceWorker(FakeVoiceActivity()).stream(lambda _: None, lambda _: None)
        self.listening = Listening(voice, judge, stt, self.events.append)


def _tone(seconds: float, rate: int) -> bytes:
    times = np.arange(int(seconds * rate)) / rate
    return (16_384 * np.sin(2 * np.pi * 500 * times)).astype("<i2").tobytes()


async def test_the_recogniser_hears_the_whole_turn_at_its_own_rate() -> None:
    hearing = _Hearing(FakeRecognizer("hello"))
    audio = _tone(1.0, 24_000)
    hearing.listening.open(OPEN)
    for at in range(0, len(audio), 1_000):
        hearing.listening.transcribe(Transcribe(TURN, audio[at : at + 1_000]))
    hearing.listening.finish(FinishTranscription(TURN))
    await settled(lambda: bool(hearing.events))
    heard = hearing.stt.streams[0].audio
    expected = 0.5 * np.sin(2 * np.pi * 500 * np.arange(16_000) / 16_000)
    assert heard.dtype == np.float32
    assert len(heard) == 16_000
    assert np.abs(heard - expected)[100:-100].max() < 0.001
    assert hearing.events == [Transcribed(TURN, "hello")]


async def test_the_recogniser_is_given_the_hints_and_the_language_that_the_core_names() -> None:
    hearing = _Hearing(FakeRecognizer())
    hearing.listening.open(OPEN)
    spec = hearing.stt.streams[0].spec
    assert (spec.language, spec.prompt, spec.keywords, spec.logprobs) == ("de", "names: Anna", ("Parley",), True)


async def test_the_recogniser_is_given_the_languages_that_may_be_spoken() -> None:
    hearing = _Hearing(FakeRecognizer())
    hearing.listening.open(replace(OPEN, language="", languages=("pt", "es")))
    spec = hearing.stt.streams[0].spec
    assert (spec.language, spec.languages) == ("", ("pt", "es"))


async def test_partials_flushes_and_the_final_come_in_order_with_their_ids() -> None:
    hearing = _Hearing(
        FakeRecognizer("the cat", Transcript("the cat sat", language="en", logprobs=(TokenLogprob("é", -0.5),)))
    )
    hearing.listening.open(OPEN)
    hearing.stt.streams[0].say("the", "the")
    hearing.listening.flush(FlushTranscription(TURN, FlushId(9)))
    await settled(lambda: len(hearing.events) == 2)
    hearing.listening.finish(FinishTranscription(TURN))
    await settled(lambda: len(hearing.events) == 3)
    assert hearing.events[:2] == [
        PartialTranscribed(TURN, "the", "the", None, "de", 1.0),
        Transcribed(TURN, "the cat", FlushId(9)),
    ]
    final = hearing.events[2]
    assert isinstance(final, Transcribed)
    assert (final.text, final.flush, final.language) == ("the cat sat", None, "en")
    assert msgspec.json.decode(final.logprobs) == [{"token": "é", "logprob": -0.5, "bytes": [195, 169]}]


@pytest.mark.parametrize(
    ("given", "taken"), [(0.9, 0.9), (0, 0), (1.5, None), (float("nan"), None), (None, None), ("high", None)]
)
async def test_the_recognisers_judgement_of_the_end_is_taken_where_it_is_a_probability(
    given: Any, taken: float | None
) -> None:
    hearing = _Hearing(FakeRecognizer())
    hearing.listening.open(OPEN)
    hearing.stt.streams[0].say("the", "the", end_of_turn=given)
    assert hearing.events == [PartialTranscribed(TURN, "the", "the", taken, "de", 1.0)]


async def test_a_dropped_turn_is_never_answered() -> None:
    held = Hold()
    hearing = _Hearing(FakeRecognizer(held, "too late"))
    hearing.listening.open(OPEN)
    hearing.listening.flush(FlushTranscription(TURN, FlushId(9)))
    await settled(held.reached.is_set)
    hearing.listening.drop(DropTranscription(TURN))
    hearing.stt.streams[0].say("still talking")
    held.event.set()
    hearing.listening.open(OPEN)
    hearing.listening.finish(FinishTranscription(TURN))
    await settled(lambda: bool(hearing.events))
    assert hearing.events == [Transcribed(TURN, "too late")], (
        "this is the second turn's; the first's answer was taken back"
    )
    assert hearing.stt.streams[0].closed


@pytest.mark.parametrize("asked", ["flush", "finish"])
async def test_a_recogniser_whose_own_work_was_cancelled_fails_the_turn(asked: str) -> None:
    class CancelledStream(FakeRecognizerStream):
        async def _answer(self) -> Transcript:
            raise asyncio.CancelledError

    class CancelledRecognizer(FakeRecognizer):
        def open_stream(self, spec: RecognitionSpec, on_partial: Callable[[Partial], None]) -> FakeRecognizerStream:
            return CancelledStream(self, spec, on_partial)

    hearing = _Hearing(CancelledRecognizer())
    hearing.listening.open(OPEN)
    if asked == "flush":
        hearing.listening.flush(FlushTranscription(TURN, FlushId(1)))
    else:
        hearing.listening.finish(FinishTranscription(TURN))
    await settled(lambda: bool(hearing.events))
    (failed,) = hearing.events
    assert isinstance(failed, TranscriptionFailed)
    assert failed.fault.code == "engine_error"


async def test_a_recogniser_that_fails_is_reported_at_once_and_to_each_later_request() -> None:
    hearing = _Hearing(FakeRecognizer(feed_error=EngineError("Out of memory.", code="out_of_memory")))
    failed = TranscriptionFailed(TURN, Fault("out_of_memory", "Out of memory."))
    hearing.listening.open(OPEN)
    hearing.listening.transcribe(Transcribe(TURN, bytes(48_000)))
    assert hearing.events == [failed]
    hearing.listening.transcribe(Transcribe(TURN, bytes(48_000)))
    hearing.listening.finish(FinishTranscription(TURN))
    assert hearing.events == [failed, failed]
    assert hearing.stt.streams[0].closed


async def test_a_recogniser_that_cannot_begin_or_end_fails_the_turn() -> None:
    hearing = _Hearing(FakeRecognizer(EngineError("Busy.", code="busy"), "well again"))
    hearing.listening.open(OPEN)
    hearing.listening.finish(FinishTranscription(TURN))
    await settled(lambda: bool(hearing.events))
    assert hearing.events == [TranscriptionFailed(TURN, Fault("busy", "Busy."))]
    hearing.listening.open(OPEN)
    hearing.listening.finish(FinishTranscription(TURN))
    await settled(lambda: len(hearing.events) == 2)
    assert hearing.events[1] == Transcribed(TURN, "well again")


@pytest.mark.parametrize(
    "fields",
    [
        {"words": ("hi",)},
        {"words": None},
        {"words": (Word("hi", float("nan"), 1.0),)},
        {"words": (Word("hi", 0.0, float("inf")),)},
        {"words": (Word("hi", None, 1.0),)},  # type: ignore[arg-type]
        {"language": None},
        {"confidence": float("nan")},
        {"language_confidence": "high"},
    ],
)
async def test_a_transcript_that_cannot_be_taken_fails_its_turn_by_name(fields: dict[str, Any]) -> None:
    hearing = _Hearing(FakeRecognizer(Transcript("hi", **fields)))
    hearing.listening.open(OPEN)
    hearing.listening.finish(FinishTranscription(TURN))
    await settled(lambda: bool(hearing.events))
    (failed,) = hearing.events
    assert isinstance(failed, TranscriptionFailed)
    assert failed.fault.code == "invalid_transcript"
    assert "The speech recogniser 'fake' gave Transcript(text='hi', words=" in failed.fault.message


async def test_the_turn_judge_hears_the_pause_and_its_answer_is_posted() -> None:
    judge = FakeTurnJudge(0.25)
    hearing = _Hearing(FakeRecognizer(), judge)
    hearing.listening.judge(JUDGE)
    await settled(lambda: bool(hearing.events))
    assert hearing.events == [PauseJudged(TURN, JudgementId(5), 0.25)]
    assert (judge.asked[0].text, judge.asked[0].language, len(judge.asked[0].audio)) == ("so I was", "de", 16_000)


class _FailingJudge(FakeTurnJudge):
    """Fails where `fault` is set."""

    fault: Exception | None = None

    async def judge(self, pause: PauseContext) -> float:
        if self.fault is not None:
            raise self.fault
        return await super().judge(pause)


@pytest.mark.parametrize(
    ("fault", "said"), [(EngineError("It is out of memory.", code="oom"), "oom"), (ZeroDivisionError(), "engine_error")]
)
async def test_a_judge_that_fails_is_reported_once_and_judges_the_next_pause(
    fault: Exception, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    judge = _FailingJudge(0.25)
    hearing = _Hearing(FakeRecognizer(), judge)
    judge.fault = fault
    for _ in range(2):
        hearing.listening.judge(JUDGE)
        await asyncio.wait(hearing.listening.tasks())
    reports = [one.getMessage() for one in caplog.records if "the turn judge failed" in one.getMessage()]
    assert len(reports) == 1
    assert f"({said})" in reports[0]
    assert hearing.events == []
    judge.fault = None
    hearing.listening.judge(JUDGE)
    await asyncio.wait(hearing.listening.tasks())
    assert [type(event) for event in hearing.events] == [PauseJudged]


async def test_how_sure_the_recogniser_is_reaches_the_core_and_from_there_the_judge() -> None:
    judge = FakeTurnJudge(0.25)
    hearing = _Hearing(
        FakeRecognizer(Transcript("so I was", language="en", confidence=0.3, language_confidence=0.9)), judge
    )
    hearing.listening.open(OPEN)
    hearing.listening.finish(FinishTranscription(TURN))
    await settled(lambda: bool(hearing.events))
    assert hearing.events == [Transcribed(TURN, "so I was", language="en", confidence=0.3, language_confidence=0.9)]
    hearing.listening.judge(replace(JUDGE, confidence=0.3))
    await settled(lambda: bool(judge.asked))
    assert judge.asked[0].confidence == 0.3


async def test_only_the_last_question_to_the_judge_is_answered() -> None:
    hearing = _Hearing(FakeRecognizer(), FakeTurnJudge(0.5))
    hearing.listening.judge(JUDGE)
    hearing.listening.judge(JudgePause(TURN, JudgementId(6), "", b"", AudioFormat.PCM16, ""))
    await settled(lambda: bool(hearing.events))
    assert hearing.events == [PauseJudged(TURN, JudgementId(6), 0.5)]


@pytest.mark.parametrize("fault", [RuntimeError("no weights"), float("nan"), 1.5])
async def test_a_judge_that_fails_is_logged_once_and_costs_only_its_answer(
    fault: float | Exception, caplog: pytest.LogCaptureFixture
) -> None:
    judge = FakeTurnJudge(fault)
    hearing = _Hearing(FakeRecognizer(), judge)
    for count in (1, 2):
        hearing.listening.judge(JUDGE)
        await settled(lambda count=count: len(judge.asked) == count)  # type: ignore[misc]
    assert not hearing.events
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


class _Recorder(FakeRecognizer):
    """Remembers, for each question, how many samples came before it."""

    def __init__(self) -> None:
        super().__init__()
        self.log: list[tuple[int, str, int]] = []

    def open_stream(self, spec: RecognitionSpec, on_partial: Callable[[Partial], None]) -> FakeRecognizerStream:
        recorder, number = self, len(self.streams)

        class Stream(FakeRecognizerStream):
            def feed(self, audio: Samples) -> None:
                super().feed(audio)
                recorder.log.append((number, "feed", len(self.audio)))

            async def flush(self) -> Transcript:
                recorder.log.append((number, "flush", len(self.audio)))
                return await super().flush()

        stream = Stream(self, spec, on_partial)
        self.streams.append(stream)
        return stream


async def test_minutes_of_audio_are_fed_a_second_at_a_time_in_turns_with_the_sessions_other_turns() -> None:
    stt = _Recorder()
    hearing = _Hearing(stt)
    other = TurnId(4)
    hearing.listening.open(OPEN)
    hearing.listening.open(replace(OPEN, turn=other))
    for turn in (TURN, other):
        hearing.listening.transcribe(Transcribe(turn, _tone(5, 24_000)))
        hearing.listening.finish(FinishTranscription(turn))
    assert stt.log == [], "nothing of it is done in the call that brought it"
    await settled(lambda: len(hearing.events) == 2)
    assert [number for number, *_ in stt.log[:6]] == [0, 1, 0, 1, 0, 1]
    assert [len(stream.audio) for stream in stt.streams] == [80_000, 80_000]
    assert max(len(piece) for stream in stt.streams for piece in stream.fed) < 20_000


async def test_what_is_asked_in_the_middle_of_long_audio_is_asked_behind_the_audio_before_it() -> None:
    stt = _Recorder()
    hearing = _Hearing(stt)
    hearing.listening.open(OPEN)
    hearing.listening.transcribe(Transcribe(TURN, _tone(3, 24_000)))
    hearing.listening.flush(FlushTranscription(TURN, FlushId(1)))
    hearing.listening.transcribe(Transcribe(TURN, _tone(3, 24_000)))
    hearing.listening.finish(FinishTranscription(TURN))
    await settled(lambda: len(hearing.events) == 2)
    before = [samples for _, what, samples in stt.log if what == "flush"]
    # One answer runs beside the next second's feeding, and the resampler holds a little back.
    assert before[0] == pytest.approx(48_000, abs=16_500)
    assert len(stt.streams[0].audio) == 96_000
    assert hearing.events == [Transcribed(TURN, "", FlushId(1)), Transcribed(TURN, "")]


async def test_a_turn_dropped_in_the_middle_of_long_audio_is_fed_no_further() -> None:
    stt = _Recorder()
    hearing = _Hearing(stt)
    hearing.listening.open(OPEN)
    hearing.listening.transcribe(Transcribe(TURN, _tone(5, 24_000)))
    hearing.listening.finish(FinishTranscription(TURN))
    await settled(lambda: bool(stt.log))
    hearing.listening.drop(DropTranscription(TURN))
    await settled(lambda: not hearing.listening.tasks())
    assert len(stt.streams[0].audio) < 40_000
    assert hearing.events == []


@pytest.mark.parametrize("end", ["finish", "drop", "fail", "release"])
async def test_a_turn_that_is_over_is_freed_without_the_collector(end: str) -> None:
    hearing = _Hearing(FakeRecognizer(feed_error=EngineError("Out of memory.") if end == "fail" else None))
    hearing.listening.open(OPEN)
    stream = weakref.ref(hearing.stt.streams.pop())
    gc.collect()
    gc.disable()
    try:
        hearing.listening.transcribe(Transcribe(TURN, bytes(48_000)))
        match end:
            case "finish" | "fail":
                hearing.listening.finish(FinishTranscription(TURN))
            case "drop":
                hearing.listening.drop(DropTranscription(TURN))
            case _:
                hearing.listening.release()
        hearing.stt.feed_error = None  # its traceback knows who raised it
        await settled(lambda: stream() is None)
    finally:
        gc.enable()


async def test_the_turns_of_one_session_share_its_part_of_the_recogniser() -> None:
    stt = FakeRecognizer()
    first, second = _Hearing(stt), _Hearing(stt)
    for hearing in (first, first, second):
        hearing.listening.open(replace(OPEN, turn=TurnId(len(stt.streams) + 1), live=len(stt.streams) != 1))
    shares = [stream.spec.share for stream in stt.streams]
    assert shares[0] is shares[1] is not shares[2]
    assert [stream.spec.live for stream in stt.streams] == [True, False, True]
