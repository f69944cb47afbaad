"""One checkpoint of Phonon, loaded: its voices, voices cloned from clips, and one utterance of it.

Knows nothing of requests. Everything here blocks; an utterance may be used by several threads, one after the other.
"""

from __future__ import annotations

import hashlib
import tempfile
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from parley.audio import files, resampling
from parley.engines.ports import EngineError, EngineRefused, EngineUnavailable, Samples, VoiceSample
from parley.engines.tts import phonon_weights
from parley.invocation import install

CLIP_SUFFIXES: Final = (".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a")
VOICE_SUFFIX: Final = ".safetensors"
"""A voice that was computed from a recording before."""

MAX_CLIPS: Final = 100
"""Cloning takes about a second for each, and happens at start-up."""

MAX_LENT: Final = 32
"""Voices that are cloned while the engine is open; the library keeps the state of each in memory. It cannot forget one, but a name can be
given to another voice."""


@dataclass(frozen=True, slots=True)
class PhononLoading:
    """How a checkpoint is loaded: `quant` is the library's weight format, "" for the files' own; `clips` a folder of recordings and
    voice files, or one."""

    model: str
    quant: str = ""
    clips: str = ""
    threads: int = 1
    temperature: float = 0.3
    seed: int = 1


class PhononModel:
    """`voices` are those of the checkpoint and the names of the clips; `cloned` the latter."""

    def __init__(self, loading: PhononLoading) -> None:
        """Raises `EngineUnavailable`."""
        ptts = _library()
        folder = phonon_weights.locate(loading.model)
        ptts.set_num_threads(loading.threads)
        # Without a model it would download one, and without a catalog look voices up in one that it downloads: both are given.
        with tempfile.TemporaryDirectory() as empty:
            (Path(empty) / "voices.jsonl").touch()
            try:
                self._tts = ptts.TTS(
                    str(folder),
                    quant=loading.quant or None,
                    temperature=loading.temperature,
                    seed=loading.seed,
                    lang=None,
                    voice_catalog=empty,
                )
            except Exception as error:  # whatever a file that is none makes the library raise
                raise EngineUnavailable(
                    f"The checkpoint in {folder} cannot be loaded ({_first_line(error)}).",
                    "It needs config.json, tokenizer.json, and model.safetensors or model.q8.gguf: fetch them again.",
                    code="invalid_weights",
                ) from error
        self._normalize = ptts.normalize
        self._lent: OrderedDict[str, str] = OrderedDict()
        self._free = [f"lent:{number}" for number in range(MAX_LENT)]
        self._lock = threading.Lock()
        self._registered: dict[str, str | None] = {voice: voice for voice in self._tts.voices}
        self.sample_rate: int = self._tts.sample_rate
        self.languages: tuple[str, ...] = tuple(self._tts.languages) or ("en",)
        self.cloned = self._add(Path(loading.clips).expanduser()) if loading.clips else ()
        if not self._registered:
            self._registered["default"] = None
        self.voices = tuple(self._registered)

    def _add(self, where: Path) -> tuple[str, ...]:
        """Add a voice from each file, and return the names of those that were cloned from recordings."""
        given = sorted(where.iterdir()) if where.is_dir() else [where]
        given = [file for file in given if file.suffix.lower() in (*CLIP_SUFFIXES, VOICE_SUFFIX)]
        if not 0 < len(given) <= MAX_CLIPS:
            raise EngineUnavailable(
                f"There are {len(given) or 'no'} recordings in {where}.",
                f"The option `clips` names one, or a folder of at most {MAX_CLIPS}: {', '.join((*CLIP_SUFFIXES, VOICE_SUFFIX))}.",
                code="no_clips",
            )
        for file in given:
            if file.stem in self._registered:
                raise EngineUnavailable(
                    f"There are two voices named {file.stem!r}.", f"Rename {file}.", code="invalid_clip"
                )
            try:
                if file.suffix.lower() == VOICE_SUFFIX:
                    self._tts.add_voice(file.stem, str(file))
                    self._registered[file.stem] = file.stem
                else:
                    self._registered[file.stem] = self._cloned_from(file)
            except (OSError, ValueError, RuntimeError) as error:
                raise EngineUnavailable(
                    f"{file} gives no voice: {_first_line(error)}.",
                    "Give about ten seconds of one person who speaks, without noise or music, or a voice file of this checkpoint.",
                    code="invalid_clip",
                ) from error
        return tuple(file.stem for file in given if file.suffix.lower() != VOICE_SUFFIX)

    def _cloned_from(self, clip: Path) -> str:
        """The library's name of the voice of a recording, which is worked on once, whatever it is called."""
        if not self._tts.supports_voice_cloning:
            raise EngineUnavailable(
                "This checkpoint cannot clone voices: it has no encoder of speakers.",
                "Use a checkpoint that can, or take the recordings out of the option `clips`.",
                code="no_cloning",
            )
        name = f"clip:{hashlib.sha256(clip.read_bytes()).hexdigest()}"
        if name not in self._registered.values():
            recording = files.read(clip)
            rate = self._tts.voice_prompt_sample_rate
            self._tts.clone_voice(name, resampling.resample(recording.audio, recording.sample_rate, rate))
        return name

    @property
    def clones(self) -> bool:
        return bool(self._tts.supports_voice_cloning)

    def has(self, voice: str) -> bool:
        """Whether `begin()` knows the voice: one of `voices`, or one that `lend()` has named."""
        return voice in self._registered or voice in self._lent

    def lend(self, sample: VoiceSample) -> str:
        """The name of the voice of a recording, which is worked on once. Of more than `MAX_LENT` the one that was asked for longest ago
        goes. Raises `EngineRefused`."""
        name = f"own-{sample.sha256[:32]}"
        with self._lock:
            if name not in self._lent:
                if not self._free:
                    self._free.append(self._lent.popitem(last=False)[1])
                self._clone(self._free[-1], sample)
                self._lent[name] = self._free.pop()
            self._lent.move_to_end(name)
        return name

    def _clone(self, name: str, sample: VoiceSample) -> None:
        rate = self._tts.voice_prompt_sample_rate
        try:
            self._tts.clone_voice(name, resampling.resample(sample.audio, sample.sample_rate, rate))
        except (NotImplementedError, RuntimeError, ValueError) as error:
            raise EngineRefused(
                f"The recording gives no voice: {_first_line(error)}.",
                "Give about ten seconds of one person who speaks, without noise or music.",
                code="invalid_sample",
            ) from error

    def begin(self, text: str, voice: str, language: str) -> PhononUtterance | None:
        """Begin to speak `text`, numbers and symbols of which are read as `language` does; None where it has nothing to say."""
        spoken = self._normalize(text, lang=language if language in SPELT else None, rewrites="all")
        if not any(map(str.isalnum, spoken)):
            return None
        try:
            return PhononUtterance(self._tts.stream(spoken, voice=self._lent.get(voice) or self._registered[voice]))
        except ValueError as error:
            if "nothing to synthesize" in str(error):  # characters of which the tokenizer has none
                return None
            raise


SPELT: Final = frozenset({"en", "fr", "de", "es", "pt"})
"""Languages whose numbers, dates and symbols the library spells out."""


class PhononUtterance:
    """Speech that is being made, a frame at a time. The library works ahead as far as its bounded buffers reach, then waits."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def next(self) -> Samples | None:
        """The next audio, float32 `[n]` in [-1, 1]; None at the end, and after `close()`."""
        with self._lock:
            frame = next(self._stream, None)
        return None if frame is None else np.clip(frame, -1.0, 1.0).astype(np.float32, copy=False)

    def close(self) -> None:
        """Stop the library's threads, once a call of `next()` has returned. Idempotent."""
        with self._lock:
            self._stream.close()


def _library() -> Any:
    try:
        import ptts
    except ImportError as error:
        raise EngineUnavailable(
            f"ptts cannot be imported: {error}.", f"Install it: {install('phonon')}", code="missing_package"
        ) from error
    return ptts


def _first_line(error: Exception) -> str:
    message = error.message if isinstance(error, EngineError) else str(error)
    return (message.strip().splitlines() or [type(error).__name__])[0][:300].rstrip(".")
