"""Client events as a client of a translation session sends them.

Laws: those of `wire.write_events`. Only audio, the end, and changes of what a translation session lets its client set can be said.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from parley.core.words.events import AudioArrived, ClientEvent, SessionCloseRequested, SessionUpdateRequested
from parley.core.words.settings import SettingsPatch, Transcription
from parley.wire.encode_settings import included
from parley.wire.encoding import Json, Named, base64_text
from parley.wire.translations.encode_session import noise_reduction_object, transcription_object


def client_event(event: ClientEvent) -> Named | None:
    """The event's type and members, without its id."""
    match event:
        case AudioArrived():
            return "session.input_audio_buffer.append", {"audio": base64_text(event.audio)}
        case SessionCloseRequested():
            return "session.close", {}
        case SessionUpdateRequested():
            session = session_patch(event.patch)
            return None if session is None else ("session.update", {"session": session})
        case _:
            return None


_OUTER: Mapping[str, tuple[str, Callable[..., object]]] = {"model": ("model", str), "include": ("include", included)}
_INPUT: Mapping[str, tuple[str, Callable[..., object]]] = {
    "transcription": ("transcription", transcription_object),
    "noise_reduction": ("noise_reduction", noise_reduction_object),
}
_OUTPUT: Mapping[str, tuple[str, Callable[..., object]]] = {
    "target_language": ("language", str),
    "voice": ("voice", str),
}
_SAID = {"kind", *_OUTER, *_INPUT, *_OUTPUT}


def session_patch(patch: SettingsPatch) -> Json | None:
    """The session object that asks for the patch, null for what it switches off; None for what cannot be said."""
    wanted = patch.get("transcription")
    if patch.get("kind", "translation") != "translation" or not set(patch) <= _SAID or not _plain(wanted):
        return None
    audio = {"input": _members(patch, _INPUT), "output": _members(patch, _OUTPUT)}
    sides = {name: members for name, members in audio.items() if members}
    return _members(patch, _OUTER) | ({"audio": sides} if sides else {})


def _plain(wanted: Transcription | None) -> bool:
    """Whether it names a model, perhaps a language, and nothing else."""
    return wanted is None or (bool(wanted.model) and wanted == Transcription(wanted.model, wanted.language))


def _members(patch: SettingsPatch, table: Mapping[str, tuple[str, Callable[..., object]]]) -> Json:
    values: dict[str, object] = {**patch}
    return {name: write(values[field]) for field, (name, write) in table.items() if field in values}
