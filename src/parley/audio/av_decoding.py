"""Audio out of any container that PyAV reads, frame by frame.

Laws:
- Mono float32 comes out, at the track's own rate or less; more channels are mixed down. No other track is decoded.
- A stranger's file is read by the demuxers and decoders that are named here alone: other demuxers open further files, by path or URL, and
  no picture is ever decoded, not even to learn its size.
- Neither NumPy nor anything of Parley but its errors is imported: the process that decodes strangers' files is small
  (`decoding_worker.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO, Final

from parley.audio.file_errors import AudioFileError, AudioTooLong, unreadable

STRANGERS_FORMATS: Final = "wav,w64,aiff,au,caf,flac,mp3,ogg,matroska,mov,aac,ac3,amr,asf,avi,mpeg,mpegts,flv"
"""FFmpeg's demuxers of single files: no playlist (HLS, DASH), no `concat` script."""

STRANGERS_CODECS: Final = (
    "aac,aac_fixed,aac_latm,ac3,ac3_fixed,adpcm_ima_qt,adpcm_ima_wav,adpcm_ms,adpcm_swf,alac,amrnb,amrwb,eac3,flac,gsm,gsm_ms,libopus,"
    "mp1,mp1float,mp2,mp2float,mp3,mp3float,nellymoser,opus,pcm_alaw,pcm_f32be,pcm_f32le,pcm_f64be,pcm_f64le,pcm_mulaw,pcm_s16be,"
    "pcm_s16le,pcm_s24be,pcm_s24le,pcm_s32be,pcm_s32le,pcm_s8,pcm_u8,speex,vorbis,wmav1,wmav2,wmapro"
)
"""FFmpeg's decoders of what those hold when they hold speech."""

_TIMED: Final = ("mov", "matroska", "flac", "ogg", "wav", "caf", "aiff", "w64")
"""Containers that say how long they are; of others FFmpeg guesses."""


def decoded(
    stream: BinaryIO, name: str, *, max_seconds: float, max_rate: int = 0, stranger: bool = False
) -> Iterator[tuple[int, memoryview]]:
    """The audio of an open file as it is decoded: the rate in Hz, the same each time, and mono float32 bytes. `max_rate` 0: any.

    Raises `AudioFileError` for a file that cannot be read, `AudioTooLong` beyond `max_seconds`.
    """
    import av

    limits = {"format_whitelist": STRANGERS_FORMATS, "codec_whitelist": STRANGERS_CODECS, "protocol_whitelist": "pipe"}
    begin = stream.tell()
    samples = rate = 0
    try:
        # Titles are in any encoding; nothing here reads them.
        with av.open(stream, mode="r", options=limits if stranger else {}, metadata_errors="replace") as container:
            rate = _rate(container, name, max_rate, stranger)
            if stranger and _said_seconds(container) > max_seconds:
                raise AudioTooLong.than(max_seconds, name)
            to_mono = av.AudioResampler(format="flt", layout="mono", rate=rate)
            for frame in container.decode(audio=0):
                for mono in to_mono.resample(frame):
                    samples += mono.samples
                    yield rate, memoryview(mono.planes[0])[: 4 * mono.samples]
                if samples > max_seconds * rate:
                    raise AudioTooLong.than(max_seconds, name)
            for mono in to_mono.resample(None):
                samples += mono.samples
                yield rate, memoryview(mono.planes[0])[: 4 * mono.samples]
    except AudioFileError:
        raise
    except (av.error.FFmpegError, ValueError) as error:  # ValueError: the format changes in the middle
        stream.seek(begin)
        raise unreadable(stream, name, samples / rate if rate else 0.0) from error
    if not samples:
        raise AudioFileError(f"{name} holds no audio.")


def _rate(container: Any, name: str, max_rate: int, stranger: bool) -> int:
    """The rate to decode to. Raises `AudioFileError` for a file without a track that can be decoded."""
    if not container.streams.audio:
        what = "is a video without sound" if container.streams.video else "holds no audio track"
        raise AudioFileError(f"{name} {what}.")
    track = container.streams.audio[0]
    rate: int = getattr(track, "rate", 0)  # a track without a decoder has none
    if not rate or (stranger and track.codec_context.codec.name not in STRANGERS_CODECS.split(",")):
        raise AudioFileError(f"{name} is in a format that cannot be decoded here.")
    return min(rate, max_rate) if max_rate else rate


def _said_seconds(container: Any) -> float:
    """How long the file says that it is; 0 where it does not."""
    timed = container.duration is not None and container.format.name.split(",")[0] in _TIMED
    return container.duration / 1_000_000 if timed else 0.0
