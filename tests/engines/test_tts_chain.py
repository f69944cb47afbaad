"""A chain of voices: the next speaks a clause that one fails to begin, in a voice that it has and a language that it speaks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from parley.config import load
from parley.engines import registry
from parley.engines.fallback import ChainMember, FallbackLimits
from parley.engines.ports import (
    TTS,
    EngineError,
    EngineInfo,
    SpeechChunk,
    SpeechRequest,
    SpeechSynthesizer,
    VoicesByLanguage,
)
from parley.engines.tts.chain import VoiceChain

DOWN = EngineError("It is down.", code="connection_failed")


@dataclass
class Voice:
    """A synthesizer of a test: `voices` by name, each with its language; one sample of audio per clause, at a rate of its own."""

    rate: int
    voices: dict[str, str]
    fault: EngineError | None = None
    breaks: EngineError | None = None
    asked: list[SpeechRequest] = field(default_factory=list)

    @property
    def info(self) -> EngineInfo:
        return EngineInfo(
            "tts", f"v{self.rate}", "A test's.", sample_rate=self.rate, languages=tuple(set(self.voices.values()))
        )

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def speak(self, request: SpeechRequest) -> AsyncIterator[SpeechChunk]:
        self.asked.append(request)
        if self.fault is not None:
            raise self.fault
        yield SpeechChunk(np.zeros(1, np.float32), self.rate)
        if self.breaks is not None:
            raise self.breaks

    def resolve_voice(self, voice: str, language: str = "") -> str | None:
        spoken = [name for name in self.voices if not language or self.voices[name] == language]
        return next((name for name in spoken if voice in ("", name)), None)

    def voice_in(self, voice: str, language: str) -> str | None:
        return self.resolve_voice(voice, language) or self.resolve_voice("", language)


async def chain(*voices: Voice) -> VoiceChain:
    members: list[ChainMember[SpeechSynthesizer]] = [ChainMember(f"v{voice.rate}", voice) for voice in voices]
    made = VoiceChain(members, FallbackLimits())
    await made.open()
    return made


async def rates(engine: SpeechSynthesizer, voice: str = "", language: str = "") -> list[int]:
    request = SpeechRequest("Hello.", voice, language)
    return [chunk.sample_rate async for chunk in engine.speak(request)]


async def test_the_next_speaks_a_clause_that_one_cannot_begin_in_a_voice_that_it_has() -> None:
    first, second = Voice(24_000, {"cedar": "en"}, fault=DOWN), Voice(22_050, {"joe": "en", "eva": "de"})
    engine = await chain(first, second)
    assert isinstance(engine, SpeechSynthesizer)
    assert isinstance(engine, VoicesByLanguage)
    assert await rates(engine, "cedar", "en") == [22_050]
    assert first.asked[0].voice == "cedar"
    assert second.asked[0].voice == "joe"


async def test_a_failure_after_the_first_audio_is_reported() -> None:
    first, second = Voice(24_000, {"cedar": "en"}, breaks=DOWN), Voice(22_050, {"joe": "en"})
    engine = await chain(first, second)
    with pytest.raises(EngineError, match="It is down"):
        await rates(engine, "cedar")
    assert second.asked == []


async def test_a_language_that_only_one_speaks_is_spoken_by_it_in_the_nearest_voice() -> None:
    first, second = Voice(24_000, {"cedar": "en"}), Voice(22_050, {"joe": "en", "eva": "de"})
    engine = await chain(first, second)
    assert engine.voice_in("cedar", "de") == "eva"
    assert engine.voice_in("cedar", "fr") is None
    assert await rates(engine, "cedar", "de") == [22_050]
    assert (first.asked, second.asked[0].voice) == ([], "eva")
    assert await rates(engine, "joe", "en") == [24_000]
    assert first.asked[0].voice == "cedar"
    assert engine.info.languages == ("en",)
    assert (engine.resolve_voice("eva"), engine.resolve_voice("cedar", "de")) == ("eva", None)


async def test_a_remote_voice_that_does_not_run_is_replaced_by_a_local_one(tmp_path: Path) -> None:
    path = tmp_path / "parley.toml"
    path.write_text(
        '[pipelines.default]\ntts = ["openai:kokoro", "espeak"]\n'
        'tts_options.openai = { base_url = "http://127.0.0.1:9/v1", connect_timeout_s = 1 }\n'
    )
    engine = registry.create(TTS, load(path, {}, {}).pipelines["default"].engines[TTS])
    assert isinstance(engine, SpeechSynthesizer)
    await engine.open()
    try:
        assert "openai:kokoro cannot be used now" in getattr(engine, "notice", "")
        request = SpeechRequest("Good morning.", "alloy", "en")
        audio = np.concatenate([chunk.audio async for chunk in engine.speak(request)])
        assert len(audio) > 8_000
        assert float(np.abs(audio).max()) > 0.05
    finally:
        await engine.close()
