"""Text of others in a terminal's cells: whatever it is, no line is wider than asked for, and nothing passes that a terminal obeys."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.text import Text

from parley.interpret.ports import CallNote, CaptionLine, RouteWishes
from parley.interpret.screen.frame import ASKING_KEYS, alarm, help_lines, notes
from parley.interpret.screen.panel import CAPTION_CHARS, CAPTION_STEP, captions, direction_lines
from parley.talk.tui.cells import MAX_CHARS, MAX_MARKS, ends, fitted, harmless, steady, wrapped
from parley.talk.tui.drawing import ASCII, Glyphs
from parley.talk.tui.keys import key_line
from tests.interpret.scripted_call import MEASURED, ScriptedDirection

DRAWN = [Glyphs(), ASCII]
TEXTS = st.text(max_size=200) | st.text(
    alphabet="ab \u3042\u6f22\u05d0\u0627\u0301\u200d\x1b[]m;0\x07\n、。", max_size=80
)


@given(TEXTS)
@settings(max_examples=300, deadline=None)
def test_nothing_that_a_terminal_obeys_passes(text: str) -> None:
    for glyphs in DRAWN:
        shown = harmless(text, glyphs)
        assert not any(unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") for letter in shown)
        assert not any(letter in "\u202a\u202b\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f" for letter in shown)
        if glyphs is ASCII:
            assert shown.isascii()
        shown.encode()


@given(TEXTS, st.integers(0, 40))
@example(" 00、", 3)
@settings(max_examples=300, deadline=None)
def test_no_line_is_wider_than_asked_for_and_no_letter_is_lost(text: str, width: int) -> None:
    for glyphs in DRAWN:
        shown = harmless(text, glyphs)
        assert cell_len(fitted(shown, width, glyphs)) <= width
        lines = wrapped(Text(shown), width)
        if width >= 2:
            assert all(line.cell_len <= width for line in lines)
            assert "".join("".join(line.plain for line in lines).split()) == "".join(shown.split())
        if width >= 1:
            assert ends(Text(shown), Text(shown[:5]), width, glyphs).cell_len <= width


@given(TEXTS, TEXTS, st.integers(1, 70), st.integers(1, 40))
@settings(max_examples=150, deadline=None)
def test_a_direction_fills_its_room_and_no_more(text: str, other: str, width: int, height: int) -> None:
    line = CaptionLine(text, other, 0.0, 0.0, (other,))
    shown = ScriptedDirection("forward", RouteWishes(text, other, text), source=[line] * 3, target=[line] * 3)
    shown.figures, shown.devices = MEASURED, (text, other)
    for glyphs in DRAWN:
        lines = direction_lines(shown, width, height, glyphs)
        assert len(lines) == height
        assert all(line.cell_len <= width for line in lines)
        assert not any("\n" in line.plain for line in lines)


@given(TEXTS, st.integers(1, 90), st.integers(0, 6))
@settings(max_examples=150, deadline=None)
def test_what_stands_around_the_directions_fits_any_width(text: str, width: int, rows: int) -> None:
    written = [CallNote(number, "warning", text * (1 + number), 0.0, "forward") for number in range(4)]
    for glyphs in DRAWN:
        shown = notes(written, 0.0, width, rows, glyphs)
        assert len(shown) <= rows
        lines = [*shown, *help_lines(width, glyphs), alarm(width, glyphs), key_line(ASKING_KEYS, width, glyphs)]
        assert all(line.cell_len <= width for line in lines)


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("one two three", 7, ["one two", "three"]),
        ("one  two", 3, ["one", "two"]),
        ("unbreakable", 4, ["unbr", "eaka", "ble"]),
        ("今日は。明日も", 6, ["今日", "は。明", "日も"]),
        ("ab漢字cd", 4, ["ab漢", "字cd"]),
        ("cafe\u0301 au lait", 4, ["café", "au", "lait"]),
        ("   ", 5, []),
    ],
)
def test_lines_break_between_words_and_between_wide_letters_but_not_before_their_full_stop(
    text: str, width: int, lines: list[str]
) -> None:
    assert [line.plain for line in wrapped(Text(harmless(text, Glyphs())), width)] == lines


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bPq#0\x1b\\sixel", "sixel"),
        ("\x1b]never ended", "never ended"),
        ("\x9b2Jc1", "c1"),
        ("a\tb\r\nc", "a b c"),
        ("e" + "\u0301" * 9, "é" + "\u0301" * MAX_MARKS),
        ("\u202eabc\u202c", "abc"),
        ("\ud83d\ude00", "😀"),
        ("\ud83d", "\ufffd"),
    ],
)
def test_sequences_go_whole_and_words_stay(text: str, shown: str) -> None:
    assert " ".join(harmless(text, Glyphs()).split()) == shown


def test_what_is_far_too_long_is_cut_and_says_so() -> None:
    shown = harmless("word " * MAX_CHARS, Glyphs())
    assert len(shown) == MAX_CHARS + 1
    assert shown.endswith("…")


def test_short_marks_stay_on_one_line_and_long_ones_break() -> None:
    short = CaptionLine("We are people.", "", 0.0, 0.0, ("25",))
    assert [line.plain for line in captions([short], 20, 9, Glyphs())] == ["We are people.", "(! check: 25)"]
    long = CaptionLine("We are.", "", 0.0, 0.0, ("twenty-five", "Ana María", "3 May"))
    assert [line.plain for line in captions([long], 20, 9, Glyphs())] == [
        "We are. (! check:",
        "twenty-five, Ana",
        "María, 3 May)",
    ]


def test_a_right_to_left_line_cannot_reorder_what_stands_beside_it() -> None:
    assert steady(Text("שלום")).plain == "\u200eשלום\u200e"
    assert steady(Text("hello 25")).plain == "hello 25"
    assert steady(Text("שלום")).cell_len == 4


def test_the_words_of_a_very_long_line_do_not_wander_while_it_grows() -> None:
    words = [f"w{number:05}" for number in range(2000)]
    begins = set()
    for count in range(1000, 1000 + CAPTION_STEP // 14):
        (*_, last) = captions([CaptionLine(" ".join(words[:count]), "", 0.0, 0.0)], 40, 5, Glyphs())
        assert last.plain.endswith(words[count - 1])
        begins.add(captions([CaptionLine(" ".join(words[:count]), "", 0.0, 0.0)], 40, 999, Glyphs())[0].plain)
    assert len(begins) <= 2
    assert len(" ".join(words[:1000])) > CAPTION_CHARS
