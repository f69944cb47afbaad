"""The events of a response are consistent: every added is done, deltas join to the done, and one terminal ends it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from parley.core.regions.entry import Entry
from parley.core.regions.response import Response, new_call
from parley.core.words.effects import ListTools
from parley.core.words.errors import InvariantBroken
from parley.core.words.events import (
    CancelRequested,
    ClauseStarted,
    Event,
    GenerationFinished,
    ItemCreateRequested,
    ItemDeleteRequested,
    ItemTruncateRequested,
    ResponseRequested,
    SpeechGenerated,
    TextGenerated,
    ToolAnswered,
    ToolArgumentsGenerated,
    ToolCallStarted,
    ToolsListed,
)
from parley.core.words.ids import CallId, ItemId, ResponseId
from parley.core.words.items import (
    FunctionCall,
    FunctionCallOutput,
    InputText,
    Item,
    McpApprovalRequest,
    McpCall,
    McpTool,
    Message,
    OutputAudio,
    OutputText,
)
from parley.core.words.limits import AUDIO_DELTA_BYTES
from parley.core.words.notices import (
    ContentPartAdded,
    ContentPartDone,
    FunctionArgumentsDelta,
    FunctionArgumentsDone,
    ItemAdded,
    ItemDone,
    McpArgumentsDelta,
    McpArgumentsDone,
    Notice,
    OutputAudioDelta,
    OutputAudioDone,
    OutputItemAdded,
    OutputItemDone,
    OutputTextDelta,
    OutputTextDone,
    OutputTranscriptDelta,
    OutputTranscriptDone,
    PartAt,
    ResponseCreated,
    ResponseDone,
)
from parley.core.words.settings import (
    Approval,
    AudioFormat,
    McpServer,
    Modality,
    Settings,
    ToolFilter,
)
from parley.core.words.work import ResponseParams
from tests.core.scene import MCP_ALLOWED, Scene, notices

TYPED = ItemCreateRequested(Message(ItemId("typed"), "user", (InputText("hello"),)))
BOOKS = McpServer("books", "https://books.example/mcp", approval=Approval(never=ToolFilter(("find",))))


@dataclass
class ReceivedItem:
    """One output item as a client assembles it from the notices."""

    item: Item
    text: str = ""
    audio: bytes = b""
    whole: list[str] = field(default_factory=list)
    """Which of its parts are done, in order."""
    done: Item | None = None


class Client:
    """Assembles a response from its notices, and asserts that each fits the ones before it."""

    def __init__(self, modality: Modality, conversation: bool) -> None:
        self.modality, self.conversation = modality, conversation
        self.id = ResponseId("")
        self.items: list[ReceivedItem] = []
        self.terminal: ResponseDone | None = None

    def at(self, at: PartAt) -> ReceivedItem:
        received = self.items[at.output_index]
        assert at == PartAt(self.id, received.item.id, at.output_index, 0)
        assert received.done is None
        return received

    def of(self, response_id: ResponseId, index: int, item_id: ItemId) -> ReceivedItem:
        received = self.items[index]
        assert (response_id, item_id) == (self.id, received.item.id)
        assert received.done is None
        return received

    def takes(self, notice: Notice) -> None:
        if self.terminal is not None:
            assert getattr(notice, "response_id", None) != self.id
            return
        match notice:
            case ResponseCreated(response=response):
                self.id = response.id
                assert (response.status, response.output) == ("in_progress", ())
            case OutputItemAdded(response_id=response_id, output_index=index, item=item):
                assert (response_id, index, item.status) == (self.id, len(self.items), "in_progress")
                self.items.append(ReceivedItem(item))
            case ItemAdded(item=item) if item.status == "in_progress":
                assert self.conversation
                assert item == self.items[-1].item
            case ContentPartAdded(at=at, modality=modality):
                assert isinstance(self.at(at).item, Message)
                assert modality == self.modality
                self.at(at).whole.append("part")
            case OutputTextDelta(at=at, delta=delta) | OutputTranscriptDelta(at=at, delta=delta):
                assert isinstance(notice, OutputTextDelta) is (self.modality == "text")
                assert self.at(at).whole == ["part"]
                assert delta
                self.at(at).text += delta
            case OutputAudioDelta(at=at, audio=audio):
                assert self.at(at).whole == ["part"]
                assert 0 < len(audio) <= AUDIO_DELTA_BYTES
                self.at(at).audio += audio
            case OutputAudioDone(at=at):
                self.at(at).whole.append("audio")
            case OutputTextDone(at=at, text=text) | OutputTranscriptDone(at=at, transcript=text):
                assert isinstance(notice, OutputTextDone) is (self.modality == "text")
                assert text == self.at(at).text
                self.at(at).whole.append("words")
            case ContentPartDone(at=at, modality=modality, text=text):
                assert (modality, text) == (self.modality, self.at(at).text)
                self.at(at).whole.append("part")
            case FunctionArgumentsDelta(
                response_id=response_id, item_id=item_id, output_index=index, call_id=call_id, delta=delta
            ):
                received = self.of(response_id, index, item_id)
                assert isinstance(received.item, FunctionCall)
                assert received.item.call_id == call_id
                received.text += delta
            case McpArgumentsDelta(response_id=response_id, item_id=item_id, output_index=index, delta=delta):
                received = self.of(response_id, index, item_id)
                assert isinstance(received.item, McpCall)
                received.text += delta
            case FunctionArgumentsDone(
                response_id=response_id, item_id=item_id, output_index=index, call_id=call_id, name=name, arguments=text
            ):
                received = self.of(response_id, index, item_id)
                assert isinstance(received.item, FunctionCall)
                assert (received.item.call_id, received.item.name, received.text) == (call_id, name, text)
                received.whole.append("arguments")
            case McpArgumentsDone(response_id=response_id, item_id=item_id, output_index=index, arguments=text):
                assert self.of(response_id, index, item_id).text == text
                self.of(response_id, index, item_id).whole.append("arguments")
            case OutputItemDone(response_id=response_id, output_index=index, item=item):
                received = self.of(response_id, index, item.id)
                assert item.status in ("completed", "incomplete")
                self.ends(received, item)
                received.done = item
            case ResponseDone(response=response):
                assert response.id == self.id
                assert len(response.output) == len(self.items)
                for shown, received in zip(response.output, self.items, strict=True):
                    assert received.done is not None
                    assert self.as_sent(shown, received.done) == received.done
                self.terminal = notice
            case _:
                pass

    def as_sent(self, shown: Item, done: Item) -> Item:
        """An interruption cuts a spoken item to what was heard, even a done one; the rest of its text stays a prefix."""
        if isinstance(shown, Message) and isinstance(part := shown.content[0], OutputAudio):
            assert isinstance(done, Message)
            whole = done.content[0]
            assert isinstance(whole, OutputAudio)
            assert whole.transcript.startswith(part.transcript)
            return replace(shown, content=(whole,))
        return shown

    def ends(self, received: ReceivedItem, item: Item) -> None:
        assert type(item) is type(received.item)
        match item:
            case Message(content=content):
                (part,) = content
                assert received.whole == (
                    ["part", "audio", "words", "part"] if self.modality == "audio" else ["part", "words", "part"]
                )
                assert isinstance(part, OutputAudio if self.modality == "audio" else OutputText)
                if isinstance(part, OutputText):
                    assert part.text == received.text
            case FunctionCall(arguments=arguments) | McpCall(arguments=arguments):
                assert received.whole == ["arguments"]
                assert arguments == received.text
            case McpApprovalRequest():
                assert received.whole == []
            case _:
                raise AssertionError(item)


STEPS = st.sampled_from(
    ["text", "clause", "sound", "long sound", "empty", "call", "tool", "asked", "arguments", "delete"]
)
ENDS = st.sampled_from(["stop", "length", "content_filter", "cancel"])


@settings(deadline=None, max_examples=60)
@given(st.lists(STEPS, max_size=12), ENDS, st.sampled_from(["audio", "text"]), st.booleans())
@example(["text", "call", "arguments", "tool", "arguments", "tool", "asked", "arguments"], "stop", "text", True)
@example(["clause", "sound", "long sound", "tool", "delete", "asked"], "length", "audio", True)
@example(["clause", "sound", "tool", "arguments"], "cancel", "audio", False)
def test_any_engine_output_gives_events_that_a_client_can_assemble(
    steps: list[str], end: str, modality: Modality, in_conversation: bool
) -> None:
    scene = Scene(Settings(modality=modality, tools=(BOOKS,), turn_detection=None), capabilities=MCP_ALLOWED)
    tools = (McpTool("find"), McpTool("lend"))
    scene.happens(ToolsListed(scene.last(ListTools).listing, tools), TYPED)
    client = Client(modality, in_conversation)

    def happens(*events: Event) -> None:
        for notice in notices(scene.happens(*events)):
            client.takes(notice)

    happens(ResponseRequested(ResponseParams(in_conversation=in_conversation)))
    attempt, index = scene.attempt(), -1
    for step in steps:
        match step:
            case "call" | "tool" | "asked":
                index += 1
                name = {"call": "look", "tool": "find", "asked": "lend"}[step]
                happens(ToolCallStarted(attempt, index, CallId(f"call {index}"), name))
            case "arguments":
                happens(ToolArgumentsGenerated(attempt, index, "{}"))
            case "clause" | "sound" | "long sound" if modality == "audio":
                size = 2 * AUDIO_DELTA_BYTES + 480 if step == "long sound" else 480
                happens(ClauseStarted(attempt, "Well. ") if step == "clause" else SpeechGenerated(attempt, bytes(size)))
            case "text" if modality == "text":
                happens(TextGenerated(attempt, "Well. "))
            case "empty":
                happens(TextGenerated(attempt, "") if modality == "text" else SpeechGenerated(attempt, b""))
            case "delete" if in_conversation and client.items:
                scene.happens(ItemDeleteRequested(client.items[-1].item.id))
            case _:
                pass
    if end == "cancel":
        happens(CancelRequested(client.id))
    else:
        happens(GenerationFinished(attempt, end))  # type: ignore[arg-type]
        for call in list(scene.session._st.tools.calls):
            happens(ToolAnswered(call, "found"))
    assert client.terminal is not None
    response = client.terminal.response
    assert response.status == {"stop": "completed", "cancel": "cancelled"}.get(end, "incomplete")
    assert scene.happens(TextGenerated(attempt, "late")) == []


def test_an_items_done_names_its_predecessor_and_is_not_sent_after_its_deletion() -> None:
    scene = Scene(Settings(modality="text", turn_detection=None))
    scene.happens(TYPED, ResponseRequested())
    attempt = scene.attempt()
    scene.happens(TextGenerated(attempt, "One moment."), ToolCallStarted(attempt, 0, CallId("c"), "look"))
    scene.happens(ToolCallStarted(attempt, 1, CallId("d"), "look"))
    message, first, second = (added.item.id for added in scene.notices(OutputItemAdded))
    scene.happens(ItemDeleteRequested(first), GenerationFinished(attempt, "tool_calls"))
    assert [(done.item.id, done.previous_item_id) for done in scene.notices(ItemDone)][1:] == [
        (message, "typed"),
        (second, first),
    ]
    assert [done.item.id for done in scene.notices(OutputItemDone)] == [message, first, second]


@pytest.mark.parametrize(
    ("end", "kept"),
    [
        (GenerationFinished, "Long words in little sound."),
        ("length", "Long words in little sound."),
        ("content_filter", "Long words in little sound."),
        ("cancel", "Long"),
    ],
)
def test_a_reply_that_completed_is_fully_heard_with_its_last_sample(end: object, kept: str) -> None:
    """A stopped reply may lack audio for its last words."""
    scene = Scene(Settings(turn_detection=None))
    scene.happens(TYPED, ResponseRequested())
    attempt = scene.attempt()
    scene.happens(ClauseStarted(attempt, "Long words in little sound."), SpeechGenerated(attempt, bytes(48 * 400)))
    item = scene.notices(OutputItemAdded)[0].item.id
    if end == "cancel":
        scene.passes(399)
        scene.happens(CancelRequested())
    else:
        scene.happens(GenerationFinished(attempt, "stop" if end is GenerationFinished else end))  # type: ignore[arg-type]
    scene.happens(ItemTruncateRequested(item, 0, 400))
    kept_item = scene.item(item)
    assert isinstance(kept_item, Message)
    (part,) = kept_item.content
    assert isinstance(part, OutputAudio)
    assert part.transcript == kept


def test_a_second_terminal_is_detected_as_a_bug() -> None:
    response = Response(ResponseId("r"), None, "text", "", AudioFormat.PCM16, None, None)
    response.finish("completed")
    with pytest.raises(InvariantBroken, match=r"^2: "):
        response.finish("cancelled")


def test_empty_arguments_and_empty_text_make_no_delta() -> None:
    response = Response.begin(ResponseId("r"), None, Settings(modality="text"))
    response.open(new_call(ItemId("f"), CallId("c"), "look"), None, 0)
    assert response.argue(response.outputs[0], "") == []
    assert response.say(response.outputs[0], "") == []
    assert response.text_length == 0


def test_an_item_of_a_kind_that_no_response_makes_is_detected_as_a_bug() -> None:
    response = Response.begin(ResponseId("r"), None, Settings())
    response.open(Entry(FunctionCallOutput(ItemId("o"), CallId("c"), "sunny")), None, 0)
    assert response.argue(response.outputs[0], "{}") == [], "it has no arguments for a client"
    with pytest.raises(InvariantBroken, match="o is no item a response can make"):
        response.close(response.outputs[0], "completed")
