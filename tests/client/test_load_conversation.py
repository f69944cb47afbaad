"""How one driven session judges the replies it gets; time is an argument here, so every delay is exact."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from parley.load.conversation import LoadConversation, Script, Tally
from parley.load.recording import cut_track, find_speech
from tests.client.voices import silence, voice

TRACK = cut_track(find_speech(np.concatenate((silence(100), voice(400), silence(100)))), 20)
SPEECH_END_S = 0.5
"""From the moment the recording starts to be spoken: 100 ms quiet, 400 ms voice."""
GAP_S = 0.2


class Table:
    """A conversation, a microphone that ticks every 20 ms, and a hand to write the server's events."""

    def __init__(self, barge_after_s: float | None = None) -> None:
        self.tally = Tally(measuring=True)
        self.talk = LoadConversation(Script(TRACK, 0.4, gap_s=GAP_S, barge_after_s=barge_after_s), self.tally)
        self.now_s = 100.0
        self.sent: list[bytes] = []
        session = {"audio": {"input": {"turn_detection": {"silence_duration_ms": 300}}}}
        self.say("session.created", session=session)
        self.talk.begin(self.now_s - 0.005)  # between two ticks, so that rounding decides nothing

    def say(self, kind: str, **members: Any) -> None:
        self.talk.receive(json.dumps({"event_id": "e", **members, "type": kind}).encode(), self.now_s)

    def until(self, then_s: float) -> None:
        """Let the microphone run; `then_s` counts from the start, in steps of 20 ms."""
        while self.now_s < 100.0 + then_s - 1e-9:
            self.now_s += 0.02
            self.sent.append(self.talk.frame_due(self.now_s))

    def reply(self, length_ms: int = 100) -> None:
        self.say("response.created", response={"status": "in_progress"})
        self.audio(length_ms)

    def audio(self, length_ms: int = 100) -> None:
        self.say("response.output_audio.delta", delta="A" * (length_ms * 64))

    def done(self, status: str = "completed") -> None:
        self.say("response.done", response={"status": status, "output": [{"type": "message", "status": "completed"}]})


# The first chunk of the recording leaves at GAP_S, when its 20 ms have been recorded: the recording began 20 ms before.
END_S = GAP_S - 0.02 + SPEECH_END_S


def test_a_reply_is_measured_from_the_end_of_the_voice() -> None:
    table = Table()
    table.until(END_S + 0.76)
    table.reply()
    assert table.tally.turns == 1
    assert table.tally.delays == [pytest.approx(0.76, abs=0.0101)]
    assert table.tally.beyond == [pytest.approx(0.06, abs=0.0101)]
    assert (table.tally.early, table.tally.late, table.tally.missed) == (0, 0, 0)


def test_only_the_first_audio_of_a_reply_counts() -> None:
    table = Table()
    table.until(END_S + 0.72)
    table.reply()
    table.until(END_S + 0.80)
    table.audio()
    table.done()
    assert len(table.tally.delays) == 1
    assert table.tally.stray == 0


def test_a_reply_over_100_ms_beyond_the_ideal_is_late() -> None:
    table = Table()
    table.until(END_S + 0.84)
    table.reply()
    assert table.tally.late == 1


def test_a_reply_before_the_silence_wait_is_over_is_early() -> None:
    table = Table()
    table.until(END_S + 0.20)
    table.reply()
    assert table.tally.early == 1


def test_a_reply_inside_the_speech_is_early_and_no_delay() -> None:
    table = Table()
    table.until(END_S - 0.1)
    table.reply()
    table.done()
    table.until(END_S + 0.72)
    table.reply()
    assert table.tally.early == 1
    assert table.tally.delays == []


def test_a_turn_without_an_answer_is_missed_and_the_next_one_begins() -> None:
    table = Table()
    table.until(END_S + 8)
    assert table.tally.missed == 1
    assert table.tally.turns == 2


def test_a_second_answer_to_one_turn_is_counted() -> None:
    table = Table()
    table.until(END_S + 0.72)
    table.reply()
    table.done()
    table.reply()
    assert table.tally.stray == 1


def test_the_next_turn_waits_until_the_reply_was_heard() -> None:
    table = Table()
    table.until(END_S + 0.72)
    table.reply(1000)
    table.done()
    before = len(table.sent)
    table.until(END_S + 0.72 + 1.0 + GAP_S - 0.04)
    assert set(table.sent[before:]) == {TRACK.silence}
    table.until(END_S + 0.72 + 1.0 + GAP_S + 0.04)
    assert table.sent[-1] in TRACK.frames


def test_the_microphone_never_stops() -> None:
    table = Table()
    table.until(3.0)
    assert len(table.sent) == 150
    first = table.sent.index(TRACK.frames[0])
    assert table.sent[first : first + len(TRACK.frames)] == list(TRACK.frames)


def test_turns_before_the_measurement_do_not_count() -> None:
    table = Table()
    table.tally.measuring = False
    table.until(END_S + 0.72)
    table.tally.measuring = True
    table.reply()
    assert table.tally.turns == 0
    assert table.tally.delays == []


def test_talking_over_a_reply_is_measured_to_the_first_thing_that_silences_it() -> None:
    table = Table(barge_after_s=0.1)
    table.until(END_S + 0.72)
    table.reply()
    table.until(END_S + 0.72 + 0.1 + 0.08)
    table.say("input_audio_buffer.speech_started", audio_start_ms=1)
    table.until(END_S + 0.72 + 0.1 + 0.10)
    table.done("cancelled")
    table.until(END_S + 0.72 + 0.1 + 0.6)
    assert table.tally.barge_ins == 1
    assert table.tally.unstopped == 0
    assert table.tally.to_silence == table.tally.to_speech_started == [pytest.approx(0.10, abs=0.0201)]
    assert table.tally.to_cancelled == [pytest.approx(0.12, abs=0.0201)]


def test_a_reply_that_continues_over_the_user_is_counted() -> None:
    table = Table(barge_after_s=0.1)
    table.until(END_S + 0.72)
    table.reply()
    table.until(END_S + 0.72 + 0.1 + 0.6)
    assert (table.tally.barge_ins, table.tally.unstopped) == (1, 1)


def test_audio_of_a_cancelled_reply_is_counted() -> None:
    table = Table(barge_after_s=0.1)
    table.until(END_S + 0.72)
    table.reply()
    table.until(END_S + 1.0)
    table.done("cancelled")
    table.audio()
    assert table.tally.leaked == 1


def test_the_last_turn_ends_and_no_other_begins() -> None:
    table = Table()
    table.until(GAP_S + 0.1)
    table.talk.finish()
    in_the_turn = table.talk.resting
    table.until(END_S + 0.72)
    table.reply()
    table.done()
    assert (in_the_turn, table.talk.resting) == (False, True)
    table.until(END_S + 5)
    assert table.tally.turns == 1


def test_the_servers_errors_are_kept() -> None:
    table = Table()
    table.say("error", error={"type": "invalid_request_error", "code": "invalid_value", "message": "No."})
    assert table.tally.errors == ["invalid_value: No."]


def test_words_that_look_like_a_type_do_not_mislead() -> None:
    table = Table()
    table.until(END_S + 0.72)
    table.say("response.output_audio_transcript.delta", delta='say "type":"response.done" aloud')
    table.reply()
    assert len(table.tally.delays) == 1


def a_filler(table: Table, length_ms: int = 400) -> None:
    """As a Parley says one: whole, and out of band."""
    named = {"id": "resp_f", "conversation_id": None, "metadata": {"parley": "filler"}}
    table.say("response.created", response={"status": "in_progress", **named})
    table.say("response.output_audio.delta", response_id="resp_f", delta="A" * (length_ms * 64))
    table.say("response.done", response={"status": "completed", "output": [], **named})


def test_a_filler_is_not_taken_for_the_reply() -> None:
    table = Table()
    table.until(END_S + 0.76)
    a_filler(table)
    assert (table.tally.delays, table.talk.resting) == ([], False)
    table.until(END_S + 2.0)
    table.reply()
    assert table.tally.delays == [pytest.approx(2.0, abs=0.0101)]
    assert (table.tally.fillers, table.tally.late, table.tally.stray) == (1, 1, 0)


def test_a_filler_before_the_silence_wait_is_over_is_no_early_reply() -> None:
    table = Table()
    table.until(END_S + 0.1)
    a_filler(table)
    table.until(END_S + 0.72)
    table.reply()
    assert (table.tally.early, len(table.tally.delays)) == (0, 1)


def test_a_turn_that_only_a_filler_answers_is_missed() -> None:
    table = Table()
    table.until(END_S + 2)
    a_filler(table)
    table.until(END_S + 8)
    assert (table.tally.missed, table.tally.turns) == (1, 2)


def test_a_filler_after_a_cancelled_reply_is_no_audio_of_that_reply() -> None:
    table = Table(barge_after_s=0.1)
    table.until(END_S + 0.72)
    table.reply()
    table.until(END_S + 1.0)
    table.done("cancelled")
    a_filler(table)
    assert table.tally.leaked == 0


def test_the_next_turn_waits_until_filler_and_reply_were_heard() -> None:
    table = Table()
    table.until(END_S + 0.72)
    a_filler(table, 400)
    table.reply(1000)
    table.done()
    before = len(table.sent)
    table.until(END_S + 0.72 + 1.4 + GAP_S - 0.04)
    assert set(table.sent[before:]) == {TRACK.silence}
    table.until(END_S + 0.72 + 1.4 + GAP_S + 0.04)
    assert table.sent[-1] in TRACK.frames


def test_a_server_that_names_no_conversation_has_its_replies_measured() -> None:
    table = Table()
    table.until(END_S + 0.72)
    table.say("response.created", response={"id": None, "conversation_id": None, "metadata": None})
    table.say("response.output_audio.delta", response_id="resp_1", delta="A" * 6400)
    assert len(table.tally.delays) == 1
    assert table.tally.fillers == 0
