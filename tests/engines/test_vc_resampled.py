"""A converter at another rate: exact counts, the declared delay, and the same sound."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley.engines.ports import ConversionSpec
from parley.engines.vc.bench import BenchConverter
from parley.engines.vc.resampled import LowDelayResampler, ResampledConverter, at_rate

RATES = [(48_000, 24_000), (16_000, 24_000), (44_100, 24_000), (24_000, 40_000), (8_000, 48_000)]


@pytest.mark.parametrize(("there", "back"), [*RATES, *((back, there) for there, back in RATES)])
def test_a_tone_stays_the_same_tone_at_the_same_time(there: int, back: int) -> None:
    stream = LowDelayResampler(there, back)
    tone = np.sin(2 * np.pi * 440 * np.arange(there // 2) / there).astype(np.float32)
    parts, fed, made = [], 0, 0
    for at in range(0, len(tone), 333):
        parts.append(stream.push(tone[at : at + 333]))
        fed, made = min(len(tone), at + 333), made + len(parts[-1])
        assert made / back <= fed / there + 1 / back
        assert made / back >= fed / there - stream.delay_s - 1 / back
    whole = np.concatenate([*parts, stream.finish()])
    wanted = np.sin(2 * np.pi * 440 * np.arange(back // 2) / back)
    assert len(whole) == len(wanted)
    margin = back // 100
    np.testing.assert_allclose(whole[margin:-margin], wanted[margin:-margin], atol=2e-4)


@given(st.sampled_from(RATES), st.lists(st.integers(1, 3_000), max_size=12))
def test_the_pieces_do_not_matter(rates: tuple[int, int], sizes: list[int]) -> None:
    audio = np.random.default_rng(1).uniform(-1, 1, sum(sizes)).astype(np.float32)
    one, other = LowDelayResampler(*rates), LowDelayResampler(*rates)
    parts, at = [np.zeros(0, np.float32)], 0
    for size in sizes:
        parts.append(one.push(audio[at : at + size]))
        at += size
    whole = np.concatenate([other.push(audio), other.finish()])
    np.testing.assert_allclose(np.concatenate([*parts, one.finish()]), whole, atol=1e-6)


@pytest.mark.parametrize("rate", [16_000, 44_100, 48_000])
@pytest.mark.parametrize("size", [100, 480, 5_000])
async def test_a_stream_at_another_rate_keeps_its_contract(rate: int, size: int) -> None:
    converter = ResampledConverter(BenchConverter(20, 0), rate)
    latency = round(converter.latency_ms * rate / 1_000)
    stream = converter.open_stream(ConversionSpec(context=np.zeros(rate, np.float32)))
    audio = np.sin(2 * np.pi * 300 * np.arange(rate) / rate).astype(np.float32)
    parts, given_, fed = [], 0, 0
    for at in range(0, len(audio), size):
        parts.append(await stream.convert(audio[at : at + size]))
        fed, given_ = min(len(audio), at + size), given_ + len(parts[-1])
        assert fed - latency <= given_ <= fed
    whole = np.concatenate([*parts, await stream.finish()])
    assert len(whole) == len(audio)
    later = round(0.02 * rate)
    wanted = (audio[: -2 * later] + audio[later:-later]) / 2
    np.testing.assert_allclose(whole[later : -2 * later], wanted[later:], atol=0.02)


def test_the_same_rate_costs_nothing_and_an_odd_one_is_refused() -> None:
    bench = BenchConverter(20, 0)
    assert at_rate(bench, 24_000) is bench
    with pytest.raises(ValueError, match="23999"):
        at_rate(bench, 23_999)
