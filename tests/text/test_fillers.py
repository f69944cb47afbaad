"""What an interpreter leaves unspoken: hesitations, laughter, notes of noises. An answer is spoken, however short."""

from __future__ import annotations

import time

import pytest

from parley.text.fillers import only_fillers

NOTHING = [
    ("", "en"),
    ("...", "en"),
    ("uh", "en"),
    ("Uhhh, um...", "en"),
    ("Hmm.", "en"),
    ("Mmm", "es"),
    ("Er, erm", "en"),
    ("eh...", "es"),
    ("Este...", "es"),
    ("este", "es"),
    ("Esteeee, eh,", "es-MX"),
    ("Ähm.", "de"),
    ("Äh, ähm, öh", "de-AT"),
    ("Hum... eh...", "pt"),
    ("Ééé...", "pt-BR"),
    ("Euh", "fr"),
    ("hahaha", "en"),
    ("Ha ha ha!", "en"),
    ("Ahahah", "it"),
    ("bwahaha", "en"),
    ("jajaja", "es"),
    ("Ja, ja, ja.", "es"),
    ("Jejeje", "es-419"),
    ("kkkk", "pt"),
    ("rsrs", "pt-BR"),
    ("Huehuehue", "pt"),
    ("хахаха", "ru"),
    ("哈哈哈", "zh"),
    ("ㅋㅋㅋ", "ko"),
    ("えーと", "ja"),
    ("[laughter]", "en"),
    ("[Laughter] Hahaha [coughs]", "en"),
    ("(laughs)", "en"),
    ("(risas)", "es"),
    ("(Risos)", "pt"),
    ("(lacht)", "de"),
    ("*coughs*", "en"),
    ("[BLANK_AUDIO]", ""),
    ("(upbeat music)", "en"),
    ("[Música]", "es"),
    ("♪", "en"),
    ("♪♪ [music] ♪♪", "en"),
    ("😂😂", "en"),
    ("Uhm, hm.", ""),
]

SAID = [
    ("yes", "en"),
    ("No.", "en"),
    ("OK", "en"),
    ("ok", ""),
    ("sí", "es"),
    ("Claro.", "es"),
    ("Sim.", "pt"),
    ("não", "pt"),
    ("É.", "pt"),
    ("Uh-huh.", "en"),
    ("Uh-uh.", "en"),
    ("Mhm.", "en"),
    ("Oh!", "en"),
    ("Huh?", "en"),
    ("¿Eh?", "es"),
    ("Ja, ja.", "de"),
    ("jaja", "de"),
    ("jajaja", ""),
    ("um", "de"),
    ("Um.", "pt"),
    ("um", ""),
    ("Er.", "de"),
    ("Este.", "es"),
    ("¿Este?", "es"),
    ("este", "pt"),
    ("hohe", "de"),
    ("Huhu!", "de"),
    ("Hi hi!", "en"),
    ("He.", "en"),
    ("A", "en"),
    ("e", "pt"),
    ("42", "en"),
    ("Um, five.", "en"),
    ("hahaha, no", "en"),
    ("(right)", "en"),
    ("(she said that the music was much too loud for her)", "en"),
    ("[laughter] Come in.", "en"),
    ("♪ Happy birthday ♪", "en"),
    ("Aha.", "en"),
    ("嗯", "zh"),
    ("はは", "ja"),
]


@pytest.mark.parametrize(("text", "language"), NOTHING)
def test_speech_that_says_nothing_is_not_spoken(text: str, language: str) -> None:
    assert only_fillers(text, language)


@pytest.mark.parametrize(("text", "language"), SAID)
def test_whatever_says_something_is_spoken(text: str, language: str) -> None:
    assert not only_fillers(text, language)


@pytest.mark.parametrize(
    "text", ["ha" * 10_000, "[" * 20_000, "*" * 20_000, "(laughs " * 2_500, "uh " * 6_000, "h" * 20_000 + "x"]
)
def test_a_hostile_text_costs_no_more_than_its_length(text: str) -> None:
    began = time.process_time()
    only_fillers(text, "en")
    assert time.process_time() - began < 0.5
