"""What CSM's engine decides without its model: texts, ends, what is kept of a conversation, options."""

from __future__ import annotations

import numpy as np
import pytest

from parley.engines.ports import SpokenTurn
from parley.engines.tts.csm import settings
from parley.engines.tts.csm.context_plan import Laid, common, first_kept, heard_frames
from parley.engines.tts.csm.endings import EndRule
from parley.engines.tts.csm.engine import create
from parley.engines.tts.csm.known_turn import KnownTurn
from parley.engines.tts.csm.settings import ClipSetting
from parley.engines.tts.csm.spoken_text import MAX_PIECE_CHARS, first_words, longest_frames, pieces_of, plain_text

FPS = 12.5
LOUD = np.full(1920, 0.1, np.float32)
QUIET = np.zeros(1920, np.float32)


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("Hello", "Hello."),
        ("Hello,", "Hello,"),
        ("Well — that is it…", "Well, that is it."),
        ("He said: “Go!” (loudly)", "He said, Go! loudly."),
        ("What?! No...", "What? No."),
        ("one; two; three", "one, two, three."),
        ("it's the dogs' bowl", "it's the dogs bowl."),
        ("Pi is 3.5, at 10:30", "Pi is 3.5, at 10 30."),
        ("THIS IS AMAZING, says NASA", "THIS IS amazing, says NASA."),
        ("well-known - and good", "well-known, and good."),
        ("- a point", "a point."),
        ("a\x00b\x1b[0m \ud800 c", "a b 0m c."),
        ("*bold* _x_ <b>", "bold x b."),
        ("...!? —", ""),
        ("", ""),
        ("\U0001f642", ""),
        ("你好", "你好."),
    ],
)
def test_a_text_is_given_with_the_marks_that_the_model_reads(written: str, plain: str) -> None:
    assert plain_text(written) == plain
    assert plain_text(plain) == plain


def test_a_long_text_is_cut_after_sentences_then_commas_then_words() -> None:
    sentence = "The quick brown fox jumps over the lazy dog."
    text = " ".join([sentence] * 20)
    pieces = pieces_of(text)
    assert " ".join(pieces) == text
    assert all(len(piece) <= MAX_PIECE_CHARS and piece.endswith(".") for piece in pieces)
    assert len(pieces) < 20, "short sentences are said together"
    long = ", ".join(["some words that go on"] * 30)
    assert " ".join(pieces_of(long)) == long
    assert all(piece.endswith(",") for piece in pieces_of(long)[:-1])
    assert "".join(pieces_of("x" * 1_000)) == "x" * 1_000
    assert pieces_of("") == ()


def test_a_text_may_take_as_long_as_a_slow_speaker_needs() -> None:
    assert longest_frames("Yes.", FPS) >= 2 * FPS
    words = " ".join(["word"] * 60)
    assert 40 * FPS < longest_frames(words, FPS) < 60 * FPS, "60 words take 24 s at an ordinary pace"
    assert longest_frames("x" * 230, FPS) > 25 * FPS, "a word may be long"


def test_of_a_text_that_was_interrupted_the_first_words_are_kept() -> None:
    assert first_words("one two three four", 0.5) == "one two"
    assert first_words("one two three four", 0.51) == "one two three"
    assert first_words("one two", 0) == ""
    assert first_words("one two", 1) == "one two"


def test_a_pause_within_speech_is_kept_and_the_silence_behind_it_is_not() -> None:
    rule = EndRule(1_000, FPS)
    audio = [LOUD, QUIET, QUIET, QUIET, QUIET, QUIET, QUIET, LOUD]
    assert [rule.push(one).release for one in audio] == [1, 1, 1, 1, 1, 0, 0, 3]
    verdicts = [rule.push(QUIET) for _ in range(15)]
    assert [one.end for one in verdicts] == [""] * 14 + ["silence"]
    assert sum(one.release for one in verdicts) == 4


def test_speech_that_never_begins_or_never_ends_is_ended() -> None:
    silent = EndRule(1_000, FPS)
    assert [silent.push(QUIET).end for _ in range(50)] == [""] * 49 + ["silence"]
    endless = EndRule(30, FPS)
    assert [endless.push(LOUD).end for _ in range(30)] == [""] * 29 + ["length"]


def test_what_is_quieter_than_speech_and_louder_than_silence_ends_nothing() -> None:
    rule = EndRule(1_000, FPS)
    rule.push(LOUD)
    assert not any(rule.push(np.full(1920, 0.005, np.float32)).end for _ in range(100))


def test_a_context_is_trimmed_deep_and_then_grows_again() -> None:
    sizes: list[int] = []
    first, trims = 0, 0
    for size in [10] * 60:
        sizes.append(size)
        kept = first_kept(sizes, first, 100)
        trims += kept != first
        first = kept
        assert sum(sizes[first:]) <= 100
    assert sum(sizes[first:]) >= 50
    assert trims <= 10, "the beginning stays the same for many turns"


def test_the_latest_turn_stays_where_it_fits_at_all() -> None:
    assert first_kept([10, 10, 90], 0, 100) == 2
    assert first_kept([10, 10, 190], 0, 100) == 3, (
        "a turn that is longer than the budget is left out with all before it"
    )
    assert first_kept([], 0, 100) == 0
    assert first_kept([5], 0, 0) == 1


def test_what_lies_before_the_model_stays_as_far_as_it_is_wanted() -> None:
    laid = [Laid("a", 10), Laid("b", 20), Laid("c", 30)]
    assert common(laid, ["a", "b", "c", "d"]) == 3
    assert common(laid, ["a", "x", "c"]) == 1
    assert common(laid, ["b", "c"]) == 0
    assert common(laid, ["a"]) == 1


def test_what_was_heard_is_counted_in_whole_frames() -> None:
    assert heard_frames(1920 * 10, 1920 * 10, 10) == 10
    assert heard_frames(1920 * 10 - 100, 1920 * 10, 10) == 10, "a resampler's rounding is no interruption"
    assert heard_frames(1920 * 5 + 1919, 1920 * 10, 10) == 5
    assert heard_frames(960 * 5, 960 * 10, 10) == 5, "spoken twice as fast"
    assert heard_frames(100, 1920 * 10, 10) == 0
    assert heard_frames(0, 1920, 1) == 0


def codes(frames: int, first: int = 0) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    return np.arange(first, first + 4 * frames, dtype=np.int64).reshape(frames, 4)


def turn(samples: int, text: str = "one two three four", rate: int = 24_000) -> SpokenTurn:
    return SpokenTurn("id", "assistant", text, np.zeros(samples, np.float32), rate)


def test_a_turn_that_was_heard_in_part_is_cut_to_those_frames_and_words() -> None:
    known = KnownTurn(own=True)
    known.add("one two three four.", codes(8))
    (whole,) = known.entries(0, "one two three four")
    assert known.hears(turn(1920 * 4 + 7))
    (half,) = known.entries(0, "one two")
    assert np.array_equal(half.codes, whole.codes[:4])
    assert (whole.text, half.text) == ("one two three four.", "one two.")
    assert whole.key != half.key
    (half,) = known.entries(0, "one two three four, that were never said")
    assert half.text == "one two", "a text of the context that says nothing of what was heard"
    assert known.hears(turn(16_000 * 8 * 80 // 1000, rate=16_000))
    assert [one.key for one in known.entries(0)] == [whole.key]
    assert known.hears(turn(0)), "audio that is no longer kept"
    assert [one.key for one in known.entries(0)] == [whole.key]
    assert known.hears(turn(1920))
    assert [len(one.codes) for one in known.entries(0)] == [1]
    assert known.hears(turn(10))
    assert list(known.entries(0)) == []


def test_a_turn_of_several_pieces_is_cut_within_one() -> None:
    known = KnownTurn(own=True)
    known.add("one two.", codes(4))
    known.add("three four.", codes(4, 100))
    known.hears(turn(1920 * 6))
    first, second = known.entries(0, "one two. three")
    assert (first.text, second.text) == ("one two.", "three.")
    assert np.array_equal(second.codes, codes(4, 100)[:2])


def test_a_turn_that_was_spoken_faster_is_cut_by_its_own_time() -> None:
    known = KnownTurn(own=True)
    known.add("one two three four.", codes(8), speed=2.0)
    assert known.samples == 1920 * 4
    known.hears(turn(1920 * 2))
    (half,) = known.entries(0)
    assert len(half.codes) == 4


def test_a_users_turn_has_the_words_of_the_context() -> None:
    known = KnownTurn(own=False, samples=1920 * 4, pieces=[("hello.", codes(4))])
    assert [one.text for one in known.entries(1, "Hello there")] == ["Hello there."]
    assert list(known.entries(1, "")) == []
    assert not known.hears(turn(1920 * 8)), "another sound under the same name is another turn"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"temperature": 3}, "temperature must be a number from 0 to 2"),
        ({"top_k": 1.5}, "top_k must be a whole number"),
        ({"top_k": 300}, "top_k must be"),
        ({"seed": -1}, "seed must be"),
        ({"context_s": 121}, "context_s must be"),
        ({"batch": 0}, "batch must be"),
        ({"batch": 8, "sessions": 4}, "sessions must be a number from 8"),
        ({"device": "gpu"}, "device must be auto, cpu, cuda or cuda:N"),
        ({"dtype": "float16"}, "dtype must be one of"),
        ({"graphs": "maybe"}, "graphs must be one of"),
        ({"temprature": 1}, "Did you mean 'temperature'"),
        ({"voices": {"a b": "x.wav"}}, "'a b' is no name"),
        ({"voices": {"anna": 5}}, "voices.anna must be the path"),
        ({"voices": {"anna": {"text": "x"}}}, "voices.anna needs `clip`"),
        ({"voices": {"anna": {"clip": "x", "speaker": 11}}}, "voices.anna: speaker must be"),
        ({"voices": {"anna": {"clip": "x", "txt": "y"}}}, "Did you mean 'text'"),
    ],
)
def test_a_wrong_option_is_named(options: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=r"tts csm") as raised:
        create("folder", options)
    assert said in str(raised.value)


def test_options_may_be_texts_and_voices_a_folder() -> None:
    read = settings.read({"temperature": "0.5", "seed": "7", "batch": "4", "voices": "clips"})
    assert (read.sampling.temperature, read.sampling.seed, read.batch, read.folder) == (0.5, 7, 4, "clips")
    read = settings.read({"voices": {"anna": "anna.wav", "ben": {"clip": "b.wav", "text": "Hi.", "speaker": 1}}})
    assert read.voices == {"anna": ClipSetting("anna.wav"), "ben": ClipSetting("b.wav", "Hi.", 1)}
    assert (read.folder, read.sampling.seed, read.graphs) == ("", None, None)
