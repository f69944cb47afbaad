"""The figures an operator sees after some turns."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from prometheus_client import generate_latest

from parley.core.words.events import CancelRequested, CommitRequested, ResponseRequested, SessionUpdateRequested
from parley.core.words.notices import (
    InputCommitted,
    InputSpeechStarted,
    OutputAudioDelta,
    OutputItemAdded,
    ResponseDone,
)
from parley.core.words.settings import Transcription
from parley.engines.ports import EngineError
from parley.runtime.metrics import Metrics
from parley.runtime.waterfall import measured
from parley.testing.fakes import FakeModel, FakeRecognizer, FakeSynthesizer, Hold, Pause
from tests.runtime.rig import Rig, pipeline, settled


def _value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def _turn(metrics: Metrics, rig: Rig) -> dict[str, Any]:
    """The one turn of the session so far, as the page reads it."""
    (turn,) = measured(metrics.accounts[rig.driver.session.id].turns)
    return dataclasses.asdict(turn)


async def test_a_turns_waterfall_is_counted_stage_by_stage() -> None:
    metrics = Metrics()
    llm = FakeModel([Pause(0.03), "It is noon."])
    rig = Rig(pipeline(llm=llm, stt=FakeRecognizer(Pause(0.02), "what time is it")), metrics=metrics)
    assert _value(metrics, "parley_sessions", pipeline="test") == 1
    rig.speak(ms=600, silence_ms=1_000)
    await rig.client.heard(ResponseDone)
    seconds = {
        stage: _value(metrics, "parley_stage_seconds_sum", pipeline="test", stage=stage)
        for stage in ("endpointing", "transcript", "model", "speech", "reply")
    }
    assert all(_value(metrics, "parley_stage_seconds_count", pipeline="test", stage=stage) == 1 for stage in seconds), (
        seconds
    )
    endpointing, transcript, model, reply = (
        seconds[name] or 0 for name in ("endpointing", "transcript", "model", "reply")
    )
    assert 0.45 <= endpointing <= 0.6
    assert transcript >= 0.02
    assert model >= 0.03
    assert reply >= transcript + model
    await rig.over()
    assert _value(metrics, "parley_turns_total", pipeline="test") == 1
    assert _value(metrics, "parley_responses_total", pipeline="test", status="completed") == 1
    assert _value(metrics, "parley_audio_seconds_total", pipeline="test", direction="generated") == pytest.approx(0.3)
    assert _value(metrics, "parley_audio_seconds_total", pipeline="test", direction="received") == pytest.approx(1.8)
    assert _value(metrics, "parley_sessions", pipeline="test") == 0
    assert b"parley_stage_seconds_bucket" in generate_latest(metrics.registry)


async def test_barge_ins_and_errors_are_counted_by_their_codes() -> None:
    metrics = Metrics()
    llm = FakeModel(
        ["One two three four five six seven eight. And so on", Hold()], [EngineError("No.", code="invalid_api_key")]
    )
    rig = Rig(pipeline(llm=llm, tts=FakeSynthesizer(word_ms=500)), metrics=metrics)
    rig.driver.post(CommitRequested())
    rig.say("count")
    await rig.client.heard(OutputAudioDelta, 4)
    rig.speak()
    await rig.client.heard(ResponseDone, 2)
    assert _value(metrics, "parley_barge_ins_total", pipeline="test") == 1
    assert _value(metrics, "parley_errors_total", source="reply", code="invalid_api_key") == 1
    assert _value(metrics, "parley_errors_total", source="client", code="input_audio_buffer_commit_empty") == 1
    await rig.over()


async def test_speculative_attempts_are_counted_as_won_or_lost() -> None:
    metrics = Metrics()
    llm = FakeModel(["It is noon.", Hold()], ["It is noon."])
    stt = FakeRecognizer("what time", "what time is it", "what time is it")
    pipe = pipeline(stt=stt, llm=llm, speculation=True, speculate_after_ms=100)
    rig = Rig(pipe, metrics=metrics)
    rig.speak(silence_ms=300)
    await settled(lambda: len(llm.requests) == 1)
    rig.speak(silence_ms=300)
    await settled(lambda: len(llm.requests) == 2)
    rig.hear(bytes(48 * 600))
    await rig.client.heard(ResponseDone)
    assert _value(metrics, "parley_speculations_total", pipeline="test", outcome="lost") == 1
    assert _value(metrics, "parley_speculations_total", pipeline="test", outcome="won") == 1
    await rig.over()


async def test_a_guess_that_was_wrong_counts_as_lost_though_it_had_been_made_to_its_end() -> None:
    metrics = Metrics()
    llm = FakeModel(["It is noon."], ["It is noon."])
    stt = FakeRecognizer("what time", "what time is it", "what time is it")
    rig = Rig(pipeline(stt=stt, llm=llm, speculation=True, speculate_after_ms=100), metrics=metrics)
    rig.speak(silence_ms=300)
    await settled(lambda: len(llm.requests) == 1 and not rig.driver.tasks())
    rig.speak(silence_ms=300)
    await settled(lambda: len(llm.requests) == 2 and not rig.driver.tasks())
    rig.hear(bytes(48 * 600))
    await rig.client.heard(ResponseDone)
    assert _value(metrics, "parley_speculations_total", pipeline="test", outcome="lost") == 1
    assert _value(metrics, "parley_speculations_total", pipeline="test", outcome="won") == 1
    turn = _turn(metrics, rig)
    assert (turn["speculation"], turn["speculations_lost"]) == ("won", 1)
    await rig.over()


async def test_a_reply_asked_for_in_mid_speech_is_no_guess() -> None:
    metrics = Metrics()
    rig = Rig(pipeline(llm=FakeModel(["It is noon. And then", Hold()])), metrics=metrics)
    rig.speak(silence_ms=100)
    await rig.client.heard(InputSpeechStarted)
    rig.driver.post(ResponseRequested())
    await rig.client.heard(OutputItemAdded)
    rig.driver.post(CancelRequested())
    await rig.client.heard(ResponseDone)
    assert _value(metrics, "parley_speculations_total", pipeline="test", outcome="lost") is None
    await rig.over()


async def test_a_sessions_own_waterfall_tells_where_the_time_of_each_turn_went() -> None:
    metrics = Metrics()
    llm = FakeModel([Pause(0.03), "It is noon."])
    rig = Rig(pipeline(llm=llm, stt=FakeRecognizer(Pause(0.02), "what time is it")), metrics=metrics)
    rig.driver.post(SessionUpdateRequested({"transcription": Transcription()}))
    rig.speak(ms=600, silence_ms=1_000)
    await rig.client.heard(ResponseDone)
    turn = _turn(metrics, rig)
    (committed,) = rig.client.all(InputCommitted)
    (done,) = rig.client.all(ResponseDone)
    assert (turn["ending"], turn["item_id"], turn["response_id"]) == ("voice", committed.item_id, done.response.id)
    transcript, requested, token, audio, sent = (
        turn[name] or 0.0 for name in ("transcript_ms", "requested_ms", "first_token_ms", "first_audio_ms", "sent_ms")
    )
    assert 20 <= transcript <= requested <= token <= audio <= sent
    assert token - requested >= 30
    assert 450 <= (turn["turn_end_at_ms"] or 0) - (turn["voice_end_at_ms"] or 0) <= 600
    assert turn["speculation"] == "none"
    await rig.over()
    assert metrics.accounts == {}, "nothing is kept of a session that is over"


async def test_the_waterfall_tells_of_a_guess_that_was_right_and_of_one_that_was_not() -> None:
    metrics = Metrics()
    llm = FakeModel(["It is noon.", Hold()], ["It is noon."])
    stt = FakeRecognizer("what time", "what time is it", "what time is it")
    rig = Rig(pipeline(stt=stt, llm=llm, speculation=True, speculate_after_ms=100), metrics=metrics)
    rig.speak(silence_ms=300)
    await settled(lambda: len(llm.requests) == 1)
    rig.speak(silence_ms=300)
    await settled(lambda: len(llm.requests) == 2)
    rig.hear(bytes(48 * 600))
    await rig.client.heard(ResponseDone)
    turn = _turn(metrics, rig)
    assert (turn["speculation"], turn["speculations_lost"]) == ("won", 1)
    assert turn["requested_ms"] is not None
    assert turn["requested_ms"] < 0, "the guess began before the turn was over"
    assert turn["first_token_ms"] is not None
    assert turn["first_token_ms"] < 0
    await rig.over()


async def test_a_typed_turn_is_timed_from_its_request() -> None:
    metrics = Metrics()
    rig = Rig(pipeline(llm=FakeModel([Pause(0.03), "It is noon."])), metrics=metrics)
    rig.say("what time is it")
    await rig.client.heard(ResponseDone)
    turn = _turn(metrics, rig)
    assert (turn["ending"], turn["item_id"], turn["voice_end_at_ms"]) == ("request", None, None)
    assert (turn["first_token_ms"] or 0) >= 30
    await rig.over()
