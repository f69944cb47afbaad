"""The flows of protocol.md section 4, each a script whose docstring becomes the title of its timeline."""

from __future__ import annotations

from collections.abc import Callable

from parley.core.words.events import (
    CancelRequested,
    ClearRequested,
    CommitRequested,
    ItemCreateRequested,
    ItemRetrieveRequested,
    ItemTruncateRequested,
    OutputClearRequested,
    ResponseRequested,
    SessionUpdateRequested,
    ToolAnswered,
    ToolsListed,
)
from parley.core.words.ids import CallId, ClientEventId, ItemId
from parley.core.words.items import FunctionCallOutput, InputText, ItemReference, McpApprovalResponse, McpTool, Message
from parley.core.words.settings import (
    Approval,
    FunctionTool,
    McpServer,
    OwnerSettings,
    SemanticVad,
    ServerVad,
    Settings,
    ToolFilter,
    Transcription,
)
from parley.core.words.work import ResponseParams
from tests.golden.script import Script

FLOWS: dict[str, Callable[[], Script]] = {}

TRANSCRIBED = Transcription("any")
WEATHER = FunctionTool("weather", "The weather in a place", '{"type":"object"}')
BOOKS = McpServer("books", "https://books.example/mcp", approval=Approval(never=ToolFilter(read_only=True)))
SHELF = (McpTool("find", "Finds a book", read_only=True), McpTool("lend", "Lends a book"))
VAD = Settings(voice="alloy", transcription=TRANSCRIBED)
MANUAL = Settings(voice="alloy", turn_detection=None, transcription=TRANSCRIBED)


def flow(name: str) -> Callable[[Callable[[], Script]], Callable[[], Script]]:
    """Register a script under the name of its timeline."""

    def keep(script: Callable[[], Script]) -> Callable[[], Script]:
        FLOWS[name] = script
        return script

    return keep


def typed(text: str) -> ItemCreateRequested:
    return ItemCreateRequested(Message(ItemId(""), "user", (InputText(text),)))


def asked(script: Script, *, heard: str = "What is the weather like?") -> None:
    """One spoken question, up to the response."""
    script.hush(320)
    script.speak(960)
    script.hush(640)
    script.understands(heard)


@flow("4.1-audio-response")
def audio_response() -> Script:
    """4.1 A spoken reply to a typed question."""
    script = Script()
    script.client(typed("Hello?"))
    script.client(ResponseRequested(event_id=ClientEventId("evt_1")))
    script.clause("Hello, how are you? ")
    script.clause("It is a fine day.")
    script.finishes()
    return script


@flow("4.1-text-response")
def text_response() -> Script:
    """4.1 A written reply."""
    script = Script(Settings(voice="alloy", modality="text"))
    script.client(typed("Hello?"))
    script.client(ResponseRequested())
    script.writes("Hello", ", how ", "are you?")
    script.finishes()
    return script


@flow("4.2-server-vad")
def server_vad() -> Script:
    """4.2 A spoken turn that ends by silence, with partial transcripts, and its reply."""
    script = Script(VAD)
    script.hush(320)
    script.speak(480)
    script.hears("what is the", stable="what is")
    script.speak(480)
    script.hears("what is the weather like", stable="what is the weather")
    script.hush(640)
    script.understands("what is the weather like")
    script.clause("It rains.")
    script.finishes()
    return script


@flow("4.2-speculation")
def speculation() -> Script:
    """4.2 with speculation: the first attempt is outdated and dropped silently; the second is released."""
    script = Script(VAD, OwnerSettings(speculation=True, speculate_after_ms=200))
    script.hush(320)
    script.speak(640)
    script.hush(256)
    script.understands("what is")
    script.clause("What is what?", spoken_ms=400)
    script.speak(640)
    script.hush(256)
    script.understands("what is the weather like")
    script.clause("It rains.")
    script.finishes()
    script.hush(320)
    return script


@flow("4.3-semantic-vad")
def semantic_vad() -> Script:
    """4.3 A turn judge: the first pause does not end the turn, the second does."""
    script = Script(Settings(voice="alloy", transcription=TRANSCRIBED, turn_detection=SemanticVad("high")))
    script.hush(320)
    script.speak(640)
    script.hush(96)
    script.judges(0.1)
    script.hush(320)
    script.understands("I would like to")
    script.judges(0.1)
    script.speak(640)
    script.hush(96)
    script.judges(0.6)
    script.understands("I would like to know the weather")
    script.judges(0.95)
    script.hush(320)
    script.clause("It rains.")
    script.finishes()
    return script


@flow("4.4-manual")
def manual() -> Script:
    """4.4 Push to talk: a commit that comes too early is refused, the next accepted; the reply is requested before the transcript."""
    script = Script(MANUAL)
    script.speak(64)
    script.client(CommitRequested(ClientEventId("evt_1")))
    script.speak(960)
    script.client(CommitRequested(ClientEventId("evt_2")))
    script.client(ResponseRequested(event_id=ClientEventId("evt_3")))
    script.understands("what is the weather like")
    script.clause("It rains.")
    script.finishes()
    script.speak(320)
    script.client(ClearRequested())
    return script


@flow("4.5-tools")
def tools() -> Script:
    """4.5 Text, then two calls; the outputs arrive in the other order, then the answer."""
    script = Script(Settings(voice="alloy", transcription=TRANSCRIBED, tools=(WEATHER,)))
    asked(script, heard="the weather in Oslo and Rome")
    script.clause("One moment. ")
    script.calls(0, "call_oslo", "weather", ['{"place":', '"Oslo"}'])
    script.calls(1, "call_rome", "weather", ['{"place":"Rome"}'])
    script.finishes()
    script.client(ItemCreateRequested(FunctionCallOutput(ItemId(""), CallId("call_rome"), '{"degrees":21}')))
    script.client(ItemCreateRequested(FunctionCallOutput(ItemId(""), CallId("call_oslo"), '{"degrees":7}')))
    script.client(ResponseRequested())
    script.clause("Seven in Oslo, twenty-one in Rome.")
    script.finishes()
    return script


@flow("4.6-cancel")
def cancel() -> Script:
    """4.6 The client cancels in the middle of a reply; a second cancel finds nothing to cancel."""
    script = Script(VAD)
    asked(script)
    script.clause("It rains in the north, ", spoken_ms=800)
    script.client(CancelRequested(event_id=ClientEventId("evt_1")))
    script.client(CancelRequested(event_id=ClientEventId("evt_2")))
    return script


@flow("4.7-barge-in-while-generating")
def barge_in() -> Script:
    """4.7 A barge-in while the reply is generated; the client truncates to what was heard, and the next prompt holds just that."""
    script = Script(VAD)
    asked(script)
    script.clause("It rains in the north, and the south stays dry.")
    script.speak(256)
    script.client(ItemTruncateRequested(script.items[1], 0, 700))
    script.client(ItemRetrieveRequested(script.items[1]))
    script.speak(640)
    script.hush(640)
    script.understands("and in the west")
    script.clause("Sunny.")
    script.finishes()
    return script


@flow("4.7-barge-in-while-draining")
def barge_in_while_draining() -> Script:
    """4.7 A barge-in while a finished reply is played: it is cut without a second terminal. The client does not truncate it."""
    script = Script(VAD)
    asked(script)
    script.clause("It rains in the north, and the south stays dry.")
    script.finishes()
    script.speak(640)
    script.hush(640)
    script.understands("and in the west")
    script.clause("Sunny.")
    script.finishes()
    return script


@flow("4.7-truncate-while-streaming")
def truncate_while_streaming() -> Script:
    """4.7 The client truncates an item in progress, and the reply continues: no more of this item was heard."""
    script = Script(VAD)
    asked(script)
    script.clause("It rains in the north, ")
    script.client(ItemTruncateRequested(script.newest_item(), 0, 500, ClientEventId("evt_1")))
    script.clause("and the south stays dry.")
    script.finishes()
    script.client(ItemTruncateRequested(script.newest_item(), 0, 60_000, ClientEventId("evt_2")))
    script.client(ResponseRequested())
    script.clause("Indeed.")
    script.finishes()
    return script


@flow("4.7-backchannel-confirmed")
def backchannel() -> Script:
    """4.7 with barge_in = "confirmed": a "mm-hm" over the reply is dropped without a notice; a sentence takes the floor."""
    script = Script(VAD, OwnerSettings(barge_in="confirmed"))
    asked(script)
    script.clause("It rains in the north, and the south stays dry until Sunday.")
    script.speak(256)
    script.hears("mm-hm")
    script.hush(480)
    script.speak(320)
    script.hears("but in the")
    script.speak(320)
    script.hush(640)
    script.understands("but in the west")
    script.clause("Sunny.")
    script.finishes()
    return script


@flow("4.7-false-stop-resumes")
def resume_after_false_interruption() -> Script:
    """4.7 A cough stops a reply during playback; it had no words, so the reply resumes where it was stopped."""
    script = Script(VAD)
    asked(script)
    script.clause("It rains in the north, ")
    script.clause("and the south stays dry.")
    script.finishes()
    script.speak(256)
    script.hush(640)
    script.understands("")
    return script


@flow("4.7-speech-does-not-interrupt")
def no_interruption() -> Script:
    """4.7 with interrupt_response false: speech over a reply is a turn like any other; its answer waits until the reply has been heard."""
    script = Script(
        Settings(voice="alloy", transcription=TRANSCRIBED, turn_detection=ServerVad(interrupt_response=False))
    )
    asked(script)
    script.clause("It rains in the north.")
    script.speak(320)
    script.hush(640)
    script.understands("and in the west")
    script.finishes()
    script.wait(1_500)
    script.clause("Sunny.")
    script.finishes()
    return script


@flow("4.7-paced-barge-in")
def paced_barge_in() -> Script:
    """4.7 and 4.13 where the server plays: the buffer's notices, and the server truncates the item itself."""
    script = Script(VAD, paced=True)
    asked(script)
    script.clause("It rains in the north, and the south stays dry.")
    script.finishes()
    script.plays(700)
    script.speak(320)
    script.hush(640)
    script.understands("and in the west")
    script.clause("Sunny.")
    script.finishes()
    script.plays(2_000)
    script.client(OutputClearRequested(ClientEventId("evt_1")))
    return script


@flow("4.8-out-of-band")
def out_of_band() -> Script:
    """4.8 A side response runs beside the main one, with its own input and metadata; an unknown reference is refused."""
    script = Script(VAD)
    asked(script)
    main = script.attempt
    about = ResponseParams(
        in_conversation=False,
        input=(ItemReference(script.items[0]), Message(ItemId(""), "user", (InputText("Is this a question?"),))),
        modality="text",
        metadata=(("purpose", "classify"),),
    )
    script.client(ResponseRequested(about))
    script.writes("Yes.")
    script.finishes()
    unknown = ResponseParams(in_conversation=False, input=(ItemReference(ItemId("item_nowhere")),))
    script.client(ResponseRequested(unknown, ClientEventId("evt_2")))
    script.client(ResponseRequested(event_id=ClientEventId("evt_3")))
    assert script.attempt == main
    script.clause("It rains.")
    script.finishes()
    return script


@flow("4.9-token-limit")
def token_limit() -> Script:
    """4.9 The reply reaches max_output_tokens."""
    script = Script(Settings(voice="alloy", transcription=TRANSCRIBED, max_output_tokens=20))
    asked(script)
    script.clause("It rains in the north, ")
    script.runs_out()
    return script


@flow("4.9-failures")
def failures() -> Script:
    """4.9 The model fails in the middle of a reply; then the recogniser fails. The session continues."""
    script = Script(VAD)
    asked(script)
    script.clause("It rains ", spoken_ms=400)
    script.breaks("connection_failed", "The model's server cannot be reached.")
    script.wait(1_000)
    script.speak(640)
    script.hush(640)
    script.cannot_hear()
    asked(script, heard="are you there")
    script.clause("Yes.")
    script.finishes()
    return script


@flow("4.10-transcription-session")
def transcription_session() -> Script:
    """4.10 A session that only transcribes; response.create is refused."""
    script = Script(Settings(kind="transcription", transcription=TRANSCRIBED))
    script.hush(320)
    script.speak(640)
    script.hears("good mor", stable="good")
    script.hush(640)
    script.understands("good morning")
    script.client(ResponseRequested(event_id=ClientEventId("evt_1")))
    return script


@flow("4.11-idle-timeout")
def idle_timeout() -> Script:
    """4.11 Five seconds of silence after a reply are committed and answered. Then the timeout is turned off."""
    script = Script(Settings(voice="alloy", transcription=TRANSCRIBED, turn_detection=ServerVad(idle_timeout_ms=5_000)))
    asked(script)
    script.clause("It rains.")
    script.finishes()
    script.hush(5_600)
    script.understands("")
    script.clause("Are you still there?")
    script.finishes()
    script.client(SessionUpdateRequested({"turn_detection": ServerVad()}))
    return script


def books() -> Script:
    """A session with an MCP server that has listed its tools."""
    script = Script(MANUAL)
    script.client(SessionUpdateRequested({"tools": (BOOKS,)}))
    script.wait(80)
    script.post(ToolsListed(script.work.listings[-1].listing, SHELF))
    return script


@flow("4.12-mcp-call")
def mcp_call() -> Script:
    """4.12 A tool of an MCP server, called by Parley; the reply continues without a request."""
    script = books()
    script.client(typed("Where is Emma?"))
    script.client(ResponseRequested(event_id=ClientEventId("evt_1")))
    script.calls(0, "call_1", "find", ['{"title":"Emma"}'])
    script.finishes()
    script.wait(200)
    script.post(ToolAnswered(script.work.mcp_calls[-1].call, "Third shelf."))
    script.wait(400)
    script.clause("It is on the third shelf. ")
    script.finishes()
    return script


@flow("4.12-mcp-approval")
def mcp_approval() -> Script:
    """4.12 A tool that needs the user's approval: requested, given, called, answered."""
    script = books()
    script.client(typed("Lend me Emma."))
    script.client(ResponseRequested(event_id=ClientEventId("evt_1")))
    script.calls(0, "call_1", "lend", ['{"title":"Emma"}'])
    script.finishes()
    script.wait(500)
    script.client(ItemCreateRequested(McpApprovalResponse(ItemId(""), script.requests[-1], True)))
    script.wait(200)
    script.post(ToolAnswered(script.work.mcp_calls[-1].call, "Lent until Monday."))
    script.client(ResponseRequested(event_id=ClientEventId("evt_2")))
    script.clause("It is yours until Monday. ")
    script.finishes()
    return script
