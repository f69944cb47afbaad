"""A session's ears: what the recogniser is fed, what is answered, and what a failure does."""

from __future__ import annotations

import logging
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from parley.core.effects import (
    DropTranscription,
    FinishTranscription,
    FlushTranscription,
    JudgePause,
    OpenTranscription,
    Transcribe,
)
from parley.core.errors import Fault
from parley.core.events import Event, PartialTranscribed, PauseJudged, Transcribed, TranscriptionFailed
from parley.core.ids import FlushId, JudgementId, TurnId
from parley.core.settings import AudioFormat
from parley.engines.ports import EngineError, TokenLogprob, Transcript
from parley.runtime.listening import Listening
from parley.runtime.voice_worker import VoiceWorker
from parley.testing.fakes import FakeRecognizer, FakeTurnJudge, FakeVoiceActivity, Hold
from tests.runtime.rig import settled

TURN = TurnId(3)
OPEN = OpenTranscription(TURN, AudioFormat.PCM16, "", "names: Anna", ("Parley",), True)
JUDGE = JudgePause(TURN, JudgementId(5), "so I was", bytes(48_000), AudioFormat.PCM16, "")


class _Ears:
    def __init__(self, stt: FakeRecognizer, judge: FakeTurnJudge | None = None) -> None:
        self.stt = stt
        self.events: list[Event] = []
        voice = VoiceWorker(FakeVoiceActivity()).stream(lambda _: None, lambda _: None)
        self.listening = Listening(voice, judge, stt, "de", self.events.append)


def _tone(seconds: float, rate: int) -> bytes:
    times = np.arange(int(seconds * rate)) / rate
    return (16_384 * np.sin(2 * np.pi * 500 * times)).astype("<i2").tobytes()


async def test_the_recogniser_hears_the_whole_turn_at_its_own_rate() -> None:
    ears = _Ears(FakeRecognizer("hello"))
    audio = _tone(1.0, 24_000)
    ears.listening.open(OPEN)
    for at in range(0, len(audio), 1_000):
        ears.listening.transcribe(Transcribe(TURN, audio[at : at + 1_000]))
    ears.listening.finish(FinishTranscription(TURN))
    await settled(lambda: bool(ears.events))
    heard = ears.stt.streams[0].audio
    expected = 0.5 * np.sin(2 * np.pi * 500 * np.arange(16_000) / 16_000)
    assert heard.dtype == np.float32
    assert len(heard) == 16_000
    assert np.abs(heard - expected)[100:-100].max() < 0.001
    assert ears.events == [Transcribed(TURN, "hello")]


async def test_the_recogniser_is_told_the_clients_hints_and_the_pipelines_language() -> None:
    ears = _Ears(FakeRecognizer())
    ears.listening.open(OPEN)
    spec = ears.stt.streams[0].spec
    assert (spec.language, spec.prompt, spec.keywords, spec.logprobs) == ("de", "names: Anna", ("Parley",), True)


async def test_the_clients_choice_of_languages_goes_over_the_pipelines_language() -> None:
    ears = _Ears(FakeRecognizer())
    ears.listening.open(replace(OPEN, languages=("pt", "es")))
    spec = ears.stt.streams[0].spec
    assert (spec.language, spec.languages) == ("", ("pt", "es"))


async def test_partials_flushes_and_the_final_come_in_order_with_their_ids() -> None:
    ears = _Ears(
        FakeRecognizer("the cat", Transcript("the cat sat", language="en", logprobs=(TokenLogprob("é", -0.5),)))
    )
    ears.listening.open(OPEN)
    ears.stt.streams[0].say("the", "the")
    ears.listening.flush(FlushTranscription(TURN, FlushId(9)))
    await settled(lambda: len(ears.events) == 2)
    ears.listening.finish(FinishTranscription(TURN))
    await settled(lambda: len(ears.events) == 3)
    assert ears.events[:2] == [PartialTranscribed(TURN, "the", "the"), Transcribed(TURN, "the cat", FlushId(9))]
    final = ears.events[2]
    assert isinstance(final, Transcribed)
    assert (final.text, final.flush, final.language) == ("the cat sat", None, "en")
    assert msgspec.json.decode(final.logprobs) == [{"token": "é", "logprob": -0.5, "bytes": [195, 169]}]


async def test_a_dropped_turn_is_never_answered() -> None:
    held = Hold()
    ears = _Ears(FakeRecognizer(held, "too late"))
    ears.listening.open(OPEN)
    ears.listening.flush(FlushTranscription(TURN, FlushId(9)))
    await settled(held.reached.is_set)
    ears.listening.drop(DropTranscription(TURN))
    ears.stt.streams[0].say("still talking")
    held.event.set()
    ears.listening.open(OPEN)
    ears.listening.finish(FinishTranscription(TURN))
    await settled(lambda: bool(ears.events))
    assert ears.events == [Transcribed(TURN, "too late")], (
        "this is the second turn's; the first's answer was taken back"
    )
    assert ears.stt.streams[0].closed


async def test_a_recogniser_that_fails_says_so_at_once_and_again_to_whoever_asks() -> None:
    ears = _Ears(FakeRecognizer(feed_error=EngineError("Out of memory.", code="out_of_memory")))
    failed = TranscriptionFailed(TURN, Fault("out_of_memory", "Out of memory."))
    ears.listening.open(OPEN)
    ears.listening.transcribe(Transcribe(TURN, bytes(48_000)))
    assert ears.events == [failed]
    ears.listening.transcribe(Transcribe(TURN, bytes(48_000)))
    ears.listening.finish(FinishTranscription(TURN))
    assert ears.events == [failed, failed]
    assert ears.stt.streams[0].closed


async def test_a_recogniser_that_cannot_begin_or_end_fails_the_turn() -> None:
    ears = _Ears(FakeRecognizer(EngineError("Busy.", code="busy"), "well again"))
    ears.listening.open(OPEN)
    ears.listening.finish(FinishTranscription(TURN))
    await settled(lambda: bool(ears.events))
    assert ears.events == [TranscriptionFailed(TURN, Fault("busy", "Busy."))]
    ears.listening.open(OPEN)
    ears.listening.finish(FinishTranscription(TURN))
    await settled(lambda: len(ears.events) == 2)
    assert ears.events[1] == Transcribed(TURN, "well again")


async def test_the_turn_judge_hears_the_pause_and_its_answer_is_posted() -> None:
    judge = FakeTurnJudge(0.25)
    ears = _Ears(FakeRecognizer(), judge)
    ears.listening.judge(JUDGE)
    await settled(lambda: bool(ears.events))
    assert ears.events == [PauseJudged(TURN, JudgementId(5), 0.25)]
    assert (judge.asked[0].text, judge.asked[0].language, len(judge.asked[0].audio)) == ("so I was", "de", 16_000)


async def test_how_sure_the_recogniser_is_reaches_the_core_and_from_there_the_judge() -> None:
    judge = FakeTurnJudge(0.25)
    ears = _Ears(FakeRecognizer(Transcript("so I was", confidence=0.3)), judge)
    ears.listening.open(OPEN)
    ears.listening.finish(FinishTranscription(TURN))
    await settled(lambda: bool(ears.events))
    assert ears.events == [Transcribed(TURN, "so I was", confidence=0.3)]
    ears.listening.judge(replace(JUDGE, confidence=0.3))
    await settled(lambda: bool(judge.asked))
    assert judge.asked[0].confidence == 0.3


async def test_only_the_last_question_to_the_judge_is_answered() -> None:
    ears = _Ears(FakeRecognizer(), FakeTurnJudge(0.5))
    ears.listening.judge(JUDGE)
    ears.listening.judge(JudgePause(TURN, JudgementId(6), "", b"", AudioFormat.PCM16, ""))
    await settled(lambda: bool(ears.events))
    assert ears.events == [PauseJudged(TURN, JudgementId(6), 0.5)]


async def test_a_judge_that_fails_is_logged_once_and_costs_only_its_answer(caplog: pytest.LogCaptureFixture) -> None:
    judge = FakeTurnJudge(RuntimeError("no weights"))
    ears = _Ears(FakeRecognizer(), judge)
    for count in (1, 2):
        ears.listening.judge(JUDGE)
        await settled(lambda count=count: len(judge.asked) == count)  # type: ignore[misc]
    assert not ears.events
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
