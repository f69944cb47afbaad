"""The session as its shell sees it: its greeting, its deadlines, what rest and the end mean, and whose judgements it asks."""

from __future__ import annotations

from typing import Literal

import pytest

from parley.core.policy.assistant import Assistant
from parley.core.policy.policy import Answer, Decided, Said
from parley.core.session import Session
from parley.core.spec import SessionSpec
from parley.core.words.effects import (
    CallTool,
    CancelGeneration,
    CloseLink,
    DropTranscription,
    Effect,
    ListTools,
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
    SessionUpdateRequested,
    TextGenerated,
    TimePassed,
    ToolAnswered,
    ToolArgumentsGenerated,
    ToolCallStarted,
    ToolsListed,
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
    Capabilities,
    McpServer,
    OwnerSettings,
    SemanticVad,
    ServerVad,
    SessionKind,
    Settings,
    ToolFilter,
)
from parley.core.words.work import ResponseParams
from tests.core.scene import MS, Scene, kinds, notices

TEXT = Settings(modality="text")
GUESSING = OwnerSettings(speculation=True, speculate_after_ms=200)
BOOKS = McpServer("books", "https://books.example/mcp", approval=Approval(never=ToolFilter()))
CAN = Capabilities(mcp_urls=("*",))
IDLE = Settings(modality="text", turn_detection=ServerVad(idle_timeout_ms=5_000))
ID = ClientEventId("of the client")
HELLO = ItemCreateRequested(Message(ItemId("hello"), "user", (InputText("hello"),)))
ASIDE = ResponseParams(in_conversation=False)


def due_ms(scene: Scene) -> float:
    """Milliseconds until the session wants to be told that time has passed."""
    deadline = scene.session.next_deadline()
    assert deadline is not None
    return (deadline - scene.now) / MS


def pausing(scene: Scene) -> None:
    """The user has spoken and paused, and a reply is made ahead."""
    scene.hears(320, 0.9)
    scene.hears(256, 0.0)
    scene.happens(Transcribed(scene.turn(), "how are you", flush=scene.flush()))


def with_books(settings: Settings = TEXT) -> Scene:
    """A session with an MCP server that has not told its tools yet."""
    tools = (BOOKS,)
    return Scene(Settings(modality="text", tools=tools, turn_detection=settings.turn_detection), capabilities=CAN)


def calling(settings: Settings = TEXT) -> tuple[Scene, CallTool]:
    """A session whose model has called a tool, and the call."""
    scene = with_books(settings)
    scene.happens(ToolsListed(scene.last(ListTools).listing, (McpTool("find"),)), ResponseRequested())
    attempt = scene.attempt()
    scene.happens(ToolCallStarted(attempt, 0, CallId("c"), "find"), ToolArgumentsGenerated(attempt, 0, "{}"))
    scene.happens(GenerationFinished(attempt, "tool_calls"))
    return scene, scene.last(CallTool)


# --- the greeting --------------------------------------------------------------------------------------------------------------


def test_a_client_is_greeted_with_its_session_and_its_conversation() -> None:
    scene = Scene(TEXT, OwnerSettings(session_ms=90_000))
    created, conversation = notices(scene.effects)
    assert created == SessionCreated(scene.session.id, TEXT, 90_000)
    assert scene.session.id.startswith("sess_")
    assert isinstance(conversation, ConversationCreated)
    scene.happens(HELLO, ResponseRequested())
    (response,) = scene.told(ResponseCreated)
    assert response.response.conversation_id == conversation.conversation_id
    assert scene.session.settings == TEXT
    assert not scene.session.closed


@pytest.mark.parametrize("playback", ["remote", "paced"])
def test_where_the_server_plays_sound_goes_out_at_its_pace_and_is_heard_when_it_has(
    playback: Literal["remote", "paced"],
) -> None:
    scene = Scene(playback=playback)
    scene.happens(ResponseRequested())
    caused = scene.answers(("Hello.", 1_000))
    assert any(isinstance(effect, Play) for effect in caused) == (playback == "paced")
    assert scene.session.speaking
    scene.passes(1_000)
    assert scene.session.speaking == (playback == "paced")


# --- whose judgements ----------------------------------------------------------------------------------------------------------


class Own(Assistant):
    """Answers only what ends in a question mark."""

    def turn_ended(self, said: Said) -> tuple[Decided, ...]:
        return (Answer(),) if said.text.endswith("?") else ()


def test_a_policy_of_ones_own_decides_and_stays_whatever_the_kind_of_session() -> None:
    scene = Scene()
    scene.session = Session(
        SessionSpec(
            seed=b"own",
            settings=Settings(),
            owner=OwnerSettings(),
            capabilities=Capabilities(),
            playback="remote",
            now_ns=scene.now,
            policy=Own(),
        )
    )
    scene.happens(SessionUpdateRequested({"kind": "transcription"}))
    assert scene.session.settings.kind == "transcription"
    scene.says("I see.")
    assert scene.told(ResponseCreated) == []
    scene.says("Do you?")
    assert len(scene.told(ResponseCreated)) == 1


def test_without_a_policy_of_ones_own_the_kind_of_session_decides() -> None:
    first: SessionKind
    second: SessionKind
    for first, second, replies in (("transcription", "realtime", 1), ("realtime", "transcription", 0)):
        scene = Scene(Settings(kind=first))
        scene.happens(SessionUpdateRequested({"kind": second}))
        scene.says("Do you?")
        assert len(scene.told(ResponseCreated)) == replies


# --- errors --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["invalid_request_error", "server_error", "rate_limit_error"])
def test_what_the_wire_cannot_read_is_told_as_the_wire_says_it(kind: ErrorType) -> None:
    scene = Scene()
    erred = ClientErred("invalid_json", "No JSON.", "item.type", kind, ID)
    assert scene.happens(erred) == [Tell(ErrorRaised("invalid_json", "No JSON.", None, kind, ID, "item.type"))]


def test_a_refusal_names_the_clients_event_and_the_next_event_is_handled_as_ever() -> None:
    scene = Scene()
    (error,) = notices(scene.happens(CancelRequested(event_id=ID)))
    assert isinstance(error, ErrorRaised)
    assert error.client_event_id == ID
    assert "ItemAdded" in kinds(scene.happens(HELLO))


# --- deadlines -----------------------------------------------------------------------------------------------------------------


def test_a_session_at_rest_waits_for_its_end_alone() -> None:
    scene = Scene(owner=OwnerSettings(session_ms=90_000))
    assert due_ms(scene) == 90_000
    scene.hears(320, 0.0)
    assert due_ms(scene) == 90_000 - 320


def test_a_session_ends_at_its_longest_and_not_before() -> None:
    scene = Scene(owner=OwnerSettings(session_ms=90_000))
    scene.now += 90_000 * MS - 1
    assert scene.happens(TimePassed()) == []
    scene.now += 1
    told, close = scene.happens(TimePassed())
    message = "Your session hit the maximum duration of 1.5 minutes."
    assert told == Tell(ErrorRaised("session_expired", message))
    assert close == CloseLink("session_expired")
    assert scene.session.closed


def test_a_microphone_that_stops_in_a_turn_is_waited_for_three_seconds() -> None:
    scene = Scene()
    scene.hears(320, 0.9)
    assert due_ms(scene) == 3_000
    scene.now += 1_000 * MS
    scene.happens(AudioArrived(bytes(1536)))
    assert due_ms(scene) == 3_000
    scene.now += 1_000 * MS
    scene.happens(VoiceScored(scene.position + 768, 0.9))
    assert due_ms(scene) == 3_000, "what waited to be scored is no silence"
    scene.now += 3_000 * MS - 1
    assert scene.happens(TimePassed()) == []
    scene.now += 1
    assert kinds(scene.happens(TimePassed()))[0] == "InputSpeechStopped"
    assert due_ms(scene) == 30_000, "its words"


def test_a_microphone_that_is_silent_between_turns_ends_nothing() -> None:
    scene = Scene()
    scene.says("hello")
    scene.passes(4_000)
    scene.hears(64, 0.9)
    assert due_ms(scene) == 3_000
    scene.hears(320, 0.9)
    assert len(scene.told(InputSpeechStopped)) == 1


def test_each_wait_has_its_own_deadline_and_the_earliest_counts() -> None:
    scene = Scene(TEXT)
    scene.hears(320, 0.9)
    scene.hears(512, 0.0)
    assert due_ms(scene) == 30_000, "the words of the turn"
    scene.now += 1_000 * MS
    scene.happens(ResponseRequested(ASIDE))
    assert due_ms(scene) == 29_000
    scene.happens(Transcribed(scene.turn(), "hello"))
    assert due_ms(scene) == 60_000, "the first word of the replies"
    scene.now += 1_000 * MS
    scene.happens(TextGenerated(scene.attempt(), "Hi"))
    assert due_ms(scene) == 59_000, "the reply that has said nothing yet"


def test_the_end_of_what_is_heard_is_a_deadline() -> None:
    scene = Scene()
    scene.happens(ResponseRequested())
    scene.answers(("Hello.", 1_000))
    scene.now += 100 * MS
    assert due_ms(scene) == 900


def test_a_server_and_a_call_of_its_tool_are_waited_for() -> None:
    scene = with_books()
    assert due_ms(scene) == 30_000
    scene.now += 1_000 * MS
    assert due_ms(scene) == 29_000
    scene.happens(ToolsListed(scene.last(ListTools).listing, (McpTool("find"),)))
    assert due_ms(scene) == 60 * 60 * 1000 - 1_000
    scene, call = calling()
    assert due_ms(scene) == 60_000
    scene.happens(ToolAnswered(call.call, "There."))
    assert due_ms(scene) == 300, "the client may ask for the reply itself"
    scene.now += 300 * MS
    assert any(isinstance(effect, StartGeneration) for effect in scene.happens(TimePassed()))


def test_a_closed_session_has_no_deadline_and_answers_nothing() -> None:
    scene = Scene()
    scene.happens(LinkClosed("gone"))
    assert scene.session.closed
    assert scene.session.next_deadline() is None
    late = scene.session.late_events
    assert scene.happens(HELLO, TimePassed()) == []
    assert scene.session.late_events == late + 2


# --- silence -------------------------------------------------------------------------------------------------------------------


def test_a_prompt_is_due_when_everything_has_been_silent_for_as_long_as_the_client_says() -> None:
    scene = Scene(Settings(turn_detection=ServerVad(idle_timeout_ms=5_000)))
    scene.passes(60_000)
    assert scene.told(IdleTimeoutTriggered) == [], "nothing was said to which the user could answer"
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
    """Whether a session whose reply was heard waits to prompt its user."""
    return scene.session.next_deadline() == scene.now + 5_000 * MS


def test_a_prompt_waits_while_anything_is_under_way() -> None:
    scene = Scene(IDLE)
    scene.happens(ResponseRequested())
    assert not silent(scene), "a reply is made"
    scene.happens(GenerationFinished(scene.attempt()))
    assert silent(scene)
    scene.happens(ResponseRequested())
    assert not silent(scene), "another reply is made"
    scene.happens(GenerationFinished(scene.attempt()))
    assert silent(scene)
    scene.hears(64, 0.9)
    assert not silent(scene), "the user speaks"
    scene.hears(544, 0.0)
    assert not silent(scene), "their words are awaited"
    scene.happens(Transcribed(scene.turn(), ""))
    assert silent(scene)
    scene, call = calling(IDLE)
    scene.happens(CancelRequested())
    assert not silent(scene), "a tool runs"
    scene.happens(ToolAnswered(call.call, "There."))
    assert silent(scene), "the client has cancelled the reply that would have gone on"


@pytest.mark.parametrize("detection", [None, SemanticVad(), ServerVad()])
def test_only_a_client_that_asks_for_prompts_gets_them(detection: ServerVad | SemanticVad | None) -> None:
    scene = Scene(IDLE)
    scene.happens(ResponseRequested())
    scene.happens(GenerationFinished(scene.attempt()))
    assert silent(scene)
    scene.happens(SessionUpdateRequested({"turn_detection": detection}))
    scene.passes(60_000)
    assert scene.told(IdleTimeoutTriggered) == []


# --- a reply that is owed ------------------------------------------------------------------------------------------------------


def test_a_reply_waits_while_the_user_speaks_or_their_words_are_to_come() -> None:
    scene = Scene(TEXT)
    scene.hears(320, 0.9)
    scene.hears(512, 0.0)
    first = scene.turn()
    scene.hears(320, 0.9)
    assert "ResponseCreated" not in kinds(scene.happens(Transcribed(first, "one")))
    assert "ResponseCreated" not in kinds(scene.hears(512, 0.0))
    assert "ResponseCreated" in kinds(scene.happens(Transcribed(scene.turn(), "two")))


def test_a_reply_that_goes_on_from_a_tool_does_not_wait_until_the_last_was_heard() -> None:
    scene = Scene(Settings(tools=(BOOKS,)), capabilities=CAN)
    scene.happens(ToolsListed(scene.last(ListTools).listing, (McpTool("find"),)), ResponseRequested())
    attempt = scene.attempt()
    scene.answers(("I'll have a look.", 60_000), finish=False)
    scene.happens(ToolCallStarted(attempt, 0, CallId("c"), "find"), GenerationFinished(attempt, "tool_calls"))
    scene.happens(ToolAnswered(scene.last(CallTool).call, "There."))
    scene.now += 300 * MS
    assert scene.session.speaking
    assert any(isinstance(effect, StartGeneration) for effect in scene.happens(TimePassed()))


def test_a_reply_owed_to_a_tool_is_made_when_the_user_has_stopped_speaking() -> None:
    scene, call = calling(Settings(turn_detection=ServerVad(interrupt_response=False)))
    scene.happens(ToolAnswered(call.call, "There."))
    scene.hears(640, 0.9)
    assert len(scene.told(ResponseCreated)) == 1
    scene.hears(512, 0.0)
    scene.happens(Transcribed(scene.turn(), ""))
    assert len(scene.told(ResponseCreated)) == 2


# --- the end -------------------------------------------------------------------------------------------------------------------

CLOSED = CloseLink("server_shutting_down")


def test_a_session_at_rest_is_closed_at_once_when_the_server_stops() -> None:
    scene = Scene()
    assert scene.happens(WindDownRequested()) == [CLOSED]
    assert scene.session.closed


def ends(scene: Scene, *events: object) -> bool:
    """Whether these events let a session that winds down close its link."""
    caused: list[Effect] = scene.happens(*events)  # type: ignore[arg-type]
    assert (CLOSED in caused) == scene.session.closed
    return scene.session.closed


def test_a_server_that_stops_lets_a_reply_be_made_and_heard() -> None:
    scene = Scene()
    scene.happens(ResponseRequested())
    assert not ends(scene, WindDownRequested())
    scene.answers(("Hello.", 1_000))
    assert not scene.session.closed
    scene.passes(1_000)
    assert scene.session.closed


def test_a_server_that_stops_lets_words_and_their_reply_come() -> None:
    scene = Scene(TEXT)
    scene.hears(320, 0.9)
    scene.hears(512, 0.0)
    assert not ends(scene, WindDownRequested())
    assert not ends(scene, Transcribed(scene.turn(), "hello"))
    assert ends(scene, GenerationFinished(scene.attempt()))


def test_a_server_that_stops_lets_side_responses_be_made() -> None:
    scene = Scene(TEXT)
    scene.happens(ResponseRequested(ASIDE))
    assert not ends(scene, WindDownRequested())
    assert ends(scene, GenerationFinished(scene.attempt()))


def test_a_server_that_stops_lets_a_tool_answer_and_the_reply_to_it() -> None:
    scene, call = calling()
    scene.happens(CancelRequested(), WindDownRequested())
    assert not scene.session.closed
    scene, call = calling()
    assert not ends(scene, WindDownRequested())
    assert not ends(scene, ToolAnswered(call.call, "There."))
    scene.passes(300)
    assert not scene.session.closed
    assert ends(scene, GenerationFinished(scene.attempt()))


def test_a_server_that_stops_makes_no_reply_ahead() -> None:
    scene = Scene(owner=GUESSING)
    scene.happens(ResponseRequested(ASIDE))
    pausing(scene)
    attempt = scene.attempt()
    assert CancelGeneration(attempt) in scene.happens(WindDownRequested())


def test_a_session_that_ends_stops_all_its_work() -> None:
    scene = Scene(Settings(modality="text"), GUESSING)
    scene.happens(ResponseRequested(ASIDE))
    aside = scene.attempt()
    pausing(scene)
    guess = scene.attempt()
    assert guess != aside
    assert scene.happens(LinkClosed("gone")) == [
        CancelGeneration(aside),
        CancelGeneration(guess),
        DropTranscription(scene.turn()),
    ]


def test_a_session_that_ends_lets_go_of_the_audio_that_the_client_has_not_committed() -> None:
    scene = Scene(Settings(turn_detection=None))
    scene.happens(AudioArrived(bytes(9_600)), CommitRequested())
    waiting = scene.turn()
    scene.happens(AudioArrived(bytes(9_600)))
    manual = scene.turn()
    assert scene.happens(LinkClosed("gone")) == [DropTranscription(manual), DropTranscription(waiting)]


def test_work_that_has_ended_is_not_stopped_again() -> None:
    scene, _ = calling()
    assert scene.happens(LinkClosed("gone")) == []
    guessing = Scene(TEXT, GUESSING)
    pausing(guessing)
    guessing.happens(GenerationFinished(guessing.attempt()))
    assert guessing.happens(LinkClosed("gone")) == [DropTranscription(guessing.turn())]


def test_after_the_end_nothing_of_the_turn_is_left_to_read() -> None:
    scene = Scene()
    scene.hears(640, 0.9)
    assert scene.session.turn_audio(100)
    scene.happens(LinkClosed("gone"))
    assert scene.session.turn_audio(100) == b""
    assert scene.happens(PartialTranscribed(scene.turn(), "hello")) == []


# --- what can be read of it -------------------------------------------------------------------------------------------------------


def test_the_conversation_can_be_read_with_the_words_that_were_heard_by_now() -> None:
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
