"""Dates that say the same are the same in any language, and one that says something else is missing."""

from __future__ import annotations

import pytest

from parley.text.faithful import missing_facts

SAME = [
    ("en", "es", "We meet on 3 March.", "Nos vemos el 3 de marzo."),
    ("en", "es", "We meet on March 3rd.", "Nos vemos el tres de marzo."),
    ("en", "pt", "It opens on March 1.", "Abre no primeiro de março."),
    ("en", "fr", "It opens on March 1st.", "Ça ouvre le 1er mars."),
    ("en", "de", "On 3 May 2024 it rained.", "Am 3. Mai 2024 regnete es."),
    ("en", "it", "On May 3, 2024, it rained.", "Il 3 maggio 2024 ha piovuto."),
    ("es", "en", "El contrato empieza el 1 de enero de 2025.", "The contract begins on January 1, 2025."),
    ("es", "en", "Nos vemos el 3 de marzo.", "See you on 3/3."),
    ("en", "es", "See you on 4/3.", "Nos vemos el 3 de abril."),
    ("en", "es", "See you on 4/3.", "Nos vemos el 4 de marzo."),
    ("en", "de", "The deadline is 2024-03-05.", "Die Frist endet am 5. März 2024."),
    ("de", "en", "Die Frist endet am 5.3.2024.", "The deadline is March 5, 2024."),
    ("en", "pt", "On Mondays and Fridays.", "Às segundas e sextas-feiras."),
    ("pt", "en", "Na terça-feira às 11:15.", "On Tuesday at 11:15."),
    ("es", "de", "El lunes por la mañana.", "Am Montagmorgen."),
    ("en", "de", "It is Good Friday.", "Es ist Karfreitag."),
    ("en", "fr", "I like Black Friday.", "J'aime le Black Friday."),
    ("fr", "en", "La fusée vole vers Mars.", "The rocket flies to Mars."),
    ("en", "es", "May I come in?", "¿Puedo pasar?"),
    ("en", "es", "They march in the rain.", "Marchan bajo la lluvia."),
    ("en", "es", "An august person, I may say.", "Una persona augusta, diría yo."),
    ("en", "es", "I need 3/4 of it.", "Necesito 3/4 de eso."),
    ("en", "nl", "From 3 to 5 June.", "Van 3 tot 5 juni."),
    ("it", "en", "Non vengo mai di domenica.", "I never come on Sundays."),
    ("en", "es", "On 3 Sept we leave.", "El 3 de septiembre nos vamos."),
]

OTHER = [
    ("en", "es", "We meet on 3 March.", "Nos vemos el 3 de mayo.", "3 March"),
    ("en", "es", "We meet on 3 March.", "Nos vemos el 8 de marzo.", "3 March"),
    ("en", "es", "We meet in May.", "Nos vemos pronto.", "May"),
    ("es", "en", "Nos vemos en marzo.", "We see each other in March", ""),
    ("es", "en", "Nos vemos en marzo.", "We see each other in May", "marzo"),
    ("en", "pt", "The shop is closed on Sundays.", "A loja fecha aos sábados.", "Sundays"),
    ("pt", "en", "Na quinta-feira.", "On Wednesday.", "quinta-feira"),
    ("de", "en", "Am Dienstag.", "On Thursday.", "Dienstag"),
    ("en", "es", "We bought it in March 2019.", "Lo compramos en marcha 2019.", "March"),
    ("en", "fr", "See you on 4/5/2024.", "On se voit le 4 juin 2024.", "5"),
]


@pytest.mark.parametrize(("source_language", "target_language", "source", "target"), SAME)
def test_the_same_date_is_no_difference(source_language: str, target_language: str, source: str, target: str) -> None:
    assert missing_facts(source, target, target_language, source_language) == ()


@pytest.mark.parametrize(("source_language", "target_language", "source", "target", "missing"), OTHER)
def test_another_date_is_reported_as_the_source_has_it(
    source_language: str, target_language: str, source: str, target: str, missing: str
) -> None:
    assert missing_facts(source, target, target_language, source_language) == ((missing,) if missing else ())


def test_names_of_months_are_compared_only_between_languages_whose_months_are_known() -> None:
    assert missing_facts("We meet in June.", "Nos vemos.", "es") == ()
    assert missing_facts("We meet in June.", "Kesäkuussa tavataan.", "fi", "en") == ()


@pytest.mark.parametrize(
    ("source", "target", "language", "missing"),
    [
        ("It starts at 3 pm.", "Empieza a las 15:00.", "es", ()),
        ("Empieza a las 15:30.", "It starts at half past three.", "en", ()),
        ("It ends at 8:45.", "Termina a las nueve menos cuarto.", "es", ()),
        ("We close at 12:00.", "Cerramos a mediodía.", "es", ()),
        ("Il part à 15h30.", "It leaves at 3:30 p.m.", "en", ()),
        ("It starts at 3 pm.", "Empieza a las 4 de la tarde.", "es", ("3 pm",)),
        ("It starts at 9:20.", "Empieza a las 9.", "es", ("9:20",)),
    ],
)
def test_a_time_of_day_may_be_said_with_either_clock(
    source: str, target: str, language: str, missing: tuple[str, ...]
) -> None:
    assert missing_facts(source, target, language) == missing
