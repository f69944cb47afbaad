"""What a pipeline asks of an engine that opened, and that this engine does not have: its language, its voice.

Laws: every turn, or every reply, would fail; so it is found before the first session. The error says nothing of pipelines: who opened the
engine knows where the setting came from.
"""

from __future__ import annotations

from typing import Any, Final, Literal, cast

from parley.config.errors import ConfigError
from parley.config.values import Config, PipelineConfig
from parley.engines.ports import STT, TTS, VC, Engine, EngineUnavailable, SpeechSynthesizer, Stage
from parley.engines.stt.language_names import TAGS
from parley.engines.voices.shelf import VoiceShelf
from parley.invocation import command
from parley.text import voice_mix
from parley.text.language_tags import primary_tag

MAX_VOICES_NAMED: Final = 12
MAX_LANGUAGES_NAMED: Final = 16
"""Languages that a message lists before it says that there are more; Whisper and espeak-ng know about a hundred."""

_FAMILIAR: Final = ("de", "es", "fr")
"""Languages whose voices a message names as examples."""

MANY_LANGUAGES: Final = "whisper:base"
"""A recogniser of the languages in `TAGS`, which `parley models pull` fetches and a CPU serves."""


class SettingUnsupported(EngineUnavailable):
    """The engine does not have the `language` or `voice` (`setting`) that is asked of it, `value`."""

    def __init__(self, message: str, remedy: str, setting: Literal["language", "voice"], value: str) -> None:
        super().__init__(message, remedy, code=f"unsupported_{setting}")
        self.setting = setting
        self.value = value


def where_set(error: SettingUnsupported, config: Config, pipeline: str) -> ConfigError:
    """The error of an engine of this pipeline, with the place where the setting was set."""
    key = f"pipelines.{pipeline}.{error.setting}"
    place = next((one.source for one in config.settings if one.key == key), "")
    return ConfigError(f"{place}: {error.message}" if place else error.message, error.remedy)


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
    message = f"The stt engine {name} does not understand {language!r}{_known(known)}."
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
    message = f"The tts engine {name} has no voice {config.voice!r}."
    if why := own.refusal(config.voice, engine):
        message += f" {why}"
    return SettingUnsupported(message, _voices_of(engine), "voice", config.voice)


def _voices_of(engine: SpeechSynthesizer) -> str:
    """The voices that there are, for a person; those that are called after a language (espeak-ng's) by examples."""
    info = engine.info
    languages = tuple(voice for voice in info.voices if primary_tag(voice) in info.languages)
    names = tuple(voice for voice in info.voices if voice not in languages)
    kinds = [_listed(names, MAX_VOICES_NAMED)] if names else []
    if info.mixes and names:
        kinds.append(f"mixes of them ({voice_mix.FORM})")
    if languages:
        tags = [tag for tag in _FAMILIAR if tag in languages] or languages[:3]
        kinds.append(f"the code of a language, such as {' or '.join(tags)}")
    if "alloy" not in names:
        kinds.append("OpenAI's (alloy, ash, ...)")
    return f"The voices are {'; '.join(kinds)}."


def _not_spoken(
    name: str, engine: SpeechSynthesizer, config: PipelineConfig, own: VoiceShelf
) -> SettingUnsupported | None:
    voices, language = own.around(engine), config.language
    if not language or voices.resolve_voice(config.voice, language) or voices.resolve_voice(config.voice) is None:
        return None
    message = f"The tts engine {name} does not speak {language!r}{_known(engine.info.languages)}."
    remedy = "Set another language, or choose another engine for tts: `parley engines` lists them."
    return SettingUnsupported(message, remedy, "language", language)


def _known(languages: tuple[str, ...]) -> str:
    return f"; it knows {_listed(languages, MAX_LANGUAGES_NAMED)}" if languages else ""


def _listed(names: tuple[str, ...], most: int) -> str:
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")
