"""Opus in Ogg as Moshi's protocol has it, against FFmpeg's own muxer and demuxer."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley.audio import files
from parley.audio.files import Recording
from parley.engines.ports import Samples
from parley.engines.speech.moshi_ogg import InvalidOgg, PageReader, PageWriter, checksum
from parley.engines.speech.moshi_opus import FRAME, RATE, InvalidOpus, OpusReader, OpusWriter


def tone(frames: int, hertz: float = 440.0) -> Samples:
    return (0.3 * np.sin(2 * np.pi * hertz * np.arange(frames * FRAME) / RATE)).astype(np.float32)


def written(audio: Samples) -> bytes:
    writer = OpusWriter(7)
    return writer.head() + b"".join(writer.push(audio[at : at + FRAME]) for at in range(0, len(audio), FRAME))


def read(data: bytes, size: int) -> Samples:
    reader = OpusReader()
    nothing = np.zeros(0, np.float32)
    return np.concatenate([nothing, *(reader.push(data[at : at + size]) for at in range(0, len(data), size))])


def loudest_hertz(audio: Samples, rate: int) -> float:
    return float(np.argmax(np.abs(np.fft.rfft(audio * np.hanning(len(audio))))) * rate / len(audio))


def test_ffmpeg_reads_what_is_written_here() -> None:
    with av.open(io.BytesIO(written(tone(25))), "r", format="ogg") as container:
        assert container.streams.audio[0].codec_context.name == "opus"
        audio = np.concatenate([frame.to_ndarray().mean(axis=0) for frame in container.decode(audio=0)])
    assert abs(len(audio) / 48_000 - 2.0) < 0.01
    assert abs(loudest_hertz(audio[4_800:], 48_000) - 440) < 2
    assert 0.18 < float(np.sqrt(np.mean(audio[4_800:] ** 2))) < 0.24


@pytest.mark.parametrize("size", [1, 27, 100, 10**6])
def test_what_ffmpeg_writes_is_read_here_however_it_is_cut(tmp_path: Path, size: int) -> None:
    path = tmp_path / "tone.opus"
    files.write(path, Recording(tone(12), RATE))
    audio = read(path.read_bytes(), size)
    assert abs(len(audio) - 12 * FRAME) < FRAME
    assert abs(loudest_hertz(audio[FRAME:], RATE) - 440) < 2


def test_a_frame_comes_out_with_the_message_it_came_in() -> None:
    """But for the lookahead of Opus and the filter that halves the rate: 30 ms in all."""
    writer, reader = OpusWriter(7), OpusReader()
    reader.push(writer.head())
    got = [len(reader.push(writer.push(tone(1)))) for _ in range(5)]
    assert all(5 * FRAME >= sum(got[: n + 1]) >= (n + 1) * FRAME - 0.03 * RATE for n in range(5)), got


def test_stereo_becomes_mono(tmp_path: Path) -> None:
    path = tmp_path / "stereo.ogg"
    with av.open(str(path), "w", format="ogg") as container:
        stream = container.add_stream("libopus", rate=48_000, layout="stereo")
        assert isinstance(stream, av.AudioStream)
        both = np.stack([np.zeros(48_000, np.float32), 2 * np.repeat(tone(13)[:24_000], 2)]).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(both.T.reshape(1, -1)), format="flt", layout="stereo")
        frame.sample_rate = 48_000
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)
    audio = read(path.read_bytes(), 500)
    assert 0.18 < float(np.sqrt(np.mean(audio[FRAME:-FRAME] ** 2))) < 0.24


def test_a_stream_may_begin_anew_in_the_middle() -> None:
    assert abs(len(read(written(tone(4)) + written(tone(4)), 90)) - 8 * FRAME) < 0.06 * RATE


@pytest.mark.parametrize(
    ("packet", "said"),
    [(b"\x01vorbis....", "Vorbis"), (b"\x7fFLAC", "FLAC"), (b"Speex   1.2", "Speex"), (b"something", "another codec")],
)
def test_another_codec_is_named(packet: bytes, said: str) -> None:
    with pytest.raises(InvalidOpus, match=f"holds {said}, not Opus"):
        OpusReader().push(PageWriter(1).page([packet], 0))


def test_no_ogg_is_named() -> None:
    with pytest.raises(InvalidOpus, match="no Ogg page"):
        OpusReader().push(b"RIFF....WAVE")


def test_a_damaged_page_is_named() -> None:
    data = bytearray(written(tone(1)))
    data[-3] ^= 0x40
    with pytest.raises(InvalidOpus, match="damaged"):
        read(bytes(data), 50)


def test_a_header_of_another_version_is_refused() -> None:
    head = b"OpusHead" + bytes([0x21, 1]) + bytes(9)
    with pytest.raises(InvalidOpus, match="version or channels"):
        OpusReader().push(PageWriter(1).page([head], 0))


def test_a_message_with_hours_of_audio_is_refused() -> None:
    head, tags, packet, *_ = PageReader().push(written(tone(1)))
    writer, reader = PageWriter(1), OpusReader()
    reader.push(writer.page([head], 0) + writer.page([tags], 0))
    with pytest.raises(InvalidOpus, match="more than"):
        reader.push(b"".join(writer.page([packet] * 100, 0) for _ in range(3)))


def page(flags: int, laced: bytes, body: bytes) -> bytes:
    data = bytearray(b"OggS" + struct.pack("<BBqIIIB", 0, flags, 0, 1, 0, 0, len(laced)) + laced + body)
    struct.pack_into("<I", data, 22, checksum(data))
    return bytes(data)


def test_a_packet_may_go_over_several_pages() -> None:
    reader = PageReader()
    assert reader.push(page(0, b"\xff\xff", b"a" * 510)) == []
    assert reader.push(page(1, b"\xff\x05\x02", b"b" * 260 + b"cc")) == [b"a" * 510 + b"b" * 260, b"cc"]
    assert PageReader().push(page(1, b"\x05\x02", b"bbbbbcc")) == [b"cc"], "the end of a packet without its beginning"


def test_a_packet_without_an_end_is_not_kept_for_ever() -> None:
    reader, full = PageReader(), b"a" * (255 * 255)
    assert reader.push(page(0, b"\xff" * 255, full)) == []
    with pytest.raises(InvalidOgg, match="longer than"):
        reader.push(page(1, b"\xff" * 255, full))


def test_a_page_holds_what_fits() -> None:
    with pytest.raises(ValueError, match="too long"):
        PageWriter(1).page([b"x" * 70_000], 0)


@given(st.binary(max_size=400), st.integers(1, 400))
def test_any_bytes_are_read_or_refused(data: bytes, size: int) -> None:
    for beginning in (b"", b"OggS\0\0", written(tone(1))[:200]):
        try:
            read(beginning + data, size)
        except InvalidOpus:
            continue
