"""A reply is cut where a speaker would pause, early at its beginning, and not a character of it is lost."""

from __future__ import annotations

import html
import re
import time
import unicodedata
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parley.text.clauses import CLAUSE_MAX_CHARS, OPENING_MAX_CHARS, WORD_MAX_CHARS, Clause, ClauseCutter
from parley.text.speakable import has_sound


def cut(text: str, language: str = "") -> list[Clause]:
    cutter = ClauseCutter(language)
    return cutter.push(text) + cutter.finish()


def texts(text: str, language: str = "") -> list[str]:
    return [clause.text.strip() for clause in cut(text, language)]


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        ("", ["Sure!", "Here is the plan, step by step.", "First of all, buy milk."]),
        ("", ["I looked it up,", "and it says that the museum opens at ten."]),
        ("", ["Dr. Smith and Mrs. Jones met at 3.30 p.m. on Monday.", "They talked about version 2.1.0 of it."]),
        ("", ["It costs 3.50 or 1,234.56 dollars.", "That is e.g. a lunch."]),
        ("", ["Visit https://www.example.com/a.b?c=d.e today.", "Or write to bob.b@example.org instead."]),
        ("", ["Well, I think...", "Let me see what there is."]),
        ("", ["We sell apples,", "pears, etc. and more.", "Come at ten."]),
        ("", ["We sell apples,", "pears, plums, etc.", "Come at ten."]),
        ("", ["No. 5 is alive.", "No. It is not so."]),
        ("", ["He lives in the U.S. now.", "J. R. Tolkien did not live there."]),
        ("", ["So they met.", '"Is it really you?" she asked.', '(Yes, it is me.)', "And so they met again."]),
        ("", ["Yahoo! is a company.", "So is Google."]),
        ("", ["Buy these things:", "1. Milk and honey", "2. Bread", "- Butter, too", "* **Salt.** It is cheap."]),
        ("", ["你好，世界。", "今天天气很好，我们去公园吧！", "他说：「是的，我们走吧。」", "然后他们就都走了。"]),
        ("", ["今日は元気ですか？", "はい、とても元気です。ありがとう。"]),
        ("", ["नमस्ते दुनिया।", "आप कैसे हैं आज?", "मैं ठीक हूँ।"]),
        ("", ["كيف حالك اليوم؟", "أنا بخير شكرا لك."]),
        ("de", ["Am 3. Mai war es schön.", "Am 14. Juni z.B. auch ganz gut."]),
        ("es", ["¿Cómo estás hoy?", "¡Muy bien, gracias a todos!", "Adiós a todos."]),
        (
            "",
            [
                "so this is all small letters.",
                "no capitals here. it goes on and on and on and on, for quite some time, and then some more.",
                "so there.",
            ],
        ),
    ],
)  # fmt: skip
def test_a_reply_is_cut_where_a_speaker_would_pause(language: str, expected: list[str]) -> None:
    glue = "" if "。" in expected[0] or "？" in expected[0] else "\n" if expected[0].endswith(":") else " "
    assert texts(glue.join(expected), language) == expected


def test_the_first_clause_is_spoken_while_the_sentence_is_still_being_written() -> None:
    cutter = ClauseCutter()
    assert cutter.push("As far as I know,") == []
    assert cutter.push(" t") == [Clause("As far as I know, ", "As far as I know,")]
    assert cutter.push("he opening hours are long, and the sea is near, ") == []
    assert cutter.push("so go.") == []
    assert [clause.spoken for clause in cutter.push(" D")] == [
        "the opening hours are long, and the sea is near, so go."
    ]


def test_text_without_punctuation_is_spoken_too() -> None:
    clauses = cut("word " * 400)
    assert len(clauses[0].text) <= OPENING_MAX_CHARS
    assert all(len(clause.text) <= CLAUSE_MAX_CHARS for clause in clauses)
    assert all(clause.text.endswith("word ") for clause in clauses)
    assert max(len(clause.text) for clause in cut("天" * 5000)) <= CLAUSE_MAX_CHARS
    assert max(len(clause.text) for clause in cut("x" * 5000)) <= WORD_MAX_CHARS


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("## The heading\n", "The heading"),
        ("- **Bold**, *italic*, __both__ and ~~gone~~", "Bold, italic, both and gone"),
        ("> a quote", "a quote"),
        ("Read [the docs](https://x.y/z?a=b) and ![a cat](cat.png).", "Read the docs and a cat."),
        ("See https://www.example.com/a/b?c=d#e.", "See example.com."),
        ("See <http://user@host.example:8080/x> now", "See host.example now"),
        ("Great 🎉👍🏽 news 👨‍👩‍👧!", "Great news!"),
        ("It's 20 °C, 5 % more © you", "It's 20 °C, 5 % more © you"),
        ("Use `pip install x` or snake_case and 2 * 3", "Use pip install x or snake_case and 2 * 3"),
        ("| Name | Age |", "Name, Age"),
        ("|---|:--:|\n", ""),
        ("---\n", ""),
        ("🙂", ""),
        ("...", ""),
        ("a   b\t c", "a b c"),
        ("A → B", "A, B"),
        ("line<br>break <b>bold</b>", "line break bold"),
        ("if a < b and c > d", "if a < b and c > d"),
        ("As shown before [1], it holds.[^2]", "As shown before, it holds."),
        ("key: " + "a1B2" * 30 + " end", "key: a1B2a1B2a1B2a1B2a1B2 end"),
        ("N" + "o" * 100 + "!", "Nooooooooooooooooooo"),
        ("1,2;3|" + ",".join(map(str, range(4, 41))), "1, 2; 3, " + ", ".join(map(str, range(4, 41)))),
        ("1,2,3 or 37,38,39,40", "1, 2, 3 or 37, 38, 39, 40"),
        ("1,234,567 or 3,14 or 1,2.", "1,234,567 or 3,14 or 1,2."),
        ("It is 3." + "1415926535" * 12 + ".", "It is 3." + "1415926535" * 12 + "."),
        (".".join(map(str, range(50))), ". ".join(map(str, range(50)))),
        ("Tom &amp; Jerry &#39;n&#x27; Co&nbsp;&lt;3", "Tom & Jerry 'n' Co <3"),
        ("R&D; AT&T and &nosuch;", "R&D; AT&T and &nosuch;"),
        ("It is $x^2 + y^3 = z_1$.", "It is x² + y³ = z 1."),
        (r"$$\frac{-b\pm\sqrt{b^2-4ac}}{2a}$$", "-b ± √ b²-4ac / 2a"),
        (r"So \(E = mc^{2}\), or \[\alpha \leq 90^\circ\]", "So E = mc², or α ≤ 90°"),
        (r"About \frac{1}{2} \text{kg} of C:\temp for \$5", r"About 1 / 2 {kg} of C:\temp for $5"),
        ("It costs $5 to $6, or $7.", "It costs $5 to $6, or $7."),
        ("![](cat.png)", "cat.png"),
        ("[](https://www.example.com/x)", "example.com"),
        ("[1]", "1"),
        ("٣ and ❷", "3 and 2"),
        ("٣٤ or ፲ or ①②, ⑳nd", "34 or 10 or 1 2, 20 nd"),
        ("⅕ of 1⅞ and ⅒", "1/5 of 1 7/8 and 1/10"),
        ("½ of 3½, ¾ of x² and H₂O", "½ of 3½, ¾ of x² and H₂O"),
        ("¹² See there", "12 See there"),
        ("⅝", "5/8"),
        ("![](⅜)", "3/8"),
        ("€", "€"),
        ("<br></p>&nbsp;", ""),
        ("Mail bob@example.org", "Mail bob@example.org"),
        ("- [x] done", "done"),
        ("First, ", "First,"),
    ],
)
def test_the_spoken_form_has_no_markup(text: str, spoken: str) -> None:
    cutter = ClauseCutter()
    clauses = cutter.push(text) + cutter.finish()
    assert " ".join(clause.spoken for clause in clauses if clause.spoken) == spoken


def test_three_quarters_are_two_numbers_in_a_language_that_has_no_name_for_them() -> None:
    assert [cut("1¾ l", language)[0].spoken for language in ("", "de-AT", "es", "zh")] == [
        "1¾ l",
        "1¾ l",
        "1 3/4 l",
        "1 3/4 l",
    ]


def test_code_is_spoken_line_by_line_as_it_is_shown() -> None:
    text = "Here it is:\n```python\nprint('Hello, world. Yes?')\nx = [1, 2]\n```\nThat is all.\n"
    clauses = cut(text)
    assert "".join(clause.text for clause in clauses) == text
    spoken = [clause.spoken for clause in clauses if clause.spoken]
    assert spoken == ["Here it is:", "python", "print('Hello, world. Yes?')", "x = [1, 2]", "That is all."]


LISTED = ",".join(map(str, range(1, 400)))


@pytest.mark.parametrize("text", [LISTED, LISTED.replace(",", "/"), LISTED.replace(",", "|"), "Sure: " + LISTED])
def test_a_list_without_spaces_is_cut_at_its_commas_and_begins_early(text: str) -> None:
    clauses = cut(text)
    assert "".join(clause.text for clause in clauses) == text
    assert len(clauses[0].text) <= OPENING_MAX_CHARS
    assert all(len(clause.text) <= CLAUSE_MAX_CHARS for clause in clauses)
    assert all(clause.text[-1] in ",/| " for clause in clauses[:-1])


def test_a_long_address_is_not_cut_at_its_slashes() -> None:
    address = "https://www.example.com/" + "a/b,c&d" * 60
    assert [clause.spoken for clause in cut(f"Look at {address} now.")] == ["Look at example.com", "now."]


THAI = "สวัสดีครับเราจะไปกันทำงาน"


@pytest.mark.parametrize("text", [THAI * 40, "မြန်မာစာ" * 60, "天気が" * 200])
def test_scripts_without_spaces_are_cut_between_letters_and_never_inside_one(text: str) -> None:
    clauses = cut(text)
    assert "".join(clause.text for clause in clauses) == text
    assert all(len(clause.text) <= CLAUSE_MAX_CHARS + 4 for clause in clauses)
    for before, after in pairwise(clause.text for clause in clauses):
        assert unicodedata.category(after[0])[0] != "M"
        assert after[0] not in "ะำ"
        assert before[-1] not in "เไ"


@given(text=st.text(max_size=300) | st.text(alphabet=list("1,.|/&;$\\{}^_[]()!<>a b٣🙂#*`~=-+:"), max_size=300))
def test_only_marks_have_no_spoken_form(text: str) -> None:
    """What is left of a clause without a spoken form, once tags and entities are gone, has no letter and no digit."""
    for clause in cut(text):
        if not clause.spoken:
            assert not has_sound(html.unescape(re.sub(r"</?[A-Za-z][^<>\n]*>", "", clause.text)))


def test_a_link_is_never_torn() -> None:
    text = "Look at [this, that, and more of it](https://example.com/a,b) and then go home, please. Thanks a lot."
    assert next(clause.spoken for clause in cut(text)) == "Look at this, that, and more of it and then go home,"


def test_a_lone_bracket_does_not_hold_the_reply_back() -> None:
    assert len(cut("An array [0, 1 and so on. " + "This is another sentence. " * 10)) > 6


def test_the_cutter_goes_on_after_a_tool_call() -> None:
    cutter = ClauseCutter()
    assert [c.text for c in cutter.push("Let me look") + cutter.finish()] == ["Let me look"]
    assert cutter.finish() == []
    assert [c.text for c in cutter.push("It is sunny. Go") + cutter.finish()] == ["It is sunny. ", "Go"]


TRICKY = st.text(
    alphabet=st.sampled_from(list("ab AB.,!?;:\n*_`[]()#-|>\"'0123…。，「」天あनहै।؟🙂 http://x.y&é")), max_size=400
) | st.text(max_size=300)
PIECES = st.lists(
    st.sampled_from(
        ["Hello", " ", ". ", ", ", "\n", "```", "```\n", "Dr", "3.5", "e.g.", "**",
          "[a", "](http://b.c)", "天気", "。", "!", '"', "x" * 90]
    ),
    max_size=120,
).map("".join)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(text=TRICKY | PIECES, data=st.data())
def test_the_clauses_join_to_the_text_however_it_was_split(text: str, data: st.DataObject) -> None:
    whole = cut(text)
    assert "".join(clause.text for clause in whole) == text
    assert all(clause.text for clause in whole)
    assert all(len(clause.text) <= WORD_MAX_CHARS for clause in whole)
    cutter = ClauseCutter()
    split: list[Clause] = []
    start = 0
    while start < len(text):
        end = start + data.draw(st.integers(1, 30))
        split += cutter.push(text[start:end])
        start = end
    assert split + cutter.finish() == whole


@pytest.mark.slow
@pytest.mark.parametrize(
    "unit",
    [
        "\n",
        " ",
        "a",
        "a ",
        ". ",
        "A. b, ",
        "[",
        "天",
        "```\n",
        "(",
        "*",
        "<a",
        "http://",
        "| ",
        ".",
        "1,",
        "&amp;",
        "\\frac{a}{b}",
        "$x_1$",
        "\\(",
        "$$",
        "http://a.b/c,",
        "[x](",
    ],
)
def test_the_work_grows_with_the_text_and_not_with_its_square(unit: str) -> None:
    def cpu_s(length: int) -> float:
        text = (unit * length)[:length]
        began = time.process_time()
        assert "".join(clause.text for clause in cut(text)) == text
        return time.process_time() - began

    # 16 times the text is 16 times the work, 256 times where the work is its square; other processes blur both.
    short_s = max(min(cpu_s(5_000) for _ in range(3)), 0.002)
    assert any(cpu_s(80_000) < 100 * short_s for _ in range(3))
