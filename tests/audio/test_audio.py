"""What anyone who passes audio through Parley would notice: wrong samples, wrong levels, lost or doubled audio."""

from __future__ import annotations

import io
import struct
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from parley.audio import files, g711, levels, pcm
from parley.audio.interpolation import FrameInterpolation
from parley.audio.resampling import Int16Resampler, Quality, Resampler, resample

EVERY_INT16 = np.arange(-32768, 32768, dtype=np.int32).astype(np.int16)
EVERY_CODE = np.arange(256, dtype=np.uint8)
cuts = st.lists(st.integers(0, 700), max_size=12)


def chunks(audio: NDArray[np.float32], sizes: list[int]) -> list[NDArray[np.float32]]:
    edges = np.clip(np.cumsum([0, *sizes]), 0, len(audio))
    return [audio[a:b] for a, b in zip(edges, [*edges[1:], len(audio)], strict=True)]


# --- G.711 -------------------------------------------------------------------------------------------------------------


def test_mulaw_matches_the_values_printed_in_g711() -> None:
    # G.711 table 2a: the ends of the scale, the two zeros, and the first output value of each segment (14-bit units, times 4)
    assert g711.decode_mulaw(np.array([0x80, 0x8F, 0x9F, 0xAF, 0xBF, 0xCF, 0xDF, 0xEF, 0xFF, 0x7F, 0x00], np.uint8)).tolist() == [
        32124, 16764, 8316, 4092, 1980, 924, 396, 132, 0, 0, -32124,
    ]  # fmt: skip
    assert g711.encode_mulaw(np.array([0, 32767, -32768, 8, -8, 1000], np.int16)).tolist() == [
        0xFF,
        0x80,
        0x00,
        0xFE,
        0x7E,
        0xCE,
    ]


def test_alaw_matches_the_values_printed_in_g711() -> None:
    assert g711.decode_alaw(np.array([0xAA, 0x2A, 0xD5, 0x55], np.uint8)).tolist() == [32256, -32256, 8, -8]
    assert g711.encode_alaw(np.array([0, -1, 32767, -32768], np.int16)).tolist() == [0xD5, 0x55, 0xAA, 0x2A]


@pytest.mark.parametrize(
    ("encode", "decode"),
    [(g711.encode_mulaw, g711.decode_mulaw), (g711.encode_alaw, g711.decode_alaw)],
    ids=["mulaw", "alaw"],
)
def test_g711_round_trip_and_monotony(
    encode: Callable[..., NDArray[np.uint8]], decode: Callable[..., NDArray[np.int16]]
) -> None:
    levels_out = decode(EVERY_CODE)
    assert np.array_equal(decode(encode(levels_out)), levels_out)
    quantised = decode(encode(EVERY_INT16)).astype(np.int32)
    assert np.all(np.diff(quantised) >= 0)
    # no code is further from its sample than half the widest step of the sample's segment (plus clipping at the very top)
    error = np.abs(quantised - EVERY_INT16.astype(np.int32))
    assert np.all(
        error <= np.maximum(8, np.abs(EVERY_INT16.astype(np.int32)) // 32 + 12) + (np.abs(quantised) >= 32124) * 640
    )


@pytest.mark.parametrize(
    ("codec", "encode", "decode"),
    [("pcm_mulaw", g711.encode_mulaw, g711.decode_mulaw), ("pcm_alaw", g711.encode_alaw, g711.decode_alaw)],
)
def test_g711_agrees_with_ffmpeg(
    codec: str, encode: Callable[..., NDArray[np.uint8]], decode: Callable[..., NDArray[np.int16]]
) -> None:
    av = pytest.importorskip("av")
    decoder = av.CodecContext.create(codec, "r")
    decoder.sample_rate, decoder.layout = 8000, "mono"
    (frame,) = decoder.decode(av.Packet(EVERY_CODE.tobytes()))
    assert np.array_equal(frame.to_ndarray()[0], decode(EVERY_CODE))
    encoder = av.CodecContext.create(codec, "w")
    encoder.sample_rate, encoder.layout, encoder.format = 8000, "mono", "s16"
    source = av.AudioFrame.from_ndarray(EVERY_INT16.reshape(1, -1), format="s16", layout="mono")
    source.sample_rate = 8000
    theirs = np.frombuffer(b"".join(bytes(p) for p in encoder.encode(source)), np.uint8)
    ours = encode(EVERY_INT16)
    # ffmpeg puts decision values halfway between outputs; G.711 moves those at segment borders: a few codes differ by a step
    assert np.mean(theirs != ours) < 0.02
    apart = np.abs(decode(theirs).astype(int) - decode(ours).astype(int))
    assert np.all(apart <= np.maximum(16, np.abs(EVERY_INT16.astype(int)) // 16 + 32))


# --- PCM ---------------------------------------------------------------------------------------------------------------


def test_int16_survives_the_trip_through_float() -> None:
    assert np.array_equal(pcm.to_int16(pcm.to_float(EVERY_INT16)), EVERY_INT16)
    assert pcm.to_bytes(pcm.to_float(EVERY_INT16.tobytes())) == EVERY_INT16.tobytes()


def test_loud_floats_clip_instead_of_wrapping() -> None:
    assert pcm.to_int16(np.array([1.5, -1.5, 1.0, -1.0], np.float32)).tolist() == [32767, -32768, 32767, -32768]


def test_an_odd_byte_is_refused() -> None:
    with pytest.raises(ValueError, match="even number of bytes, got 3"):
        pcm.to_float(b"\0\0\0")


# --- resampling --------------------------------------------------------------------------------------------------------


@settings(max_examples=20, deadline=None)
@given(
    cuts,
    st.sampled_from(["QQ", "LQ", "MQ", "HQ"]),
    st.sampled_from([(24000, 16000), (48000, 16000), (22050, 24000), (8000, 16000)]),
)
def test_resampled_audio_does_not_depend_on_the_chunks(
    sizes: list[int], quality: Quality, rates: tuple[int, int]
) -> None:
    audio = np.random.default_rng(1).normal(0, 0.1, 4000).astype(np.float32)
    stream = Resampler(*rates, quality)
    out = np.concatenate([*(stream.push(c) for c in chunks(audio, sizes)), stream.finish()])
    assert np.array_equal(out, resample(audio, *rates, quality))
    assert len(out) == round(4000 * rates[1] / rates[0])


def test_a_tone_keeps_its_pitch_level_and_position() -> None:
    time = np.arange(24000) / 24000
    tone = (0.5 * np.sin(2 * np.pi * 440 * time)).astype(np.float32)
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(16000) / 16000)
    assert np.abs(resample(tone, 24000, 16000)[200:-200] - expected[200:-200]).max() < 1e-3


@pytest.mark.parametrize(
    "rates", [(24_000, 16_000), (8_000, 16_000), (16_000, 16_000), (24_000, 8_000), (48_000, 32_000)]
)
def test_interpolated_frames_join_into_the_same_tone(rates: tuple[int, int]) -> None:
    frame = rates[1] * 32 // 1_000
    shape = FrameInterpolation(*rates, frame)
    silence = shape.before + shape.after
    tone = 0.5 * np.sin(2 * np.pi * 440 * (np.arange(rates[0]) - silence) / rates[0])
    tone[:silence] = 0
    windows = np.stack([tone[n * shape.step :][: shape.window] for n in range(30)]).astype(np.float32)
    frames = np.empty((30, frame), np.float32)
    shape.convert(windows, frames)
    expected = 0.5 * np.sin(2 * np.pi * 440 * (np.arange(30 * frame) / rates[1] - shape.after / rates[0]))
    assert np.abs(frames.ravel() - expected)[50:].max() < 0.01
    alone = np.empty((1, frame), np.float32)
    shape.convert(windows[7:8], alone)
    assert np.array_equal(alone[0], frames[7])


def test_frames_of_no_whole_number_of_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="512 samples at 16000 Hz"):
        FrameInterpolation(44_100, 16_000, 512)


def test_a_reset_stream_starts_afresh() -> None:
    audio = pcm.to_int16(np.random.default_rng(2).normal(0, 0.1, 2000).astype(np.float32))
    stream = Int16Resampler(24000, 16000, "LQ")
    stream.push(audio[:777])
    stream.reset()
    first = np.concatenate([stream.push(audio), stream.finish()])
    second = np.concatenate([stream.push(audio), stream.finish()])
    assert np.array_equal(first, second)


def test_equal_rates_change_nothing() -> None:
    audio = np.random.default_rng(3).normal(0, 0.1, 100).astype(np.float32)
    assert np.array_equal(resample(audio, 16000, 16000), audio)


# --- levels ------------------------------------------------------------------------------------------------------------


def test_levels_are_relative_to_a_full_scale_square() -> None:
    sine = np.sin(2 * np.pi * np.arange(16000) / 100).astype(np.float32)
    assert levels.rms_dbfs(np.ones(10, np.float32)) == pytest.approx(0.0)
    assert levels.rms_dbfs(sine) == pytest.approx(-3.01, abs=0.01)
    assert levels.rms_dbfs(np.zeros(10, np.float32)) == levels.rms_dbfs(np.empty(0, np.float32)) == levels.SILENCE_DBFS
    assert levels.frame_rms(np.array([0.0, 0.0, 1.0, 1.0, 9.0], np.float32), 2).tolist() == [0.0, 1.0]


# --- files -------------------------------------------------------------------------------------------------------------


def a_recording(rate: int = 24000) -> files.Recording:
    time = np.arange(rate // 2) / rate
    return files.Recording((0.3 * np.sin(2 * np.pi * 440 * time)).astype(np.float32), rate)


@pytest.mark.parametrize(("suffix", "error"), [(".wav", 1e-4), (".flac", 1e-4), (".ogg", 0.05), (".mp3", 0.05)])
def test_a_file_comes_back_as_it_was_written(tmp_path: Path, suffix: str, error: float) -> None:
    if suffix != ".wav":
        pytest.importorskip("av")
    path = tmp_path / f"tone{suffix}"
    files.write(path, a_recording())
    back = files.read(path)
    original = resample(a_recording().audio, 24000, back.sample_rate)
    length = min(len(original), len(back.audio))
    assert length > 0.9 * len(original)
    middle = slice(length // 4, length // 2)
    spectrum = [np.abs(np.fft.rfft(a[middle])) for a in (original, back.audio)]
    assert int(spectrum[0].argmax()) == int(spectrum[1].argmax())
    assert levels.rms(back.audio[middle]) == pytest.approx(levels.rms(original[middle]), abs=error)


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_wav_of_every_width_is_read_and_stereo_is_averaged(width: int) -> None:
    buffer = io.BytesIO()
    half = {1: b"\xc0", 2: b"\x00\x40", 3: b"\x00\x00\x40", 4: b"\x00\x00\x00\x40"}[width]
    zero = b"\x80" if width == 1 else bytes(width)
    with wave.open(buffer, "wb") as wav:
        wav.setnchannels(2)
        wav.setsampwidth(width)
        wav.setframerate(8000)
        wav.writeframes((half + zero) * 3)
    buffer.seek(0)
    recording = files.read(buffer)
    assert recording.sample_rate == 8000
    assert recording.audio.tolist() == [0.25, 0.25, 0.25]


def test_a_file_that_is_not_audio_is_named(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("no audio here, only words " * 20)
    with pytest.raises(files.AudioFileError, match=r"notes\.txt"):
        files.read(path)
    with pytest.raises(files.AudioFileError, match=r"tone\.xyz"):
        files.write(tmp_path / "tone.xyz", a_recording())


SAMPLES = np.arange(-500, 500, dtype="<i2")


def a_piped_wav(riff_bytes: int, data_bytes: int, *, rest: bytes = b"", title: bytes = b"") -> io.BytesIO:
    """A WAV as a program writes it that cannot go back and fill in the lengths."""
    fmt = b"fmt " + struct.pack("<IHHIIHH", 16, 1, 1, 24_000, 48_000, 2, 16)
    head = b"RIFF" + struct.pack("<I", riff_bytes) + b"WAVE" + fmt + title + b"data" + struct.pack("<I", data_bytes)
    return io.BytesIO(head + SAMPLES.tobytes() + rest)


@pytest.mark.parametrize("data_bytes", [0, 0x7FFFF000, 0xFFFFFFFF - 36, 0xFFFFFFFF])
@pytest.mark.parametrize("riff_bytes", [0, 36, 0x7FFFF024, 0xFFFFFFFF])
def test_a_wav_from_a_pipe_is_read_to_its_end_whatever_length_it_names(riff_bytes: int, data_bytes: int) -> None:
    recording = files.read(a_piped_wav(riff_bytes, data_bytes))
    assert recording.audio.tolist() == (SAMPLES / 32_768).tolist()


def test_a_wav_from_a_pipe_may_have_a_title_and_half_a_sample_at_its_end() -> None:
    title = b"LIST" + struct.pack("<I", 26) + b"INFOISFT" + struct.pack("<I", 14) + b"Lavf61.7.100\0\0"
    assert len(files.read(a_piped_wav(0xFFFFFFFF, 0xFFFFFFFF, title=title, rest=b"\x01")).audio) == len(SAMPLES)


def test_a_wav_that_says_it_is_empty_is_empty() -> None:
    title = b"LIST" + struct.pack("<I", 4) + b"INFO"
    head = a_piped_wav(0, 0).getvalue()[:44]
    honest = head[:4] + struct.pack("<I", len(head) + len(title) - 8) + head[8:] + title
    assert len(files.read(io.BytesIO(honest)).audio) == 0


def test_chunks_after_the_samples_are_not_read_as_samples() -> None:
    title = b"LIST" + struct.pack("<I", 4) + b"INFO"
    assert len(files.read(a_piped_wav(36 + 2_000 + len(title), 2_000, rest=title)).audio) == len(SAMPLES)
