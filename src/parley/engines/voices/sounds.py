"""The sounds of the user's own voices, each read once for all sessions that speak with it.

Laws: what a session holds is kept for it, also where the voice is removed; a sound that no session holds is let go.
"""

from __future__ import annotations

import asyncio
import weakref
from typing import TYPE_CHECKING

from parley.engines.ports import EngineRefused, VoiceSample, VoiceTensor
from parley.engines.voices.records import OwnVoice
from parley.engines.voices.store import VoiceStore

if TYPE_CHECKING:
    Sounds = weakref.WeakValueDictionary[str, VoiceSample | VoiceTensor]


class HeldSounds:
    """What one session holds; `shared` is what all of them hold together, by the voices' ids."""

    def __init__(self, store: VoiceStore, shared: Sounds) -> None:
        self._store = store
        self._shared = shared
        self._held: dict[str, VoiceSample | VoiceTensor] = {}

    async def sample(self, voice: OwnVoice) -> VoiceSample:
        """The recording of a clip. Raises `EngineRefused` (`voice_not_found`, `voice_damaged`, `voice_unreadable`)."""
        sound = await self._of(voice)
        assert isinstance(sound, VoiceSample)
        return sound

    async def tensor(self, voice: OwnVoice) -> VoiceTensor:
        """The style of a tensor. Raises as `sample()`."""
        sound = await self._of(voice)
        assert isinstance(sound, VoiceTensor)
        return sound

    async def _of(self, voice: OwnVoice) -> VoiceSample | VoiceTensor:
        known = self._held.get(voice.id) or self._shared.get(voice.id)
        if known is not None:
            sound = known
        else:
            read = self._store.sample if voice.kind == "clip" else self._store.tensor
            try:
                sound = await asyncio.to_thread(read, voice)
            except OSError as error:
                raise EngineRefused(
                    f"The voice {voice.name!r} cannot be read: {error.strerror or error}.", code="voice_unreadable"
                ) from error
        self._held[voice.id] = self._shared[voice.id] = sound
        return sound
