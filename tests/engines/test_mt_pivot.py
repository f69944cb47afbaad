"""Translation through a language in between."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

import pytest

from parley.engines.mt.auto import AutoTranslator
from parley.engines.mt.pairs import Pair, languages
from parley.engines.mt.pivot import PivotTranslator, create
from parley.engines.mt.sentence_translator import SentenceTranslator
from parley.engines.ports import (
    EngineError,
    EngineInfo,
    EngineRefused,
    EngineUnavailable,
    Term,
    TranslationRequest,
    Translator,
)


class Marked(SentenceTranslator):
    """A translator whose translation names its pair; `loses` are texts that it leaves out."""

    def __init__(self, name: str, *pairs: Pair, loses: str = "", broken: bool = False) -> None:
        super().__init__()
        self._name, self._pairs, self._loses, self._broken = name, tuple(sorted(pairs)), loses, broken
        self.opened = 0
        self.asked: list[str] = []

    @property
    def info(self) -> EngineInfo:
        return EngineInfo("mt", self._name, "", languages=languages(self._pairs), glossary=True, deterministic=True)

    def pairs(self) -> tuple[Pair, ...]:
        return self._pairs

    async def open(self) -> None:
        if self._broken:
            raise EngineUnavailable(f"{self._name} is broken.", "Mend it.")
        self.opened += 1

    async def close(self) -> None:
        self.opened = 0

    def _check_open(self) -> None:
        if not self.opened:
            raise EngineUnavailable("not open", code="not_open")

    async def _unit(self, text: str, pair: Pair, request: TranslationRequest) -> str:
        self.asked.append(text)
        return f"{pair[0]}>{pair[1]}({text.replace(self._loses, '') if self._loses else text})"


async def translated(engine: Translator, text: str, source: str, target: str, *terms: Term) -> str:
    pieces: AsyncIterator[str] = engine.translate(TranslationRequest(text, source, target, terms))
    return "".join([piece async for piece in pieces])


def pivot(*engines: Marked, through: tuple[str, ...] = ()) -> PivotTranslator:
    return PivotTranslator([engine.info.name for engine in engines], engines, through)


async def test_each_sentence_goes_the_whole_way_before_the_next() -> None:
    first, second = Marked("first", ("es", "pt"), ("pt", "es")), Marked("second", ("pt", "en"), ("en", "pt"))
    engine = pivot(first, second)
    await engine.open()
    assert engine.pairs() == (("en", "es"), ("es", "en"))
    assert engine.way("es", "en") == ("es", "pt", "en")
    pieces = [piece async for piece in engine.translate(TranslationRequest("Uno. Dos!", "es", "en"))]
    assert pieces == ["pt>en(es>pt(Uno.))", " pt>en(es>pt(Dos!))"]
    assert await translated(engine, "One.", "en-GB", "es-MX") == "pt>es(en>pt(One.))"
    await engine.close()
    assert (first.opened, second.opened) == (0, 0)


async def test_the_hops_see_no_terms_and_a_lost_one_is_put_in_place() -> None:
    careful, careless = Marked("careful", ("es", "pt")), Marked("careless", ("pt", "en"), loses="XQ")
    engine = pivot(careful, careless)
    await engine.open()
    made = await translated(engine, "Veo a Acme hoy.", "es", "en", Term("Acme", "ACME Inc."))
    assert made.count("ACME Inc.") == 1
    assert "Veo a" in made
    assert "hoy" in made
    assert not any("Acme" in text or "ACME" in text for text in careful.asked)
    assert engine.terms_kept_apart == 1


async def test_three_engines_have_two_languages_in_between() -> None:
    engine = pivot(Marked("a", ("ca", "es")), Marked("b", ("es", "pt")), Marked("c", ("pt", "en")))
    await engine.open()
    assert engine.pairs() == (("ca", "en"),)
    assert await translated(engine, "Bon dia.", "ca", "en") == "pt>en(es>pt(ca>es(Bon dia.)))"


@pytest.mark.parametrize(("through", "way"), [((), ("es", "en", "de")), (("pt",), ("es", "pt", "de"))])
async def test_the_language_in_between_is_english_or_the_one_that_is_named(
    through: tuple[str, ...], way: tuple[str, ...]
) -> None:
    engine = pivot(Marked("a", ("es", "en"), ("es", "pt")), Marked("b", ("en", "de"), ("pt", "de")), through=through)
    await engine.open()
    assert engine.way("es", "de") == way


async def test_regions_lead_on() -> None:
    plain = pivot(Marked("a", ("es", "pt"), ("es", "pt-BR")), Marked("b", ("pt", "en")))
    named = pivot(Marked("a", ("es", "pt"), ("es", "pt-BR")), Marked("b", ("pt", "en")), through=("pt-BR",))
    assert plain.way("es", "en") == ("es", "pt", "en")
    assert named.way("es", "en") == ("es", "pt-BR", "en")


async def test_engines_that_do_not_meet_cannot_be_opened_and_are_closed() -> None:
    first, second = Marked("a", ("es", "pt")), Marked("b", ("en", "de"))
    with pytest.raises(EngineUnavailable, match="No language is between") as error:
        await pivot(first, second).open()
    assert "es-pt" in error.value.remedy
    assert (first.opened, second.opened) == (0, 0)


async def test_one_that_cannot_be_opened_closes_the_other() -> None:
    first = Marked("a", ("es", "pt"))
    with pytest.raises(EngineUnavailable, match="b is broken"):
        await pivot(first, Marked("b", ("pt", "en"), broken=True)).open()
    assert first.opened == 0


@pytest.mark.parametrize(
    ("model", "options", "said"),
    [
        ("bench", {}, "two or three engines"),
        ("bench,bench,bench,bench", {}, "two or three engines"),
        ("bench,bench", {"through": "pt,en"}, "one language between"),
        ("bench,bench", {"thruogh": "pt"}, "through"),
    ],
)
def test_wrong_options_are_named(model: str, options: Mapping[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        create(model, options)


async def test_a_pivot_without_engines_is_listed_and_says_what_to_name() -> None:
    engine = create("", {})
    assert (engine.info.name, engine.pairs()) == ("pivot", ())
    with pytest.raises(EngineUnavailable, match="names no engines"):
        await engine.open()


# --- auto ---


async def test_the_cheapest_route_of_each_pair_is_chosen_and_said(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    rules = Marked("apertium", ("es", "pt"), ("pt", "es"), ("es", "en"), ("es", "en-US"), ("en", "es"))
    neural = Marked("bergamot", ("pt", "en"), ("en", "pt"))
    engine = AutoTranslator({"apertium": rules, "bergamot": neural})
    await engine.open()
    by_pair = {(route.from_language, route.to_language): route for route in engine.routes()}
    assert by_pair["es", "en"].engine == "pivot:apertium,bergamot"
    assert "related" in by_pair["es", "en"].reason
    assert by_pair["en", "es"].engine == "pivot:bergamot,apertium"
    assert by_pair["pt", "en"].engine == "bergamot"
    assert by_pair["es", "pt"].engine == "apertium"
    assert await translated(engine, "Hola.", "es", "en-US") == "pt>en(es>pt(Hola.))"
    assert await translated(engine, "Hola.", "es-MX", "en") == "pt>en(es>pt(Hola.))"
    assert await translated(engine, "Hi.", "", "es") == "pt>es(en>pt(Hi.))"
    said = [record.getMessage() for record in caplog.records if "is translated by" in record.getMessage()]
    assert len(said) == len(set(said)) == 2
    await engine.close()
    assert (rules.opened, neural.opened, engine.routes()) == (0, 0, ())


async def test_the_language_model_is_asked_only_where_nothing_else_knows_the_pair() -> None:
    model = Marked("llm", ("es", "en"), ("es", "ja"))
    engine = AutoTranslator({"bergamot": Marked("bergamot", ("es", "en"))}, model, "llm:ollama:qwen3")
    await engine.open()
    await translated(engine, "Hola.", "es", "en")
    assert not model.asked
    assert engine.translates("es", "ja")
    assert engine.info.languages == ("en", "es", "ja"), "what only the language model knows is offered too"
    assert engine.last == "llm:ollama:qwen3"
    await translated(engine, "Hola.", "es", "ja")
    assert model.asked == ["Hola."]
    with pytest.raises(EngineError, match="does not translate"):
        await translated(engine, "Hola.", "fr", "ja")


async def test_what_cannot_be_opened_is_left_out_and_said() -> None:
    engine = AutoTranslator({"good": Marked("good", ("es", "en")), "bad": Marked("bad", ("en", "es"), broken=True)})
    await engine.open()
    assert engine.pairs() == (("es", "en"),)
    assert "bad is broken. Mend it." in engine.notice
    nothing = AutoTranslator({"bad": Marked("bad", ("en", "es"), broken=True)})
    await nothing.open()
    assert not nothing.translates("en", "es")
    with pytest.raises(EngineRefused, match=r"No translator is on this machine\. bad cannot be used"):
        await translated(nothing, "Hello.", "en", "es")
