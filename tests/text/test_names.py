"""A name that a translation loses or changes is reported; one that is spelt, inflected or called otherwise there is not."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley.text.faithful import missing_facts

THERE = [
    ("en", "es", "I met Maria Lopez in London.", "Conocí a María López en Londres."),
    ("en", "de", "We fly to Munich with Peter.", "Wir fliegen mit Peter nach München."),
    ("es", "en", "Quiero ir a los Países Bajos.", "I want to go to the Netherlands."),
    ("en", "es", "My brother John lives in Germany.", "Mi hermano Juan vive en Alemania."),
    ("en", "fi", "I saw it in Helsinki with Anna.", "Näin sen Helsingissä Annan kanssa."),
    ("en", "pt", "He speaks English and Spanish.", "Ele fala inglês e espanhol."),
    ("en", "es", "I gave it to Dr. Smith and Mrs. Okonkwo.", "Se lo di al doctor Smith y a la señora Okonkwo."),
    ("en", "es", "We saw the White House in Washington.", "Vimos la Casa Blanca en Washington."),
    ("en", "pt", "The Red Cross is in Haiti.", "A Cruz Vermelha está no Haiti."),
    ("es", "en", "Nació en la Segunda Guerra Mundial.", "He was born in World War II."),
    ("en", "es", "The Ministry of Health is on Main Street.", "El Ministerio de Sanidad está en la calle Principal."),
    ("en", "es", "Then God said it to Moses.", "Entonces Dios se lo dijo a Moisés."),
    ("en", "es", "I think I'm late, said he.", "Creo que llego tarde, dijo."),
    ("en", "es", "Yesterday it rained. Tomorrow it snows.", "Ayer llovió. Mañana nieva."),
    ("en", "es", "We joined NATO in 1999.", "Entramos en la OTAN en 1999."),
    ("en", "es", "SHOES AND BAGS ON SALE", "ZAPATOS Y BOLSOS EN OFERTA"),
    ("en", "es", "How To Bake Good Bread At Home", "Cómo hacer buen pan en casa"),
    ("de", "en", "Der Hund von Frau Meier frisst das Brot.", "The dog eats the bread."),
    ("en", "ru", "I met Maria in London.", "Я встретил Марию в Лондоне."),
    ("en", "ja", "I met Maria in London.", "ロンドンでマリアに会いました。"),
    ("fr", "en", "Je vais à l'Élysée avec d'Artagnan.", "I am going to the Élysée with d'Artagnan."),
    ("", "es", "I met Maria in London.", "Me vi con ella."),
]

LACKING = [
    ("en", "es", "I met Maria in London.", "La conocí en Londres.", ("Maria",)),
    ("en", "es", "I met Maria in London.", "Conocí a Carla en Londres.", ("Maria",)),
    ("en", "es", "I met Maria in London.", "Conocí a María en París.", ("London",)),
    ("en", "es", "The winner is Rodriguez from Argentina.", "El ganador es Wagner de Argentina.", ("Rodriguez",)),
    ("en", "pt", "The company was founded by Henry Ford.", "A empresa foi fundada por Henry Wagner.", ("Ford",)),
    ("en", "es", "I gave it to Mr. Okonkwo.", "Se lo di al Sr. Wagner.", ("Okonkwo",)),
    ("en", "es", "She moved to Prague with Jan.", "Se mudó a Praga con Ene.", ("Jan",)),
    ("es", "en", "Le mandé a Steina una carta.", "I sent him a letter.", ("Steina",)),
    ("en", "es", "London is large.", "París es grande.", ("London",)),
    ("en", "de", "My brother John lives here.", "Mein Bruder Peter wohnt hier.", ("John",)),
    ("en", "es", "On 3 May Anna pays 20 euros.", "El 4 de mayo Eva paga 30 euros.", ("3 May", "Anna", "20")),
]


@pytest.mark.parametrize(("source_language", "target_language", "source", "target"), THERE)
def test_a_name_in_another_form_is_no_difference(
    source_language: str, target_language: str, source: str, target: str
) -> None:
    assert missing_facts(source, target, target_language, source_language) == ()


@pytest.mark.parametrize(("source_language", "target_language", "source", "target", "missing"), LACKING)
def test_a_name_that_is_lost_or_changed_is_reported(
    source_language: str, target_language: str, source: str, target: str, missing: tuple[str, ...]
) -> None:
    assert missing_facts(source, target, target_language, source_language) == missing


@given(
    st.text("aeMNz é.,'-1/3h: ", max_size=120),
    st.text("aeMNz é.,'-1/3h: ", max_size=120),
    st.sampled_from(["en", "es", "fr", "de", ""]),
)
def test_any_text_is_judged_and_a_text_lacks_nothing_of_itself(source: str, target: str, language: str) -> None:
    missing = missing_facts(source, target, "es", language)
    assert all(fact.strip() for fact in missing)
    assert missing_facts(source, source, language or "es", language) == ()


def test_the_longest_texts_that_are_compared_take_less_than_a_fifth_of_a_second_each() -> None:
    texts = ("1" * 4000, "1/" * 2000, "March " * 660, "a Paris " * 500, "3 pm " * 800, "a-" * 2000, "Xx a " * 100)
    began = time.process_time()
    for text in texts:
        missing_facts(text, "hola " * 90, "es", "en")
    assert time.process_time() - began < 0.2 * len(texts)
