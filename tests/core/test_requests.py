"""Session updates and requests: which are accepted, and the errors for the others."""

from __future__ import annotations

import pytest

from parley.core.policy.transcriber import Transcriber
from parley.core.words.events import (
    AudioArrived,
    CancelRequested,
    ClientErred,
    CommitRequested,
    Event,
    ItemCreateRequested,
    ItemDeleteRequested,
    ItemRetrieveRequested,
    ItemTruncateRequested,
    OutputClearRequested,
    ResponseRequested,
    SessionUpdateRequested,
)
from parley.core.words.ids import CallId, ItemId, ResponseId
from parley.core.words.items import (
    FunctionCallOutput,
    InputImage,
    InputText,
    ItemReference,
    Message,
)
from parley.core.words.notices import (
    InputCommitted,
    ResponseCreated,
    SessionCreated,
    SessionUpdated,
)
from parley.core.words.settings import (
    AudioFormat,
    Capabilities,
    ForceFunction,
    ForceMcp,
    FunctionTool,
    NoiseReduction,
    OwnerSettings,
    PinnedSettings,
    Settings,
    SettingsPatch,
    Transcription,
)
from parley.core.words.work import ResponseParams
from tests.core.requesting import ID, MANUAL, TEXT, refused
from tests.core.scene import Scene, kinds, notices


@pytest.mark.parametrize(
    ("event", "code", "param"),
    [
        (ItemRetrieveRequested(ItemId("no"), ID), "item_retrieve_invalid_item_id", "item_id"),
        (ItemDeleteRequested(ItemId("no"), ID), "item_delete_invalid_item_id", "item_id"),
        (ItemTruncateRequested(ItemId("no"), 0, 0, ID), "item_truncate_invalid_item_id", "item_id"),
        (ItemTruncateRequested(ItemId("mine"), 0, 0, ID), "unsupported_content_type", "item_id"),
        (ItemCreateRequested(TEXT, None, ID), "item_create_duplicate_item_id", "item.id"),
        (
            ItemCreateRequested(Message(ItemId(""), "user", (InputText("x"),)), "no", ID),
            "item_create_invalid_previous_item_id",
            "previous_item_id",
        ),
        (
            ItemCreateRequested(Message(ItemId(""), "user", (InputImage("data:image/png;base64,AA"),)), None, ID),
            "unsupported_content_type",
            "item.content[0].type",
        ),
        (
            ItemCreateRequested(FunctionCallOutput(ItemId(""), CallId("no"), "1"), None, ID),
            "invalid_tool_call_id",
            "item.call_id",
        ),
        (CommitRequested(ID), "input_audio_buffer_commit_empty", None),
        (CancelRequested(None, ID), "response_cancel_not_active", "response_id"),
        (CancelRequested(ResponseId("no"), ID), "response_cancel_not_active", "response_id"),
        (OutputClearRequested(ID), "invalid_value", "type"),
        (
            ResponseRequested(ResponseParams(input=(ItemReference(ItemId("no")),)), ID),
            "invalid_item_reference",
            "response.input[0].id",
        ),
        (ResponseRequested(ResponseParams(voice="unknown"), ID), "invalid_value", "response.voice"),
        (ResponseRequested(ResponseParams(tool_choice="required"), ID), "invalid_value", "response.tool_choice"),
        (SessionUpdateRequested({"voice": "unknown"}, ID), "invalid_value", "session.voice"),
        (SessionUpdateRequested({"kind": "transcription"}, ID), "invalid_value", "session.kind"),
        (
            SessionUpdateRequested({"noise_reduction": NoiseReduction("near_field")}, ID),
            "invalid_value",
            "session.noise_reduction",
        ),
        (
            SessionUpdateRequested({"include": ("logprobs",)}, ID),
            "invalid_value",
            "session.include",
        ),
        (
            SessionUpdateRequested({"transcription": Transcription("nova-3")}, ID),
            "invalid_value",
            "session.transcription.model",
        ),
        (
            SessionUpdateRequested({"transcription": Transcription(language="pt-BR")}, ID),
            "invalid_value",
            "session.transcription.language",
        ),
        (
            SessionUpdateRequested({"transcription": Transcription(languages=("pt", "es"))}, ID),
            "invalid_value",
            "session.transcription.languages",
        ),
        (SessionUpdateRequested({"reasoning_effort": "low"}, ID), "invalid_value", "session.reasoning_effort"),
        (
            SessionUpdateRequested({"tools": (FunctionTool("a"), FunctionTool("a"))}, ID),
            "invalid_value",
            "session.tools[1].name",
        ),
        (ClientErred("invalid_json", "no", None, "invalid_request_error", ID), "invalid_json", None),
        (AudioArrived(bytes(16 * 1024 * 1024), ID), "invalid_value", "audio"),
    ],
)
def test_an_invalid_update_is_refused_by_name_and_changes_nothing(event: Event, code: str, param: str | None) -> None:
    can = Capabilities(
        voices=("alloy",),
        models=("gpt-*",),
        reasoning=False,
        recognizer="whisper",
        recognizers=("whisper", "whisper-1", "gpt-4o-transcribe*"),
        languages=("en", "de"),
    )
    scene = Scene(Settings(model="gpt-realtime", voice="alloy"), capabilities=can)
    scene.happens(ItemCreateRequested(TEXT))
    before = scene.session.settings
    error = refused(scene, event)
    assert (error.code, error.field) == (code, param)
    assert error.message[-1] in ".d0ms" or len(error.message) > 1
    assert scene.session.settings == before
    assert scene.item("mine") == TEXT


@pytest.mark.parametrize(
    "patch",
    [
        {"voice": "alloy"},
        {"model": "gpt-realtime-2025-08-28"},
        {"speed": 1.5},
        {"input_format": AudioFormat.PCMU, "output_format": AudioFormat.PCMA},
        {"turn_detection": None},
        {"tools": (FunctionTool("a"),), "tool_choice": ForceFunction("a")},
        {"tool_choice": "required"},
        {"tool_choice": ForceFunction("a")},
        {"tool_choice": ForceMcp("books", "find")},
        {},
    ],
)
def test_a_valid_update_is_answered_with_the_whole_session(patch: SettingsPatch) -> None:
    scene = Scene(Settings(model="gpt-realtime"), capabilities=Capabilities(voices=("alloy",), models=("gpt-*",)))
    (notice,) = notices(scene.happens(SessionUpdateRequested(patch)))
    assert isinstance(notice, SessionUpdated)
    for name, value in patch.items():
        assert getattr(notice.settings, name) == value


@pytest.mark.parametrize("model", ["", "whisper", "whisper-1", "gpt-4o-transcribe", "gpt-4o-transcribe-diarize"])
def test_the_session_shows_the_recogniser_that_is_used(model: str) -> None:
    can = Capabilities(
        recognizer="whisper", recognizers=("whisper", "whisper-1", "gpt-4o-transcribe*"), languages=("en",)
    )
    scene = Scene(capabilities=can)
    wanted = Transcription(model, "en-GB", "names", ("Oslo",))
    (notice,) = notices(scene.happens(SessionUpdateRequested({"transcription": wanted})))
    assert isinstance(notice, SessionUpdated)
    assert notice.settings.transcription == Transcription("whisper", "en-GB", "names", ("Oslo",))


def test_one_understood_language_of_several_is_enough() -> None:
    scene = Scene(capabilities=Capabilities(languages=("en",)))
    update = SessionUpdateRequested({"transcription": Transcription(languages=("pt", "en"))})
    assert kinds(scene.happens(update)) == ["SessionUpdated"]


def test_the_voice_is_fixed_once_heard_and_repeating_it_is_accepted() -> None:
    scene = Scene(Settings(voice="a"))
    scene.says("hello")
    scene.answers(("Hi.", 100))
    assert refused(scene, SessionUpdateRequested({"voice": "b"}, ID)).code == "cannot_update_voice"
    assert kinds(scene.happens(SessionUpdateRequested({"voice": "a"}))) == ["SessionUpdated"]


def test_speed_changes_only_between_turns() -> None:
    scene = Scene()
    scene.says("hello")
    assert refused(scene, SessionUpdateRequested({"speed": 1.2}, ID)).field == "session.speed"
    assert kinds(scene.happens(SessionUpdateRequested({"speed": 1.0}))) == ["SessionUpdated"]


def test_an_update_during_a_pipeline_search_is_refused_and_names_the_model() -> None:
    scene = Scene(Settings(model="parley"), capabilities=Capabilities(models=("parley",)))
    scene.happens(SessionUpdateRequested({"model": "other"}))
    error = refused(scene, SessionUpdateRequested({"speed": 1.2}, ID))
    assert (error.code, error.field) == ("invalid_value", "session")
    assert "'other'" in error.message


def test_a_session_can_change_its_type_only_before_it_has_received_anything() -> None:
    scene = Scene(Settings(modality="text", turn_detection=None))
    assert kinds(scene.happens(SessionUpdateRequested({"kind": "transcription"}))) == ["SessionUpdated"]
    error = refused(scene, ResponseRequested(event_id=ID))
    assert (error.code, error.field) == ("invalid_request", "type")
    scene.happens(SessionUpdateRequested({"kind": "realtime"}), ResponseRequested())
    assert len(scene.notices(ResponseCreated)) == 1
    error = refused(scene, SessionUpdateRequested({"kind": "transcription"}, ID))
    assert (error.code, error.field) == ("invalid_value", "session.kind")
    scene = Scene(MANUAL)
    scene.happens(AudioArrived(bytes(48)))
    assert refused(scene, SessionUpdateRequested({"kind": "transcription"}, ID)).field == "session.kind"


def test_a_custom_policy_stays_when_the_type_of_the_session_changes() -> None:
    scene = Scene(Settings(modality="text", turn_detection=None), policy=Transcriber())
    scene.happens(SessionUpdateRequested({"kind": "transcription"}), SessionUpdateRequested({"kind": "realtime"}))
    assert refused(scene, ResponseRequested(event_id=ID)).code == "invalid_request"


def test_audio_is_counted_in_the_format_of_the_latest_update() -> None:
    scene = Scene(MANUAL)
    scene.happens(AudioArrived(bytes(4_800)), SessionUpdateRequested({"speed": 1.5}), CommitRequested())
    assert len(scene.notices(InputCommitted)) == 1, "an update without a format keeps the audio"
    scene.happens(SessionUpdateRequested({"input_format": AudioFormat.PCMU}), AudioArrived(bytes(799)))
    assert refused(scene, CommitRequested(ID)).code == "input_audio_buffer_commit_empty"
    scene.happens(AudioArrived(bytes(1)), CommitRequested())
    assert len(scene.notices(InputCommitted)) == 2


def test_each_update_gives_the_sessions_id_and_its_remaining_time() -> None:
    scene = Scene(MANUAL, OwnerSettings(session_ms=60_000))
    (created,) = scene.notices(SessionCreated)
    assert created.expires_in_ms == 60_000
    scene.passes(1_500)
    scene.happens(SessionUpdateRequested({"speed": 1.2}))
    (updated,) = scene.notices(SessionUpdated)
    assert (updated.session_id, updated.expires_in_ms) == (created.session_id, 58_500)
    scene.now += 60_000 * 1_000_000
    scene.happens(SessionUpdateRequested({"speed": 1.0}))
    assert scene.notices(SessionUpdated)[-1].expires_in_ms == 0


def test_what_the_owner_changes_is_fixed_for_the_client() -> None:
    on = Scene(
        settings=Settings(instructions="Be brief."),
        owner=OwnerSettings(pinned=PinnedSettings(instructions="Be brief.")),
    )
    on.happens(SessionUpdateRequested({"instructions": "Be long."}, ID, "owner"))
    assert on.session.settings.instructions == "Be long."
    assert refused(on, SessionUpdateRequested({"instructions": "Be brief."}, ID)) is not None
    assert on.session.settings.instructions == "Be long."
