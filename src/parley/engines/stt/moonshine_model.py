"""One model of Moonshine, loaded, and the segments that it is hearing.

Laws:
- Models of two generations are told apart by their files. The first hears a stretch of audio as a whole, in a time that grows with its
  length; the second one streams.
- The library keeps the encoder's state of one segment only. While one turn is heard, only new audio is encoded; when another one was heard
  in between, its segment is encoded anew, which the library does by itself.
- The library is called by one thread at a time, which `lock` sees to: it does not guard that state.
- A stream of the library is freed by whoever holds the lock, never while it is being heard.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from parley.engines import weights
from parley.engines.ports import EngineUnavailable, Samples, Transcript, Word
from parley.engines.stt.turn_audio import SAMPLE_RATE
from parley.invocation import install
from parley.models import store

NEEDED: Final = (
    "encoder.ort",
    "adapter.ort",
    "cross_kv.ort",
    "decoder_kv.ort",
    "streaming_config.json",
    "tokenizer.bin",
)
FRONTENDS: Final = (("frontend.model.ort", "frontend.weights.ort"), ("frontend.ort",))
"""The files of the first network, as the library downloads them now, and as it did before September 2026."""

WHOLE: Final = ("encoder_model.ort", "decoder_model_merged.ort", "tokenizer.bin")
"""The files of a model of the first generation, which does not stream."""

ATTENTIVE: Final = "decoder_kv_with_attention.ort"
"""The decoder that also tells where it looks: with it words have times."""

_HOP: Final = 512
_BLOCK: Final = 2560
"""The library takes audio by 512 samples and encodes it by 1,280: the end of a segment is filled up, or it would not be heard."""

_NEVER_S: Final = 1e9
_FORCE: Final = 1
"""MOONSHINE_FLAG_FORCE_UPDATE: hear what there is, however little."""

CLOSE_S: Final = 1.0
"""How long closing waits for a call of the library."""

OTHERWISE: Final = "Or `python -m moonshine_voice.download --stt --language en --model-arch 4` prints where it puts one: moonshine:FOLDER."


class MoonshineModel:
    """Everything here blocks but `drop()`."""

    def __init__(self, model: str) -> None:
        """Raises `EngineUnavailable`."""
        folder = _folder(model)
        self.streams = not _is_whole(folder)
        self.times_words = (folder / ATTENTIVE).is_file()
        try:
            from moonshine_voice.moonshine_api import ModelArch
            from moonshine_voice.transcriber import Transcriber
        except (ImportError, OSError) as error:  # OSError: its library needs a newer C library
            raise EngineUnavailable(
                f"moonshine-voice cannot be imported: {error}.",
                f"Install it (on Linux it needs glibc 2.34 or newer): {install('moonshine')}",
                code="missing_package",
            ) from error
        options = {
            # Parley has found the speech already; the library would cut it once more.
            "vad_threshold": "0",
            "vad_max_segment_duration": "0",
            "return_audio_data": "false",
            "word_timestamps": "true" if self.times_words else "false",
            # A hypothesis that is verified rather than made anew leaves no attention for each token, and so no times.
            "use_speculative_decoding": "false" if self.times_words else "true",
        }
        self.lock = threading.Lock()
        self.dropped: deque[Any] = deque()
        try:
            architecture = ModelArch[_architecture(folder)]
            self.transcriber = Transcriber(str(folder), architecture, _NEVER_S, options)
            self.hear(np.zeros(SAMPLE_RATE, np.float32))
        except Exception as error:  # whatever a file that is none makes the library raise
            raise EngineUnavailable(
                f"The model in {folder} cannot be loaded ({str(error).strip() or type(error).__name__}).",
                f"Fetch it again. {OTHERWISE}",
                code="invalid_weights",
            ) from error

    def hear(self, audio: Samples) -> Transcript:
        """The transcript of 16 kHz audio `[n]` that is complete."""
        if self.streams:
            return HeardSegment(self).hear(audio, settled=True)
        with self.lock:
            lines = self.transcriber.transcribe_without_streaming(audio.tolist(), SAMPLE_RATE).lines
        return _transcript(lines)

    def close(self) -> None:
        """Free the model, unless a call that does not return is still using it."""
        if self.lock.acquire(timeout=CLOSE_S):
            try:
                self.free_dropped()
                self.transcriber.close()
            finally:
                self.lock.release()

    def free_dropped(self) -> None:
        """Free the streams of segments that were given up. Hold the lock."""
        while self.dropped:
            self.dropped.popleft().close()


class HeardSegment:
    """A stretch of one turn that is heard as a whole, again and again while it grows."""

    def __init__(self, model: MoonshineModel) -> None:
        self._model = model
        self._stream: Any = None
        self._given = 0
        self._left = False

    def hear(self, audio: Samples, *, settled: bool) -> Transcript:
        """The transcript of 16 kHz audio `[n]`, which begins with what it began with last time. `settled`: its end is heard too, for
        which the encoder is told that nothing follows; the next call starts anew, because more may follow.
        """
        model = self._model
        with model.lock:
            model.free_dropped()
            if self._left:
                return Transcript("")
            stream, given = self._stream, self._given
            if stream is None:
                stream = self._stream = model.transcriber.create_stream(_NEVER_S, transcribe_flags=_FORCE)
                stream.start()
            end = np.zeros(-len(audio) % _BLOCK if settled else 0, np.float32)
            self._given = len(audio)
            stream.add_audio(np.concatenate([audio[given:], end]).tolist(), SAMPLE_RATE)
            lines = stream.update_transcription(_FORCE).lines
            if settled:
                stream.add_audio([0.0] * _HOP, SAMPLE_RATE)  # the library hears the end only where something is new
                lines = stream.stop().lines
            if settled or self._left:
                self._stream, self._given = None, 0
                stream.close()
        words = tuple(word for line in lines for word in line.words or ()) if settled else ()
        return _transcript(lines, _timed(words, 1_000 * len(audio) / SAMPLE_RATE))

    def drop(self) -> None:
        """Give the segment up. Does not block: where the library is at work, the stream is freed when that is over."""
        self._left = True
        model, stream = self._model, self._stream
        if stream is not None:
            model.dropped.append(stream)
        if model.lock.acquire(blocking=False):
            try:
                model.free_dropped()
            finally:
                model.lock.release()


def _transcript(lines: Sequence[Any], words: tuple[Word, ...] = ()) -> Transcript:
    """One transcript of the library's lines."""
    text = " ".join(line.text.strip() for line in lines if line.text.strip())
    return Transcript(text, words, "en", language_confidence=1.0)


def _timed(words: tuple[Any, ...], length_ms: float) -> tuple[Word, ...]:
    """The library's words, in order and within the audio."""
    timed: list[Word] = []
    least = 0.0
    for word in words:
        start = min(max(least, 1_000 * word.start), length_ms)
        least = min(max(start, 1_000 * word.end), length_ms)
        timed.append(Word(word.word.strip(), start, least))
    return tuple(timed)


def _folder(model: str) -> Path:
    """The folder that `model` names: a path, or a model of the catalogue that is here."""
    if not model:
        raise EngineUnavailable(
            "Moonshine needs a model.",
            f"Use one of the catalogue: {', '.join(store.known('moonshine'))}. {OTHERWISE}",
            code="missing_weights",
        )
    folder = weights.locate("moonshine", model, OTHERWISE)
    needed = WHOLE if _is_whole(folder) else NEEDED
    missing = [name for name in needed if not (folder / name).is_file()]
    if needed is NEEDED and not any(all((folder / name).is_file() for name in frontend) for frontend in FRONTENDS):
        missing.append(" and ".join(FRONTENDS[0]))
    if missing:
        raise EngineUnavailable(
            f"{folder} lacks {', '.join(missing)}.",
            f"It must be the folder of a model of Moonshine, such as {store.known('moonshine')[0]}. {OTHERWISE}",
            code="missing_weights",
        )
    return folder


def _is_whole(folder: Path) -> bool:
    """Whether the folder is one of the first generation, complete or not."""
    return any((folder / name).is_file() for name in WHOLE[:2])


def _architecture(folder: Path) -> str:
    """What the library calls it. All streaming sizes are one to it: `streaming_config.json` tells them apart. Of the first generation, base
    has a decoder of eight layers, tiny one of six.
    """
    if not _is_whole(folder):
        return "TINY_STREAMING"
    return "BASE" if b"past_key_values.7." in (folder / WHOLE[1]).read_bytes() else "TINY"
