"""Summaries of long conversations: the model is asked once, and answers with one event unless it is abandoned."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import pytest

from parley.core.words.effects import AbandonSummary, Summarize
from parley.core.words.errors import Fault
from parley.core.words.events import Event, ItemCreateRequested, Summarized, SummaryFailed
from parley.core.words.ids import ItemId, SummaryId
from parley.core.words.items import InputText, Message, OutputText
from parley.core.words.notices import ErrorRaised, ResponseDone
from parley.core.words.settings import OwnerSettings, Settings
from parley.core.words.work import Prompt
from parley.engines.ports import LLM, ChatEnd, EngineError, EngineSet
from parley.runtime.generation.screening import Remembered
from parley.runtime.generation.summaries import MAX_CHARACTERS, SummaryWriter
from parley.testing.fakes import FakeModel, Hold, Written
from tests.runtime.rig import Rig, pipeline, settled

SUMMARY = SummaryId(3)
SECRET = "my card is 4929"
ITEMS = (
    Message(ItemId("a"), "user", (InputText(SECRET),)),
    Message(ItemId("b"), "assistant", (OutputText("I will keep it."),)),
)
EFFECT = Summarize(SUMMARY, Prompt("Be brief.", ITEMS), 70, "text", "en")


class Asked:
    """One model, and the events that came of its summaries."""

    def __init__(
        self, *script: Written, judged: Remembered | None = None, model: bool = True, cut: bool = False
    ) -> None:
        self.model = FakeModel(script, cut=cut)
        self.events: list[Event] = []
        engines = EngineSet({LLM: self.model} if model else {})
        self.summaries = SummaryWriter(engines, judged or Remembered(), self.events.append)

    async def ends(self) -> Sequence[Event]:
        await settled(lambda: not self.summaries.tasks())
        return self.events


async def test_what_the_model_writes_is_the_summary() -> None:
    asked = Asked("Ada told ", "her card number.")
    asked.summaries.start(EFFECT)
    assert await asked.ends() == [Summarized(SUMMARY, "Ada told her card number.")]
    (request,) = asked.model.requests
    assert [message.role for message in request.messages] == ["system", "user", "assistant", "user"]
    assert "70 words" in request.messages[-1].text


@pytest.mark.parametrize(
    ("script", "fault"),
    [
        ([EngineError("It is busy.", code="rate_limit")], Fault("rate_limit", "It is busy.")),
        (["Ada", ChatEnd("content_filter")], Fault("content_filter", "The model's filter stopped the summary.")),
    ],
)
async def test_a_failure_is_posted_and_logged_without_what_was_said(
    script: list[Written], fault: Fault, caplog: pytest.LogCaptureFixture
) -> None:
    asked = Asked(*script)
    with caplog.at_level(logging.DEBUG):
        asked.summaries.start(EFFECT)
        (event,) = await asked.ends()
    assert isinstance(event, SummaryFailed)
    assert (event.summary, event.fault.code) == (SUMMARY, fault.code)
    assert fault.message in event.fault.message
    assert fault.message in caplog.text
    assert SECRET not in caplog.text


async def test_a_connection_that_breaks_makes_no_summary() -> None:
    asked = Asked("Ada told", cut=True)
    asked.summaries.start(EFFECT)
    (event,) = await asked.ends()
    assert isinstance(event, SummaryFailed)
    assert event.fault.code == "connection_failed"


async def test_a_pipeline_without_a_model_fails() -> None:
    asked = Asked(model=False)
    asked.summaries.start(EFFECT)
    (event,) = await asked.ends()
    assert isinstance(event, SummaryFailed)
    assert event.fault.code == "no_engine"


async def test_a_model_that_never_stops_is_not_read_for_ever() -> None:
    asked = Asked(*["word " * 1_000] * 20, Hold())
    asked.summaries.start(EFFECT)
    (event,) = await asked.ends()
    assert isinstance(event, Summarized)
    assert len(event.text) == MAX_CHARACTERS
    assert asked.model.running == 0, "its stream is closed"


@pytest.mark.parametrize("how", ["abandoned", "released"])
async def test_nothing_is_posted_once_it_is_abandoned(how: str) -> None:
    hold = Hold()
    asked = Asked("Ada ", hold, "told")
    asked.summaries.start(EFFECT)
    await settled(lambda: asked.model.running == 1)
    assert len(asked.summaries.tasks()) == 1
    if how == "abandoned":
        asked.summaries.abandon(AbandonSummary(SUMMARY))
    else:
        asked.summaries.release()
    assert await asked.ends() == []
    assert asked.model.running == 0
    asked.summaries.abandon(AbandonSummary(SUMMARY))


async def test_what_was_refused_is_not_summed_up() -> None:
    judged = Remembered()
    judged.put(SECRET, True)
    asked = Asked("Nothing much.", judged=judged)
    asked.summaries.start(EFFECT)
    await asked.ends()
    assert SECRET not in str(asked.model.requests)


async def test_a_session_sums_up_and_goes_on_with_the_summary() -> None:
    """The whole way: a driver, a session, and the prompt of the reply that comes after."""
    model = FakeModel(["They spoke of words."], ["Yes."])
    owner = OwnerSettings(context_tokens=1_000, compaction=True)
    rig = Rig(pipeline(llm=model), settings=Settings(modality="text", turn_detection=None), owner=owner)
    for number in range(3):
        rig.driver.post(ItemCreateRequested(Message(ItemId(f"m{number}"), "user", (InputText("word " * 240),))))
    await settled(lambda: len(model.requests) == 1 and not rig.driver.tasks())
    rig.say("And now?")
    await rig.client.heard(ResponseDone)
    assert not rig.client.all(ErrorRaised)
    await rig.over()
    first, second = model.requests
    assert "They spoke of words." in second.messages[0].text
    assert second.messages[-1].text == "And now?"
    assert len(str(second.messages)) < len(str(first.messages))
