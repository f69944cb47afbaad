"""`tts = "auto"`: English by hibari, every other language by espeak-ng, and by one alone where the other is missing."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from weakref import WeakValueDictionary

import numpy as np
import pytest

from parley.engines.ports import EngineRefused, EngineUnavailable, SpeechRequest
from parley.engines.tts import espeak_voices, hibari_text, hibari_voices
from parley.engines.tts.auto import AutoSynthesizer, create
from parley.engines.tts.espeak_library import SAMPLE_RATE as ESPEAK_RATE
from parley.engines.tts.hibari_text import Phonemizer
from parley.engines.tts.hibari_voices import Catalogue
from parley.runtime.generation.voicing import voice_for
from parley.testing.contracts.watching import settled_holdings


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


HIBARI, ESPEAK = "hibari", "espeak"


async def speaker_of(engine: AutoSynthesizer, text: str, voice: str = "", language: str = "") -> str:
    """Who spoke: what espeak-ng says ends at 11 kHz, half its own sample rate, and what hibari says does not."""
    chunks = [chunk async for chunk in engine.speak(SpeechRequest(text, voice, language))]
    assert {chunk.sample_rate for chunk in chunks} == {engine.info.sample_rate}, "one rate, as declared"
    assert "".join(word.text for word in chunks[-1].words) == "".join(text.split())
    if engine.info.sample_rate == ESPEAK_RATE:
        return ESPEAK
    audio = np.concatenate([chunk.audio for chunk in chunks])
    power = np.abs(np.fft.rfft(audio)) ** 2
    above = np.fft.rfftfreq(len(audio), 1 / engine.info.sample_rate) > 11_200
    return HIBARI if power[above].sum() > 1e-6 * power.sum() else ESPEAK


@pytest.mark.parametrize(
    ("text", "voice", "language", "speaker"),
    [
        ("Hello there", "", "", HIBARI),
        ("Hello there", "alloy", "en-GB", HIBARI),
        ("Hello there", "heart", "en", HIBARI),
        ("Hello there", "en-gb+f2", "en", ESPEAK),  # a voice of espeak-ng's is that voice
        ("Guten Tag", "alloy", "de", ESPEAK),
        ("Guten Tag", "heart", "de", ESPEAK),  # hibari's voice speaks English only: the nearest that speaks German
        ("Guten Tag", "de+f2", "", ESPEAK),
        ("Привет", "alloy", "", ESPEAK),  # by its script
        ("Привет", "heart", "", ESPEAK),
        ("你好，世界", "alloy", "en", ESPEAK),  # no English, whatever the session says
        ("漢字", "alloy", "ja", ESPEAK),
    ],
)
async def test_each_language_is_spoken_by_the_engine_that_has_it(
    auto: AutoSynthesizer, text: str, voice: str, language: str, speaker: str
) -> None:
    assert await speaker_of(auto, text, voice, language) == speaker
    voice, language = voice_for(auto, voice, language)  # as a session asks
    assert await speaker_of(auto, text, voice, language) == speaker


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


@pytest.mark.parametrize(("voice", "speaker"), [("heart", HIBARI), ("en+f2", ESPEAK), ("de", ESPEAK)])
async def test_the_default_voice_is_one_of_either(voice: str, speaker: str) -> None:
    engine = create(voice, {})
    await engine.open()
    try:
        assert await speaker_of(engine, "Hello there") == speaker
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
        assert engine.info.sample_rate == ESPEAK_RATE
        assert await speaker_of(engine, "Hello there", "alloy") == ESPEAK
    finally:
        await engine.close()


@pytest.mark.parametrize(("damage", "why"), [("checksum", "SHA-256"), ("package", "hibari failed")])
async def test_where_hibari_cannot_be_loaded_espeak_speaks_and_no_thread_is_left(
    monkeypatch: pytest.MonkeyPatch, damage: str, why: str
) -> None:
    voice, path = hibari_voices.installed().files["heart"]
    if damage == "checksum":
        monkeypatch.setattr(
            hibari_voices, "installed", lambda: Catalogue({"heart": (replace(voice, sha256="0"), path)})
        )
    else:
        monkeypatch.setattr(hibari_text, "_loaded", WeakValueDictionary())  # the tests hold what is loaded
        monkeypatch.setattr("hibari.g2p.G2P", lambda british: [][british])
    before = threading.active_count()
    engine = create("", {})
    await engine.open()
    assert why in engine.notice
    assert engine.info.name == "espeak"
    assert await speaker_of(engine, "Hello there") == ESPEAK
    await engine.close()
    await settled_holdings()
    assert threading.active_count() <= before + 1, "but one of the loop's own"


async def test_without_espeak_hibari_speaks_english_and_a_notice_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(espeak_voices, "data_path", lambda: None)
    espeak_voices.catalogue.cache_clear()
    engine = create("", {})
    try:
        await engine.open()
        assert "Only English" in engine.notice
        assert await speaker_of(engine, "Hello there", "alloy") == HIBARI
        with pytest.raises(EngineRefused):
            engine.speak(SpeechRequest("Guten Tag", "", "de"))
        await engine.close()
        monkeypatch.setattr(hibari_voices, "assets", lambda: None)
        with pytest.raises(EngineUnavailable):
            await create("", {}).open()
    finally:
        espeak_voices.catalogue.cache_clear()
