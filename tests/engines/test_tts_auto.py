"""`tts = "auto"`: English by hibari, every other language by espeak-ng, and by one alone where the other is missing."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from parley.engines.ports import EngineRefused, EngineUnavailable, SpeechRequest
from parley.engines.tts import espeak_voices, hibari_text, hibari_voices
from parley.engines.tts.auto import AutoSynthesizer, create
from parley.engines.tts.espeak_library import SAMPLE_RATE as ESPEAK_RATE
from parley.engines.tts.hibari_text import Phonemizer
from parley.engines.tts.phoneme_pieces import SAMPLE_RATE as HIBARI_RATE
from parley.runtime.generation.voicing import voice_for


@pytest.fixture(scope="module", autouse=True)
def phonemizer() -> Phonemizer:
    """What all voices of American English share, held from test to test: it takes longer to load than a voice does."""
    return hibari_text.load()


@pytest.fixture
async def auto() -> AsyncIterator[AutoSynthesizer]:
    engine = create("", {})
    await engine.open()
    yield engine
    await engine.close()


async def rate_of(engine: AutoSynthesizer, text: str, voice: str = "", language: str = "") -> int:
    """The rate of the audio, which says who spoke."""
    chunks = [chunk async for chunk in engine.speak(SpeechRequest(text, voice, language))]
    assert any(chunk.audio.any() for chunk in chunks)
    assert chunks[-1].words
    (rate,) = {chunk.sample_rate for chunk in chunks}
    return rate


@pytest.mark.parametrize(
    ("text", "voice", "language", "rate"),
    [
        ("Hello there", "", "", HIBARI_RATE),
        ("Hello there", "alloy", "en-GB", HIBARI_RATE),
        ("Hello there", "heart", "en", HIBARI_RATE),
        ("Hello there", "en-gb+f2", "en", ESPEAK_RATE),  # a voice of espeak-ng's is that voice
        ("Guten Tag", "alloy", "de", ESPEAK_RATE),
        ("Guten Tag", "heart", "de", ESPEAK_RATE),  # hibari's voice speaks English only: the nearest that speaks German
        ("Guten Tag", "de+f2", "", ESPEAK_RATE),
        ("Привет", "alloy", "", ESPEAK_RATE),  # by its script
        ("Привет", "heart", "", ESPEAK_RATE),
        ("你好，世界", "alloy", "en", ESPEAK_RATE),  # no English, whatever the session says
        ("漢字", "alloy", "ja", ESPEAK_RATE),
    ],
)
async def test_each_language_is_spoken_by_the_engine_that_has_it(
    auto: AutoSynthesizer, text: str, voice: str, language: str, rate: int
) -> None:
    assert await rate_of(auto, text, voice, language) == rate
    voice, language = voice_for(auto, voice, language)  # as a session asks
    assert await rate_of(auto, text, voice, language) == rate


async def test_it_declares_what_both_have_and_refuses_what_neither_has(auto: AutoSynthesizer) -> None:
    info = auto.info
    assert info.name == "hibari+espeak"
    assert info.voices[0] == "heart"
    assert {"de", "en-gb"} <= set(info.voices)
    assert {"en", "de", "ja"} <= set(info.languages)
    assert "GPL" in info.licence
    assert "Apache" in info.licence
    assert auto.notice == ""
    assert auto.resolve_voice("nobody") is None
    with pytest.raises(EngineRefused, match="voice 'nobody'") as refused:
        auto.speak(SpeechRequest("Hello", "nobody"))
    assert refused.value.code == "unknown_voice"
    with pytest.raises(EngineRefused, match="language 'xx'") as refused:
        auto.speak(SpeechRequest("Hello", "", "xx"))
    assert refused.value.code == "unsupported_language"


@pytest.mark.parametrize(("voice", "rate"), [("heart", HIBARI_RATE), ("en+f2", ESPEAK_RATE), ("de", ESPEAK_RATE)])
async def test_the_default_voice_is_one_of_either(voice: str, rate: int) -> None:
    engine = create(voice, {})
    await engine.open()
    try:
        assert await rate_of(engine, "Hello there") == rate
    finally:
        await engine.close()


async def test_a_default_voice_that_neither_has_stops_the_start() -> None:
    with pytest.raises(EngineUnavailable, match="'nobody'") as raised:
        await create("", {"voice": "nobody"}).open()
    assert raised.value.code == "unknown_voice"


async def test_without_hibari_espeak_speaks_and_a_notice_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hibari_voices, "assets", lambda: None)
    engine = create("", {})
    await engine.open()
    try:
        assert engine.info.name == "espeak"
        assert "espeak-ng" in engine.notice
        assert "pip install" in engine.notice
        assert await rate_of(engine, "Hello there", "alloy") == ESPEAK_RATE
    finally:
        await engine.close()


async def test_without_espeak_hibari_speaks_english_and_a_notice_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(espeak_voices, "data_path", lambda: None)
    espeak_voices.catalogue.cache_clear()
    engine = create("", {})
    try:
        await engine.open()
        assert "Only English" in engine.notice
        assert await rate_of(engine, "Hello there", "alloy") == HIBARI_RATE
        with pytest.raises(EngineRefused):
            engine.speak(SpeechRequest("Guten Tag", "", "de"))
        await engine.close()
        monkeypatch.setattr(hibari_voices, "assets", lambda: None)
        with pytest.raises(EngineUnavailable):
            await create("", {}).open()
    finally:
        espeak_voices.catalogue.cache_clear()
