"""A converter at another rate: exact counts, the declared delay, and the same sound."""

from __future__ import annotations

import numpy as np
import pytest

from parley.engines.ports import ConversionSpec
from parley.engines.vc.bench import BenchConverter
from parley.engines.vc.resampled import ResampledConverter, at_rate


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
