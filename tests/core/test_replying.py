"""What a response is made with, how it is cut, and what its client is told of that."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from parley.core.effects import CancelGeneration, StartGeneration, StopPlayback
from parley.core.errors import Fault
from parley.core.events import (
    AudioPlayed,
    CancelRequested,
    ClauseStarted,
    GenerationFailed,
    GenerationFinished,
    ItemCreateRequested,
    ItemDeleteRequested,
    ItemTruncateRequested,
    OutputClearRequested,
    ResponseParams,
    ResponseRequested,
    SpeechGenerated,
    TextGenerated,
    ToolCallStarted,
    Transcribed,
)
from parley.core.ids import CallId, ItemId
from parley.core.items import InputText, Message, OutputAudio
from parley.core.limits import GENERATION_SILENCE_NS
from parley.core.notices import (
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
from parley.core.settings import AudioFormat, Conduct, Settings
from tests.core.scene import MS, Scene, cancelled, kinds, notices

TYPED = ItemCreateRequested(Message(ItemId("typed"), "user", (InputText("hello"),)))
GUESSING = Conduct(speculation=True, speculate_after_ms=200)
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
def test_a_response_shows_its_own_options_and_the_sessions_where_it_has_none(
    params: ResponseParams, own: dict[str, Any]
) -> None:
    scene = Scene(SESSION)
    scene.happens(TYPED, ResponseRequested(params))
    scene.happens(GenerationFinished(scene.attempt()))
    (created,), (done,) = scene.told(ResponseCreated), scene.told(ResponseDone)
    conversation = scene.told(ConversationCreated)[0].conversation_id
    view = ResponseView(created.response.id, "in_progress", conversation, "text", "alba", AudioFormat.PCMU, 100, None)
    assert created.response == replace(view, **own)
    assert done.response == replace(view, status="completed", usage=done.response.usage, **own)


@pytest.mark.parametrize(
    ("session", "own", "told"),
    [(True, None, 2), (None, None, 2), (False, None, 1), (True, False, 1), (False, True, 2)],
)
def test_calls_side_by_side_are_told_where_the_response_else_the_session_allows_them(
    session: bool | None, own: bool | None, told: int
) -> None:
    scene = Scene(Settings(modality="text", parallel_tool_calls=session))
    scene.happens(TYPED, ResponseRequested(ResponseParams(parallel_tool_calls=own)))
    attempt = scene.attempt()
    scene.happens(ToolCallStarted(attempt, 0, CallId("a"), "a"), ToolCallStarted(attempt, 1, CallId("b"), "b"))
    assert len(scene.told(OutputItemAdded)) == told


def spoken_to(conduct: Conduct) -> list[ResponseView]:
    """Of a reply to one second of speech, all that is told of the response itself."""
    settings = Settings(
        voice="alba",
        output_format=AudioFormat.PCMU,
        max_output_tokens=50,
        parallel_tool_calls=False,
        instructions="x" * 9,
    )
    scene = Scene(settings, conduct)
    scene.hears(992, 0.9)
    scene.hears(256, 0.0)
    if conduct.speculation:
        scene.happens(Transcribed(scene.turn(), "how are you", flush=scene.flush()))
        assert scene.attempt()
    scene.hears(320, 0.0)
    if not conduct.speculation:
        scene.happens(Transcribed(scene.turn(), "how are you"))
    attempt = scene.attempt()
    scene.happens(ClauseStarted(attempt, "Well."), SpeechGenerated(attempt, bytes(8_000)))
    scene.happens(ToolCallStarted(attempt, 0, CallId("a"), "a"), ToolCallStarted(attempt, 1, CallId("b"), "b"))
    assert len(scene.told(OutputItemAdded)) == 2
    scene.happens(GenerationFinished(attempt, "tool_calls"))
    assert len([effect for effect in scene.effects if isinstance(effect, StartGeneration)]) == 1
    return [scene.told(ResponseCreated)[0].response, scene.told(ResponseDone)[0].response]


def test_a_reply_made_ahead_shows_the_same_as_one_made_in_its_time() -> None:
    ahead, in_time = spoken_to(GUESSING), spoken_to(Conduct())
    for one, other in zip(ahead, in_time, strict=True):
        assert one == replace(other, id=one.id, output=one.output)


def guessed(scene: Scene) -> None:
    """The user pauses, and a reply is made ahead."""
    scene.hears(640, 0.9)
    scene.hears(256, 0.0)
    scene.happens(Transcribed(scene.turn(), "how are you", flush=scene.flush()))


def starts(scene: Scene) -> int:
    return len([effect for effect in scene.effects if isinstance(effect, StartGeneration)])


def test_a_reply_made_ahead_counts_in_the_rate_once_and_only_when_it_is_used() -> None:
    scene = Scene(Settings(modality="text"), replace(GUESSING, responses_per_minute=2))
    guessed(scene)
    scene.hears(64, 0.9)  # the user goes on: the first guess is lost
    scene.hears(256, 0.0)
    scene.happens(Transcribed(scene.turn(), "how are you now", flush=scene.flush()))
    scene.hears(320, 0.0)
    scene.happens(GenerationFinished(scene.attempt()))
    (update,) = scene.told(RateLimitsUpdated)
    assert update.limits[0].remaining == 1
    assert len(scene.told(ResponseCreated)) == 1


def test_a_session_that_has_used_up_its_rate_guesses_nothing_and_says_why_it_does_not_answer() -> None:
    scene = Scene(Settings(modality="text"), replace(GUESSING, responses_per_minute=1))
    scene.happens(TYPED, ResponseRequested(), CancelRequested())
    guessed(scene)
    assert starts(scene) == 1
    scene.hears(320, 0.0)
    assert starts(scene) == 1
    (error,) = scene.told(ErrorRaised)
    assert (error.code, error.param, error.kind) == ("rate_limit_exceeded", None, "rate_limit_error")
    assert error.message


def test_nothing_is_guessed_where_the_prompt_cannot_be_made_and_the_reply_says_why() -> None:
    scene = Scene(Settings(modality="text", tool_choice="required"), GUESSING)
    guessed(scene)
    assert starts(scene) == 0
    assert scene.told(ErrorRaised) == []
    scene.hears(320, 0.0)
    (done,) = scene.told(ResponseDone)
    assert done.response.error is not None
    assert (done.response.error.type, done.response.error.code) == ("invalid_request_error", "invalid_value")


@pytest.mark.parametrize("held", ["working", "ended", "silent"])
def test_an_attempt_that_makes_nothing_for_a_minute_fails_and_none_sooner(held: str) -> None:
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
        (done,) = scene.told(ResponseDone)
        assert cancelled(caused) == [attempt]
        assert done.response.status == "failed"
        assert done.response.error is not None
        assert (done.response.error.type, done.response.error.code) == ("server_error", "timeout")
        assert "60 seconds" in done.response.error.message
    else:
        assert caused == []
        assert bool(scene.passes(59_999)) is (held == "working")


def test_of_two_attempts_only_the_one_that_is_silent_is_given_up() -> None:
    scene = Scene(Settings(modality="text", turn_detection=None))
    scene.happens(TYPED, ResponseRequested())
    first = scene.attempt()
    scene.happens(ResponseRequested(ResponseParams(in_conversation=False)))
    second = scene.attempt()
    scene.passes(30_000)
    scene.happens(TextGenerated(second, "one"))
    assert cancelled(scene.passes(30_000)) == [first]
    scene.happens(TextGenerated(second, " two"))
    assert cancelled(scene.passes(59_999)) == []
    assert cancelled(scene.passes(1)) == [second]


def test_a_guess_that_makes_nothing_is_dropped_without_a_word() -> None:
    scene = Scene(Settings(modality="text"), GUESSING)
    guessed(scene)
    attempt = scene.attempt()
    scene.now += GENERATION_SILENCE_NS
    scene.hears(32, 0.0)  # the microphone is alive
    before = len(notices(scene.effects))
    assert CancelGeneration(attempt) in scene.effects or cancelled(scene.passes(0)) == [attempt]
    assert len(notices(scene.effects)) == before


# --- being silenced ----------------------------------------------------------------------------------------------------------


def two_items(scene: Scene, *, finish: bool) -> tuple[ItemId, ItemId]:
    """A reply of two spoken messages of a second each, with a call between them."""
    scene.happens(TYPED, ResponseRequested())
    attempt = scene.attempt()
    scene.happens(ClauseStarted(attempt, "One two."), SpeechGenerated(attempt, bytes(48_000)))
    scene.happens(ToolCallStarted(attempt, 0, CallId("c"), "look"))
    scene.happens(ClauseStarted(attempt, "Three four."), SpeechGenerated(attempt, bytes(48_000)))
    if finish:
        scene.happens(GenerationFinished(attempt))
    first, _, second = (added.item.id for added in scene.told(OutputItemAdded))
    return first, second


@pytest.mark.parametrize("finish", [False, True])
def test_where_the_server_plays_silence_tells_the_buffer_and_each_item_that_was_cut(finish: bool) -> None:
    scene = Scene(Settings(turn_detection=None), playback="paced")
    first, second = two_items(scene, finish=finish)
    scene.happens(AudioPlayed(12_000))
    caused = scene.happens(OutputClearRequested())
    (created,) = scene.told(ResponseCreated)
    assert caused.count(StopPlayback()) == 1
    assert notices(caused)[-3:] == [
        OutputBufferCleared(created.response.id),
        ItemTruncated(first, 0, 500),
        ItemTruncated(second, 0, 0),
    ]
    assert "ResponseDone" in kinds(caused) or finish
    assert scene.told(OutputBufferStopped) == []
    assert [heard(scene, item) for item in (first, second)] == ["One", ""]


def heard(scene: Scene, item_id: ItemId) -> str:
    item = scene.item(item_id)
    assert isinstance(item, Message)
    (part,) = item.content
    assert isinstance(part, OutputAudio)
    return part.transcript


def test_where_the_client_plays_it_is_told_of_no_buffer() -> None:
    scene = Scene(Settings(turn_detection=None))
    first, second = two_items(scene, finish=False)
    scene.passes(1_500)
    caused = scene.happens(CancelRequested())
    assert [effect for effect in caused if isinstance(effect, StopPlayback)] == []
    assert not {"OutputBufferCleared", "ItemTruncated"} & set(kinds(caused))
    assert [heard(scene, item) for item in (first, second)] == ["One two.", "Three"]


def test_an_item_that_its_client_deleted_is_silenced_too_and_not_told_as_cut() -> None:
    scene = Scene(Settings(turn_detection=None), playback="paced")
    first, second = two_items(scene, finish=False)
    scene.happens(AudioPlayed(12_000), ItemDeleteRequested(first))
    caused = scene.happens(CancelRequested())
    assert scene.told(ItemTruncated) == [ItemTruncated(second, 0, 0)]
    assert StopPlayback() in caused
    done = scene.told(ResponseDone)[-1].response
    words = [part for item in done.output if isinstance(item, Message) for part in item.content]
    assert words == [OutputAudio("One", exact=False), OutputAudio("")]


def test_where_the_server_plays_a_truncation_silences_the_rest_of_the_reply_too() -> None:
    scene = Scene(Settings(turn_detection=None), playback="paced")
    first, second = two_items(scene, finish=True)
    scene.happens(AudioPlayed(12_000))
    caused = scene.happens(ItemTruncateRequested(first, 0, 400))
    (created,) = scene.told(ResponseCreated)
    assert StopPlayback() in caused
    assert notices(caused) == [
        OutputBufferCleared(created.response.id),
        ItemTruncated(second, 0, 0),
        ItemTruncated(first, 0, 400),
    ]
    assert notices(scene.happens(ItemTruncateRequested(first, 0, 300))) == [ItemTruncated(first, 0, 300)]


def test_where_the_server_plays_a_truncation_of_what_was_heard_out_leaves_the_rest_playing() -> None:
    scene = Scene(Settings(turn_detection=None), playback="paced")
    first, _ = two_items(scene, finish=True)
    scene.happens(AudioPlayed(30_000))
    caused = scene.happens(ItemTruncateRequested(first, 0, 900))
    assert caused[0] != StopPlayback()
    assert notices(caused) == [ItemTruncated(first, 0, 900)]
    assert scene.session.speaking


def test_where_the_client_plays_a_truncation_silences_that_item_alone() -> None:
    scene = Scene(Settings(turn_detection=None))
    first, _ = two_items(scene, finish=True)
    scene.happens(ItemTruncateRequested(first, 0, 0))
    scene.passes(999)
    assert scene.session.speaking
    scene.passes(1)
    scene.happens(ItemTruncateRequested(first, 0, 0))
    assert not scene.session.speaking


def test_where_the_server_plays_a_buffer_is_over_when_all_has_been_heard_and_no_more_comes() -> None:
    scene = Scene(Settings(turn_detection=None), playback="paced")
    scene.happens(TYPED, ResponseRequested())
    (created,) = scene.told(ResponseCreated)
    attempt = scene.attempt()
    scene.happens(ClauseStarted(attempt, "One."), SpeechGenerated(attempt, bytes(4_800)), AudioPlayed(2_400))
    assert scene.told(OutputBufferStopped) == [], "more may come"
    scene.happens(SpeechGenerated(attempt, bytes(4_800)))
    scene.happens(GenerationFinished(attempt), AudioPlayed(2_399))
    assert scene.told(OutputBufferStopped) == []
    assert notices(scene.happens(AudioPlayed(1))) == [OutputBufferStopped(created.response.id)]
    assert scene.told(OutputBufferStarted) == [OutputBufferStarted(created.response.id)]
    assert notices(scene.happens(AudioPlayed(1))) == []


def test_words_whose_sound_was_cut_with_another_item_are_not_heard() -> None:
    scene = Scene(Settings(turn_detection=None))
    scene.happens(TYPED, ResponseRequested())
    attempt = scene.attempt()
    scene.happens(ClauseStarted(attempt, "One two."), SpeechGenerated(attempt, bytes(48_000)))
    scene.passes(2_000)
    scene.happens(ClauseStarted(attempt, " Never spoken."))
    scene.happens(GenerationFailed(attempt, Fault("engine_error", "It broke.")))
    (done,) = scene.told(ResponseDone)
    assert heard(scene, scene.told(OutputItemAdded)[0].item.id) == "One two."
    assert done.response.error is not None
    assert (done.response.error.type, done.response.error.code) == ("server_error", "engine_error")


def test_a_cancelled_response_beside_the_conversation_ends_alone() -> None:
    scene = Scene(Settings(modality="text", turn_detection=None))
    scene.happens(TYPED, ResponseRequested())
    main = scene.attempt()
    scene.happens(ResponseRequested(ResponseParams(in_conversation=False)))
    side, (_, created) = scene.attempt(), scene.told(ResponseCreated)
    assert cancelled(scene.happens(CancelRequested(created.response.id))) == [side]
    (done,) = scene.told(ResponseDone)
    assert (done.response.id, done.response.status, done.response.reason) == (
        (created.response.id, "cancelled", "client_cancelled")
    )
    assert scene.happens(TextGenerated(main, "still here")) != []


def test_time_never_runs_backwards_in_what_was_heard() -> None:
    scene = Scene(Settings(turn_detection=None))
    _, second = two_items(scene, finish=True)
    scene.passes(1_500)
    scene.now -= 1_000 * MS
    scene.happens(CancelRequested())
    assert heard(scene, second) == "Three four."
