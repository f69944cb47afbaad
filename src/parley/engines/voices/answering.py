"""A speech model that also answers with the user's own voices.

Laws: as those of `speaking`, for voices that were made of recordings: no speech model takes a tensor or a mix.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from parley.engines.ports import ClonesVoices, DialogueEvent, DialogueRequest, EngineInfo, SpeechModel
from parley.engines.voices.records import OwnVoice, key_of
from parley.engines.voices.sounds import HeldSounds
from parley.engines.voices.speaking import WHAT, lacks_consent, unless_lost
from parley.engines.voices.store import VoiceStore

if TYPE_CHECKING:
    from parley.engines.voices.sounds import Sounds


class OwnVoiceModel:
    """A `SpeechModel` around one that is open, which it neither opens nor closes."""

    def __init__(self, model: SpeechModel, voices: Iterable[OwnVoice], store: VoiceStore, sounds: Sounds) -> None:
        self._inner = model
        self._sounds = HeldSounds(store, sounds)
        self._clones = isinstance(model, ClonesVoices) and model.clones
        self.known = tuple(voices)
        self.spoken = tuple(one for one in self.known if self.can_speak(one))
        """The own voices that the model can answer with."""
        self.unspoken = tuple(one for one in self.known if not self.can_speak(one))
        self._by_key = {one.key: one for one in self.spoken} | {one.id: one for one in self.spoken}

    @property
    def info(self) -> EngineInfo:
        own = [one.name for one in self.spoken]
        engine = self._inner.info
        return replace(engine, voices=tuple(dict.fromkeys((*own, *engine.voices))))

    async def open(self) -> None:
        """Nothing to do: the model is open."""

    async def close(self) -> None:
        """Nothing to do: whoever opened the model closes it."""

    def can_speak(self, voice: OwnVoice) -> bool:
        """Whether the model can answer with an own voice."""
        return not self.why_not(voice)

    def why_not(self, voice: OwnVoice) -> str:
        """Why the model cannot answer with an own voice; "" where it can."""
        if voice.kind == "clip" and self._clones:
            return lacks_consent(self._inner, voice)
        return f"{self._inner.info.name} cannot speak with a voice that is {WHAT[voice.kind]}"

    def resolve_voice(self, voice: str, language: str = "") -> str | None:
        own = self._own(voice)
        if own is None:
            return self._inner.resolve_voice(voice, language)
        return own.name if not language or self._inner.resolve_voice("", language) is not None else None

    async def reply(self, request: DialogueRequest) -> AsyncIterator[DialogueEvent]:
        """As the model answers. Raises `EngineRefused` besides where the file of an own voice is gone (`voice_not_found`) or another
        (`voice_damaged`)."""
        async with aclosing(unless_lost(lambda: self._begun(request))) as events:
            async for event in events:
                yield event

    async def _begun(self, request: DialogueRequest) -> AsyncGenerator[DialogueEvent, None]:
        asked = replace(request, voice=await self.prepared(request.voice))
        return cast("AsyncGenerator[DialogueEvent, None]", self._inner.reply(asked))

    async def prepared(self, voice: str) -> str:
        """What the model is asked for, once it knows the voice. Raises `EngineError`."""
        own = self._own(voice)
        if own is None:
            return voice
        return await cast(ClonesVoices, self._inner).clone_voice(await self._sounds.sample(own))

    def _own(self, voice: str) -> OwnVoice | None:
        """The own voice of this name or id, where the model can answer with it."""
        return self._by_key.get(key_of(voice)) or self._by_key.get(voice)
