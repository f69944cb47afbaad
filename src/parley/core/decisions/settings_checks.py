"""Checks whether a session can have the settings that its client asks for, given its pipeline's capabilities and its history.

Laws: changes nothing; a refusal is a `PeerError` that names the field and the fix.
"""

from __future__ import annotations

from dataclasses import replace

from parley.core.decisions.tool_checks import check_tools
from parley.core.state import State
from parley.core.words.errors import PeerError
from parley.core.words.items import InputImage, Message
from parley.core.words.rights import Rights
from parley.core.words.settings import LOGPROBS, Capabilities, Settings, Transcription
from parley.text import voice_mix
from parley.text.language_tags import primary_tag

SHOWN_NAMES = 16
"""Names that an error lists before it says that there are more."""


def checked(st: State, old: Settings, new: Settings, can: Capabilities, rights: Rights) -> Settings:
    """The settings `new`, completed, for a pipeline with the capabilities `can` and an asker with these rights; `old` and the session's
    own are known to be allowed. Raises `PeerError`."""
    if new.voice != old.voice:
        if st.conversation.spoken and new.kind != "translation":
            raise PeerError(
                "Cannot update a conversation's voice if assistant audio is present.",
                code="cannot_update_voice",
                field="session.voice",
            )
        check_voice(can, new.voice, "session.voice")
    if new.speed != old.speed and st.responses.main is not None:
        raise PeerError(
            "The speed can only be changed between turns, not while a response is in progress.",
            code="invalid_value",
            field="session.speed",
        )
    if new.noise_reduction is not None and not can.noise_reduction:
        raise PeerError(
            "Noise reduction is not available on this server; set it to null.",
            code="invalid_value",
            field="session.noise_reduction",
        )
    if LOGPROBS in new.include and not can.logprobs:
        raise PeerError(
            "The speech recogniser of this pipeline gives no log probabilities; leave them out of session.include.",
            code="invalid_value",
            field="session.include",
        )
    if new.reasoning_effort and not can.reasoning:
        raise PeerError(
            "The language model of this pipeline takes no reasoning effort; leave session.reasoning out.",
            code="invalid_value",
            field="session.reasoning_effort",
        )
    if new.input_format is not old.input_format and st.turns.open():
        raise PeerError(
            "The input format cannot be changed while audio is in the buffer; commit or clear it first.",
            code="invalid_value",
            field="session.input_format",
        )
    if new.kind == "translation" and new.target_language != old.target_language:
        _check_target(can, new.target_language)
    if new.tools != st.settings.tools:
        check_tools(new.tools, "session", rights.tool_server_urls)
    if new.transcription is None or new.transcription == old.transcription:
        return new
    return replace(new, transcription=_recognised(new.transcription, can))


def _recognised(wanted: Transcription, can: Capabilities) -> Transcription:
    """The transcription settings, with the recogniser's own name. Raises `PeerError`."""
    where = "session.transcription"
    if wanted.model and not answers_to(can.recognizers, wanted.model):
        raise PeerError(
            f"This pipeline recognises speech with '{can.recognizer}', not with '{wanted.model}'. Leave the model out, or name "
            f"one of {_listed(can.recognizers)}, all of which stand for it here; the server's owner chooses another by the "
            "pipeline's stt.",
            code="invalid_value",
            field=f"{where}.model",
        )
    for name, used in (("prompt", can.prompts), ("keywords", can.keywords)):
        if getattr(wanted, name) and not used:
            raise PeerError(
                f"The speech recogniser '{can.recognizer}' uses no {name}; leave it out, or choose a pipeline whose recogniser does.",
                code="invalid_value",
                field=f"{where}.{name}",
            )
    asked = (wanted.language,) if wanted.language else wanted.languages
    if asked and can.languages and not any(primary_tag(language) in can.languages for language in asked):
        raise PeerError(
            f"The speech recogniser '{can.recognizer}' does not understand {_listed(asked)}; it understands "
            f"{_listed(can.languages)}. Leave the language out, or choose a pipeline with another recogniser.",
            code="invalid_value",
            field=f"{where}.language" if wanted.language else f"{where}.languages",
        )
    return replace(wanted, model=can.recognizer or wanted.model)


def _check_target(can: Capabilities, language: str) -> None:
    """Raises `PeerError` for a language that the pipeline does not translate into."""
    if primary_tag(language) not in can.targets:
        known = f"it translates into {_listed(can.targets)}" if can.targets else "it has no translator"
        raise PeerError(
            f"This pipeline does not translate into '{language[:40]}'; {known}. Choose one of these, or a pipeline with another mt.",
            code="invalid_value",
            field="session.target_language",
        )


def check_voice(can: Capabilities, voice: str, field: str) -> None:
    """Raises `PeerError` for a voice that the pipeline does not have."""
    if voice in can.voices or voice in can.voice_ids:
        return
    for name, reason in can.unspoken:
        if voice == name:
            raise PeerError(reason, code="invalid_value", field=field)
    if not voice or not can.voices:
        return
    mixes = ""
    if can.mixable:
        mixes = f" Voices can be mixed: {voice_mix.FORM}."
        if "+" in voice or "(" in voice:
            try:
                unknown = [name for name in voice_mix.parse(voice) if name not in can.mixable]
            except ValueError as error:
                message = f"Invalid mix of voices '{voice[:100]}': {error}."
                raise PeerError(message, code="invalid_value", field=field) from error
            if not unknown:
                return
            mixes += f" There is no voice '{unknown[0]}' to mix."
    message = f"Unknown voice '{voice}'; this pipeline has {_listed(can.voices, quoted=False)}.{mixes}"
    raise PeerError(message, code="invalid_value", field=field)


def check_change_of_pipeline(st: State, model: str, can: Capabilities) -> None:
    """Raises `PeerError` if the session can no longer change its pipeline, or not yet."""
    if st.audio_exchanged:
        raise PeerError(
            f"The model can only be changed before any audio was sent or received; this session goes on with '{st.settings.model}'. "
            f"Open another with ?model={model}.",
            code="invalid_value",
            field="session.model",
        )
    if any(st.responses) or st.pending.turns or st.tools.calls or st.work.waiting:
        raise PeerError(
            "The model cannot be changed while a response, a transcript or a tool is in progress; wait for its end.",
            code="invalid_value",
            field="session.model",
        )
    contents = (entry.item.content for entry in st.conversation.entries() if isinstance(entry.item, Message))
    if not can.images and any(isinstance(part, InputImage) for content in contents for part in content):
        raise PeerError(
            f"The language model of '{model}' cannot see the images of this conversation; delete them first.",
            code="invalid_value",
            field="session.model",
        )


def answers_to(names: tuple[str, ...], name: str) -> bool:
    """Whether `name` matches one of `names`, which may end with `*` for any ending; without names, any name matches."""
    if not names:
        return True
    return any(name.startswith(one[:-1]) if one.endswith("*") else name == one for one in names)


def _listed(names: tuple[str, ...], *, quoted: bool = True) -> str:
    shown = ", ".join(f"'{name}'" if quoted else name for name in names[:SHOWN_NAMES])
    return shown + (", ..." if len(names) > SHOWN_NAMES else "")
