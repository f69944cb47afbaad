"""One session driven for real, on scripted engines."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

import pytest

from parley.core.session import Session
from parley.core.words.effects import Effect
from parley.core.words.errors import Fault, InvariantBroken
from parley.core.words.events import (
    AudioArrived,
    CancelRequested,
    ClientErred,
    CommitRequested,
    Event,
    ItemRetrieveRequested,
    SessionUpdateRequested,
)
from parley.core.words.ids import ClientEventId, ItemId
from parley.core.words.notices import (
    ErrorRaised,
    InputSpeechStarted,
    InputSpeechStopped,
    ItemAdded,
    Notice,
    OutputAudioDelta,
    OutputTextDone,
    OutputTranscriptDone,
    ResponseCreated,
    ResponseDone,
    SessionCreated,
)
from parley.core.words.settings import Capabilities, OwnerSettings, Settings
from parley.runtime.pipeline import LoadedPipeline
from parley.testing.fakes import FakeModel, FakeRecognizer, FakeSynthesizer, FakeVoiceActivity, Hold
from tests.runtime.rig import WAIT_S, Client, Rig, pipeline, settled


class _BreaksOnCommit(Session):
    """A session with a bug."""

    def handle(self, event: Event, now_ns: int) -> list[Effect]:
        if isinstance(event, CommitRequested):
            raise InvariantBroken("7: heard more than was played")
        return super().handle(event, now_ns)


async def test_the_client_is_greeted_before_anything_else() -> None:
    rig = Rig(pipeline())
    assert isinstance(rig.client.notices[0], SessionCreated)
    await rig.over()


async def test_a_spoken_question_gets_a_spoken_answer() -> None:
    llm = FakeModel(["It is ", "noon."])
    rig = Rig(pipeline(stt=FakeRecognizer("what time is it"), llm=llm))
    rig.speak()
    await rig.client.heard(ResponseDone)
    kinds = [type(notice) for notice in rig.client.notices]
    order = [
        InputSpeechStarted,
        InputSpeechStopped,
        ResponseCreated,
        OutputAudioDelta,
        OutputTranscriptDone,
        ResponseDone,
    ]
    assert [kind for kind in dict.fromkeys(kinds) if kind in order] == order
    assert rig.client.all(OutputTranscriptDone)[0].transcript == "It is noon."
    assert sum(len(delta.audio) for delta in rig.client.all(OutputAudioDelta)) == 3 * 100 * 48
    assert [message.text for message in llm.requests[0].messages if message.role == "user"] == ["what time is it"]
    await rig.over()


async def test_a_typed_question_gets_a_written_answer() -> None:
    rig = Rig(pipeline(llm=FakeModel(["Four."])), settings=Settings(modality="text"))
    rig.say("two and two?")
    await rig.client.heard(ResponseDone)
    assert rig.client.all(OutputTextDone)[0].text == "Four."
    assert not rig.client.all(OutputAudioDelta)
    await rig.over()


async def test_what_happens_while_effects_are_performed_comes_after_all_of_them() -> None:
    rig = Rig(pipeline(llm=FakeModel([Hold()])), settings=Settings(modality="text"))
    retrieved = ClientEventId("from-inside")

    def interject(notice: Notice) -> None:
        if isinstance(notice, ItemAdded):
            rig.driver.post(ItemRetrieveRequested(ItemId("nothing"), retrieved))

    rig.client.reaction = interject
    rig.say("hello")
    names = [type(notice).__name__ for notice in rig.client.notices]
    # The item's own ItemDone belongs to the event that was being performed; the error to the one that interrupted.
    assert names.index("ItemDone") < names.index("ErrorRaised")
    assert rig.client.all(ErrorRaised)[0].client_event_id == retrieved
    await rig.over()


async def test_a_chain_of_reactions_without_end_ends_the_session_not_the_server() -> None:
    rig = Rig(pipeline())
    rig.client.reaction = lambda notice: rig.driver.post(ClientErred("again", "again"))
    rig.driver.post(ClientErred("once", "once"))
    assert rig.client.closed is not None
    assert rig.client.closed == "internal_error"


async def test_a_session_ends_when_its_time_is_up_though_no_event_comes() -> None:
    rig = Rig(pipeline(), owner=OwnerSettings(session_ms=30))
    async with asyncio.timeout(WAIT_S):
        await rig.driver.closed.wait()
    assert rig.client.all(ErrorRaised)[0].code == "session_expired"
    assert rig.client.closed == "session_expired"


async def test_the_timer_waits_for_the_sessions_clock_not_for_the_event_loops() -> None:
    now = 0
    rig = Rig(pipeline(), owner=OwnerSettings(session_ms=5), clock=lambda: now)
    loop = asyncio.get_running_loop()
    rung = loop.time() + 0.05
    await settled(lambda: loop.time() > rung)
    assert rig.client.closed is None, "the session's clock stands still"
    now = 6_000_000
    async with asyncio.timeout(WAIT_S):
        await rig.driver.closed.wait()


async def test_a_bug_ends_its_own_session_with_1011_and_no_other(caplog: pytest.LogCaptureFixture) -> None:
    pipe = pipeline(llm=FakeModel(["Still here."]))
    broken = Rig(pipe, session=_BreaksOnCommit)
    other = Rig(pipe, settings=Settings(modality="text"))
    broken.driver.post(AudioArrived(bytes(960)))
    with caplog.at_level(logging.CRITICAL):
        broken.driver.post(CommitRequested())
    assert broken.client.closed == "internal_error"
    assert broken.driver.closed.is_set()
    sent = len(broken.client.notices)
    broken.driver.post(AudioArrived(bytes(960)))
    assert len(broken.client.notices) == sent
    other.say("hello?")
    await other.client.heard(ResponseDone)
    assert other.client.all(OutputTextDone)[0].text == "Still here."
    await other.over()


async def test_a_client_that_raises_loses_its_own_session_only() -> None:
    rig = Rig(pipeline())

    def fail(notice: Notice) -> None:
        raise TypeError("cannot be encoded")

    rig.client.reaction = fail
    rig.driver.post(ClientErred("code", "message"))
    assert rig.client.closed == "internal_error"


async def test_a_deaf_voice_model_closes_the_session_with_a_reason() -> None:
    vad = FakeVoiceActivity()
    rig = Rig(pipeline(vad=vad))
    vad.error = RuntimeError("out of memory")
    rig.speak()
    await rig.client.until(lambda: rig.client.closed is not None)
    assert rig.client.closed == "voice_detection_failed"


@dataclass
class _OneOther:
    """The pipelines of a server that has one more than the session's."""

    other: LoadedPipeline

    def find(self, model: str) -> LoadedPipeline | Fault:
        return self.other

    def terms(self, pipeline: LoadedPipeline) -> tuple[OwnerSettings, Capabilities]:
        return pipeline.owner_settings(), pipeline.capabilities()


async def test_another_pipeline_makes_nothing_for_a_client_that_does_not_read_either() -> None:
    llm = FakeModel(["Hello."])
    rig = Rig(pipeline(), pipelines=_OneOther(pipeline(llm=llm, name="other")))
    rig.driver.hold_output(True)
    rig.driver.post(SessionUpdateRequested({"model": "other"}))
    rig.say("Hello?")
    await settled(lambda: bool(llm.requests))
    for _ in range(200):
        await asyncio.sleep(0)
    assert not rig.client.all(OutputAudioDelta)
    rig.driver.hold_output(False)
    await rig.client.heard(OutputAudioDelta)
    await rig.over()


async def test_cancelling_stops_the_model_and_the_synthesizer() -> None:
    llm, tts = FakeModel(["One. ", "Two. ", Hold()]), FakeSynthesizer(script={"Two.": Hold()})
    rig = Rig(pipeline(llm=llm, tts=tts))
    rig.say("count")
    await rig.client.heard(OutputAudioDelta)
    rig.driver.post(CancelRequested())
    assert rig.client.all(ResponseDone)[0].response.status == "cancelled"
    sent = len(rig.client.all(OutputAudioDelta))
    await settled(lambda: llm.running == 0 and tts.running == 0)
    assert len(rig.client.all(OutputAudioDelta)) == sent
    await rig.over()


async def test_a_lost_link_leaves_nothing_running() -> None:
    vad, llm, stt = (
        FakeVoiceActivity(),
        FakeModel(["I shall count to ten for you. ", "One", Hold()]),
        FakeRecognizer(Hold()),
    )
    rig = Rig(pipeline(vad=vad, llm=llm, stt=stt))
    rig.say("count")
    await rig.client.heard(OutputAudioDelta)
    rig.speak(silence_ms=100)
    await settled(lambda: bool(stt.streams))
    await rig.over()
    await settled(lambda: llm.running == 0)
    assert not vad.slots
    assert stt.streams[0].closed


async def test_an_error_goes_to_the_listener_that_asked_and_everything_else_to_all() -> None:
    other = Client()
    rig = Rig(pipeline(), listeners=[other])
    rig.driver.post(CommitRequested(), other)
    rig.say("hello")
    await rig.client.heard(ResponseDone)
    assert [error.code for error in other.all(ErrorRaised)] == ["input_audio_buffer_commit_empty"]
    assert not rig.client.all(ErrorRaised)
    assert len(other.all(ResponseDone)) == 1
    rig.driver.post(CommitRequested())
    assert len(rig.client.all(ErrorRaised)) == 1, "an error without an asker is for all"
    await rig.over()
