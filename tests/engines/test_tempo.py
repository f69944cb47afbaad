"""Faster and slower speech keeps its pitch."""

from __future__ import annotations

import numpy as np
import pytest

from parley.engines.tts.tempo import Tempo

RATE = 24_000


@pytest.mark.parametrize("speed", [0.25, 0.4, 0.7, 1.5, 2.0, 4.0])
def test_speech_is_as_much_shorter_as_asked_and_keeps_its_pitch(speed: float) -> None:
    times = np.arange(2 * RATE) / RATE
    sound = (0.5 * np.sin(2 * np.pi * 300 * times)).astype(np.float32)
    tempo = Tempo(RATE, speed)
    audio = np.concatenate([*(tempo.feed(piece) for piece in np.split(sound, 25)), tempo.end()])
    assert len(audio) == pytest.approx(len(sound) / speed, rel=0.05)
    spectrum = np.abs(np.fft.rfft(audio))
    assert np.fft.rfftfreq(len(audio), 1 / RATE)[spectrum.argmax()] == pytest.approx(300, abs=5)
    assert np.abs(audio).max() <= 0.51


def test_nothing_said_is_nothing_heard() -> None:
    tempo = Tempo(RATE, 1.5)
    assert tempo.feed(np.zeros(0, np.float32)).size == 0
    assert tempo.end().size == 0
