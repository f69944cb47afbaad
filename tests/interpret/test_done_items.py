"""Which items are deleted when, and which errors are only those of deletions."""

from __future__ import annotations

from parley.interpret.routes.done_items import REMEMBERED, DoneItems
from parley.interpret.routes.sentences import SpokenSentence


def sentence(item_id: str, *, heard: bool) -> SpokenSentence:
    return SpokenSentence(1, 500.0, 500.0, 1.0, "event_1", item_id, heard)


def test_a_sentence_is_kept_until_its_words_have_come_or_the_conversation_must_be_empty() -> None:
    done = DoneItems()
    done.sentence(sentence("a", heard=True))
    done.sentence(sentence("b", heard=False))
    done.sentence(late := sentence("", heard=True))
    assert done.due(all_of_them=False) == ["a"]
    assert done.due(all_of_them=True) == ["b"]
    late.item_id = "c"
    assert done.due(all_of_them=False) == ["c"]
    assert done.due(all_of_them=True) == []


def test_an_answer_is_deleted_once_however_often_it_is_named() -> None:
    done = DoneItems()
    done.outputs(["a", "b", "a"])
    assert done.due(all_of_them=False) == ["a", "b"]


def test_an_error_is_that_of_a_deletion_by_its_event_or_its_item_or_its_place_in_the_order() -> None:
    done = DoneItems()
    for item in "abcd":
        done.deleting(f"item_{item}", f"event_{item}")
    assert done.fails("event_b", "whatever", gone=False)
    assert not done.fails("event_b", "whatever", gone=False), "it has been answered"
    assert not done.fails("event_x", "item_a", gone=True), "another event"
    assert done.fails("", "There is no item_c.", gone=False)
    assert not done.fails("", "Slow down.", gone=False)
    assert done.fails("", "Item not found.", gone=True)
    done.deleted("item_d")
    assert not done.fails("", "Item not found.", gone=True), "nothing is being deleted"


def test_deletions_that_are_never_answered_are_forgotten_in_the_end() -> None:
    done = DoneItems()
    for number in range(REMEMBERED + 1):
        done.deleting(f"item_{number}_", f"event_{number}")
    assert not done.fails("event_0", "", gone=True)
    assert done.fails("event_1", "", gone=True)
