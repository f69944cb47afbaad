"""A conversation session that translates, against a double of a server; time is an argument here."""

from __future__ import annotations

import json

import pytest

from parley.interpret.routes.request_line import SILENT_S
from parley.interpret.routes.sentences import MAX_WAITING, MOST_WAITING
from parley.interpret.routes.speech_input import MAX_SENTENCE_MS, PRE_ROLL_MS
from parley.interpret.routes.translating_session import ConversationOptions
from parley.interpret.updates import SourceText, TargetAudio
from tests.interpret.realtime_double import CHAT, HEARD, IN_SPANISH, LATE_ANSWER, SAID, DialectName, Script
from tests.interpret.rules_table import RulesTable

DIALECTS: tuple[DialectName, ...] = ("ga", "beta")
both = pytest.mark.parametrize("dialect", DIALECTS)


# --- the session --------------------------------------------------------------------------------------------------------


def test_the_ga_session_is_asked_to_translate_and_to_start_nothing_by_itself() -> None:
    table = RulesTable()
    session = table.server.got[0]["session"]
    assert session["type"] == "realtime"
    assert session["output_modalities"] == ["audio"]
    assert session["tool_choice"] == "none"
    assert session["audio"]["input"] == {
        "format": {"type": "audio/pcm", "rate": 24_000},
        "transcription": {"model": "gpt-4o-mini-transcribe", "language": "es"},
        "turn_detection": None,
    }
    assert session["audio"]["output"] == {"format": {"type": "audio/pcm", "rate": 24_000}}
    assert "English" in session["instructions"]
    assert table.rules.ready


def test_the_beta_session_is_asked_for_the_same_in_its_own_words() -> None:
    session = RulesTable(Script("beta")).server.got[0]["session"]
    assert session["modalities"] == ["audio", "text"]
    assert session["turn_detection"] is None
    assert session["input_audio_format"] == session["output_audio_format"] == "pcm16"
    assert session["input_audio_transcription"] == {"model": "gpt-4o-mini-transcribe", "language": "es"}


def test_a_session_that_is_refused_says_why_in_the_servers_words() -> None:
    table = RulesTable(Script(refuses_session="The voice 'x' does not exist."))
    assert not table.rules.ready
    assert table.rules.refusal == ("The voice 'x' does not exist.", False)


# --- sentences in order -------------------------------------------------------------------------------------------------


@both
def test_a_sentence_is_translated_and_what_it_left_is_deleted(dialect: DialectName) -> None:
    table = RulesTable(Script(dialect))
    table.said(1)
    table.settle()
    assert table.text == [SAID[1]]
    assert table.source == [HEARD[1]]
    assert table.played == [1]
    assert table.server.items == {}
    assert table.server.faults == []
    assert not table.notes


def test_out_of_band_a_request_names_its_sentence_and_nothing_else() -> None:
    table = RulesTable()
    table.said(1)
    table.settle()
    (request,) = table.server.requests()
    assert request["conversation"] == "none"
    assert request["input"] == [{"type": "item_reference", "id": "item_1"}]
    assert request["metadata"] == {"sentence": "1", "attempt": "1"}
    assert table.server.deleted == ["item_1"]


def test_the_translation_says_how_much_of_the_audio_it_translates() -> None:
    table = RulesTable()
    table.said(1)  # 200 ms of silence, 700 ms of speech
    table.settle()
    table.said(2)
    table.settle()
    until = [update.until_ms for update in table.of(TargetAudio)]
    assert sorted(set(filter(None, until))) == [900.0, 1800.0]


@both
def test_speech_during_output_cancels_nothing_and_waits_for_its_turn(dialect: DialectName) -> None:
    table = RulesTable(Script(dialect))
    table.said(1)
    table.begin_response()
    table.said(2)
    assert table.server.asked == [[1]]
    table.said(3)
    assert table.server.asked == [[1]]
    table.settle()
    assert table.played == ([1, 2, 3] if dialect == "ga" else [1, 2])
    assert [mark for marks in table.server.answered for mark in marks] == [1, 2, 3]
    assert "response.cancel" not in table.server.kinds()
    assert table.server.faults == []


def test_audio_goes_on_to_the_server_while_a_response_is_made() -> None:
    table = RulesTable()
    table.said(1)
    table.begin_response()
    sent = len(table.server.got)
    table.began()
    table.hear(2, 200)
    table.send()
    assert [event["type"] for event in table.server.got[sent:]] == ["input_audio_buffer.append"] * 10


def test_in_band_nothing_is_committed_before_the_response_in_progress_has_begun() -> None:
    table = RulesTable(Script("beta"))
    table.said(1)
    table.settle(work=False)
    table.said(2)
    table.settle(work=False)
    assert table.server.committed == [[1]]
    table.said(3)
    table.begin_response()
    assert table.server.committed == [[1], [2, 3]]
    table.settle()
    assert table.server.answered == [[1], [2, 3]]


# --- pauses -------------------------------------------------------------------------------------------------------------


def test_silence_is_neither_sent_nor_committed_and_speech_begins_with_what_came_before_it() -> None:
    table = RulesTable()
    table.hear(0, 60_000)
    table.send()
    assert len(table.server.buffer) == 0
    table.said(1)
    table.settle(work=False)
    sent_ms = sum(len(event["audio"]) * 3 // 4 / 48 for event in table.server.got if "audio" in event)
    assert sent_ms == pytest.approx(PRE_ROLL_MS + 600, abs=PRE_ROLL_MS / 10)


def test_too_little_speech_is_cleared_and_not_committed() -> None:
    table = RulesTable()
    table.began()
    table.hear(1, 60)
    table.ended()
    table.began()
    table.ended()
    table.settle()
    assert table.server.kinds() == ["session.update", "input_audio_buffer.clear"]
    assert table.server.faults == []
    table.said(2)
    table.settle()
    assert table.server.committed == [[2]], "what was cleared is not in the next sentence"


def test_speech_without_a_pause_is_cut_and_nothing_of_it_is_lost() -> None:
    table = RulesTable()
    table.began()
    table.hear(4, MAX_SENTENCE_MS + 1_000)
    table.ended()
    table.settle()
    assert table.server.committed == [[4], [4]]
    assert "without a pause" in table.notes[0]


# --- behind ---------------------------------------------------------------------------------------------------------------


def test_more_sentences_than_may_wait_become_one_request_and_that_is_said() -> None:
    table = RulesTable()
    table.said(1)
    table.begin_response()
    for mark in range(2, 2 + MAX_WAITING + 1):
        table.said(mark)
    table.settle()
    assert table.server.answered == [[1], [2, 3, 4, 5]]
    assert table.notes == ["4 sentences wait for the server, the oldest for 3 s: they are translated together."]
    assert table.text[1] == " ".join(SAID[mark] for mark in range(2, 6))


def test_an_old_sentence_takes_those_behind_it_along() -> None:
    table = RulesTable()
    table.said(1)
    table.begin_response()
    table.said(2)
    table.said(3)
    table.settle(work=False)
    table.now_s += 9
    table.settle()
    assert table.server.answered == [[1], [2, 3]]
    assert "the oldest for 10 s" in table.notes[0]


def test_a_server_that_is_far_too_slow_loses_the_oldest_sentences_and_each_is_reported() -> None:
    table = RulesTable()
    table.said(1)
    table.begin_response()
    for _ in range(MOST_WAITING + 2):
        table.said(2, 200)
        table.settle(work=False)
    assert len(table.notes) == 2
    assert all("not translated" in note for note in table.notes)
    table.settle()
    assert len([mark for marks in table.server.answered for mark in marks]) == 1 + MOST_WAITING
    assert table.server.items == {}


# --- servers that refuse ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("echoes", [True, False])
def test_where_out_of_band_is_refused_the_sentence_is_asked_for_in_the_conversation(echoes: bool) -> None:
    table = RulesTable(Script(out_of_band="refuses", echoes_event_ids=echoes))
    for mark in (1, 2, 3):
        table.said(mark)
        table.settle()
    assert table.server.answered == [[1], [2], [3]]
    assert ["conversation" in request for request in table.server.requests()] == [True, False, False, False]
    assert table.server.items == {}
    assert len(table.notes) == 1
    assert "outside its conversation" in table.notes[0]
    assert table.server.faults == []


def test_before_a_server_has_shown_that_it_keeps_a_request_apart_sentences_are_asked_for_as_if_it_did_not() -> None:
    table = RulesTable(Script(out_of_band="ignores"))
    table.said(1)
    table.said(2)
    table.settle()
    assert table.server.answered == [[1, 2]]
    assert table.server.items == {}


def test_where_out_of_band_is_ignored_answers_are_deleted_from_then_on() -> None:
    table = RulesTable(Script(out_of_band="ignores"))
    for mark in (1, 2):
        table.said(mark)
        table.settle()
    assert table.server.answered == [[1], [2]]
    assert table.server.items == {}
    assert len(table.notes) == 1


@both
def test_an_item_that_the_server_does_not_know_may_be_deleted(dialect: DialectName) -> None:
    table = RulesTable(Script(dialect, forgets_deletions=True, echoes_event_ids=False))
    for mark in (1, 2):
        table.said(mark)
        table.settle()
    assert table.server.answered == [[1], [2]]
    assert table.notes == []


def test_a_sentence_that_the_server_has_forgotten_is_reported_and_the_next_one_goes_on() -> None:
    table = RulesTable(Script(forgets={1}))
    table.said(1)
    table.settle()
    table.said(2)
    table.settle()
    assert table.played == [2]
    assert table.notes == ["A sentence was not translated (0.9 s of speech): the server no longer has it"]


# --- servers that fail ------------------------------------------------------------------------------------------------------


@both
def test_a_response_that_fails_is_asked_for_once_more(dialect: DialectName) -> None:
    table = RulesTable(Script(dialect, fails={1: 1}))
    table.said(1)
    table.settle()
    assert table.played == [1]
    assert table.text == [SAID[1]]
    assert not table.notes


@both
def test_a_response_that_fails_twice_is_reported_and_the_next_sentence_goes_on(dialect: DialectName) -> None:
    table = RulesTable(Script(dialect, fails={1: 2}))
    table.said(1)
    table.settle()
    table.said(2)
    table.settle()
    assert table.played == [2]
    assert table.notes == ["A sentence was not translated (0.9 s of speech): The server had an error."]
    assert table.server.items == {}


def test_a_response_that_breaks_off_after_it_was_played_is_not_said_again() -> None:
    table = RulesTable(Script(fails_midway={1}))
    table.said(1)
    table.settle()
    table.said(2)
    table.settle()
    assert table.server.asked == [[1], [2]]
    assert len(table.text) == 2
    assert SAID[1].startswith(table.text[0])
    assert "broke off" in table.notes[0]


@pytest.mark.parametrize("where", ["the request", "the response"])
def test_a_rate_limit_is_waited_for_and_said_once(where: str) -> None:
    limits = {1: 3}
    table = RulesTable(Script(rate_limits=limits) if where == "the request" else Script(rate_limited_responses=limits))
    table.said(1)
    table.settle()
    assert table.played == []
    asked = len(table.server.requests())
    table.settle()
    assert len(table.server.requests()) == asked, "no request before its time"
    table.wait(10)
    assert table.played == [1]
    assert len(table.server.requests()) == 4
    assert len(table.notes) == 1
    assert "rate" in table.notes[0]


def test_a_rate_limit_that_does_not_end_is_given_up() -> None:
    table = RulesTable(Script(rate_limited_responses={1: 100}))
    table.said(1)
    table.settle()
    table.wait(60)
    assert any("not translated" in note for note in table.notes)
    table.said(2)
    table.settle()
    assert table.played == [2]


def test_a_server_that_says_nothing_ends_the_link_and_the_sentences_are_reported() -> None:
    table = RulesTable(Script(silent=True))
    table.said(1)
    table.said(2)
    table.settle()
    table.wait(SILENT_S + 1)
    assert table.end is not None
    assert table.end.again
    assert not table.end.flushed
    assert "2 sentences were not translated" in table.notes[-1]


def test_an_account_without_money_ends_the_link_for_good() -> None:
    table = RulesTable(Script(ends_account=True))
    table.said(1)
    table.settle()
    assert table.end is not None
    assert not table.end.again
    assert "quota" in table.end.why


def test_a_connection_that_breaks_in_a_response_ends_the_link_and_reports_the_sentence() -> None:
    table = RulesTable(Script(closes_at=1))
    table.said(1)
    table.settle()
    assert table.end is not None
    assert table.end.again
    assert "A sentence was not translated" in table.notes[0]


# --- models that chat -------------------------------------------------------------------------------------------------------


@both
@pytest.mark.parametrize("chat", [CHAT, IN_SPANISH])
def test_an_answer_is_not_played_and_the_sentence_is_asked_for_strictly(dialect: DialectName, chat: str) -> None:
    table = RulesTable(Script(dialect, chats={1: [chat]}))
    table.said(1)
    table.settle()
    assert table.text == [SAID[1]]
    (drift,) = table.drifts
    assert drift.again
    assert drift.source == HEARD[1]
    assert table.rules.drifts == 1
    before, after = table.server.instructions
    assert "was rejected" in after
    assert "was rejected" not in before
    assert table.server.items == {}


@both
def test_a_second_answer_is_dropped_and_the_next_sentence_goes_on(dialect: DialectName) -> None:
    table = RulesTable(Script(dialect, chats={1: [CHAT, IN_SPANISH]}))
    table.said(1)
    table.settle()
    table.said(2)
    table.settle()
    assert table.played == [2]
    assert table.text == [SAID[2]]
    assert [drift.again for drift in table.drifts] == [True, False]
    assert table.source == [HEARD[1], HEARD[2]]


def test_an_answer_that_is_seen_late_says_how_much_of_it_was_played() -> None:
    table = RulesTable(Script(chats={4: [LATE_ANSWER]}))
    table.said(4)
    table.settle()
    assert "had been given to be played" in table.drifts[0].why
    assert table.text[-1] == SAID[4]


def test_with_whole_outputs_held_a_late_answer_is_not_played() -> None:
    table = RulesTable(Script(chats={4: [LATE_ANSWER, LATE_ANSWER]}), ConversationOptions(hold="whole"))
    table.said(4)
    table.settle()
    assert table.played == []
    assert table.text == []
    assert [drift.again for drift in table.drifts] == [True, False]


def test_a_cough_is_not_answered() -> None:
    table = RulesTable()
    table.said(9)
    table.settle()
    assert table.played == []
    assert table.text == []
    assert table.drifts == []
    assert table.server.items == {}


def test_without_transcripts_the_language_of_the_output_is_still_judged() -> None:
    table = RulesTable(Script(transcribes="never", chats={2: [IN_SPANISH]}))
    for mark in (1, 2):
        table.said(mark)
        table.settle()
    assert table.text == [SAID[1], SAID[2]]
    assert [drift.source for drift in table.drifts] == [""]


def test_output_waits_a_moment_for_the_words_that_were_said_and_not_longer() -> None:
    table = RulesTable(Script(transcribes="late"))
    table.said(1)
    table.begin_response(6)
    assert table.played == []
    table.now_s += 0.7
    table.take(table.rules.tick(table.now_s))
    assert table.played == [1]


# --- words ------------------------------------------------------------------------------------------------------------------


def test_the_speakers_words_are_unstable_until_the_server_has_them_all() -> None:
    table = RulesTable()
    table.said(1)
    table.settle()
    first, *_ = table.of(SourceText)
    assert first.text == ""
    assert HEARD[1].startswith(first.unstable)
    assert first.unstable
    *_, last = table.of(SourceText)
    assert (last.text, last.unstable, last.ends) == (HEARD[1], "", True)


def test_earlier_sentences_stand_in_the_instructions_only_where_that_is_asked_for() -> None:
    table = RulesTable(options=ConversationOptions(context=1))
    for mark in (2, 3, 4):
        table.said(mark)
        table.settle()
    assert SAID[2] not in table.server.instructions[0]
    assert f"{HEARD[2]} => {SAID[2]}" in table.server.instructions[1]
    assert SAID[2] not in table.server.instructions[2]
    assert f"{HEARD[3]} => {SAID[3]}" in table.server.instructions[2]


def test_another_language_holds_from_the_next_request_on() -> None:
    table = RulesTable()
    table.rules.set_target("de")
    table.said(1)
    table.settle()
    assert "German" in table.server.instructions[0]
    assert len(table.drifts) == 2, "English is no German"


# --- the end ----------------------------------------------------------------------------------------------------------------


@both
def test_finish_commits_what_was_said_and_ends_when_all_is_translated(dialect: DialectName) -> None:
    table = RulesTable(Script(dialect))
    table.said(1)
    table.began()
    table.hear(2, 500)
    table.finish()
    assert table.played == [1, 2] or table.server.answered == [[1, 2]]
    assert table.end is not None
    assert table.end.flushed
    assert table.updates[-1] is table.end


def test_finish_is_bounded() -> None:
    table = RulesTable()
    table.said(1)
    table.said(2)
    table.settle(work=False)
    table.take(table.rules.finish(table.now_s))
    for _ in range(3):  # the server says something now and then, and is not done
        assert table.end is None
        table.server.work()
        table.settle(work=False)
        table.now_s += 10
        table.take(table.rules.tick(table.now_s))
    assert table.end is not None
    assert not table.end.flushed
    assert "2 sentences were not translated" in table.notes[-1]


def test_after_the_end_nothing_is_sent() -> None:
    table = RulesTable()
    table.finish()
    table.said(1)
    table.rules.set_target("fr")
    assert table.rules.outgoing() == []


# --- at once ----------------------------------------------------------------------------------------------------------------


def test_a_cough_that_waits_is_not_asked_for() -> None:
    table = RulesTable()
    table.said(1)
    table.begin_response()
    table.said(9)
    table.said(2)
    table.settle()
    assert table.server.asked == [[1], [2]]


def test_in_band_speech_that_goes_on_is_not_committed_in_its_middle() -> None:
    table = RulesTable(Script("beta"))
    table.said(1)
    table.settle(work=False)
    table.said(2)
    table.began()
    table.hear(2, 400)
    table.begin_response()
    assert table.server.committed == [[1]]
    table.hear(3, 400)
    table.ended()
    table.settle()
    assert table.server.committed == [[1], [2, 3]]


def test_the_words_of_another_response_are_not_taken_for_those_of_the_one_that_was_asked_for() -> None:
    table = RulesTable()
    table.said(1)
    table.settle(work=False)
    other = {"id": "resp_x", "status": "in_progress", "metadata": {"sentence": "7", "attempt": "1"}}
    delta = {"type": "response.output_audio_transcript.delta", "response_id": "resp_x", "delta": "How can I help you?"}
    for event in ({"type": "response.created", "response": other}, delta):
        table.take(table.rules.received(json.dumps(event), table.now_s))
    table.settle()
    assert table.text == [SAID[1]]
