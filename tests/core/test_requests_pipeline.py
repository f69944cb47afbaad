"""A session may change its pipeline until audio was exchanged; a refused change leaves it as it was."""

from __future__ import annotations

from dataclasses import replace

import pytest

from parley.core.words.effects import CallTool, FindPipeline, StartGeneration, UsePipeline
from parley.core.words.errors import Fault
from parley.core.words.events import (
    AudioArrived,
    ClauseStarted,
    CommitRequested,
    Event,
    GenerationFinished,
    ItemCreateRequested,
    ResponseRequested,
    SessionUpdateRequested,
    SpeechGenerated,
    TextGenerated,
    ToolAnswered,
    ToolCallStarted,
    Transcribed,
)
from parley.core.words.ids import CallId, ClientEventId, ItemId
from parley.core.words.items import InputAudio, InputImage, InputText, McpApprovalResponse, McpTool, Message
from parley.core.words.notices import ErrorRaised, ResponseDone, SessionUpdated
from parley.core.words.pipeline_events import PipelineFound, PipelineNotFound
from parley.core.words.settings import (
    Capabilities,
    McpServer,
    NoiseReduction,
    OwnerSettings,
    Settings,
    SettingsPatch,
    Transcription,
)
from parley.core.words.work import ResponseParams
from tests.core.scene import Scene, kinds, notices

ID = ClientEventId("the update")
HERE = Settings(model="parley", instructions="Be brief.", voice="alloy", turn_detection=None)
CAN = Capabilities(
    voices=("alloy", "marin"),
    models=("parley", "gpt-realtime*"),
    images=True,
    noise_reduction=True,
    recognizer="whisper",
    recognizers=("whisper", "whisper-1"),
)
THERE = Settings(model="other", instructions="Be kind.", voice="coral")
FOUND = PipelineFound(
    "other",
    THERE,
    OwnerSettings(context_tokens=500),
    Capabilities(voices=("coral", "sage"), models=("other",), recognizer="sphinx", recognizers=("sphinx", "whisper-1")),
)
TYPED = ItemCreateRequested(Message(ItemId("typed"), "user", (InputText("hello"),)))


def session(settings: Settings = HERE) -> Scene:
    return Scene(settings, capabilities=CAN)


def asked(scene: Scene, **patch: object) -> None:
    """The client asks for the other pipeline; the only effect is to look for it."""
    wanted: SettingsPatch = {"model": "other", **patch}  # type: ignore[typeddict-item]
    assert scene.happens(SessionUpdateRequested(wanted, ID)) == [FindPipeline("other", "realtime")]


def changed(scene: Scene, found: PipelineFound = FOUND) -> Settings:
    """The session changes to the found pipeline; returns its settings."""
    used, announced = scene.happens(found)[:2]
    assert used == UsePipeline(found.pipeline)
    (updated,) = notices([announced])
    assert isinstance(updated, SessionUpdated)
    assert updated.settings == scene.session.settings
    return updated.settings


def kept(scene: Scene, answer: Event) -> ErrorRaised:
    """The session stays unchanged; returns the error, which names the update."""
    before = scene.session.settings
    (error,) = notices(scene.happens(answer))
    assert isinstance(error, ErrorRaised)
    assert error.client_event_id == ID
    assert scene.session.settings == before
    assert not any(isinstance(effect, UsePipeline) for effect in scene.effects)
    return error


def test_unchanged_settings_become_those_of_the_new_pipeline() -> None:
    scene = session()
    asked(scene)
    settings = changed(scene)
    assert (settings.model, settings.instructions, settings.voice) == ("other", "Be kind.", "coral")
    assert settings.transcription is None


def test_a_pipeline_found_under_an_alias_is_shown_by_the_clients_name() -> None:
    scene = session()
    asked(scene)
    assert changed(scene, replace(FOUND, settings=replace(THERE, model="other-2026"))).model == "other"


def test_default_transcription_settings_become_those_of_the_new_pipeline() -> None:
    scene = session()
    asked(scene)
    hears = Transcription("sphinx", "en", "names")
    assert changed(scene, replace(FOUND, settings=replace(THERE, transcription=hears))).transcription == hears


def test_an_unnamed_recogniser_is_not_shown_under_the_old_name() -> None:
    scene = session()
    scene.happens(SessionUpdateRequested({"transcription": Transcription("whisper-1", "en")}))
    asked(scene)
    found = replace(FOUND, capabilities=Capabilities(voices=("coral",), models=("other",)))
    assert changed(scene, found).transcription == Transcription("", "en")


def test_the_clients_own_settings_stay() -> None:
    scene = session()
    wanted = {"instructions": "Speak like a pirate.", "transcription": Transcription("whisper-1", "en"), "speed": 1.2}
    scene.happens(SessionUpdateRequested(wanted))  # type: ignore[arg-type]
    asked(scene, voice="sage")
    settings = changed(scene)
    assert (settings.instructions, settings.voice, settings.speed) == ("Speak like a pirate.", "sage", 1.2)
    assert settings.transcription == Transcription("sphinx", "en"), "under the name of the recogniser that is used"


def test_the_conversation_stays_and_the_new_pipelines_limits_apply() -> None:
    scene = session(replace(HERE, modality="text"))
    scene.happens(TYPED, ResponseRequested())
    scene.happens(TextGenerated(scene.attempt(), "Hi."), GenerationFinished(scene.attempt()))
    asked(scene)
    changed(scene)
    scene.happens(ItemCreateRequested(Message(ItemId(""), "user", (InputText("word " * 700),))), ResponseRequested())
    prompt = scene.last(StartGeneration).prompt
    assert prompt.instructions == "Be kind."
    assert "left out" in str(prompt.items[-1])


def test_the_pipeline_can_be_changed_back() -> None:
    scene = session()
    asked(scene)
    changed(scene)
    (find,) = scene.happens(SessionUpdateRequested({"model": "parley"}, ID))
    assert find == FindPipeline("parley", "realtime")
    assert changed(scene, PipelineFound("parley", HERE, OwnerSettings(), CAN)).instructions == "Be brief."


@pytest.mark.parametrize("model", ["parley", "gpt-realtime-2025-08-28"])
def test_an_alias_of_this_pipeline_changes_only_the_name(model: str) -> None:
    scene = session()
    assert kinds(scene.happens(SessionUpdateRequested({"model": model}))) == ["SessionUpdated"]
    assert scene.session.settings == replace(HERE, model=model, version=1)


def test_an_unknown_model_leaves_the_session_unchanged() -> None:
    scene = session()
    asked(scene)
    error = kept(scene, PipelineNotFound(Fault("model_not_found", "There is no such model.")))
    assert (error.code, error.field) == ("model_not_found", "session.model")
    assert error.message == "There is no such model."


def heard(scene: Scene) -> None:
    scene.happens(AudioArrived(bytes(4_800)))


def heard_and_cleared(scene: Scene) -> None:
    scene.happens(AudioArrived(bytes(9_600)), CommitRequested())
    scene.happens(Transcribed(scene.turn(), "hello"))


def spoke(scene: Scene, **params: object) -> None:
    scene.happens(TYPED, ResponseRequested(ResponseParams(**params)))  # type: ignore[arg-type]
    attempt = scene.attempt()
    scene.happens(ClauseStarted(attempt, "Hi."), SpeechGenerated(attempt, bytes(48)), GenerationFinished(attempt))


def brought_audio(scene: Scene) -> None:
    scene.happens(ItemCreateRequested(Message(ItemId(""), "user", (InputAudio(None, bytes(9_600)),))))
    scene.happens(Transcribed(scene.turn(), "hello"))


def spoke_aside(scene: Scene) -> None:
    spoke(scene, in_conversation=False)


@pytest.mark.parametrize("before", [heard, heard_and_cleared, spoke, spoke_aside, brought_audio])
@pytest.mark.parametrize("meanwhile", [False, True])
def test_after_any_audio_the_pipeline_cannot_be_changed(before: object, meanwhile: bool) -> None:
    scene = session()
    if not meanwhile:
        before(scene)  # type: ignore[operator]
    asked(scene)
    if meanwhile:
        before(scene)  # type: ignore[operator]
    error = kept(scene, FOUND)
    assert (error.code, error.field, error.kind) == ("invalid_value", "session.model", "invalid_request_error")
    assert "?model=other" in error.message


@pytest.mark.parametrize("params", [ResponseParams(), ResponseParams(in_conversation=False)])
def test_during_a_response_the_pipeline_cannot_be_changed(params: ResponseParams) -> None:
    scene = session()
    scene.happens(TYPED, ResponseRequested(params))
    asked(scene)
    error = kept(scene, FOUND)
    assert (error.code, error.field) == ("invalid_value", "session.model")
    assert "wait" in error.message


def test_during_a_tool_call_the_pipeline_cannot_be_changed() -> None:
    server = McpServer("books", "https://books.example/mcp")
    scene = Scene(replace(HERE, modality="text", tools=(server,)), capabilities=replace(CAN, tool_server_urls=("*",)))
    scene.lists(McpTool("lend"))
    scene.happens(TYPED, ResponseRequested())
    attempt = scene.attempt()
    scene.happens(ToolCallStarted(attempt, 0, CallId("c"), "lend"), GenerationFinished(attempt, "tool_calls"))
    (request,) = scene.notices(ResponseDone)[0].response.output
    scene.happens(ItemCreateRequested(McpApprovalResponse(ItemId("yes"), request.id, True)))
    asked(scene)
    error = kept(scene, FOUND)
    assert (error.code, error.field) == ("invalid_value", "session.model")
    scene.happens(ToolAnswered(scene.last(CallTool).call, "It is yours."))
    asked(scene)
    assert "wait" in kept(scene, FOUND).message, "the reply that answers it has not begun"


def test_during_an_items_transcription_the_pipeline_cannot_be_changed() -> None:
    scene = session()
    scene.happens(ItemCreateRequested(Message(ItemId("a"), "user", (InputAudio(None, bytes(9_600)),))))
    asked(scene)
    error = kept(scene, FOUND)
    assert (error.code, error.field) == ("invalid_value", "session.model")


def test_images_keep_a_session_at_a_model_that_supports_them() -> None:
    scene = session()
    photo = Message(ItemId(""), "user", (InputImage("data:image/png;base64,AAAA"),))
    scene.happens(ItemCreateRequested(photo))
    asked(scene)
    error = kept(scene, FOUND)
    assert (error.code, error.field) == ("invalid_value", "session.model")
    assert "images" in error.message


WANTED: list[tuple[SettingsPatch, str]] = [
    ({"voice": "marin"}, "session.voice"),
    ({"noise_reduction": NoiseReduction("near_field")}, "session.noise_reduction"),
    ({"transcription": Transcription("whisper")}, "session.transcription.model"),
]


@pytest.mark.parametrize(("wanted", "param"), WANTED)
@pytest.mark.parametrize("earlier", [False, True])
def test_settings_that_the_new_pipeline_does_not_support_are_refused_by_name(
    wanted: SettingsPatch, param: str, earlier: bool
) -> None:
    scene = session()
    if earlier and "transcription" not in wanted:  # a recogniser's name is not carried over
        scene.happens(SessionUpdateRequested(wanted))
        asked(scene)
    else:
        asked(scene, **wanted)
    assert kept(scene, FOUND).field == param


def test_a_second_update_waits_for_the_first() -> None:
    scene = session()
    asked(scene)
    (error,) = notices(scene.happens(SessionUpdateRequested({"speed": 1.2}, ClientEventId("second"))))
    assert isinstance(error, ErrorRaised)
    assert error.client_event_id == "second"
    changed(scene)
    assert kinds(scene.happens(SessionUpdateRequested({"speed": 1.2}))) == ["SessionUpdated"]


def test_an_unrequested_pipeline_answer_is_dropped() -> None:
    scene = session()
    assert scene.happens(FOUND) == []
    asked(scene)
    changed(scene)
    assert scene.happens(FOUND, PipelineNotFound(Fault("x", "x"))) == []
    assert scene.session.late_events == 3
