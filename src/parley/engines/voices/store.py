"""The folder of the user's own voices and of the consents to them.

    voice_0123....json    a record, by which the voice exists        cons_0123....json    the same of a consent
    voice_0123....wav     its recording, or .bin: its tensor         cons_0123....wav     its recording

Laws:
- A voice is there once its record is: the file of its sound is written first, and each file takes its name once it is whole. What a
  crash, or a full disk, leaves behind is found by nobody and removed by the next writer.
- One writer at a time, also among processes (a lock on `.lock`); readers need no lock. Files are for this user only (0600, folders 0700).
- What another process adds is there with the next look: each look lists the folder, and reads the records that are new.
- Bounded: `limit` voices, as many consents, `MAX_RECORD` bytes a record. What a file holds is refused unless it is what was written.
"""

from __future__ import annotations

import hashlib
import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar, cast

import msgspec
import numpy as np

from parley.audio import files
from parley.audio.files import Recording
from parley.audio.private_files import UNFINISHED, make_private_folder, private_opener, replace_file
from parley.engines.ports import ConsentRecording, VoiceSample, VoiceTensor
from parley.engines.tts import kokoro_tensors
from parley.engines.tts.kokoro_tensors import Style
from parley.engines.voices.clone_states import CloneStates
from parley.engines.voices.records import (
    CONSENT_PREFIX,
    VOICE_PREFIX,
    OwnConsent,
    OwnVoice,
    VoiceKind,
    VoiceRefused,
    checked_label,
    checked_name,
    checked_text,
    is_id,
    key_of,
    new_id,
)
from parley.invocation import command
from parley.models import store

log = logging.getLogger(__name__)

VARIABLE: Final = "PARLEY_OWN_VOICES_DIR"
USUAL_LIMIT: Final = 20
"""Voices, as OpenAI has it."""

MAX_RECORD: Final = 16 << 10
_LOCK: Final = ".lock"
_SUFFIXES: Final = {"clip": ".wav", "tensor": ".bin"}

R = TypeVar("R", OwnVoice, OwnConsent)
_Stamp = tuple[int, int, int]


def folder() -> Path:
    """Where the voices are: the folder of `PARLEY_OWN_VOICES_DIR`, else `own-voices` in the user's data folder."""
    if named := os.environ.get(VARIABLE):
        return Path(named).expanduser()
    return store.data_folder() / "own-voices"


class VoiceStore:
    """The voices in a folder, which need not exist. Any thread may call; everything here reads or writes files.

    Raises `VoiceRefused` for what is not possible, `OSError` for files that cannot be read or written (`ENOSPC`: the disk is full).
    """

    def __init__(self, where: Path | None = None, limit: int = USUAL_LIMIT) -> None:
        self.folder = folder() if where is None else where
        self.limit = limit
        self._known: dict[str, tuple[_Stamp, OwnVoice | OwnConsent | None]] = {}
        self._looking = threading.Lock()

    # --- look ----------------------------------------------------------------------------------------------------------

    def voices(self) -> tuple[OwnVoice, ...]:
        """The voices, the oldest first."""
        return self._records(OwnVoice, VOICE_PREFIX)

    def consents(self) -> tuple[OwnConsent, ...]:
        """The consents, the oldest first."""
        return self._records(OwnConsent, CONSENT_PREFIX)

    def voice(self, named: str) -> OwnVoice:
        """The voice of this id or name. Raises `VoiceRefused` (`voice_not_found`)."""
        for one in self.voices():
            if named == one.id or key_of(named.strip()) == one.key:
                return one
        known = ", ".join(one.name for one in self.voices())
        raise VoiceRefused(
            f"There is no voice {named[:100]!r} of your own.",
            f"There are {known}." if known else f"Add one: {command('voices', 'add', 'NAME', 'clip.wav')}",
            code="voice_not_found",
            field="id",
        )

    def consent(self, identity: str) -> OwnConsent:
        """The consent of this id. Raises `VoiceRefused` (`consent_not_found`)."""
        found = next((one for one in self.consents() if one.id == identity), None)
        if found is None:
            raise VoiceRefused(
                f"There is no consent {identity[:100]!r}.",
                "Upload the recording of one first: POST /v1/audio/voice_consents.",
                code="consent_not_found",
                field="consent",
            )
        return found

    def sample(self, voice: OwnVoice) -> VoiceSample:
        """The recording of a clip. Raises `VoiceRefused` (`voice_not_found`, `voice_damaged`) where its file is gone or another."""
        with _unless_removed(voice):
            file = self._whole(voice)
            recording = files.read(file)
        consent = self._consent_of(voice)
        return VoiceSample(recording.audio, recording.sample_rate, voice.sha256, voice.text, file, consent)

    def _consent_of(self, voice: OwnVoice) -> ConsentRecording | None:
        """The recording of the consent to a voice; None where there is none, or a damaged one: most engines need the voice only."""
        consent = next((one for one in self.consents() if one.id == voice.consent), None)
        if consent is None:
            return None
        path = self.folder / f"{consent.id}.wav"
        try:
            wav = path.read_bytes()
        except FileNotFoundError:
            wav = b""
        if hashlib.sha256(wav).hexdigest() != consent.sha256:
            log.warning("the recording of the consent to the voice %r is damaged: %s", voice.name, path)
            return None
        return ConsentRecording(wav, consent.language, consent.sha256)

    def tensor(self, voice: OwnVoice) -> VoiceTensor:
        """The style of a tensor. Raises as `sample()`."""
        with _unless_removed(voice):
            return VoiceTensor(voice.name, kokoro_tensors.read(self._whole(voice), voice.id), voice.sha256)

    def _whole(self, voice: OwnVoice) -> Path:
        path = self.folder / (voice.id + _SUFFIXES[voice.kind])
        if hashlib.sha256(path.read_bytes()).hexdigest() != voice.sha256:
            raise VoiceRefused(
                f"The file of the voice {voice.name!r} is damaged: {path}.",
                f"Remove the voice and add it again: {command('voices', 'remove', voice.name)}",
                code="voice_damaged",
                field="id",
            )
        return path

    # --- change --------------------------------------------------------------------------------------------------------

    def add_clip(
        self, name: str, recording: Recording, text: str = "", consent: str = "", *, text_heard: bool = False
    ) -> OwnVoice:
        """Keep a recording (`clips.read`) as a voice. `text_heard`: a recogniser has found its words."""
        return self._add(
            files.to_wav(recording),
            name,
            "clip",
            seconds=recording.seconds,
            text=checked_text(text),
            text_heard=text_heard,
            consent=consent,
        )

    def add_tensor(self, name: str, style: Style) -> OwnVoice:
        """Keep a tensor (`kokoro_tensors.read`) as a voice."""
        return self._add(np.ascontiguousarray(style, "<f4").tobytes(), name, "tensor")

    def add_mix(self, name: str, mix: str) -> OwnVoice:
        """Keep a mix as it is written. Which parts it may have is the engine's to say."""
        return self._add(b"", name, "mix", mix=mix)

    def check_free(self, name: str) -> str:
        """The name as it is kept, where one more voice of that name can be added. Raises `VoiceRefused`: `invalid_name`,
        `voice_reserved`, `name_taken`, `too_many_voices`."""
        kept, voices = checked_name(name), self.voices()
        _refuse_taken(kept, voices)
        if len(voices) >= self.limit:
            raise VoiceRefused(
                f"There are {len(voices)} voices already, and at most {self.limit} are kept.",
                "Remove one, or set own_voices.limit higher.",
                code="too_many_voices",
                field="name",
            )
        return kept

    def _add(
        self,
        sound: bytes,
        name: str,
        kind: VoiceKind,
        *,
        seconds: float = 0.0,
        text: str = "",
        text_heard: bool = False,
        mix: str = "",
        consent: str = "",
    ) -> OwnVoice:
        with self._writing():
            made = OwnVoice(
                id=new_id(VOICE_PREFIX),
                name=self.check_free(name),
                kind=kind,
                added_ns=time.time_ns(),
                sha256=hashlib.sha256(sound).hexdigest() if sound else "",
                seconds=round(seconds, 2),
                text=text,
                text_heard=text_heard,
                mix=mix,
                consent=self.consent(consent).id if consent else "",
            )
            self._keep(made, sound, _SUFFIXES.get(kind, ""))
        return made

    def add_consent(self, name: str, language: str, recording: Recording) -> OwnConsent:
        """Keep the recording of a consent, whose words the caller has checked. Raises `VoiceRefused` (`invalid_name`,
        `too_many_consents`)."""
        sound = files.to_wav(recording)
        with self._writing():
            if len(self.consents()) >= self.limit:
                raise VoiceRefused(
                    f"There are {self.limit} consents already, which is as many as are kept.",
                    "Delete one that no voice needs.",
                    code="too_many_consents",
                    field="name",
                )
            made = OwnConsent(
                id=new_id(CONSENT_PREFIX),
                name=checked_label(name),
                language=language,
                added_ns=time.time_ns(),
                sha256=hashlib.sha256(sound).hexdigest(),
                seconds=round(recording.seconds, 2),
            )
            self._keep(made, sound, ".wav")
        return made

    def rename_voice(self, identity: str, name: str) -> OwnVoice:
        """Give a voice another name; its id stays."""
        with self._writing():
            old, kept = self.voice(identity), checked_name(name)
            _refuse_taken(kept, [one for one in self.voices() if one.id != old.id])
            return self._rewritten(msgspec.structs.replace(old, name=kept))

    def rename_consent(self, identity: str, name: str) -> OwnConsent:
        """Give a consent another name; its id stays."""
        with self._writing():
            return self._rewritten(msgspec.structs.replace(self.consent(identity), name=checked_label(name)))

    def remove_voice(self, named: str, *, with_consent: bool = False) -> OwnVoice:
        """Delete a voice, its recording too, and what engines have computed of that. Its consent stays, or goes as well where no other
        voice has it."""
        with self._writing():
            voice = self.voice(named)
            last = bool(voice.sha256) and sum(one.sha256 == voice.sha256 for one in self.voices()) == 1
            if last:
                # Before, as a voice whose states cannot be removed must stay to be removed again; and after, for what a session has kept in
                # between.
                CloneStates().forget(voice.sha256)
            self._delete(voice.id)
            if last:
                CloneStates().forget(voice.sha256)
            if with_consent and voice.consent and all(one.consent != voice.consent for one in self.voices()):
                self._delete(voice.consent)
        return voice

    def remove_consent(self, identity: str) -> OwnConsent:
        """Delete a consent, its recording too. Voices that were made with it stay."""
        with self._writing():
            consent = self.consent(identity)
            self._delete(consent.id)
        return consent

    # --- files ---------------------------------------------------------------------------------------------------------

    def _records(self, kind: type[R], prefix: str) -> tuple[R, ...]:
        found: list[R] = []
        with self._looking:
            present = {stem: stamp for stem, stamp in self._listed() if is_id(stem, prefix)}
            for stem in [one for one in self._known if one.startswith(prefix) and one not in present]:
                del self._known[stem]
            for stem, stamp in present.items():
                known = self._known.get(stem)
                if known is None or known[0] != stamp:
                    known = self._known[stem] = (stamp, self._read(stem, kind))
                if known[1] is not None:
                    found.append(cast(R, known[1]))
        return tuple(sorted(found, key=lambda one: (one.added_ns, one.id)))

    def _listed(self) -> Iterator[tuple[str, _Stamp]]:
        try:
            entries = list(os.scandir(self.folder))
        except (FileNotFoundError, NotADirectoryError):
            return
        for entry in entries:
            if entry.name.endswith(".json"):
                try:
                    stat = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                yield entry.name.removesuffix(".json"), (stat.st_ino, stat.st_size, stat.st_mtime_ns)

    def _read(self, stem: str, kind: type[R]) -> R | None:
        path = self.folder / f"{stem}.json"
        try:
            with path.open("rb") as file:
                record = msgspec.json.decode(file.read(MAX_RECORD), type=kind)
            if record.id != stem:
                raise ValueError("it is the record of another")
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:  # those of msgspec are ones too
            log.warning("%s is passed over: %s", path, error)
            return None
        return record

    @contextmanager
    def _writing(self) -> Iterator[None]:
        make_private_folder(self.folder)
        with open(self.folder / _LOCK, "wb", opener=private_opener) as lock:
            if os.name == "posix":
                import fcntl

                fcntl.flock(lock, fcntl.LOCK_EX)
            self._sweep()
            yield

    def _sweep(self) -> None:
        """Remove what a writer has left that did not come to its end. Only under the lock: whoever holds it may be writing."""
        for path in self.folder.iterdir():
            owned = is_id(path.stem, VOICE_PREFIX) or is_id(path.stem, CONSENT_PREFIX)
            orphan = owned and path.suffix in _SUFFIXES.values() and not path.with_suffix(".json").exists()
            if orphan or (path.name.startswith(".") and path.suffix == UNFINISHED):
                path.unlink(missing_ok=True)

    def _keep(self, record: OwnVoice | OwnConsent, sound: bytes, suffix: str) -> None:
        try:
            if suffix:
                replace_file(self.folder / (record.id + suffix), sound)
            replace_file(self.folder / f"{record.id}.json", _encoded(record))
        except BaseException:
            self._delete(record.id)
            raise

    def _rewritten(self, record: R) -> R:
        replace_file(self.folder / f"{record.id}.json", _encoded(record))
        return record

    def _delete(self, identity: str) -> None:
        # The record first: from then on the voice is not there.
        for suffix in (".json", *_SUFFIXES.values()):
            (self.folder / (identity + suffix)).unlink(missing_ok=True)


@contextmanager
def _unless_removed(voice: OwnVoice) -> Iterator[None]:
    """Its file may go at any moment while it is read: another client, or another process, removes the voice."""
    try:
        yield
    except FileNotFoundError:
        raise VoiceRefused(
            f"The voice {voice.name!r} was removed.", "Choose another.", code="voice_not_found", field="id"
        ) from None


def _encoded(record: OwnVoice | OwnConsent) -> bytes:
    return msgspec.json.format(msgspec.json.encode(record), indent=1) + b"\n"


def _refuse_taken(name: str, voices: tuple[OwnVoice, ...] | list[OwnVoice]) -> None:
    if any(one.key == key_of(name) for one in voices):
        raise VoiceRefused(
            f"There is a voice {name!r} already.",
            f"Choose another name, or remove that one first: {command('voices', 'remove', name)}",
            code="name_taken",
            field="name",
        )
