"""The caches that stand in front of a server's engines, as its configuration wants them.

Laws: an engine of a list (`tts = "kokoro, espeak"`) is cached by itself, so that what one of them says is never given as another's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from parley.config.values import Config
from parley.engines import registry
from parley.engines.fallback import Fallback
from parley.engines.ports import LLM, TTS, Engine, EngineSpec, LanguageModel, SpeechSynthesizer, Stage
from parley.runtime.response_cache import ResponseCache
from parley.runtime.speech_cache import SpeechCache
from parley.runtime.speech_files import SpeechFiles

Create = Callable[[Stage[Any], EngineSpec], Engine]

MIB: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class EngineCaches:
    """The caches that are on. Give them to `LoadedEngines.open_all`, which opens and closes them."""

    speech: SpeechCache | None = None
    responses: ResponseCache | None = None

    @classmethod
    def of(cls, config: Config) -> EngineCaches:
        """Those that the configuration switches on."""
        speech, responses = config.speech_cache, config.response_cache
        return cls(
            SpeechCache(SpeechFiles(speech.folder, speech.max_mib * MIB), speech.varying) if speech.enabled else None,
            ResponseCache(responses.lifetime_s, responses.max_replies) if responses.enabled else None,
        )

    def create(self, stage: Stage[Any], spec: EngineSpec, make: Create = registry.create) -> Engine:
        """The engine that `make` creates, with its cache in front of it. Raises what `make` raises."""
        engine = make(stage, spec)
        if isinstance(engine, Fallback):
            for member in engine.members:
                name, _, model = member.name.partition(":")
                member.engine = self._cached(stage, member.engine, EngineSpec(name, model, spec.options))
            return engine
        return self._cached(stage, engine, spec)

    def _cached(self, stage: Stage[Any], engine: Engine, spec: EngineSpec) -> Engine:
        if stage is TTS and self.speech is not None and isinstance(engine, SpeechSynthesizer):
            return self.speech.cached(engine, spec)
        if stage is LLM and self.responses is not None and isinstance(engine, LanguageModel):
            return self.responses.cached(engine, spec)
        return engine

    async def open(self) -> None:
        if self.speech is not None:
            await self.speech.open()

    async def close(self) -> None:
        if self.speech is not None:
            await self.speech.close()
