"""The one voice model of all sessions: the same scores whatever came in which pieces and beside whom."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from itertools import cycle
from time import perf_counter

import numpy as np
import pytest
from numpy.typing import NDArray

from parley.audio import g711
from parley.audio.resampling import resample_int16
from parley.core.words.events import VoiceScored
from parley.core.words.settings import AudioFormat
from parley.engines.vad.silero import SileroVad
from parley.runtime.voice_worker import VoiceStream, VoiceWorker
from parley.testing.fakes import FakeVoiceActivity
from tests.runtime.rig import settled

Speech = Callable[[str], tuple[NDArray[np.int16], int]]
Scores = list[tuple[int, float]]


@pytest.fixture
async def silero() -> AsyncIterator[SileroVad]:
    model = SileroVad()
    await model.open()
    yield model
    await model.close()


class _Scored:
    """One stream and the scores it has had."""

    def __init__(self, worker: VoiceWorker) -> None:
        self.scores: Scores = []
        self.failures: list[Exception] = []
        self.stream: VoiceStream = worker.stream(self._scored, self.failures.append)
        self._at = 0

    def _scored(self, event: VoiceScored) -> None:
        self.scores.append((event.end_sample, event.probability))

    def hear(self, audio: bytes, sizes: Iterator[int], format: AudioFormat = AudioFormat.PCM16) -> None:
        at = 0
        while at < len(audio):
            piece = audio[at : at + next(sizes)]
            self.stream.hear(self._at, piece, format)
            self._at += format.samples(len(piece))
            at += len(piece)


def _clip(speech: Speech, name: str, seconds: float = 8) -> bytes:
    pcm, rate = speech(name)
    at_24 = resample_int16(pcm, rate, 24_000) if rate != 24_000 else pcm
    return at_24[: int(24_000 * seconds)].astype("<i2").tobytes()


async def _scores(
    worker: VoiceWorker, audio: bytes, sizes: Iterator[int], format: AudioFormat = AudioFormat.PCM16
) -> Scores:
    one = _Scored(worker)
    one.hear(audio, sizes, format)
    frames = format.samples(len(audio)) // 768
    await settled(lambda: len(one.scores) >= frames)
    one.stream.release()
    return one.scores


async def test_the_scores_do_not_depend_on_how_the_audio_was_cut(silero: SileroVad, speech: Speech) -> None:
    audio = _clip(speech, "beckett")
    worker = VoiceWorker(silero)
    whole = await _scores(worker, audio, cycle([len(audio)]))
    assert max(probability for _, probability in whole) > 0.9
    assert min(probability for _, probability in whole) < 0.1
    assert [end for end, _ in whole] == [768 * (n + 1) for n in range(len(whole))]
    for sizes in ([960], [2], [640, 1922, 26, 50_000], [9_600], [9_602]):
        assert await _scores(worker, audio, cycle(sizes)) == whole, sizes


async def test_the_scores_do_not_depend_on_who_else_speaks(silero: SileroVad, speech: Speech) -> None:
    clips = [_clip(speech, name, 4) for name in ("beckett", "two_cities", "weather_question", "hello_world")]
    worker = VoiceWorker(silero)
    alone = [await _scores(worker, clip, cycle([960])) for clip in clips]
    together = await asyncio.gather(*(_scores(worker, clips[n % 4], cycle([320 + 2 * n])) for n in range(100)))
    for number, scores in enumerate(together):
        assert scores == alone[number % 4]


async def test_telephone_audio_is_scored_on_the_same_positions(silero: SileroVad, speech: Speech) -> None:
    pcm = np.frombuffer(_clip(speech, "weather_question"), "<i2")
    codes = g711.encode_mulaw(resample_int16(pcm, 24_000, 8_000)).tobytes()
    scores = await _scores(VoiceWorker(silero), codes, cycle([160]), AudioFormat.PCMU)
    assert [end for end, _ in scores] == [768 * (n + 1) for n in range(len(scores))]
    assert max(probability for _, probability in scores) > 0.9


async def test_callers_of_different_encodings_share_a_model(silero: SileroVad, speech: Speech) -> None:
    pcm = np.frombuffer(_clip(speech, "weather_question"), "<i2")
    at_8k = resample_int16(pcm, 24_000, 8_000)
    heard = {
        AudioFormat.PCM16: (pcm.tobytes(), 960),
        AudioFormat.PCMU: (g711.encode_mulaw(at_8k).tobytes(), 160),
        AudioFormat.PCMA: (g711.encode_alaw(at_8k).tobytes(), 160),
    }
    worker = VoiceWorker(silero)
    alone = [await _scores(worker, audio, cycle([size]), format) for format, (audio, size) in heard.items()]
    together = await asyncio.gather(
        *(_scores(worker, audio, cycle([size]), format) for format, (audio, size) in [*heard.items()] * 3)
    )
    assert together == alone * 3


async def test_a_burst_after_a_stall_loses_nothing_and_delays_no_other_session() -> None:
    model = FakeVoiceActivity()
    worker = VoiceWorker(model)
    late, calm = _Scored(worker), _Scored(worker)
    late.hear(bytes(48 * 20_000), cycle([960]))
    calm.hear(bytes(48 * 40), cycle([960]))
    await settled(lambda: bool(calm.scores))
    assert model.batches[0] == 2, "a lone frame shares the first batch with one frame of the burst"
    await settled(lambda: len(late.scores) == 20_000 * 24 // 768)
    assert late.scores[-1][0] == 480_000


async def test_no_batch_is_longer_than_the_event_loop_can_bear() -> None:
    model = FakeVoiceActivity()
    worker = VoiceWorker(model)
    sessions = [_Scored(worker) for _ in range(150)]
    for one in sessions:
        one.hear(bytes(48 * 70), cycle([48 * 70]))
    await settled(lambda: all(len(one.scores) == 2 for one in sessions))
    assert max(model.batches) == 64
    assert len(model.batches) == 5


async def test_a_gap_in_the_positions_begins_a_new_stream(silero: SileroVad, speech: Speech) -> None:
    audio = _clip(speech, "weather_question")
    worker = VoiceWorker(silero)
    fresh = await _scores(worker, audio, cycle([960]))
    one = _Scored(worker)
    one.stream.hear(0, audio[:9_000], AudioFormat.PCM16)
    await settled(lambda: len(one.scores) >= 5)
    one.scores.clear()
    one.stream.hear(1_000_000, audio, AudioFormat.PCM16)
    await settled(lambda: len(one.scores) == len(fresh))
    assert one.scores == [(1_000_000 + end, probability) for end, probability in fresh]


async def test_a_new_stream_that_begins_before_the_old_one_was_scored_replaces_it() -> None:
    worker = VoiceWorker(FakeVoiceActivity())
    one = _Scored(worker)
    one.stream.hear(0, bytes(48 * 100), AudioFormat.PCM16)
    one.stream.hear(240_000, bytes(48 * 20), AudioFormat.PCM16)
    one.stream.hear(240_480, bytes(48 * 50), AudioFormat.PCM16)
    await settled(lambda: len(one.scores) == 2)
    assert [end for end, _ in one.scores] == [240_768, 241_536]


@pytest.mark.parametrize("format", list(AudioFormat))
async def test_a_frame_is_scored_as_soon_as_its_last_sample_has_come(format: AudioFormat) -> None:
    worker = VoiceWorker(FakeVoiceActivity())
    one = _Scored(worker)
    for count in range(1, 9):
        one.hear(bytes(32 * format.bytes_per_ms), cycle([32 * format.bytes_per_ms]), format)
        await settled(lambda count=count: len(one.scores) == count)  # type: ignore[misc]


async def test_a_released_stream_is_not_scored_any_more() -> None:
    model = FakeVoiceActivity()
    worker = VoiceWorker(model)
    gone, here = _Scored(worker), _Scored(worker)
    gone.hear(bytes(9_600), cycle([960]))
    here.hear(bytes(9_600), cycle([960]))
    gone.stream.release()
    gone.stream.release()
    await settled(lambda: len(here.scores) == 6)
    assert not gone.scores
    assert model.slots == {here.stream.slot}


async def test_a_model_that_fails_for_one_stream_fails_that_stream_only() -> None:
    class Picky(FakeVoiceActivity):
        def score(self, slots: object, frames: NDArray[np.float32]) -> NDArray[np.float32]:
            if np.abs(frames).max() > 0.9:
                raise ValueError("too loud")
            return np.zeros(len(frames), np.float32)

    worker = VoiceWorker(Picky())
    loud, quiet = _Scored(worker), _Scored(worker)
    loud.hear(np.full(2_400, 32_000, "<i2").tobytes(), cycle([960]))
    quiet.hear(bytes(4_800), cycle([960]))
    await settled(lambda: len(quiet.scores) == 3)
    assert len(loud.failures) == 3
    assert loud.scores == [(768, 0.0), (1536, 0.0), (2304, 0.0)], "a stream that goes on keeps its place"
    assert not quiet.failures


async def test_a_stream_that_ends_with_its_failure_is_scored_no_more() -> None:
    worker = VoiceWorker(FakeVoiceActivity())
    worker.model.error = ValueError("out of order")  # type: ignore[attr-defined]
    scores: list[object] = []
    failures: list[Exception] = []

    def give_up(error: Exception) -> None:
        failures.append(error)
        stream.release()

    stream = worker.stream(scores.append, give_up)
    stream.hear(0, bytes(4_800), AudioFormat.PCM16)
    worker.score_pending()
    assert len(failures) == 1
    assert not scores


async def test_a_loop_that_runs_late_shows_in_the_lag_and_is_forgotten_in_time() -> None:
    worker = VoiceWorker(FakeVoiceActivity())
    one = _Scored(worker)
    assert worker.tick_lag_ms == 0
    loop = asyncio.get_running_loop()
    for count in range(1, 30):
        one.hear(bytes(1_536), cycle([1_536]))
        until = loop.time() + 0.025
        while loop.time() < until:  # the loop is kept busy, as by somebody's long computation
            pass
        await settled(lambda count=count: len(one.scores) >= count - 1)  # type: ignore[misc]
    assert 5 < worker.tick_lag_ms < 100


class _SlowModel(FakeVoiceActivity):
    """Takes 8 ms for every batch."""

    def score(self, slots: Sequence[int], frames: NDArray[np.float32]) -> NDArray[np.float32]:
        until = perf_counter() + 0.008
        while perf_counter() < until:
            pass
        return super().score(slots, frames)


async def test_a_model_that_cannot_follow_shows_in_the_lag_though_no_single_tick_is_late() -> None:
    worker = VoiceWorker(_SlowModel())
    sessions = [
        _Scored(worker) for _ in range(384)
    ]  # six batches: each turn round takes 48 ms, and brings 32 ms of audio
    for one in sessions:
        one.hear(bytes(1_536 * 12), cycle([1_536]))
    await settled(lambda: all(len(one.scores) >= 11 for one in sessions))
    assert worker.tick_lag_ms > 30


async def test_one_client_that_pushes_a_recording_is_no_lag() -> None:
    worker = VoiceWorker(FakeVoiceActivity())
    pushing, talking = _Scored(worker), _Scored(worker)
    pushing.hear(bytes(1_536 * 2_000), cycle([1_536]))
    talking.hear(bytes(1_536), cycle([1_536]))
    await settled(lambda: len(pushing.scores) >= 1_999)
    assert talking.scores
    assert worker.tick_lag_ms < 30
