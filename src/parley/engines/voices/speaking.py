"""A synthesizer that also speaks with the user's own voices.

Laws:
- What it knows are the voices as they were when it was made, by name and by id: a voice that is removed later is still spoken with by
  whoever has begun to, one that is added later is not known. So one is made for each session.
- An own voice goes before one of the engine's that has the same name.
- The engine is asked for its own name of the voice with each text (`ClonesVoices`, `ReadsVoices`), as it may have dropped it, and once more
  where it finds then that the voice is lost. The sound
  is read once, and shared with the other sessions that speak with it.
- A mix may name the engine's voices and own tensors. It speaks what the voice that it names first does.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar, cast

from parley.engines.ports import (
    VOICE_LOST,
    Chained,
    ClonesVoices,
    Engine,
    EngineError,
    EngineInfo,
    EngineRefused,
    NeedsConsent,
    ReadsVoices,
    SpeechChunk,
    SpeechRequest,
    SpeechSynthesizer,
    VoicesByLanguage,
)
from parley.engines.voices.records import OwnVoice, VoiceKind, key_of
from parley.engines.voices.sounds import HeldSounds
from parley.engines.voices.store import VoiceStore
from parley.invocation import command
from parley.text import voice_mix
from parley.text.language_tags import primary_tag

if TYPE_CHECKING:
    from parley.engines.voices.sounds import Sounds

log = logging.getLogger(__name__)

Parts = dict[str, float]
T = TypeVar("T")

WHAT: dict[VoiceKind, str] = {
    "clip": "made of a recording",
    "tensor": "a tensor of Kokoro",
    "mix": "a mix of voices",
}
"""Kinds of voices, in messages."""


class OwnVoiceSynthesizer:
    """A `SpeechSynthesizer` around one that is open, which it neither opens nor closes."""

    def __init__(
        self, synthesizer: SpeechSynthesizer, voices: Iterable[OwnVoice], store: VoiceStore, sounds: Sounds
    ) -> None:
        self._inner = synthesizer
        self._sounds = HeldSounds(store, sounds)
        self._engine = synthesizer.info
        self._clones = isinstance(synthesizer, ClonesVoices) and synthesizer.clones
        self._reads = isinstance(synthesizer, ReadsVoices) and synthesizer.reads_tensors
        self.known = tuple(voices)
        self._by_key = {one.key: one for one in self.known} | {one.id: one for one in self.known}
        self._able = frozenset(one.id for one in self.known if not self.why_not(one))
        self.spoken = tuple(one for one in self.known if self.can_speak(one))
        """The own voices that the engine can speak with."""
        self.unspoken = tuple(one for one in self.known if not self.can_speak(one))

    def can_speak(self, voice: OwnVoice) -> bool:
        """Whether the engine can speak with one of the voices that were there."""
        return voice.id in self._able

    @property
    def info(self) -> EngineInfo:
        own = [one.name for one in self.spoken]
        return replace(self._engine, voices=tuple(dict.fromkeys((*own, *self._engine.voices))))

    @property
    def mixable(self) -> tuple[str, ...]:
        """The names of own voices that may stand in a mix."""
        return tuple(one.name for one in self.spoken if one.kind == "tensor") if self._engine.mixes else ()

    async def open(self) -> None:
        """Nothing to do: the engine is open."""

    async def close(self) -> None:
        """Nothing to do: whoever opened the engine closes it."""

    def why_not(self, voice: OwnVoice) -> str:
        """Why the engine cannot speak with an own voice; "" where it can."""
        name = self._engine.name
        match voice.kind:
            case "clip":
                able = self._clones
                if able and (lacking := lacks_consent(self._inner, voice)):
                    return lacking
            case "tensor":
                able = self._reads
            case "mix":
                try:
                    parts = _parts(voice.mix)
                except ValueError as error:  # somebody has changed the record
                    return f"its mix cannot be used: {error}"
                unknown = [part for part in parts if not self._has_part(part)]
                if unknown:
                    return f"{name} has no voice {unknown[0]!r} to mix"
                able = len(parts) == 1 or self._engine.mixes
        return "" if able else f"{name} cannot speak with a voice that is {WHAT[voice.kind]}"

    def resolve_voice(self, voice: str, language: str = "") -> str | None:
        own = self._own(voice)
        if own is not None:
            return own.name if not language or self._speaks(own, language) else None
        parts = self._own_parts(voice)
        if parts is not None:
            return voice if not language or self._part_speaks(next(iter(parts)), language) else None
        return self._inner.resolve_voice(voice, language)

    def voice_in(self, voice: str, language: str) -> str | None:
        if self._own(voice) is not None or self._own_parts(voice) is not None:
            return voice if self.resolve_voice(voice, language) is not None else None
        if isinstance(self._inner, VoicesByLanguage):
            return self._inner.voice_in(voice, language)
        return voice if self._inner.resolve_voice(voice, language) is not None else None

    async def speak(self, request: SpeechRequest) -> AsyncIterator[SpeechChunk]:
        """As the engine speaks. Raises `EngineRefused` besides where the file of an own voice is gone (`voice_not_found`) or another
        (`voice_damaged`)."""
        async with aclosing(unless_lost(lambda: self._begun(request))) as chunks:
            async for chunk in chunks:
                yield chunk

    async def _begun(self, request: SpeechRequest) -> AsyncGenerator[SpeechChunk, None]:
        try:
            voice = await self.prepared(request.voice)
        except EngineRefused:
            raise
        except EngineError as error:
            if not isinstance(self._inner, Chained):
                raise
            # The engine of the list that could is away: the others speak in their own voices, as they do for any other fault of it.
            log.warning("the voice %r is not spoken with: %s", request.voice, error)
            voice = ""
        return cast("AsyncGenerator[SpeechChunk, None]", self._inner.speak(replace(request, voice=voice)))

    async def prepared(self, voice: str) -> str:
        """What the engine is asked for, once it knows the voice: it is read, and cloned where that was not done yet.

        Raises `EngineError`.
        """
        own = self._own(voice)
        if own is not None and own.kind == "clip":
            return await cast(ClonesVoices, self._inner).clone_voice(await self._sounds.sample(own))
        parts = self._own_parts(voice) if own is None else _parts(own.mix) if own.kind == "mix" else {own.name: 1.0}
        if parts is None:
            return voice
        named = {await self._prepared_part(part): share for part, share in parts.items()}
        return voice_mix.written(named)

    async def _prepared_part(self, name: str) -> str:
        own = self._own(name)
        if own is None:
            return name
        return await cast(ReadsVoices, self._inner).read_voice(await self._sounds.tensor(own))

    def _own(self, voice: str) -> OwnVoice | None:
        """The own voice of this name or id, where the engine can speak with it."""
        found = self._by_key.get(key_of(voice)) or self._by_key.get(voice)
        return found if found is not None and self.can_speak(found) else None

    def _own_parts(self, voice: str) -> Parts | None:
        """The parts of a mix of which at least one is a voice of the user's; None for anything else."""
        if "+" not in voice and "(" not in voice:
            return None
        try:
            parts = _parts(voice)
        except ValueError:
            return None
        own = any(self._tensor(part) for part in parts)
        return parts if own and self._engine.mixes and all(map(self._has_part, parts)) else None

    def _tensor(self, name: str) -> OwnVoice | None:
        found = self._by_key.get(key_of(name))
        return found if found is not None and found.kind == "tensor" and self._reads else None

    def _has_part(self, name: str) -> bool:
        return self._tensor(name) is not None or self._inner.resolve_voice(name) is not None

    def _speaks(self, voice: OwnVoice, language: str) -> bool:
        if voice.kind == "clip":
            return self._inner.resolve_voice("", language) is not None
        return self._part_speaks(next(iter(_parts(voice.mix))) if voice.kind == "mix" else voice.name, language)

    def _part_speaks(self, name: str, language: str) -> bool:
        if self._tensor(name) is not None:
            return cast(ReadsVoices, self._inner).tensor_language(name) == primary_tag(language)
        return self._inner.resolve_voice(name, language) is not None


def _parts(mix: str) -> Parts:
    """Raises `ValueError` for what is not written as a mix is."""
    return voice_mix.parse(mix)


async def unless_lost(begin: Callable[[], Awaitable[AsyncGenerator[T, None]]]) -> AsyncGenerator[T, None]:
    """What an engine says, begun once more where it finds before anything of it that it has lost the voice."""
    for last in (False, True):
        begun = False
        try:
            async with aclosing(await begin()) as pieces:
                async for piece in pieces:
                    begun = True
                    yield piece
            return
        except EngineRefused as error:
            if begun or last or error.code != VOICE_LOST:
                raise


def lacks_consent(engine: Engine, voice: OwnVoice) -> str:
    """Why an engine that clones voices cannot clone this one: it wants a recording of the consent. "" where it can."""
    if not (isinstance(engine, NeedsConsent) and engine.needs_consent) or voice.consent:
        return ""
    added = command("voices", "add", "NAME", "clip.wav", "--consent", "recording.wav")
    return f"{engine.info.name} wants a recording of the person's consent with it ({added})"
