"""The account of the turns, from the core's own events and effects: what each turn was, which reply answers it, which attempt made it."""

from __future__ import annotations

from parley.core.words.effects import Effect, OpenTranscription
from parley.core.words.errors import Fault
from parley.core.words.events import (
    AudioPlayed,
    ClauseStarted,
    CommitRequested,
    Event,
    FirstTokenGenerated,
    GenerationFinished,
    ItemCreateRequested,
    ResponseRequested,
    SpeechGenerated,
    ToolArgumentsGenerated,
    ToolCallStarted,
    Transcribed,
    TranscriptionFailed,
)
from parley.core.words.filler_phrases import FillerPhrases, Fillers
from parley.core.words.ids import CallId, ItemId
from parley.core.words.items import FunctionCallOutput, InputText, Message
from parley.core.words.settings import FunctionTool, OwnerSettings, ServerVad, Settings, Transcription
from parley.runtime.turn_records import (
    ReplyPlayed,
    SpeculationEnded,
    TurnAnswered,
    TurnChange,
    TurnStarted,
    TurnStopped,
    TurnTranscribed,
)
from parley.runtime.turns import TurnAccount
from parley.runtime.waterfall import measured
from tests.core.scene import Scene

HEARD = Settings(transcription=Transcription())
SPECULATING = OwnerSettings(speculation=True, speculate_after_ms=200)


class Watched(Scene):
    """A scene whose every step goes into an account."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.account = TurnAccount()
        self.changes: list[TurnChange] = self.account.on_step(None, self.now, self.effects)

    def happens(self, *events: Event) -> list[Effect]:
        caused: list[Effect] = []
        for event in events:
            effects = super().happens(event)
            self.changes += self.account.on_step(event, self.now, effects)
            caused += effects
        return caused

    def types(self, text: str) -> None:
        self.happens(ItemCreateRequested(Message(ItemId(""), "user", (InputText(text),))), ResponseRequested())

    def kinds(self, *wanted: type) -> list[type]:
        return [type(change) for change in self.changes if isinstance(change, wanted)]


def test_a_spoken_turn_is_started_stopped_transcribed_and_answered_in_this_order() -> None:
    scene = Watched(HEARD)
    scene.says("hello there")
    (turn,) = scene.account.turns
    assert (turn.number, turn.ending, turn.transcript) == (1, "voice", "hello there")
    assert 450 <= (turn.pause_ms or 0) <= 600
    scene.passes(50)
    scene.happens(FirstTokenGenerated(scene.attempt()))
    scene.answers(("Hi.", 300))
    order = (TurnStarted, TurnStopped, TurnTranscribed, TurnAnswered)
    assert scene.kinds(*order) == list(order)
    (row,) = measured(scene.account.turns)
    assert (row.item_id, row.response_id) == (turn.item, turn.replies[0].response)
    assert (row.transcript_ms, row.speculation) == (row.requested_ms, "none")
    assert (row.first_token_ms or 0) - (row.requested_ms or 0) == 50


def test_the_words_of_a_client_that_wants_no_transcript_are_timed_all_the_same() -> None:
    scene = Watched()
    scene.hears(640, 0.9)
    scene.hears(600, 0.0)
    scene.passes(30)
    scene.happens(Transcribed(scene.turn(), "hello"))
    (turn,) = scene.account.turns
    assert turn.transcript == "hello"
    assert (turn.transcript_ns or 0) - turn.ended_ns >= 30_000_000


def test_a_turn_that_the_recogniser_gives_up_has_its_fault() -> None:
    scene = Watched(HEARD)
    scene.hears(640, 0.9)
    scene.hears(600, 0.0)
    scene.happens(TranscriptionFailed(scene.turn(), Fault("timeout", "No answer.")))
    assert scene.account.turns[-1].fault == ("timeout", "No answer.")
    assert scene.kinds(TurnTranscribed) == [TurnTranscribed]


def test_a_speculative_attempt_that_is_released_is_won_and_one_that_is_replaced_is_lost() -> None:
    scene = Watched(HEARD, SPECULATING)
    scene.hears(640, 0.9)
    scene.hears(224, 0.0)
    scene.happens(Transcribed(scene.turn(), "what time", scene.flush()))
    scene.answers(("Noon.", 300))  # made to its end, and dropped all the same
    scene.hears(320, 0.9)
    scene.hears(224, 0.0)
    scene.happens(Transcribed(scene.turn(), "what time is it", scene.flush()))
    scene.answers(("It is noon.", 300), finish=False)
    scene.hears(480, 0.0)
    outcomes = [change.won for change in scene.changes if isinstance(change, SpeculationEnded)]
    assert outcomes == [False, True]
    (row,) = measured(scene.account.turns)
    assert (row.speculation, row.speculations_lost) == ("won", 1)
    assert (row.requested_ms or 0) < 0, "it was begun before the turn was over"
    scene.happens(GenerationFinished(scene.attempt()))
    assert not scene.account.attempts.by_id, "nothing is kept of attempts that are over"


def test_a_reply_that_goes_on_from_a_tool_belongs_to_the_same_turn() -> None:
    scene = Watched(Settings(tools=(FunctionTool("clock", "", "{}"),), modality="text"))
    scene.types("What time is it?")
    attempt = scene.attempt()
    scene.happens(
        ToolCallStarted(attempt, 0, CallId("call_1"), "clock"),
        ToolArgumentsGenerated(attempt, 0, "{}"),
        GenerationFinished(attempt, "tool_calls"),
        ItemCreateRequested(FunctionCallOutput(ItemId(""), CallId("call_1"), "noon")),
        ResponseRequested(),
    )
    (turn,) = scene.account.turns
    assert (turn.ending, turn.transcript, len(turn.replies)) == ("request", "What time is it?", 2)
    first, second = measured(scene.account.turns)
    assert [first.response_id, second.response_id] == [reply.response for reply in turn.replies]


def test_what_is_typed_after_a_reply_is_a_turn_of_its_own() -> None:
    scene = Watched(Settings(modality="text"))
    for text in ("One", "Two"):
        scene.types(text)
        scene.happens(GenerationFinished(scene.attempt()))
    assert [(turn.number, turn.transcript) for turn in scene.account.turns] == [(1, "One"), (2, "Two")]


def test_a_committed_turn_has_no_pause() -> None:
    scene = Watched(Settings(turn_detection=None, transcription=Transcription()))
    scene.hears(640, 0.0)
    scene.happens(CommitRequested())
    (turn,) = scene.account.turns
    assert (turn.ending, turn.start_sample, turn.end_sample, turn.pause_ms) == ("commit", 0, scene.position, None)
    assert turn.turn == scene.last(OpenTranscription).turn


def test_where_the_server_holds_the_playback_a_turn_is_answered_when_it_was_heard() -> None:
    scene = Watched(HEARD, playback="paced")
    scene.says("hello")
    scene.answers(("Hi.", 300))
    assert not scene.kinds(ReplyPlayed, TurnAnswered)
    scene.happens(AudioPlayed(24 * 100))
    assert scene.kinds(ReplyPlayed, TurnAnswered) == [ReplyPlayed]
    scene.happens(AudioPlayed(24 * 200))
    assert scene.kinds(ReplyPlayed, TurnAnswered) == [ReplyPlayed, TurnAnswered]


def test_a_filler_is_neither_the_reply_nor_an_attempt_at_it() -> None:
    fillers = Fillers((FillerPhrases("", ("One moment.",)),))
    scene = Watched(HEARD, OwnerSettings(fillers=fillers), playback="paced")
    scene.says("hello")
    reply = scene.attempt()
    scene.passes(2_000)
    scene.answers(("One moment.", 300))
    scene.happens(
        ClauseStarted(reply, "Hi."),
        SpeechGenerated(reply, bytes(48 * 200)),
        GenerationFinished(reply),
        AudioPlayed(24 * 100),
    )
    assert not scene.kinds(ReplyPlayed, SpeculationEnded), "the filler is heard"
    scene.happens(AudioPlayed(24 * 200), AudioPlayed(24 * 100))
    assert scene.kinds(ReplyPlayed) == [ReplyPlayed]
    (turn,) = scene.account.turns
    (answer,) = turn.replies
    assert answer.written == ["Hi."]
    assert answer.attempt is not None
    assert answer.attempt.id == reply


def test_no_more_turns_are_kept_than_were_asked_for() -> None:
    scene = Watched(Settings(turn_detection=ServerVad(create_response=False), transcription=Transcription()))
    scene.account = TurnAccount(keep=2)
    for text in ("one", "two", "three"):
        scene.says(text)
    assert [turn.transcript for turn in scene.account.turns] == ["two", "three"]
