"""The engines' output: notices, playback, limits and usage."""

from __future__ import annotations

import pytest

from parley.core.words.effects import CallTool, Play, StartGeneration
from parley.core.words.errors import Fault
from parley.core.words.events import (
    CancelRequested,
    ClauseStarted,
    GenerationFailed,
    GenerationFinished,
    ItemCreateRequested,
    ItemTruncateRequested,
    MeasuredUsage,
    ResponseRequested,
    SessionUpdateRequested,
    SpeechGenerated,
    TextGenerated,
    ToolAnswered,
    ToolArgumentsGenerated,
    ToolCallStarted,
    Transcribed,
)
from parley.core.words.ids import CallId, ItemId
from parley.core.words.items import FunctionCall, InputText, McpApprovalRequest, McpTool, Message, OutputAudio
from parley.core.words.limits import MAX_RESPONSE_TEXT
from parley.core.words.notices import (
    FunctionArgumentsDone,
    ItemAdded,
    OutputAudioDelta,
    OutputBufferStarted,
    OutputItemAdded,
    OutputItemDone,
    OutputTextDelta,
    RateLimitsUpdated,
    ResponseDone,
    ResponseView,
    Usage,
)
from parley.core.words.settings import (
    Approval,
    AudioFormat,
    McpServer,
    OwnerSettings,
    Settings,
    ToolFilter,
)
from parley.core.words.work import ResponseParams
from tests.core.scene import MCP_ALLOWED, Scene, cancelled, kinds, notices, of

TYPED = ItemCreateRequested(Message(ItemId("typed"), "user", (InputText("hello there"),)))
ASIDE = ResponseParams(in_conversation=False)
TEXT = Settings(modality="text", turn_detection=None)
AUDIO = Settings(turn_detection=None)


def asked(settings: Settings = TEXT, params: ResponseParams | None = None, **scene: object) -> Scene:
    made = Scene(settings, **scene)  # type: ignore[arg-type]
    made.happens(TYPED, ResponseRequested(params or ResponseParams()))
    return made


def done(scene: Scene) -> ResponseView:
    (notice,) = scene.notices(ResponseDone)
    return notice.response


def usage(scene: Scene) -> Usage:
    counted = done(scene).usage
    assert counted is not None
    return counted


# --- the limits --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("over", [0, 1])
def test_a_response_may_have_as_much_text_as_the_limit_and_is_cut_one_character_later(over: int) -> None:
    scene = asked()
    caused = scene.happens(TextGenerated(scene.attempt(), "x" * (MAX_RESPONSE_TEXT - 3)))
    caused += scene.happens(TextGenerated(scene.attempt(), "y" * (3 + over)))
    assert cancelled(caused) == ([scene.attempt()] if over else [])
    if over:
        assert (done(scene).status, done(scene).reason) == ("incomplete", "max_output_tokens")
        assert (usage(scene).input_text, usage(scene).output_text) == (7, MAX_RESPONSE_TEXT // 4 + 1)


@pytest.mark.parametrize("over", [0, 1])
def test_a_response_may_have_as_much_audio_as_the_limit_and_is_cut_one_sample_later(over: int) -> None:
    half_an_hour = 30 * 60 * 8_000
    scene = asked(AUDIO, ResponseParams(in_conversation=False, output_format=AudioFormat.PCMU))
    scene.happens(SpeechGenerated(scene.attempt(), bytes(half_an_hour)))
    assert scene.notices(ResponseDone) == []
    scene.happens(SpeechGenerated(scene.attempt(), bytes(over)))
    assert [notice.response.reason for notice in scene.notices(ResponseDone)] == ["max_output_tokens"] * over


@pytest.mark.parametrize(("reason", "shown"), [("length", "max_output_tokens"), ("content_filter", "content_filter")])
def test_an_incomplete_response_gives_its_reason_and_its_usage(reason: str, shown: str) -> None:
    scene = asked()
    attempt = scene.attempt()
    scene.happens(TextGenerated(attempt, "Well"))
    finished = GenerationFinished(attempt, reason, MeasuredUsage(50, 7))  # type: ignore[arg-type]
    assert cancelled(scene.happens(finished)) == [], "it has already ended"
    assert (done(scene).status, done(scene).reason) == ("incomplete", shown)
    assert usage(scene) == Usage(input_text=50, output_text=7)


def test_a_failed_response_gives_its_error_and_no_usage() -> None:
    scene = asked()
    attempt = scene.attempt()
    scene.happens(TextGenerated(attempt, "Well, well"))
    caused = scene.happens(GenerationFailed(attempt, Fault("overloaded", "Too many people talk.")))
    assert cancelled(caused) == []
    error = done(scene).error
    assert error is not None
    assert (error.type, error.code, error.message) == ("server_error", "overloaded", "Too many people talk.")
    assert usage(scene) == Usage()


# --- usage -------------------------------------------------------------------------------------------------------------------


def test_without_usage_from_the_model_tokens_are_estimated_even_for_a_cancelled_reply() -> None:
    for stops in (True, False):
        scene = asked()
        attempt = scene.attempt()
        scene.happens(TextGenerated(attempt, "x" * 9))
        scene.happens(CancelRequested() if stops else GenerationFinished(attempt))
        assert usage(scene) == Usage(input_text=4 + 3, output_text=3)


@pytest.mark.parametrize(("cached", "counted"), [(0, 0), (30, 30), (50, 50), (51, 50)])
def test_cached_tokens_do_not_exceed_the_prompts_tokens(cached: int, counted: int) -> None:
    scene = asked()
    scene.happens(GenerationFinished(scene.attempt(), usage=MeasuredUsage(50, 7, cached)))
    assert usage(scene) == Usage(input_text=50, input_cached=counted, output_text=7)


@pytest.mark.parametrize(("ms", "tokens"), [(50, 1), (51, 2), (100, 2), (1_000, 20)])
def test_each_started_50_ms_of_audio_is_a_token(ms: int, tokens: int) -> None:
    scene = asked(AUDIO)
    scene.answers(("Hi.", ms))
    assert usage(scene).output_audio == tokens


# --- where the audio goes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("playback", ["remote", "paced"])
def test_audio_goes_to_the_client_or_to_the_servers_playback(playback: str) -> None:
    scene = asked(Settings(turn_detection=None, output_format=AudioFormat.PCMA), playback=playback)
    attempt = scene.attempt()
    caused = scene.happens(SpeechGenerated(attempt, b"one"), SpeechGenerated(attempt, b"two"))
    created = scene.notices(OutputItemAdded)[0].response_id
    played = of(caused, Play)
    sent = [notice.audio for notice in notices(caused) if isinstance(notice, OutputAudioDelta)]
    started = [notice for notice in notices(caused) if isinstance(notice, OutputBufferStarted)]
    if playback == "paced":
        assert played == [Play(created, b"one", AudioFormat.PCMA), Play(created, b"two", AudioFormat.PCMA)]
        assert (sent, started) == ([], [OutputBufferStarted(created)])
    else:
        assert (played, sent, started) == ([], [b"one", b"two"], [])
    assert scene.session.speaking


def test_audio_of_an_out_of_band_response_is_sent_not_played_and_does_not_fix_the_voice() -> None:
    scene = asked(Settings(turn_detection=None, voice="alba"), ASIDE, playback="paced")
    caused = scene.happens(SpeechGenerated(scene.attempt(), b"once"))
    assert [notice.audio for notice in scene.notices(OutputAudioDelta)] == [b"once"]
    assert not any(isinstance(effect, Play) for effect in caused)
    assert scene.notices(OutputBufferStarted) == []
    assert not scene.session.speaking
    assert kinds(scene.happens(SessionUpdateRequested({"voice": "bruno"}))) == ["SessionUpdated"]


def test_audio_in_the_conversation_fixes_the_voice() -> None:
    scene = asked(Settings(turn_detection=None, voice="alba"))
    scene.happens(SpeechGenerated(scene.attempt(), b""))
    assert kinds(scene.happens(SessionUpdateRequested({"voice": "bruno"}))) == ["SessionUpdated"]
    scene.happens(SpeechGenerated(scene.attempt(), b"once"))
    assert kinds(scene.happens(SessionUpdateRequested({"voice": "alba"}))) == ["ErrorRaised"]


@pytest.mark.parametrize("playback", ["remote", "paced"])
def test_output_for_a_truncated_item_is_sent_and_not_played(playback: str) -> None:
    scene = asked(AUDIO, playback=playback)
    attempt = scene.attempt()
    scene.happens(ClauseStarted(attempt, "One two."), SpeechGenerated(attempt, bytes(48_000)))
    item = scene.notices(OutputItemAdded)[0].item.id
    scene.happens(ItemTruncateRequested(item, 0, 500))
    assert not scene.session.speaking
    caused = scene.happens(SpeechGenerated(attempt, bytes(48_000)))
    assert not scene.session.speaking
    assert not any(isinstance(effect, Play) for effect in caused)
    assert kinds(caused) == (["OutputAudioDelta"] if playback == "remote" else [])


def test_a_text_response_makes_one_message_without_audio() -> None:
    scene = asked()
    attempt = scene.attempt()
    scene.happens(ClauseStarted(attempt, "One."), SpeechGenerated(attempt, b"sound"), TextGenerated(attempt, " Two."))
    scene.happens(GenerationFinished(attempt))
    assert scene.notices(OutputAudioDelta) == []
    (item,) = done(scene).output
    assert "One. Two." in str(item)


def test_audio_without_words_is_kept_with_its_item() -> None:
    scene = asked(AUDIO)
    scene.happens(SpeechGenerated(scene.attempt(), b"ab"), SpeechGenerated(scene.attempt(), b"cd"))
    scene.happens(GenerationFinished(scene.attempt()))
    (item,) = done(scene).output
    kept = scene.item(item.id)
    assert isinstance(kept, Message)
    (part,) = kept.content
    assert isinstance(part, OutputAudio)
    assert (part.transcript, part.audio) == ("", b"abcd")


# --- calls -------------------------------------------------------------------------------------------------------------------


def test_a_call_without_an_id_gets_one_and_arguments_of_an_unknown_call_are_ignored() -> None:
    scene = asked()
    attempt = scene.attempt()
    scene.happens(ToolCallStarted(attempt, 3, CallId(""), "look"), ToolCallStarted(attempt, 4, CallId("mine"), "see"))
    assert scene.happens(ToolArgumentsGenerated(attempt, 0, "{}")) == []
    scene.happens(ToolArgumentsGenerated(attempt, 4, "[4]"), ToolArgumentsGenerated(attempt, 3, "[3]"))
    scene.happens(GenerationFinished(attempt, "tool_calls"))
    first, second = done(scene).output
    assert isinstance(first, FunctionCall)
    assert isinstance(second, FunctionCall)
    assert first.call_id
    assert first.call_id != second.call_id == "mine"
    assert [done.arguments for done in scene.notices(FunctionArgumentsDone)] == ["[3]", "[4]"]
    assert (first.name, second.name) == ("look", "see")


def test_approval_requests_are_sent_whole_one_after_another_at_the_end() -> None:
    books = McpServer("books", "https://books.example/mcp")
    scene = Scene(Settings(modality="text", tools=(books,)), capabilities=MCP_ALLOWED)
    scene.lists(McpTool("lend"))
    scene.happens(TYPED, ResponseRequested())
    attempt = scene.attempt()
    scene.happens(TextGenerated(attempt, "One moment."))
    scene.happens(ToolCallStarted(attempt, 0, CallId("a"), "lend"), ToolCallStarted(attempt, 1, CallId("b"), "lend"))
    scene.happens(ToolArgumentsGenerated(attempt, 1, '{"b":'), ToolArgumentsGenerated(attempt, 0, '{"a":'))
    scene.happens(ToolArgumentsGenerated(attempt, 1, "1}"), ToolArgumentsGenerated(attempt, 0, "1}"))
    scene.happens(ToolCallStarted(attempt, 2, CallId("c"), "look"))
    assert len(scene.notices(OutputItemAdded)) == 2
    caused = scene.happens(GenerationFinished(attempt, "tool_calls"))
    assert kinds(caused)[:3] == ["FunctionArgumentsDelta", "FunctionArgumentsDone", "ItemDone"]
    message, call, *asked_for = done(scene).output
    assert isinstance(call, FunctionCall)
    assert [(item.arguments, item.status) for item in asked_for if isinstance(item, McpApprovalRequest)] == [
        ('{"a":1}', "completed"),
        ('{"b":1}', "completed"),
    ]
    added = [(notice.item.id, notice.previous_item_id) for notice in scene.notices(ItemAdded)][-2:]
    assert added == [(asked_for[0].id, call.id), (asked_for[1].id, asked_for[0].id)]
    assert [done.output_index for done in scene.notices(OutputItemDone)] == [0, 1, 2, 3]
    assert message.id == scene.notices(OutputItemAdded)[0].item.id


# --- the end -----------------------------------------------------------------------------------------------------------------


def test_the_remaining_rate_is_sent_after_each_response_if_there_is_a_limit() -> None:
    for rate, updates in ((None, 0), (10, 2)):
        scene = Scene(TEXT, OwnerSettings(responses_per_minute=rate))
        scene.happens(TYPED, ResponseRequested(), ResponseRequested(ASIDE))
        for effect in scene.all(StartGeneration):
            scene.happens(GenerationFinished(effect.attempt))
        assert [update.limits[0].remaining for update in scene.notices(RateLimitsUpdated)] == [8] * updates
        assert len(scene.notices(ResponseDone)) == 2


def test_a_response_waiting_for_a_transcript_can_be_cancelled() -> None:
    scene = asked()
    scene.happens(CancelRequested())
    assert usage(scene).output_text == 0
    attempt = scene.attempt()
    assert scene.happens(TextGenerated(attempt, "late"), GenerationFinished(attempt)) == []
    assert scene.session.late_events == 2


def test_held_output_beyond_the_end_of_its_response_is_dropped() -> None:
    scene = Scene(Settings(modality="text"), OwnerSettings(speculation=True, speculate_after_ms=200))
    scene.pauses("how are you")
    attempt = scene.attempt()
    scene.happens(TextGenerated(attempt, "x" * 300_000), TextGenerated(attempt, "more"), GenerationFinished(attempt))
    scene.hears(320, 0.0)
    (done,) = scene.notices(ResponseDone)
    assert done.response.status == "incomplete"
    assert len("".join(delta.delta for delta in scene.notices(OutputTextDelta))) == 300_000


# --- a response with running calls -----------------------------------------------------------------------------------------------

BOOKS = McpServer("books", "https://books.example/mcp", approval=Approval(never=ToolFilter()))


def calling(count: int = 1) -> Scene:
    """A session whose model has called MCP tools and ended."""
    scene = Scene(Settings(modality="text", turn_detection=None, tools=(BOOKS,)), capabilities=MCP_ALLOWED)
    scene.lists(McpTool("find"))
    scene.happens(TYPED, ResponseRequested())
    attempt = scene.attempt()
    for index in range(count):
        scene.happens(ToolCallStarted(attempt, index, CallId(f"c{index}"), "find"))
    scene.happens(GenerationFinished(attempt, "tool_calls", MeasuredUsage(30, 7)))
    return scene


def test_a_response_with_calls_ends_after_their_outcomes_and_counts_its_usage() -> None:
    scene = calling(2)
    first, second = [effect.call for effect in scene.all(CallTool)]
    scene.happens(ToolAnswered(first, "found"))
    assert scene.notices(ResponseDone) == []
    scene.happens(ToolAnswered(second, "found"))
    assert (done(scene).status, usage(scene).input_text, usage(scene).output_text) == ("completed", 30, 7)


def test_a_response_cancelled_during_its_calls_counts_its_usage() -> None:
    scene = calling()
    scene.happens(CancelRequested())
    assert (done(scene).status, usage(scene).input_text, usage(scene).output_text) == ("cancelled", 30, 7)
    follow_up = scene.happens(ToolAnswered(scene.last(CallTool).call, "found"))
    scene.passes(1_000)
    assert kinds(follow_up) == ["McpCallProgress", "ItemDone"]
    assert len(scene.notices(ResponseDone)) == 1, "the outcome is kept and not answered"


def test_a_resumed_reply_ends_like_any_other() -> None:
    scene = Scene()
    scene.says("count")
    scene.answers(("One two three four.", 2_000), (" Five six.", 1_000))
    scene.passes(1_000)
    scene.hears(96, 0.9)
    scene.hears(640, 0.0)
    scene.happens(Transcribed(scene.turn(), ""))
    assert [notice.response.status for notice in scene.notices(ResponseDone)] == ["completed", "completed"]
