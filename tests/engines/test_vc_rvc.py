"""RVC voices while they stream: pitch, time line, seams, options, and whose turn it is."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from parley.engines.ports import VC, ConversionSpec, EngineError, EngineRefused, EngineSpec, Samples
from parley.engines.registry import create
from parley.engines.vc.rvc import RvcConverter
from tests.engines import tiny_rvc
from tests.engines.opening import while_open
from tests.engines.tiny_rvc import voice_folder

RATE = 40_000
LOUDNESS = 0.3


@pytest.fixture(scope="module")
def voice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return voice_folder(tmp_path_factory.mktemp("rvc") / "alto")


def opened(folder: Path, **options: Any) -> contextlib.AbstractAsyncContextManager[RvcConverter]:
    engine = create(VC, EngineSpec("rvc", str(folder), {"block_ms": 200, "threads": 1, **options}))
    assert isinstance(engine, RvcConverter)
    return while_open(engine)


async def converted(engine: RvcConverter, audio: Samples, size: int = 0, context: Samples | None = None) -> Samples:
    stream = engine.open_stream(ConversionSpec(context=context))
    size = size or max(1, len(audio))
    parts = [await stream.convert(audio[at : at + size]) for at in range(0, len(audio), size)]
    made = np.concatenate([*parts, await stream.finish()])
    assert len(made) == len(audio)
    assert made.dtype == np.float32
    return made


def tone(hz: float, seconds: float = 1.5, rate: int = RATE, loudness: float = LOUDNESS) -> Samples:
    samples: Samples = (loudness * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)
    return samples


def buzz(hz: float, seconds: float = 1.5) -> Samples:
    """As loud as a tone, with overtones: SwiftF0 takes no sine for a voice."""
    sound: Samples = np.asarray([tone(hz * number, seconds) / number for number in range(1, 9)]).sum(axis=0)
    return np.asarray(sound * LOUDNESS / np.sqrt(2) / rms(sound), np.float32)


def frequency(audio: Samples, rate: int = RATE) -> float:
    """Of the loudest tone, to a tenth of a Hz."""
    size = max(8 * len(audio), 10 * rate)
    spectrum = np.abs(np.fft.rfft(audio * np.hanning(len(audio)), size))
    return float(spectrum.argmax() * rate / size)


def middle(audio: Samples, rate: int = RATE) -> Samples:
    return audio[rate // 2 : -rate // 4]


def rms(audio: Samples) -> float:
    return float(np.sqrt(np.mean(audio**2)))


# --- what is heard ---


@pytest.mark.parametrize("tracker", ["rmvpe", "fcpe", "waveform", ""])
@pytest.mark.parametrize("semitones", [12, -5])
async def test_the_voice_is_shifted_by_semitones(tmp_path: Path, tracker: str, semitones: int) -> None:
    async with opened(voice_folder(tmp_path / "v", tracker), pitch=semitones) as engine:
        made = middle(await converted(engine, tone(tiny_rvc.WAVEFORM_HZ) if tracker else buzz(tiny_rvc.WAVEFORM_HZ)))
    wanted = tiny_rvc.WAVEFORM_HZ * 2 ** (semitones / 12)
    assert frequency(made) == pytest.approx(wanted, rel=0.005)
    assert rms(made) == pytest.approx(LOUDNESS / np.sqrt(2), rel=0.02), "it is as loud as the speaker"


@pytest.mark.parametrize("rate", [32_000, 40_000, 48_000])
async def test_the_sample_rate_is_that_of_the_voice(tmp_path: Path, rate: int) -> None:
    async with opened(voice_folder(tmp_path / "v", rate=rate), pitch=7) as engine:
        assert engine.info.sample_rate == rate
        made = middle(await converted(engine, tone(200, rate=rate)), rate)
    assert frequency(made, rate) == pytest.approx(200 * 2 ** (7 / 12), rel=0.006)


@pytest.mark.parametrize(
    "kind",
    [
        {"dialect": "webui", "width": 256},
        {"dialect": "vcclient", "width": 768},
        {"dialect": "vcclient", "width": 256, "half": True},
        {"dialect": "webui", "half": True},
        {
            "dialect": "vcclient",
            "metadata": {"samplingRate": 40_000, "f0": True, "embChannels": 768, "modelType": "rvc"},
        },
    ],
    ids=str,
)
async def test_both_exports_of_both_generations_speak(tmp_path: Path, kind: dict[str, Any]) -> None:
    async with opened(voice_folder(tmp_path / "v", **kind), pitch=12) as engine:
        made = middle(await converted(engine, tone(220)))
    assert frequency(made) == pytest.approx(440, rel=0.005)


@pytest.mark.parametrize("dialect", ["webui", "vcclient"])
async def test_a_voice_without_pitch_speaks_at_its_own(tmp_path: Path, dialect: str) -> None:
    tiny_rvc.generator(tmp_path / "v.onnx", dialect, pitched=False)
    tiny_rvc.content(tmp_path / "content.onnx")
    async with opened(tmp_path, pitch=12) as engine:
        made = middle(await converted(engine, tone(220)))
    assert frequency(made) == pytest.approx(300, rel=0.005)


@pytest.mark.parametrize("layout", ["source", "input_values", "audio"])
@pytest.mark.parametrize("width", [256, 768])
async def test_the_content_encoder_may_have_any_of_three_layouts(tmp_path: Path, layout: str, width: int) -> None:
    tiny_rvc.generator(tmp_path / "v.onnx", width=width)
    tiny_rvc.content(tmp_path / "c.onnx", layout, width)
    async with opened(tmp_path) as engine:
        made = middle(await converted(engine, buzz(220)))
    assert rms(made) == pytest.approx(LOUDNESS / np.sqrt(2), rel=0.02)


async def test_the_formants_move_and_the_pitch_stays(tmp_path: Path) -> None:
    """The generator adds a tone of 1,000 Hz: played faster, it is one of 1,335 Hz, or slower, one of 794."""
    folder = voice_folder(tmp_path / "v", "waveform", formant_hz=1_000.0)
    for semitones in (5, 0, -4):
        async with opened(folder, formant=semitones) as engine:
            made = middle(await converted(engine, tone(220)))
        formant = 1_000 * 2 ** (semitones / 12)
        assert frequency(made) == pytest.approx(220, rel=0.005)
        upper = np.abs(np.fft.rfft(made * np.hanning(len(made))))
        upper[: 600 * len(made) // RATE] = 0
        assert upper.argmax() * RATE / len(made) == pytest.approx(formant, rel=0.01)


async def test_a_speaker_is_chosen_by_number(tmp_path: Path) -> None:
    folder = voice_folder(tmp_path / "v")
    for speaker, loudness in enumerate(tiny_rvc.SPEAKERS):
        async with opened(folder, speaker=speaker) as engine:
            made = middle(await converted(engine, tone(220)))
        assert rms(made) == pytest.approx(loudness * LOUDNESS / np.sqrt(2), rel=0.02)


@pytest.mark.parametrize(("protect", "drawn"), [(0.0, 0.0), (0.2, 0.2), (0.5, 1.0)])
async def test_unvoiced_sounds_are_protected_from_the_index(tmp_path: Path, protect: float, drawn: float) -> None:
    """The index draws the loudness to a tenth: all of it where nothing is protected, else so much of it as `protect` says."""
    folder = tmp_path
    tiny_rvc.generator(folder / "v.onnx", unvoiced=True)
    tiny_rvc.content(folder / "c.onnx")
    _silent_tracker(folder / "p.onnx")
    loudness = LOUDNESS / np.sqrt(2)
    np.save(folder / "features.npy", np.tile(0.1 * loudness * np.cos(np.arange(768) / 7), (9, 1)).astype(np.float32))
    async with opened(folder, protect=protect, index_rate=1.0) as engine:
        made = middle(await converted(engine, tone(500)))
    assert frequency(made) == pytest.approx(tiny_rvc.NON_SPEECH_HZ, rel=0.005)
    assert rms(made) == pytest.approx((1 - 0.9 * drawn) * loudness, rel=0.03)


async def test_the_index_draws_voiced_sounds_by_its_rate(tmp_path: Path) -> None:
    folder = voice_folder(tmp_path / "v")
    loudness = LOUDNESS / np.sqrt(2)
    np.save(folder / "features.npy", np.tile(0.2 * loudness * np.cos(np.arange(768) / 7), (9, 1)).astype(np.float32))
    for rate in (0.0, 0.5, 1.0):
        async with opened(folder, index_rate=rate) as engine:
            made = middle(await converted(engine, tone(220)))
        assert rms(made) == pytest.approx((1 - 0.8 * rate) * loudness, rel=0.03)


def _silent_tracker(path: Path) -> None:
    """It hears no pitch in anything."""
    helper = tiny_rvc.node
    nodes = [helper("Transpose", ["mel"], ["t"], perm=[0, 2, 1]), helper("MatMul", ["t", "none"], ["hidden"])]
    inputs = [tiny_rvc.tensor("mel", tiny_rvc.FLOAT, 1, 128, "T")]
    outputs = [tiny_rvc.tensor("hidden", tiny_rvc.FLOAT, 1, "T", 360)]
    tiny_rvc.write(path, nodes, inputs, outputs, {"none": np.zeros((128, 360), np.float32)})


# --- the time line ---


@pytest.mark.parametrize("block_ms", [100, 250])
@pytest.mark.parametrize("crossfade_ms", [10, 40])
async def test_it_holds_back_a_block_the_fade_and_five_ms(voice: Path, block_ms: int, crossfade_ms: int) -> None:
    async with opened(voice, block_ms=block_ms, crossfade_ms=crossfade_ms) as engine:
        assert engine.block_ms == block_ms
        assert engine.latency_ms == pytest.approx(block_ms + crossfade_ms + 5, abs=1_001 / RATE)
        stream, most, audio = engine.open_stream(ConversionSpec()), 0, tone(220, 0.6)
        given = 0
        for number in range(len(audio) // 40):
            given += len(await stream.convert(audio[number * 40 : number * 40 + 40]))
            most = max(most, 40 * number + 40 - given)
        stream.close()
    assert most == (block_ms + crossfade_ms + 5) * RATE // 1_000 - 40


@pytest.mark.parametrize("at_ms", [700, 737, 791, 805])
async def test_a_sound_begins_where_the_speaker_began(voice: Path, at_ms: int) -> None:
    """Within 5 ms for the seam, and the half frame of 25 ms that the content encoder hears at once."""
    begin = at_ms * RATE // 1_000
    audio = np.concatenate([np.zeros(begin, np.float32), tone(220, 0.8)])
    async with opened(voice) as engine:
        made = await converted(engine, audio)
    heard = np.flatnonzero(np.abs(made) > LOUDNESS / 2)[0] * 1_000 / RATE
    assert abs(heard - at_ms) < 5 + 20


async def test_a_gliding_tone_is_where_it_was(voice: Path) -> None:
    """A chirp has another pitch each moment, so its pitch tells the time."""
    times = np.arange(3 * RATE) / RATE
    low, high = 150.0, 450.0
    chirp = (LOUDNESS * np.sin(2 * np.pi * (low * times + (high - low) * times**2 / 6))).astype(np.float32)
    async with opened(voice, block_ms=100) as engine:
        made = await converted(engine, chirp)
    late_ms = []
    for at in np.arange(0.6, 2.5, 0.1):
        piece = made[round((at - 0.025) * RATE) : round((at + 0.025) * RATE)]
        late_ms.append(1_000 * (at - (frequency(piece) - low) * 3 / (high - low)))
    assert abs(np.median(late_ms) - 5) < 5, "the pitch at the beginning of a frame lasts for its 10 ms"
    assert np.abs(late_ms).max() < 40, "half a frame of RMVPE's spectrogram is 32 ms"


@pytest.mark.parametrize("length", [0, 1, 399, 400, 8_000, 8_001, 24_000])
async def test_any_length_keeps_its_length(voice: Path, length: int) -> None:
    async with opened(voice) as engine:
        await converted(engine, tone(220, 1)[:length])


@pytest.mark.parametrize("size", [1, 97, 160, 1_777, 8_000, 8_001, 10_000_000])
async def test_the_pieces_in_which_audio_comes_do_not_matter(voice: Path, size: int) -> None:
    audio = (tone(170, 0.7) * np.linspace(0, 1, round(0.7 * RATE), dtype=np.float32))[: 60 * max(1, min(size, 1_000))]
    async with opened(voice) as engine:
        assert np.array_equal(await converted(engine, audio, size), await converted(engine, audio))


async def test_the_noise_of_a_voice_is_the_same_each_time(voice: Path) -> None:
    async with opened(voice) as engine:
        assert engine.info.deterministic
        one, other = [await converted(engine, tone(220)) for _ in range(2)]
    assert np.array_equal(one, other)


async def test_an_export_that_draws_numbers_itself_is_not_declared_deterministic(tmp_path: Path) -> None:
    async with opened(voice_folder(tmp_path / "v", dialect="vcclient", random=True)) as engine:
        assert not engine.info.deterministic
        one, other = [await converted(engine, tone(220)) for _ in range(2)]
    assert not np.array_equal(one, other)


# --- seams ---


@pytest.mark.parametrize("hz", [103.0, 220.0, 371.0])
@pytest.mark.parametrize("crossfade_ms", [10, 40])
async def test_no_seam_is_heard(voice: Path, hz: float, crossfade_ms: int) -> None:
    """Each block's sine begins at another phase; the steps between samples stay those of a sine."""
    async with opened(voice, block_ms=100, crossfade_ms=crossfade_ms) as engine:
        made = middle(await converted(engine, tone(hz, 3)))
    steps = np.abs(np.diff(made))
    assert steps.max() < 1.1 * LOUDNESS * 2 * np.pi * frequency(made) / RATE + 0.002, "but for those of its loudness"
    pieces = made[: len(made) // 400 * 400].reshape(-1, 400)
    window = np.hanning(400)
    carrier = np.exp(-2j * np.pi * frequency(made) * np.arange(pieces.size) / RATE).reshape(-1, 400)
    levels = np.abs((pieces * carrier * window).sum(axis=1))
    assert levels.min() > 0.9 * levels.max(), "nothing is cancelled where two blocks meet"


# --- silence and context ---


async def test_silence_costs_no_inference(tmp_path: Path) -> None:
    """This voice fails as soon as it is used for something as loud as the hum, which a high gate keeps from it."""
    folder = voice_folder(tmp_path / "v", broken_above=0.6)
    hum = tone(50, 1, loudness=0.9)
    async with opened(folder, silence_db=0) as engine:
        assert not (await converted(engine, hum)).any()
    async with opened(folder, silence_db=-60) as engine:
        with pytest.raises(EngineError):
            await converted(engine, hum)


async def test_a_voice_fades_into_silence_and_out_of_it(voice: Path) -> None:
    silence = np.zeros(RATE, np.float32)
    async with opened(voice) as engine:
        made = await converted(engine, np.concatenate([silence, tone(220, 1), silence, tone(220, 1), silence]))
    assert not made[: RATE - 800].any()
    assert not made[2 * RATE + 12_000 : 3 * RATE - 800].any()
    assert rms(made[3 * RATE + 8_000 : 4 * RATE - 8_000]) == pytest.approx(LOUDNESS / np.sqrt(2), rel=0.02)


async def test_a_voice_that_is_gated_fades(voice: Path) -> None:
    """A murmur below the gate is converted as long as its window holds something loud, and ends without a click."""
    murmur = 0.05
    audio = np.concatenate([tone(220, 1), tone(220, 1, loudness=murmur), tone(220, 1)])
    async with opened(voice, silence_db=-20) as engine:
        made = await converted(engine, audio)
    quiet = made[RATE + 3_000 : 2 * RATE - 3_000]
    assert np.abs(quiet).max() == pytest.approx(murmur, rel=0.05)
    assert not quiet[-8_000:].any()
    assert np.abs(np.diff(quiet)).max() < 1.3 * murmur * 2 * np.pi * 220 / RATE


async def test_context_makes_the_first_block_as_good_as_a_later_one(voice: Path) -> None:
    whole = tone(220, 2)
    async with opened(voice, pitch=12) as engine:
        with_context = await converted(engine, whole[RATE:], context=whole[:RATE])
        without = await converted(engine, whole[RATE:])
    start = slice(0, 2_000)
    assert rms(with_context[start]) == pytest.approx(LOUDNESS / np.sqrt(2), rel=0.02)
    assert rms(without[start]) < 0.97 * LOUDNESS / np.sqrt(2), "without it, the first frames know too little"
    assert frequency(with_context[: RATE // 4]) == pytest.approx(440, rel=0.01)


# --- whose turn it is, and the end ---


async def test_many_streams_at_once_give_what_each_gives_alone(voice: Path) -> None:
    async with opened(voice) as engine:
        tones = [tone(hz, 0.8) for hz in (120, 180, 260, 333)]
        alone = [await converted(engine, one) for one in tones]
        together = await asyncio.gather(*(converted(engine, one, 1_000) for one in tones))
    for one, other in zip(alone, together, strict=True):
        assert np.array_equal(one, other)


async def test_a_cancelled_stream_is_over_and_leaves_no_work(voice: Path) -> None:
    async with opened(voice) as engine:
        stream = engine.open_stream(ConversionSpec())
        leaving = asyncio.create_task(stream.convert(tone(220, 60)))
        await asyncio.sleep(0)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        with pytest.raises(EngineError, match="over"):
            await stream.convert(tone(220, 1))
        async with asyncio.timeout(20):  # 300 blocks of the one that left would take their turns before
            await converted(engine, tone(220, 0.5))


async def test_closing_during_a_conversion_ends_it(voice: Path) -> None:
    async with opened(voice) as engine:
        stream = engine.open_stream(ConversionSpec())
        running = asyncio.create_task(stream.convert(tone(220, 60)))
        await asyncio.sleep(0.01)
        stream.close()
        with pytest.raises(EngineError):
            await running


async def test_a_stream_whose_engine_closes_ends_with_an_error(voice: Path) -> None:
    async with opened(voice) as engine:
        stream = engine.open_stream(ConversionSpec())
        await engine.close()
        with pytest.raises(EngineError):
            await stream.convert(tone(220, 1))
        with pytest.raises(EngineError):
            engine.open_stream(ConversionSpec())


async def test_values_that_are_no_numbers_are_an_error(tmp_path: Path) -> None:
    """As of an export in half precision that overflows for loud speech."""
    async with opened(voice_folder(tmp_path / "v", broken_above=0.6)) as engine:
        stream = engine.open_stream(ConversionSpec())
        with pytest.raises(EngineError, match="no numbers") as caught:
            await stream.convert(tone(220, 1, loudness=0.9))
        assert caught.value.code == "converter_failed"
        assert rms(middle(await converted(engine, tone(220, loudness=0.1)))) > 0.05, "the engine goes on"


async def test_the_voice_is_called_like_its_folder(voice: Path) -> None:
    async with opened(voice) as engine:
        assert engine.info.voices == ("alto",)
        assert engine.resolve_voice("") == "alto"
        with pytest.raises(EngineRefused):
            engine.open_stream(ConversionSpec("soprano"))
    async with opened(voice / "voice.onnx") as engine:
        assert engine.info.voices == ("voice",)


# --- the block ---


async def test_a_block_is_chosen_and_timed_at_open(voice: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with opened(voice, block_ms=0) as engine:
        assert engine.timing is not None
        assert engine.block_ms == engine.timing.block_ms
        assert engine.timing.rtf == pytest.approx(engine.timing.p95_ms / engine.block_ms)
        assert engine.latency_ms == pytest.approx(engine.block_ms + 45, abs=0.03)
    assert "real-time factor" in caplog.text


async def test_a_voice_that_is_too_slow_is_a_warning_and_converts_all_the_same(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(voice_folder(tmp_path / "v", slow=200), block_ms=50) as engine:
        assert engine.timing is not None
        assert engine.timing.p95_ms > 0.6 * 50
        assert not engine.timing.live
        assert rms(await converted(engine, tone(220, 0.3))) > 0.1
    assert "too slow for live use" in caplog.text
