"""What engines say of their voices: language, sex, character; and what is said where an engine says nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from parley.engines.ports import DescribesVoices, EngineInfo, VoiceDescription, describe_voice
from parley.engines.tts.auto import AutoSynthesizer
from parley.engines.tts.espeak import EspeakSynthesizer
from parley.engines.tts.hibari import HibariSynthesizer
from parley.engines.tts.hibari_voices import VOICES, Catalogue
from parley.engines.tts.kokoro_voices import VoiceFolder
from parley.testing.fakes import FakeSynthesizer


def test_hibari_knows_the_accent_and_the_sex_of_each_voice(tmp_path: Path) -> None:
    catalogue = Catalogue({voice.name: (voice, tmp_path) for voice in VOICES})
    assert catalogue.describe("heart") == VoiceDescription("en-US", "female")
    assert catalogue.describe("fable") == VoiceDescription("en-GB", "male")
    assert catalogue.describe("alloy") == VoiceDescription()


def test_kokoros_names_say_what_a_voice_speaks(tmp_path: Path) -> None:
    folder = VoiceFolder({name: (tmp_path, name) for name in ("af_heart", "bm_george", "hf_alpha", "mine")})
    assert folder.describe("af_heart") == VoiceDescription("en-us", "female")
    assert folder.describe("bm_george") == VoiceDescription("en-gb", "male")
    assert folder.describe("hf_alpha") == VoiceDescription("hi", "female")
    assert folder.describe("mine") == VoiceDescription()
    assert folder.describe("af_heart(2)+bm_george(1)") == VoiceDescription()


def test_espeaks_voices_are_languages_and_their_variants_numbered_by_sex() -> None:
    engine = EspeakSynthesizer()
    assert engine.describe_voice("de") == VoiceDescription("de", "", "robotic")
    assert engine.describe_voice("de+f2") == VoiceDescription("de", "female", "robotic")
    assert engine.describe_voice("en-us+m3") == VoiceDescription("en-us", "male", "robotic")
    assert engine.describe_voice("de+Annie") == VoiceDescription("de", "", "robotic")
    assert engine.describe_voice("nowhere") == VoiceDescription()


async def test_two_engines_in_one_describe_the_voices_that_each_has() -> None:
    engine = AutoSynthesizer()
    await engine.open()
    try:
        assert engine.describe_voice("heart") == VoiceDescription("en-US", "female")
        assert engine.describe_voice("fr-fr").character == "robotic"
        described = [engine.describe_voice(voice) for voice in engine.info.voices]
    finally:
        await engine.close()
    assert all(one.language for one in described), "every voice that is listed says what it speaks"


def test_an_engine_of_one_language_says_it_of_every_voice() -> None:
    class OfOneLanguage(FakeSynthesizer):
        languages: tuple[str, ...] = ("fi",)

        @property
        def info(self) -> EngineInfo:
            return replace(super().info, languages=self.languages)

    engine = OfOneLanguage()
    assert not isinstance(engine, DescribesVoices)
    assert describe_voice(engine, "any") == VoiceDescription("fi")
    engine.languages = ("fi", "sv")
    assert describe_voice(engine, "any") == VoiceDescription()
    assert isinstance(HibariSynthesizer(), DescribesVoices)
