"""What may be one's own: the model, the tools, the history, and each judgement about the voice."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import pytest

from parley.core.words.settings import TurnDetection
from parley.library import (
    CallFunction,
    EngineSpec,
    EngineUnavailable,
    Failed,
    LibraryError,
    PauseSeen,
    Pipeline,
    ReplyEnded,
    ReplyText,
    ServerVad,
    SpeechStarted,
    ToolCalled,
    ToolEnded,
    Transcriber,
    TurnEnded,
    VoiceEvent,
    VoiceSession,
)
from parley.library.tools import FunctionAsTool
from parley.testing.fakes import FakeModel, FakeRecognizer
from tests.library.rig import RATE, of, pipeline, silence, voice

# --- the model --------------------------------------------------------------------------------------------------------


def plain(messages: list[dict[str, Any]]) -> str:
    return f"{len(messages)} messages."


def generated(messages: list[dict[str, Any]]) -> Iterator[str]:
    yield "One. "
    yield "Two."


async def awaited(messages: list[dict[str, Any]]) -> str:
    return "Awaited."


async def streamed(messages: list[dict[str, Any]]) -> AsyncIterator[str]:
    yield "One. "
    yield "Two."


class Counter:
    """An object that can be called, and an iterable that is no generator."""

    def __call__(self, messages: list[dict[str, Any]]) -> list[str]:
        return ["One. ", "Two."]


@pytest.mark.parametrize(
    ("function", "reply"),
    [
        (plain, "2 messages."),
        (generated, "One. Two."),
        (awaited, "Awaited."),
        (streamed, "One. Two."),
        (Counter(), "One. Two."),
    ],
)
def test_any_kind_of_function_is_a_language_model(function: Any, reply: str) -> None:
    with pipeline(llm=function) as pipe:
        session = VoiceSession(pipe, sample_rate=RATE)
        events = session.say("hello") + session.flush()
    assert "".join(event.text for event in of(ReplyText, events)) == reply


def test_a_function_that_raises_fails_that_reply_and_says_why() -> None:
    def broken(messages: list[dict[str, Any]]) -> str:
        return {"hello": "Hi."}[messages[-1]["content"]]

    with pipeline(llm=broken) as pipe:
        session = VoiceSession(pipe, sample_rate=RATE)
        events = session.say("good morning") + session.flush()
        (failed,) = of(Failed, events)
        assert failed.code == "function_failed"
        assert "broken() raised KeyError: 'good morning'" in failed.message
        events = session.say("hello") + session.flush()
        assert of(ReplyEnded, events)[0].turn.answered == "Hi."


def test_a_function_that_returns_no_text_gets_an_error_that_says_what_a_reply_is() -> None:
    with pipeline(llm=lambda messages: 42) as pipe:
        session = VoiceSession(pipe, sample_rate=RATE)
        (failed,) = of(Failed, session.say("hello"))
    assert "gave a int" in failed.message


def test_an_interrupted_generator_is_closed() -> None:
    closed = threading.Event()

    def endless(messages: list[dict[str, Any]]) -> Iterator[str]:
        try:
            while True:
                yield "And on. "
                time.sleep(0.001)  # lest the test write a million clauses
        finally:
            closed.set()

    with pipeline(llm=endless, stt=FakeRecognizer("stop")) as pipe:
        session = VoiceSession(pipe, sample_rate=RATE)
        session.say("begin")
        events = session.step(np.concatenate([silence(200), voice(600)]))
        assert of(ReplyEnded, events)[0].turn.interrupted
    assert closed.wait(10)  # in the generator's own thread


# --- tools ------------------------------------------------------------------------------------------------------------


@dataclass
class Place:
    city: str
    country: str = "France"


def weather(
    place: Place, unit: Literal["celsius", "fahrenheit"] = "celsius", days: Annotated[int, "how far ahead"] = 1
) -> dict[str, Any]:
    """The weather somewhere.

    It is made up.

    Args:
        place: where
        unit: of the temperature
    """
    if place.city == "Atlantis":
        raise LookupError("it has sunk")
    return {"city": place.city, "unit": unit, "days": days}


async def later(seconds: float) -> str:
    """Says what is later."""
    return f"in {seconds} seconds"


def asks(*calls: CallFunction) -> Any:
    """A model that makes these calls, then reads the outputs."""

    def model(messages: list[dict[str, Any]]) -> Iterator[str | CallFunction]:
        outputs = [message["content"] for message in messages if message["role"] == "tool"]
        if outputs:
            yield "Done: " + " and ".join(outputs)
        else:
            yield "Let me see. "
            yield from calls

    return model


def test_a_tool_is_described_by_its_hints_and_its_docstring() -> None:
    tool = FunctionAsTool(weather)
    assert tool.declared.description == "The weather somewhere."
    properties = tool.parameters["properties"]
    assert properties["days"] == {"type": "integer", "description": "how far ahead", "default": 1}
    assert properties["unit"]["enum"] == ["celsius", "fahrenheit"]
    assert properties["unit"]["description"] == "of the temperature"
    assert tool.parameters["required"] == ["place"]
    assert tool.parameters["$defs"]["Place"]["required"] == ["city"]
    assert tool.parameters["additionalProperties"] is False


def test_tools_are_called_and_the_reply_continues_with_their_outputs() -> None:
    model = asks(CallFunction("weather", {"place": {"city": "Paris"}}), CallFunction("later", {"seconds": 2}))
    with pipeline(llm=model) as pipe:
        session = VoiceSession(pipe, sample_rate=RATE, tools=[weather, later])
        events = session.step(voice(600)) + session.flush()
        assert [(event.name, event.arguments) for event in of(ToolCalled, events)] == [
            ("weather", {"place": {"city": "Paris"}}),
            ("later", {"seconds": 2}),
        ]
        answers = {event.name: event.output for event in of(ToolEnded, events)}
        assert json.loads(answers["weather"]) == {"city": "Paris", "unit": "celsius", "days": 1}
        assert answers["later"] == "in 2.0 seconds"
        (ended,) = of(ReplyEnded, events)
        assert ended.turn.heard == "hello there"
        assert ended.turn.answered.startswith("Let me see. Done: {")
        assert len(ended.turn.calls) == 2
        roles = [message["role"] for message in session.history]
        assert roles == ["user", "assistant", "tool", "tool", "assistant"]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (CallFunction("weather", {"place": {"city": "Atlantis"}}), "LookupError: it has sunk"),
        (CallFunction("weather", {"town": "Paris"}), "wrong arguments"),
        (CallFunction("weather", {"place": {"city": "Paris"}, "unit": "kelvin"}), "wrong arguments"),
    ],
)
def test_a_failed_call_of_a_tool_is_shown_to_the_model(call: CallFunction, said: str) -> None:
    with pipeline(llm=asks(call)) as pipe:
        session = VoiceSession(pipe, sample_rate=RATE, tools=[weather])
        events = session.say("go") + session.flush()
    (answered,) = of(ToolEnded, events)
    assert answered.failed
    assert said in json.loads(answered.output)["error"]
    assert said in of(ReplyEnded, events)[0].turn.written


def test_the_model_is_shown_the_beginning_of_a_long_tool_output() -> None:
    def book() -> str:
        return "A page. " * 300_000

    with pipeline(llm=asks(CallFunction("book"))) as pipe:
        session = VoiceSession(pipe, sample_rate=RATE, tools=[book])
        events = session.say("go")
    assert not of(Failed, events)
    (answered,) = of(ToolEnded, events)
    assert answered.output.startswith("A page. A page.")
    assert answered.output.endswith("[cut: 2400000 characters in all]")
    assert len(answered.output) < 70_000


def test_a_model_that_calls_tools_forever_is_stopped() -> None:
    calls = 0

    def count() -> int:
        nonlocal calls
        calls += 1
        return calls

    def stubborn(messages: list[dict[str, Any]]) -> CallFunction:
        return CallFunction("count")

    with pipeline(llm=stubborn) as pipe:
        session = VoiceSession(pipe, sample_rate=RATE, tools=[count])
        events = session.say("go") + session.flush()
        assert 1 < calls <= 17
        assert len(of(ReplyEnded, events)) == 1
        assert [event.code for event in of(Failed, events)] == ["too_many_tool_rounds"]
        before = calls
        session.say("again")
        assert calls > before, "the next turn may call again"


def test_a_function_without_hints_is_no_tool() -> None:
    def vague(x, *more):  # type: ignore[no-untyped-def]
        return x

    def untyped(x) -> None:  # type: ignore[no-untyped-def]
        """Nothing."""

    with pytest.raises(LibraryError, match="'x' of the tool untyped has no type hint"):
        FunctionAsTool(untyped)
    with pytest.raises(LibraryError):
        FunctionAsTool(vague)
    with pipeline() as pipe, pytest.raises(LibraryError, match="Two tools are named 'later'"):
        VoiceSession(pipe, sample_rate=RATE, tools=[later, later])


# --- the conversation -------------------------------------------------------------------------------------------------

HISTORY: list[dict[str, Any]] = [
    {"role": "system", "content": "The user is called Ada."},
    {"role": "user", "content": "What is the weather in Paris?"},
    {
        "role": "assistant",
        "content": "Let me see.",
        "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Paris"}'}}
        ],
    },
    {"role": "tool", "content": "21 degrees", "tool_call_id": "c1"},
    {"role": "assistant", "content": "It is 21 degrees."},
]


def test_the_history_is_json_and_another_session_continues_it() -> None:
    model = FakeModel(["You asked about Paris."], ["Nothing else."])
    with pipeline(llm=model) as pipe:
        first = VoiceSession(pipe, sample_rate=RATE, history=HISTORY)
        assert first.history == HISTORY
        first.step(voice(600))
        first.flush()
        saved = json.dumps(first.history)
        second = VoiceSession(pipe, sample_rate=RATE, history=json.loads(saved))
        second.say("what else?")
        second.flush()
        assert second.history == [
            *HISTORY,
            {"role": "user", "content": "hello there"},
            {"role": "assistant", "content": "You asked about Paris."},
            {"role": "user", "content": "what else?"},
            {"role": "assistant", "content": "Nothing else."},
        ]
    asked = [(message.role, message.text) for message in model.requests[0].messages[1:]]
    assert asked[0] == ("system", "The user is called Ada.")
    assert asked[-1] == ("user", "hello there")


@pytest.mark.parametrize(
    ("history", "what"),
    [
        ([{"role": "robot", "content": "x"}], r"history\[0\]: there is no role 'robot'"),
        ([{"role": "user", "content": ["x"]}], r"history\[0\]: content is list"),
        ([{"role": "tool", "content": "x", "tool_call_id": "nobody's"}], "No function call with the call_id"),
    ],
)
def test_an_invalid_history_is_refused(history: list[dict[str, Any]], what: str) -> None:
    with pipeline() as pipe, pytest.raises(LibraryError, match=what):
        VoiceSession(pipe, sample_rate=RATE, history=history).step(silence(40))


# --- the judgements ---------------------------------------------------------------------------------------------------


def ends(pipe: Pipeline, **rules: Any) -> list[int]:
    """The milliseconds at which the turns of a talk end."""
    talk = np.concatenate([voice(640), silence(320), voice(640), silence(1600)])
    session = VoiceSession(pipe, sample_rate=1000 * 24, **rules)
    return [event.turn.end_sample // 24 for event in of(TurnEnded, list(session.run([talk])))]


def test_endpointing_can_be_a_number_a_function_or_an_object() -> None:
    class Patient:
        def pause_needed_ms(self, detection: TurnDetection, pause: PauseSeen) -> int:
            return 1200

    seen: list[PauseSeen] = []

    def by_length(pause: PauseSeen) -> int:
        seen.append(pause)
        return 192 if pause.turn_ms > 1000 else 480

    with pipeline() as pipe:
        assert ends(pipe) == pytest.approx([640 + 320 + 640 + 500], abs=64)
        assert ends(pipe, endpointing=160) == pytest.approx([640 + 160, 640 + 320 + 640 + 160], abs=64)
        assert ends(pipe, endpointing=Patient()) == pytest.approx([640 + 320 + 640 + 1200], abs=64)
        assert ends(pipe, endpointing=by_length) == pytest.approx([640 + 320 + 640 + 192], abs=64)
        assert ends(pipe, turn_detection=ServerVad(silence_duration_ms=700)) == pytest.approx([1600 + 700], abs=64)
    assert {pause.turn_ms // 100 for pause in seen} == {6, 16}


def begins(pipe: Pipeline, before_ms: int, **rules: Any) -> int:
    session = VoiceSession(pipe, sample_rate=RATE, **rules)
    events = session.step(np.concatenate([silence(before_ms), voice(600)]))
    return of(SpeechStarted, events)[0].start_sample // 24


def test_pre_roll_can_be_a_number_or_an_object_that_looks_at_what_was_before() -> None:
    class ToTheLastSound:
        def __init__(self) -> None:
            self.before: tuple[float, ...] = ()

        def pre_roll_ms(self, detection: TurnDetection, before: tuple[float, ...]) -> int:
            self.before = before
            return 32 * 20

    rule = ToTheLastSound()
    with pipeline() as pipe:
        assert begins(pipe, 1600) == 1600 - 300
        assert begins(pipe, 1600, pre_roll=0) == 1600
        assert begins(pipe, 1600, pre_roll=1200) == 1600 - 1200
        assert begins(pipe, 1600, pre_roll=rule) == 1600 - 640
        assert rule.before == (0.0,) * 50
        assert begins(pipe, 320, pre_roll=1200) == 0


def interrupted(**rules: Any) -> bool:
    with pipeline(llm=FakeModel(["One two three four five six seven eight."])) as pipe:
        session = VoiceSession(pipe, sample_rate=RATE, **rules)
        session.say("count")
        events: list[VoiceEvent] = session.step(np.concatenate([silence(300), voice(320), silence(400)]))
        events += session.flush()
        return of(ReplyEnded, events)[0].turn.interrupted


def test_barge_in_can_be_a_name_a_function_or_an_object() -> None:
    asked: list[tuple[str, int]] = []

    class Never:
        def takes_floor(self, text: str, voice_ms: int) -> bool:
            asked.append((text, voice_ms))
            return False

    assert interrupted()
    assert not interrupted(barge_in="confirmed")
    assert not interrupted(barge_in="never")
    assert not interrupted(barge_in=Never())
    assert interrupted(barge_in=lambda text, voice_ms: voice_ms > 200)
    assert not interrupted(barge_in=lambda text, voice_ms: voice_ms > 400)
    assert max(ms for _, ms in asked) == pytest.approx(320, abs=32)


def test_policy_can_be_a_function_or_an_object() -> None:
    def answered(**rules: Any) -> list[str]:
        with pipeline(stt=FakeRecognizer("computer on", "what?")) as pipe:
            session = VoiceSession(pipe, sample_rate=RATE, **rules)
            events = [
                *session.step(voice(600)),
                *session.flush(),
                *session.step(np.concatenate([silence(100), voice(600)])),
                *session.flush(),
            ]
            return [event.turn.heard for event in of(ReplyEnded, events)]

    assert answered() == ["computer on", "what?"]
    assert answered(policy=lambda transcript: "computer" in transcript) == ["computer on"]
    assert answered(policy=Transcriber()) == []


def test_chunks_can_be_longer_or_shorter() -> None:
    with pipeline() as pipe:
        for chunk_ms in (10, 100):
            session = VoiceSession(pipe, sample_rate=RATE, chunk_ms=chunk_ms)
            (ended,) = of(TurnEnded, list(session.run([voice(600)])))
            assert ended.turn.chunks == 600 // chunk_ms
        with pytest.raises(LibraryError, match="chunk_ms=0"):
            VoiceSession(pipe, sample_rate=RATE, chunk_ms=0)


# --- pipelines --------------------------------------------------------------------------------------------------------


def test_an_engine_that_does_not_exist_is_named_with_the_one_that_was_meant() -> None:
    with pytest.raises(EngineUnavailable, match=r"no stt engine named 'pocketsphynx'.*Did you mean 'pocketsphinx'"):
        pipeline(stt="pocketsphynx").open()


def test_an_engine_with_a_wrong_option_is_refused() -> None:
    with pytest.raises(EngineUnavailable, match="thread"):
        pipeline(stt=EngineSpec("pocketsphinx", options={"thread": 1})).open()


def test_an_object_that_is_not_an_engine_is_refused_at_once() -> None:
    with pytest.raises(LibraryError, match="tts=3 is no engine"):
        pipeline(tts=3)


def test_a_pipeline_opens_by_itself_and_can_be_opened_again() -> None:
    pipe = pipeline()
    session = VoiceSession(pipe, sample_rate=RATE)
    assert of(ReplyText, session.say("hello"))
    pipe.close()
    pipe.close()
    with pipe:
        assert of(ReplyText, VoiceSession(pipe, sample_rate=RATE).say("hello"))


def test_several_engines_may_be_named_in_order() -> None:
    made = Pipeline(llm=["openai:gpt-5-mini", "responder"], tts=["espeak"])
    engines = {stage.name: spec for stage, spec in made.config.engines.items()}
    assert (engines["llm"].name, engines["llm"].model) == ("chain", "openai:gpt-5-mini, responder")
    assert engines["tts"].name == "espeak"
    with pytest.raises(LibraryError, match="turn"):
        Pipeline(turn=["rules", "smart"])  # type: ignore[arg-type]
