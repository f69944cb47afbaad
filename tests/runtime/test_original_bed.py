"""What lies under the output that a link plays at its own pace."""

from __future__ import annotations

import numpy as np
import pytest

from parley.audio import pcm
from parley.audio.types import Samples
from parley.core.words.effects import Play
from parley.core.words.events import AudioArrived, SessionCloseRequested, WindDownRequested
from parley.core.words.ids import ResponseId
from parley.core.words.settings import AudioFormat
from parley.runtime.original_bed import LEAD, MOST, MixingLoudspeaker, OriginalBed
from parley.server.links.output_queue import OutputQueue

MS = 24
TICK = 20 * MS


class Call:
    """A queue with a bed, whose link takes 20 ms every 20 ms."""

    def __init__(self, under: float = 0.1) -> None:
        self.bed = OriginalBed(under)
        self.queue = OutputQueue()
        self.queue.play_over(self.bed)
        self.out: list[Samples] = []
        self.spoken = 0

    def speaks(self, ms: int, level: float = 0.5) -> None:
        """The speaker, all at once."""
        self.bed.on_step(AudioArrived(sound(ms, level)), 0, ())

    def translates(self, ms: int, level: float = 0.25) -> None:
        self.queue.play(Play(ResponseId("r"), sound(ms, level), AudioFormat.PCM16, 0))

    def passes(self, ms: int, level: float | None = None) -> Samples:
        """The link takes; with a `level`, the speaker speaks meanwhile."""
        began = len(self.out)
        for _ in range(ms // 20):
            if level is not None:
                self.speaks(20, level)
            audio, speech = self.queue.take(TICK)
            self.out.append(pcm.to_float(audio))
            self.spoken += speech
        return np.concatenate(self.out[began:])


def sound(ms: int, level: float) -> bytes:
    return pcm.to_bytes(np.full(ms * MS, level, np.float32))


def test_a_queue_mixes_what_comes_out_as_pcm16_only() -> None:
    assert isinstance(OutputQueue(), MixingLoudspeaker)
    with pytest.raises(ValueError, match="under PCM16"):
        OutputQueue(AudioFormat.PCMU).play_over(OriginalBed(0.1))


def test_the_speaker_is_heard_as_loud_as_it_came_in_a_moment_later() -> None:
    call = Call()
    heard = call.passes(1_000, 0.5)
    begins = int(np.argmax(heard > 0))
    assert LEAD - TICK <= begins <= LEAD
    assert np.allclose(heard[begins + 6 * MS :], 0.5, atol=1e-3)
    assert call.spoken == 0


def test_the_translation_goes_out_at_once_over_the_softened_speaker_and_only_it_is_counted() -> None:
    call = Call(under=0.1)
    call.passes(200, 0.5)
    call.translates(300)
    heard = call.passes(1_000, 0.5)
    assert call.spoken == 300 * MS
    assert np.allclose(heard[30 * MS : 300 * MS], 0.25 + 0.05, atol=1e-3)
    assert np.allclose(heard[-100 * MS :], 0.5, atol=1e-3)


def test_the_translation_does_not_wait_for_a_speaker_who_sends_nothing() -> None:
    call = Call()
    call.translates(300)
    heard = call.passes(400)
    assert np.allclose(heard[: 300 * MS], 0.25, atol=1e-3)
    assert not heard[300 * MS :].any()


def test_an_interruption_drops_the_translation_and_not_the_speaker() -> None:
    call = Call(under=0.0)
    call.passes(200, 0.5)
    call.translates(3_000)
    call.passes(100, 0.5)
    call.queue.stop()
    assert np.allclose(call.passes(1_000, 0.5)[-100 * MS :], 0.5, atol=1e-3)
    assert call.spoken == 100 * MS


def test_what_comes_late_leaves_silence_with_soft_edges_and_no_lasting_delay() -> None:
    call = Call()
    call.passes(400, 0.5)
    missing = call.passes(200)
    assert np.abs(np.diff(missing)).max() < 0.01, "no click"
    call.speaks(200)
    heard = call.passes(1_000, 0.5)
    assert np.abs(np.diff(heard)).max() < 0.01
    assert np.allclose(heard[100 * MS :], 0.5, atol=1e-3)
    call.passes(100, 0.0)
    assert not call.passes(40).any(), "what exceeds the lead was left out where the speaker was silent"


def test_minutes_at_once_are_cut_to_their_end() -> None:
    call = Call()
    call.bed.hear(sound(600_000, 0.5) + sound(100, 0.3))
    heard = call.passes(1_000)
    assert np.flatnonzero(heard)[-1] < LEAD
    assert np.allclose(heard[10 * MS : LEAD - 10 * MS], 0.3, atol=1e-3)


def test_the_clock_of_a_fast_client_never_makes_it_late() -> None:
    call = Call()
    for _ in range(3_000):
        call.speaks(1)
        call.passes(20, 0.5)
    call.bed.on_step(SessionCloseRequested(), 0, ())
    left = call.passes(1_000)
    assert np.flatnonzero(left).max(initial=0) <= MOST


@pytest.mark.parametrize("end", [SessionCloseRequested(), WindDownRequested()])
def test_once_the_end_is_asked_for_no_more_is_passed_on(end: SessionCloseRequested | WindDownRequested) -> None:
    call = Call()
    call.passes(200, 0.5)
    call.bed.on_step(end, 0, ())
    heard = call.passes(400, 0.9)
    assert np.flatnonzero(heard)[-1] < LEAD, "but for what has waited"
    assert heard.max() < 0.6
    call.translates(100)
    assert np.allclose(call.passes(100), 0.25, atol=1e-3)


def test_a_sample_may_be_split_between_two_pieces() -> None:
    call = Call()
    audio = sound(200, 0.5)
    call.bed.hear(audio[:2_401])
    call.bed.hear(audio[2_401:])
    heard = call.passes(100)
    assert np.allclose(heard[6 * MS :], 0.5, atol=1e-3)


def test_nothing_is_left_once_the_session_is_over() -> None:
    call = Call()
    call.speaks(150)
    call.bed.close()
    assert not call.passes(200, 0.5).any()
