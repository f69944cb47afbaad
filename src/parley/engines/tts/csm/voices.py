"""The voices of CSM: one for each recording with its text, which stands before every conversation, and the bare speakers of the model.

Laws:
- Recordings are named by the owner, in the configuration: what cannot be a voice is refused at start-up, by the name of its option. Those
  that users bring are lent to the engine, and seen by nobody else.
- The codes of a recording are computed once for its bytes and the model, and kept (`engines/voices/clone_states.py`).
"""

from __future__ import annotations

import hashlib
import io
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from parley.audio import files, resampling
from parley.engines.openai_api.voices import OPENAI_VOICES
from parley.engines.ports import EngineRefused, EngineUnavailable, Samples, VoiceSample
from parley.engines.strangers_audio import read_strangers
from parley.engines.tts.csm.model import SAMPLE_RATE, Codes
from parley.engines.tts.csm.settings import ClipSetting, CsmSettings
from parley.engines.tts.csm.spoken_text import plain_text
from parley.engines.voices.clone_states import CloneStates

SUFFIXES: Final = (".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a")
MIN_CLIP_S, MAX_CLIP_S = 1.0, 30.0
"""Less holds no voice; more takes positions away from the conversation and makes the voice no better."""

MAX_CLIP_BYTES: Final = 64 << 20
MAX_VOICES: Final = 100
MAX_LENT: Final = 32
"""Voices of users: half a minute of sound each."""

MAX_CHARS_PER_S: Final = 30
"""Nobody speaks faster: a text that is longer is not the clip's."""

LEAST_RMS: Final = 0.003
BARE_SPEAKERS: Final = 4
REMEDY: Final = f"Give {MIN_CLIP_S:g} to {MAX_CLIP_S:g} s of one person who speaks, without noise or music."


@dataclass(slots=True)
class LentRecording:
    """The recording of a voice that a user brought, float32 `[n]` at 24 kHz; its codes are computed when they are first needed, on the
    model's thread, and kept for its `sha256` and what they were `made_with` while its `file` is there."""

    audio: Samples
    sha256: str
    made_with: str
    file: Path | None
    codes: Codes | None = None

    def encoded(self, encode: Callable[[Samples], Codes]) -> Codes:
        if self.codes is None:
            self.codes = CloneStates().get_or_compute(
                self.sha256, self.made_with, lambda: encode(self.audio), self.file
            )
        return self.codes


@dataclass(frozen=True, slots=True)
class CsmVoice:
    """`speaker` is its number in the model's texts. `text` and `codes`, or `lent`, are the turn that stands first, "" and None for a bare
    speaker; `digest` tells it from others."""

    name: str
    speaker: int
    digest: str
    text: str = ""
    codes: Codes | None = field(default=None, repr=False, compare=False)
    lent: LentRecording | None = field(default=None, repr=False, compare=False)

    def reference(self, encode: Callable[[Samples], Codes]) -> Codes | None:
        """The codes of the turn that stands first. Blocks where they are not known yet."""
        return self.codes if self.lent is None else self.lent.encoded(encode)

    @property
    def other_speaker(self) -> int:
        """The number of whoever talks with this voice."""
        return 0 if self.speaker == 1 else 1


class CsmVoices:
    """All voices by name; cloned ones first."""

    def __init__(self, settings: CsmSettings, encode: Callable[[Samples], Codes], made_with: str) -> None:
        """Read the clips, and encode those whose codes are not kept; codes depend on what they are `made_with`. Blocks. Raises
        `EngineUnavailable` that names the option."""
        self._all: dict[str, CsmVoice] = {}
        self._lent: OrderedDict[str, CsmVoice] = OrderedDict()
        self._made_with = made_with
        for name, clip in clips_of(settings).items():
            self._all[name] = _cloned(name, clip, encode, made_with)
        self.cloned = tuple(self._all)
        for speaker in range(BARE_SPEAKERS):
            name = f"speaker-{speaker}"
            self._all.setdefault(name, CsmVoice(name, speaker, f"speaker {speaker}"))
        self._usual = settings.voice or next(iter(self._all))
        if self._usual not in self._all:
            raise EngineUnavailable(
                f"CSM has no voice {settings.voice!r}, which the option `voice` names.",
                f"It has {', '.join(self.names)}; the option `voices` adds recordings.",
                code="unknown_voice",
            )

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._all)

    def find(self, voice: str) -> CsmVoice | None:
        """The voice of that name; the usual one for "" and for OpenAI's names; None for any other."""
        if voice in self._all:
            return self._all[voice]
        if voice in self._lent:
            return self._lent[voice]
        return self._all[self._usual] if not voice or voice in OPENAI_VOICES else None

    def lend(self, sample: VoiceSample) -> str:
        """The name of the voice of a recording that a user brought; the one that was asked for longest ago goes beyond `MAX_LENT`. Raises
        `EngineRefused` (`invalid_sample`)."""
        seconds = len(sample.audio) / sample.sample_rate
        text = plain_text(sample.text)
        if not text:
            remedy = 'Say what is said in it: `parley voices add NAME clip.wav --text "..."`, or the field `text`.'
            raise EngineRefused("CSM needs the words of a recording.", remedy, code="invalid_sample")
        if not MIN_CLIP_S <= seconds <= MAX_CLIP_S or len(text) > MAX_CHARS_PER_S * seconds:
            why = f"The recording lasts {seconds:.1f} s, and its text has {len(text)} characters."
            raise EngineRefused(why, REMEDY, code="invalid_sample")
        if not np.isfinite(sample.audio).all() or float(np.sqrt(np.mean(np.square(sample.audio)))) < LEAST_RMS:
            raise EngineRefused("The recording is silent.", REMEDY, code="invalid_sample")
        digest = hashlib.sha256(f"{sample.sha256} {text}".encode()).hexdigest()
        name = f"own-{digest[:32]}"
        if name not in self._lent:
            audio = resampling.resample(sample.audio, sample.sample_rate, SAMPLE_RATE)
            lent = LentRecording(np.clip(audio, -1.0, 1.0), sample.sha256, self._made_with, sample.file)
            self._lent[name] = CsmVoice(name, 0, digest, text, lent=lent)
        self._lent.move_to_end(name)
        while len(self._lent) > MAX_LENT:
            self._lent.popitem(last=False)
        return name


def clips_of(settings: CsmSettings) -> Mapping[str, ClipSetting]:
    """The recordings that the settings name, by the name of the voice: those of `voices`, or of its folder. Raises `EngineUnavailable`."""
    if not settings.folder:
        return settings.voices
    folder = Path(settings.folder).expanduser()
    try:
        found = sorted(one for one in folder.iterdir() if one.suffix.lower() in SUFFIXES)
    except OSError as error:
        raise EngineUnavailable(
            f"The option `voices` names the folder {folder}, which cannot be read ({error.strerror}).",
            'Correct the path, or name each recording: voices = { anna = "anna.wav" }.',
            code="no_clips",
        ) from error
    if not 0 < len(found) <= MAX_VOICES:
        raise EngineUnavailable(
            f"There are {len(found) or 'no'} recordings in {folder}, which the option `voices` names.",
            f"Put 1 to {MAX_VOICES} there: {', '.join(SUFFIXES)}, each with a .txt of the same name.",
            code="no_clips",
        )
    return {one.stem: ClipSetting(str(one)) for one in found}


def _cloned(name: str, clip: ClipSetting, encode: Callable[[Samples], Codes], made_with: str) -> CsmVoice:
    path = Path(clip.path).expanduser()
    try:
        if path.stat().st_size > MAX_CLIP_BYTES:
            raise _no_voice(name, f"{path} is larger than {MAX_CLIP_BYTES >> 20} MiB")
        data = path.read_bytes()
        recording = read_strangers(io.BytesIO(data), path.name, max_seconds=MAX_CLIP_S, max_rate=48_000)
    except OSError as error:
        raise _no_voice(name, f"{path} cannot be read ({error.strerror})", "Correct the path.") from error
    except files.AudioFileError as error:
        raise _no_voice(name, error.message.rstrip(".")) from error
    _check(name, path, recording)
    text = _text_of(name, clip, path, recording.seconds)
    digest = hashlib.sha256(data).hexdigest()
    audio = resampling.resample(recording.audio, recording.sample_rate, SAMPLE_RATE)
    codes = CloneStates().get_or_compute(digest, made_with, lambda: encode(np.clip(audio, -1.0, 1.0)))
    return CsmVoice(name, clip.speaker, f"{digest} {clip.speaker}", text, codes)


def _check(name: str, path: Path, recording: files.Recording) -> None:
    if not MIN_CLIP_S <= recording.seconds <= MAX_CLIP_S:
        raise _no_voice(name, f"{path} lasts {recording.seconds:.1f} s")
    if not np.isfinite(recording.audio).all():
        raise _no_voice(name, f"{path} holds NaN or infinite values")
    if float(np.sqrt(np.mean(np.square(recording.audio)))) < LEAST_RMS:
        raise _no_voice(name, f"{path} is silent")


def _text_of(name: str, clip: ClipSetting, path: Path, seconds: float) -> str:
    """What is said in the clip, as CSM reads it."""
    beside = path.with_suffix(".txt")
    written = clip.text
    if not written:
        try:
            written = beside.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise _no_voice(
                name,
                f"what is said in {path.name} cannot be read from {beside} ({getattr(error, 'strerror', 'it is not UTF-8')})",
                f'Write it there, word for word, or as voices.{name} = {{ clip = "...", text = "..." }}.',
            ) from error
    text = plain_text(written)
    if not text or len(text) > MAX_CHARS_PER_S * seconds:
        raise _no_voice(
            name,
            f"the text of {path.name} has {len(text)} characters for {seconds:.1f} s",
            "Write what is said in the recording, word for word.",
        )
    return text


def _no_voice(name: str, why: str, remedy: str = REMEDY) -> EngineUnavailable:
    return EngineUnavailable(f"The option voices.{name} gives no voice: {why}.", remedy, code="invalid_clip")
