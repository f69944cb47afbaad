"""Prescribed translations: what is found in a text, and that none is lost on the way through a model."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley.engines.mt.terms import protect
from parley.engines.ports import Term


def through(text: str, *terms: Term) -> str | None:
    """The text of which a model changed nothing but the terms."""
    protected = protect(text, terms)
    return protected.restored(protected.text, protected.text)


@pytest.mark.parametrize(
    ("text", "terms", "expected"),
    [
        (
            "The weather report.",
            (Term("weather", "Wetter"), Term("weather report", "Wetterbericht")),
            "The Wetterbericht.",
        ),
        ("Weather? WEATHER!", (Term("weather", "Wetter"),), "Wetter? Wetter!"),
        ("He told us of the US.", (Term("US", "USA"),), "He told us of the USA."),
        ("The weathercock", (Term("weather", "Wetter"),), "The weathercock"),
        ("Acme's and Acme-", (Term("Acme", "ACME SA"),), "ACME SA's and ACME SA-"),
        ("weather\n  report", (Term("weather report", "Bericht"),), "Bericht"),
        ("我用天气预报吧", (Term("天气", "WETTER"),), "我用WETTER预报吧"),
        ("我用Parley吧", (Term("Parley", "PARLEY"),), "我用PARLEY吧"),
        ("दिनों दिन", (Term("दिन", "Tag"),), "दिनों Tag"),
        ("파를리는 좋다", (Term("파를리", "Parley"),), "Parley는 좋다"),
        ("Привет, Мир", (Term("мир", "peace"),), "Привет, peace"),
        ("C++ and C", (Term("C++", "C plus plus"),), "C plus plus and C"),
        ("a.b axb", (Term("a.b", "dot"),), "dot axb"),
        ("one two", (Term("one", "1"), Term("one", "2"), Term("", "3"), Term("  ", "4")), "1 two"),
        ("no terms here", (), "no terms here"),
        ("XQ1 is a code", (Term("code", "Kode"),), "XQ1 is a Kode"),
        ("cafe\u0301".replace("e\u0301", "\u00e9"), (Term("cafe\u0301", "Kaffee"),), "Kaffee"),
    ],
)
def test_terms_are_found_as_words_and_the_longest_first(text: str, terms: tuple[Term, ...], expected: str) -> None:
    assert through(text, *terms) == expected


def test_a_placeholder_that_the_text_holds_already_is_never_chosen() -> None:
    text = "XQ1 ZV1 xq2 and Acme"
    protected = protect(text, (Term("Acme", "ACME"),))
    assert protected.text.startswith("XQ1 ZV1 xq2 and ")
    assert protected.restored(protected.text, protected.text) == "XQ1 ZV1 xq2 and ACME"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda code, text: text.replace(code, ""),
        lambda code, text: text + " " + code,
        lambda code, text: text.replace(code, code + "s"),
        lambda code, text: text.replace(code, code[:2]),
        lambda code, text: text.replace(code, code + "1"),
        lambda code, text: text.replace(code, "a" + code),
    ],
    ids=["lost", "doubled", "inflected", "shortened", "renumbered", "joined"],
)
def test_a_placeholder_that_a_model_spoils_is_noticed(spoil: object) -> None:
    assert callable(spoil)
    protected = protect("I know Acme well.", (Term("Acme", "ACME"),))
    (code,) = protected.codes(protected.text)
    assert protected.restored(protected.text, protected.text) is not None
    assert protected.restored(protected.text, spoil(code, protected.text)) is None


def test_a_model_may_change_the_case_and_the_place_of_a_placeholder() -> None:
    protected = protect("Acme knows Beta.", (Term("Acme", "A."), Term("Beta", "B.")))
    first, second = protected.codes(protected.text)
    assert protected.restored(protected.text, f"{second.lower()} und {first.title()}") == "B. und A."


def test_around_gives_the_whole_text_with_the_terms_in_place() -> None:
    protected = protect("I know Acme and Beta well.", (Term("Acme", "A."), Term("Beta", "B.")))
    assert list(protected.around(protected.text)) == [
        ("I know ", False), ("A.", True), (" and ", False), ("B.", True), (" well.", False),
    ]  # fmt: skip


@given(
    st.lists(st.sampled_from(["Acme", "beta", "XQ1", "zv2", "the", "天气", "é", "\n", "QJ3", "a1"]), max_size=30),
    st.lists(st.sampled_from(["Acme", "beta", "天气", "a1", "the beta"]), unique=True),
)
def test_what_is_no_term_stays_as_it_is(words: list[str], sources: list[str]) -> None:
    text = " ".join(words)
    terms = tuple(Term(source, f"<{source}>") for source in sources)
    made = through(text, *terms)
    assert made is not None
    assert re.sub(r"[<>]", "", made) == text or " ".join(re.sub(r"[<>]", "", made).split()) == " ".join(text.split())
    for source in sources:
        if source in words and not any(source in other and source != other for other in sources):
            assert made.count(f"<{source}>") == words.count(source)
