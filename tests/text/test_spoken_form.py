"""What is written short is spoken in words, and the words that a voice timed are found back in what is written."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parley.engines.ports import Word
from parley.text import number_words
from parley.text.spoken_form import SpokenForm, spoken_form

ENGLISH = {
    # numbers
    "I have 2 dogs and 11 cats.": "I have two dogs and eleven cats.",
    "1,234,567 people": "one million two hundred and thirty-four thousand five hundred and sixty-seven people",
    "3.14 and .5 and 1.50": "three point one four and zero point five and one point five zero",
    "-5 or +5": "minus five or plus five",
    "agent 007": "agent zero zero seven",
    "0": "zero",
    "account 1234567890123456": "account one two three four five six seven eight nine zero one two three four five six",
    "a 10-year plan": "a ten-year plan",
    "№ and No. 5, Nos. 6": "№ and number five, numbers six",
    "We're #1!": "We're number one!",
    # ordinals
    "the 1st, 2nd, 3rd and 21st": "the first, second, third and twenty-first",
    "her 100th day": "her one hundredth day",
    "the 1,000th visitor": "the one thousandth visitor",
    # years and decades
    "in 1984": "in nineteen eighty-four",
    "in 1905.": "in nineteen oh five.",
    "since 1900": "since nineteen hundred",
    "in 2000, 2006 and 2026": "in two thousand, two thousand six and twenty twenty-six",
    "the 1990s": "the nineteen nineties",
    "the '80s and 90s": "the eighties and nineties",
    "the 1900s": "the nineteen hundreds",
    "the 2000s": "the two thousands",
    "2019-2021": "twenty nineteen to twenty twenty-one",
    "1914–18": "nineteen fourteen to eighteen",
    "3000 people": "three thousand people",
    # dates
    "on 2026-11-28": "on November twenty-eighth, twenty twenty-six",
    "2026-11-28T15:30": "November twenty-eighth, twenty twenty-six, fifteen thirty",
    "by 3/5/2026": "by March fifth, twenty twenty-six",
    "by 12/25/99.": "by December twenty-fifth, nineteen ninety-nine.",
    "am 28.11.2026": "am November twenty-eighth, twenty twenty-six",
    "March 5, 2026": "March fifth, twenty twenty-six",
    "March 5th": "March fifth",
    "Nov. 28": "November twenty-eighth",
    "Dec 24-26": "December twenty-fourth to twenty-sixth",
    "5 March 2026": "the fifth of March, twenty twenty-six",
    "the 4th of July": "the fourth of July",
    "10–12 Nov": "the tenth to the twelfth of November",
    "the 3rd-5th": "the third to fifth",
    "in May 2026": "in May twenty twenty-six",
    "2026-13-45": "two zero two six, one three, four five",
    # times
    "at 3:45 pm": "at three forty-five p m",
    "at 3:05 PM.": "at three oh five p m.",
    "at 9 a.m. on Monday": "at nine a m on Monday",
    "At 9 a.m. He left.": "At nine a m. He left.",
    "9am": "nine a m",
    "at 15:30": "at fifteen thirty",
    "at 8:00": "at eight o'clock",
    "at 12:00 pm": "at twelve p m",
    "at 00:00": "at midnight",
    "10:30-11:30 am": "ten thirty to eleven thirty a m",
    "9-5 pm, 9am–5pm": "nine to five p m, nine a m to five p m",
    "8:00-9:00": "eight o'clock to nine o'clock",
    "1:02:03": "one oh two and three seconds",
    # money
    "$3.50": "three dollars and fifty cents",
    "$1": "one dollar",
    "$1,234.56": "one thousand two hundred and thirty-four dollars and fifty-six cents",
    "$0.99": "ninety-nine cents",
    "$5.01": "five dollars and one cent",
    "£1.2 million": "one point two million pounds",
    "$5k": "five thousand dollars",
    "$3.5bn": "three point five billion dollars",
    "€20 or 20 €": "twenty euros or twenty euros",
    "20 EUR": "twenty euros",
    "USD 100": "one hundred US dollars",
    "¥500": "five hundred yen",
    "50¢": "fifty cents",
    "£2.50": "two pounds and fifty pence",
    "-$5 or $-5": "minus five dollars or minus five dollars",
    "$10-20": "ten to twenty dollars",
    # percent, temperatures, units
    "50%": "fifty percent",
    "3.5 % more": "three point five percent more",
    "5-10% or 5%-10%": "five to ten percent or five to ten percent",
    "50-50": "fifty fifty",
    "20 °C": "twenty degrees Celsius",
    "-5°C": "minus five degrees Celsius",
    "72°F": "seventy-two degrees Fahrenheit",
    "1°": "one degree",
    "a 90° turn": "a ninety degrees turn",
    "5 km": "five kilometers",
    "1 km": "one kilometer",
    "10kg": "ten kilograms",
    "60 mph": "sixty miles per hour",
    "100 km/h": "one hundred kilometers per hour",
    "16 GB of RAM": "sixteen gigabytes of RAM",
    "3.5 GHz": "three point five gigahertz",
    "5-10 min": "five to ten minutes",
    "a 10-km run": "a ten kilometer run",
    "50 m²": "fifty square meters",
    "2 tbsp": "two tablespoons",
    "2 tsp. of salt": "two teaspoons of salt",
    "It weighs 5 lb. Good.": "It weighs five pounds. Good.",
    "5'11\" tall": "five foot eleven tall",
    "I am 5 in line": "I am five in line",
    # fractions
    "1/2": "one half",
    "3/4 cup": "three quarters cup",
    "2 1/2 cups": "two and a half cups",
    "2/3": "two thirds",
    "½ and 1½": "one half and one and a half",
    "24/7": "twenty-four seven",
    "17/23": "seventeen over twenty-three",
    # ranges
    "pages 10-20": "pages ten to twenty",
    "ages 3–5": "ages three to five",
    # phone numbers, versions, addresses
    "555-123-4567": "five five five, one two three, four five six seven",
    "555-1234": "five five five, one two three four",
    "(555) 123-4567": "five five five, one two three, four five six seven",
    "+1 (555) 123-4567": "plus one, five five five, one two three, four five six seven",
    "+44 20 7946 0958": "plus four four, two zero, seven nine four six, zero nine five eight",
    "Version 3.11.2": "Version three point eleven point two",
    "v1.2": "version one point two",
    "192.168.0.1": "one nine two dot one six eight dot zero dot one",
    "mail joe.smith@example.com.": "mail joe dot smith at example dot com.",
    "user_1@mail.org": "user underscore one at mail dot org",
    "https://www.example.com/docs/a?b=1": "example dot com slash docs slash a",
    "see example.com.": "see example dot com.",
    # names with digits
    "ISBN 978-3-16-148410-0": "ISBN nine seven eight, three, one six, one four eight four one zero, zero",
    "COVID-19": "COVID-nineteen",
    "C3PO and R2D2": "C three PO and R two D two",
    "an MP3, 4K, 5G": "an MP three, four K, five G",
    "H2O, H₂O": "H two O, H two O",
    "room B747": "room B seven four seven",
    # roman numerals, abbreviations, signs
    "Henry VIII and Chapter IV": "Henry the eighth and Chapter four",
    "World War I and Elizabeth II's, Part I.": "World War one and Elizabeth the second's, Part one.",
    "Louis XIV, Super Bowl XLIX, Charles X": "Louis the fourteenth, Super Bowl forty-nine, Charles the tenth",
    "the Part I liked, John C. Reilly, Type C, mix IV": "the Part I liked, John C. Reilly, Type C, mix IV",
    "Dr. Smith and Mrs. Jones": "Doctor Smith and Missus Jones",
    "St. Paul lives on Main St.": "Saint Paul lives on Main Street.",
    "Drive down Oak Dr. and see Dr. Lee.": "Drive down Oak Drive and see Doctor Lee.",
    "e.g. this, i.e. that, etc.": "for example this, that is that, et cetera.",
    "cats vs. dogs": "cats versus dogs",
    "R&D": "R and D",
    "x² + y³ = 10⁶": "x squared plus y cubed equals ten to the power of six",
    "3 x 4 = 12": "three times four equals twelve",
    "8 - 3": "eight minus three",
    "≈ 5, ≤ 6, ±2": "about five, less than or equal to six, plus or minus two",
    "w/o milk, w/ sugar": "without milk, with sugar",
    "and/or, I/O": "and or, I slash O",
    "5-3=2": "five minus three equals two",
    "1.5e-3 and 10⁻³": "one point five times ten to the power of minus three and ten to the power of minus three",
    "$5/hr": "five dollars per hour",
    "3:1, 16:9 and 24:61": "three to one, sixteen to nine and twenty-four to sixty-one",
    "...5 and 1..3": "...five and one..three",
    "call 911": "call nine one one",
    "C++, C# and F#": "C plus plus, C sharp and F sharp",
    "@joe": "at joe",
    "No numbers here.": "No numbers here.",
    "It's a well-known one.": "It's a well-known one.",
}  # fmt: skip

OTHERS = [
    ("es", "Tengo 21 años.", "Tengo veintiuno años."),
    ("es", "Cuesta 3,50 €", "Cuesta tres euros con cincuenta céntimos"),
    ("es", "el 1º y la 2ª", "el primero y la segunda"),
    ("es", "1.234 personas, 20 %", "mil doscientos treinta y cuatro personas, veinte por ciento"),
    ("fr", "Il est 15:30, le 1er mai 1984", "Il est quinze trente, le premier mai mille neuf cent quatre-vingt-quatre"),
    ("fr", "3,5 % de 20 000", "trois virgule cinq pour cent de vingt mille"),
    ("fr-CA", "20 €", "vingt euros"),
    ("de", "Das kostet 20,50 € für 3 Leute.", "Das kostet zwanzig Euro und fünfzig Cent für drei Leute."),
    ("de-AT", "-5 °C", "minus fünf Grad"),
    ("de", "am 28.11.2026", "am achtundzwanzigsten November zweitausendsechsundzwanzig"),
    ("de", "der 1. Mai, 3–5 Tage", "der erste Mai, drei bis fünf Tage"),
    ("de", "im Jahr 1984", "im Jahr neunzehnhundertvierundachtzig"),
    ("fr", "le 01/11/2026, 3-5 jours", "le premier novembre deux mille vingt-six, trois à cinq jours"),
    ("es", "el 28/11/2026, +34 912", "el veintiocho de noviembre de dos mil veintiséis, más tres cuatro, nueve uno dos"),
    ("it", "il 2026-11-28", "il ventotto novembre duemilaventisei"),
    ("pt", "em 1/12/2026", "em primeiro de dezembro de dois mil e vinte e seis"),
    ("nl", "28-11-2026", "achtentwintig november tweeduizendzesentwintig"),
    ("it", "Ho 21 anni", "Ho ventuno anni"),
    ("it", "la 3ª volta", "la terza volta"),
    ("pt", "Custa R$ 3, 1984", "Custa R$ três, mil novecentos e oitenta e quatro"),
    ("nl", "3,5 procent", "drie komma vijf procent"),
    ("pl", "21 osób", "dwadzieścia jeden osób"),
    ("ru", "21 год, 50%", "двадцать один год, пятьдесят процентов"),
    ("ja", "3時", "三時"),
    ("sv", "12 345,6", "tolvtusen trehundraförtiofem komma sex"),
    ("tr", "%", "%"),
    ("hi", "21", "21"),
    ("xx", "21 %", "21 %"),
]  # fmt: skip


@pytest.mark.parametrize("written", ENGLISH)
def test_english_is_spoken_in_words(written: str) -> None:
    assert spoken_form(written, "en").text == ENGLISH[written]
    assert spoken_form(written, "en-GB").text == ENGLISH[written]


@pytest.mark.parametrize(("language", "written", "spoken"), OTHERS)
def test_other_languages_have_numbers_ordinals_money_and_percentages(language: str, written: str, spoken: str) -> None:
    assert " ".join(spoken_form(written, language).text.split()) == spoken


def test_without_a_language_latin_letters_are_english() -> None:
    assert spoken_form("I have 2 dogs").text == "I have two dogs"
    assert spoken_form("у меня 2 собаки").text == "у меня 2 собаки"
    assert spoken_form("42").text == "42"


# --- the way back ---


def timed(text: str) -> list[Word]:
    """Each word of a spoken form lasts 100 ms."""
    return [Word(word, 100.0 * index, 100.0 * (index + 1)) for index, word in enumerate(text.split())]


def written(form: SpokenForm, count: int | None = None) -> list[tuple[str, float, float]]:
    return [(word.text, word.start_ms, word.end_ms) for word in form.written(timed(form.text)[:count])]


def test_a_written_word_ends_with_the_last_word_that_speaks_it() -> None:
    form = spoken_form("It costs $3.50 today.", "en")
    assert form.text == "It costs three dollars and fifty cents today."
    assert written(form) == [("It", 0, 100), ("costs", 100, 200), ("$3.50", 200, 700), ("today.", 700, 800)]
    assert written(form, 6) == [("It", 0, 100), ("costs", 100, 200)], "the amount is not over"
    assert written(form, 7)[-1] == ("$3.50", 200, 700)


def test_words_that_are_spoken_together_end_together() -> None:
    form = spoken_form("Run 5 km now", "en")
    assert written(form) == [("Run", 0, 100), ("5", 100, 300), ("km", 100, 300), ("now", 300, 400)]
    assert written(form, 2) == [("Run", 0, 100)]


def test_a_mark_without_sound_comes_with_the_word_before() -> None:
    form = spoken_form("one - two 3", "en")
    assert form.text == "one - two three"
    assert [text for text, _, _ in written(form)] == ["one", "-", "two", "3"]


def test_another_word_than_was_asked_for_ends_the_timing() -> None:
    form = spoken_form("Room 7 now", "en")
    assert form.written([Word("Room", 0, 1), Word("eight", 1, 2)])[-1].text == "Room"
    assert [word.text for word in form.written([Word("Room", 0, 1), Word("sevennow", 1, 2)])] == ["Room"]
    assert [word.text for word in form.written([Word("Ro", 0, 1), Word("om", 1, 2), Word("seven", 2, 3)])] == [
        "Room",
        "7",
    ]


# --- any text ---

PIECES = st.sampled_from(
    [*ENGLISH, *"0123456789", "12", "1999", ",", ".", "-", "–", "/", ":", "$", "€", "%", "°", "C", "km", " ", " ", "a", "pm", "Mar",
     "th", "s", "@", "x", "'", "²", "½", "①", "٣", "(", ")", "+", "#", "\n", "\0"]
)  # fmt: skip
ODD = st.one_of(st.text(max_size=80), st.lists(PIECES, max_size=25).map("".join))


def holds(text: str, language: str) -> None:
    form = spoken_form(text, language)
    if number_words.known(language):
        assert not any(character.isdecimal() for character in form.text), form.text
    words = [word for texts, _ in form.groups for word in texts]
    assert words == text.split(), "every written word, once, in order"
    back = form.written(timed(form.text))
    assert [word.text for word in back] == text.split()
    times: Sequence[float] = [word.end_ms for word in back]
    assert list(times) == sorted(times)


@settings(max_examples=400, deadline=None)
@given(ODD)
def test_any_text_in_english_is_spoken_without_digits_and_found_back(text: str) -> None:
    holds(text, "en")
    assert not any(character.isdigit() for character in spoken_form(text, "en").text)


@settings(max_examples=200, deadline=None)
@given(
    ODD,
    st.sampled_from(
        ["es", "fr", "de", "it", "pt", "pt-BR", "nl", "pl", "ru", "ja", "ko", "ar", "tr", "sv", "th", "uk", "hi", ""]
    ),
)
def test_any_text_in_any_language_is_spoken_and_found_back(text: str, language: str) -> None:
    holds(text, language)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10**20), st.sampled_from(["en", "es", "fr", "de", "it", "pt", "ru", "ja"]))
def test_any_number_has_words(number: int, language: str) -> None:
    assert not any(character.isdigit() for character in spoken_form(str(number), language).text)


@pytest.mark.slow
@pytest.mark.parametrize(
    "unit",
    [
        "1,",
        "1.",
        "1-",
        "1/",
        "1:",
        "1 ",
        "a.",
        "a@",
        "$1 ",
        "(1) ",
        "March 1 ",
        "1'",
        "+1 ",
        "http://a/",
        "1–1",
        "v1.",
        "x" * 8,
        " ",
        "7",
        "123,456,",
        "5%-",
        "Part X ",
    ],
)
@pytest.mark.parametrize("language", ["en", "de"])
def test_the_time_grows_with_the_length_and_no_faster(unit: str, language: str) -> None:
    """Processor time: linear rules take about four times as much for four times the text, a quadratic one sixteen times."""

    def cost(count: int) -> float:
        text = unit * count
        best = float("inf")
        for _ in range(3):
            began = time.process_time()
            spoken_form(text, language)
            best = min(best, time.process_time() - began)
        return best

    assert cost(2000) < 10 * cost(500) + 0.1
