"""What every translator promises: pieces that join to the translation, pairs it knows, terms kept, an end at once when it is closed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from parley.engines.mt.bench import create as create_bench
from parley.engines.ports import MT, EngineRefused, EngineSpec, Term, TranslationRequest, Translator
from parley.engines.registry import create

TEXTS = ["The weather is fine today.", "Two (or three) words: well,\nyes!", "Übermorgen 42"]
PAIRS = {"bench": ("en", "x-bench")}
"""A pair that each engine translates here, both ways."""


@pytest_asyncio.fixture(params=list(PAIRS))
async def translator(request: pytest.FixtureRequest) -> AsyncIterator[Translator]:
    engine = create(MT, EngineSpec(request.param))
    assert isinstance(engine, Translator)
    await engine.open()
    yield engine
    await engine.close()


async def translated(engine: Translator, request: TranslationRequest) -> str:
    return "".join([piece async for piece in engine.translate(request)])


@pytest.mark.parametrize("text", TEXTS)
async def test_a_translation_comes_in_pieces_and_is_the_same_each_time(translator: Translator, text: str) -> None:
    source, target = PAIRS[translator.info.name]
    assert translator.translates(source, target)
    assert translator.translates("", target), "the source language may be unknown"
    request = TranslationRequest(text, source, target)
    once, again = await asyncio.gather(translated(translator, request), translated(translator, request))
    assert once == again
    assert once not in ("", text)


async def test_a_text_without_words_gives_nothing(translator: Translator) -> None:
    source, target = PAIRS[translator.info.name]
    for text in ("", "  ", "..."):
        assert await translated(translator, TranslationRequest(text, source, target)) == ""


async def test_terms_stand_in_the_translation_as_they_were_given(translator: Translator) -> None:
    source, target = PAIRS[translator.info.name]
    terms = (Term("weather", "Wetter"), Term("weather report", "Wetterbericht"))
    made = await translated(translator, TranslationRequest("The weather report, the weather.", source, target, terms))
    if translator.info.glossary:
        assert made.count("Wetterbericht") == 1
        assert made.count("Wetter") == 2


async def test_context_is_not_translated_again(translator: Translator) -> None:
    source, target = PAIRS[translator.info.name]
    request = TranslationRequest("It is fine.", source, target, context=("The weather is good today.",))
    assert len(await translated(translator, request)) <= 3 * len(request.text)


async def test_a_pair_that_it_does_not_know_is_refused(translator: Translator) -> None:
    source, _ = PAIRS[translator.info.name]
    assert not translator.translates(source, "tlh")
    with pytest.raises(EngineRefused) as caught:
        await translated(translator, TranslationRequest("Hello.", source, "tlh"))
    assert caught.value.code == "unsupported_language"
    assert caught.value.remedy


async def test_a_translation_that_is_closed_leaves_others_alone(translator: Translator) -> None:
    source, target = PAIRS[translator.info.name]
    request = TranslationRequest(TEXTS[0], source, target)
    whole = asyncio.create_task(translated(translator, request))
    async with aclosing(translator.translate(request)) as pieces:  # type: ignore[type-var]
        first = await anext(pieces)
    assert (await whole).startswith(first)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(max_size=80))
async def test_the_bench_translation_can_be_translated_back(text: str) -> None:
    engine = create_bench("", {"first_word_ms": 0})
    there = await translated(engine, TranslationRequest(text, "en", "x-bench"))
    back = await translated(engine, TranslationRequest(there, "x-bench", "en"))
    assert back == (text if there else "")
