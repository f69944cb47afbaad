"""An exception of the owner's code fails that turn only, and the event has the exception."""

from __future__ import annotations

import logging
import re
from collections.abc import Generator
from typing import Any

import numpy as np
import pytest

from parley.engines.ports import Word
from parley.library import (
    EngineError,
    EngineUnavailable,
    Failed,
    LibraryError,
    Pipeline,
    ReplyEnded,
    ToolEnded,
    Transcript,
    TurnEnded,
    VoiceSession,
    transcribe,
)
from parley.testing.fakes import FakeModel, FakeRecognizer, FakeSynthesizer, FakeVoiceActivity
from tests.library.own import PARTS, TALK, part
from tests.library.rig import RATE, judged, of, pipeline, silence, voice

FAILING = [name for name in PARTS if not name.startswith("tool")]
"""The model receives what a tool raises, and can react to it."""


class Once:
    """Raises the first time that it is called."""

    def __init__(self) -> None:
        self.error = LookupError("the cable is out")
        self.calls = 0

    def __call__(self) -> None:
        self.calls += 1
        if self.calls == 1:
            raise self.error


@pytest.mark.parametrize("name", FAILING)
def test_the_session_continues_after_any_part_has_raised_and_the_event_has_the_exception(name: str) -> None:
    once = Once()
    engines, options = part(name, once)
    with pipeline(**engines) as pipe:
        session = VoiceSession(pipe, sample_rate=RATE, **options)
        events = list(session.run([TALK]))
        (failed,) = of(Failed, events)
        assert "raised LookupError: the cable is out" in failed.message
        assert name.split()[0] in failed.message, "it says which part"
        assert "log" not in failed.message
        assert failed.part == name.split()[0]
        assert isinstance(failed.error, EngineError)
        assert failed.error.__cause__ is once.error
        asked = once.calls
        again = list(session.run([TALK]))
        assert once.calls > asked, "it is asked again"
        assert not of(Failed, again)
        assert of(ReplyEnded, again)
        assert of(ReplyEnded, again)[0].turn.answered


@pytest.mark.parametrize("name", PARTS)
def test_raises_true_raises_what_a_part_has_raised_and_the_session_goes_on(name: str) -> None:
    once = Once()
    engines, options = part(name, once)
    with pipeline(**engines) as pipe:
        session = VoiceSession(pipe, sample_rate=RATE, raises=True, **options)
        with pytest.raises(LookupError, match="the cable is out") as caught:
            list(session.run([TALK]))
        assert caught.value is once.error
        assert not session.closed
        assert of(ReplyEnded, list(session.run([TALK])))


async def test_raises_true_raises_from_a_live_session() -> None:
    once = Once()
    engines, options = part("llm generator", once)
    async with pipeline(**engines) as pipe:
        session = VoiceSession(pipe, sample_rate=RATE, raises=True, **options)
        with pytest.raises(LookupError):
            async for _ in session.live([voice(400), silence(900)]):
                pass


@pytest.mark.slow
async def test_a_voice_model_that_raises_once_ends_no_live_session() -> None:
    once = Once()
    engines, _ = part("vad object", once)
    async with pipeline(**engines) as pipe:
        session = VoiceSession(pipe, sample_rate=RATE)
        events = [event async for event in session.live([silence(100), voice(400), silence(800)], [])]
    (failed,) = of(Failed, events)
    assert failed.part == "vad"
    assert of(ReplyEnded, events)[0].turn.heard == "hello there"


def test_with_raises_true_an_engine_error_is_raised_as_it_is() -> None:
    model = FakeModel([EngineError("No credit left.", code="insufficient_quota")])
    with pipeline(llm=model) as pipe:
        session = VoiceSession(pipe, sample_rate=RATE, raises=True)
        with pytest.raises(EngineError, match="No credit left") as caught:
            session.say("hello")
        assert caught.value.code == "insufficient_quota"


def test_a_part_that_always_fails_is_reported_once_in_a_turn() -> None:
    def broken(pause: Any) -> int:
        raise ValueError("no idea")

    talk = np.concatenate([voice(600), silence(2500)])
    with pipeline() as pipe:
        session = VoiceSession(pipe, sample_rate=RATE, endpointing=broken)
        events = list(session.run([talk, talk]))
    assert len(of(TurnEnded, events)) == 2, "the built-in endpointing stands in"
    assert [event.part for event in of(Failed, events)] == ["endpointing"] * 2


@pytest.mark.parametrize(
    ("options", "part_named", "what"),
    [
        ({"endpointing": lambda pause: None}, "endpointing", "gave None"),
        ({"endpointing": lambda pause: "500"}, "endpointing", "gave '500'"),
        ({"endpointing": lambda pause: -1}, "endpointing", "gave -1"),
        ({"endpointing": lambda pause: float("nan")}, "endpointing", "gave nan"),
        ({"barge_in": lambda words, ms: "yes"}, "barge_in", "gave 'yes'"),
        ({"policy": lambda transcript: [1]}, "policy", r"gave \[1\]"),
        ({"chunker": lambda text: "One"}, "chunker", "gave 'One'"),
        ({"chunker": lambda text: len(text) + 1}, "chunker", "for a text of"),
    ],
)
def test_a_useless_answer_is_named(options: dict[str, Any], part_named: str, what: str) -> None:
    with pipeline() as pipe:
        failed = of(Failed, list(VoiceSession(pipe, sample_rate=RATE, **options).run([TALK])))
    assert failed[0].part == part_named
    assert re.search(what, failed[0].message)


@pytest.mark.parametrize(
    ("engines", "what"),
    [
        ({"vad": lambda frame: 2.0}, "gave 2.0"),
        ({"vad": lambda frame: None}, "gave None"),
        ({"stt": lambda audio: None}, "gave a NoneType"),
        ({"stt": lambda audio: Transcript(None)}, r"gave Transcript\(text=None"),  # type: ignore[arg-type]
        ({"stt": lambda audio: Transcript("hi", ("hi",))}, r"words=\('hi',\)"),  # type: ignore[arg-type]
        ({"stt": lambda audio: Transcript("hi", None)}, "words=None"),  # type: ignore[arg-type]
        ({"stt": lambda audio: Transcript("hi", (Word("hi", float("nan"), 1.0),))}, "start_ms=nan"),
        ({"turn": judged(float("nan"))}, "The turn judge gave nan. A probability lies between 0 and 1."),
        ({"turn": judged(2.0)}, "The turn judge gave 2.0"),
        ({"tts": lambda text: None}, "gave NoneType"),
        ({"tts": lambda text: np.zeros((10, 2), np.int16)}, r"int16 samples of shape \[10, 2\]"),
        ({"tts": lambda text: np.full(100, 3000.0, np.float32)}, "beyond"),
        ({"tts": lambda text: np.zeros(10, np.int64)}, "int64"),
    ],
)
def test_what_a_function_gives_in_place_of_an_engine_is_checked(engines: dict[str, Any], what: str) -> None:
    with pipeline(**engines) as pipe:
        session = VoiceSession(pipe, sample_rate=RATE)
        failed = of(Failed, session.say("hello") + list(session.run([TALK])))
    assert failed
    assert re.search(what, failed[0].message)


def test_an_exception_of_a_tool_is_shown_to_the_model_and_is_in_the_event() -> None:
    once = Once()
    engines, options = part("tool function", once)
    with pipeline(**engines) as pipe:
        session = VoiceSession(pipe, sample_rate=RATE, **options)
        (answered,) = of(ToolEnded, session.say("look"))
    assert answered.failed
    assert answered.error is once.error


def test_a_stream_that_cannot_be_closed_breaks_no_session() -> None:
    class Clinging(FakeRecognizer):
        def open_stream(self, spec: Any, on_partial: Any) -> Any:
            stream = super().open_stream(spec, on_partial)
            stream.close = self._cling  # type: ignore[method-assign]
            return stream

        def _cling(self) -> None:
            raise OSError("busy")

    with pipeline(stt=Clinging("one", "two"), turn=None) as pipe:
        session = VoiceSession(pipe, sample_rate=RATE, barge_in="confirmed")
        session.say("hello")
        # A cough over the reply: its transcription is dropped.
        events = session.step(np.concatenate([silence(100), voice(100), silence(900)])) + session.flush()
        assert [event.message for event in of(Failed, events)] == ["The stt engine fake raised OSError: busy"]
        assert of(ReplyEnded, events)[0].turn.answered == "One two three four five."


def test_one_streams_failure_in_a_function_for_voices_is_no_other_streams_and_no_frame_is_heard_twice() -> None:
    from parley.library.function_recognizers import FunctionVad

    frames: list[float] = []

    def count() -> Generator[float, Any, None]:
        probability = 0.0
        while True:
            frame = yield probability
            frames.append(float(frame[0]))
            if frame[0] < 0:
                raise ValueError("below zero")
            probability = 0.25

    vad = FunctionVad(count)
    good, bad = vad.allocate(), vad.allocate()
    batch = np.zeros((2, 512), np.float32)
    batch[0, 0], batch[1, 0] = 0.5, -0.5
    with pytest.raises(ValueError, match="below zero"):
        vad.score([good, bad], batch)
    assert vad.score([good], batch[:1]).tolist() == [0.25]
    with pytest.raises(ValueError, match="below zero"):
        vad.score([bad], batch[1:])
    assert frames == [0.5, -0.5]
    assert vad.score([good, bad], np.ones((2, 512), np.float32)).tolist() == [0.25, 0.25], "a new generator goes on"


def test_an_engine_that_cannot_be_opened_is_raised_with_its_own_exception_behind_it() -> None:
    class Shy(FakeSynthesizer):
        async def open(self) -> None:
            raise ZeroDivisionError("no weights at all")

    with pytest.raises(EngineUnavailable, match="ZeroDivisionError: no weights at all") as caught:
        pipeline(tts=Shy()).open()
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert "server" not in str(caught.value)


def test_transcribing_raises_with_the_exception_behind_it() -> None:
    error = RuntimeError("out of memory")
    recording = [np.concatenate([voice(600), silence(900)])]
    with pytest.raises(EngineError, match="RuntimeError: out of memory") as caught:
        list(transcribe(recording, sample_rate=RATE, stt=FakeRecognizer(error), vad=FakeVoiceActivity()))
    assert isinstance(caught.value.__cause__, EngineError)
    assert caught.value.__cause__.__cause__ is error


def test_a_failure_is_logged_once_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    engines, _ = part("llm async", Once())
    with caplog.at_level(logging.ERROR), pipeline(**engines) as pipe:
        VoiceSession(pipe, sample_rate=RATE).say("hello")
    (record,) = caplog.records
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], LookupError)


# --- values ---------------------------------------------------------------------------------------------------------------


class Judge:
    def pause_needed_ms(self, detection: Any, pause: Any) -> int:
        return 500


class Half:
    def turn_ended(self, said: object) -> tuple[object, ...]:
        return ()


async def later(*given: Any) -> bool:
    return True


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (
            {"barge_in": "sometimes"},
            r"barge_in='sometimes' is not possible\. Choose one of 'immediate', 'confirmed', 'never'",
        ),
        ({"barge_in": True}, "barge_in=True is not possible"),
        ({"barge_in": later}, "barge_in=.*is asynchronous"),
        ({"speed": 9}, r"speed=9 is not possible\. Choose a number from 0.25 to 1.5"),
        ({"speed": "fast"}, "speed='fast'"),
        ({"speed": float("nan")}, "speed=nan"),
        ({"pre_roll": -5}, "pre_roll=-5 is not possible"),
        ({"pre_roll": 2001}, "from 0 to 2000 ms"),
        ({"pre_roll": lambda before: 3}, "pre_roll=<function"),
        ({"modality": "video"}, "modality='video' is not possible"),
        ({"endpointing": "500"}, "endpointing='500' is not possible"),
        ({"endpointing": True}, "endpointing=True"),
        ({"endpointing": -1}, "endpointing=-1"),
        ({"endpointing": Judge}, r"endpointing=Judge is a class\. Give an object of it: Judge\(\.\.\.\)"),
        ({"endpointing": later}, "is asynchronous"),
        ({"policy": "all"}, "policy='all' is not possible"),
        ({"policy": Half()}, "lacks words_became_stable, may_speculate, voice_over_output, speaks"),
        ({"policy": Half}, "policy=Half is a class"),
        ({"history": "hi"}, "history='hi' is not possible"),
        ({"history": ["hi"]}, r"history\[0\]='hi' is not possible"),
        ({"history": {"role": "user"}}, "history="),
        ({"history": [{"role": "assistant", "tool_calls": 5}]}, r"history\[0\]\['tool_calls'\]=5 is not possible"),
        ({"history": [{"role": "tool", "tool_call_id": 5}]}, r"history\[0\]\['tool_call_id'\]=5 is not possible"),
        ({"history": [{"role": "assistant", "tool_calls": [{"id": "x"}]}]}, r"history\[0\]: this is no tool call"),
        ({"tools": ["x"]}, "tools='x' is not possible"),
        ({"tools": "x"}, "tools='x' is not possible"),
        ({"tools": [Judge]}, "tools=Judge is a class"),
        ({"chunk_ms": 0}, "chunk_ms=0"),
        ({"chunk_ms": 32.5}, "chunk_ms=32.5"),
        ({"chunk_ms": "32"}, "chunk_ms='32'"),
        ({"sample_rate": "16000"}, "sample_rate='16000'"),
        ({"sample_rate": 16000.0}, "sample_rate=16000.0"),
        ({"output_rate": 0}, "output_rate=0 Hz"),
        ({"engine_timeout_s": 0}, "engine_timeout_s=0"),
        ({"engine_timeout_s": None}, "engine_timeout_s=None"),
        ({"instructions": 3}, "instructions=3"),
        ({"voice": 3}, "voice=3"),
        ({"raises": "yes"}, "raises='yes'"),
        ({"chunker": 30}, "chunker=30"),
        ({"on_first_play": "print"}, "on_first_play='print'"),
        ({"on_first_play": later}, "on_first_play=.*is asynchronous"),
        ({"turn_detection": "loud"}, "turn_detection='loud' is not known"),
        ({"turn_detection": {"type": "server_vad"}}, "is not known"),
    ],
)
def test_a_value_that_cannot_be_is_refused_when_the_session_is_made(options: dict[str, Any], what: str) -> None:
    with pytest.raises(LibraryError, match=what):
        VoiceSession(pipeline(), **({"sample_rate": RATE} | options))


def test_settings_of_turn_detection_are_checked_too() -> None:
    from parley.library import SemanticVad, ServerVad

    for detection, what in [
        (ServerVad(threshold=7), r"ServerVad\.threshold=7"),
        (ServerVad(silence_duration_ms=-5), r"ServerVad\.silence_duration_ms=-5"),
        (ServerVad(prefix_padding_ms=5000), r"ServerVad\.prefix_padding_ms=5000"),
        (ServerVad(idle_timeout_ms=0), r"ServerVad\.idle_timeout_ms=0"),
        (ServerVad(interrupt_response="no"), r"ServerVad\.interrupt_response='no'"),  # type: ignore[arg-type]
        (SemanticVad(eagerness="keen"), r"SemanticVad\.eagerness='keen'"),  # type: ignore[arg-type]
        (ServerVad, "turn_detection=ServerVad is a class"),
    ]:
        with pytest.raises(LibraryError, match=what):
            VoiceSession(pipeline(), sample_rate=RATE, turn_detection=detection)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"vad": FakeVoiceActivity}, r"vad=FakeVoiceActivity is a class\. Give an object of it"),
        ({"llm": FakeModel}, "llm=FakeModel is a class"),
        ({"tts": FakeRecognizer()}, "tts=.* is no engine: it lacks resolve_voice, speak"),
        ({"stt": 3}, r"stt=3 is no engine: it lacks .*open_stream.*a function"),
        ({"turn": lambda pause: 1.0}, "turn=.* is no engine"),
        ({"vad": later}, "is asynchronous"),
        ({"barge_in": "sometimes"}, "barge_in='sometimes'"),
        ({"barge_in": "never"}, "barge_in='never'"),
        ({"speculate_after_ms": -1}, "speculate_after_ms=-1"),
        ({"context_tokens": 0}, "context_tokens=0"),
        ({"instructions": None}, "instructions=None"),
        ({"voice": None}, "voice=None"),
        ({"language": 5}, "language=5"),
        ({"speculation": "no"}, "speculation='no'"),
    ],
)
def test_a_pipeline_is_checked_when_it_is_made(options: dict[str, Any], what: str) -> None:
    with pytest.raises(LibraryError, match=what):
        Pipeline(**options)


def test_a_session_wants_a_pipeline() -> None:
    for wrong in ("default", Pipeline, None):
        with pytest.raises(LibraryError, match="pipeline="):
            VoiceSession(wrong, sample_rate=RATE)  # type: ignore[arg-type]
