"""Running texts: every word is on one line, once; lines end where a reader expects it, however the text came."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley.interpret.captions import KEEP, LONGEST, PAUSE_S, WORD_MAX_CHARS, RunningText
from parley.interpret.ports import CaptionLine

LONG = (
    "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness, it was the epoch of "
    "belief, it was the epoch of incredulity, it was the season of light, it was the season of darkness, it was the spring of hope"
)
CHINESE = "这是最好的时代，这是最坏的时代，这是智慧的年头，这是愚昧的年头，这是信仰的时期，这是怀疑的时期" * 4


def lines_of(*texts: str, longest: int = LONGEST, step_s: float = 0.1) -> list[str]:
    running = RunningText(longest=longest)
    for number, text in enumerate(texts):
        running.add(text, "", False, number * step_s)
    running.end()
    return [line.text for line in running.lines]


def test_sentences_are_lines_and_the_last_one_grows() -> None:
    running = RunningText()
    running.add("Good morning. How are", " you to", False, 1.0)
    running.add(" you", " today", False, 1.5)
    assert list(running.lines) == [
        CaptionLine("Good morning.", "", 1.0, 1.0),
        CaptionLine("How are you", " today", 1.0, 1.5),
    ]


def test_unstable_words_are_replaced_and_never_become_text_by_themselves() -> None:
    running = RunningText()
    running.add("", "good", False, 0.0)
    assert [(line.text, line.unstable) for line in running.lines] == [("", "good")]
    running.add("", " goodness me", False, 0.3)
    assert [(line.text, line.unstable) for line in running.lines] == [("", "goodness me")]
    running.add("", "", False, 0.6)
    assert list(running.lines) == []
    running.add("", "hm", False, 0.7)
    running.end()
    assert list(running.lines) == []


def test_a_line_ends_where_the_server_says_so_and_unstable_words_begin_the_next() -> None:
    running = RunningText()
    running.add("well then", " we", True, 2.0)
    running.add(" we shall see", "", False, 2.5)
    assert [(line.text, line.unstable, line.at_s) for line in running.lines] == [
        ("well then", "", 2.0),
        ("we shall see", "", 2.0),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "It costs 3.5 euros, says Dr. Smith.",
        "He came at 5 p.m. and left.",
        "See e.g. the first one.",
        "1,234.56 of J. R. Tolkien",
        "«¿Qué tal?», dijo",
    ],
)
def test_a_stop_inside_a_sentence_does_not_end_the_line(text: str) -> None:
    assert lines_of(text) == [text]
    assert lines_of(*text) == [text]


def test_a_closing_quotation_mark_stays_with_its_sentence() -> None:
    assert lines_of('He said "no." ', "Then he left.") == ['He said "no."', "Then he left."]
    assert lines_of("「もういい。」", "と彼は言った。") == ["「もういい。」", "と彼は言った。"]


def test_a_pause_begins_a_line() -> None:
    running = RunningText()
    running.add("and so", "", False, 0.0)
    running.add(" it", "", False, PAUSE_S)
    running.add(" goes on", "", False, 2 * PAUSE_S + 0.1)
    assert [line.text for line in running.lines] == ["and so it", "goes on"]
    assert [line.at_s for line in running.lines] == [0.0, 2 * PAUSE_S + 0.1]


def test_words_that_become_known_slowly_are_no_pause_and_no_pause_cuts_a_word() -> None:
    running = RunningText()
    running.add("and", "", False, 0.0)
    for second in range(1, 5):
        running.add("", " so" * second, False, 1.5 * second)
    running.add(" so", "", False, 7.0)
    running.add("me", "", False, 17.0)
    assert [line.text for line in running.lines] == ["and some"]


def test_a_long_sentence_is_cut_between_words() -> None:
    lines = lines_of(LONG)
    assert len(lines) == 2
    assert all(len(line) <= LONGEST for line in lines)
    assert len(lines[0]) > LONGEST - 12
    assert " ".join(lines) == LONG


def test_scripts_without_spaces_are_cut_and_no_line_begins_with_a_comma() -> None:
    lines = lines_of(CHINESE, longest=40)
    assert "".join(lines) == CHINESE
    assert all(len(line) <= 40 for line in lines)
    assert all(line[0] not in "，。、" for line in lines)
    assert lines_of("今日は晴れ。明日は雨でしょう。ありがとう") == ["今日は晴れ。", "明日は雨でしょう。", "ありがとう"]


def test_a_word_longer_than_a_line_is_left_whole_up_to_a_bound() -> None:
    word = "https://example.org/" + "x" * 300
    assert lines_of(f"see {word} there", longest=40) == ["see", word, "there"]
    endless = "y" * (3 * WORD_MAX_CHARS + 7)
    lines = lines_of(endless)
    assert "".join(lines) == endless
    assert max(map(len, lines)) == WORD_MAX_CHARS


def test_only_the_last_lines_are_kept_and_each_is_handed_over_once() -> None:
    settled: list[CaptionLine] = []
    running = RunningText(keep=3, settled=settled.append)
    for number in range(10):
        running.add(f" Line {number} it is.", "", True, float(number))
    assert [line.text for line in running.lines] == [f"Line {number} it is." for number in (7, 8, 9)]
    assert [line.text for line in settled] == [f"Line {number} it is." for number in range(10)]
    assert KEEP >= 100


def test_marks_go_to_the_line_that_holds_the_clause() -> None:
    running = RunningText()
    running.add("Yes. It costs 30", "", False, 0.0)
    assert running.mark("It costs 30", ("13",))
    running.add(" euros. Yes.", "", False, 1.0)
    running.add(" Yes. Bye", "", False, 2.0)
    assert running.mark(" Yes.", ())
    assert running.mark("Yes.", ("no",))
    assert not running.mark("never said", ("x",))
    assert not running.mark(" ", ("x",))
    assert [(line.text, line.marks) for line in running.lines] == [
        ("Yes.", ()),
        ("It costs 30 euros.", ("13",)),
        ("Yes.", ()),
        ("Yes.", ("no",)),
        ("Bye", ()),
    ]


def test_marks_of_a_clause_over_two_lines_go_to_the_one_where_it_ends_and_none_is_doubled() -> None:
    running = RunningText(longest=40)
    running.add(LONG, "", True, 0.0)
    assert running.mark("it was the worst of\n times, it was the age of wisdom,", ("a", "b"))
    assert running.mark("it was the worst of times, it was the age of wisdom,", ("b", "c"))
    (line,) = [line for line in running.lines if line.marks]
    assert "wisdom," in line.text
    assert line.marks == ("a", "b", "c")


def test_marks_are_found_after_lines_have_left() -> None:
    running = RunningText(keep=2)
    for number in range(20):
        running.add(" Yes.", "", True, float(number))
        assert running.mark("Yes.", (str(number),))
    assert [line.marks for line in running.lines] == [("18",), ("19",)]


def test_a_server_cannot_send_control_characters_to_a_terminal() -> None:
    running = RunningText()
    running.add("a\x1b[2Jb\r\nc\x00", "\x9bd\x07", False, 0.0)
    (line,) = running.lines
    assert (line.text, line.unstable) == ("a [2Jb c ", "d ")
    assert (line.text + line.unstable).isprintable()


def test_senseless_bounds_are_refused() -> None:
    with pytest.raises(ValueError, match="keep must be 1 or more"):
        RunningText(keep=0)
    with pytest.raises(ValueError, match="longest 2 or more"):
        RunningText(longest=1)


pieces = st.lists(
    st.tuples(
        st.text(
            st.sampled_from(
                [*"ab.,!? 3\n", "A", "日", "。", "、", "「", "」", "ー", "ñ", "ก", "ำ", "\u0301", '"', ")"]
            ),
            max_size=30,
        ),
        st.text("uv w", max_size=6),
        st.booleans(),
        st.floats(0.0, 4.0),
    ),
    max_size=25,
)


@given(pieces, st.integers(2, 60))
def test_nothing_is_lost_and_nothing_is_doubled(updates: list[tuple[str, str, bool, float]], longest: int) -> None:
    settled: list[CaptionLine] = []
    running = RunningText(keep=2, longest=longest, settled=settled.append)
    now_s, whole = 0.0, ""
    for text, unstable, ends, passed_s in updates:
        now_s += passed_s
        running.add(text, unstable, ends, now_s)
        whole += text
        shown = running.lines
        assert all(line.text.strip() and not line.unstable for line in shown[:-1])
        growing = shown[-1].text if shown and (len(shown) > 2 or shown[-1] not in settled) else ""
        assert "".join((*(line.text for line in settled), growing)).replace(" ", "") == "".join(whole.split())
        if shown:
            assert shown[-1].unstable.replace(" ", "") == unstable.replace(" ", "") or not unstable.strip()
    running.end()
    assert "".join(line.text for line in settled).replace(" ", "") == "".join(whole.split())
    assert all(line.text == line.text.strip() and line.text for line in settled)
    assert all(before.at_s <= before.until_s for before in settled)


@given(
    st.text(st.sampled_from([*"ab.,!? 35", "A", "B", "日", "。", "、", "」", "é", '"']), max_size=300),
    st.integers(0, 10**6),
)
def test_lines_do_not_depend_on_how_the_text_was_split(text: str, seed: int) -> None:
    cuts = random.Random(seed)
    pieces, rest = [], text
    while rest:
        at = cuts.randint(1, 9)
        pieces.append(rest[:at])
        rest = rest[at:]
    assert (
        lines_of(*pieces, longest=25, step_s=0.0)
        == lines_of(text, longest=25)
        == lines_of(*text, longest=25, step_s=0.0)
    )


@given(st.lists(st.text("abcñ", min_size=1, max_size=9), min_size=1, max_size=80), st.integers(0, 10**6))
def test_no_word_is_cut(words: list[str], seed: int) -> None:
    cuts = random.Random(seed)
    rest, pieces = " ".join(words), []
    while rest:
        at = cuts.randint(1, 12)
        pieces.append(rest[:at])
        rest = rest[at:]
    # Pauses in the middle of words, too.
    assert " ".join(lines_of(*pieces, longest=25, step_s=3.0)) == " ".join(words)
