"""`parley.turn.metrics`: told to a client that asked for it, after the reply that it measures, and to no other."""

from __future__ import annotations

from parley.core.words.events import SessionUpdateRequested
from parley.core.words.notices import ResponseDone
from parley.core.words.settings import TURN_METRICS, Settings, Transcription
from parley.core.words.turn_measured import TurnMeasured
from parley.runtime.metrics import Metrics
from parley.testing.fakes import FakeModel, FakeRecognizer
from tests.runtime.rig import Rig, pipeline


def _rig(settings: Settings | None = None) -> Rig:
    pipe = pipeline(llm=FakeModel(["It is noon."], ["Still noon."]), stt=FakeRecognizer("what time is it", "and now"))
    return Rig(pipe, settings=settings, metrics=Metrics())


async def test_a_client_that_asked_is_sent_where_the_time_of_each_turn_went() -> None:
    rig = _rig()
    rig.driver.post(SessionUpdateRequested({"include": (TURN_METRICS,), "transcription": Transcription()}))
    rig.speak()
    done = await rig.client.heard(ResponseDone)
    report = await rig.client.heard(TurnMeasured)
    assert rig.client.notices.index(report) > rig.client.notices.index(done)
    assert (report.ending, report.response_id, report.speculation) == ("voice", done.response.id, "none")
    assert 0 <= (report.transcript_ms or 0) <= (report.requested_ms or 0) <= (report.sent_ms or 0)
    rig.driver.post(SessionUpdateRequested({"include": ()}))
    rig.say("And now?")
    await rig.client.heard(ResponseDone, 2)
    await rig.over()
    assert len(rig.client.all(TurnMeasured)) == 1


async def test_a_client_that_did_not_ask_sees_no_event_of_parleys_own() -> None:
    rig = _rig()
    rig.speak()
    await rig.client.heard(ResponseDone)
    await rig.over()
    assert not rig.client.all(TurnMeasured)


async def test_a_transcription_session_is_sent_them_with_its_transcript() -> None:
    settings = Settings(kind="transcription", transcription=Transcription(), include=(TURN_METRICS,))
    rig = _rig(settings)
    rig.speak()
    report = await rig.client.heard(TurnMeasured)
    assert (report.ending, report.response_id) == ("voice", None)
    assert report.transcript_ms is not None
    await rig.over()
