"""What a session waits for, and what becomes of work that its shell no longer waits for."""

from __future__ import annotations

from parley.core.words.effects import (
    AbandonCall,
    AbandonListing,
    CallTool,
    CancelGeneration,
    DropTranscription,
    FinishTranscription,
    FlushTranscription,
    ListTools,
    ReleaseGeneration,
    StartGeneration,
)
from parley.core.words.events import (
    AudioArrived,
    FirstTokenGenerated,
    GenerationFinished,
    InputEnded,
    TextGenerated,
    TimePassed,
    ToolArgumentsGenerated,
    ToolCallStarted,
    ToolsListed,
    Transcribed,
    WorkAbandoned,
)
from parley.core.words.ids import AttemptId, CallId, ListingId, ToolCallId, TurnId
from parley.core.words.items import McpCall, McpTool
from parley.core.words.limits import GENERATION_SILENCE_NS
from parley.core.words.notices import (
    ErrorRaised,
    InputCommitted,
    ResponseCreated,
    ResponseDone,
    SpeechStarted,
    SpeechStopped,
    TranscriptionFailedNotice,
)
from parley.core.words.settings import (
    Approval,
    Capabilities,
    McpServer,
    OwnerSettings,
    Settings,
    ToolFilter,
    Transcription,
)
from parley.core.words.work import AwaitedCall, AwaitedGeneration, AwaitedListing, AwaitedTranscript, Outstanding
from tests.core.scene import Scene, kinds

MCP = McpServer("books", "https://books.example/mcp", approval=Approval(never=ToolFilter()))


def with_books() -> Scene:
    return Scene(settings=Settings(tools=(MCP,)), capabilities=Capabilities(mcp_urls=("*",)))


def speculating() -> Scene:
    return Scene(owner=OwnerSettings(speculation=True, speculate_after_ms=100))


# --- what is waited for ---------------------------------------------------------------------------------------------------------


def test_a_session_at_rest_waits_for_nothing() -> None:
    assert Scene().session.outstanding() == ()


def test_a_committed_turn_waits_for_its_words_and_then_for_its_reply() -> None:
    scene = Scene()
    scene.hears(640, 0.9)
    assert scene.session.outstanding() == (), "the turn is still open"
    scene.hears(600, 0.0)
    turn = scene.turn()
    assert scene.session.outstanding() == (AwaitedTranscript(turn),)
    scene.happens(Transcribed(turn, "Hello?"))
    attempt = scene.attempt()
    assert scene.session.outstanding() == (AwaitedGeneration(attempt),)
    scene.happens(GenerationFinished(attempt))
    assert scene.session.outstanding() == ()


def test_a_servers_tools_and_its_calls_are_waited_for() -> None:
    scene = with_books()
    listing = scene.last(ListTools).listing
    assert scene.session.outstanding() == (AwaitedListing(listing),)
    scene.happens(ToolsListed(listing, (McpTool("find", "", "{}"),)))
    assert scene.session.outstanding() == ()
    scene.says("Where is Emma?")
    attempt = scene.attempt()
    scene.happens(
        ToolCallStarted(attempt, 0, CallId("call_1"), "find"),
        ToolArgumentsGenerated(attempt, 0, "{}"),
        GenerationFinished(attempt, "tool_calls"),
    )
    assert scene.session.outstanding() == (AwaitedCall(scene.last(CallTool).call),)


# --- what is abandoned ------------------------------------------------------------------------------------------------------------


def test_abandoned_words_fail_their_turn() -> None:
    scene = Scene(settings=Settings(transcription=Transcription()))
    scene.hears(640, 0.9)
    scene.hears(600, 0.0)
    turn = scene.turn()
    caused = scene.happens(WorkAbandoned(AwaitedTranscript(turn)))
    assert DropTranscription(turn) in caused
    (failed,) = scene.told(TranscriptionFailedNotice)
    assert failed.code == "timeout"
    assert scene.session.outstanding() == ()
    assert scene.happens(Transcribed(turn, "Hello?")) == []
    assert scene.session.late_events == 1


def test_an_abandoned_reply_fails_and_the_next_turn_is_answered() -> None:
    scene = Scene()
    scene.says("Hello?")
    attempt = scene.attempt()
    caused = scene.happens(WorkAbandoned(AwaitedGeneration(attempt)))
    assert CancelGeneration(attempt) in caused
    (done,) = scene.told(ResponseDone)
    assert done.response.status == "failed"
    assert done.response.error is not None
    assert done.response.error.code == "timeout"
    scene.says("Are you there?")
    assert scene.attempt() != attempt


def test_an_abandoned_speculative_attempt_is_dropped_in_silence() -> None:
    scene = speculating()
    scene.hears(640, 0.9)
    scene.hears(128, 0.0)
    scene.happens(Transcribed(scene.turn(), "Hello?", scene.last(FlushTranscription).flush))
    attempt = scene.attempt()
    assert scene.last(StartGeneration).held
    caused = scene.happens(WorkAbandoned(AwaitedGeneration(attempt)))
    assert caused == [CancelGeneration(attempt)]
    scene.hears(600, 0.0)
    assert len(scene.told(ResponseCreated)) == 1
    assert scene.attempt() != attempt


def test_an_abandoned_listing_and_an_abandoned_call_fail_as_late_ones_do() -> None:
    scene = with_books()
    listing = scene.last(ListTools).listing
    caused = scene.happens(WorkAbandoned(AwaitedListing(listing)))
    assert AbandonListing(listing) in caused
    assert scene.told(ErrorRaised)[-1].code == "timeout"

    scene = with_books()
    scene.happens(ToolsListed(scene.last(ListTools).listing, (McpTool("find", "", "{}"),)))
    scene.says("Where is Emma?")
    attempt = scene.attempt()
    scene.happens(
        ToolCallStarted(attempt, 0, CallId("call_1"), "find"),
        ToolArgumentsGenerated(attempt, 0, "{}"),
        GenerationFinished(attempt, "tool_calls"),
    )
    call = scene.last(CallTool).call
    assert AbandonCall(call) in scene.happens(WorkAbandoned(AwaitedCall(call)))
    (item,) = [item for item in scene.session.items if isinstance(item, McpCall)]
    assert item.error is not None
    assert item.error.type == "tool_execution_error"


def test_abandoning_what_is_over_or_never_was_changes_nothing() -> None:
    scene = with_books()
    listing = scene.last(ListTools).listing
    scene.happens(ToolsListed(listing, ()))
    for number, work in enumerate[Outstanding](
        (
            AwaitedTranscript(TurnId(99)),
            AwaitedGeneration(AttemptId(99)),
            AwaitedListing(listing),
            AwaitedListing(ListingId(99)),
            AwaitedCall(ToolCallId(99)),
        ),
        start=1,
    ):
        assert scene.happens(WorkAbandoned(work)) == []
        assert scene.session.late_events == number


# --- the first token, and what becomes of a held attempt -----------------------------------------------------------------------------


def test_a_first_token_shows_that_an_attempt_is_alive() -> None:
    scene = Scene()
    scene.says("Hello?")
    attempt = scene.attempt()
    scene.now += GENERATION_SILENCE_NS - 1
    assert scene.happens(FirstTokenGenerated(attempt)) == []
    scene.now += 1
    assert scene.happens(TimePassed()) == []
    scene.now += GENERATION_SILENCE_NS
    scene.happens(TimePassed())
    assert scene.told(ResponseDone)[-1].response.status == "failed"
    assert scene.happens(FirstTokenGenerated(attempt)) == []
    assert scene.session.late_events == 1


def test_a_held_attempt_that_the_turn_confirms_is_released_to_its_response_before_anything_of_it_is_told() -> None:
    scene = speculating()
    scene.hears(640, 0.9)
    scene.hears(128, 0.0)
    scene.happens(Transcribed(scene.turn(), "Hello?", scene.last(FlushTranscription).flush))
    attempt = scene.attempt()
    scene.happens(TextGenerated(attempt, "Hi."))
    caused = scene.hears(600, 0.0)
    (created,) = scene.told(ResponseCreated)
    assert ReleaseGeneration(attempt, created.response.id) in caused
    first = caused.index(ReleaseGeneration(attempt, created.response.id))
    assert kinds(caused[:first]).count("ResponseCreated") == 0
    assert not any(isinstance(effect, StartGeneration) for effect in caused)


def test_an_attempt_that_a_finished_turn_starts_is_not_held_and_never_released() -> None:
    scene = Scene()
    scene.says("Hello?")
    assert not scene.last(StartGeneration).held
    scene.answers(("Hi.", 100))
    assert not any(isinstance(effect, ReleaseGeneration) for effect in scene.effects)


# --- the end of the input ---------------------------------------------------------------------------------------------------------------


def test_the_end_of_the_input_ends_the_open_turn_at_once() -> None:
    scene = Scene()
    scene.hears(640, 0.9)
    caused = scene.happens(InputEnded())
    assert kinds(caused)[:2] == ["SpeechStopped", "InputCommitted"]
    assert FinishTranscription(scene.turn()) in caused
    scene.happens(Transcribed(scene.turn(), "Hello?"))
    assert scene.told(ResponseCreated)


def test_without_an_open_turn_the_end_of_the_input_changes_nothing() -> None:
    scene = Scene()
    scene.hears(320, 0.0)
    assert scene.happens(InputEnded()) == []
    scene.hears(640, 0.9)
    assert len(scene.told(SpeechStarted)) == 1, "audio that comes all the same is heard"


def test_with_manual_turns_the_end_of_the_input_commits_what_is_long_enough() -> None:
    scene = Scene(settings=Settings(turn_detection=None))
    scene.happens(AudioArrived(bytes(48 * 99)))
    assert scene.happens(InputEnded()) == []
    scene.happens(AudioArrived(bytes(48)))
    scene.happens(InputEnded())
    assert len(scene.told(InputCommitted)) == 1
    assert scene.told(SpeechStopped) == []
    assert scene.told(ResponseCreated) == []
    assert scene.happens(InputEnded()) == []
