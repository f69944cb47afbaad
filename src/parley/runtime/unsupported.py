"""What a pipeline asks of an engine that opened, and that this engine does not have: its language, its voice.

Laws: every turn, or every reply, would fail; so it is found before the first session. The error says nothing of pipelines: who opened the
engine knows where the setting came from.
"""

from __future__ import annotations

from typing import Any, Final, Literal, cast

from parley.config.values import PipelineConfig
from parley.engines.ports import STT, TTS, VC, Engine, EngineUnavailable, SpeechSynthesizer, Stage
from parley.engines.stt.language_names import TAGS
from parley.engines.voices.shelf import VoiceShelf
from parley.invocation import command
from parley.text import voice_mix
from parley.text.language_tags import primary_tag

MAX_VOICES_NAMED: Final = 12
MAX_LANGUAGES_NAMED: Final = 16
"""Languages that a message lists before it says that there are more; Whisper and espeak-ng know about a hundred."""

MANY_LANGUAGES: Final = "whisper:base"
"""A recogniser of the languages in `TAGS`, which `parley models pull` fetches and a CPU serves."""


class SettingUnsupported(EngineUnavailable):
    """The engine does not have the `language` or `voice` (`setting`) that is asked of it, `value`."""

    def __init__(self, message: str, remedy: str, setting: Literal["language", "voice"], value: str) -> None:
        super().__init__(message, remedy, code=f"unsupported_{setting}")
        self.setting = setting
        self.value = value

    def in_pipeline(self, name: str) -> str:
        """The message, with the pipeline whose setting it is."""
        return f"{self.message} The pipeline {name!r} asks for it."


def unsupported(
    stage: Stage[Any], name: str, engine: Engine, config: PipelineConfig, own: VoiceShelf
) -> SettingUnsupported | None:
    """Why this engine, which the configuration calls `name`, cannot serve the pipeline; None where it can."""
    if stage is STT:
        return _not_understood(name, engine, config.language)
    if stage is TTS:
        speaker = cast(SpeechSynthesizer, engine)
        return _no_voice(name, speaker, config, own) or _not_spoken(name, speaker, config, own)
    return None


def _not_understood(name: str, engine: Engine, language: str) -> SettingUnsupported | None:
    known = engine.info.languages
    if not language or not known or primary_tag(language) in map(primary_tag, known):
        return None
    message = f"{name} does not understand {language!r}; it knows {_listed(known, MAX_LANGUAGES_NAMED)}."
    if primary_tag(language) in TAGS.values():
        pull = command("models", "pull", MANY_LANGUAGES)
        remedy = f"{MANY_LANGUAGES} does: fetch it with `{pull}` and name it for stt (--stt {MANY_LANGUAGES})."
    else:
        remedy = (
            "Write it as a tag such as en, de or pt-BR, or choose another engine for stt: `parley engines` lists them."
        )
    return SettingUnsupported(message, remedy, "language", language)


def _no_voice(
    name: str, engine: SpeechSynthesizer, config: PipelineConfig, own: VoiceShelf
) -> SettingUnsupported | None:
    """The voice may be one of the pipeline's converter instead."""
    if not config.voice or VC in config.engines or own.around(engine).resolve_voice(config.voice) is not None:
        return None
    message = f"{name} has no voice {config.voice!r}."
    if why := own.refusal(config.voice, engine):
        message += f" {why}"
    listed = _listed(engine.info.voices, MAX_VOICES_NAMED)
    mixes = f", mixes of them ({voice_mix.FORM})" if engine.info.mixes else ""
    remedy = f"Set `voice` to one of {listed}{mixes}, or an OpenAI voice name."
    return SettingUnsupported(message, remedy, "voice", config.voice)


def _not_spoken(
    name: str, engine: SpeechSynthesizer, config: PipelineConfig, own: VoiceShelf
) -> SettingUnsupported | None:
    voices, language = own.around(engine), config.language
    if not language or voices.resolve_voice(config.voice, language) or voices.resolve_voice(config.voice) is None:
        return None
    message = f"{name} does not speak {language!r}; it knows {_listed(engine.info.languages, MAX_LANGUAGES_NAMED)}."
    remedy = "Set another language, or choose another engine for tts: `parley engines` lists them."
    return SettingUnsupported(message, remedy, "language", language)


def _listed(names: tuple[str, ...], most: int) -> str:
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")
