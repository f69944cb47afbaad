"""The queue of sentences that wait for a request, and the running text of what was said."""

from __future__ import annotations

import json

from parley.interpret.routes.sentences import (
    MAX_AGE_S,
    MAX_MERGED_MS,
    MAX_WAITING,
    MOST_WAITING_MS,
    TRANSCRIPT_WAIT_S,
    RunningSource,
    SentenceQueue,
    SpokenSentence,
)
from parley.interpret.updates import SourceText
from tests.interpret.realtime_double import HEARD
from tests.interpret.rules_table import RulesTable


def spoken(number: int, length_ms: float = 500.0, *, item: bool = True, ended_s: float | None = None) -> SpokenSentence:
    """Sentence `number` ends at second `number`, unless another second is given."""
    end_s = float(number) if ended_s is None else ended_s
    return SpokenSentence(number, length_ms, 1_000.0 * number, end_s, f"event_{number}", f"item_{number}" * item)


def hear(sentence: SpokenSentence, source: str | None) -> None:
    sentence.heard, sentence.source = True, source


def numbers(sentences: tuple[SpokenSentence, ...] | list[SpokenSentence]) -> list[int]:
    return [sentence.number for sentence in sentences]


# --- the running text -------------------------------------------------------------------------------------------------------


def test_sentences_that_are_shown_by_one_change_end_each_on_a_line_of_their_own_in_the_order_of_the_speech() -> None:
    running = RunningSource()
    first, second, third, fourth = (spoken(number) for number in range(1, 5))
    for sentence in (first, second, third, fourth):
        running.add(sentence)
    hear(third, "Tres.")
    hear(second, "Dos.")
    fourth.partial = "Cua"
    assert running.changed() == []
    hear(first, "Uno.")
    assert running.changed() == [
        SourceText("Uno.", ends=True),
        SourceText("Dos.", ends=True),
        SourceText("Tres.", ends=True),
        SourceText(unstable="Cua"),
    ]
    assert running.changed() == []
    assert len(running) == 1


def test_words_that_the_server_sends_in_another_order_are_shown_in_the_order_of_the_speech() -> None:
    table = RulesTable()
    table.said(1)
    table.send()
    table.said(2)
    table.send()
    messages = [json.loads(message) for message in table.server.out]
    table.server.out.clear()
    of_first = [one for one in messages if one.get("item_id") == "item_1" and "transcription" in one["type"]]
    for message in [*(one for one in messages if one not in of_first), *of_first[:-1]]:
        table.take(table.rules.received(json.dumps(message), table.now_s))
    assert table.source == []
    shown = table.rules.received(json.dumps(of_first[-1]), table.now_s)
    assert [update for update in shown if isinstance(update, SourceText)] == [
        SourceText(HEARD[1], ends=True),
        SourceText(HEARD[2], ends=True),
    ]


def test_a_sentence_without_words_has_no_line_and_takes_back_what_was_shown_of_it() -> None:
    running = RunningSource()
    first, second, third = (spoken(number) for number in (1, 2, 3))
    for sentence in (first, second, third):
        running.add(sentence)
    first.partial = "Hm"
    assert running.changed() == [SourceText(unstable="Hm")]
    hear(first, "")
    hear(second, None)
    hear(third, "Tres.")
    assert running.changed() == [SourceText(), SourceText("Tres.", ends=True)]


def test_the_words_of_each_sentence_are_waited_for_from_its_own_end_on() -> None:
    running = RunningSource()
    first, second = spoken(1), spoken(2)
    running.add(first)
    running.add(second)
    first.partial = " Uno "
    running.changed()
    assert running.deadline() == 1 + TRANSCRIPT_WAIT_S
    assert running.expire(0.9 + TRANSCRIPT_WAIT_S) == []
    assert running.expire(1 + TRANSCRIPT_WAIT_S) == [first]
    assert running.changed() == [SourceText("Uno", ends=True)], "the words that had come"
    assert running.deadline() == 2 + TRANSCRIPT_WAIT_S
    assert running.expire(2 + TRANSCRIPT_WAIT_S) == [second]
    assert second.source is None
    assert not second.wordless, "nothing is known of its words"
    assert running.changed() == []
    assert running.deadline() is None
    assert len(running) == 0


# --- the queue --------------------------------------------------------------------------------------------------------------


def queue_of(*sentences: SpokenSentence) -> SentenceQueue:
    queue = SentenceQueue()
    for sentence in sentences:
        assert queue.add(sentence) == []
    return queue


def test_a_queue_that_is_not_behind_gives_one_sentence_after_the_other() -> None:
    queue = queue_of(*(spoken(number) for number in range(1, MAX_WAITING + 1)))
    for number in range(1, MAX_WAITING + 1):
        taken, note = queue.take(4.0, together=False)
        assert numbers(taken) == [number]
        assert note is None
    assert queue.take(4.0, together=False) == ((), None)


def test_a_queue_that_is_behind_leaves_a_sentence_without_an_item_and_those_behind_it() -> None:
    queue = queue_of(spoken(1), spoken(2), spoken(3, item=False), spoken(4), spoken(5))
    taken, note = queue.take(6.0, together=False)
    assert numbers(taken) == [1, 2]
    assert note is not None
    assert note.message.startswith("2 sentences wait for the server, the oldest for 5 s")
    assert queue.take(6.0, together=False) == ((), None)
    assert numbers(queue.given_up()) == [3, 4, 5]


def test_all_that_waits_is_taken_together_once_each_has_its_item() -> None:
    queue = queue_of(spoken(1), spoken(2), last := spoken(3, item=False))
    assert queue.take(4.0, together=True) == ((), None)
    last.item_id = "item_3"
    taken, _ = queue.take(4.0, together=True)
    assert numbers(taken) == [1, 2, 3]


def test_long_sentences_are_taken_together_up_to_the_longest_request() -> None:
    third = MAX_MERGED_MS / 3
    queue = queue_of(*(spoken(number, third) for number in range(1, 5)))
    taken, _ = queue.take(5.0, together=False)
    assert numbers(taken) == [1, 2, 3]
    assert numbers(queue.take(5.0, together=False)[0]) == [4]


def test_all_of_a_conversation_is_taken_together_however_long_it_is() -> None:
    queue = queue_of(*(spoken(number, MAX_MERGED_MS / 3) for number in range(1, 6)))
    assert numbers(queue.take(6.0, together=True)[0]) == [1, 2, 3, 4, 5]


def test_two_long_sentences_are_behind_by_their_length_and_two_old_ones_by_their_age() -> None:
    assert numbers(queue_of(spoken(1, 10_000), spoken(2, 10_000)).take(3.0, together=False)[0]) == [1]
    assert numbers(queue_of(spoken(1, 10_000), spoken(2, 10_001)).take(3.0, together=False)[0]) == [1, 2]
    assert numbers(queue_of(spoken(1), spoken(2)).take(1 + MAX_AGE_S, together=False)[0]) == [1]
    assert numbers(queue_of(spoken(1), spoken(2)).take(1.1 + MAX_AGE_S, together=False)[0]) == [1, 2]


def test_the_oldest_are_given_up_for_more_speech_than_may_wait() -> None:
    queue = queue_of(*(spoken(number, MOST_WAITING_MS / 4) for number in range(1, 5)))
    assert numbers(queue.add(spoken(5, MOST_WAITING_MS / 2))) == [1, 2]
    assert queue.length_ms == MOST_WAITING_MS
    assert numbers(queue.given_up()) == [3, 4, 5]
    assert len(queue) == 0


def test_only_sentences_that_are_known_to_have_no_words_are_taken_out() -> None:
    sentences = [spoken(number) for number in range(1, 5)]
    queue = queue_of(*sentences)
    hear(sentences[0], None)
    hear(sentences[1], " … ")
    hear(sentences[2], "Tres.")
    assert numbers(queue.wordless()) == [2]
    assert numbers(queue.given_up()) == [1, 3, 4]
