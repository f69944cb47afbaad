"""Subtitles: lines and cues as a screen takes them, at the times of the words, no word lost, and nothing in a text that breaks the file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley.text.subtitle_lines import LINE_COLUMNS, LINES, columns
from parley.text.subtitles import MAX_S, READ_S, Cue, CueTrack, SubtitleText, cues, srt_cue, vtt_cue

LONG = "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness."
JAPANESE = "日本語の字幕は、一行に二十一文字まで入ります。そして、二行までです。"


@dataclass(frozen=True)
class Timed:
    text: str
    start_s: float
    end_s: float


def spoken(text: str, start_s: float = 0.0, word_s: float = 0.4, gap_s: float = 0.05) -> list[Timed]:
    """Its words one after the other, without their marks, as recognisers give them."""
    times = []
    for word in text.split():
        times.append(Timed(word.strip(",.?!"), start_s, start_s + word_s))
        start_s += word_s + gap_s
    return times


def tracked(segments: Sequence[tuple[float, float, Sequence[str], Sequence[Timed]]]) -> list[Cue]:
    track = CueTrack()
    shown = [cue for start, end, texts, words in segments for cue in track.add(cues(start, end, texts, words))]
    return [*shown, *track.finish()]


def said(shown: Sequence[Cue]) -> str:
    return " ".join(line for cue in shown for line in cue.lines)


def test_two_languages_stand_on_two_lines() -> None:
    (cue,) = cues(1.0, 2.5, ["Bom dia.", "Good morning."])
    assert srt_cue(3, cue) == "3\n00:00:01,000 --> 00:00:02,500\nBom dia.\nGood morning.\n\n"
    assert vtt_cue(cue) == "00:00:01.000 --> 00:00:02.500\nBom dia.\nGood morning.\n\n"


def test_long_sentences_in_two_languages_are_cut_side_by_side() -> None:
    texts = [
        "Bom dia, meu amigo, como vai a tua família hoje de manhã e de tarde?",
        "Good morning my friend, how is your family doing this morning and in the afternoon?",
    ]
    shown = list(cues(0.0, 9.0, texts))
    assert len(shown) == 2
    assert all(len(cue.lines) == 2 for cue in shown)
    assert [" ".join(cue.lines[row] for cue in shown) for row in (0, 1)] == texts


def test_a_cue_ends_where_a_sentence_or_a_clause_does_at_the_time_of_its_words() -> None:
    text = LONG + " We had everything before us."
    words = spoken(text, 10.0)
    shown = tracked([(9.0, 40.0, [text], words)])
    assert said(shown) == text
    assert [cue.lines[-1][-1] for cue in shown] == [",", ".", "."]
    starts = {word.start_s for word in words}
    assert shown[0].start_s == 10.0
    assert all(cue.start_s in starts for cue in shown)


def test_a_pause_between_words_ends_a_cue_where_there_is_no_mark() -> None:
    before = "so this is what we said when the meeting was over"
    after = "and then nobody had anything to add to it"
    words = [*spoken(before, 0.0, 0.25), *spoken(after, 4.6, 0.25)]
    shown = tracked([(0.0, 8.0, [f"{before} {after}"], words)])
    assert [" ".join(cue.lines) for cue in shown] == [before, after]
    assert words[9].end_s < shown[0].end_s < 4.6
    assert shown[1].start_s == 4.6


def test_words_that_the_text_spells_in_another_way_do_not_disturb_the_times_of_the_others() -> None:
    words = [Timed("he", 1.0, 1.2), Timed("paid", 1.3, 1.6), Timed("twenty", 1.7, 2.0), Timed("dollars", 2.1, 2.6)]
    shown = list(cues(0.0, 5.0, ["He paid $20."], words))
    assert [(cue.start_s, cue.lines) for cue in shown] == [(1.0, ("He paid $20.",))]


def test_a_long_sentence_without_times_becomes_cues_that_share_its_time() -> None:
    shown = list(cues(10.0, 20.0, [LONG]))
    assert len(shown) == 2
    assert shown[0].start_s == 10.0
    assert 14.0 < shown[1].start_s < 17.0
    assert shown[1].end_s == 20.0
    assert said(shown) == LONG


def test_a_few_words_in_a_long_silence_are_one_cue_of_seven_seconds() -> None:
    (cue,) = cues(0.0, 30.0, ["So, well."])
    assert (cue.start_s, cue.end_s, cue.lines) == (0.0, MAX_S, ("So, well.",))


def test_lines_are_balanced() -> None:
    (cue,) = cues(0.0, 6.0, ["we had nothing to eat but the bread that he had baked"])
    assert abs(len(cue.lines[0]) - len(cue.lines[1])) <= 6


def test_a_line_of_chinese_or_japanese_is_as_wide_as_one_of_latin_letters() -> None:
    shown = list(cues(0.0, 9.0, [JAPANESE * 3]))
    assert "".join(line for cue in shown for line in cue.lines) == JAPANESE * 3
    lines = [line for cue in shown for line in cue.lines]
    assert all(len(line) <= LINE_COLUMNS // 2 for line in lines)
    assert not [line for line in lines if line[0] in "、。"]


@pytest.mark.parametrize("text", ["ภาษาไทยไม่มีช่องว่างระหว่างคำและต้องตัดที่ตัวอักษรใดตัวหนึ่ง" * 3, "https://" + "x" * 150])
def test_a_text_without_spaces_is_cut_where_the_line_ends(text: str) -> None:
    shown = list(cues(0.0, 9.0, [text]))
    assert "".join(line for cue in shown for line in cue.lines) == text
    assert all(columns(line) <= LINE_COLUMNS for cue in shown for line in cue.lines)


def test_a_text_cannot_break_the_file() -> None:
    (cue,) = cues(0.0, 1.0, ["one\n\n2\n00:00:00,000 --> 00:00:09,000\n<b>&two"])
    written = srt_cue(1, cue)
    assert len(written.split("\n")) == 2 + len(cue.lines) + 2
    assert "\n\n" not in written.rstrip("\n")
    shown = vtt_cue(cue)
    assert "<b>" not in shown
    assert "-->" not in "".join(shown.splitlines()[1:])
    assert "&lt;b&gt;&amp;two" in shown


def test_nothing_said_is_no_cue() -> None:
    assert list(cues(0.0, 1.0, ["", "  \n"])) == []


def test_a_short_cue_stays_until_it_is_read_or_the_next_one_begins() -> None:
    yes, no = (0.0, 0.2, ["Yes."], ()), (5.0, 5.2, ["No."], ())
    first, second = tracked([yes, no])
    assert READ_S < first.end_s < 2.0
    assert READ_S < second.end_s - second.start_s < 2.0
    first, second = tracked([yes, (1.1, 1.5, ["No."], ())])
    assert (first.end_s, second.start_s) == (1.1, 1.1)
    first, second = tracked([yes, (0.3, 0.5, ["No."], ())])
    assert (first.end_s, second.start_s) == (READ_S, READ_S)


def test_a_file_is_written_as_its_cues_are_settled() -> None:
    for form, head, number in (("srt", "", "2\n"), ("vtt", "WEBVTT\n\n", "")):
        text = SubtitleText(form)  # type: ignore[arg-type]
        assert text.begin() == head
        assert text.add(cues(0.0, 2.0, ["one"])) == ""
        assert "one" in text.add(cues(3.0, 4.0, ["two"]))
        rest = text.finish()
        assert rest.startswith(f"{number}00:00:03")
        assert rest.endswith("two\n\n")
        assert text.finish() == ""


# --- whatever is said -------------------------------------------------------------------------------------------------

words = st.lists(st.text("abcdefg.,ñ日本 ็ึโ。「", min_size=1, max_size=50), max_size=60).map(" ".join)
places = st.floats(0, 60, allow_nan=False)


@st.composite
def segments(draw: st.DrawFn) -> tuple[float, float, list[str], list[Timed]]:
    """A segment whose words may be there, with times that may be wrong."""
    text, start, length = draw(words), draw(places), draw(st.floats(0, 40))
    if draw(st.booleans()):
        return start, start + length, [text, draw(words)], []
    heard = [word for word in text.split() if draw(st.integers(0, 9))]
    return start, start + length, [text], [Timed(word, draw(places), draw(places)) for word in heard]


def bare(texts: Sequence[str]) -> list[str]:
    return sorted(re.sub(r"\s", "", "".join(texts)))


@given(st.lists(segments(), max_size=4))
def test_no_cue_is_too_long_none_overlap_and_every_word_is_shown_once(
    given_segments: list[tuple[float, float, list[str], list[Timed]]],
) -> None:
    shown = tracked(given_segments)
    for cue in shown:
        assert 1 <= len(cue.lines) <= LINES
        assert all(line and columns(line) <= LINE_COLUMNS for line in cue.lines)
        assert READ_S - 1e-9 <= cue.end_s - cue.start_s <= MAX_S + 1e-9
    for before, after in pairwise(shown):
        assert before.end_s <= after.start_s
    assert bare([line for cue in shown for line in cue.lines]) == bare(
        [text for _, _, texts, _ in given_segments for text in texts]
    )


@given(st.lists(st.text("abcdefg.,ñ", min_size=1, max_size=LINE_COLUMNS), max_size=60).map(" ".join))
def test_words_that_are_spaced_stay_whole_and_in_order(text: str) -> None:
    assert said(list(cues(3.0, 17.0, [text]))).split() == text.split()


@given(words)
def test_cues_begin_in_order_within_the_segment(text: str) -> None:
    shown = list(cues(3.0, 17.0, [text]))
    assert all(3.0 <= cue.start_s <= 17.0 for cue in shown)
    assert all(before.start_s <= after.start_s for before, after in pairwise(shown))
