"""Items from a client: their size limits and their defaults."""

from __future__ import annotations

from dataclasses import replace

import pytest

from parley.core.words.effects import FinishTranscription, OpenTranscription, StartGeneration, Transcribe
from parley.core.words.errors import Fault
from parley.core.words.events import (
    ItemCreateRequested,
    PartialTranscribed,
    ResponseRequested,
    Transcribed,
    TranscriptionFailed,
)
from parley.core.words.ids import CallId, ItemId
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
    McpListTools,
    McpTool,
    Message,
    OutputAudio,
)
from parley.core.words.limits import MAX_AUDIO_PARTS, MAX_IMAGE_BYTES, MAX_ITEM_TEXT
from parley.core.words.notices import ItemAdded, ResponseDone, TranscriptionCompleted, TranscriptionDelta
from parley.core.words.settings import AudioFormat, Capabilities, Settings, Transcription
from parley.core.words.work import ResponseParams
from tests.core.requesting import ID, refused
from tests.core.scene import Scene, kinds, notices

SEES = Capabilities(images=True)


def brings(*content: InputText | InputImage | InputAudio, name: str = "mine") -> ItemCreateRequested:
    return ItemCreateRequested(Message(ItemId(name), "user", content), None, ID)


def test_an_image_may_be_as_large_as_the_limit_and_no_larger() -> None:
    scene = Scene(capabilities=SEES)
    largest = "data:image/png;base64,".ljust(MAX_IMAGE_BYTES, "A")
    error = refused(scene, brings(InputText("look"), InputImage(largest + "A"), name="larger"))
    assert (error.code, error.field) == ("invalid_value", "item.content[1].image_url")
    assert f" {MAX_IMAGE_BYTES // 2**20} MiB " in error.message
    assert kinds(scene.happens(brings(InputText("look"), InputImage(largest)))) == ["ItemAdded", "ItemDone"]


def test_a_refused_image_of_a_responses_own_input_is_named_by_its_position() -> None:
    photo = Message(ItemId(""), "user", (InputText("look"), InputImage("data:image/png;base64,AA")))
    own = ResponseParams(False, (Message(ItemId(""), "user", (InputText("hello"),)), photo))
    error = refused(Scene(), ResponseRequested(own, ID))
    assert (error.code, error.field) == ("unsupported_content_type", "response.input[1].content[1].type")


def test_an_item_may_hold_as_much_text_as_the_limit_and_no_more() -> None:
    half = "x" * (MAX_ITEM_TEXT // 2)
    scene = Scene()
    error = refused(scene, brings(InputText(half), InputText(half + "x"), name="larger"))
    assert (error.code, error.field) == ("invalid_value", "item")
    assert f" {MAX_ITEM_TEXT} " in error.message
    assert kinds(scene.happens(brings(InputText(half), InputText(half)))) == ["ItemAdded", "ItemDone"]


def test_missing_ids_and_statuses_of_an_item_are_filled_in() -> None:
    scene = Scene()
    scene.happens(ItemCreateRequested(FunctionCall(ItemId(""), CallId(""), "look", "{}", "in_progress")))
    scene.happens(ItemCreateRequested(FunctionCall(ItemId("mine"), CallId("c"), "look", "{}", "incomplete")))
    given, kept = (added.item for added in scene.notices(ItemAdded))
    assert isinstance(given, FunctionCall)
    assert given.id
    assert given.call_id
    assert given.status == "completed"
    assert kept == FunctionCall(ItemId("mine"), CallId("c"), "look", "{}", "incomplete")


def test_an_item_may_hold_as_many_audio_parts_as_the_limit_and_no_more() -> None:
    scene = Scene()
    known = InputAudio("hello", bytes(480))
    error = refused(scene, brings(*[known] * (MAX_AUDIO_PARTS + 1), InputText("and words"), name="larger"))
    assert (error.code, error.field) == ("invalid_value", "item.content")
    assert f" {MAX_AUDIO_PARTS} parts of audio" in error.message
    assert kinds(scene.happens(brings(*[known] * MAX_AUDIO_PARTS, InputText("and words")))) == ["ItemAdded", "ItemDone"]


def test_audio_in_a_client_item_has_the_formats_of_the_session() -> None:
    scene = Scene(Settings(input_format=AudioFormat.PCMU, output_format=AudioFormat.PCMA))
    heard, spoken = InputAudio("hello", bytes(480)), OutputAudio("hi", bytes(480))
    scene.happens(ItemCreateRequested(Message(ItemId("mine"), "user", (heard, spoken, InputText("text")))))
    item = scene.item("mine")
    assert isinstance(item, Message)
    assert item.content == (
        replace(heard, format=AudioFormat.PCMU),
        replace(spoken, format=AudioFormat.PCMA),
        InputText("text"),
    )


def test_the_audio_of_an_item_is_counted_once_for_each_part_with_audio() -> None:
    scene = Scene()
    parts = InputAudio("one", bytes(48_000)), InputAudio("without"), InputAudio("two", bytes(24_000))
    scene.happens(brings(*parts), ResponseRequested())
    scene.answers(("Hello.", 400))
    usage = scene.notices(ResponseDone)[-1].response.usage
    assert usage is not None
    assert usage.input_audio == 15, "1.5 s, a token for 100 ms"


# --- audio without a transcript ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wire", AudioFormat)
def test_an_items_audio_is_transcribed_whole_and_reported_with_the_items_id(wire: AudioFormat) -> None:
    scene = Scene(Settings(transcription=Transcription(), input_format=wire))
    audio = bytes(range(200)) * wire.bytes_per_ms  # 200 ms
    caused = scene.happens(brings(InputText("listen"), InputAudio(None, audio)))
    opened, fed, finished = (effect for effect in caused if not notices([effect]))
    assert isinstance(opened, OpenTranscription)
    assert (opened.format, opened.live) == (wire, False)
    assert fed == Transcribe(opened.turn, audio)
    assert finished == FinishTranscription(opened.turn)
    assert notices(scene.happens(PartialTranscribed(opened.turn, "from a", "from"))) == [
        TranscriptionDelta(ItemId("mine"), 1, "from")
    ]
    assert notices(scene.happens(Transcribed(opened.turn, "from a file"))) == [
        TranscriptionDelta(ItemId("mine"), 1, " a file"),
        TranscriptionCompleted(ItemId("mine"), 1, "from a file", 0.2, ""),
    ]


def test_an_audio_item_is_answered_only_when_the_client_asks() -> None:
    scene = Scene()
    scene.happens(brings(InputAudio(None, bytes(9600))))
    caused = scene.happens(Transcribed(scene.turn(), "from a file")) + scene.passes(10_000)
    assert caused == []
    scene.happens(ResponseRequested())
    assert scene.last(StartGeneration).prompt.items == (Message(ItemId("mine"), "user", (InputAudio("from a file"),)),)


def test_unrecognisable_audio_fails_only_its_own_transcript() -> None:
    scene = Scene()
    scene.happens(brings(InputText("listen"), InputAudio(None, bytes(9600))))
    scene.happens(TranscriptionFailed(scene.turn(), Fault("engine_error", "It broke.")))
    scene.passes(10_000)
    assert not any(isinstance(effect, StartGeneration) for effect in scene.effects)
    scene.happens(ResponseRequested())
    (item,) = scene.last(StartGeneration).prompt.items
    assert isinstance(item, Message)
    assert item.content[0] == InputText("listen")


def test_an_item_whose_transcript_was_abandoned_is_no_longer_waited_for() -> None:
    scene = Scene()
    scene.happens(brings(InputAudio(None, bytes(9_600))))
    scene.happens(TranscriptionFailed(scene.turn(), Fault("engine_error", "It broke.")))
    scene.happens(brings(InputAudio(None, bytes(9_600)), name="other"))
    of_the_lost, of_the_other = ItemReference(ItemId("mine")), ItemReference(ItemId("other"))
    scene.happens(ResponseRequested(ResponseParams(False, (of_the_other,))))
    assert not scene.all(StartGeneration), "it waits for the transcript"
    scene.happens(ResponseRequested(ResponseParams(False, (of_the_lost,))))
    assert len(scene.all(StartGeneration)) == 1


@pytest.mark.parametrize(
    "item",
    [
        McpCall(ItemId("m"), "books", "find", "{}", "found", status="in_progress"),
        McpListTools(ItemId("l"), "books", (McpTool("find"),), status="in_progress"),
        McpApprovalRequest(ItemId("q"), "books", "lend", "{}", status="in_progress"),
    ],
    ids=lambda item: type(item).__name__,
)
def test_an_mcp_item_is_accepted_unchanged_as_completed(item: Item) -> None:
    (added, done) = notices(Scene().happens(ItemCreateRequested(item)))
    assert isinstance(added, ItemAdded)
    assert added.item == replace(item, status="completed")
    assert type(done).__name__ == "ItemDone"


def test_a_call_output_may_be_as_long_as_any_other_text() -> None:
    scene = Scene()
    scene.happens(ItemCreateRequested(FunctionCall(ItemId("f"), CallId("c"), "read", "{}")))
    longest, longer = (FunctionCallOutput(ItemId("o"), CallId("c"), "x" * (MAX_ITEM_TEXT + over)) for over in (0, 1))
    error = refused(scene, ItemCreateRequested(longer, None, ID))
    assert (error.code, error.field) == ("invalid_value", "item")
    assert kinds(scene.happens(ItemCreateRequested(longest))) == ["ItemAdded", "ItemDone"]
