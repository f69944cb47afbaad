"""Notices to encode: at least one of every kind, and strategies for arbitrary ones of any size and shape."""

from __future__ import annotations

from typing import get_args

from hypothesis import strategies as st

from parley.core.words import items as i
from parley.core.words import notices as n
from parley.core.words.ids import CallId, ClientEventId, ConversationId, ItemId, ResponseId, SessionId
from parley.core.words.settings import (
    Approval,
    AudioFormat,
    Credentials,
    ForceFunction,
    ForceMcp,
    FunctionTool,
    McpServer,
    NoiseReduction,
    SemanticVad,
    ServerVad,
    Settings,
    ToolFilter,
    Transcription,
    Truncation,
)
from parley.core.words.shell_notices import KeypadPressed
from parley.core.words.translation_notices import TranslationPlaying, UnstableWordsChanged
from parley.core.words.turn_measured import TurnMeasured
from parley.core.words.unstable_transcript import UnstableTranscript

SESSION = SessionId("sess_ABCDEFGHIJKLMNOPQRSTU")
ITEM, PREVIOUS = ItemId("item_ABCDEFGHIJKLMNOPQRSTU"), ItemId("item_0123456789ABCDEFGHIJK")
RESPONSE, CALL = ResponseId("resp_ABCDEFGHIJKLMNOPQRSTU"), CallId("call_ABCDEFGHIJKLMNOPQRSTU")
CONVERSATION = ConversationId("conv_ABCDEFGHIJKLMNOPQRSTU")
AT = n.PartAt(RESPONSE, ITEM, 0, 0)

LISTING = i.McpListTools(ITEM, "books", status="in_progress")
LISTED = i.McpListTools(
    ITEM,
    "books",
    (i.McpTool("find", "Finds a book.", '{"type":"object"}', True, '{"readOnlyHint":true}'), i.McpTool("lend")),
)
MCP_CALLING = i.McpCall(ITEM, "books", "find", "", status="in_progress")
MCP_CALLED = i.McpCall(ITEM, "books", "find", "{}", "Third shelf.", approval_request_id=PREVIOUS)
MCP_REFUSED = i.McpCall(ITEM, "books", "find", "{}", error=i.McpError("http_error", "No.", 401))
MCP_FAILED = i.McpCall(ITEM, "books", "find", "{}", error=i.McpError("tool_execution_error", "No such book."))
MCP_ASKED = i.McpApprovalRequest(ITEM, "books", "lend", '{"title":"Emma"}')
SAID = i.Message(ITEM, "user", (i.InputAudio(),))
ANSWER = i.Message(ITEM, "assistant", (i.OutputAudio("Hello there."),))
OPEN = i.Message(ITEM, "assistant", (), "in_progress")
CALLED = i.FunctionCall(ITEM, CALL, "weather", '{"city":"Oslo"}')
CALLING = i.FunctionCall(ITEM, CALL, "weather", "", "in_progress")
RESULT = i.FunctionCallOutput(ITEM, CALL, "rain")
USAGE = n.Usage(input_text=30, input_audio=12, input_image=5, input_cached=20, output_text=7, output_audio=40)

RICH = Settings(
    model="default",
    instructions="Be brief.",
    modality="text",
    voice="marin",
    speed=1.25,
    input_format=AudioFormat.PCMU,
    output_format=AudioFormat.PCMA,
    turn_detection=SemanticVad("low", create_response=False, interrupt_response=False),
    transcription=Transcription("whisper-1", "en", "names of cities", ("Oslo",), ("en", "no")),
    noise_reduction=NoiseReduction("near_field", 0.5),
    tools=(
        FunctionTool("weather", "Tells the weather.", '{"type":"object","default":null}'),
        FunctionTool("time"),
        McpServer("books", "https://books.example/mcp", "A library.", Credentials("s3cret", (("X-Key", "s3cret"),))),
        McpServer(
            "free", "https://free.example/mcp", allowed=ToolFilter(("a",)), approval=Approval(never=ToolFilter())
        ),
        McpServer(
            "some", "https://some.example/mcp", allowed=ToolFilter(None, True), approval=Approval(ToolFilter(("b",)))
        ),
    ),
    tool_choice=ForceFunction("weather"),
    parallel_tool_calls=False,
    max_output_tokens=200,
    truncation=Truncation("retention_ratio", 0.8, 5000),
    reasoning_effort="low",
    tracing='{"workflow_name":"test","metadata":{"a":null}}',
    include=("logprobs",),
)


def response(status: n.ResponseStatus = "in_progress", **members: object) -> n.ResponseView:
    """A response in the default conversation, changed by `members`."""
    plain: dict[str, object] = {
        "conversation_id": CONVERSATION,
        "modality": "audio",
        "voice": "marin",
        "output_format": AudioFormat.PCM16,
        "max_output_tokens": None,
        "metadata": None,
    }
    return n.ResponseView(RESPONSE, status, **(plain | members))  # type: ignore[arg-type]


SAMPLES: tuple[n.Notice, ...] = (
    n.SessionCreated(SESSION, Settings(model="default", voice="marin"), 3_600_000),
    n.SessionUpdated(SESSION, RICH, 3_000_000),
    n.SessionUpdated(SESSION, Settings(tool_choice=ForceMcp("books", "find")), 3_000_000),
    n.SessionUpdated(SESSION, Settings(turn_detection=None, tracing='"auto"'), 3_000_000),
    n.SessionCreated(SESSION, Settings(kind="transcription", transcription=Transcription()), 3_600_000),
    n.ErrorRaised("invalid_value", "No.", "session.speed", client_event_id=ClientEventId("mine")),
    n.ErrorRaised("session_expired", "Over."),
    n.InputSpeechStarted(ITEM, 120),
    n.InputSpeechStopped(ITEM, 1980),
    n.IdleTimeoutTriggered(ITEM, 13216, 19232),
    n.InputCommitted(ITEM, PREVIOUS),
    n.InputCommitted(ITEM, None),
    n.InputCleared(),
    n.ItemAdded(SAID, None),
    n.ItemAdded(CALLING, PREVIOUS),
    n.ItemAdded(OPEN, PREVIOUS),
    n.ItemDone(ANSWER, PREVIOUS),
    n.ItemDone(CALLED, PREVIOUS),
    n.ItemDone(RESULT, PREVIOUS),
    n.ItemDone(i.Message(ITEM, "system", (i.InputText("Be kind."),)), PREVIOUS),
    n.ItemAdded(i.Message(ITEM, "user", (i.InputText("Look:"), i.InputImage("data:image/png;base64,AAAA"))), PREVIOUS),
    n.ItemRetrieved(
        i.Message(ITEM, "user", (i.InputAudio("Hi.", b"\x00\x01"), i.InputImage("https://x/y.png", "low")))
    ),
    n.ItemRetrieved(i.Message(ITEM, "assistant", (i.OutputAudio("Hi.", b"\x00\x01"), i.OutputText("!")), "incomplete")),
    n.ItemAdded(LISTING, PREVIOUS),
    n.ItemDone(LISTED, PREVIOUS),
    n.ItemAdded(MCP_CALLING, PREVIOUS),
    n.ItemDone(MCP_CALLED, PREVIOUS),
    n.ItemRetrieved(MCP_REFUSED),
    n.ItemDone(MCP_ASKED, None),
    n.ItemAdded(i.McpApprovalResponse(ITEM, PREVIOUS, False, "Not now."), PREVIOUS),
    n.ItemTruncated(ITEM, 0, 1500),
    n.ItemDeleted(ITEM),
    n.TranscriptionDelta(ITEM, 0, "Hel"),
    n.TranscriptionCompleted(ITEM, 0, "Hello.", 1.25),
    n.TranscriptionCompleted(ITEM, 0, "Hi", 1.0, '[{"token":"Hi","logprob":-0.25,"bytes":[72,105]}]'),
    n.TranscriptionFailedNotice(ITEM, 0, "audio_unintelligible", "No words were heard."),
    n.ResponseCreated(response(metadata=(("client_event_id", "abc"),), max_output_tokens=100)),
    n.ResponseCreated(response(conversation_id=None, modality="text", output_format=AudioFormat.PCMU)),
    n.ResponseDone(response("completed", output=(ANSWER, CALLED), usage=USAGE)),
    n.ResponseDone(response("completed", output=(ANSWER, MCP_FAILED, MCP_ASKED), usage=USAGE)),
    n.ResponseDone(response("cancelled", output=(ANSWER,), reason="turn_detected", usage=USAGE)),
    n.ResponseDone(response("incomplete", reason="max_output_tokens", usage=USAGE)),
    n.ResponseDone(response("failed", error=n.ResponseError("server_error", "llm_unreachable", "No model."))),
    n.OutputItemAdded(RESPONSE, 0, OPEN),
    n.OutputItemAdded(RESPONSE, 1, CALLING),
    n.OutputItemDone(RESPONSE, 1, CALLED),
    n.ContentPartAdded(AT, "audio"),
    n.ContentPartAdded(AT, "text"),
    n.ContentPartDone(AT, "audio", "Hello there."),
    n.ContentPartDone(AT, "text", "Hello there."),
    n.OutputTextDelta(AT, "Hel"),
    n.OutputTextDone(AT, "Hello"),
    n.OutputTranscriptDelta(AT, 'He said: "\\é\n😀"'),
    n.OutputTranscriptDone(AT, "Hello"),
    n.OutputAudioDelta(AT, bytes(range(256))),
    n.OutputAudioDone(AT),
    n.FunctionArgumentsDelta(RESPONSE, ITEM, 0, CALL, '{"ci'),
    n.FunctionArgumentsDone(RESPONSE, ITEM, 0, CALL, "weather", '{"city":"Oslo"}'),
    n.McpArgumentsDelta(RESPONSE, ITEM, 0, '{"ti'),
    n.McpArgumentsDone(RESPONSE, ITEM, 0, "{}"),
    n.McpCallProgress(ITEM, 0, "in_progress"),
    n.McpCallProgress(ITEM, 0, "completed"),
    n.McpCallProgress(ITEM, 0, "failed"),
    n.McpListProgress(ITEM, "in_progress"),
    n.McpListProgress(ITEM, "completed"),
    n.McpListProgress(ITEM, "failed"),
    n.OutputBufferStarted(RESPONSE),
    n.OutputBufferStopped(RESPONSE),
    n.OutputBufferCleared(RESPONSE),
    KeypadPressed("#", 1_767_000_000),
    n.RateLimitsUpdated((n.RateLimit("requests", 60, 59, 1.5), n.RateLimit("tokens", 1000, 900, 0.0))),
)

TRANSLATING = (n.ClauseTranslated, UnstableWordsChanged, TranslationPlaying, n.TranslationClosed)
"""Notices that only translation sessions have."""

NOTICE_KINDS: tuple[type, ...] = tuple(
    kind for kind in get_args(n.Notice) if kind not in (TurnMeasured, UnstableTranscript, *TRANSLATING)
)
"""Those of a conversation in OpenAI's protocol: without Parley's own events, which only a client that asked for it is sent."""

# --- arbitrary ones ------------------------------------------------------------------------------------------------------

_words = st.text(max_size=20)
_ids = st.text(min_size=1, max_size=12)
_tools = st.builds(
    FunctionTool, st.text("abcXYZ_-09", min_size=1, max_size=9), _words, st.sampled_from(["", "{}", '{"a":[1]}'])
)
_json_objects = st.sampled_from(["{}", '{"a":[1]}'])
_mcp_tools = st.builds(i.McpTool, input_schema=_json_objects, annotations=st.sampled_from(["", "{}"]))
_unit = st.floats(0, 1)
_turns = st.none() | st.builds(ServerVad, threshold=_unit) | st.builds(SemanticVad)
SETTINGS = st.builds(
    Settings,
    turn_detection=_turns,
    speed=st.floats(0.25, 1.5),
    noise_reduction=st.none() | st.builds(NoiseReduction, strength=_unit),
    tools=st.lists(_tools, max_size=3).map(tuple),
    tool_choice=st.sampled_from(["auto", "none", "required"]) | st.builds(ForceFunction, _ids),
    truncation=st.builds(Truncation, retention_ratio=_unit, post_instructions=st.none() | st.integers(1, 9999)),
    reasoning_effort=st.sampled_from(["", "minimal", "low", "medium", "high", "xhigh"]),
    tracing=st.sampled_from([None, '"auto"', '{"group_id":"g"}']),
    include=st.sampled_from([(), ("logprobs",)]),
)
_audio = st.none() | st.binary(max_size=9)
_user = st.builds(i.InputText) | st.builds(i.InputAudio, audio=_audio) | st.builds(i.InputImage)
_assistant = st.builds(i.OutputText) | st.builds(i.OutputAudio, audio=_audio)


def _messages(role: str, part: st.SearchStrategy[i.Content]) -> st.SearchStrategy[i.Message]:
    return st.builds(i.Message, role=st.just(role), content=st.lists(part, max_size=3).map(tuple))


ITEMS = (
    _messages("user", _user)
    | _messages("assistant", _assistant)
    | _messages("system", st.builds(i.InputText))
    | st.builds(i.FunctionCall)
    | st.builds(i.FunctionCallOutput)
    | st.builds(i.McpListTools, tools=st.lists(_mcp_tools, max_size=2).map(tuple))
    | st.builds(i.McpCall, arguments=_json_objects)
    | st.builds(i.McpApprovalRequest, arguments=_json_objects)
    | st.builds(i.McpApprovalResponse)
)
_GENERATED = ITEMS.filter(lambda item: not isinstance(item, i.FunctionCall) or item.status != "completed")
_tokens = st.integers(0, 10**6)
VIEWS = st.builds(
    n.ResponseView,
    output=st.lists(ITEMS, max_size=2).map(tuple),
    usage=st.none() | st.builds(n.Usage, _tokens, _tokens, _tokens, _tokens, _tokens, _tokens),
)
_SPECIAL: dict[type, st.SearchStrategy[n.Notice]] = {
    n.SessionCreated: st.builds(n.SessionCreated, settings=SETTINGS),
    n.SessionUpdated: st.builds(n.SessionUpdated, settings=SETTINGS),
    n.ItemAdded: st.builds(n.ItemAdded, item=ITEMS),
    n.ItemDone: st.builds(n.ItemDone, item=ITEMS),
    n.ItemRetrieved: st.builds(n.ItemRetrieved, item=ITEMS),
    n.OutputItemAdded: st.builds(n.OutputItemAdded, item=_GENERATED),
    n.OutputItemDone: st.builds(n.OutputItemDone, item=ITEMS),
    n.ResponseCreated: st.builds(n.ResponseCreated, VIEWS),
    n.ResponseDone: st.builds(n.ResponseDone, VIEWS),
    n.TranscriptionCompleted: st.builds(n.TranscriptionCompleted, seconds=st.floats(0, 600), logprobs=st.just("")),
    n.RateLimitsUpdated: st.builds(
        n.RateLimitsUpdated,
        st.lists(st.builds(n.RateLimit, reset_seconds=st.floats(0, 60)), max_size=2).map(tuple),
    ),
}
NOTICES: st.SearchStrategy[n.Notice] = st.one_of(*(_SPECIAL.get(kind, st.builds(kind)) for kind in NOTICE_KINDS))
