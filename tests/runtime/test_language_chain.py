"""What a pipeline covers from speech to speech: only what is understood, translated and spoken."""

from __future__ import annotations

from pathlib import Path

import pytest

from parley.engines.mt.apertium import ApertiumTranslator
from parley.engines.mt.bench import BenchTranslator
from parley.engines.mt.llm import LlmTranslator
from parley.engines.mt.pairs import Pair
from parley.engines.ports import EngineInfo
from parley.runtime.language_chain import LanguageChain


def stt(*tags: str) -> EngineInfo:
    return EngineInfo("stt", "ears", "Ears.", languages=tags)


def tts(*tags: str) -> EngineInfo:
    return EngineInfo("tts", "mouth", "Mouth.", languages=tags)


@pytest.fixture
def rules(tmp_path: Path) -> ApertiumTranslator:
    """Five directions, one of them with a region on either side."""
    (tmp_path / "modes").mkdir()
    for name in ("eng-spa", "spa-eng_US", "es-pt_BR", "pt-es", "fra-spa"):
        (tmp_path / "modes" / f"{name}.mode").write_text("lt-proc $1 /y.bin")
    return ApertiumTranslator(tmp_path)


@pytest.mark.parametrize(
    ("heard", "spoken", "language", "pairs", "unspoken"),
    [
        (("en", "es"), ("en", "es", "pt"), "", (("en", "es"), ("es", "en"), ("es", "pt")), ()),
        (("en", "es"), ("en", "es"), "", (("en", "es"), ("es", "en")), ("pt",)),
        (("en", "es"), ("en", "es", "pt"), "es-MX", (("es", "en"), ("es", "pt")), ()),
        (("de",), ("en", "es"), "", (), ()),
        (("en",), ("de",), "", (), ("es",)),
        (("en-GB", "en-US"), (), "", (("en", "es"),), ()),
    ],
)
def test_only_what_is_heard_translated_and_spoken_is_covered(
    heard: tuple[str, ...],
    spoken: tuple[str, ...],
    language: str,
    pairs: tuple[Pair, ...],
    unspoken: tuple[str, ...],
    rules: ApertiumTranslator,
) -> None:
    chain = LanguageChain.of(stt(*heard), rules, tts(*spoken), language)
    assert chain.pairs() == pairs
    assert sorted(chain.targets()) == sorted({target for _, target in pairs})
    assert chain.unspoken() == unspoken


def test_a_recogniser_that_does_not_say_what_it_understands_is_an_unknown_source() -> None:
    chain = LanguageChain.of(stt(), BenchTranslator(0, 0), tts())
    assert (chain.heard, chain.targets(), chain.pairs()) == (("",), ("x-bench",), (("", "x-bench"),))


def test_a_translator_that_lists_no_pairs_is_asked_about_each() -> None:
    chain = LanguageChain.of(stt("en", "de"), LlmTranslator(None), tts("de", "fr"))
    assert chain.pairs() == (("en", "de"), ("en", "fr"), ("de", "fr"))
    assert "es" in chain.unspoken()
    assert "en" in chain.unspoken(), "German is translated into English too"


def test_without_a_translator_nothing_is_covered() -> None:
    chain = LanguageChain.of(stt("en"), None, tts("en", "es"))
    assert (chain.targets(), chain.unspoken(), chain.pairs()) == ((), (), ())


def test_a_pipeline_without_a_voice_leaves_no_language_out(rules: ApertiumTranslator) -> None:
    assert LanguageChain.of(stt("en"), rules, None).targets() == ("es",)
