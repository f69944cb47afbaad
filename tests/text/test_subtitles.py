"""Subtitles: no cue longer than a screen takes, no word lost, and nothing in a text that breaks the file."""

from __future__ import annotations

import re
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from parley.text.subtitles import CUE_CHARS, Cue, cues, srt_cue, vtt_cue

LONG = "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness."
words = st.lists(st.text("abcdefg.,ñ日本", min_size=1, max_size=12), max_size=60).map(" ".join)


def test_two_languages_stand_on_two_lines() -> None:
    (cue,) = cues(1.0, 2.5, ["Bom dia.", "Good morning."])
    assert srt_cue(3, cue) == "3\n00:00:01,000 --> 00:00:02,500\nBom dia.\nGood morning.\n\n"
    assert vtt_cue(cue) == "00:00:01.000 --> 00:00:02.500\nBom dia.\nGood morning.\n\n"


def test_a_long_sentence_becomes_cues_that_share_its_time() -> None:
    shown = list(cues(10.0, 20.0, [LONG]))
    assert len(shown) == 2
    assert shown[0].start_s == 10.0
    assert shown[0].end_s == shown[1].start_s
    assert shown[1].end_s == 20.0
    assert " ".join(cue.texts[0] for cue in shown) == LONG


def test_a_text_cannot_break_the_file() -> None:
    (cue,) = cues(0.0, 1.0, ["one\n\n2\n00:00:00,000 --> 00:00:09,000\n<b>&two"])
    assert srt_cue(1, cue).count("\n") == 4
    assert "<b>" not in vtt_cue(cue)
    assert "-->" not in vtt_cue(cue).splitlines()[1]
    assert "&lt;b&gt;&amp;two" in vtt_cue(cue)


def test_nothing_said_is_no_cue() -> None:
    assert list(cues(0.0, 1.0, ["", "  \n"])) == []


def test_a_text_without_spaces_is_cut_anywhere() -> None:
    text = "日本語" * 60
    shown = list(cues(0.0, 9.0, [text]))
    assert len(shown) >= 3
    assert "".join(cue.texts[0] for cue in shown) == text


@given(words, words)
def test_no_cue_is_too_long_and_every_word_is_shown_once(first: str, second: str) -> None:
    shown: list[Cue] = list(cues(3.0, 7.0, [first, second]))
    for cue in shown:
        assert all(0 < len(text) <= CUE_CHARS for text in cue.texts)
        assert 1 <= len(cue.texts) <= 2
    if shown:
        assert shown[0].start_s == 3.0
        assert abs(shown[-1].end_s - 7.0) < 1e-6
    for before, after in pairwise(shown):
        assert before.end_s == after.start_s
    written = re.sub(r"\s", "", "".join(text for cue in shown for text in cue.texts))
    assert sorted(written) == sorted(re.sub(r"\s", "", first + second))
