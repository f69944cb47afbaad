"""Several voices in order: `tts = ["openai:kokoro", "espeak"]` (see `engines.fallback`).

Laws:
- Each clause is asked for anew: the next engine is asked where one fails before the clause's first audio.
- An engine is asked in a voice that it has: the request's where it knows it, else its nearest, or its own, for the language.
  A voice that none of them knows is refused, as one engine refuses it.
- A voice of the user's own is spoken by the engine that was given it, the first that can; while that one fails, the others speak in their
  own voices.
- An engine that does not speak the request's language is passed over, unless none does.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import replace
from typing import Final

from parley.engines.fallback import ChainMember, Fallback, FallbackLimits, read_members
from parley.engines.ports import (
    TTS,
    ClonesVoices,
    EngineUnavailable,
    NeedsConsent,
    ReadsVoices,
    SpeechChunk,
    SpeechRequest,
    SpeechSynthesizer,
    VoiceDescription,
    VoiceSample,
    VoicesByLanguage,
    VoiceTensor,
    describe_voice,
)
from parley.text import voice_mix

MAX_GIVEN: Final = 1_000
"""Own voices of which it is known who speaks them: more than any engine keeps. Another is asked for in the order of the list."""


def create(model: str, options: Mapping[str, object]) -> VoiceChain:
    """`model` names the engines, separated by commas; options: see `fallback.read_members`."""
    members, limits = read_members(TTS, model, options)
    return VoiceChain(members, limits)


class VoiceChain(Fallback[SpeechSynthesizer]):
    """A `SpeechSynthesizer` whose clauses come from the first engine that begins one."""

    def __init__(
        self,
        members: list[ChainMember[SpeechSynthesizer]],
        limits: FallbackLimits,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(TTS, members, limits, clock)
        self._given: OrderedDict[str, object] = OrderedDict()
        """The engine that was given an own voice, by its name of it."""

    def speak(self, request: SpeechRequest) -> AsyncIterator[SpeechChunk]:
        """Stream one clause (see the port)."""
        known = not request.voice or self.resolve_voice(request.voice) is not None
        able = {id(engine) for engine in self._open_engines() if _speaks(engine, request.language)}
        knows = self._speaker_of(request.voice)
        return self.stream(
            lambda engine: engine.speak(
                replace(request, voice=_voice_of(engine, request.voice, request.language)) if known else request
            ),
            (lambda engine: id(engine) in able) if able else None,
            None if knows is None else lambda engine: engine is knows,
        )

    def resolve_voice(self, voice: str, language: str = "") -> str | None:
        """The name that the first engine which knows it has for it."""
        resolved = (engine.resolve_voice(voice, language) for engine in self._open_engines())
        return next((name for name in resolved if name is not None), None)

    def voice_in(self, voice: str, language: str) -> str | None:
        """`voice` where an engine has it in that language, else the nearest voice of the first engine that speaks it."""
        if self.resolve_voice(voice, language) is not None:
            return voice
        for engine in self._open_engines():
            if _speaks(engine, language):
                return _voice_of(engine, voice, language) or engine.resolve_voice("", language)
        return None

    def describe_voice(self, voice: str) -> VoiceDescription:
        """As the first engine that has this voice describes it."""
        owner = next((one for one in self._open_engines() if one.resolve_voice(voice) == voice), None)
        return VoiceDescription() if owner is None else describe_voice(owner, voice)

    @property
    def clones(self) -> bool:
        return any(isinstance(one.engine, ClonesVoices) and one.engine.clones for one in self.members)

    @property
    def needs_consent(self) -> bool:
        """Whether every engine that clones does."""
        cloning = [one.engine for one in self.members if isinstance(one.engine, ClonesVoices) and one.engine.clones]
        return bool(cloning) and all(map(_needs_consent, cloning))

    @property
    def needs_text(self) -> bool:
        """Whether one that may be asked does: which of them is open is not known before."""
        engines = (one.engine for one in self.members)
        return any(isinstance(one, ClonesVoices) and one.clones and one.needs_text for one in engines)

    async def clone_voice(self, sample: VoiceSample) -> str:
        """That of the first engine which can (see `ClonesVoices`); those that want a consent cannot without one."""
        able = [engine for engine in self._open_engines() if isinstance(engine, ClonesVoices) and engine.clones]
        for engine in able:
            if sample.consent is not None or engine is able[-1] or not _needs_consent(engine):
                return self._gave(engine, await engine.clone_voice(sample))
        raise EngineUnavailable("No engine of the list that clones voices is open.", code="no_cloning")

    @property
    def reads_tensors(self) -> bool:
        return self._reader() is not None

    def tensor_language(self, name: str) -> str:
        reader = self._reader()
        return "" if reader is None else reader.tensor_language(name)

    async def read_voice(self, tensor: VoiceTensor) -> str:
        """That of the first engine which can (see `ReadsVoices`)."""
        reader = self._reader()
        if reader is None:
            raise EngineUnavailable("No engine of the list reads tensors of voices.", code="no_tensors")
        return self._gave(reader, await reader.read_voice(tensor))

    def _gave(self, engine: object, name: str) -> str:
        """Remember that `engine` speaks the own voice that it calls `name`."""
        self._given[name] = engine
        self._given.move_to_end(name)
        if len(self._given) > MAX_GIVEN:
            self._given.popitem(last=False)
        return name

    def _speaker_of(self, voice: str) -> object | None:
        """The engine that was given an own voice, or one that the mix `voice` names."""
        if not self._given or not voice:
            return None
        try:
            parts = voice_mix.parse(voice)
        except ValueError:
            return self._given.get(voice)
        return next((self._given[part] for part in parts if part in self._given), None)

    def _reader(self) -> ReadsVoices | None:
        engines = (one.engine for one in self.members)
        return next((one for one in engines if isinstance(one, ReadsVoices) and one.reads_tensors), None)

    def _open_engines(self) -> Iterable[SpeechSynthesizer]:
        return (member.engine for member in self.members if member.is_open)


def _needs_consent(engine: object) -> bool:
    return isinstance(engine, NeedsConsent) and engine.needs_consent


def _speaks(engine: SpeechSynthesizer, language: str) -> bool:
    """Whether the engine has a voice for the language ("": whichever)."""
    return _voice_of(engine, "", language) != "" or engine.resolve_voice("", language) is not None


def _voice_of(engine: SpeechSynthesizer, voice: str, language: str) -> str:
    """The voice to ask this engine for; "" is its own choice."""
    known = engine.resolve_voice(voice) is not None
    if known and (not language or engine.resolve_voice(voice, language) is not None):
        return voice
    if language and isinstance(engine, VoicesByLanguage):
        return engine.voice_in(voice if known else "", language) or ""
    return ""
