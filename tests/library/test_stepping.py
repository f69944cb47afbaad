"""A session fed frame by frame, in the time of its samples."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from parley.library import (
    Failed,
    LibraryError,
    Pipeline,
    Recording,
    ReplyAudio,
    ReplyEnded,
    ReplyText,
    SpeechStarted,
    SpeechStopped,
    Turn,
    TurnEnded,
    TurnFigures,
    VoiceEvent,
    VoiceSession,
    frames,
)
from parley.testing.fakes import FakeModel, FakeRecognizer, FakeSynthesizer, Hold
from tests.library.rig import RATE, Fingerprints, cut, judged, of, pipeline, silence, voice

Speech = Callable[[str], tuple[NDArray[np.int16], int]]

TALK = np.concatenate([silence(300), voice(800), silence(1500), voice(600), silence(900), voice(430)])
"""Two turns with their silences, and a third that nothing ends."""


def described(events: Iterable[VoiceEvent]) -> list[object]:
    """The events without what the wall's clock says, the audio joined."""
    plain: list[object] = []
    for event in events:
        match event:
            case TurnEnded(turn) | ReplyEnded(turn):
                plain.append((type(event), replace(turn, figures=TurnFigures())))
            case ReplyAudio():
                if plain and isinstance(plain[-1], bytes):
                    plain[-1] += event.samples.tobytes()
                else:
                    plain.append(event.samples.tobytes())
            case _:
                plain.append(event)
    return plain


def conversation(pieces: Iterable[NDArray[np.int16]], rate: int = RATE) -> list[VoiceEvent]:
    with pipeline() as pipe:
        return list(VoiceSession(pipe, sample_rate=rate).run(pieces))


def turns(events: Sequence[VoiceEvent]) -> list[Turn]:
    return [event.turn for event in of(TurnEnded, events)]


def test_turns_are_heard_and_answered_in_order() -> None:
    events = conversation(cut(TALK, 480))
    kinds = list(dict.fromkeys(type(event) for event in events))
    assert kinds == [SpeechStarted, SpeechStopped, TurnEnded, ReplyText, ReplyAudio, ReplyEnded]
    first, *_ = turns(events)
    assert first.heard == "hello there"
    assert first.number == 1
    # 300 ms of silence, of which all is pre-roll; 800 ms of voice; 500 ms of silence until the turn is over.
    assert first.start_sample == 0
    assert (300 + 800 + 500) * 24 <= first.end_sample <= (300 + 800 + 500 + 64) * 24
    last = of(ReplyEnded, events)[-1].turn
    assert last.answered == last.written == "One two three four five."
    assert not last.interrupted


WHOLE = described(conversation([TALK]))


@settings(max_examples=12, deadline=None)
@given(st.lists(st.integers(1, 20_000), min_size=1, max_size=8))
def test_any_cutting_of_the_same_audio_gives_the_same_turns(sizes: list[int]) -> None:
    pieces, start, turn = [], 0, 0
    while start < len(TALK):
        size = sizes[turn % len(sizes)] if sizes[turn % len(sizes)] > 200 else sizes[turn % len(sizes)] * 97
        pieces.append(TALK[start : start + size])
        start, turn = start + size, turn + 1
    assert described(conversation(pieces)) == WHOLE


def test_resampled_input_is_cut_with_the_same_result_and_counted_in_its_own_samples() -> None:
    talk = np.concatenate([silence(300, 44_100), voice(800, 44_100), silence(1500, 44_100)])
    whole, pieces = conversation([talk], 44_100), conversation(cut(talk, 441), 44_100)
    assert described(whole) == described(pieces)
    (turn,) = turns(whole)
    assert 1600 * 44.1 - 1 <= turn.end_sample <= 1664 * 44.1


def test_the_residue_belongs_to_the_last_turn() -> None:
    recognizer = FakeRecognizer("to the end", sample_rate=RATE)
    talk = np.concatenate([silence(320), voice(777), voice(1)[:11]])
    with pipeline(stt=recognizer) as pipe:
        session = VoiceSession(pipe, sample_rate=RATE)
        events = list(session.run(cut(talk, 100)))
        assert session.samples_taken == len(talk)
    (turn,) = turns(events)
    assert turn.end_sample == len(talk)
    heard = recognizer.streams[0].audio
    assert len(heard) == turn.end_sample - turn.start_sample, "the recogniser was given every sample of the turn"
    assert np.array_equal((heard[-11:] * 32768).astype(np.int16), talk[-11:])
    assert turn.chunks == -(-len(talk) // 768)


def test_after_a_flush_the_session_goes_on() -> None:
    with pipeline() as pipe:
        session = VoiceSession(pipe, sample_rate=RATE)
        first = session.step(voice(700)) + session.flush()
        second = session.step(np.concatenate([silence(100), voice(700)])) + session.flush()
        assert len(session.history) == 4
    assert [turn.heard for turn in turns(first)] == ["hello there"]
    assert [turn.heard for turn in turns(second)] == ["and then"]
    assert turns(second)[0].start_sample >= 700 * 24


def test_a_barge_in_keeps_exactly_the_words_that_had_played() -> None:
    with pipeline() as pipe:
        session = VoiceSession(pipe, sample_rate=RATE)
        events = session.step(np.concatenate([voice(600), silence(600)]))
        # The reply began at some chunk of this silence; half of its five words of 200 ms play before the voice.
        played = sum(len(event.samples) for event in of(ReplyAudio, events))
        events += session.step(silence(460)[: 460 * 24 - played])
        events += session.step(voice(600))
        cut_off = of(ReplyEnded, events)[0].turn
        assert cut_off.interrupted
        assert cut_off.answered == "One two"
        assert cut_off.written == "One two three four five."
        heard_ms = sum(len(event.samples) for event in of(ReplyAudio, events)) / 24
        assert 460 <= heard_ms < 600
        assert {"role": "assistant", "content": "One two"} in session.history


def test_speech_over_an_uninterruptible_reply_is_answered_after_it() -> None:
    with pipeline() as pipe:
        session = VoiceSession(pipe, sample_rate=RATE, barge_in="never")
        events = list(session.run([np.concatenate([voice(600), silence(600), voice(300), silence(2000)])]))
    ended = [event.turn for event in of(ReplyEnded, events)]
    assert [turn.heard for turn in ended] == ["hello there", "and then"]
    assert not any(turn.interrupted for turn in ended)


def test_a_typed_message_is_answered_and_the_answer_is_heard_at_the_end() -> None:
    with pipeline() as pipe:
        session = VoiceSession(pipe, sample_rate=RATE)
        events = session.say("how are you?")
        assert not of(ReplyAudio, events), "nothing plays before time passes"
        events += session.flush()
    (ended,) = of(ReplyEnded, events)
    assert ended.turn.heard == "how are you?"
    assert ended.turn.answered == "One two three four five."
    assert sum(len(event.samples) for event in of(ReplyAudio, events)) == 5 * 200 * 24


def test_replies_come_at_the_rate_that_was_asked_for() -> None:
    with pipeline() as pipe:
        session = VoiceSession(pipe, sample_rate=RATE, output_rate=8_000)
        session.say("hello")
        audio = of(ReplyAudio, session.flush())
    assert {event.sample_rate for event in audio} == {8_000}
    assert sum(len(event.samples) for event in audio) == 5 * 200 * 8


def test_a_reply_longer_than_what_is_generated_ahead_plays_to_its_end() -> None:
    words = "word " * 700  # 140 s
    with pipeline(llm=FakeModel([words])) as pipe:
        session = VoiceSession(pipe, sample_rate=RATE)
        began = time.perf_counter()
        session.say("tell me a story")
        audio = of(ReplyAudio, session.flush())
        assert time.perf_counter() - began < 60, "real time is not waited for"
    assert sum(len(event.samples) for event in audio) == 700 * 200 * 24


def test_without_a_synthesizer_answers_are_text() -> None:
    with pipeline(tts=None) as pipe:
        session = VoiceSession(pipe, sample_rate=RATE)
        events = list(session.run([voice(700)]))
    assert not of(ReplyAudio, events)
    assert "".join(event.text for event in of(ReplyText, events)) == "One two three four five."
    assert of(ReplyEnded, events)[0].turn.answered == "One two three four five."


def test_without_a_model_turns_are_only_transcribed() -> None:
    with pipeline(llm=None, tts=None) as pipe:
        events = list(VoiceSession(pipe, sample_rate=RATE).run([TALK]))
    assert [turn.heard for turn in turns(events)] == ["hello there", "and then", "what else"]
    assert not of(ReplyText, events)
    assert not of(Failed, events)


def test_a_manual_turn_ends_at_the_flush_and_nowhere_else() -> None:
    with pipeline() as pipe:
        session = VoiceSession(pipe, sample_rate=RATE, turn_detection="manual")
        events = session.step(TALK)
        assert not events
        events = session.flush()
        assert [(turn.heard, turn.start_sample, turn.end_sample) for turn in turns(events)] == [
            ("hello there", 0, len(TALK))
        ]
        assert of(ReplyEnded, events)
        assert not session.flush(), "and nothing was said since"


def test_an_engine_without_output_is_abandoned() -> None:
    hold = Hold(asyncio.Event(), asyncio.Event())
    with pipeline(llm=FakeModel([hold])) as pipe:
        session = VoiceSession(pipe, sample_rate=RATE, engine_timeout_s=0.05)
        events = list(session.run([voice(700)]))
        assert [event.code for event in of(Failed, events)] == ["timeout"]
        assert of(ReplyEnded, events)[0].turn.answered == ""
        assert session.step(silence(100)) == []


def test_a_recogniser_that_fails_is_reported_and_the_session_continues() -> None:
    with pipeline(stt=FakeRecognizer(RuntimeError("out of memory"), "well again")) as pipe:
        session = VoiceSession(pipe, sample_rate=RATE)
        events = session.step(voice(700)) + session.flush()
        assert of(Failed, events)
        assert [turn.heard for turn in turns(events)] == [""]
        events = session.step(voice(700)) + session.flush()
        assert [turn.heard for turn in turns(events)] == ["well again"]


def test_two_sessions_share_a_pipeline_without_hearing_each_other() -> None:
    with pipeline(stt=FakeRecognizer("one", "two")) as pipe:
        first, second = VoiceSession(pipe, sample_rate=RATE), VoiceSession(pipe, sample_rate=RATE)
        told_first, told_second = first.step(voice(700)), second.step(voice(400))
        told_first += first.flush()
        told_second += second.flush()
    assert [turn.heard for turn in turns(told_first)] == ["one"]
    assert [(turn.heard, turn.end_sample) for turn in turns(told_second)] == [("two", 400 * 24)]


def test_a_synchronous_session_works_where_an_event_loop_runs() -> None:
    async def notebook() -> list[VoiceEvent]:
        with pipeline() as pipe:
            return VoiceSession(pipe, sample_rate=RATE).say("hello")

    assert of(ReplyText, asyncio.run(notebook()))


def test_a_voice_that_the_synthesizer_lacks_is_refused_by_name() -> None:
    with pipeline() as pipe, pytest.raises(LibraryError, match="no voice 'nobody'"):
        VoiceSession(pipe, sample_rate=RATE, voice="nobody").step(silence(40))


def test_a_turn_judge_ends_turns_early() -> None:
    talk = [np.concatenate([silence(100), voice(700), silence(1500)])]
    with pipeline(turn=judged(1.0)) as pipe:
        (early,) = turns(list(VoiceSession(pipe, sample_rate=RATE).run(talk)))
    with pipeline(turn=judged(0.5)) as pipe:
        (late,) = turns(list(VoiceSession(pipe, sample_rate=RATE).run(talk)))
    assert early.end_sample < late.end_sample
    assert early.figures.pause_ms == pytest.approx(200, abs=40)
    assert late.figures.pause_ms == pytest.approx(1000, abs=40)


def test_nothing_of_a_lost_speculative_attempt_is_in_the_answer() -> None:
    talk = [np.concatenate([voice(700), silence(300), voice(400), silence(800)])]
    model = FakeModel(["Wrong."], ["Right."])
    with pipeline(stt=FakeRecognizer("I am", "I am here", "I am here"), llm=model, speculation=True) as pipe:
        events = list(VoiceSession(pipe, sample_rate=RATE).run(talk))
    assert len(model.requests) == 2
    assert "".join(event.text for event in of(ReplyText, events)) == "Right."


@pytest.mark.slow
@pytest.mark.parametrize("barge_in", ["never", "immediate"])
def test_recorded_speech_gives_the_same_turns_however_it_is_cut(speech: Speech, barge_in: Any) -> None:
    pcm, rate = speech("beckett")
    with pipeline(vad="silero", stt=Fingerprints()) as pipe:

        def run(size: int) -> list[object]:
            return described(VoiceSession(pipe, sample_rate=rate, barge_in=barge_in).run(cut(pcm, size)))

        whole = run(len(pcm))
        assert len(whole) > 20
        assert run(333) == whole
        assert run(4001) == whole


@pytest.mark.slow
def test_a_question_in_recorded_speech_is_understood_and_its_words_are_placed(speech: Speech) -> None:
    pcm, rate = speech("hello_world")
    recording = Recording((pcm / 32768).astype(np.float32), rate)
    with Pipeline(llm=lambda messages: "Good day.") as pipe:
        session = VoiceSession(pipe, sample_rate=rate)
        events = list(session.run(frames(recording, 30)))
        assert session.history == [
            {"role": "user", "content": "hello world"},
            {"role": "assistant", "content": "Good day."},
        ]
    (turn,) = turns(events)
    assert [word.text for word in turn.words] == ["hello", "world"]
    assert 0 < turn.words[0].start_sample < turn.words[0].end_sample <= turn.words[1].start_sample < len(pcm)
    done = of(ReplyEnded, events)[0].turn.figures
    assert done.transcript_ms is not None
    assert done.first_text_ms is not None
    assert done.first_audio_ms is not None
    assert 0 < done.transcript_ms <= done.first_text_ms <= done.first_audio_ms
    assert sum(len(event.samples) for event in of(ReplyAudio, events)) > 24_000 * 0.3


def test_a_fake_synthesizer_is_opened_and_closed_with_its_pipeline() -> None:
    tts = FakeSynthesizer()
    with pipeline(tts=tts):
        assert (tts.opened, tts.closed) == (1, 0)
    assert (tts.opened, tts.closed) == (1, 1)
