"""The session as its shell sees it: its start, its deadlines, idleness, its end, and its policy."""

from __future__ import annotations

from typing import Literal

import pytest

from parley.core.policy.assistant import Assistant
from parley.core.policy.policy import Answer, Decided, Said
from parley.core.words.effects import (
    CallTool,
    CancelGeneration,
    CloseLink,
    DropTranscription,
    Effect,
    Play,
    StartGeneration,
    Tell,
)
from parley.core.words.errors import ErrorType
from parley.core.words.events import (
    AudioArrived,
    CancelRequested,
    ClientErred,
    CommitRequested,
    GenerationFinished,
    ItemCreateRequested,
    LinkClosed,
    PartialTranscribed,
    ResponseRequested,
    SessionCloseRequested,
    SessionUpdateRequested,
    TextGenerated,
    TimePassed,
    ToolAnswered,
    ToolArgumentsGenerated,
    ToolCallStarted,
    Transcribed,
    VoiceScored,
    WindDownRequested,
)
from parley.core.words.ids import CallId, ClientEventId, ItemId
from parley.core.words.items import InputAudio, InputText, McpTool, Message, OutputAudio
from parley.core.words.notices import (
    ConversationCreated,
    ErrorRaised,
    IdleTimeoutTriggered,
    InputSpeechStopped,
    ResponseCreated,
    SessionCreated,
)
from parley.core.words.settings import (
    Approval,
    McpServer,
    OwnerSettings,
    SemanticVad,
    ServerVad,
    SessionKind,
    Settings,
    ToolFilter,
)
from parley.core.words.work import ResponseParams
from tests.core.interpreting import opened
from tests.core.scene import MCP_ALLOWED, MS, SPECULATING, Scene, kinds, notices

TEXT = Settings(modality="text")
BOOKS = McpServer("books", "https://books.example/mcp", approval=Approval(never=ToolFilter()))
IDLE = Settings(modality="text", turn_detection=ServerVad(idle_timeout_ms=5_000))
ID = ClientEventId("of the client")
HELLO = ItemCreateRequested(Message(ItemId("hello"), "user", (InputText("hello"),)))
ASIDE = ResponseParams(in_conversation=False)


def due_ms(scene: Scene) -> float:
    """Milliseconds until the session's next deadline."""
    deadline = scene.session.next_deadline()
    assert deadline is not None
    return (deadline - scene.now) / MS


def with_books(settings: Settings = TEXT) -> Scene:
    """A session with an MCP server that has not listed its tools yet."""
    tools = (BOOKS,)
    return Scene(
        Settings(modality="text", tools=tools, turn_detection=settings.turn_detection), capabilities=MCP_ALLOWED
    )


def calling(settings: Settings = TEXT) -> tuple[Scene, CallTool]:
    """A session whose model has called a tool, and the call."""
    scene = with_books(settings)
    scene.lists(McpTool("find"))
    scene.happens(ResponseRequested())
    attempt = scene.attempt()
    scene.happens(ToolCallStarted(attempt, 0, CallId("c"), "find"), ToolArgumentsGenerated(attempt, 0, "{}"))
    scene.happens(GenerationFinished(attempt, "tool_calls"))
    return scene, scene.last(CallTool)


# --- the start -----------------------------------------------------------------------------------------------------------------


def test_a_session_starts_with_session_created_and_conversation_created() -> None:
    scene = Scene(TEXT, OwnerSettings(session_ms=90_000))
    created, conversation = notices(scene.effects)
    assert created == SessionCreated(scene.session.id, TEXT, 90_000)
    assert scene.session.id.startswith("sess_")
    assert isinstance(conversation, ConversationCreated)
    scene.happens(HELLO, ResponseRequested())
    (response,) = scene.notices(ResponseCreated)
    assert response.response.conversation_id == conversation.conversation_id
    assert scene.session.settings == TEXT
    assert not scene.session.closed


@pytest.mark.parametrize("playback", ["remote", "paced"])
def test_where_the_server_plays_audio_is_sent_at_its_pace_and_heard_when_played(
    playback: Literal["remote", "paced"],
) -> None:
    scene = Scene(playback=playback)
    scene.happens(ResponseRequested())
    caused = scene.answers(("Hello.", 1_000))
    assert any(isinstance(effect, Play) for effect in caused) == (playback == "paced")
    assert scene.session.speaking
    scene.passes(1_000)
    assert scene.session.speaking == (playback == "paced")


# --- policies ------------------------------------------------------------------------------------------------------------------


class Own(Assistant):
    """Answers only turns that end in a question mark."""

    def turn_ended(self, said: Said) -> tuple[Decided, ...]:
        return (Answer(),) if said.text.endswith("?") else ()


def test_a_custom_policy_decides_for_every_kind_of_session() -> None:
    scene = Scene(policy=Own())
    scene.happens(SessionUpdateRequested({"kind": "transcription"}))
    assert scene.session.settings.kind == "transcription"
    scene.says("I see.")
    assert scene.notices(ResponseCreated) == []
    scene.says("Do you?")
    assert len(scene.notices(ResponseCreated)) == 1


def test_without_a_custom_policy_the_kind_of_session_decides() -> None:
    first: SessionKind
    second: SessionKind
    for first, second, replies in (("transcription", "realtime", 1), ("realtime", "transcription", 0)):
        scene = Scene(Settings(kind=first))
        scene.happens(SessionUpdateRequested({"kind": second}))
        scene.says("Do you?")
        assert len(scene.notices(ResponseCreated)) == replies


# --- errors --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["invalid_request_error", "server_error", "rate_limit_error"])
def test_a_decoding_error_is_reported_as_the_wire_describes_it(kind: ErrorType) -> None:
    scene = Scene()
    erred = ClientErred("invalid_json", "No JSON.", "item.type", kind, ID)
    assert scene.happens(erred) == [Tell(ErrorRaised("invalid_json", "No JSON.", None, kind, ID, "item.type"))]


def test_an_error_names_the_clients_event_and_the_next_event_is_handled() -> None:
    scene = Scene()
    (error,) = notices(scene.happens(CancelRequested(event_id=ID)))
    assert isinstance(error, ErrorRaised)
    assert error.client_event_id == ID
    assert "ItemAdded" in kinds(scene.happens(HELLO))


# --- deadlines -----------------------------------------------------------------------------------------------------------------


def test_an_idle_session_has_no_deadline_but_its_expiry() -> None:
    scene = Scene(owner=OwnerSettings(session_ms=90_000))
    assert due_ms(scene) == 90_000
    scene.hears(320, 0.0)
    assert due_ms(scene) == 90_000 - 320


def test_a_session_expires_exactly_at_its_limit() -> None:
    scene = Scene(owner=OwnerSettings(session_ms=90_000))
    scene.now += 90_000 * MS - 1
    assert scene.happens(TimePassed()) == []
    scene.now += 1
    error, close = scene.happens(TimePassed())
    message = "Your session hit the maximum duration of 1.5 minutes."
    assert error == Tell(ErrorRaised("session_expired", message))
    assert close == CloseLink("session_expired")
    assert scene.session.closed


def test_a_microphone_that_stops_during_a_turn_times_out_after_three_seconds() -> None:
    scene = Scene()
    scene.hears(320, 0.9)
    assert due_ms(scene) == 3_000
    scene.now += 1_000 * MS
    scene.happens(AudioArrived(bytes(1536)))
    assert due_ms(scene) == 3_000
    scene.now += 1_000 * MS
    scene.happens(VoiceScored(scene.position + 768, 0.9))
    assert due_ms(scene) == 3_000, "audio waiting for its score is not silence"
    scene.now += 3_000 * MS - 1
    assert scene.happens(TimePassed()) == []
    scene.now += 1
    assert kinds(scene.happens(TimePassed()))[0] == "InputSpeechStopped"
    assert due_ms(scene) == 30_000, "its transcript"


def test_a_microphone_that_is_silent_between_turns_ends_nothing() -> None:
    scene = Scene()
    scene.says("hello")
    scene.passes(4_000)
    scene.hears(64, 0.9)
    assert due_ms(scene) == 3_000
    scene.hears(320, 0.9)
    assert len(scene.notices(InputSpeechStopped)) == 1


def test_each_wait_has_its_own_deadline_and_the_earliest_is_next() -> None:
    scene = Scene(TEXT)
    scene.hears(320, 0.9)
    scene.hears(512, 0.0)
    assert due_ms(scene) == 30_000, "the turn's transcript"
    scene.now += 1_000 * MS
    scene.happens(ResponseRequested(ASIDE))
    assert due_ms(scene) == 29_000
    scene.happens(Transcribed(scene.turn(), "hello"))
    assert due_ms(scene) == 60_000, "the first token of the reply"
    scene.now += 1_000 * MS
    scene.happens(TextGenerated(scene.attempt(), "Hi"))
    assert due_ms(scene) == 59_000, "the reply without output"


def test_the_end_of_playback_is_a_deadline() -> None:
    scene = Scene()
    scene.happens(ResponseRequested())
    scene.answers(("Hello.", 1_000))
    scene.now += 100 * MS
    assert due_ms(scene) == 900


def test_tool_listings_and_calls_have_deadlines() -> None:
    scene = with_books()
    assert due_ms(scene) == 30_000
    scene.now += 1_000 * MS
    assert due_ms(scene) == 29_000
    scene.lists(McpTool("find"))
    assert due_ms(scene) == 60 * 60 * 1000 - 1_000
    scene, call = calling()
    assert due_ms(scene) == 60_000
    scene.happens(ToolAnswered(call.call, "There."))
    assert due_ms(scene) == 300, "the client may ask for the reply itself"
    scene.now += 300 * MS
    assert any(isinstance(effect, StartGeneration) for effect in scene.happens(TimePassed()))


def test_a_closed_session_has_no_deadline_and_no_effects() -> None:
    scene = Scene()
    scene.happens(LinkClosed("gone"))
    assert scene.session.closed
    assert scene.session.next_deadline() is None
    late = scene.session.late_events
    assert scene.happens(HELLO, TimePassed()) == []
    assert scene.session.late_events == late + 2


# --- silence -------------------------------------------------------------------------------------------------------------------


def test_an_idle_prompt_is_due_after_the_clients_timeout_of_silence() -> None:
    scene = Scene(Settings(turn_detection=ServerVad(idle_timeout_ms=5_000)))
    scene.passes(60_000)
    assert scene.notices(IdleTimeoutTriggered) == [], "no reply was heard that the user could answer"
    scene.happens(ResponseRequested())
    scene.answers(("Hello.", 1_000))
    assert due_ms(scene) == 1_000
    scene.passes(1_000)
    assert due_ms(scene) == 5_000
    scene.now += 5_000 * MS - 1
    assert scene.happens(TimePassed()) == []
    scene.now += 1
    assert kinds(scene.happens(TimePassed()))[0] == "IdleTimeoutTriggered"


def silent(scene: Scene) -> bool:
    """Whether the idle timeout runs after the reply was heard."""
    return scene.session.next_deadline() == scene.now + 5_000 * MS


def test_an_idle_prompt_waits_while_anything_is_running() -> None:
    scene = Scene(IDLE)
    scene.happens(ResponseRequested())
    assert not silent(scene), "a reply is generated"
    scene.happens(GenerationFinished(scene.attempt()))
    assert silent(scene)
    scene.happens(ResponseRequested())
    assert not silent(scene), "another reply is generated"
    scene.happens(GenerationFinished(scene.attempt()))
    assert silent(scene)
    scene.hears(64, 0.9)
    assert not silent(scene), "the user speaks"
    scene.hears(544, 0.0)
    assert not silent(scene), "their transcript is pending"
    scene.happens(Transcribed(scene.turn(), ""))
    assert silent(scene)
    scene, call = calling(IDLE)
    scene.happens(CancelRequested())
    assert not silent(scene), "a tool runs"
    scene.happens(ToolAnswered(call.call, "There."))
    assert silent(scene), "the client has cancelled the reply after the tool call"


@pytest.mark.parametrize("detection", [None, SemanticVad(), ServerVad()])
def test_idle_prompts_come_only_if_the_client_asks_for_them(detection: ServerVad | SemanticVad | None) -> None:
    scene = Scene(IDLE)
    scene.happens(ResponseRequested())
    scene.happens(GenerationFinished(scene.attempt()))
    assert silent(scene)
    scene.happens(SessionUpdateRequested({"turn_detection": detection}))
    scene.passes(60_000)
    assert scene.notices(IdleTimeoutTriggered) == []


# --- a pending reply -----------------------------------------------------------------------------------------------------------


def test_a_reply_waits_while_the_user_speaks_or_a_transcript_is_pending() -> None:
    scene = Scene(TEXT)
    scene.hears(320, 0.9)
    scene.hears(512, 0.0)
    first = scene.turn()
    scene.hears(320, 0.9)
    assert "ResponseCreated" not in kinds(scene.happens(Transcribed(first, "one")))
    assert "ResponseCreated" not in kinds(scene.hears(512, 0.0))
    assert "ResponseCreated" in kinds(scene.happens(Transcribed(scene.turn(), "two")))


def test_a_reply_after_a_tool_call_does_not_wait_for_the_playback() -> None:
    scene = Scene(Settings(tools=(BOOKS,)), capabilities=MCP_ALLOWED)
    scene.lists(McpTool("find"))
    scene.happens(ResponseRequested())
    attempt = scene.attempt()
    scene.answers(("I'll have a look.", 60_000), finish=False)
    scene.happens(ToolCallStarted(attempt, 0, CallId("c"), "find"), GenerationFinished(attempt, "tool_calls"))
    scene.happens(ToolAnswered(scene.last(CallTool).call, "There."))
    scene.now += 300 * MS
    assert scene.session.speaking
    assert any(isinstance(effect, StartGeneration) for effect in scene.happens(TimePassed()))


def test_a_reply_to_a_tool_waits_until_the_user_has_stopped_speaking() -> None:
    scene, call = calling(Settings(turn_detection=ServerVad(interrupt_response=False)))
    scene.happens(ToolAnswered(call.call, "There."))
    scene.hears(640, 0.9)
    assert len(scene.notices(ResponseCreated)) == 1
    scene.hears(512, 0.0)
    scene.happens(Transcribed(scene.turn(), ""))
    assert len(scene.notices(ResponseCreated)) == 2


# --- the end -------------------------------------------------------------------------------------------------------------------

CLOSED = CloseLink("server_shutting_down")


def test_a_winding_down_idle_session_closes_at_once() -> None:
    scene = Scene()
    assert scene.happens(WindDownRequested()) == [CLOSED]
    assert scene.session.closed


def ends(scene: Scene, *events: object) -> bool:
    """Whether a winding-down session closes its link after these events."""
    caused: list[Effect] = scene.happens(*events)  # type: ignore[arg-type]
    assert (CLOSED in caused) == scene.session.closed
    return scene.session.closed


def test_winding_down_lets_a_reply_be_generated_and_heard() -> None:
    scene = Scene()
    scene.happens(ResponseRequested())
    assert not ends(scene, WindDownRequested())
    scene.answers(("Hello.", 1_000))
    assert not scene.session.closed
    scene.passes(1_000)
    assert scene.session.closed


def test_winding_down_lets_a_transcript_and_its_reply_arrive() -> None:
    scene = Scene(TEXT)
    scene.hears(320, 0.9)
    scene.hears(512, 0.0)
    assert not ends(scene, WindDownRequested())
    assert not ends(scene, Transcribed(scene.turn(), "hello"))
    assert ends(scene, GenerationFinished(scene.attempt()))


def test_winding_down_lets_side_responses_end() -> None:
    scene = Scene(TEXT)
    scene.happens(ResponseRequested(ASIDE))
    assert not ends(scene, WindDownRequested())
    assert ends(scene, GenerationFinished(scene.attempt()))


def test_winding_down_lets_a_tool_answer_and_be_answered() -> None:
    scene, call = calling()
    scene.happens(CancelRequested(), WindDownRequested())
    assert not scene.session.closed
    scene, call = calling()
    assert not ends(scene, WindDownRequested())
    assert not ends(scene, ToolAnswered(call.call, "There."))
    scene.passes(300)
    assert not scene.session.closed
    assert ends(scene, GenerationFinished(scene.attempt()))


def test_winding_down_stops_speculation() -> None:
    scene = Scene(owner=SPECULATING)
    scene.happens(ResponseRequested(ASIDE))
    scene.pauses("how are you", ms=320)
    attempt = scene.attempt()
    assert CancelGeneration(attempt) in scene.happens(WindDownRequested())


def test_closing_the_session_stops_all_its_work() -> None:
    scene = Scene(Settings(modality="text"), SPECULATING)
    scene.happens(ResponseRequested(ASIDE))
    aside = scene.attempt()
    scene.pauses("how are you", ms=320)
    held = scene.attempt()
    assert held != aside
    assert scene.happens(LinkClosed("gone")) == [
        CancelGeneration(aside),
        CancelGeneration(held),
        DropTranscription(scene.turn()),
    ]


def test_closing_the_session_frees_the_uncommitted_audio() -> None:
    scene = Scene(Settings(turn_detection=None))
    scene.happens(AudioArrived(bytes(9_600)), CommitRequested())
    waiting = scene.turn()
    scene.happens(AudioArrived(bytes(9_600)))
    manual = scene.turn()
    assert scene.happens(LinkClosed("gone")) == [DropTranscription(manual), DropTranscription(waiting)]


def test_ended_work_is_not_stopped_again() -> None:
    scene, _ = calling()
    assert scene.happens(LinkClosed("gone")) == []
    speculating = Scene(TEXT, SPECULATING)
    speculating.pauses("how are you", ms=320)
    speculating.happens(GenerationFinished(speculating.attempt()))
    assert speculating.happens(LinkClosed("gone")) == [DropTranscription(speculating.turn())]


def test_a_closed_session_has_no_turn_to_read() -> None:
    scene = Scene()
    scene.hears(640, 0.9)
    assert scene.session.turn_audio(100)
    scene.happens(LinkClosed("gone"))
    assert scene.session.turn_audio(100) == b""
    assert scene.happens(PartialTranscribed(scene.turn(), "hello")) == []


def test_a_translation_session_whose_client_has_closed_it_is_ending() -> None:
    scene = opened()
    assert not scene.session.ending
    scene.happens(SessionCloseRequested())
    assert scene.session.ending


# --- readable state ---------------------------------------------------------------------------------------------------------------


def test_the_conversation_is_readable_with_the_words_heard_so_far() -> None:
    scene = Scene()
    scene.says("go on")
    scene.answers(("one two", 1_000), words=True)
    scene.passes(600)
    scene.happens(TimePassed())
    mine, reply = scene.session.items
    assert isinstance(mine, Message)
    assert isinstance(reply, Message)
    assert mine.content == (InputAudio("go on"),)
    assert reply.content == (OutputAudio("one"),)
