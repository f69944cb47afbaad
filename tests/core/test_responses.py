"""The options of a response, its interruption, and the notices about it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from parley.core.policy.assistant import Assistant
from parley.core.policy.policy import Decided, Said, Say
from parley.core.words.effects import CallTool, CancelGeneration, StartGeneration, StopPlayback
from parley.core.words.errors import Fault
from parley.core.words.events import (
    AudioPlayed,
    CancelRequested,
    ClauseStarted,
    GenerationFailed,
    GenerationFinished,
    ItemCreateRequested,
    ItemDeleteRequested,
    ItemTruncateRequested,
    LinkClosed,
    OutputClearRequested,
    ResponseRequested,
    SpeechGenerated,
    TextGenerated,
    ToolAnswered,
    ToolCallStarted,
    Transcribed,
    TranscriptionFailed,
    WindDownRequested,
)
from parley.core.words.ids import CallId, ItemId
from parley.core.words.items import InputAudio, InputText, McpTool, Message, OutputAudio
from parley.core.words.limits import GENERATION_SILENCE_NS, MAX_HELD_BYTES, MAX_PENDING_WORK
from parley.core.words.notices import (
    ConversationCreated,
    ErrorRaised,
    ItemTruncated,
    OutputBufferCleared,
    OutputBufferStarted,
    OutputBufferStopped,
    OutputItemAdded,
    RateLimitsUpdated,
    ResponseCreated,
    ResponseDone,
    ResponseView,
)
from parley.core.words.settings import (
    Approval,
    AudioFormat,
    McpServer,
    OwnerSettings,
    ServerVad,
    Settings,
    ToolFilter,
)
from parley.core.words.work import ResponseParams
from tests.core.scene import MCP_ALLOWED, MS, SPECULATING, Scene, cancelled, kinds, notices, of

TYPED = ItemCreateRequested(Message(ItemId("typed"), "user", (InputText("hello"),)))
SESSION = Settings(
    modality="text", voice="alba", output_format=AudioFormat.PCMU, max_output_tokens=100, turn_detection=None
)


@pytest.mark.parametrize(
    ("params", "own"),
    [
        (ResponseParams(), {}),
        (
            ResponseParams(modality="audio", voice="bruno", output_format=AudioFormat.PCMA, metadata=(("k", "v"),)),
            {"modality": "audio", "voice": "bruno", "output_format": AudioFormat.PCMA, "metadata": (("k", "v"),)},
        ),
        (ResponseParams(max_output_tokens=7), {"max_output_tokens": 7}),
        (ResponseParams(max_output_tokens=0), {"max_output_tokens": None}),
        (ResponseParams(in_conversation=False), {"conversation_id": None}),
    ],
)
def test_a_response_shows_its_own_options_and_else_the_sessions(params: ResponseParams, own: dict[str, Any]) -> None:
    scene = Scene(SESSION)
    scene.happens(TYPED, ResponseRequested(params))
    scene.happens(GenerationFinished(scene.attempt()))
    (created,), (done,) = scene.notices(ResponseCreated), scene.notices(ResponseDone)
    conversation = scene.notices(ConversationCreated)[0].conversation_id
    view = ResponseView(created.response.id, "in_progress", conversation, "text", "alba", AudioFormat.PCMU, 100, None)
    assert created.response == replace(view, **own)
    assert done.response == replace(view, status="completed", usage=done.response.usage, **own)


@pytest.mark.parametrize(
    ("session", "own", "calls"),
    [(True, None, 2), (None, None, 2), (False, None, 1), (True, False, 1), (False, True, 2)],
)
def test_parallel_calls_follow_the_responses_setting_and_else_the_sessions(
    session: bool | None, own: bool | None, calls: int
) -> None:
    scene = Scene(Settings(modality="text", parallel_tool_calls=session))
    scene.happens(TYPED, ResponseRequested(ResponseParams(parallel_tool_calls=own)))
    attempt = scene.attempt()
    scene.happens(ToolCallStarted(attempt, 0, CallId("a"), "a"), ToolCallStarted(attempt, 1, CallId("b"), "b"))
    assert len(scene.notices(OutputItemAdded)) == calls


def spoken_to(owner: OwnerSettings, parallel: bool) -> list[ResponseView]:
    """All views of the response to one second of speech."""
    settings = Settings(
        voice="alba",
        output_format=AudioFormat.PCMU,
        max_output_tokens=50,
        parallel_tool_calls=parallel,
        instructions="x" * 9,
    )
    scene = Scene(settings, owner)
    scene.happens(ItemCreateRequested(Message(ItemId(""), "user", (InputAudio("before", bytes(48 * 510)),))))
    scene.hears(992, 0.9)
    scene.hears(256, 0.0)
    if owner.speculation:
        scene.happens(Transcribed(scene.turn(), "how are you", flush=scene.flush()))
        assert scene.attempt()
    scene.hears(320, 0.0)
    if not owner.speculation:
        scene.happens(Transcribed(scene.turn(), "how are you"))
    attempt = scene.attempt()
    scene.happens(ClauseStarted(attempt, "Well."), SpeechGenerated(attempt, bytes(8_000)))
    scene.happens(ToolCallStarted(attempt, 0, CallId("a"), "a"), ToolCallStarted(attempt, 1, CallId("b"), "b"))
    assert len(scene.notices(OutputItemAdded)) == (3 if parallel else 2)
    scene.happens(GenerationFinished(attempt, "tool_calls"))
    assert len(scene.all(StartGeneration)) == 1
    return [scene.notices(ResponseCreated)[0].response, scene.notices(ResponseDone)[0].response]


@pytest.mark.parametrize("parallel", [False, True])
def test_a_speculative_reply_shows_the_same_as_one_made_after_the_turn(parallel: bool) -> None:
    ahead, in_time = spoken_to(SPECULATING, parallel), spoken_to(OwnerSettings(), parallel)
    for one, other in zip(ahead, in_time, strict=True):
        assert one == replace(other, id=one.id, output=one.output)


def starts(scene: Scene) -> int:
    return len(scene.all(StartGeneration))


def test_a_speculative_reply_counts_against_the_rate_once_and_only_when_used() -> None:
    scene = Scene(Settings(modality="text"), replace(SPECULATING, responses_per_minute=2))
    scene.pauses("how are you")
    scene.hears(64, 0.9)  # the user continues: the first attempt is dropped
    scene.hears(256, 0.0)
    scene.happens(Transcribed(scene.turn(), "how are you now", flush=scene.flush()))
    scene.hears(320, 0.0)
    scene.happens(GenerationFinished(scene.attempt()))
    (update,) = scene.notices(RateLimitsUpdated)
    assert update.limits[0].remaining == 1
    assert len(scene.notices(ResponseCreated)) == 1


def test_a_session_at_its_rate_limit_does_not_speculate_and_reports_the_missing_reply() -> None:
    scene = Scene(Settings(modality="text"), replace(SPECULATING, responses_per_minute=1))
    scene.happens(TYPED, ResponseRequested(), CancelRequested())
    scene.pauses("how are you")
    assert starts(scene) == 1
    scene.hears(320, 0.0)
    assert starts(scene) == 1
    (error,) = scene.notices(ErrorRaised)
    assert (error.code, error.field, error.kind) == ("rate_limit_exceeded", None, "rate_limit_error")
    assert error.message


def test_without_a_possible_prompt_there_is_no_speculation_and_the_reply_reports_the_error() -> None:
    scene = Scene(Settings(modality="text", tool_choice="required"), SPECULATING)
    scene.pauses("how are you")
    assert starts(scene) == 0
    assert scene.notices(ErrorRaised) == []
    scene.hears(320, 0.0)
    (done,) = scene.notices(ResponseDone)
    assert done.response.error is not None
    assert (done.response.error.type, done.response.error.code) == ("invalid_request_error", "invalid_value")


@pytest.mark.parametrize("held", ["working", "ended", "silent"])
def test_an_attempt_without_output_fails_after_a_minute_and_not_before(held: str) -> None:
    scene = Scene(Settings(modality="text", turn_detection=None))
    scene.happens(TYPED, ResponseRequested())
    scene.passes(59_999)
    attempt = scene.attempt()
    if held != "silent":
        scene.happens(TextGenerated(attempt, "Well"))
        assert scene.session.next_deadline() == scene.now + GENERATION_SILENCE_NS
    if held == "ended":
        scene.happens(GenerationFinished(attempt))
    caused = scene.passes(1)
    if held == "silent":
        (done,) = scene.notices(ResponseDone)
        assert cancelled(caused) == [attempt]
        assert done.response.status == "failed"
        assert done.response.error is not None
        assert (done.response.error.type, done.response.error.code) == ("server_error", "timeout")
        assert "60 seconds" in done.response.error.message
    else:
        assert caused == []
        assert bool(scene.passes(59_999)) is (held == "working")


@pytest.mark.parametrize("alive", [0, 1])
def test_only_the_silent_one_of_two_attempts_times_out(alive: int) -> None:
    scene = Scene(Settings(modality="text", turn_detection=None))
    scene.happens(TYPED, ResponseRequested())
    attempts = [scene.attempt()]
    scene.happens(ResponseRequested(ResponseParams(in_conversation=False)))
    attempts.append(scene.attempt())
    speaks, silent = attempts[alive], attempts[1 - alive]
    scene.passes(30_000)
    scene.happens(TextGenerated(speaks, "one"))
    assert cancelled(scene.passes(30_000)) == [silent]
    scene.happens(TextGenerated(speaks, " two"))
    assert cancelled(scene.passes(59_999)) == []
    assert cancelled(scene.passes(1)) == [speaks]


def test_a_speculative_attempt_without_output_is_dropped_silently() -> None:
    scene = Scene(Settings(modality="text"), SPECULATING)
    scene.pauses("how are you")
    attempt = scene.attempt()
    scene.now += GENERATION_SILENCE_NS
    scene.hears(32, 0.0)  # the microphone is alive
    before = len(notices(scene.effects))
    assert CancelGeneration(attempt) in scene.effects or cancelled(scene.passes(0)) == [attempt]
    assert len(notices(scene.effects)) == before


def test_an_ended_speculative_attempt_is_dropped_without_a_cancel() -> None:
    scene = Scene(Settings(modality="text"), SPECULATING)
    scene.pauses("how are you")
    scene.happens(GenerationFinished(scene.attempt()))
    assert scene.happens(TextGenerated(scene.attempt(), "late")) == []
    assert scene.session.late_events == 1
    assert cancelled(scene.hears(64, 0.9)) == []


@pytest.mark.parametrize("over", [0, 1])
def test_a_speculative_attempt_may_hold_as_much_as_its_limit(over: int) -> None:
    scene = Scene(Settings(), SPECULATING)
    scene.pauses("how are you")
    attempt = scene.attempt()
    scene.happens(ClauseStarted(attempt, "la"))
    caused = scene.happens(SpeechGenerated(attempt, bytes(MAX_HELD_BYTES - 256 + over)))
    assert cancelled(caused) == [attempt] * over


def pauses(scene: Scene) -> int:
    """The user says something and pauses; returns the number of generations so far."""
    scene.pauses("how are you")
    return starts(scene)


def test_no_speculation_while_another_reply_is_generated_played_or_pending() -> None:
    waits = Settings(turn_detection=ServerVad(interrupt_response=False))
    made = Scene(replace(waits, modality="text"), SPECULATING)
    made.happens(TYPED, ResponseRequested())
    assert pauses(made) == 1, "a reply is generated"
    heard_yet = Scene(waits, SPECULATING)
    heard_yet.happens(TYPED, ResponseRequested())
    heard_yet.answers(("A long answer.", 9_000))
    assert pauses(heard_yet) == 1, "a reply is played"
    unknown = Scene(Settings(modality="text"), SPECULATING)
    unknown.hears(640, 0.9)
    unknown.hears(640, 0.0)
    assert pauses(unknown) == 0, "the previous transcript is pending"
    ending = Scene(Settings(modality="text"), SPECULATING)
    ending.hears(640, 0.9)
    ending.hears(256, 0.0)
    ending.happens(WindDownRequested())
    ending.happens(Transcribed(ending.turn(), "how are you", flush=ending.flush()))
    assert starts(ending) == 0, "the server is shutting down"


def test_a_reply_after_a_tool_call_keeps_the_input_of_its_response() -> None:
    books = McpServer("books", "https://books.example/mcp", approval=Approval(never=ToolFilter()))
    settings = Settings(modality="text", tools=(books,), turn_detection=None)
    scene = Scene(settings, capabilities=MCP_ALLOWED)
    scene.lists(McpTool("find"))
    scene.happens(TYPED)
    own = Message(ItemId("own"), "user", (InputText("find Emma"),))
    scene.happens(ResponseRequested(ResponseParams(input=(own,))))
    attempt = scene.attempt()
    scene.happens(ToolCallStarted(attempt, 0, CallId("c"), "find"), GenerationFinished(attempt, "tool_calls"))
    scene.happens(ToolAnswered(scene.last(CallTool).call, "on the shelf"))
    scene.passes(1_000)
    assert starts(scene) == 2
    first, call = scene.last(StartGeneration).prompt.items
    assert first == own
    assert "on the shelf" in str(call)


# --- stopping the output -----------------------------------------------------------------------------------------------------


def two_items(scene: Scene, *, finish: bool) -> tuple[ItemId, ItemId]:
    """A reply of two spoken messages of a second each, with a call between them."""
    scene.happens(TYPED, ResponseRequested())
    attempt = scene.attempt()
    scene.happens(ClauseStarted(attempt, "One two."), SpeechGenerated(attempt, bytes(48_000)))
    scene.happens(ToolCallStarted(attempt, 0, CallId("c"), "look"))
    scene.happens(ClauseStarted(attempt, "Three four."), SpeechGenerated(attempt, bytes(48_000)))
    if finish:
        scene.happens(GenerationFinished(attempt))
    first, _, second = (added.item.id for added in scene.notices(OutputItemAdded))
    return first, second


@pytest.mark.parametrize("finish", [False, True])
def test_where_the_server_plays_a_stop_reports_the_buffer_and_each_truncated_item(finish: bool) -> None:
    scene = Scene(Settings(turn_detection=None), playback="paced")
    first, second = two_items(scene, finish=finish)
    scene.happens(AudioPlayed(12_001))
    caused = scene.happens(OutputClearRequested())
    (created,) = scene.notices(ResponseCreated)
    assert caused.count(StopPlayback()) == 1
    assert notices(caused)[-3:] == [
        OutputBufferCleared(created.response.id),
        ItemTruncated(first, 0, 500),
        ItemTruncated(second, 0, 0),
    ]
    assert "ResponseDone" in kinds(caused) or finish
    assert scene.notices(OutputBufferStopped) == []
    assert [heard(scene, item) for item in (first, second)] == ["One", ""]


def heard(scene: Scene, item_id: ItemId) -> str:
    item = scene.item(item_id)
    assert isinstance(item, Message)
    (part,) = item.content
    assert isinstance(part, OutputAudio)
    return part.transcript


def test_where_the_client_plays_no_buffer_notices_are_sent() -> None:
    scene = Scene(Settings(turn_detection=None))
    first, second = two_items(scene, finish=False)
    scene.passes(1_500)
    caused = scene.happens(CancelRequested())
    assert of(caused, StopPlayback) == []
    assert not {"OutputBufferCleared", "ItemTruncated"} & set(kinds(caused))
    assert [heard(scene, item) for item in (first, second)] == ["One two.", "Three"]


def test_a_deleted_item_is_silenced_and_not_reported_as_truncated() -> None:
    scene = Scene(Settings(turn_detection=None), playback="paced")
    first, second = two_items(scene, finish=False)
    scene.happens(AudioPlayed(12_000), ItemDeleteRequested(first))
    caused = scene.happens(CancelRequested())
    assert scene.notices(ItemTruncated) == [ItemTruncated(second, 0, 0)]
    assert StopPlayback() in caused
    done = scene.notices(ResponseDone)[-1].response
    words = [part for item in done.output if isinstance(item, Message) for part in item.content]
    assert words == [OutputAudio("One", exact=False), OutputAudio("")]


def test_an_item_deleted_during_playback_is_silenced_with_the_others() -> None:
    scene = Scene(Settings(turn_detection=None), playback="paced")
    first, second = two_items(scene, finish=True)
    scene.happens(AudioPlayed(12_000), ItemDeleteRequested(first))
    caused = scene.happens(OutputClearRequested())
    assert caused[0] == StopPlayback()
    assert kinds(caused) == ["OutputBufferCleared", "ItemTruncated"]
    assert heard(scene, second) == ""


def test_where_the_server_plays_a_truncation_stops_the_rest_of_the_reply() -> None:
    scene = Scene(Settings(turn_detection=None), playback="paced")
    first, second = two_items(scene, finish=True)
    scene.happens(AudioPlayed(12_000))
    caused = scene.happens(ItemTruncateRequested(first, 0, 400))
    (created,) = scene.notices(ResponseCreated)
    assert StopPlayback() in caused
    assert notices(caused) == [
        OutputBufferCleared(created.response.id),
        ItemTruncated(second, 0, 0),
        ItemTruncated(first, 0, 400),
    ]
    assert notices(scene.happens(ItemTruncateRequested(first, 0, 300))) == [ItemTruncated(first, 0, 300)]


def test_where_the_server_plays_truncating_a_fully_heard_item_leaves_the_rest_playing() -> None:
    scene = Scene(Settings(turn_detection=None), playback="paced")
    first, _ = two_items(scene, finish=True)
    scene.happens(AudioPlayed(30_000))
    caused = scene.happens(ItemTruncateRequested(first, 0, 900))
    assert caused[0] != StopPlayback()
    assert notices(caused) == [ItemTruncated(first, 0, 900)]
    assert scene.session.speaking


def test_where_the_client_plays_a_truncation_stops_only_that_item() -> None:
    scene = Scene(Settings(turn_detection=None))
    first, _ = two_items(scene, finish=True)
    scene.happens(ItemTruncateRequested(first, 0, 0))
    scene.passes(999)
    assert scene.session.speaking
    scene.passes(1)
    scene.happens(ItemTruncateRequested(first, 0, 0))
    assert not scene.session.speaking


def test_where_the_server_plays_the_buffer_stops_when_everything_was_heard_and_no_more_follows() -> None:
    scene = Scene(Settings(turn_detection=None), playback="paced")
    scene.happens(TYPED, ResponseRequested())
    (created,) = scene.notices(ResponseCreated)
    attempt = scene.attempt()
    scene.happens(ClauseStarted(attempt, "One."), SpeechGenerated(attempt, bytes(4_800)), AudioPlayed(2_400))
    assert scene.notices(OutputBufferStopped) == [], "more may come"
    scene.happens(SpeechGenerated(attempt, bytes(4_800)))
    scene.happens(GenerationFinished(attempt), AudioPlayed(2_399))
    assert scene.notices(OutputBufferStopped) == []
    assert notices(scene.happens(AudioPlayed(1))) == [OutputBufferStopped(created.response.id)]
    assert scene.notices(OutputBufferStarted) == [OutputBufferStarted(created.response.id)]
    assert notices(scene.happens(AudioPlayed(1))) == []


def test_words_whose_audio_was_cut_with_another_item_were_not_heard() -> None:
    scene = Scene(Settings(turn_detection=None))
    scene.happens(TYPED, ResponseRequested())
    attempt = scene.attempt()
    scene.happens(ClauseStarted(attempt, "One two."), SpeechGenerated(attempt, bytes(48_000)))
    scene.passes(2_000)
    scene.happens(ClauseStarted(attempt, " Never spoken."))
    scene.happens(GenerationFailed(attempt, Fault("engine_error", "It broke.")))
    (done,) = scene.notices(ResponseDone)
    assert heard(scene, scene.notices(OutputItemAdded)[0].item.id) == "One two."
    assert done.response.error is not None
    assert (done.response.error.type, done.response.error.code) == ("server_error", "engine_error")


def test_a_cancelled_out_of_band_response_ends_alone() -> None:
    scene = Scene(Settings(modality="text", turn_detection=None))
    scene.happens(TYPED, ResponseRequested())
    main = scene.attempt()
    scene.happens(ResponseRequested(ResponseParams(in_conversation=False)))
    side, (_, created) = scene.attempt(), scene.notices(ResponseCreated)
    assert cancelled(scene.happens(CancelRequested(created.response.id))) == [side]
    (done,) = scene.notices(ResponseDone)
    assert (done.response.id, done.response.status, done.response.reason) == (
        (created.response.id, "cancelled", "client_cancelled")
    )
    assert scene.happens(TextGenerated(main, "still here")) != []


def test_heard_positions_never_go_back() -> None:
    scene = Scene(Settings(turn_detection=None))
    _, second = two_items(scene, finish=True)
    scene.passes(1_500)
    scene.now -= 1_000 * MS
    scene.happens(CancelRequested())
    assert heard(scene, second) == "Three four."


def test_a_session_can_close_during_a_text_reply_or_the_playback_of_a_deleted_one() -> None:
    scene = Scene(Settings(modality="text", turn_detection=None))
    scene.happens(TYPED, ResponseRequested())
    scene.happens(TextGenerated(scene.attempt(), "Well"))
    assert len(scene.session.items) == 2
    assert scene.happens(LinkClosed("gone")) == [CancelGeneration(scene.attempt())]
    scene = Scene(Settings(turn_detection=None))
    first, second = two_items(scene, finish=True)
    scene.passes(500)
    scene.happens(ItemDeleteRequested(first))
    assert scene.happens(LinkClosed("gone")) == []
    assert second in [item.id for item in scene.session.items]


# --- waiting and resuming ----------------------------------------------------------------------------------------------------------


class SaysMuch(Assistant):
    """A policy that speaks one text more than the queue holds."""

    def turn_ended(self, said: Said) -> tuple[Decided, ...]:
        return (Say("Yes. "),) * (MAX_PENDING_WORK + 1)


def test_texts_beyond_the_queue_limit_are_dropped_by_name_and_the_others_are_spoken() -> None:
    scene = Scene(policy=SaysMuch())
    scene.says("hello")
    (error,) = scene.notices(ErrorRaised)
    assert (error.code, error.kind) == ("work_queue_full", "server_error")
    for _ in range(MAX_PENDING_WORK):
        scene.answers(("Yes.", 10))
    assert starts(scene) == MAX_PENDING_WORK


def test_a_reply_waits_while_the_user_continues_to_speak() -> None:
    scene = Scene(Settings(modality="text"))
    scene.hears(640, 0.9)
    scene.hears(640, 0.0)
    first = scene.turn()
    scene.hears(320, 0.9)
    scene.happens(Transcribed(first, "how are you"))
    waiting = starts(scene)
    scene.hears(640, 0.0)
    assert (waiting, starts(scene)) == (0, 0), "the second transcript is pending"
    scene.happens(Transcribed(scene.turn(), "today"))
    assert starts(scene) == 1


def test_a_reply_interrupted_by_a_cough_resumes_where_it_was_heard() -> None:
    scene = Scene()
    scene.says("count")
    scene.answers(("One two three four.", 2_000))
    scene.passes(1_000)
    scene.hears(96, 0.9)
    scene.hears(640, 0.0)
    scene.happens(Transcribed(scene.turn(), ""))
    assert len(scene.notices(ResponseCreated)) == 2
    assert starts(scene) == 1, "the existing audio is used again"
    assert scene.session.speaking


def test_a_reply_interrupted_by_a_cough_before_its_first_word_is_generated_again() -> None:
    scene = Scene()
    scene.says("count")
    first = scene.attempt()
    scene.hears(96, 0.9)
    assert CancelGeneration(first) in scene.effects
    scene.hears(640, 0.0)
    scene.happens(Transcribed(scene.turn(), ""))
    assert scene.attempt() != first


def test_an_abandoned_transcript_fails_only_the_response_waiting_for_it() -> None:
    scene = Scene(Settings(modality="text", turn_detection=None))
    mine, other = (Message(ItemId(""), "user", (InputAudio(None, bytes(48 * 200)),)) for _ in range(2))
    scene.happens(ResponseRequested(ResponseParams(input=(mine,), in_conversation=False)))
    lost = scene.turn()
    scene.happens(ResponseRequested(ResponseParams(input=(other,), in_conversation=False)))
    first, second = (created.response.id for created in scene.notices(ResponseCreated))
    scene.happens(TranscriptionFailed(lost, Fault("engine_error", "It broke.")))
    (failed,) = scene.notices(ResponseDone)
    assert (failed.response.id, failed.response.status) == (first, "failed")
    scene.happens(Transcribed(scene.turn(), "hello"))
    assert scene.last(StartGeneration).response == second
