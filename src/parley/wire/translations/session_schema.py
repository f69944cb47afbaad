"""Reads the `session` of a translation session's `session.update`, and that of a request for a client secret.

Laws: only members that the client wrote enter the patch; null switches `transcription` and `noise_reduction` off and elsewhere counts as
not written. Type and model are chosen when a session is opened: an update may repeat them, and the core refuses another model.
"""

from __future__ import annotations

import re

from parley.core.words.settings import (
    CLAUSES,
    UNSTABLE_WORDS,
    NoiseReduction,
    SessionKind,
    SettingsPatch,
    Transcription,
)
from parley.wire import limits
from parley.wire.schema import Fields, Reader, invalid, number, record, shown, text
from parley.wire.settings_schema import NAME, NOISE_REDUCTION_TYPE, included, switchable

_TAG = re.compile(r"([A-Za-z]{2,3}|x(?=-))(-[A-Za-z0-9]{1,8})*")
"""The shapes of language tags (BCP 47) that translators know, private ones (`x-...`) included."""

_BOUNDED = text(limits.MAX_LANGUAGE, 1)
_VOICE = text(limits.MAX_NAME)
_INCLUDED = included(CLAUSES, UNSTABLE_WORDS)
_MEMBERS = (
    "A translation session has only 'audio.input.transcription', 'audio.input.noise_reduction' and 'audio.output.language', and of "
    "Parley's own 'audio.input.transcription.language', 'audio.output.voice' and 'include'."
)


def read_session(members: Fields, kind: SessionKind | None = None) -> SettingsPatch:
    """The patch that the session of a client secret asks for: as `UPDATE`, with a model. Raises `PeerError`."""
    patch = _read(members)
    patch["model"] = members.take("model", NAME)
    members.finish(_MEMBERS)
    return patch


def _read_update(members: Fields) -> SettingsPatch:
    patch = _read(members)
    if (model := members.find("model", NAME)) is not None:
        patch["model"] = model
    members.finish(_MEMBERS)
    return patch


UPDATE: Reader[SettingsPatch] = record(_read_update)
"""The session object of a `session.update`."""


def _read(members: Fields) -> SettingsPatch:
    """What both have."""
    members.find("type", _type)
    patch: SettingsPatch = {"kind": "translation"}
    members.find("audio", record(lambda inner: _read_audio(inner, patch)))
    if "include" in members:
        patch["include"] = members.find("include", _INCLUDED) or ()
    return patch


def _type(value: object, path: str) -> str:
    if value != "translation":
        message = f"Invalid value for '{path}': {shown(value)}. A session here is a 'translation'; leave the type out."
        raise invalid(path, f"{message} Sessions of the other types are opened at /v1/realtime.")
    return "translation"


def _read_audio(members: Fields, patch: SettingsPatch) -> None:
    members.find("input", record(lambda inner: _read_input(inner, patch)))
    members.find("output", record(lambda inner: _read_output(inner, patch)))


def _read_input(members: Fields, patch: SettingsPatch) -> None:
    _refuse_format(members)
    if "transcription" in members:
        patch["transcription"] = members.find("transcription", switchable(record(_transcription)))
    if "noise_reduction" in members:
        patch["noise_reduction"] = members.find("noise_reduction", switchable(record(_noise_reduction)))
    members.refuse(
        "turn_detection", "a translation session has no turns; its clauses end as the server's owner has set 'lag'."
    )


def _read_output(members: Fields, patch: SettingsPatch) -> None:
    _refuse_format(members)
    if (tag := members.find("language", language)) is not None:
        patch["target_language"] = tag
    if (voice := members.find("voice", _voice)) is not None:
        patch["voice"] = voice


def _voice(value: object, path: str) -> str:
    """A voice's name, plain or as `{"id": name}`."""
    if isinstance(value, dict):
        return record(lambda members: members.take("id", _VOICE))(value, path)
    return _VOICE(value, path)


def _refuse_format(members: Fields) -> None:
    members.refuse(
        "format", "the audio of translation sessions is 24 kHz PCM16, mono, in both directions. Leave it out."
    )


def language(value: object, path: str) -> str:
    """A language tag: `pt`, `pt-BR`."""
    tag = _BOUNDED(value, path)
    if _TAG.fullmatch(tag):
        return tag
    hyphened = tag.replace("_", "-")
    fix = (
        f"Write it as '{hyphened}'"
        if _TAG.fullmatch(hyphened)
        else "Send a language tag (BCP 47) such as 'pt' or 'pt-BR'"
    )
    raise invalid(path, f"Invalid '{path}': {shown(tag)}. {fix}.")


def _transcription(members: Fields) -> Transcription:
    return Transcription(model=members.take("model", NAME), language=members.find("language", language) or "")


def _noise_reduction(members: Fields) -> NoiseReduction:
    strength = members.find("strength", number(0.0, 1.0))
    return NoiseReduction(type=members.take("type", NOISE_REDUCTION_TYPE), strength=strength)
