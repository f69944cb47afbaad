"""What a client may ask for, and the error it gets when it asks for what cannot be."""

from __future__ import annotations

import sys

import pytest

from parley.core.policy.kinds import policy_of
from parley.core.regions import conversation
from parley.core.session import Session
from parley.core.spec import SessionSpec
from parley.core.words.effects import DropTranscription, FinishTranscription, StartGeneration, Transcribe
from parley.core.words.errors import Fault
from parley.core.words.events import (
    AudioArrived,
    CancelRequested,
    ClauseStarted,
    ClearRequested,
    ClientErred,
    CommitRequested,
    Event,
    GenerationFinished,
    ItemCreateRequested,
    ItemDeleteRequested,
    ItemRetrieveRequested,
    ItemTruncateRequested,
    OutputClearRequested,
    PartialTranscribed,
    ResponseRequested,
    SessionUpdateRequested,
    SpeechGenerated,
    SpokenWord,
    TimePassed,
    Transcribed,
    TranscriptionFailed,
)
from parley.core.words.ids import CallId, ClientEventId, ItemId, ResponseId
from parley.core.words.items import (
    FunctionCall,
    FunctionCallOutput,
    InputAudio,
    InputImage,
    InputText,
    Item,
    ItemReference,
    McpApprovalRequest,
    McpCall,
    McpError,
    McpListTools,
    McpTool,
    Message,
    OutputAudio,
)
from parley.core.words.limits import (
    KEPT_AUDIO_BYTES,
    MAX_AUDIO_PARTS,
    MAX_BROUGHT_CHARACTERS,
    MAX_IMAGE_BYTES,
    MAX_ITEM_TEXT,
    MAX_PENDING_TURNS,
)
from parley.core.words.notices import (
    ErrorRaised,
    InputCleared,
    InputCommitted,
    ItemAdded,
    ItemDeleted,
    ItemTruncated,
    OutputItemAdded,
    ResponseCreated,
    ResponseDone,
    SessionCreated,
    SessionUpdated,
    TranscriptionCompleted,
    TranscriptionDelta,
    TranscriptionFailedNotice,
)
from parley.core.words.settings import (
    AudioFormat,
    Capabilities,
    ForceFunction,
    ForceMcp,
    FunctionTool,
    NoiseReduction,
    OwnerSettings,
    ServerVad,
    Settings,
    SettingsPatch,
    Transcription,
)
from parley.core.words.work import ResponseParams
from tests.core.scene import Scene, kinds, notices

ID = ClientEventId("event_of_the_client")
TEXT = Message(ItemId("mine"), "user", (InputText("hello"),))
MANUAL = Settings(turn_detection=None)


def refused(scene: Scene, event: Event) -> ErrorRaised:
    """The one thing told is an error that names the client's event."""
    (notice,) = notices(scene.happens(event))
    assert isinstance(notice, ErrorRaised)
    assert notice.client_event_id == ID
    return notice


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
        (ResponseRequested(ResponseParams(voice="nobody"), ID), "invalid_value", "response.voice"),
        (ResponseRequested(ResponseParams(tool_choice="required"), ID), "invalid_value", "response.tool_choice"),
        (SessionUpdateRequested({"voice": "nobody"}, ID), "invalid_value", "session.voice"),
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
def test_what_cannot_be_is_refused_by_name_and_changes_nothing(event: Event, code: str, param: str | None) -> None:
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
def test_a_legal_update_is_answered_with_the_whole_session(patch: SettingsPatch) -> None:
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


def test_one_language_of_several_that_the_recogniser_understands_is_enough() -> None:
    scene = Scene(capabilities=Capabilities(languages=("en",)))
    update = SessionUpdateRequested({"transcription": Transcription(languages=("pt", "en"))})
    assert kinds(scene.happens(update)) == ["SessionUpdated"]


def test_the_voice_is_settled_once_it_was_heard_and_the_same_voice_passes() -> None:
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


def test_items_are_placed_where_the_client_says() -> None:
    scene = Scene()
    for name, previous in (("b", None), ("a", "root"), ("d", None), ("c", "b")):
        scene.happens(ItemCreateRequested(Message(ItemId(name), "user", (InputText(name),)), previous))
    assert [(added.item.id, added.previous_item_id) for added in scene.told(ItemAdded)] == [
        ("b", None),
        ("a", None),
        ("d", "b"),
        ("c", "b"),
    ]
    scene.happens(ItemDeleteRequested(ItemId("b")))
    assert scene.told(ItemDeleted) == [ItemDeleted(ItemId("b"))]
    scene.happens(ResponseRequested())
    assert [item.id for item in scene.last(StartGeneration).prompt.items] == ["a", "c", "d"]


def test_a_second_response_is_refused_while_one_runs_and_welcome_while_it_is_heard() -> None:
    scene = Scene()
    scene.happens(ItemCreateRequested(TEXT), ResponseRequested())
    assert refused(scene, ResponseRequested(event_id=ID)).code == "conversation_already_has_active_response"
    scene.answers(("A long answer.", 5000))
    assert "ResponseCreated" in kinds(scene.happens(ResponseRequested()))


def test_cancel_ends_the_response_once_and_the_second_cancel_is_an_error() -> None:
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
    assert scene.told(ResponseDone)[0].response.reason == "client_cancelled"
    assert refused(scene, CancelRequested(event_id=ID)).message.startswith("Cancellation failed")


def test_out_of_band_responses_run_beside_the_main_one_and_leave_no_trace_in_the_conversation() -> None:
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
    from parley.core.words.events import GenerationFinished, TextGenerated

    caused = scene.happens(TextGenerated(side.attempt, "greeting"), GenerationFinished(side.attempt))
    assert "ItemAdded" not in kinds(caused)
    assert scene.told(ResponseDone)[0].response.metadata == (("k", "v"),)
    scene.happens(CancelRequested())
    assert scene.told(ResponseDone)[1].response.id != created[0].response.id


def test_an_empty_input_is_an_empty_context() -> None:
    scene = Scene()
    scene.happens(ItemCreateRequested(TEXT), ResponseRequested(ResponseParams(False, ())))
    assert scene.last(StartGeneration).prompt.items == ()


def test_too_many_out_of_band_responses_are_refused() -> None:
    scene = Scene()
    for _ in range(8):
        scene.happens(ResponseRequested(ResponseParams(False)))
    assert refused(scene, ResponseRequested(ResponseParams(False), ID)).kind == "rate_limit_error"


def test_a_committed_turn_waits_for_its_words_before_the_reply_is_made() -> None:
    scene = Scene(MANUAL)
    scene.happens(AudioArrived(bytes(48 * 500)))
    caused = scene.happens(CommitRequested())
    assert kinds(caused) == ["InputCommitted", "ItemAdded", "ItemDone"]
    assert any(isinstance(effect, FinishTranscription) for effect in caused)
    caused = scene.happens(ResponseRequested())
    assert kinds(caused) == ["ResponseCreated"]
    assert not any(isinstance(effect, StartGeneration) for effect in caused)
    scene.happens(Transcribed(scene.turn(), "what now"))
    assert len(scene.last(StartGeneration).prompt.items) == 1


def test_a_commit_alone_never_causes_a_reply() -> None:
    scene = Scene(MANUAL)
    scene.happens(AudioArrived(bytes(48 * 500)), CommitRequested())
    scene.happens(Transcribed(scene.turn(), "what now"))
    scene.passes(10_000)
    assert scene.told(ResponseCreated) == []


def test_a_reply_whose_words_could_not_be_recognised_fails_and_says_why() -> None:
    scene = Scene(MANUAL)
    scene.happens(AudioArrived(bytes(48 * 500)), CommitRequested(), ResponseRequested())
    scene.happens(TranscriptionFailed(scene.turn(), Fault("engine_error", "no ears")))
    done = scene.told(ResponseDone)[0].response
    assert (done.status, done.error.message if done.error else "") == ("failed", "no ears")
    assert scene.told(ErrorRaised)[0].code == "engine_error"


def test_manual_audio_reaches_the_recogniser_whole_however_it_was_split() -> None:
    scene = Scene(MANUAL)
    audio = bytes(range(256)) * 100
    for start in range(0, len(audio), 333):
        scene.happens(AudioArrived(audio[start : start + 333]))
    scene.happens(CommitRequested())
    fed = b"".join(effect.audio for effect in scene.effects if isinstance(effect, Transcribe))
    assert fed == audio


def test_a_buffer_that_is_nearly_full_takes_no_more_than_it_can_hold() -> None:
    scene = Scene(MANUAL)
    for _ in range(10):
        scene.happens(AudioArrived(bytes(60_000 * 48)))
    scene.happens(AudioArrived(b"\0"))
    assert scene.told(ErrorRaised) == []
    error = refused(scene, AudioArrived(b"\0", ID))
    assert error.code == "input_audio_buffer_full"
    scene.happens(TimePassed(), ClearRequested(), AudioArrived(bytes(4800)))
    assert len(scene.told(ErrorRaised)) == 1


def test_clear_forgets_the_audio_and_a_commit_after_it_has_nothing() -> None:
    scene = Scene(MANUAL)
    scene.happens(AudioArrived(bytes(48 * 500)))
    assert notices(scene.happens(ClearRequested())) == [InputCleared()]
    assert "only has 0.00ms" in refused(scene, CommitRequested(ID)).message


def test_a_commit_in_the_middle_of_detected_speech_ends_that_turn() -> None:
    scene = Scene()
    scene.hears(640, 0.9)
    assert kinds(scene.happens(CommitRequested())) == ["SpeechStopped", "InputCommitted", "ItemAdded", "ItemDone"]


def test_an_audio_item_is_transcribed_before_it_is_answered() -> None:
    scene = Scene(Settings(transcription=Transcription()))
    scene.happens(ItemCreateRequested(Message(ItemId("a"), "user", (InputAudio(None, bytes(9600)),))))
    assert scene.last(Transcribe).audio == bytes(9600)
    scene.happens(ResponseRequested())
    scene.happens(Transcribed(scene.turn(), "from a file"))
    assert scene.told(TranscriptionCompleted)[0].transcript == "from a file"
    assert scene.item("a") == Message(ItemId("a"), "user", (InputAudio("from a file", bytes(9600)),))
    assert scene.last(StartGeneration).prompt.items


def test_a_full_conversation_takes_no_commit_and_the_audio_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversation, "MAX_ITEMS", 3)
    scene = Scene(MANUAL)
    for index in range(3):
        scene.happens(ItemCreateRequested(Message(ItemId(f"i{index}"), "user", (InputText("x"),))))
    scene.happens(AudioArrived(bytes(48 * 200)))
    assert refused(scene, CommitRequested(ID)).code == "conversation_full"
    scene.happens(ItemDeleteRequested(ItemId("i0")), CommitRequested())
    assert len(scene.told(InputCommitted)) == 1


def test_a_sample_cut_in_two_at_the_end_of_an_items_audio_is_left_out() -> None:
    scene = Scene()
    parts = InputAudio(None, bytes(4801)), InputAudio(None, bytes(4800))
    scene.happens(ItemCreateRequested(Message(ItemId("a"), "user", parts)))
    opened = [effect for effect in scene.effects if isinstance(effect, Transcribe)]
    assert [effect.audio for effect in opened] == [bytes(4800), bytes(4800)]
    scene.happens(ItemCreateRequested(Message(ItemId("b"), "user", (InputAudio(None, b"x"),))), ResponseRequested())
    scene.happens(*(Transcribed(effect.turn, "a half") for effect in opened))
    assert scene.last(StartGeneration).prompt.items


def test_each_audio_part_of_an_item_gets_its_own_words_at_its_place() -> None:
    scene = Scene(Settings(transcription=Transcription()))
    parts = InputText("compare"), InputAudio(None, bytes(4800)), InputAudio(None, bytes(9600))
    scene.happens(ItemCreateRequested(Message(ItemId("a"), "user", parts)), ResponseRequested())
    first, second = (effect.turn for effect in scene.effects if isinstance(effect, Transcribe))
    assert not any(isinstance(effect, StartGeneration) for effect in scene.happens(Transcribed(second, "that")))
    scene.happens(Transcribed(first, "this"))
    told = [(notice.content_index, notice.transcript, notice.seconds) for notice in scene.told(TranscriptionCompleted)]
    assert told == [(2, "that", 0.2), (1, "this", 0.1)]
    (item,) = scene.last(StartGeneration).prompt.items
    assert isinstance(item, Message)
    assert item.content == (InputText("compare"), InputAudio("this"), InputAudio("that"))


def test_audio_of_the_assistants_items_that_a_client_brings_is_not_kept_without_end() -> None:
    scene = Scene()
    spoken = OutputAudio("said before", bytes(KEPT_AUDIO_BYTES // 2))
    for name in "abc":
        scene.happens(ItemCreateRequested(Message(ItemId(name), "assistant", (spoken,))))
    assert scene.item("c") == Message(ItemId("c"), "assistant", (OutputAudio("said before", bytes(716_800)),))
    assert scene.item("a") == Message(ItemId("a"), "assistant", (OutputAudio("said before"),))


LONG = "x" * MAX_ITEM_TEXT


@pytest.mark.parametrize(
    "item",
    [
        McpCall(ItemId(""), "books", "find", "{}", output=LONG),
        McpCall(ItemId(""), "books", "find", "{}", error=McpError("protocol_error", LONG)),
        McpCall(ItemId(""), "books", "find", LONG),
        McpListTools(
            ItemId(""), "books", (McpTool("find", LONG[:500_000], LONG[:300_000], annotations=LONG[:300_000]),)
        ),
        McpApprovalRequest(ItemId(""), "books", "find", LONG),
    ],
    ids=["output", "error", "arguments", "tools", "request"],
)
def test_what_a_client_brings_of_mcp_servers_is_bounded_like_its_words(item: Item) -> None:
    scene = Scene()
    most = MAX_BROUGHT_CHARACTERS // MAX_ITEM_TEXT
    for _ in range(most + 1):
        scene.happens(ItemCreateRequested(item))
    assert len(scene.told(ItemAdded)) <= most
    assert scene.told(ErrorRaised)[-1].code == "conversation_full"


def test_an_item_costs_no_more_in_a_full_conversation_than_in_an_empty_one() -> None:
    scene = Scene()

    def calls(name: str) -> int:
        count = 0

        def counted(frame: object, event: str, arg: object) -> None:
            nonlocal count
            count += event == "call"

        sys.setprofile(counted)
        try:
            scene.happens(ItemCreateRequested(Message(ItemId(name), "user", (InputText("x"),))))
        finally:
            sys.setprofile(None)
        return count

    first = calls("first")
    for index in range(300):
        scene.happens(ItemCreateRequested(Message(ItemId(f"i{index}"), "user", (InputText("x"),))))
    assert calls("last") <= first


def test_a_conversation_full_of_large_images_takes_no_more_until_one_is_deleted() -> None:
    scene = Scene(capabilities=Capabilities(images=True))
    image = InputImage("data:image/png;base64," + "A" * (MAX_IMAGE_BYTES // 2))
    names = [f"i{index}" for index in range(MAX_BROUGHT_CHARACTERS // len(image.image_url))]
    for name in names:
        scene.happens(ItemCreateRequested(Message(ItemId(name), "user", (image,))))
    assert len(scene.told(ItemAdded)) == len(names)
    one_more = ItemCreateRequested(Message(ItemId("more"), "user", (image,)), None, ID)
    error = refused(scene, one_more)
    assert (error.code, error.field) == ("conversation_full", "item")
    scene.happens(ItemDeleteRequested(ItemId("i0")))
    assert "ItemAdded" in kinds(scene.happens(one_more))


def test_an_item_of_very_many_audio_parts_is_refused_by_name() -> None:
    parts = (InputAudio(None, bytes(480)),) * (MAX_AUDIO_PARTS + 1)
    error = refused(Scene(), ItemCreateRequested(Message(ItemId("a"), "user", parts), None, ID))
    assert (error.code, error.field) == ("invalid_value", "item.content")


def test_audio_put_before_so_much_other_audio_that_it_is_not_kept_is_understood_all_the_same() -> None:
    scene = Scene()
    old = Message(ItemId("a"), "user", (InputAudio("x", bytes(KEPT_AUDIO_BYTES)),))
    scene.happens(ItemCreateRequested(old))
    scene.happens(ItemCreateRequested(Message(ItemId("c"), "user", (InputAudio(None, bytes(9600)),)), "root"))
    assert scene.last(Transcribe).audio == bytes(9600)
    assert scene.item("c") == Message(ItemId("c"), "user", (InputAudio(None),))


@pytest.mark.parametrize("transcription", [None, Transcription()])
def test_the_words_of_audio_in_a_responses_own_input_are_told_to_nobody(transcription: Transcription | None) -> None:
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


def test_deleting_an_item_ends_the_wait_for_its_words() -> None:
    scene = Scene(MANUAL)
    scene.happens(AudioArrived(bytes(48 * 500)), CommitRequested(), ResponseRequested())
    scene.happens(ItemDeleteRequested(scene.told(InputCommitted)[0].item_id))
    assert scene.last(StartGeneration).prompt.items == ()


def test_the_words_told_are_never_taken_back() -> None:
    scene = Scene(Settings(transcription=Transcription()))
    scene.hears(640, 0.9)
    turn = scene.turn()
    scene.happens(PartialTranscribed(turn, "hello word", "hello"))
    scene.happens(PartialTranscribed(turn, "hello world and", "hello world"))
    scene.happens(PartialTranscribed(turn, "goodbye", "goodbye"))
    scene.hears(640, 0.0)
    scene.happens(Transcribed(turn, "hello world and all"))
    assert [delta.delta for delta in scene.told(TranscriptionDelta)] == ["hello", " world", " and all"]
    assert scene.told(TranscriptionCompleted)[0].transcript == "hello world and all"


def test_a_transcription_session_transcribes_and_never_answers() -> None:
    scene = Scene(Settings(kind="transcription", transcription=Transcription()))
    scene.says("hello there")
    assert scene.told(TranscriptionCompleted)[0].transcript == "hello there"
    assert scene.told(ResponseCreated) == []
    assert refused(scene, ResponseRequested(event_id=ID)).code == "invalid_request"


def test_a_failed_transcript_is_told_as_such_where_transcripts_are_wanted() -> None:
    scene = Scene(Settings(kind="transcription", transcription=Transcription()))
    scene.hears(640, 0.9)
    scene.hears(640, 0.0)
    scene.happens(TranscriptionFailed(scene.turn(), Fault("engine_error", "no ears")))
    assert scene.told(TranscriptionFailedNotice)[0].message == "no ears"


def test_a_recogniser_that_fails_in_a_turn_is_let_go_at_its_end() -> None:
    scene = Scene()
    scene.hears(640, 0.9)
    turn = scene.turn()
    assert scene.happens(TranscriptionFailed(turn, Fault("engine_error", "no ears"))) == []
    assert DropTranscription(turn) in scene.hears(640, 0.0)


def test_a_recogniser_too_far_behind_is_let_go_of_its_oldest_turn() -> None:
    scene = Scene(MANUAL)
    turns = []
    for _ in range(MAX_PENDING_TURNS + 1):
        caused = scene.happens(AudioArrived(bytes(48 * 200)), CommitRequested())
        turns.append(scene.turn())
    assert DropTranscription(turns[0]) in caused
    assert DropTranscription(turns[1]) not in caused


def test_switching_detection_off_and_on_in_mid_speech_leaves_no_turn_behind() -> None:
    scene = Scene()
    scene.hears(640, 0.9)
    assert kinds(scene.happens(SessionUpdateRequested({"turn_detection": None}))) == ["SpeechStopped", "SessionUpdated"]
    scene.happens(AudioArrived(bytes(48 * 200)))
    scene.happens(SessionUpdateRequested({"turn_detection": ServerVad()}))
    assert kinds(scene.passes(10_000)) == []


def test_images_reach_a_model_that_can_see() -> None:
    scene = Scene(capabilities=Capabilities(images=True))
    image = Message(ItemId("i"), "user", (InputImage("data:image/png;base64,AA"),))
    scene.happens(ItemCreateRequested(image), ResponseRequested())
    assert scene.last(StartGeneration).prompt.items == (image,)


def test_an_update_while_another_model_is_looked_for_is_refused_and_names_that_model() -> None:
    scene = Scene(Settings(model="parley"), capabilities=Capabilities(models=("parley",)))
    scene.happens(SessionUpdateRequested({"model": "other"}))
    error = refused(scene, SessionUpdateRequested({"speed": 1.2}, ID))
    assert (error.code, error.field) == ("invalid_value", "session")
    assert "'other'" in error.message


def test_a_session_becomes_one_of_another_type_before_it_has_received_anything_and_not_after() -> None:
    scene = Scene(Settings(modality="text", turn_detection=None))
    assert kinds(scene.happens(SessionUpdateRequested({"kind": "transcription"}))) == ["SessionUpdated"]
    error = refused(scene, ResponseRequested(event_id=ID))
    assert (error.code, error.field) == ("invalid_request", "type")
    scene.happens(SessionUpdateRequested({"kind": "realtime"}), ResponseRequested())
    assert len(scene.told(ResponseCreated)) == 1
    error = refused(scene, SessionUpdateRequested({"kind": "transcription"}, ID))
    assert (error.code, error.field) == ("invalid_value", "session.kind")
    scene = Scene(MANUAL)
    scene.happens(AudioArrived(bytes(48)))
    assert refused(scene, SessionUpdateRequested({"kind": "transcription"}, ID)).field == "session.kind"


def test_a_policy_of_ones_own_stays_when_the_type_of_the_session_changes() -> None:
    scene = Scene(Settings(modality="text", turn_detection=None))
    scene.session = Session(
        SessionSpec(
            seed=b"own",
            settings=Settings(modality="text", turn_detection=None),
            owner=OwnerSettings(),
            capabilities=Capabilities(),
            playback="remote",
            now_ns=scene.now,
            policy=policy_of("transcription"),
        )
    )
    scene.happens(SessionUpdateRequested({"kind": "transcription"}), SessionUpdateRequested({"kind": "realtime"}))
    assert refused(scene, ResponseRequested(event_id=ID)).code == "invalid_request"


def test_audio_is_counted_in_the_format_it_comes_in_from_the_update_on() -> None:
    scene = Scene(MANUAL)
    scene.happens(AudioArrived(bytes(4_800)), SessionUpdateRequested({"speed": 1.5}), CommitRequested())
    assert len(scene.told(InputCommitted)) == 1, "an update that leaves the format alone keeps the audio"
    scene.happens(SessionUpdateRequested({"input_format": AudioFormat.PCMU}), AudioArrived(bytes(799)))
    assert refused(scene, CommitRequested(ID)).code == "input_audio_buffer_commit_empty"
    scene.happens(AudioArrived(bytes(1)), CommitRequested())
    assert len(scene.told(InputCommitted)) == 2


def test_each_update_says_whose_session_it_is_and_how_long_it_lasts_yet() -> None:
    scene = Scene(MANUAL, OwnerSettings(session_ms=60_000))
    (created,) = scene.told(SessionCreated)
    assert created.expires_in_ms == 60_000
    scene.passes(1_500)
    scene.happens(SessionUpdateRequested({"speed": 1.2}))
    (updated,) = scene.told(SessionUpdated)
    assert (updated.session_id, updated.expires_in_ms) == (created.session_id, 58_500)
    scene.now += 60_000 * 1_000_000
    scene.happens(SessionUpdateRequested({"speed": 1.0}))
    assert scene.told(SessionUpdated)[-1].expires_in_ms == 0


def waiting(ms: int) -> InputAudio:
    return InputAudio(None, bytes(48 * ms))


@pytest.mark.parametrize(("ms", "fits"), [(180_000, True), (180_001, False)])
def test_items_and_inputs_may_bring_as_much_audio_as_may_wait_for_its_words(ms: int, fits: bool) -> None:
    message = Message(ItemId(""), "user", (waiting(1_000), waiting(ms - 1_000)))
    given = Message(ItemId(""), "user", (waiting(ms - 1_000),)), Message(ItemId(""), "user", (waiting(1_000),))
    for event, param in (
        (ItemCreateRequested(message, None, ID), "item.content"),
        (ResponseRequested(ResponseParams(False, given), ID), "response.input"),
    ):
        scene = Scene(MANUAL)
        if fits:
            assert "ErrorRaised" not in kinds(scene.happens(event))
            assert len([effect for effect in scene.effects if isinstance(effect, Transcribe)]) == 2
        else:
            error = refused(scene, event)
            assert (error.code, error.field, error.kind) == ("transcription_backlog", param, "rate_limit_error")
            assert not any(isinstance(effect, Transcribe) for effect in scene.effects)
            assert scene.told(ResponseCreated) == []


def test_a_responses_own_input_names_the_part_that_cannot_be() -> None:
    scene = Scene(MANUAL)
    scene.happens(ItemCreateRequested(TEXT))
    reference, image = ItemReference(ItemId("mine")), InputImage("data:image/png;base64,AA")
    for bad, code, param in (
        (ItemReference(ItemId("no")), "invalid_item_reference", "response.input[1].id"),
        (Message(ItemId(""), "user", (image,)), "unsupported_content_type", "response.input[1].content[0].type"),
    ):
        error = refused(scene, ResponseRequested(ResponseParams(input=(reference, bad)), ID))
        assert (error.code, error.field) == (code, param)
    assert scene.told(ResponseCreated) == []


def test_words_of_audio_in_a_responses_own_input_reach_its_model_and_a_reference_is_not_heard_again() -> None:
    scene = Scene(MANUAL)
    scene.happens(ItemCreateRequested(Message(ItemId("old"), "user", (InputAudio("before", bytes(9_600)),))))
    own = Message(ItemId("own"), "user", (InputText("and"), InputAudio(None, bytes(9_600))))
    scene.happens(ResponseRequested(ResponseParams(False, (ItemReference(ItemId("old")), own))))
    assert len([effect for effect in scene.effects if isinstance(effect, Transcribe)]) == 1
    scene.happens(Transcribed(scene.turn(), "now"))
    old, new = scene.last(StartGeneration).prompt.items
    assert (old, new) == (
        Message(ItemId("old"), "user", (InputAudio("before"),)),
        Message(ItemId("own"), "user", (InputText("and"), InputAudio("now"))),
    )
    assert scene.item("old") == Message(ItemId("old"), "user", (InputAudio("before", bytes(9_600)),))


def test_a_request_that_is_refused_costs_nothing_of_the_rate() -> None:
    scene = Scene(MANUAL, OwnerSettings(responses_per_minute=1))
    for params in (ResponseParams(tool_choice="required"), ResponseParams(input=(ItemReference(ItemId("no")),))):
        refused(scene, ResponseRequested(params, ID))
    scene.happens(ResponseRequested())
    assert len(scene.told(ResponseCreated)) == 1


SPEAKING = Settings(voice="alba", turn_detection=None)


@pytest.mark.parametrize(
    ("params", "code", "param"),
    [
        (ResponseParams(voice="bruno"), "cannot_update_voice", "response.voice"),
        (ResponseParams(False, voice="nobody"), "invalid_value", "response.voice"),
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
def test_what_a_response_asks_for_is_checked_by_name(
    params: ResponseParams, code: str | None, param: str | None
) -> None:
    scene = Scene(SPEAKING, capabilities=Capabilities(voices=("alba", "bruno"), reasoning=False))
    scene.happens(ItemCreateRequested(TEXT), ResponseRequested())
    scene.answers(("Hi.", 100))
    if code is None:
        assert kinds(scene.happens(ResponseRequested(params)))[0] == "ResponseCreated"
    else:
        error = refused(scene, ResponseRequested(params, ID))
        assert (error.code, error.field) == (code, param)


def test_a_choice_of_the_sessions_is_refused_under_the_sessions_name() -> None:
    scene = Scene(Settings(modality="text", tool_choice="required", tools=(FunctionTool("a"),)))
    error = refused(scene, ResponseRequested(ResponseParams(tools=()), ID))
    assert (error.code, error.field) == ("invalid_value", "session.tool_choice")


def test_a_second_response_is_refused_by_the_id_of_the_first_and_a_ninth_aside_until_one_ends() -> None:
    scene = Scene(Settings(modality="text", turn_detection=None))
    scene.happens(ItemCreateRequested(TEXT), ResponseRequested())
    error = refused(scene, ResponseRequested(event_id=ID))
    assert (error.code, error.field, error.kind) == (
        ("conversation_already_has_active_response", None, "invalid_request_error")
    )
    assert scene.told(ResponseCreated)[0].response.id in error.message
    for _ in range(8):
        assert kinds(scene.happens(ResponseRequested(ResponseParams(False)))) == ["ResponseCreated"]
    error = refused(scene, ResponseRequested(ResponseParams(False), ID))
    assert (error.code, error.field) == ("rate_limit_exceeded", None)
    last = scene.told(ResponseCreated)[-1].response.id
    scene.happens(CancelRequested(last))
    assert kinds(scene.happens(ResponseRequested(ResponseParams(False)))) == ["ResponseCreated"]


def test_a_response_in_the_conversation_is_cancelled_by_its_id_and_no_other_one() -> None:
    scene = Scene(Settings(modality="text", turn_detection=None))
    scene.happens(ItemCreateRequested(TEXT), ResponseRequested(), ResponseRequested(ResponseParams(False)))
    main, side = (created.response.id for created in scene.told(ResponseCreated))
    error = refused(scene, CancelRequested(ResponseId("no"), ID))
    assert (error.code, error.field) == ("response_cancel_not_active", "response_id")
    scene.happens(CancelRequested(main))
    assert [done.response.id for done in scene.told(ResponseDone)] == [main]
    refused(scene, CancelRequested(main, ID))
    refused(scene, CancelRequested(None, ID))
    scene.happens(CancelRequested(side))
    assert [done.response.id for done in scene.told(ResponseDone)] == [main, side]


def test_output_of_a_call_is_taken_only_for_a_call_that_is_there() -> None:
    scene = Scene(MANUAL)
    scene.happens(ItemCreateRequested(FunctionCall(ItemId("f"), CallId("c"), "look", "{}")))
    for call_id, told in (("c", "ItemAdded"), ("d", "ErrorRaised")):
        caused = scene.happens(ItemCreateRequested(FunctionCallOutput(ItemId(""), CallId(call_id), "1")))
        assert kinds(caused)[0] == told


def spoken_reply(scene: Scene, samples: int) -> ItemId:
    """A reply of so many samples, made and heard out."""
    scene.happens(ItemCreateRequested(TEXT), ResponseRequested())
    attempt = scene.attempt()
    words = (SpokenWord(3, 12_000), SpokenWord(7, samples))
    scene.happens(ClauseStarted(attempt, "one two"), SpeechGenerated(attempt, bytes(2 * samples), words))
    scene.happens(GenerationFinished(attempt))
    return scene.told(OutputItemAdded)[-1].item.id


@pytest.mark.parametrize(
    ("index", "end_ms", "code", "param"),
    [(1, 0, "invalid_value", "content_index"), (0, 1_002, "invalid_value", "audio_end_ms"), (0, 1_001, None, None)],
)
def test_a_truncation_beyond_the_item_is_refused_by_name(
    index: int, end_ms: int, code: str | None, param: str | None
) -> None:
    scene = Scene(MANUAL)
    item = spoken_reply(scene, 24_001)
    event = ItemTruncateRequested(item, index, end_ms, ID)
    if code is None:
        assert notices(scene.happens(event)) == [ItemTruncated(item, 0, end_ms)]
    else:
        error = refused(scene, event)
        assert (error.code, error.field) == (code, param)
        assert scene.session.speaking, "nothing is silenced"


@pytest.mark.parametrize(("end_ms", "kept"), [(0, ""), (499, ""), (500, "one"), (999, "one"), (1_000, "one two")])
def test_a_client_that_names_the_last_millisecond_has_heard_all(end_ms: int, kept: str) -> None:
    scene = Scene(MANUAL)
    item = spoken_reply(scene, 24_001)
    scene.happens(ItemTruncateRequested(item, 0, end_ms))
    view = scene.item(item)
    assert isinstance(view, Message)
    (part,) = view.content
    assert isinstance(part, OutputAudio)
    assert part.transcript == kept
    if end_ms < 1_000:
        assert refused(scene, ItemTruncateRequested(item, 0, end_ms + 1, ID)).field == "audio_end_ms"


def test_deleting_an_item_lets_go_of_its_own_turn_alone() -> None:
    scene = Scene(MANUAL)
    turns = []
    for _ in range(2):
        scene.happens(AudioArrived(bytes(48 * 200)), CommitRequested())
        turns.append(scene.turn())
    scene.happens(ResponseRequested())
    first, second = (committed.item_id for committed in scene.told(InputCommitted))
    caused = scene.happens(ItemDeleteRequested(first))
    assert caused[0] == DropTranscription(turns[0])
    assert notices(caused) == [ItemDeleted(first)]
    assert not any(isinstance(effect, StartGeneration) for effect in scene.effects)
    scene.happens(Transcribed(turns[1], "two"))
    assert [item.id for item in scene.last(StartGeneration).prompt.items] == [second]


def test_where_the_server_plays_and_nothing_sounds_there_is_nothing_to_clear() -> None:
    scene = Scene(MANUAL, playback="paced")
    scene.happens(ItemCreateRequested(TEXT), ResponseRequested())
    assert scene.happens(OutputClearRequested(ID)) == []
    assert scene.told(ResponseDone) == []


def test_where_the_server_plays_its_client_may_clear_what_sounds_once() -> None:
    scene = Scene(Settings(turn_detection=None), playback="paced")
    scene.happens(ItemCreateRequested(TEXT), ResponseRequested())
    scene.answers(("One two.", 1_000))
    assert kinds(scene.happens(OutputClearRequested(ID))) == ["OutputBufferCleared", "ItemTruncated"]
    assert scene.happens(OutputClearRequested(ID)) == []
