"""A client's requests for responses and their options."""

from __future__ import annotations

import pytest

from parley.core.words.effects import StartGeneration, Transcribe
from parley.core.words.errors import Fault
from parley.core.words.events import (
    CancelRequested,
    GenerationFinished,
    ItemCreateRequested,
    OutputClearRequested,
    PartialTranscribed,
    ResponseRequested,
    Transcribed,
    TranscriptionFailed,
)
from parley.core.words.ids import ItemId, ResponseId
from parley.core.words.items import (
    InputAudio,
    InputImage,
    InputText,
    ItemReference,
    Message,
)
from parley.core.words.notices import (
    ResponseCreated,
    ResponseDone,
)
from parley.core.words.settings import (
    Capabilities,
    FunctionTool,
    OwnerSettings,
    Settings,
    Transcription,
)
from parley.core.words.work import ResponseParams
from tests.core.requesting import ID, MANUAL, TEXT, refused
from tests.core.scene import Scene, kinds, notices

SPEAKING = Settings(voice="alba", turn_detection=None)


def test_a_second_response_is_refused_during_generation_and_accepted_during_playback() -> None:
    scene = Scene()
    scene.happens(ItemCreateRequested(TEXT), ResponseRequested())
    assert refused(scene, ResponseRequested(event_id=ID)).code == "conversation_already_has_active_response"
    scene.answers(("A long answer.", 5000))
    assert "ResponseCreated" in kinds(scene.happens(ResponseRequested()))


def test_a_response_is_cancelled_once_and_the_second_cancel_is_an_error() -> None:
    scene = Scene()
    scene.happens(ItemCreateRequested(TEXT), ResponseRequested())
    scene.answers(("A long", 500), finish=False)
    caused = kinds(scene.happens(CancelRequested()))
    assert caused == [
        "OutputAudioDone",
        "OutputTranscriptDone",
        "ContentPartDone",
        "ItemDone",
        "OutputItemDone",
        "ResponseDone",
        "RateLimitsUpdated",
    ]
    assert scene.notices(ResponseDone)[0].response.reason == "client_cancelled"
    assert refused(scene, CancelRequested(event_id=ID)).message.startswith("Cancellation failed")


def test_out_of_band_responses_run_beside_the_main_one_and_do_not_change_the_conversation() -> None:
    scene = Scene()
    scene.happens(ItemCreateRequested(TEXT), ResponseRequested())
    main = scene.attempt()
    params = ResponseParams(False, (ItemReference(ItemId("mine")),), "classify", "text", metadata=(("k", "v"),))
    created = [n for n in notices(scene.happens(ResponseRequested(params))) if isinstance(n, ResponseCreated)]
    assert created[0].response.conversation_id is None
    assert created[0].response.metadata == (("k", "v"),)
    side = scene.last(StartGeneration)
    assert side.attempt != main
    assert (side.prompt.instructions, side.modality) == ("classify", "text")
    assert [item.id for item in side.prompt.items] == ["mine"]
    from parley.core.words.events import TextGenerated

    caused = scene.happens(TextGenerated(side.attempt, "greeting"), GenerationFinished(side.attempt))
    assert "ItemAdded" not in kinds(caused)
    assert scene.notices(ResponseDone)[0].response.metadata == (("k", "v"),)
    scene.happens(CancelRequested())
    assert scene.notices(ResponseDone)[1].response.id != created[0].response.id


def test_an_empty_input_is_an_empty_context() -> None:
    scene = Scene()
    scene.happens(ItemCreateRequested(TEXT), ResponseRequested(ResponseParams(False, ())))
    assert scene.last(StartGeneration).prompt.items == ()


def test_too_many_out_of_band_responses_are_refused() -> None:
    scene = Scene()
    for _ in range(8):
        scene.happens(ResponseRequested(ResponseParams(False)))
    assert refused(scene, ResponseRequested(ResponseParams(False), ID)).kind == "rate_limit_error"


@pytest.mark.parametrize("transcription", [None, Transcription()])
def test_a_transcript_of_a_responses_own_input_is_not_sent(transcription: Transcription | None) -> None:
    scene = Scene(Settings(transcription=transcription))
    own = Message(ItemId(""), "user", (InputAudio(None, bytes(9600)),))
    scene.happens(ResponseRequested(ResponseParams(False, (own,))))
    turn = scene.turn()
    assert notices(scene.happens(PartialTranscribed(turn, "from a", "from a"))) == []
    assert notices(scene.happens(Transcribed(turn, "from a file"))) == []
    assert scene.last(StartGeneration).prompt.items
    scene.happens(ResponseRequested(ResponseParams(False, (own,))))
    caused = kinds(scene.happens(TranscriptionFailed(scene.turn(), Fault("broken", "It broke."))))
    assert caused == ["ResponseDone", "RateLimitsUpdated"]


def test_an_invalid_part_of_a_responses_own_input_is_named() -> None:
    scene = Scene(MANUAL)
    scene.happens(ItemCreateRequested(TEXT))
    reference, image = ItemReference(ItemId("mine")), InputImage("data:image/png;base64,AA")
    for bad, code, param in (
        (ItemReference(ItemId("no")), "invalid_item_reference", "response.input[1].id"),
        (Message(ItemId(""), "user", (image,)), "unsupported_content_type", "response.input[1].content[0].type"),
    ):
        error = refused(scene, ResponseRequested(ResponseParams(input=(reference, bad)), ID))
        assert (error.code, error.field) == (code, param)
    assert scene.notices(ResponseCreated) == []


def test_audio_in_a_responses_own_input_is_transcribed_and_a_reference_is_not_transcribed_again() -> None:
    scene = Scene(MANUAL)
    scene.happens(ItemCreateRequested(Message(ItemId("old"), "user", (InputAudio("before", bytes(9_600)),))))
    own = Message(ItemId("own"), "user", (InputText("and"), InputAudio(None, bytes(9_600))))
    scene.happens(ResponseRequested(ResponseParams(False, (ItemReference(ItemId("old")), own))))
    assert len(scene.all(Transcribe)) == 1
    scene.happens(Transcribed(scene.turn(), "now"))
    old, new = scene.last(StartGeneration).prompt.items
    assert (old, new) == (
        Message(ItemId("old"), "user", (InputAudio("before"),)),
        Message(ItemId("own"), "user", (InputText("and"), InputAudio("now"))),
    )
    assert scene.item("old") == Message(ItemId("old"), "user", (InputAudio("before", bytes(9_600)),))


def test_a_refused_request_does_not_count_against_the_rate() -> None:
    scene = Scene(MANUAL, OwnerSettings(responses_per_minute=1))
    for params in (ResponseParams(tool_choice="required"), ResponseParams(input=(ItemReference(ItemId("no")),))):
        refused(scene, ResponseRequested(params, ID))
    scene.happens(ResponseRequested())
    assert len(scene.notices(ResponseCreated)) == 1


@pytest.mark.parametrize(
    ("params", "code", "param"),
    [
        (ResponseParams(voice="bruno"), "cannot_update_voice", "response.voice"),
        (ResponseParams(False, voice="unknown"), "invalid_value", "response.voice"),
        (ResponseParams(False, reasoning_effort="low"), "invalid_value", "response.reasoning_effort"),
        (ResponseParams(False, tool_choice="required"), "invalid_value", "response.tool_choice"),
        (
            ResponseParams(False, tools=(FunctionTool("a"), FunctionTool("a"))),
            "invalid_value",
            "response.tools[1].name",
        ),
        (ResponseParams(False, voice="bruno"), None, None),
        (ResponseParams(voice="alba"), None, None),
        (ResponseParams(False, reasoning_effort=""), None, None),
        (ResponseParams(False, tools=(FunctionTool("a"),), tool_choice="required"), None, None),
    ],
)
def test_a_responses_options_are_checked_by_name(params: ResponseParams, code: str | None, param: str | None) -> None:
    scene = Scene(SPEAKING, capabilities=Capabilities(voices=("alba", "bruno"), reasoning=False))
    scene.happens(ItemCreateRequested(TEXT), ResponseRequested())
    scene.answers(("Hi.", 100))
    if code is None:
        assert kinds(scene.happens(ResponseRequested(params)))[0] == "ResponseCreated"
    else:
        error = refused(scene, ResponseRequested(params, ID))
        assert (error.code, error.field) == (code, param)


def test_an_invalid_tool_choice_of_the_session_is_refused_under_the_sessions_name() -> None:
    scene = Scene(Settings(modality="text", tool_choice="required", tools=(FunctionTool("a"),)))
    error = refused(scene, ResponseRequested(ResponseParams(tools=()), ID))
    assert (error.code, error.field) == ("invalid_value", "session.tool_choice")


def test_a_second_response_is_refused_with_the_id_of_the_first_and_a_ninth_side_response_until_one_ends() -> None:
    scene = Scene(Settings(modality="text", turn_detection=None))
    scene.happens(ItemCreateRequested(TEXT), ResponseRequested())
    error = refused(scene, ResponseRequested(event_id=ID))
    assert (error.code, error.field, error.kind) == (
        ("conversation_already_has_active_response", None, "invalid_request_error")
    )
    assert scene.notices(ResponseCreated)[0].response.id in error.message
    for _ in range(8):
        assert kinds(scene.happens(ResponseRequested(ResponseParams(False)))) == ["ResponseCreated"]
    error = refused(scene, ResponseRequested(ResponseParams(False), ID))
    assert (error.code, error.field) == ("rate_limit_exceeded", None)
    last = scene.notices(ResponseCreated)[-1].response.id
    scene.happens(CancelRequested(last))
    assert kinds(scene.happens(ResponseRequested(ResponseParams(False)))) == ["ResponseCreated"]


def test_cancelling_by_id_cancels_only_that_response() -> None:
    scene = Scene(Settings(modality="text", turn_detection=None))
    scene.happens(ItemCreateRequested(TEXT), ResponseRequested(), ResponseRequested(ResponseParams(False)))
    main, side = (created.response.id for created in scene.notices(ResponseCreated))
    error = refused(scene, CancelRequested(ResponseId("no"), ID))
    assert (error.code, error.field) == ("response_cancel_not_active", "response_id")
    scene.happens(CancelRequested(main))
    assert [done.response.id for done in scene.notices(ResponseDone)] == [main]
    refused(scene, CancelRequested(main, ID))
    refused(scene, CancelRequested(None, ID))
    scene.happens(CancelRequested(side))
    assert [done.response.id for done in scene.notices(ResponseDone)] == [main, side]


def test_where_the_server_plays_nothing_can_be_cleared_while_nothing_plays() -> None:
    scene = Scene(MANUAL, playback="paced")
    scene.happens(ItemCreateRequested(TEXT), ResponseRequested())
    assert scene.happens(OutputClearRequested(ID)) == []
    assert scene.notices(ResponseDone) == []


def test_where_the_server_plays_the_client_can_clear_the_playback_once() -> None:
    scene = Scene(Settings(turn_detection=None), playback="paced")
    scene.happens(ItemCreateRequested(TEXT), ResponseRequested())
    scene.answers(("One two.", 1_000))
    assert kinds(scene.happens(OutputClearRequested(ID))) == ["OutputBufferCleared", "ItemTruncated"]
    assert scene.happens(OutputClearRequested(ID)) == []
