"""What the conversation keeps of a reply is what the listener heard."""

from __future__ import annotations

from typing import Literal

import pytest

from parley.core.words.effects import DropTranscription, StartGeneration, StopPlayback
from parley.core.words.events import (
    AudioArrived,
    AudioPlayed,
    CancelRequested,
    ClauseStarted,
    GenerationFinished,
    ItemCreateRequested,
    ItemDeleteRequested,
    ItemTruncateRequested,
    LinkClosed,
    OutputClearRequested,
    ResponseRequested,
    SpeechGenerated,
    SpokenWord,
    ToolCallStarted,
    Transcribed,
)
from parley.core.words.ids import CallId, ClientEventId, ItemId
from parley.core.words.items import InputText, Message, OutputAudio
from parley.core.words.notices import (
    ErrorRaised,
    InputCommitted,
    ItemTruncated,
    OutputBufferCleared,
    OutputItemAdded,
    ResponseDone,
)
from parley.core.words.settings import Settings
from tests.core.scene import Scene, cancelled, kinds


def spoken_item(scene: Scene) -> ItemId:
    return scene.told(OutputItemAdded)[-1].item.id


def kept(scene: Scene, item_id: ItemId) -> OutputAudio:
    item = scene.item(item_id)
    assert isinstance(item, Message)
    (part,) = item.content
    assert isinstance(part, OutputAudio)
    return part


def prompt_text(scene: Scene) -> list[str]:
    items = scene.last(StartGeneration).prompt.items
    return [
        part.transcript or ""
        for item in items
        if isinstance(item, Message)
        for part in item.content
        if hasattr(part, "transcript")
    ]


def test_talking_over_a_reply_keeps_the_words_heard_and_the_next_prompt_holds_no_more() -> None:
    scene = Scene()
    scene.says("tell me a story")
    scene.answers(("Once upon a time there was a king.", 4000), words=True)
    item = spoken_item(scene)
    scene.passes(2000)
    caused = scene.hears(128, 0.9)
    assert kinds(caused)[0] == "InputSpeechStarted"
    part = kept(scene, item)
    assert part.transcript == "Once upon a time"
    assert part.exact
    assert part.audio is not None
    assert 2000 * 48 <= len(part.audio) <= 2200 * 48
    scene.hears(640, 0.0)
    scene.happens(Transcribed(scene.turn(), "shorter please"))
    assert prompt_text(scene) == ["tell me a story", "Once upon a time", "shorter please"]


def test_a_reply_cut_while_it_is_made_ends_cancelled_and_its_maker_is_stopped() -> None:
    scene = Scene()
    scene.says("go on")
    scene.answers(("One two three four.", 2000), finish=False)
    attempt = scene.attempt()
    scene.passes(1000)
    caused = scene.hears(96, 0.9)
    assert cancelled(caused) == [attempt]
    done = scene.told(ResponseDone)[-1].response
    assert (done.status, done.reason) == ("cancelled", "turn_detected")
    (item,) = done.output
    assert isinstance(item, Message)
    assert item.status == "incomplete"
    before = len(scene.effects)
    scene.happens(ClauseStarted(attempt, "late"), SpeechGenerated(attempt, bytes(4800)))
    assert len(scene.effects) == before
    assert scene.session.late_events == 2


def test_words_whose_sound_was_never_made_were_not_heard() -> None:
    scene = Scene()
    scene.says("go on")
    scene.answers(("Heard.", 500), finish=False)
    scene.happens(ClauseStarted(scene.attempt(), " Never spoken."))
    scene.passes(5000)
    scene.happens(CancelRequested())
    assert kept(scene, spoken_item(scene)).transcript == "Heard."


def test_the_clients_word_goes_over_our_reckoning_also_upwards() -> None:
    scene = Scene()
    scene.says("go on")
    scene.answers(("one two three four five six seven eight", 4000), words=True)
    item = spoken_item(scene)
    scene.passes(900)
    scene.hears(96, 0.9)
    assert kept(scene, item).transcript == "one"
    scene.happens(ItemTruncateRequested(item, 0, 3000))
    assert kept(scene, item).transcript == "one two three four five six"
    assert scene.told(ItemTruncated)[-1] == ItemTruncated(item, 0, 3000)


def test_truncating_an_item_still_being_made_holds_for_what_comes_later() -> None:
    scene = Scene()
    scene.says("go on")
    scene.answers(("one two", 1000), words=True, finish=False)
    item = spoken_item(scene)
    scene.happens(ItemTruncateRequested(item, 0, 500))
    scene.answers((" three four", 1000), words=True)
    assert kept(scene, item).transcript == "one"
    scene.passes(10_000)
    assert kept(scene, item).transcript == "one"


def test_a_client_that_played_everything_and_counts_whole_milliseconds_loses_no_word() -> None:
    scene = Scene()
    scene.says("go on")
    scene.answers(("one two", 1000), words=True, finish=False)
    item, attempt = spoken_item(scene), scene.attempt()
    last = (SpokenWord(3, 12_000), SpokenWord(7, 24_016))
    scene.happens(SpeechGenerated(attempt, bytes(32), last), GenerationFinished(attempt, "stop"))
    scene.happens(ItemTruncateRequested(item, 0, 1000))  # of 1000.67
    assert kept(scene, item).transcript == "one two"
    assert scene.told(ItemTruncated)[-1] == ItemTruncated(item, 0, 1000)


def test_truncating_beyond_the_audio_is_refused_with_both_lengths() -> None:
    scene = Scene()
    scene.says("go on")
    scene.answers(("one two", 1000))
    item = spoken_item(scene)
    scene.happens(ItemTruncateRequested(item, 0, 1000))
    scene.happens(ItemTruncateRequested(item, 0, 1001, ClientEventId("mine")))
    error = scene.told(ErrorRaised)[-1]
    assert error.message == "Audio content of 1000ms is already shorter than 1001ms"
    assert (error.field, error.client_event_id) == ("audio_end_ms", "mine")


def test_a_client_that_says_nothing_hears_in_real_time() -> None:
    scene = Scene()
    scene.says("go on")
    scene.answers(("one two three four", 2000), words=True)
    item = spoken_item(scene)
    scene.passes(5000)
    scene.hears(96, 0.9)
    assert kept(scene, item).transcript == "one two three four"


def test_untimed_words_are_reckoned_and_marked() -> None:
    scene = Scene()
    scene.says("go on")
    scene.answers(("one two three four", 2000))
    item = spoken_item(scene)
    scene.passes(1000)
    scene.hears(96, 0.9)
    part = kept(scene, item)
    assert part.transcript in ("one two", "one two three")
    assert not part.exact


def test_where_the_server_plays_only_what_went_out_was_heard() -> None:
    scene = Scene(playback="paced")
    scene.says("go on")
    scene.answers(("one two three four", 2000), words=True)
    item = spoken_item(scene)
    scene.happens(AudioPlayed(24 * 1100))
    scene.passes(60_000)
    caused = scene.hears(96, 0.9)
    assert kept(scene, item).transcript == "one two"
    assert any(isinstance(effect, StopPlayback) for effect in caused)
    assert scene.told(OutputBufferCleared)
    assert scene.told(ItemTruncated)[-1].audio_end_ms == 1100


def test_a_cough_over_a_finished_reply_lets_it_go_on_where_it_was() -> None:
    scene = Scene()
    scene.says("go on")
    scene.answers(("one two three four", 2000), words=True)
    scene.passes(900)
    scene.hears(96, 0.9)
    scene.hears(640, 0.0)
    scene.happens(Transcribed(scene.turn(), ""))
    rest = scene.told(ResponseDone)[-1].response
    assert rest.status == "completed"
    (item,) = rest.output
    assert isinstance(item, Message)
    part = item.content[0]
    assert isinstance(part, OutputAudio)
    assert part.transcript.split() == ["two", "three", "four"]


def test_a_cough_before_the_first_word_does_not_cost_the_answer() -> None:
    scene = Scene()
    scene.says("what time is it")
    first = scene.attempt()
    assert cancelled(scene.hears(96, 0.9)) == [first]
    scene.hears(640, 0.0)
    scene.happens(Transcribed(scene.turn(), ""))
    assert scene.attempt() != first
    assert prompt_text(scene)[0] == "what time is it"


def test_a_yes_over_the_end_of_a_question_is_its_answer() -> None:
    scene = Scene()
    scene.says("book a table")
    scene.answers(("I have found one. Shall I book it", 3000), words=True)
    scene.passes(2400)
    scene.says("yes", 128)
    assert prompt_text(scene)[-1] == "yes"
    assert len(scene.told(ResponseDone)) == 1


def test_a_yes_in_the_middle_of_a_reply_lets_it_go_on() -> None:
    scene = Scene()
    scene.says("book a table")
    scene.answers(("I have found one. Shall I book it", 3000), words=True)
    scene.passes(900)
    first = scene.attempt()
    scene.says("yes", 128)
    assert scene.attempt() == first
    assert len(scene.told(ResponseDone)) == 2


def test_a_cough_while_the_listener_waits_for_more_does_not_begin_the_reply_again() -> None:
    scene = Scene()
    scene.says("count to ten")
    scene.answers(("One two three.", 600), finish=False)
    scene.passes(1000)
    scene.hears(96, 0.9)
    scene.hears(640, 0.0)
    scene.happens(Transcribed(scene.turn(), ""))
    assert prompt_text(scene) == ["count to ten", "One two"]
    hint = scene.last(StartGeneration).prompt.items[-1]
    assert isinstance(hint, Message)
    assert (hint.role, isinstance(hint.content[0], InputText)) == ("system", True)


def heard_now(scene: Scene) -> str:
    """What the conversation says was heard of the last reply."""
    item = scene.session.items[-1]
    assert isinstance(item, Message)
    assert isinstance(item.content[0], OutputAudio)
    return item.content[0].transcript


def test_while_a_reply_plays_the_conversation_holds_the_words_heard_by_now() -> None:
    scene = Scene()
    scene.says("tell me a story")
    scene.answers(("Once upon a time there was a king.", 4000), words=True)
    assert heard_now(scene) == ""
    scene.passes(2000)
    scene.hears(32, 0.0)
    assert heard_now(scene) == "Once upon a time"
    scene.passes(4000)
    assert heard_now(scene) == "Once upon a time there was a king."


@pytest.mark.parametrize("playback", ["remote", "paced"])
def test_a_session_that_ends_keeps_the_words_heard_by_then(playback: Literal["remote", "paced"]) -> None:
    scene = Scene(playback=playback)
    scene.says("tell me a story")
    scene.answers(("Once upon a time there was a king.", 4000), words=True)
    if playback == "paced":
        scene.happens(AudioPlayed(2000 * 24))
    else:
        scene.passes(2000)
    scene.happens(LinkClosed("gone"))
    assert heard_now(scene) == "Once upon a time"
    scene.passes(10_000)
    assert heard_now(scene) == "Once upon a time"


def test_where_the_server_plays_the_client_may_silence_a_reply_that_is_still_made() -> None:
    scene = Scene(playback="paced")
    scene.says("tell me a story")
    scene.answers(("Once upon a time there was a king.", 4000), words=True, finish=False)
    scene.happens(AudioPlayed(2000 * 24))
    caused = scene.happens(OutputClearRequested())
    assert StopPlayback() in caused
    done = scene.told(ResponseDone)[-1].response
    assert (done.status, done.reason) == ("cancelled", "client_cancelled")
    assert len(scene.told(OutputBufferCleared)) == 1
    assert heard_now(scene) == "Once upon a time"
    assert scene.happens(OutputClearRequested()) == [], "silence is not cleared again"


@pytest.mark.parametrize("playback", ["remote", "paced"])
@pytest.mark.parametrize("heard_out", [False, True])
def test_a_session_that_ends_stops_what_the_server_plays_and_only_that(
    playback: Literal["remote", "paced"], heard_out: bool
) -> None:
    scene = Scene(playback=playback)
    scene.says("tell me a story")
    scene.answers(("Once upon a time there was a king.", 4000))
    if playback == "paced":
        scene.happens(AudioPlayed((4000 if heard_out else 2000) * 24))
    else:
        scene.passes(5000 if heard_out else 2000)
    assert scene.happens(LinkClosed("gone")) == ([StopPlayback()] if playback == "paced" and not heard_out else [])


def test_a_session_that_ends_lets_go_of_every_turn_whose_words_it_awaits() -> None:
    scene = Scene()
    scene.hears(640, 0.9)
    scene.hears(640, 0.0)
    waiting = scene.turn()
    scene.hears(320, 0.9)
    speaking = scene.turn()
    assert waiting != speaking
    assert scene.happens(LinkClosed("gone")) == [DropTranscription(speaking), DropTranscription(waiting)]


def test_words_without_sound_yet_were_not_heard() -> None:
    scene = Scene(playback="paced")
    scene.says("tell me a story")
    attempt = scene.last(StartGeneration).attempt
    words = (SpokenWord(4, 12_000), SpokenWord(9, 24_000))
    scene.happens(
        ClauseStarted(attempt, "Once upon"),
        SpeechGenerated(attempt, bytes(48_000), words),
        ClauseStarted(attempt, " a time there was a king."),
    )
    scene.happens(AudioPlayed(24_000))
    assert heard_now(scene) == "Once upon"
    scene.happens(LinkClosed("gone"))
    assert heard_now(scene) == "Once upon"


def test_the_turns_audio_can_be_read_up_to_the_last_score() -> None:
    scene = Scene()
    assert scene.session.turn_audio(8000) == b""
    scene.hears(320, 0.0)
    scene.hears(640, 0.9)
    scene.happens(AudioArrived(bytes(1536)))
    begun = 320 - 300
    assert len(scene.session.turn_audio(8000)) == (960 - begun) * 48
    assert len(scene.session.turn_audio(100)) == 100 * 48
    assert not scene.session.speaking


# --- items that are not there, or not spoken ---------------------------------------------------------------------------------------


def test_only_what_was_spoken_can_be_truncated() -> None:
    scene = Scene()
    scene.says("go on")
    (mine,) = scene.told(InputCommitted)
    scene.happens(ItemTruncateRequested(mine.item_id, 0, 100, ClientEventId("mine")))
    error = scene.told(ErrorRaised)[-1]
    assert (error.code, error.field, error.client_event_id) == ("unsupported_content_type", "item_id", "mine")


def test_where_the_server_plays_a_truncation_silences_what_plays() -> None:
    scene = Scene(playback="paced")
    scene.says("go on")
    scene.answers(("one two three four", 2000), words=True)
    scene.happens(AudioPlayed(24 * 1100))
    caused = scene.happens(ItemTruncateRequested(spoken_item(scene), 0, 500))
    assert StopPlayback() in caused
    assert kinds(caused) == ["OutputBufferCleared", "ItemTruncated"]
    assert not scene.session.speaking
    assert kept(scene, spoken_item(scene)).transcript == "one"


def test_an_item_that_its_client_deleted_is_silenced_without_being_kept() -> None:
    scene = Scene()
    scene.says("go on")
    scene.answers(("one two three four", 2000), words=True)
    scene.happens(ItemDeleteRequested(spoken_item(scene)))
    scene.passes(500)
    heard = [scene.session.speaking]
    assert "InputSpeechStarted" in kinds(scene.hears(128, 0.9))
    assert [*heard, scene.session.speaking] == [True, False]
    assert spoken_item(scene) not in [item.id for item in scene.session.items]


def test_of_an_item_that_is_closed_all_words_are_shown_while_the_next_is_made() -> None:
    scene = Scene()
    scene.says("go on")
    attempt = scene.attempt()
    scene.happens(ClauseStarted(attempt, "One."), SpeechGenerated(attempt, bytes(48 * 100)))
    first = spoken_item(scene)
    scene.happens(ToolCallStarted(attempt, 0, CallId("c"), "look"))
    scene.passes(200)
    (shown,) = [item for item in scene.session.items if item.id == first]
    assert isinstance(shown, Message)
    assert shown.content == (OutputAudio("One."),)


def test_the_end_of_the_session_cuts_what_is_heard_and_leaves_what_the_client_has_cut_or_deleted() -> None:
    scene = Scene(Settings(turn_detection=None))
    scene.happens(ItemCreateRequested(Message(ItemId(""), "user", (InputText("go on"),))), ResponseRequested())
    attempt = scene.attempt()
    words = (SpokenWord(3, 12_000), SpokenWord(7, 24_000))
    items = []
    for index in range(3):
        scene.happens(ClauseStarted(attempt, "one two"), SpeechGenerated(attempt, bytes(48_000), words))
        items.append(spoken_item(scene))
        scene.happens(ToolCallStarted(attempt, index, CallId(f"c{index}"), "look"))
    first, second, third = items
    scene.happens(ItemTruncateRequested(second, 0, 600), ItemDeleteRequested(third))
    scene.passes(600)
    scene.happens(LinkClosed("gone"))
    said = {
        item.id: item.content for item in scene.session.items if isinstance(item, Message) and item.role == "assistant"
    }
    assert {name: content[0] for name, content in said.items()} == {
        first: OutputAudio("one"),
        second: OutputAudio("one"),
    }
