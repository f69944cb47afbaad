"""A client's requests about items: create, place, truncate and delete them."""

from __future__ import annotations

import sys

import pytest

from parley.core.spec import PlaybackKind
from parley.core.words.effects import DropTranscription, StartGeneration, Transcribe
from parley.core.words.events import (
    AudioArrived,
    ClauseStarted,
    CommitRequested,
    GenerationFinished,
    ItemCreateRequested,
    ItemDeleteRequested,
    ItemRetrieveRequested,
    ItemTruncateRequested,
    ResponseRequested,
    SpeechGenerated,
    SpokenWord,
    Transcribed,
)
from parley.core.words.ids import CallId, ItemId
from parley.core.words.items import (
    FunctionCall,
    FunctionCallOutput,
    InputAudio,
    InputImage,
    InputText,
    Item,
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
    MAX_RETRIEVED_AUDIO_BYTES,
    MAX_RETRIEVED_CALL_AUDIO_BYTES,
)
from parley.core.words.notices import (
    ErrorRaised,
    InputCommitted,
    ItemAdded,
    ItemDeleted,
    ItemRetrieved,
    ItemTruncated,
    OutputItemAdded,
    ResponseCreated,
    TranscriptionCompleted,
)
from parley.core.words.settings import (
    Capabilities,
    Settings,
    Transcription,
)
from parley.core.words.work import ResponseParams
from tests.core.requesting import ID, MANUAL, TEXT, refused
from tests.core.scene import Scene, kinds, notices

LONG = "x" * MAX_ITEM_TEXT


def test_items_are_placed_where_the_client_says() -> None:
    scene = Scene()
    for name, previous in (("b", None), ("a", "root"), ("d", None), ("c", "b")):
        scene.happens(ItemCreateRequested(Message(ItemId(name), "user", (InputText(name),)), previous))
    assert [(added.item.id, added.previous_item_id) for added in scene.notices(ItemAdded)] == [
        ("b", None),
        ("a", None),
        ("d", "b"),
        ("c", "b"),
    ]
    scene.happens(ItemDeleteRequested(ItemId("b")))
    assert scene.notices(ItemDeleted) == [ItemDeleted(ItemId("b"))]
    scene.happens(ResponseRequested())
    assert [item.id for item in scene.last(StartGeneration).prompt.items] == ["a", "c", "d"]


def test_an_audio_item_is_transcribed_before_it_is_answered() -> None:
    scene = Scene(Settings(transcription=Transcription()))
    scene.happens(ItemCreateRequested(Message(ItemId("a"), "user", (InputAudio(None, bytes(9600)),))))
    assert scene.last(Transcribe).audio == bytes(9600)
    scene.happens(ResponseRequested())
    scene.happens(Transcribed(scene.turn(), "from a file"))
    assert scene.notices(TranscriptionCompleted)[0].transcript == "from a file"
    assert scene.item("a") == Message(ItemId("a"), "user", (InputAudio("from a file", bytes(9600)),))
    assert scene.last(StartGeneration).prompt.items


def test_half_a_sample_at_the_end_of_an_items_audio_is_ignored() -> None:
    scene = Scene()
    parts = InputAudio(None, bytes(4801)), InputAudio(None, bytes(4800))
    scene.happens(ItemCreateRequested(Message(ItemId("a"), "user", parts)))
    opened = scene.all(Transcribe)
    assert [effect.audio for effect in opened] == [bytes(4800), bytes(4800)]
    scene.happens(ItemCreateRequested(Message(ItemId("b"), "user", (InputAudio(None, b"x"),))), ResponseRequested())
    scene.happens(*(Transcribed(effect.turn, "a half") for effect in opened))
    assert scene.last(StartGeneration).prompt.items


def test_each_audio_part_of_an_item_gets_its_own_transcript() -> None:
    scene = Scene(Settings(transcription=Transcription()))
    parts = InputText("compare"), InputAudio(None, bytes(4800)), InputAudio(None, bytes(9600))
    scene.happens(ItemCreateRequested(Message(ItemId("a"), "user", parts)), ResponseRequested())
    first, second = (effect.turn for effect in scene.effects if isinstance(effect, Transcribe))
    assert not any(isinstance(effect, StartGeneration) for effect in scene.happens(Transcribed(second, "that")))
    scene.happens(Transcribed(first, "this"))
    sent = [
        (notice.content_index, notice.transcript, notice.seconds) for notice in scene.notices(TranscriptionCompleted)
    ]
    assert sent == [(2, "that", 0.2), (1, "this", 0.1)]
    (item,) = scene.last(StartGeneration).prompt.items
    assert isinstance(item, Message)
    assert item.content == (InputText("compare"), InputAudio("this"), InputAudio("that"))


def test_audio_of_assistant_items_from_the_client_is_limited() -> None:
    scene = Scene()
    spoken = OutputAudio("said before", bytes(KEPT_AUDIO_BYTES // 2))
    for name in "abc":
        scene.happens(ItemCreateRequested(Message(ItemId(name), "assistant", (spoken,))))
    assert scene.item("c") == Message(ItemId("c"), "assistant", (OutputAudio("said before", bytes(716_800)),))
    assert scene.item("a") == Message(ItemId("a"), "assistant", (OutputAudio("said before"),))


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
def test_mcp_items_from_the_client_are_limited_like_text(item: Item) -> None:
    scene = Scene()
    most = MAX_BROUGHT_CHARACTERS // MAX_ITEM_TEXT
    for _ in range(most + 1):
        scene.happens(ItemCreateRequested(item))
    assert len(scene.notices(ItemAdded)) <= most
    assert scene.notices(ErrorRaised)[-1].code == "conversation_full"


def test_adding_an_item_costs_the_same_in_a_full_and_an_empty_conversation() -> None:
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


def test_a_conversation_full_of_large_images_accepts_another_after_a_deletion() -> None:
    scene = Scene(capabilities=Capabilities(images=True))
    image = InputImage("data:image/png;base64," + "A" * (MAX_IMAGE_BYTES // 2))
    names = [f"i{index}" for index in range(MAX_BROUGHT_CHARACTERS // len(image.image_url))]
    for name in names:
        scene.happens(ItemCreateRequested(Message(ItemId(name), "user", (image,))))
    assert len(scene.notices(ItemAdded)) == len(names)
    one_more = ItemCreateRequested(Message(ItemId("more"), "user", (image,)), None, ID)
    error = refused(scene, one_more)
    assert (error.code, error.field) == ("conversation_full", "item")
    scene.happens(ItemDeleteRequested(ItemId("i0")))
    assert "ItemAdded" in kinds(scene.happens(one_more))


def test_an_item_with_too_many_audio_parts_is_refused_by_name() -> None:
    parts = (InputAudio(None, bytes(480)),) * (MAX_AUDIO_PARTS + 1)
    error = refused(Scene(), ItemCreateRequested(Message(ItemId("a"), "user", parts), None, ID))
    assert (error.code, error.field) == ("invalid_value", "item.content")


def test_audio_inserted_before_more_audio_than_is_kept_is_still_transcribed() -> None:
    scene = Scene()
    old = Message(ItemId("a"), "user", (InputAudio("x", bytes(KEPT_AUDIO_BYTES)),))
    scene.happens(ItemCreateRequested(old))
    scene.happens(ItemCreateRequested(Message(ItemId("c"), "user", (InputAudio(None, bytes(9600)),)), "root"))
    assert scene.last(Transcribe).audio == bytes(9600)
    assert scene.item("c") == Message(ItemId("c"), "user", (InputAudio(None),))


def test_deleting_an_item_ends_the_wait_for_its_transcript() -> None:
    scene = Scene(MANUAL)
    scene.happens(AudioArrived(bytes(48 * 500)), CommitRequested(), ResponseRequested())
    scene.happens(ItemDeleteRequested(scene.notices(InputCommitted)[0].item_id))
    assert scene.last(StartGeneration).prompt.items == ()


def test_images_reach_a_model_that_supports_them() -> None:
    scene = Scene(capabilities=Capabilities(images=True))
    image = Message(ItemId("i"), "user", (InputImage("data:image/png;base64,AA"),))
    scene.happens(ItemCreateRequested(image), ResponseRequested())
    assert scene.last(StartGeneration).prompt.items == (image,)


def waiting(ms: int) -> InputAudio:
    return InputAudio(None, bytes(48 * ms))


@pytest.mark.parametrize(("ms", "fits"), [(180_000, True), (180_001, False)])
def test_items_and_inputs_may_bring_as_much_audio_as_the_backlog_allows(ms: int, fits: bool) -> None:
    message = Message(ItemId(""), "user", (waiting(1_000), waiting(ms - 1_000)))
    given = Message(ItemId(""), "user", (waiting(ms - 1_000),)), Message(ItemId(""), "user", (waiting(1_000),))
    for event, param in (
        (ItemCreateRequested(message, None, ID), "item.content"),
        (ResponseRequested(ResponseParams(False, given), ID), "response.input"),
    ):
        scene = Scene(MANUAL)
        if fits:
            assert "ErrorRaised" not in kinds(scene.happens(event))
            assert len(scene.all(Transcribe)) == 2
        else:
            error = refused(scene, event)
            assert (error.code, error.field, error.kind) == ("transcription_backlog", param, "rate_limit_error")
            assert not any(isinstance(effect, Transcribe) for effect in scene.effects)
            assert scene.notices(ResponseCreated) == []


def test_a_call_output_is_accepted_only_for_an_existing_call() -> None:
    scene = Scene(MANUAL)
    scene.happens(ItemCreateRequested(FunctionCall(ItemId("f"), CallId("c"), "look", "{}")))
    for call_id, sent in (("c", "ItemAdded"), ("d", "ErrorRaised")):
        caused = scene.happens(ItemCreateRequested(FunctionCallOutput(ItemId(""), CallId(call_id), "1")))
        assert kinds(caused)[0] == sent


def spoken_reply(scene: Scene, samples: int) -> ItemId:
    """A reply of this many samples, generated and fully heard."""
    scene.happens(ItemCreateRequested(TEXT), ResponseRequested())
    attempt = scene.attempt()
    words = (SpokenWord(3, 12_000), SpokenWord(7, samples))
    scene.happens(ClauseStarted(attempt, "one two"), SpeechGenerated(attempt, bytes(2 * samples), words))
    scene.happens(GenerationFinished(attempt))
    return scene.notices(OutputItemAdded)[-1].item.id


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
        assert scene.session.speaking, "nothing was stopped"


@pytest.mark.parametrize(("end_ms", "kept"), [(0, ""), (499, ""), (500, "one"), (999, "one"), (1_000, "one two")])
def test_a_truncation_at_the_last_millisecond_keeps_everything(end_ms: int, kept: str) -> None:
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


def test_deleting_an_item_drops_only_its_own_turn() -> None:
    scene = Scene(MANUAL)
    turns = []
    for _ in range(2):
        scene.happens(AudioArrived(bytes(48 * 200)), CommitRequested())
        turns.append(scene.turn())
    scene.happens(ResponseRequested())
    first, second = (committed.item_id for committed in scene.notices(InputCommitted))
    caused = scene.happens(ItemDeleteRequested(first))
    assert caused[0] == DropTranscription(turns[0])
    assert notices(caused) == [ItemDeleted(first)]
    assert not any(isinstance(effect, StartGeneration) for effect in scene.effects)
    scene.happens(Transcribed(turns[1], "two"))
    assert [item.id for item in scene.last(StartGeneration).prompt.items] == [second]


@pytest.mark.parametrize(
    ("playback", "most"), [("remote", MAX_RETRIEVED_AUDIO_BYTES), ("paced", MAX_RETRIEVED_CALL_AUDIO_BYTES)]
)
def test_an_item_is_retrieved_with_as_much_audio_as_a_message_of_the_link_holds(
    playback: PlaybackKind, most: int
) -> None:
    scene = Scene(MANUAL, playback=playback)
    long = Message(ItemId("long"), "user", (InputAudio("words", bytes(MAX_RETRIEVED_AUDIO_BYTES + 2)),))
    scene.happens(ItemCreateRequested(long))
    (shown,) = notices(scene.happens(ItemRetrieveRequested(ItemId("long"))))
    assert isinstance(shown, ItemRetrieved)
    assert isinstance(shown.item, Message)
    assert shown.item.content == (InputAudio("words", bytes(most)),)
