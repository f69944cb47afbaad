"""The shell's answers to a session that asks for another pipeline."""

from __future__ import annotations

from parley.core.words import pipeline_events
from parley.core.words.effects import FindPipeline, UsePipeline
from parley.core.words.errors import Fault
from parley.core.words.events import SessionUpdateRequested
from parley.core.words.notices import ErrorRaised, SessionUpdated
from parley.core.words.pipeline_events import PipelineFound, PipelineNotFound
from parley.core.words.settings import Capabilities, OwnerSettings, Settings
from tests.core.scene import Scene
from tests.core.values import can_change, values_of


def asking() -> Scene:
    scene = Scene(capabilities=Capabilities(models=("small",)))
    assert scene.happens(SessionUpdateRequested({"model": "large"})) == [FindPipeline("large", "realtime")]
    return scene


def test_a_found_pipeline_is_used() -> None:
    scene = asking()
    found = PipelineFound("big", Settings(voice="deep"), OwnerSettings(language="de"), Capabilities(models=("large",)))
    assert UsePipeline("big") in scene.happens(found)
    assert scene.notices(SessionUpdated)[-1].settings.voice == "deep"


def test_a_pipeline_that_is_not_found_is_reported_and_the_session_unchanged() -> None:
    scene = asking()
    before = scene.session.settings
    scene.happens(PipelineNotFound(Fault("model_not_found", "No pipeline serves 'large'.")))
    (error,) = scene.notices(ErrorRaised)
    assert (error.code, error.message) == ("model_not_found", "No pipeline serves 'large'.")
    assert scene.session.settings == before


def test_pipeline_events_are_immutable() -> None:
    assert set(values_of(pipeline_events)) == {PipelineFound, PipelineNotFound}
    assert not can_change(PipelineFound)
    assert not can_change(PipelineNotFound)
