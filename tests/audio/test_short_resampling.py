"""Resampling for live voices: short, even, and without anything that is heard."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from parley.audio.short_resampling import ShortResampler

PAIRS = [(48_000, 24_000), (44_100, 24_000), (48_000, 16_000), (16_000, 24_000), (24_000, 48_000), (8_000, 24_000)]


def resampled(audio: NDArray[np.float32], in_rate: int, out_rate: int, size: int = 480) -> NDArray[np.float32]:
    stream = ShortResampler(in_rate, out_rate)
    parts = [stream.push(audio[at : at + size]) for at in range(0, len(audio), size)]
    return np.concatenate([*parts, stream.finish()])


def tone(hz: float, rate: int, seconds: float = 0.5) -> NDArray[np.float32]:
    return np.sin(2 * np.pi * hz * np.arange(round(rate * seconds)) / rate).astype(np.float32)


@pytest.mark.parametrize(("in_rate", "out_rate"), PAIRS)
@pytest.mark.parametrize("share", [0.02, 0.3, 0.8])
def test_a_tone_comes_out_as_it_is_and_where_it_is(in_rate: int, out_rate: int, share: float) -> None:
    hz = share * min(in_rate, out_rate) / 2
    made = resampled(tone(hz, in_rate), in_rate, out_rate)
    wanted = tone(hz, out_rate)
    assert len(made) == len(wanted)
    middle = slice(out_rate // 20, -out_rate // 20)
    assert np.abs(made - wanted)[middle].max() < 0.012


@pytest.mark.parametrize(("in_rate", "out_rate"), [(48_000, 24_000), (44_100, 24_000), (48_000, 16_000)])
def test_what_would_alias_is_gone(in_rate: int, out_rate: int) -> None:
    hz = 1.2 * out_rate / 2
    made = resampled(tone(hz, in_rate), in_rate, out_rate)
    assert np.abs(made[out_rate // 20 : -out_rate // 20]).max() < 0.001


@pytest.mark.parametrize(("in_rate", "out_rate"), PAIRS)
def test_the_delay_is_what_it_says_and_pieces_are_even(in_rate: int, out_rate: int) -> None:
    stream = ShortResampler(in_rate, out_rate)
    sizes = [len(stream.push(np.zeros(in_rate // 100, np.float32))) for _ in range(200)]
    assert stream.lag_ms < 3
    assert 2_000 - 1000 * sum(sizes) / out_rate == pytest.approx(stream.lag_ms, abs=1000 / out_rate)
    assert max(sizes[1:]) - min(sizes[1:]) <= 1


@pytest.mark.parametrize(("in_rate", "out_rate"), PAIRS)
@pytest.mark.parametrize("size", [1, 333, 20_000])
def test_each_sample_is_given_as_soon_as_its_filter_is_full(in_rate: int, out_rate: int, size: int) -> None:
    stream = ShortResampler(in_rate, out_rate)
    fed = made = 0
    while fed < in_rate // 4:
        made += len(stream.push(np.zeros(size, np.float32)))
        fed += size
        assert fed / in_rate - stream.lag_ms / 1000 - 1 / in_rate - 1 / out_rate <= made / out_rate <= fed / in_rate


def test_the_output_does_not_depend_on_how_the_input_was_cut() -> None:
    audio = np.random.default_rng(1).normal(0, 0.1, 20_000).astype(np.float32)
    whole = resampled(audio, 44_100, 24_000, len(audio))
    for size in (1, 7, 441, 4_096):
        assert np.array_equal(resampled(audio, 44_100, 24_000, size), whole)


def test_equal_rates_pass_through_and_impossible_ones_are_refused() -> None:
    audio = tone(440, 48_000)
    assert ShortResampler(48_000, 48_000).push(audio) is audio
    assert not len(ShortResampler(48_000, 48_000).finish())
    with pytest.raises(ValueError, match="must be positive"):
        ShortResampler(0, 24_000)
    with pytest.raises(ValueError, match="23999 Hz"):
        ShortResampler(24_000, 23_999)
