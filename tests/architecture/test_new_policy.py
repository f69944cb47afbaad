"""A policy of another kind: what it must bring, and that no other file knows of it."""

from __future__ import annotations

from parley.core.policy.assistant import Assistant
from parley.core.policy.interpreter import Interpreter
from parley.core.policy.policy import Decided, OverOutput, Said, Say
from parley.core.words.notices import OutputTranscriptDelta, ResponseDone
from parley.engines.mt import bench as mt_bench
from parley.engines.ports import MT, EngineSet
from parley.runtime.pipeline import LoadedPipeline
from parley.testing.fakes import FakeModel, FakeRecognizer
from tests.runtime.rig import Rig, pipeline


class Echo(Assistant):
    """Says what was said, and is not interrupted."""

    def turn_ended(self, said: Said) -> tuple[Decided, ...]:
        return (Say(f"You said: {said.text}."),)

    def may_speculate(self, said: Said) -> bool:
        return False

    def voice_over_output(self) -> OverOutput:
        return "queue"


def spoken(rig: Rig) -> str:
    return "".join(delta.delta for delta in rig.client.all(OutputTranscriptDelta))


async def test_a_policy_of_its_own_needs_no_other_file() -> None:
    model = FakeModel()
    rig = Rig(pipeline(llm=model, stt=FakeRecognizer("hello there")), policy=Echo())
    rig.speak()
    done = await rig.client.heard(ResponseDone)
    assert done.response.status == "completed"
    assert spoken(rig) == "You said: hello there."
    assert model.requests == [], "no language model is asked"
    await rig.over()


async def test_an_interpreter_is_a_policy_and_a_translation_model() -> None:
    pipe = pipeline(stt=FakeRecognizer("Good morning."))
    engines = EngineSet({**pipe.engines, MT: mt_bench.create("", {"first_word_ms": 0})})
    rig = Rig(LoadedPipeline(pipe.name, engines, pipe.voice, pipe.config), policy=Interpreter("x-bench", "en"))
    rig.speak()
    done = await rig.client.heard(ResponseDone)
    assert done.response.status == "completed"
    assert spoken(rig).strip() == "dooG gninrom."
    await rig.over()


async def test_without_a_translation_model_a_translation_fails_by_name_and_the_session_goes_on() -> None:
    rig = Rig(pipeline(), policy=Interpreter("de", "en"))
    rig.speak()
    done = await rig.client.heard(ResponseDone)
    assert done.response.status == "failed"
    assert done.response.error is not None
    assert "translat" in done.response.error.message
    rig.say("Hello?")
    again = await rig.client.heard(ResponseDone, 2)
    assert again.response.status == "completed"
    await rig.over()
