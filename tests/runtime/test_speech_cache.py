"""What a caller hears where speech is cached: the same as before, sooner, and whatever becomes of the folder."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from parley.engines import registry
from parley.engines.ports import (
    TTS,
    EngineError,
    EngineInfo,
    EngineRefused,
    EngineSpec,
    ReadsVoices,
    SpeechChunk,
    SpeechRequest,
    SpeechSynthesizer,
    VoicesByLanguage,
    VoiceTensor,
)
from parley.runtime.cache_metrics import CacheMetrics
from parley.runtime.engine_caches import EngineCaches
from parley.runtime.faults import StrayCancellation
from parley.runtime.generation.streams import closing
from parley.runtime.speech_cache import PREPARING, CachedSynthesizer, SpeechCache
from parley.runtime.speech_files import SpeechFiles
from parley.testing.fakes import FakeSynthesizer, Hold
from tests.engines import tiny_kokoro
from tests.runtime.rig import WAIT_S

HELLO = SpeechRequest("Good morning to you", "alloy", "en")


class Voice(FakeSynthesizer):
    """A synthesizer whose speech may be kept. `data` are what its voices are made of."""

    declared = True
    conversational = False
    data = "v1"

    @property
    def info(self) -> EngineInfo:
        return replace(super().info, deterministic=self.declared, conversational=self.conversational)

    def fingerprint(self, voice: str, language: str) -> str:
        if self.resolve_voice(voice or "alloy") is None:
            raise EngineRefused("no such voice", code="unknown_voice")
        return f"{voice or 'alloy'} {self.data}"

    async def speak(self, request: SpeechRequest) -> AsyncIterator[SpeechChunk]:
        if self.resolve_voice(request.voice or "alloy") is None:
            raise EngineRefused("no such voice", code="unknown_voice")
        async with closing(super().speak(request)) as chunks:
            async for chunk in chunks:
                yield chunk


class Times:
    """A clock that stands still."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class Kitchen:
    """Caches over one folder, as one process after another would have them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = Times()
        self.open: list[SpeechCache] = []

    async def cache(self, *varying: str) -> SpeechCache:
        cache = SpeechCache(SpeechFiles(self.folder, 1 << 24), varying, self.clock)
        await cache.open()
        self.open.append(cache)
        return cache

    async def voice(
        self, engine: FakeSynthesizer, spec: EngineSpec | None = None, *varying: str
    ) -> tuple[SpeechCache, CachedSynthesizer]:
        cache = await self.cache(*varying)
        made = cache.cached(engine, spec or EngineSpec("fake"))
        await made.open()
        return cache, made


@pytest.fixture
async def kitchen(tmp_path: Path) -> AsyncIterator[Kitchen]:
    made = Kitchen(tmp_path / "speech")
    yield made
    for cache in made.open:
        await cache.close()


async def said(engine: CachedSynthesizer, request: SpeechRequest = HELLO) -> list[SpeechChunk]:
    return [chunk async for chunk in engine.speak(request)]


async def stored(cache: SpeechCache) -> None:
    """What was spoken lies in the folder."""
    await cache.settled(WAIT_S)
    await asyncio.sleep(0)  # the callbacks of what was stored
    assert not cache.shared


def audio(chunks: list[SpeechChunk]) -> bytes:
    return b"".join(chunk.audio.tobytes() for chunk in chunks)


async def test_a_clause_that_was_spoken_before_comes_from_the_folder(kitchen: Kitchen) -> None:
    cache, engine = await kitchen.voice(Voice())
    first = await said(engine)
    await stored(cache)
    later = Voice()
    again, engine = await kitchen.voice(later)
    kept = await said(engine)
    assert not later.requests
    assert (again.counts.hits, again.counts.misses) == (1, 0)
    one, two = np.concatenate([c.audio for c in first]), np.concatenate([c.audio for c in kept])
    assert np.abs(one - two).max() < 1e-4
    assert kept[-1].words == first[-1].words
    assert kept[0].sample_rate == first[0].sample_rate


async def test_long_speech_is_handed_on_in_pieces_with_the_words_that_have_begun(kitchen: Kitchen) -> None:
    cache, engine = await kitchen.voice(Voice(word_ms=400))
    await said(engine)
    await stored(cache)
    kept = await said(engine)
    assert len(kept) == 4
    assert [len(chunk.words) for chunk in kept] == [2, 3, 4, 4]


@pytest.mark.parametrize(
    "other",
    [
        replace(HELLO, text="Good evening to you"),
        replace(HELLO, voice="marin"),
        replace(HELLO, language="en-GB"),
        replace(HELLO, speed=1.25),
    ],
    ids=["text", "voice", "language", "speed"],
)
async def test_whatever_changes_the_sound_is_spoken_anew(kitchen: Kitchen, other: SpeechRequest) -> None:
    voice = Voice()
    cache, engine = await kitchen.voice(voice)
    await said(engine)
    await stored(cache)
    await said(engine, other)
    assert len(voice.requests) == 2


async def test_another_model_under_the_same_name_is_spoken_anew(kitchen: Kitchen) -> None:
    cache, engine = await kitchen.voice(Voice())
    await said(engine)
    await stored(cache)
    other, faster = Voice(), Voice()
    other.data = "v2"
    for voice, spec in ((other, EngineSpec("fake")), (faster, EngineSpec("fake", "", {"tempo": 2}))):
        _, engine = await kitchen.voice(voice, spec)
        await said(engine)
        assert len(voice.requests) == 1


async def test_an_alias_of_a_voice_finds_what_its_own_name_kept(kitchen: Kitchen) -> None:
    voice = Voice()
    cache, engine = await kitchen.voice(voice)
    await said(engine, replace(HELLO, voice=""))
    await stored(cache)
    await said(engine, replace(HELLO, voice="alloy"))
    assert len(voice.requests) == 1


async def test_a_voice_that_varies_is_kept_only_where_it_is_named(kitchen: Kitchen) -> None:
    voice = Voice()
    voice.declared = False
    _, engine = await kitchen.voice(voice)
    await said(engine)
    await said(engine)
    assert len(voice.requests) == 2
    cache, engine = await kitchen.voice(voice, None, "fake")
    await said(engine)
    await stored(cache)
    await said(engine)
    assert len(voice.requests) == 3


async def test_a_voice_that_follows_the_conversation_is_never_kept(kitchen: Kitchen) -> None:
    voice = Voice()
    voice.conversational = True
    _, engine = await kitchen.voice(voice, None, "fake")
    await said(engine)
    await said(engine)
    assert len(voice.requests) == 2
    assert not any(kitchen.folder.iterdir())


async def test_an_engine_that_does_not_say_what_its_sound_depends_on_is_never_kept(
    kitchen: Kitchen, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    voice = FakeSynthesizer()
    _, engine = await kitchen.voice(voice, None, "fake")
    await said(engine)
    await said(engine)
    assert len(voice.requests) == 2
    assert "does not say what its sound depends on" in caplog.text


async def test_two_sessions_that_want_the_same_clause_have_it_spoken_once(kitchen: Kitchen) -> None:
    hold = Hold()
    voice = Voice(script={"morning": hold})
    cache, engine = await kitchen.voice(voice)
    sessions = [asyncio.create_task(said(engine)) for _ in range(3)]
    await asyncio.wait_for(hold.reached.wait(), WAIT_S)
    hold.event.set()
    heard = [audio(chunks) for chunks in await asyncio.gather(*sessions)]
    assert len(voice.requests) == 1
    assert len(set(heard)) == 1
    assert heard[0]
    assert (cache.counts.misses, cache.counts.shared) == (1, 2)


async def test_the_session_that_asked_first_may_leave_without_harm_to_the_others(kitchen: Kitchen) -> None:
    hold = Hold()
    voice = Voice(script={"morning": hold})
    _, engine = await kitchen.voice(voice)
    first = asyncio.create_task(said(engine))
    await asyncio.wait_for(hold.reached.wait(), WAIT_S)
    second = asyncio.create_task(said(engine))
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert voice.running == 1
    hold.event.set()
    assert len(audio(await second)) == 4 * 2_400 * 4
    assert len(voice.requests) == 1


async def test_a_clause_that_nobody_wants_any_more_is_no_longer_spoken_nor_kept(kitchen: Kitchen) -> None:
    hold = Hold()
    voice = Voice(script={"morning": hold})
    cache, engine = await kitchen.voice(voice)
    session = asyncio.create_task(said(engine))
    await asyncio.wait_for(hold.reached.wait(), WAIT_S)
    session.cancel()
    with pytest.raises(asyncio.CancelledError):
        await session
    assert voice.running == 0
    assert not cache.shared
    assert not any(kitchen.folder.iterdir())
    hold.event.set()
    assert len(audio(await said(engine))) == 4 * 2_400 * 4


async def test_closing_a_stream_stops_the_engine_at_once(kitchen: Kitchen) -> None:
    voice = Voice()
    cache, engine = await kitchen.voice(voice)
    async with closing(engine.speak(HELLO)) as chunks:
        await anext(aiter(chunks))
    assert voice.running == 0
    assert not cache.shared


async def test_no_more_is_spoken_than_a_listener_takes(kitchen: Kitchen) -> None:
    hold = Hold()
    _, engine = await kitchen.voice(Voice(script={"morning": hold}))
    async with closing(engine.speak(HELLO)) as chunks:
        await anext(aiter(chunks))
        await asyncio.sleep(0)
        assert not hold.reached.is_set()


async def test_a_failure_reaches_everyone_and_is_not_kept(kitchen: Kitchen) -> None:
    voice = Voice(script={"to": EngineError("The voice broke.", code="broken")})
    cache, engine = await kitchen.voice(voice)
    outcomes = await asyncio.gather(said(engine), said(engine), return_exceptions=True)
    assert [getattr(outcome, "code", "") for outcome in outcomes] == ["broken", "broken"]
    assert not cache.shared
    assert not any(kitchen.folder.iterdir())
    voice.script.clear()
    assert len(await said(engine)) == 4


class Cancelling(Voice):
    """A synthesizer that raises `CancelledError` by itself after its first chunk."""

    async def speak(self, request: SpeechRequest) -> AsyncIterator[SpeechChunk]:
        async for chunk in super().speak(request):
            yield chunk
            raise asyncio.CancelledError


async def test_a_stray_cancellation_in_the_engine_is_not_taken_for_an_end(kitchen: Kitchen) -> None:
    _, engine = await kitchen.voice(Cancelling())
    with pytest.raises(StrayCancellation):
        await said(engine)
    assert not any(kitchen.folder.iterdir())


async def test_an_unknown_voice_is_refused_as_without_a_cache(kitchen: Kitchen) -> None:
    _, engine = await kitchen.voice(Voice())
    with pytest.raises(EngineRefused, match="no such voice"):
        await said(engine, replace(HELLO, voice="nobody"))


async def test_a_damaged_file_is_spoken_anew_and_replaced(kitchen: Kitchen) -> None:
    voice = Voice()
    cache, engine = await kitchen.voice(voice)
    await said(engine)
    await stored(cache)
    (path,) = kitchen.folder.iterdir()
    path.write_bytes(path.read_bytes()[:-10])
    assert len(await said(engine)) == 4
    await stored(cache)
    await said(engine)
    assert len(voice.requests) == 2


async def test_where_the_folder_fails_everything_is_spoken_and_one_warning_is_logged(
    kitchen: Kitchen, caplog: pytest.LogCaptureFixture
) -> None:
    kitchen.folder.parent.mkdir(exist_ok=True)
    kitchen.folder.write_text("a file where the folder should be")
    voice = Voice()
    cache, engine = await kitchen.voice(voice)
    for turn in range(3):
        kitchen.clock.now += 100
        assert len(await said(engine, replace(HELLO, text=f"Turn {turn}"))) == 2
        await stored(cache)
    assert len([record for record in caplog.records if record.levelno == logging.WARNING]) == 1
    assert "spoken without it" in caplog.text
    assert cache.counts.failures >= 3


async def test_a_folder_that_others_may_use_is_never_used(kitchen: Kitchen, caplog: pytest.LogCaptureFixture) -> None:
    kitchen.folder.mkdir(mode=0o700)
    kitchen.folder.chmod(0o755)
    cache, engine = await kitchen.voice(Voice())
    for _ in range(2):
        await said(engine)
        await stored(cache)
        kitchen.clock.now += 100
    assert not any(kitchen.folder.iterdir())
    assert "chmod 700" in caplog.text


async def test_a_folder_that_works_again_is_used_again(kitchen: Kitchen) -> None:
    kitchen.folder.write_text("a file where the folder should be")
    voice = Voice()
    cache, engine = await kitchen.voice(voice)
    await said(engine)
    await stored(cache)
    kitchen.folder.unlink()
    kitchen.folder.mkdir(mode=0o700)
    await said(engine)
    assert not any(kitchen.folder.iterdir()), "it rests after a failure"
    kitchen.clock.now += 100
    await stored(cache)
    await said(engine)
    await stored(cache)
    await said(engine)
    assert len(voice.requests) == 3


async def test_it_is_asked_about_as_the_engine_behind_it(kitchen: Kitchen) -> None:
    _, engine = await kitchen.voice(Voice())
    assert engine.info.name == "fake"
    assert engine.resolve_voice("alloy") == "alloy"
    assert isinstance(engine, VoicesByLanguage)
    assert engine.voice_in("alloy", "en") == "alloy"
    assert engine.voice_in("nobody", "en") is None
    assert engine.fault is None
    assert engine.missing_models() == ()
    assert engine.notice == ""


async def test_sessions_are_counted_as_speaking_and_preparations_are_not(kitchen: Kitchen) -> None:
    cache, engine = await kitchen.voice(Voice())
    async with closing(engine.speak(replace(HELLO, share=PREPARING))) as chunks:
        await anext(aiter(chunks))
        assert not cache.quiet.speaking
    async with closing(engine.speak(HELLO)) as chunks:
        await anext(aiter(chunks))
        assert cache.quiet.busy.is_set()
    assert cache.quiet.quiet.is_set()


async def test_prometheus_is_shown_hits_misses_and_size(kitchen: Kitchen) -> None:
    cache, engine = await kitchen.voice(Voice())
    await said(engine)
    await stored(cache)
    await said(engine)
    registry = CollectorRegistry()
    registry.register(CacheMetrics(EngineCaches(cache)))
    shown = generate_latest(registry).decode()
    assert 'parley_speech_cache_clauses_total{outcome="hit"} 1.0' in shown
    assert 'parley_speech_cache_clauses_total{outcome="miss"} 1.0' in shown
    assert "parley_speech_cache_files 1.0" in shown
    assert "parley_speech_cache_bytes" in shown
    assert "response_cache" not in shown


async def test_voices_of_the_users_own_are_spoken_with_and_kept_apart(tmp_path: Path) -> None:
    spec = EngineSpec("kokoro", str(tiny_kokoro.folder(tmp_path / "kokoro")))
    engine = registry.create(TTS, spec)
    assert isinstance(engine, SpeechSynthesizer)
    cache = SpeechCache(SpeechFiles(tmp_path / "kept", 1 << 26))
    cached = cache.cached(engine, spec)
    assert isinstance(cached, ReadsVoices)
    assert cached.reads_tensors
    assert not cached.clones
    assert not cached.needs_text
    await cached.open()
    own = [VoiceTensor("mine", tiny_kokoro.style(seed, 2), 64 * letter) for seed, letter in ((8, "a"), (9, "b"))]
    names = [await cached.read_voice(tensor) for tensor in own]
    heard = []
    for name in (*names, *names, f"{names[0]}(1)+{names[1]}(1)"):
        async with closing(cached.speak(SpeechRequest("Good morning.", name, "en"))) as chunks:
            heard.append(np.concatenate([chunk.audio async for chunk in chunks]))
        await cache.settled(WAIT_S)
    assert (cache.counts.misses, cache.counts.hits) == (3, 2)
    assert np.allclose(heard[0], heard[2], atol=1e-4)
    assert np.allclose(heard[1], heard[3], atol=1e-4)
    assert len({len(audio) and audio.tobytes() for audio in (heard[0], heard[1], heard[4])}) == 3
    await cached.close()
    await cache.close()
