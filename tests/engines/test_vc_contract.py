"""What every voice converter promises: the time line of its input, a bounded delay, streams that do not disturb each other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import numpy as np
import pytest
import pytest_asyncio

from parley.engines.ports import (
    VC,
    ConversionSpec,
    EngineError,
    EngineRefused,
    EngineSpec,
    Samples,
    VoiceConverter,
)
from parley.engines.registry import create
from parley.engines.vc.bench import create as create_bench


@pytest_asyncio.fixture(params=["bench"])
async def converter(request: pytest.FixtureRequest) -> AsyncIterator[VoiceConverter]:
    engine = create(VC, EngineSpec(request.param))
    assert isinstance(engine, VoiceConverter)
    await engine.open()
    yield engine
    await engine.close()


def voice(engine: VoiceConverter, seconds: float = 1.0, hertz: float = 180.0) -> Samples:
    """A tone with harmonics and a beat: the samples of no two moments are alike."""
    times = np.arange(round(engine.info.sample_rate * seconds)) / engine.info.sample_rate
    wave = sum(np.sin(2 * np.pi * hertz * k * times) / k for k in range(1, 8)) * (0.6 + 0.4 * np.sin(2 * np.pi * times))
    made: Samples = (0.2 * wave).astype(np.float32)
    return made


async def converted(engine: VoiceConverter, audio: Samples, size: int, spec: ConversionSpec | None = None) -> Samples:
    stream = engine.open_stream(spec or ConversionSpec())
    latency = round(engine.latency_ms * engine.info.sample_rate / 1000)
    fed, parts = 0, []
    for at in range(0, len(audio), size):
        piece = audio[at : at + size]
        parts.append(await stream.convert(piece))
        fed += len(piece)
        given = sum(map(len, parts))
        assert fed - latency <= given <= fed, (
            "it holds back no more than it declares, and gives nothing before it was said"
        )
        assert parts[-1].dtype == np.float32
    parts.append(await stream.finish())
    stream.close()
    return np.concatenate(parts)


@pytest.mark.parametrize("size", [160, 480, 1_777, 24_000])
async def test_the_output_is_as_long_as_the_input_and_does_not_depend_on_the_pieces(
    converter: VoiceConverter, size: int
) -> None:
    audio = voice(converter)
    made = await converted(converter, audio, size)
    assert len(made) == len(audio)
    assert np.abs(made - await converted(converter, audio, len(audio))).max() < 1e-4
    assert np.sqrt(np.mean(made**2)) > 0.01
    assert np.abs(made).max() <= 1.0


async def test_silence_stays_where_it_was(converter: VoiceConverter) -> None:
    """A converter that shifted its output would put words where the listener has not heard them."""
    rate = converter.info.sample_rate
    audio = np.concatenate([np.zeros(rate // 2, np.float32), voice(converter, 0.5), np.zeros(rate // 2, np.float32)])
    made = await converted(converter, audio, 480)
    margin = round(converter.latency_ms * rate / 1000) + rate // 50
    assert np.abs(made[: rate // 2 - margin]).max() < 0.01
    assert np.abs(made[rate + margin :]).max() < 0.01


async def test_streams_at_once_give_what_each_gives_alone(converter: VoiceConverter) -> None:
    audios = [voice(converter, 0.3, hertz) for hertz in (120, 180, 240, 300)]
    alone = [await converted(converter, audio, 480) for audio in audios]
    together = await asyncio.gather(*(converted(converter, audio, 480) for audio in audios))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


async def test_an_empty_utterance_gives_nothing(converter: VoiceConverter) -> None:
    stream = converter.open_stream(ConversionSpec())
    assert len(await stream.finish()) == 0
    stream.close()


async def test_its_voices_resolve_and_others_are_refused(converter: VoiceConverter) -> None:
    for name in ("", *converter.info.voices):
        assert converter.resolve_voice(name) is not None
    assert converter.resolve_voice("no such voice") is None
    with pytest.raises(EngineRefused) as caught:
        converter.open_stream(ConversionSpec("no such voice"))
    assert caught.value.code == "unknown_voice"


async def test_closing_is_safe_at_any_time(converter: VoiceConverter) -> None:
    stream = converter.open_stream(ConversionSpec())
    await stream.convert(voice(converter, 0.1))
    stream.close()
    stream.close()
    with pytest.raises(EngineError):
        await stream.convert(voice(converter, 0.1))


async def test_the_bench_filter_is_the_one_that_its_head_describes() -> None:
    engine = create_bench("", {"latency_ms": 7})
    audio = voice(engine, 0.2)
    ahead = np.concatenate([audio[168:], np.zeros(168, np.float32)])
    np.testing.assert_allclose(await converted(engine, audio, 333), (audio + ahead) / 2, atol=1e-6)
