"""Recordings in every container that somebody may send, and containers made to do harm."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

CONTAINERS = {
    "mp3": ("mp3", "libmp3lame"),
    "mpga": ("mp2", "mp2"),
    "m4a": ("ipod", "aac"),
    "mp4": ("mp4", "aac"),
    "webm": ("webm", "libopus"),
    "ogg": ("ogg", "libopus"),
    "flac": ("flac", "flac"),
    "aac": ("adts", "aac"),
    "mkv": ("matroska", "ac3"),
    "amr": ("amr", "libopencore_amrnb"),
    "wma": ("asf", "wmav2"),
    "mpeg": ("mpeg", "mp2"),
    "ts": ("mpegts", "aac"),
    "wav": ("wav", "pcm_mulaw"),
}
"""By suffix: FFmpeg's muxer and encoder."""

BIT_RATES = {"libopencore_amrnb": 12_200, "wmav2": 64_000}

PICTURE = 7680, 4320


def container(audio: NDArray[np.int16], rate: int, muxer: str, codec: str, pictures: int = 0) -> bytes:
    """The recording in this container, beside a video track of so many pictures, 8K each."""
    made = io.BytesIO()
    with av.open(made, "w", format=muxer) as file:
        rate_coded = 8_000 if "amr" in codec else 48_000 if codec in ("libopus", "ac3", "wmav2", "mp2") else rate
        track: Any = file.add_stream(codec, rate=rate_coded, layout="mono")
        if codec in BIT_RATES:
            track.bit_rate = BIT_RATES[codec]
        video: Any = None
        if pictures:
            video = file.add_stream("mjpeg", rate=1)
            video.width, video.height, video.pix_fmt = *PICTURE, "yuvj420p"
        for number in range(pictures):
            picture = av.VideoFrame(*PICTURE, "yuvj420p")
            picture.pts = number
            file.mux(video.encode(picture))
        frame = av.AudioFrame.from_ndarray(audio.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate = rate
        resampler = av.AudioResampler(format=track.format, layout="mono", rate=rate_coded)
        fifo = av.AudioFifo()
        for converted in (*resampler.resample(frame), *resampler.resample(None)):
            fifo.write(converted)
        while (piece := fifo.read(track.frame_size or 4096, partial=True)) is not None:
            file.mux(track.encode(piece))
        file.mux(track.encode(None))
        if video is not None:
            file.mux(video.encode(None))
    return made.getvalue()


def wav_that_says(rate: int = 24_000, channels: int = 1, width: int = 2, data_bytes: int | None = None) -> bytes:
    """Half a second of silence in a WAV whose header says what is not true."""
    data = bytes(24_000)
    head = struct.pack("<HHIIHH", 1, channels, rate, rate * channels * width % (1 << 32), channels * width, 8 * width)
    size = len(data) if data_bytes is None else data_bytes
    return b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0" + head + b"data" + struct.pack("<I", size) + data


def flac_that_says(seconds: int, audio: NDArray[np.int16], rate: int = 24_000) -> bytes:
    """A FLAC file whose head says that it is so long."""
    data = bytearray(container(audio, rate, "flac", "flac"))
    total = seconds * rate
    data[21] = data[21] & 0xF0 | total >> 32
    data[22:26] = (total & 0xFFFFFFFF).to_bytes(4, "big")
    return bytes(data)


def _box(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I", 8 + len(body)) + kind + body


def _full(kind: bytes, *parts: bytes, flags: int = 0) -> bytes:
    return _box(kind, struct.pack(">I", flags), *parts)


def mp4_that_says(samples: int = 0, fragment: int = 0, reference: bytes = b"") -> bytes:
    """An MP4 of 64 kB with a track of so many samples, or with a fragment of so many: for each of them FFmpeg keeps 36 bytes.
    `reference`: the sound is in the file of that URL."""
    matrix = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
    where = _full(b"url ", reference + b"\0" if reference else b"", flags=0 if reference else 1)
    table = _box(
        b"stbl",
        _full(
            b"stsd",
            struct.pack(">I", 1),
            _box(b"twos", bytes(6), b"\0\1", bytes(8), struct.pack(">HHHHI", 1, 16, 0, 0, 8_000 << 16)),
        ),
        _full(b"stts", struct.pack(">III", 1, samples, 2)),
        _full(b"stsc", struct.pack(">IIII", 1, 1, samples or 1, 1)),
        _full(b"stsz", struct.pack(">II", 1, samples)),
        _full(b"stco", b"\0\0\0\1", b"HERE"),
    )
    track = _box(
        b"trak",
        _full(b"tkhd", struct.pack(">IIIII", 0, 0, 1, 0, 0), bytes(16), matrix, bytes(8), flags=3),
        _box(
            b"mdia",
            _full(b"mdhd", struct.pack(">IIIIHH", 0, 0, 8_000, 0, 0x55C4, 0)),
            _full(b"hdlr", bytes(4), b"soun", bytes(13)),
            _box(
                b"minf",
                _full(b"smhd", bytes(4)),
                _box(b"dinf", _full(b"dref", struct.pack(">I", 1), where)),
                table,
            ),
        ),
    )
    head = _full(
        b"mvhd", struct.pack(">IIIIIH", 0, 0, 1000, 0, 0x10000, 0x100), bytes(10), matrix, bytes(24), b"\0\0\0\2"
    )
    file = _box(b"ftyp", b"isom\0\0\2\0isom") + _box(
        b"moov", head, track, _box(b"mvex", _full(b"trex", struct.pack(">IIIII", 1, 1, 1, 1, 0)))
    )
    if fragment:
        run = _full(b"trun", struct.pack(">I", fragment))
        file += _box(b"moof", _full(b"mfhd", b"\0\0\0\1"), _box(b"traf", _full(b"tfhd", b"\0\0\0\1"), run))
    return file.replace(b"HERE", struct.pack(">I", len(file) + 8)) + _box(b"mdat", bytes(64_000))


def nested_mp4(depth: int) -> bytes:
    """Boxes in boxes, the innermost without a track."""
    body = b""
    for _ in range(depth):
        body = _box(b"moov", body)
    return _box(b"ftyp", b"isom\0\0\2\0isom") + body


HOSTILE: dict[str, Callable[[], bytes]] = {
    "an index of gigabytes": lambda: mp4_that_says(samples=100_000_000),
    "a fragment of gigabytes": lambda: mp4_that_says(fragment=170_000_000),
    "boxes in boxes": lambda: nested_mp4(50_000),
    "a day of FLAC": lambda: flac_that_says(86_400, np.zeros(24_000, np.int16)),
    "a WAV of one sample a second": lambda: wav_that_says(rate=1),
    "a WAV of no rate": lambda: wav_that_says(rate=0),
    "a WAV of no channel": lambda: wav_that_says(channels=0),
    "a WAV of odd samples": lambda: wav_that_says(width=5),
    "a list of other files": lambda: b"ffconcat version 1.0\nfile 'secret.wav'\n",
    "a playlist": lambda: b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n",
    "a manifest": lambda: (
        b'<?xml version="1.0"?><!DOCTYPE MPD [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><MPD>&b;</MPD>'
    ),
    "a session description": lambda: (
        b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\nc=IN IP4 127.0.0.1\r\nm=audio 9 RTP/AVP 0\r\n"
    ),
}
"""Files that ask for more than they are, by what they are."""
