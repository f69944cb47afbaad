"""A phrase while a reply is awaited in silence: when it is said, what cuts it, and what stays of it (nothing)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Literal

import pytest

from parley.core.policy.assistant import Assistant
from parley.core.words.effects import (
    CallTool,
    CancelGeneration,
    Effect,
    Play,
    ReleaseGeneration,
    StartGeneration,
    StopPlayback,
)
from parley.core.words.errors import Fault
from parley.core.words.events import (
    AudioPlayed,
    CancelRequested,
    ClauseStarted,
    GenerationFailed,
    GenerationFinished,
    ItemCreateRequested,
    ItemTruncateRequested,
    LinkClosed,
    ResponseRequested,
    SessionUpdateRequested,
    SpeechGenerated,
    ToolAnswered,
    ToolArgumentsGenerated,
    ToolCallStarted,
    Transcribed,
    WorkAbandoned,
)
from parley.core.words.filler_phrases import FillerPhrases, Fillers
from parley.core.words.ids import AttemptId, CallId, ItemId
from parley.core.words.items import FunctionCallOutput, InputText, McpTool, Message
from parley.core.words.limits import GENERATION_SILENCE_NS, MAX_HELD_BYTES, MAX_SIDE_RESPONSES
from parley.core.words.notices import (
    ErrorRaised,
    IdleTimeoutTriggered,
    ItemAdded,
    ItemTruncated,
    OutputAudioDelta,
    OutputBufferCleared,
    OutputBufferStarted,
    OutputBufferStopped,
    OutputTranscriptDelta,
    ResponseCreated,
    ResponseDone,
)
from parley.core.words.settings import Approval, FunctionTool, McpServer, OwnerSettings, ServerVad, Settings, ToolFilter
from parley.core.words.work import AwaitedGeneration, Prompt, ResponseParams, Utterance
from tests.core.scene import MCP_ALLOWED, MS, Scene, cancelled, notices, of

PHRASES = Fillers((FillerPhrases("", ("One moment.", "I am looking.")),), after_ms=1_500, interval_ms=4_000, most=2)
OWNER = OwnerSettings(fillers=PHRASES)
FAULT = Fault("server_error", "The voice broke.")
SPOKEN_MS = 800


def scene(
    settings: Settings | None = None, owner: OwnerSettings = OWNER, playback: Literal["remote", "paced"] = "remote"
) -> Scene:
    return Scene(settings=settings or Settings(), owner=owner, playback=playback, capabilities=MCP_ALLOWED)


def asked(effects: Iterable[Effect]) -> list[str]:
    """The fillers that are to be made."""
    started = of(list(effects), StartGeneration)
    return [effect.work.text for effect in started if isinstance(effect.work, Utterance)]


def filler(one: Scene) -> AttemptId:
    """The filler that was begun last."""
    return next(effect.attempt for effect in reversed(one.all(StartGeneration)) if isinstance(effect.work, Utterance))


def reply(one: Scene) -> StartGeneration:
    """The attempt at a reply that was begun last."""
    return next(effect for effect in reversed(one.all(StartGeneration)) if not isinstance(effect.work, Utterance))


def made(one: Scene, ms: int = SPOKEN_MS) -> list[Effect]:
    """The engine has made the filler that was begun last."""
    attempt = filler(one)
    audio = SpeechGenerated(attempt, bytes(48 * ms))
    return one.happens(ClauseStarted(attempt, "One moment."), audio, GenerationFinished(attempt))


def answered(one: Scene, text: str = "It is noon.", ms: int = 1_000) -> list[Effect]:
    attempt = reply(one).attempt
    return one.happens(ClauseStarted(attempt, text), SpeechGenerated(attempt, bytes(48 * ms)))


def of_fillers(effects: Iterable[Effect]) -> list[ResponseDone]:
    done = of(notices(list(effects)), ResponseDone)
    return [one for one in done if ("parley", "filler") in (one.response.metadata or ())]


def waiting(playback: Literal["remote", "paced"] = "remote", settings: Settings | None = None) -> Scene:
    """A session whose user has asked something, and hears a filler being begun."""
    one = scene(settings, playback=playback)
    one.says("What time is it?")
    assert asked(one.passes(2_000)) == ["One moment."]
    return one


# --- when --------------------------------------------------------------------------------------------------------------------


def test_a_phrase_is_said_when_the_reply_does_not_come_in_time() -> None:
    one = scene()
    one.says("What time is it?")
    assert one.passes(1_400) == []
    assert asked(one.passes(200)) == ["One moment."]
    effects = made(one)
    (done,) = of_fillers(effects)
    assert done.response.status == "completed"
    assert done.response.conversation_id is None
    assert sum(len(delta.audio) for delta in of(notices(effects), OutputAudioDelta)) == 48 * SPOKEN_MS
    assert of(notices(effects), OutputTranscriptDelta)[0].delta == "One moment."
    assert [effect.attempt for effect in of(effects, ReleaseGeneration)] == [filler(one)]


def test_a_reply_in_time_needs_none() -> None:
    one = scene()
    one.says("What time is it?")
    one.passes(1_400)
    answered(one)
    assert not asked(one.passes(20_000))


def test_without_phrases_nothing_is_said() -> None:
    one = scene(owner=OwnerSettings())
    one.says("What time is it?")
    assert not asked(one.passes(20_000))


def test_further_phrases_follow_in_turn_and_not_more_than_the_owner_allows() -> None:
    one = waiting()
    made(one)
    assert not asked(one.passes(SPOKEN_MS + 3_900)), "the wait begins anew when the first is over"
    assert asked(one.passes(200)) == ["I am looking."]
    made(one)
    assert not asked(one.passes(30_000))


def test_the_next_reply_has_its_own_fillers() -> None:
    one = waiting()
    made(one)
    one.passes(SPOKEN_MS)
    answered(one)
    one.happens(GenerationFinished(reply(one).attempt))
    one.passes(2_000)
    one.says("And now?")
    assert asked(one.passes(2_000)) == ["I am looking."]


@pytest.mark.parametrize(
    "settings",
    [Settings(modality="text"), Settings(kind="transcription")],
    ids=["text", "transcription"],
)
def test_what_is_not_spoken_needs_none(settings: Settings) -> None:
    one = scene(settings)
    one.says("What time is it?")
    assert not asked(one.passes(20_000))


def test_a_reply_that_is_asked_for_in_text_needs_none() -> None:
    one = scene(Settings(turn_detection=None))
    one.happens(ResponseRequested(ResponseParams(modality="text")))
    assert not asked(one.passes(20_000))


def test_an_out_of_band_response_is_not_waited_for() -> None:
    one = scene(Settings(turn_detection=None))
    one.happens(ResponseRequested(ResponseParams(in_conversation=False)))
    assert not asked(one.passes(20_000))


def test_where_no_response_can_be_added_nothing_is_said() -> None:
    one = scene(Settings(turn_detection=None))
    for _ in range(MAX_SIDE_RESPONSES):
        one.happens(ResponseRequested(ResponseParams(in_conversation=False)))
    one.happens(ResponseRequested(ResponseParams()))
    assert not asked(one.passes(20_000))


def test_the_words_of_a_turn_are_waited_for_too() -> None:
    one = scene()
    one.hears(640, 0.9)
    one.hears(564, 0.0)
    assert asked(one.passes(2_000)) == ["One moment."]


def test_a_turn_whose_words_are_nothing_is_waited_for_no_longer() -> None:
    one = scene()
    one.hears(640, 0.9)
    one.hears(564, 0.0)
    one.passes(1_600)
    assert cancelled(one.happens(Transcribed(one.turn(), ""))) == [filler(one)]


@pytest.mark.parametrize(("heard", "said"), [("de-AT", "Einen Moment."), ("fr", "One moment."), ("", "One moment.")])
def test_the_phrase_is_in_the_sessions_language(heard: str, said: str) -> None:
    german = FillerPhrases("de", ("Einen Moment.",))
    one = scene(owner=replace(OWNER, language=heard, fillers=replace(PHRASES, phrases=(german, *PHRASES.phrases))))
    one.says("Wie spät ist es?")
    assert asked(one.passes(2_000)) == [said]


def test_without_phrases_in_the_sessions_language_nothing_is_said() -> None:
    german = Fillers((FillerPhrases("de", ("Einen Moment.",)), FillerPhrases("", ())))
    one = scene(owner=replace(OWNER, language="fr", fillers=german))
    one.says("Quelle heure est-il ?")
    assert not asked(one.passes(20_000))


# --- tools -------------------------------------------------------------------------------------------------------------------


def calls_a_function(one: Scene) -> None:
    attempt = reply(one).attempt
    one.happens(
        ToolCallStarted(attempt, 0, CallId("call_1"), "clock"),
        ToolArgumentsGenerated(attempt, 0, "{}"),
        GenerationFinished(attempt, "tool_calls"),
    )


def test_a_function_of_the_client_is_waited_for() -> None:
    one = scene(Settings(tools=(FunctionTool("clock", "The time.", "{}"),)))
    one.says("What time is it?")
    one.passes(1_000)
    calls_a_function(one)
    assert asked(one.passes(600)) == ["One moment."], "the wait began with the turn"
    made(one)
    one.happens(
        ItemCreateRequested(FunctionCallOutput(ItemId("out"), CallId("call_1"), "noon")),
        ResponseRequested(ResponseParams()),
    )
    assert not asked(one.passes(SPOKEN_MS + 3_900))
    assert asked(one.passes(200)) == ["I am looking."]


def test_a_client_that_speaks_again_waits_for_no_function() -> None:
    one = scene(
        Settings(tools=(FunctionTool("clock", "The time.", "{}"),), turn_detection=ServerVad(create_response=False))
    )
    one.says("What time is it?")
    one.happens(ResponseRequested(ResponseParams()))
    calls_a_function(one)
    one.says("Never mind.")
    assert not asked(one.passes(20_000))


def test_a_tool_of_a_server_is_waited_for_even_after_words() -> None:
    server = McpServer("lab", url="https://lab.example/mcp", approval=Approval(never=ToolFilter()))
    one = scene(Settings(tools=(server,)))
    one.lists(McpTool("clock", "The time.", "{}"))
    one.says("What time is it?")
    answered(one, "Let me see.", 500)
    attempt = reply(one).attempt
    one.happens(ToolCallStarted(attempt, 0, CallId("c"), "clock"), GenerationFinished(attempt, "tool_calls"))
    assert one.all(CallTool)
    assert not asked(one.passes(1_900))
    assert asked(one.passes(200)) == ["One moment."]
    made(one)
    one.passes(SPOKEN_MS)
    one.happens(ToolAnswered(one.last(CallTool).call, "noon"))
    one.passes(1_000)
    assert not isinstance(one.last(StartGeneration).work, Utterance), "the reply goes on"


def test_where_the_session_speaks_unasked_nobody_waits() -> None:
    one = scene(Settings(turn_detection=ServerVad(idle_timeout_ms=5_000)))
    one.says("What time is it?")
    answered(one)
    one.happens(GenerationFinished(reply(one).attempt))
    one.hears(7_000, 0.0)
    assert one.notices(IdleTimeoutTriggered)
    assert not asked(one.hears(3_000, 0.0)), "its words, which are none, are awaited"
    one.happens(Transcribed(one.turn(), ""))
    assert "nothing for a while" in repr(reply(one).prompt)
    assert not asked(one.passes(10_000))


def test_a_reply_that_takes_up_its_thread_after_a_noise_needs_none() -> None:
    one = scene()
    one.says("What time is it?")
    answered(one, "It is noon, and", 2_000)
    one.passes(500)
    one.hears(200, 0.9)
    one.hears(600, 0.0)
    one.happens(Transcribed(one.turn(), ""))
    assert "A noise cut off" in repr(reply(one).prompt)
    assert not asked(one.passes(10_000))


def test_a_reply_that_waits_for_words_is_waited_for() -> None:
    one = scene(Settings(turn_detection=ServerVad(create_response=False)))
    one.hears(640, 0.9)
    one.hears(564, 0.0)
    one.happens(ResponseRequested(ResponseParams()))
    assert not one.all(StartGeneration)
    assert asked(one.passes(2_000)) == ["One moment."]


def test_nothing_is_said_while_a_reply_that_has_begun_writes_slowly() -> None:
    one = scene()
    one.says("Tell me a story.")
    answered(one, "Once upon a time", 500)
    assert not asked(one.passes(15_000))


# --- what stops it -----------------------------------------------------------------------------------------------------------


def test_a_reply_that_comes_while_the_filler_is_made_is_all_that_is_heard() -> None:
    one = waiting()
    effects = answered(one)
    assert cancelled(effects) == [filler(one)]
    assert not of_fillers(one.effects)
    late = made(one)
    assert late == []
    assert not of_fillers(one.effects)


def test_a_reply_that_comes_while_the_filler_sounds_follows_it_without_a_gap() -> None:
    one = waiting()
    made(one)
    one.passes(300)
    answered(one, ms=1_000)
    one.happens(GenerationFinished(reply(one).attempt))
    one.passes(SPOKEN_MS - 300 + 400)
    effects = one.hears(32, 0.9) + one.hears(96, 0.9)
    items = [
        notice.item
        for notice in one.notices(ItemAdded)
        if isinstance(notice.item, Message) and notice.item.role == "assistant"
    ]
    assert len(items) == 1, "the filler is no item of the conversation"
    heard = one.session._st.conversation.entry(items[0].id)
    assert heard is not None
    assert heard.heard is not None
    assert 380 * 24 <= heard.heard <= 560 * 24
    assert effects


@pytest.mark.parametrize("playback", ["remote", "paced"])
def test_a_voice_while_it_is_made_drops_it(playback: Literal["remote", "paced"]) -> None:
    one = waiting(playback)
    assert filler(one) in cancelled(one.hears(200, 0.9))
    assert made(one) == []
    assert not of_fillers(one.effects)


def test_a_voice_over_it_cuts_it_and_its_reply() -> None:
    one = waiting("paced")
    effects = made(one)
    response = of_fillers(effects)[0].response.id
    assert of(notices(effects), OutputBufferStarted)[0].response_id == response
    assert of(effects, Play)
    one.happens(AudioPlayed(24 * 300))
    effects = one.hears(200, 0.9)
    assert of(effects, StopPlayback)
    assert [notice.response_id for notice in of(notices(effects), OutputBufferCleared)] == [response]
    assert not of(notices(effects), ItemTruncated), "it is in no conversation"
    (done,) = of(notices(effects), ResponseDone)
    assert (done.response.status, done.response.reason) == ("cancelled", "turn_detected")


def test_a_cough_over_it_has_the_reply_made_again() -> None:
    one = waiting()
    made(one)
    one.hears(200, 0.9)
    one.hears(600, 0.0)
    before = len(one.all(StartGeneration))
    one.happens(Transcribed(one.turn(), ""))
    (again,) = one.all(StartGeneration)[before:]
    assert isinstance(again.prompt, Prompt)
    assert not asked(one.effects[-1:])


def test_it_is_heard_to_its_end_where_the_server_plays() -> None:
    one = waiting("paced")
    made(one)
    effects = one.happens(AudioPlayed(24 * SPOKEN_MS))
    assert [notice.response_id for notice in of(notices(effects), OutputBufferStopped)] == [
        of_fillers(one.effects)[0].response.id
    ]


def test_a_cancelled_reply_takes_its_filler_along() -> None:
    one = waiting()
    effects = one.happens(CancelRequested())
    assert set(cancelled(effects)) == {filler(one), reply(one).attempt}
    assert not asked(one.passes(20_000))


def test_a_cancelled_reply_silences_the_filler_that_sounds() -> None:
    one = waiting("paced")
    made(one)
    assert of(one.happens(CancelRequested()), StopPlayback)


def test_new_settings_drop_what_was_made_under_the_old_ones() -> None:
    one = waiting()
    one.happens(SessionUpdateRequested({"voice": "marin"}))
    made(one)
    assert not of_fillers(one.effects)


def test_a_session_that_becomes_text_says_none() -> None:
    one = waiting()
    assert cancelled(one.happens(SessionUpdateRequested({"modality": "text"}))) == [filler(one)]


def test_a_filler_that_fails_harms_nothing() -> None:
    one = waiting()
    effects = one.happens(GenerationFailed(filler(one), FAULT))
    assert not of(notices(effects), ErrorRaised)
    answered(one)
    one.happens(GenerationFinished(reply(one).attempt))
    assert one.notices(ResponseDone)[-1].response.status == "completed"
    assert not of_fillers(one.effects)


def test_a_filler_of_which_nothing_comes_is_given_up() -> None:
    one = waiting()
    one.passes(GENERATION_SILENCE_NS // MS)
    assert filler(one) in cancelled(one.effects)


def test_a_filler_that_does_not_end_is_dropped() -> None:
    one = waiting()
    effects = one.happens(SpeechGenerated(filler(one), bytes(MAX_HELD_BYTES + 2)))
    assert cancelled(effects) == [filler(one)]


def test_a_goodbye_and_its_function_are_waited_for_no_longer() -> None:
    one = scene(Settings(tools=(FunctionTool("hang_up", "End the call.", "{}"),)))
    one.says("Goodbye.")
    attempt = reply(one).attempt
    answered(one, "Goodbye.", 500)
    one.happens(ToolCallStarted(attempt, 0, CallId("c"), "hang_up"), GenerationFinished(attempt, "tool_calls"))
    assert not asked(one.passes(20_000))


def test_a_filler_that_the_shell_abandons_is_dropped() -> None:
    one = waiting()
    assert AwaitedGeneration(filler(one)) in one.session.outstanding()
    assert cancelled(one.happens(WorkAbandoned(AwaitedGeneration(filler(one))))) == [filler(one)]


def test_a_filler_without_sound_is_a_filler() -> None:
    one = waiting()
    one.happens(GenerationFinished(filler(one)))
    (done,) = of_fillers(one.effects)
    assert done.response.output == ()


def test_the_end_of_the_session_ends_it() -> None:
    one = waiting()
    assert filler(one) in cancelled(one.happens(LinkClosed()))


def test_a_filler_for_which_there_is_no_place_any_more_is_dropped() -> None:
    one = waiting()
    for _ in range(MAX_SIDE_RESPONSES):
        one.happens(ResponseRequested(ResponseParams(in_conversation=False)))
    made(one)
    assert not of_fillers(one.effects)


# --- what stays of it --------------------------------------------------------------------------------------------------------


def test_no_model_is_shown_its_words() -> None:
    one = waiting()
    made(one)
    one.passes(SPOKEN_MS)
    answered(one)
    one.happens(GenerationFinished(reply(one).attempt))
    one.passes(2_000)
    one.says("And tomorrow?")
    assert "moment" not in repr(reply(one).prompt)
    assert "It is noon." in repr(reply(one).prompt)
    assert [type(item).__name__ for item in one.session.items] == ["Message"] * 3


def test_a_client_that_stops_playing_it_may_say_so() -> None:
    one = waiting()
    effects = made(one)
    item = of_fillers(effects)[0].response.output[0].id
    one.passes(200)
    (told,) = of(notices(one.happens(ItemTruncateRequested(item, 0, 200))), ItemTruncated)
    assert told.item_id == item
    assert not one.session.speaking
    (refused,) = of(notices(one.happens(ItemTruncateRequested(item, 0, 5_000))), ErrorRaised)
    assert refused.code == "invalid_value"


def test_a_typed_message_is_waited_for() -> None:
    one = scene(Settings(turn_detection=None))
    one.happens(
        ItemCreateRequested(Message(ItemId("q"), "user", (InputText("Time?"),))), ResponseRequested(ResponseParams())
    )
    assert asked(one.passes(2_000)) == ["One moment."]
    made(one)
    created = one.notices(ResponseCreated)[-1].response
    assert created.metadata == (("parley", "filler"),)


class Mute(Assistant):
    """A policy of one's own that answers nothing."""

    def turn_ended(self, said: object) -> tuple[()]:
        return ()


def test_a_policy_that_answers_nothing_has_nothing_to_bridge() -> None:
    one = Scene(owner=OWNER, policy=Mute())
    one.says("I am only thinking aloud.")
    assert not asked(one.passes(20_000))


def test_cancelled_work_is_really_cancelled_once() -> None:
    one = waiting()
    answered(one)
    one.happens(LinkClosed())
    gone = [effect.attempt for effect in one.all(CancelGeneration)]
    assert gone.count(filler(one)) == 1
