"""The running texts of a translation session read as one text each."""

from __future__ import annotations

from parley.core.regions.captions import Captions


def test_what_is_added_gets_a_space_where_its_script_has_spaces() -> None:
    captions = Captions()
    assert captions.add_source("Good morning.") == "Good morning."
    assert captions.add_source("How are you?") == " How are you?"
    assert captions.add_source(" Fine.") == " Fine."
    assert captions.add_target("早上好。") == "早上好。", "the two texts do not know each other"
    assert captions.add_target("你好吗?") == "你好吗?"
    assert captions.add_target("") == ""
    assert captions.add_target("OK") == " OK"


def test_unstable_words_go_on_the_speakers_text_until_more_of_it_is_added() -> None:
    captions = Captions()
    assert captions.change_unstable("") is None, "there were none"
    assert captions.change_unstable("Good") == "Good"
    assert captions.change_unstable("Good") is None
    captions.add_source("Good morning.")
    assert captions.change_unstable("") is None, "the words that were added ended them"
    assert captions.change_unstable("How") == " How"
    assert captions.change_unstable(" ") == "", "a blank is no word"
    assert captions.change_unstable("") is None


def test_what_is_played_is_a_change_once() -> None:
    captions = Captions()
    assert not captions.change_playing(None)
    assert captions.change_playing(800)
    assert not captions.change_playing(800)
    assert captions.change_playing(None)


def test_clauses_are_numbered_from_one() -> None:
    captions = Captions()
    assert [captions.next_clause() for _ in range(3)] == [1, 2, 3]
    assert captions.clauses == 3
