"""The own voices of a process: around which synthesizer, and which pipelines can speak with them.

Laws: a folder that cannot be read holds no voice, and is logged; each session gets the voices as they are when it begins.
"""

from __future__ import annotations

import functools
import logging
import weakref

from parley.engines import registry
from parley.engines.ports import (
    TTS,
    ClonesVoices,
    EngineSpec,
    EngineUnavailable,
    ReadsVoices,
    SpeechSynthesizer,
    VoiceSample,
    VoiceTensor,
)
from parley.engines.voices.records import OwnVoice, VoiceKind, key_of
from parley.engines.voices.speaking import OwnVoiceSynthesizer
from parley.engines.voices.store import VoiceStore

log = logging.getLogger(__name__)


class VoiceShelf:
    """The voices of one store for the synthesizers of this process. `synthesizers` are those that are open, by pipeline."""

    def __init__(self, store: VoiceStore) -> None:
        self.store = store
        self.synthesizers: dict[str, SpeechSynthesizer] = {}
        self._sounds: weakref.WeakValueDictionary[str, VoiceSample | VoiceTensor] = weakref.WeakValueDictionary()

    def voices(self) -> tuple[OwnVoice, ...]:
        """The voices as they are now. Lists the folder."""
        try:
            return self.store.voices()
        except OSError as error:
            log.warning("the voices in %s cannot be listed: %s", self.store.folder, error)
            return ()

    def known(self, voice: str) -> OwnVoice | None:
        """The voice of this name or id, None where it is none of the user's."""
        return next((one for one in self.voices() if voice == one.id or key_of(voice) == one.key), None)

    def around(self, synthesizer: SpeechSynthesizer) -> SpeechSynthesizer:
        """The synthesizer with the voices as they are now: itself, where there are none."""
        voices = self.voices()
        return self.with_voices(synthesizer, voices) if voices else synthesizer

    def with_voices(self, synthesizer: SpeechSynthesizer, voices: tuple[OwnVoice, ...]) -> OwnVoiceSynthesizer:
        """The synthesizer with these voices."""
        return OwnVoiceSynthesizer(synthesizer, voices, self.store, self._sounds)

    def refusal(self, voice: OwnVoice, synthesizer: SpeechSynthesizer) -> str:
        """Why a synthesizer cannot speak with a voice, and what can: two sentences. "" where it can."""
        speaking = self.with_voices(synthesizer, self.voices())
        why = speaking.why_not(voice)
        return f"The voice {voice.name!r} cannot be used here: {why}. {self.remedy(voice)}" if why else ""

    def remedy(self, voice: OwnVoice) -> str:
        """Which pipelines, or else which engines, can speak with a voice."""
        voices = self.voices()
        able = [name for name, one in self.synthesizers.items() if not self.with_voices(one, voices).why_not(voice)]
        if able:
            return f"These pipelines can: {', '.join(able)}."
        return f"Engines that can: {', '.join(engines_for(voice.kind)) or 'none is installed'} (tts)."


@functools.cache
def engines_for(kind: VoiceKind) -> tuple[str, ...]:
    """The installed engines that speak with voices of a kind, by name. Loads nothing."""
    return tuple(name for name in registry.names(TTS) if name != "chain" and _able(name, kind))


def _able(name: str, kind: VoiceKind) -> bool:
    try:
        engine = registry.create(TTS, EngineSpec(name))
    except EngineUnavailable:
        return False
    match kind:
        case "clip":
            return isinstance(engine, ClonesVoices)
        case "tensor":
            return isinstance(engine, ReadsVoices)
        case "mix":
            return engine.info.mixes
