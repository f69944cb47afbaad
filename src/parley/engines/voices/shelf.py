"""The own voices of a process: around which synthesizer, and which pipelines can speak with them.

Laws: a folder that cannot be read holds no voice, and is logged; each session gets the voices as they are when it begins.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import weakref
from collections.abc import Mapping

from parley.engines import registry
from parley.engines.ports import (
    TTS,
    ClonesVoices,
    Engine,
    EngineSpec,
    EngineUnavailable,
    ReadsVoices,
    SpeechModel,
    SpeechSynthesizer,
    VoiceSample,
    VoiceTensor,
)
from parley.engines.voices.answering import OwnVoiceModel
from parley.engines.voices.records import OwnVoice, VoiceKind, key_of
from parley.engines.voices.speaking import OwnVoiceSynthesizer
from parley.engines.voices.store import VoiceStore

log = logging.getLogger(__name__)


class VoiceShelf:
    """The voices of one store for the engines of this process. `synthesizers` and `models` (speech models) are those that are open, by
    pipeline."""

    def __init__(self, store: VoiceStore) -> None:
        self.store = store
        self.synthesizers: dict[str, SpeechSynthesizer] = {}
        self.models: dict[str, SpeechModel] = {}
        self._sounds: weakref.WeakValueDictionary[str, VoiceSample | VoiceTensor] = weakref.WeakValueDictionary()

    def voices(self) -> tuple[OwnVoice, ...]:
        """The voices as they are now. Lists the folder."""
        try:
            return self.store.voices()
        except OSError as error:
            log.warning("the voices in %s cannot be listed: %s", self.store.folder, error)
            return ()

    def around(self, synthesizer: SpeechSynthesizer) -> SpeechSynthesizer:
        """The synthesizer with the voices as they are now: itself, where there are none."""
        voices = self.voices()
        return self.with_voices(synthesizer, voices) if voices else synthesizer

    def with_voices(self, synthesizer: SpeechSynthesizer, voices: tuple[OwnVoice, ...]) -> OwnVoiceSynthesizer:
        """The synthesizer with these voices."""
        return OwnVoiceSynthesizer(synthesizer, voices, self.store, self._sounds)

    def around_model(self, model: SpeechModel) -> SpeechModel:
        """A speech model with the voices as they are now: itself, where there are none."""
        voices = self.voices()
        return self.model_with(model, voices) if voices else model

    def model_with(self, model: SpeechModel, voices: tuple[OwnVoice, ...]) -> OwnVoiceModel:
        """The speech model with these voices."""
        return OwnVoiceModel(model, voices, self.store, self._sounds)

    def cloning(self) -> list[ClonesVoices]:
        """The open engines that speak with a recording's voice, each once."""
        found = {id(one): one for one in (*self.synthesizers.values(), *self.models.values())}.values()
        return [one for one in found if isinstance(one, ClonesVoices) and one.clones]

    def refusals(self, speaking: OwnVoiceSynthesizer | OwnVoiceModel) -> tuple[tuple[OwnVoice, str], ...]:
        """The voices that a synthesizer cannot speak with, each with the reason and what can: two sentences."""
        if not speaking.unspoken:
            return ()
        others: dict[str, list[OwnVoiceSynthesizer | OwnVoiceModel]] = {}
        for name, one in self.synthesizers.items():
            others.setdefault(name, []).append(self.with_voices(one, speaking.known))
        for name, model in self.models.items():
            others.setdefault(name, []).append(self.model_with(model, speaking.known))
        return tuple(
            (
                voice,
                f"The voice {voice.name!r} cannot be used here: {speaking.why_not(voice)}. {_remedy(voice, others)}",
            )
            for voice in speaking.unspoken
        )

    def refusal(self, voice: str, synthesizer: SpeechSynthesizer) -> str:
        """The same of the voice of this name or id; "" where it is none of the user's, or can be spoken with."""
        refusals = self.refusals(self.with_voices(synthesizer, self.voices()))
        return next((why for one, why in refusals if voice == one.id or key_of(voice) == one.key), "")


def _remedy(voice: OwnVoice, others: Mapping[str, list[OwnVoiceSynthesizer | OwnVoiceModel]]) -> str:
    able = [name for name, engines in others.items() if any(voice in one.spoken for one in engines)]
    if able:
        return f"These pipelines can: {', '.join(able)}."
    return f"Engines that can: {', '.join(engines_for(voice.kind)) or 'none is installed'} (tts)."


def engines_for(kind: VoiceKind) -> tuple[str, ...]:
    """The installed engines that speak with voices of a kind, by name."""
    return engines_by_kind()[kind]


@functools.cache
def engines_by_kind() -> Mapping[VoiceKind, tuple[str, ...]]:
    """The installed engines that speak with voices of each kind. Loads no model.

    The first call imports the modules of all engines of speech synthesis: a quarter of a second.
    """
    engines: dict[str, Engine] = {}
    for name in registry.names(TTS):
        with contextlib.suppress(EngineUnavailable):
            engines[name] = registry.create(TTS, EngineSpec(name))
    return {
        "clip": tuple(name for name, engine in engines.items() if isinstance(engine, ClonesVoices) and engine.clones),
        "tensor": tuple(
            name for name, engine in engines.items() if isinstance(engine, ReadsVoices) and engine.reads_tensors
        ),
        "mix": tuple(name for name, engine in engines.items() if engine.info.mixes),
    }
