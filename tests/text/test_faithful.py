"""What a translation lacks is reported, and what it has in another form is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley.text.faithful import MAX_FACTS, missing_facts


@pytest.mark.parametrize(
    ("source", "target", "language"),
    [
        ("It costs 1,234.50 euros.", "Custa 1.234,50 euros.", "pt"),
        ("We meet at 9.", "Encontramo-nos às nove.", "pt"),
        ("There are 21 people.", "Son veintiuno personas.", "es"),
        ("I was born in 1984.", "Ich bin 1984 geboren.", "de"),
        ("In 1984 it began.", "Neunzehnhundertvierundachtzig begann es.", "de"),
        ("Call 555 1234.", "Ligue para 555 1234.", "pt"),
        (
            "Write to ada@example.com or see https://example.com/a.",
            "Escreva para ada@example.com ou veja https://example.com/a.",
            "pt",
        ),
        ("Flight AB-123 leaves.", "O voo AB-123 parte.", "pt"),
        ("Two of us.", "Nós os dois.", "pt"),
        ("0.50 each", "0,5 cada", "pt"),
        ("10 000 people", "10.000 pessoas", "pt"),
    ],
)
def test_the_same_in_another_form_is_no_difference(source: str, target: str, language: str) -> None:
    assert missing_facts(source, target, language) == ()


@pytest.mark.parametrize(
    ("source", "target", "missing"),
    [
        ("It costs 15 euros.", "Custa 50 euros.", ("15",)),
        ("Call 555 1234 before 9.", "Ligue para 555 1243 antes das nove.", ("555 1234",)),
        ("See https://example.com/a.", "Veja https://example.com.", ("https://example.com/a",)),
        ("Flight AB-123 and AB-124.", "Os voos AB-123 e AB-142.", ("AB-124",)),
        ("From 1990 to 1995.", "De 1990 em diante.", ("1995",)),
    ],
)
def test_what_is_missing_is_reported_as_the_source_has_it(source: str, target: str, missing: tuple[str, ...]) -> None:
    assert missing_facts(source, target, "pt") == missing


@given(st.text("0123456789., -aB@é", max_size=80), st.text("0123456789., aé", max_size=80))
def test_any_text_is_judged_and_a_text_lacks_nothing_of_itself(source: str, target: str) -> None:
    assert len(missing_facts(source, target, "pt")) <= MAX_FACTS
    assert missing_facts(source, source, "pt") == ()
