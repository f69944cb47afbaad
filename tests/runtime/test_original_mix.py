"""What the listener of a translation session hears where the speaker is heard too."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest

from parley.audio import pcm
from parley.audio.types import Samples
from parley.core.words.effects import Play
from parley.core.words.events import AudioArrived, SessionCloseRequested, WindDownRequested
from parley.core.words.ids import ResponseId
from parley.core.words.settings import AudioFormat
from parley.runtime.original_mix import LEAD_S, LONGEST, MOST, STALLED_S, OriginalMix

RATE = 24_000


@dataclass
class Alarm:
    at: float
    callback: Callable[[], object]
    cancelled: bool = False

    def cancel(self) -> None:
        self.cancelled = True


@dataclass
class Clock:
    """Timers that ring when the test moves the time."""

    now: float = 100.0
    alarms: list[Alarm] = field(default_factory=list)

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, callback: Callable[[], object], /) -> Alarm:
        self.alarms.append(Alarm(self.now + delay, callback))
        return self.alarms[-1]

    def pass_(self, seconds: float) -> None:
        end = self.now + seconds
        while due := [one for one in self.alarms if one.at <= end + 1e-9 and not one.cancelled]:
            first = min(due, key=lambda one: one.at)
            self.alarms.remove(first)
            self.now = max(self.now, first.at)
            first.callback()
        self.now = end


class Scene:
    def __init__(self, under: float = 0.0) -> None:
        self.clock = Clock()
        self.sent: list[tuple[bytes, int | None]] = []
        self.played = 0
        self.mix = OriginalMix(under, self.clock)
        self.mix.connect(lambda audio, elapsed_ms: self.sent.append((audio, elapsed_ms)), self._count)

    def _count(self, samples: int) -> None:
        self.played += samples

    def speak(self, ms: int, level: float = 0.5, *, live: bool = True) -> None:
        """The speaker's audio, in chunks of 20 ms; `live`: in real time."""
        for _ in range(ms // 20):
            self.mix.on_step(AudioArrived(sound(20, level)), 0, ())
            if live:
                self.clock.pass_(0.02)

    def translate(self, ms: int, elapsed_ms: int = 0, level: float = 0.25) -> None:
        self.mix.play(Play(ResponseId("r"), sound(ms, level), AudioFormat.PCM16, elapsed_ms))

    @property
    def heard(self) -> Samples:
        return pcm.to_float(b"".join(audio for audio, _ in self.sent))

    @property
    def heard_ms(self) -> int:
        return len(self.heard) * 1_000 // RATE


def sound(ms: int, level: float) -> bytes:
    return pcm.to_bytes(np.full(ms * RATE // 1_000, level, np.float32))


def test_the_speaker_is_heard_as_it_is_while_nothing_is_translated() -> None:
    scene = Scene()
    scene.speak(500)
    assert np.allclose(scene.heard, 0.5)
    assert (scene.heard_ms, scene.played) == (500, 0)


def test_the_translation_lies_over_the_softened_speaker_and_output_keeps_the_time_of_the_input() -> None:
    scene = Scene(under=0.2)
    scene.translate(300, elapsed_ms=200)
    scene.speak(1_000)
    assert scene.heard_ms == 1_000
    assert scene.played == 300 * 24
    assert np.allclose(scene.heard[30 * 24 : 300 * 24], 0.25 + 0.1, atol=1e-3)
    assert np.allclose(scene.heard[-100 * 24 :], 0.5, atol=1e-3)


def test_positions_are_those_of_the_words_that_are_heard() -> None:
    scene = Scene()
    scene.speak(100)
    scene.translate(100, elapsed_ms=400)
    scene.translate(100, elapsed_ms=1_200)
    scene.speak(300)
    positions = [at for _, at in scene.sent]
    assert positions == [None] * 5 + [400] * 5 + [1_200] * 5 + [None] * 5


def test_where_the_speaker_stops_sending_the_translation_goes_out_alone_in_real_time() -> None:
    scene = Scene()
    scene.speak(100)
    scene.translate(2_000)
    scene.clock.pass_(STALLED_S - 0.01)
    assert scene.heard_ms == 100, "it might come any moment"
    scene.clock.pass_(1.01)
    assert 100 + 1_000 * (1.0 + LEAD_S) >= scene.heard_ms >= 100 + 1_000 * LEAD_S
    scene.clock.pass_(5.0)
    assert scene.heard_ms == 2_100
    assert scene.played == 2_000 * 24
    assert not scene.clock.alarms, "nothing waits without need"
    scene.translate(200)
    scene.clock.pass_(0.0)
    assert scene.heard_ms == 2_300, "what comes later does not wait again"


def test_what_went_out_alone_is_made_up_for_where_the_speaker_is_silent() -> None:
    scene = Scene()
    scene.translate(500)
    scene.clock.pass_(5.0)
    assert scene.heard_ms == 500
    scene.speak(400)
    assert scene.heard_ms == 900, "no word is lost"
    scene.speak(2_000, level=0.001)
    assert scene.heard_ms == 400 + 2_000, "the output is as long as the input again"


def test_input_ends_the_lonely_translation_at_once() -> None:
    scene = Scene()
    scene.translate(3_000)
    scene.clock.pass_(STALLED_S + 0.5)
    alone = scene.heard_ms
    scene.speak(1_000)
    assert scene.heard_ms == alone + 1_000
    scene.clock.pass_(STALLED_S - 0.1)
    assert scene.heard_ms == alone + 1_000, "it has to stop anew"


@pytest.mark.parametrize("end", [SessionCloseRequested(), WindDownRequested()])
def test_at_the_end_all_goes_out_as_it_is_made(end: SessionCloseRequested | WindDownRequested) -> None:
    scene = Scene()
    scene.speak(40)
    scene.translate(3_000)
    scene.mix.on_step(end, 0, ())
    assert scene.heard_ms == 3_040
    scene.translate(1_000)
    assert scene.heard_ms == 4_040
    scene.speak(100)
    assert scene.heard_ms == 4_040, "what is sent after the close is not passed on"
    assert scene.played == 4_000 * 24


def test_samples_that_are_split_over_two_messages_and_minutes_in_one() -> None:
    scene = Scene()
    whole = sound(3_000, 0.5)
    for begin, end in ((0, 1), (1, 4), (4, 9), (9, len(whole))):
        scene.mix.hear(whole[begin:end])
    assert b"".join(audio for audio, _ in scene.sent) == whole
    assert max(len(audio) for audio, _ in scene.sent) == 2 * LONGEST


def test_of_minutes_in_one_message_the_beginning_is_passed_on() -> None:
    scene = Scene()
    scene.mix.hear(sound(60_000, 0.5))
    assert scene.heard_ms == MOST * 1_000 // RATE
    scene.speak(100)
    assert scene.heard_ms == MOST * 1_000 // RATE + 100


def test_stopped_speech_is_not_heard() -> None:
    scene = Scene()
    scene.translate(500)
    scene.mix.stop()
    scene.speak(500)
    assert (scene.played, scene.heard_ms) == (0, 500)


def test_a_session_that_is_over_is_let_go() -> None:
    scene = Scene()
    gone = weakref.ref(scene)
    mix, clock = scene.mix, scene.clock
    scene.translate(500)
    mix.close()
    del scene
    gc.collect()
    assert gone() is None
    clock.pass_(10.0)
    mix.hear(sound(20, 0.5))
