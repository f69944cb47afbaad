"""Half the rate of a voice: the band that is kept, what would alias, and that pieces do not matter."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from parley.audio.halving import REACH, Halving

IN_RATE = 48_000
OUT_RATE = 24_000


def tone(hz: float, rate: int, level: float = 20_000.0) -> NDArray[np.float32]:
    return (level * np.sin(2 * np.pi * hz * np.arange(rate // 2) / rate)).astype(np.float32)


def halved(audio: NDArray[np.float32], size: int = 960) -> NDArray[np.int16]:
    stream = Halving()
    return np.frombuffer(b"".join(stream.push(audio[at : at + size]) for at in range(0, len(audio), size)), np.int16)


@pytest.mark.parametrize("hz", [100.0, 3_600.0, 9_600.0])
def test_a_tone_comes_out_as_it_is_and_where_it_is(hz: float) -> None:
    made = halved(tone(hz, IN_RATE))
    wanted = tone(hz, OUT_RATE)[: len(made)]
    assert len(made) == (IN_RATE // 2 - REACH + 1) // 2
    assert np.abs(made - wanted)[100:].max() < 0.012 * 20_000


def test_what_would_alias_is_gone() -> None:
    assert np.abs(halved(tone(14_400.0, IN_RATE))[100:]).max() < 0.001 * 20_000


@pytest.mark.parametrize("size", [1, 2, 7, 37, 38, 39, 441, 960, 2_880])
def test_the_output_does_not_depend_on_how_the_input_was_cut(size: int) -> None:
    audio = np.random.default_rng(3).normal(0, 4_000, 12_000).astype(np.float32)
    assert np.array_equal(halved(audio, size), halved(audio, len(audio)))


def test_packets_are_even_and_full_scale_is_clipped() -> None:
    stream = Halving()
    sizes = [len(stream.push(np.zeros(960, np.float32))) for _ in range(20)]
    assert set(sizes[1:]) == {960}
    loud = halved(np.full(960, 40_000, np.float32))
    assert loud.max() == 32_767
    assert halved(np.full(960, -40_000, np.float32)).min() == -32_768
