"""The stages of a pipeline: the one place that names them.

Laws:
- A stage is a name, the Protocol that its engines implement, and the engine that stands there unless another is named. Everything that
  handles all stages (configuration, registry, loading, `parley engines`, `parley doctor`, the library) iterates over `stages()`.
- A package may bring a stage of its own: an entry point of the group `parley.stages` that names a `Stage`.
- Engines of a stage NAME register as `NAME.ENGINE` in the group `parley.engines`; a pipeline's table has the keys `NAME` and
  `NAME_options`.
"""

from __future__ import annotations

import functools
import importlib.metadata
import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

from parley.engines.ports.engine import Engine, EngineSpec
from parley.engines.ports.llm import LanguageModel
from parley.engines.ports.moderation import Moderator
from parley.engines.ports.mt import Translator
from parley.engines.ports.speech import SpeechModel
from parley.engines.ports.stt import SpeechRecognizer
from parley.engines.ports.tts import SpeechSynthesizer
from parley.engines.ports.turn import TurnJudge
from parley.engines.ports.vad import VoiceActivityModel
from parley.engines.ports.vc import VoiceConverter

E = TypeVar("E", bound=Engine)

GROUP = "parley.stages"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Stage(Generic[E]):
    """One stage of a pipeline, whose engines are `E`.

    `name` is an identifier in small letters; `title` is for people. `port` is the runtime-checkable Protocol `E`. `default` is the
    `engine:model` of a pipeline that names none, "" where the stage is then left out. `summary`: whether a one-line description of a
    pipeline names the engine. `chains`: whether the stage has an engine `chain`, which asks several in order. `alias` is a second name,
    under which people may set the stage; "" for none. `replaces`: the names of stages whose defaults a pipeline goes without where it has
    an engine of this one.
    """

    name: str
    title: str
    port: type
    default: str = ""
    summary: bool = True
    chains: bool = False
    alias: str = ""
    replaces: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.name

    def spec(self, text: str, options: Mapping[str, object] | None = None) -> EngineSpec:
        """The engine that a configuration names. Names with commas between them are a chain, where the stage has one."""
        if self.chains and "," in text:
            return EngineSpec("chain", text.strip(), options or {})
        parsed = EngineSpec.parse(text)
        return EngineSpec(parsed.name, parsed.model, options or {})

    def engine_names(self, text: str) -> list[str]:
        """The names of the engines in it, without their models."""
        parts = text.split(",") if self.chains else [text]
        return [EngineSpec.parse(part).name for part in parts if part.strip()]


VAD: Stage[VoiceActivityModel] = Stage("vad", "voice activity", VoiceActivityModel, "silero", summary=False)
TURN: Stage[TurnJudge] = Stage("turn", "end of turn", TurnJudge, "rules", summary=False)
STT: Stage[SpeechRecognizer] = Stage("stt", "speech recognition", SpeechRecognizer, "auto", chains=True)
LLM: Stage[LanguageModel] = Stage("llm", "language model", LanguageModel, "auto", chains=True)
TTS: Stage[SpeechSynthesizer] = Stage("tts", "speech synthesis", SpeechSynthesizer, "auto", chains=True)
MT: Stage[Translator] = Stage("mt", "text translation", Translator, "auto", summary=False)
VC: Stage[VoiceConverter] = Stage("vc", "voice conversion", VoiceConverter, alias="voice_conversion")
SPEECH: Stage[SpeechModel] = Stage("speech", "speech to speech", SpeechModel, replaces=("llm", "tts"))
MODERATION: Stage[Moderator] = Stage("moderation", "moderation", Moderator)

BUILT_IN: tuple[Stage[Any], ...] = (VAD, TURN, STT, LLM, TTS, MT, VC, SPEECH, MODERATION)


@functools.cache
def stages() -> tuple[Stage[Any], ...]:
    """Every stage of this process: the built-in ones, then those of installed packages by name.

    An entry point of the group `parley.stages` that cannot be imported, or names anything but a stage with a name of its own, is left out
    and logged.
    """
    found = {stage.name: stage for stage in BUILT_IN}
    for point in sorted(importlib.metadata.entry_points(group=GROUP), key=lambda point: point.name):
        package = point.dist.name if point.dist else point.module
        try:
            stage = point.load()
        except Exception as error:  # noqa: BLE001 - a package's module may do anything when it is imported
            logger.warning("the stage %r of the package %r cannot be imported: %s", point.name, package, error)
            continue
        if isinstance(stage, Stage) and stage.name.isidentifier() and stage.name not in found:
            found[stage.name] = stage
        else:
            logger.warning(
                "the entry point %r of the package %r names no stage of its own: %r", point.name, package, stage
            )
    return tuple(found.values())


def replaced(names: Iterable[str]) -> frozenset[str]:
    """The stages that a pipeline with engines of these stages goes without, unless it names engines for them."""
    named = set(names)
    return frozenset(other for stage in stages() if stage.name in named for other in stage.replaces)


def aliases() -> dict[str, str]:
    """The second names of settings of stages, those of their options included, and what each stands for."""
    return {
        stage.alias + ending: stage.name + ending for stage in stages() if stage.alias for ending in ("", "_options")
    }


class EngineSet(Mapping[Stage[Any], Engine]):
    """The engines of one pipeline by stage, frozen; a stage that the pipeline goes without is not in it."""

    __slots__ = ("_engines",)

    def __init__(self, engines: Mapping[Stage[Any], Engine]) -> None:
        self._engines = dict(engines)

    def __getitem__(self, stage: Stage[E]) -> E:
        return cast(E, self._engines[stage])

    def __iter__(self) -> Iterator[Stage[Any]]:
        return iter(self._engines)

    def __len__(self) -> int:
        return len(self._engines)

    def find(self, stage: Stage[E]) -> E | None:
        """The engine of that stage, None where the pipeline goes without."""
        return cast("E | None", self._engines.get(stage))

    def replaced(self, engines: Mapping[Stage[Any], Engine]) -> EngineSet:
        """The same set with these engines in place of its own."""
        return EngineSet({**self._engines, **engines})
