"""A reply that was interrupted by a noise resumes where its listener was, if possible."""

from __future__ import annotations

from dataclasses import replace

import pytest

from parley.core.words.effects import StartGeneration
from parley.core.words.events import (
    ClauseStarted,
    GenerationFinished,
    ItemCreateRequested,
    ItemDeleteRequested,
    ItemTruncateRequested,
    SessionUpdateRequested,
    SpeechGenerated,
    ToolCallStarted,
    Transcribed,
)
from parley.core.words.ids import CallId, ItemId
from parley.core.words.items import InputText, Message, OutputAudio
from parley.core.words.limits import KEPT_AUDIO_BYTES
from parley.core.words.notices import (
    ConversationCreated,
    OutputAudioDelta,
    OutputItemAdded,
    OutputTranscriptDelta,
    ResponseCreated,
    ResponseDone,
    ResponseView,
)
from parley.core.words.settings import AudioFormat, OwnerSettings, Settings, SettingsPatch
from tests.core.scene import Scene

SETTINGS = Settings(voice="alba", max_output_tokens=500)


def sound(ms: int, value: int) -> bytes:
    return bytes([value]) * (48 * ms)


def replied(scene: Scene) -> Scene:
    """A fully generated reply of two clauses, two seconds and one second."""
    scene.says("count")
    attempt = scene.attempt()
    scene.happens(ClauseStarted(attempt, "One two three four."), SpeechGenerated(attempt, sound(2_000, 1)))
    scene.happens(ClauseStarted(attempt, " Five six."), SpeechGenerated(attempt, sound(1_000, 2)))
    scene.happens(GenerationFinished(attempt))
    return scene


def coughs(scene: Scene, words: str = "") -> None:
    scene.hears(96, 0.9)
    scene.hears(640, 0.0)
    scene.happens(Transcribed(scene.turn(), words))


def started(scene: Scene) -> int:
    return len(scene.all(StartGeneration))


@pytest.mark.parametrize("words", ["", "mm-hm"])
def test_the_rest_of_a_reply_is_resumed_with_the_existing_audio(words: str) -> None:
    scene = replied(Scene(SETTINGS))
    scene.passes(1_000)
    before = len(scene.notices(OutputAudioDelta))
    coughs(scene, words)
    assert started(scene) == 1, "nothing is generated again"
    _, again = scene.notices(ResponseCreated)
    conversation = scene.notices(ConversationCreated)[0].conversation_id
    view = ResponseView(again.response.id, "in_progress", conversation, "audio", "alba", AudioFormat.PCM16, 500, None)
    assert again.response == view
    rest = b"".join(delta.audio for delta in scene.notices(OutputAudioDelta)[before:])
    assert rest.count(2) == 48_000
    assert rest == sound(2_000, 1)[-rest.count(1) :] + sound(1_000, 2)
    assert 800 * 48 <= rest.count(1) <= 1_000 * 48
    first, second = (added.item.id for added in scene.notices(OutputItemAdded))
    deltas = [delta.delta for delta in scene.notices(OutputTranscriptDelta) if delta.at.item_id == second]
    assert deltas == [" three four.", " Five six."]
    done = scene.notices(ResponseDone)[-1].response
    usage = done.usage
    assert usage is not None
    assert (done.status, usage.output_audio, usage.output_text) == ("completed", -(-len(rest) // 48 // 50), 0)
    assert first != second
    scene.passes(0)
    assert scene.session.speaking


def test_a_resumed_rest_is_fully_heard_with_its_last_sample() -> None:
    scene = Scene(SETTINGS)
    scene.says("count")
    scene.answers(("A", 2_000), (" very long sentence in little sound.", 400))
    scene.passes(1_000)
    coughs(scene)
    item = scene.notices(OutputItemAdded)[-1].item.id
    size = sum(len(delta.audio) for delta in scene.notices(OutputAudioDelta) if delta.at.item_id == item)
    scene.happens(ItemTruncateRequested(item, 0, size // 48))
    kept = scene.item(item)
    assert isinstance(kept, Message)
    (part,) = kept.content
    assert isinstance(part, OutputAudio)
    assert part.transcript.endswith("in little sound.")


@pytest.mark.parametrize(("left_ms", "goes_on"), [(1_000, False), (1_001, True)])
def test_a_listening_word_in_the_last_second_answers_the_reply(left_ms: int, goes_on: bool) -> None:
    scene = replied(Scene(SETTINGS))
    scene.passes(3_000 - left_ms - 64)  # two frames are needed to detect the voice
    coughs(scene, "yeah")
    assert started(scene) == (1 if goes_on else 2)
    assert len(scene.notices(ResponseCreated)) == 2


def test_a_cough_in_the_last_second_does_not_answer_the_reply() -> None:
    scene = replied(Scene(SETTINGS))
    scene.passes(2_500)
    coughs(scene, " ")
    assert len(scene.notices(ResponseCreated)) == 2
    assert started(scene) == 1


@pytest.mark.parametrize(
    "patch",
    [{"output_format": AudioFormat.PCMU}, {"modality": "text"}, {"voice": "alba"}],
    ids=["format", "text", "same"],
)
def test_audio_that_no_longer_fits_the_session_is_not_resumed(patch: SettingsPatch) -> None:
    scene = replied(Scene(SETTINGS))
    scene.passes(1_000)
    scene.hears(96, 0.9)
    scene.happens(SessionUpdateRequested(patch))
    scene.hears(640, 0.0)
    scene.happens(Transcribed(scene.turn(), ""))
    assert len(scene.notices(ResponseCreated)) == (2 if "voice" in patch else 1)
    assert started(scene) == 1


def test_without_the_owners_setting_nothing_is_resumed() -> None:
    scene = replied(Scene(SETTINGS, OwnerSettings(resume_false_stops=False)))
    scene.passes(1_000)
    coughs(scene)
    assert len(scene.notices(ResponseCreated)) == 1


def test_a_deleted_item_is_not_resumed() -> None:
    scene = replied(Scene(SETTINGS))
    scene.passes(1_000)
    scene.hears(96, 0.9)
    scene.happens(ItemDeleteRequested(scene.notices(OutputItemAdded)[0].item.id))
    scene.hears(640, 0.0)
    scene.happens(Transcribed(scene.turn(), ""))
    assert len(scene.notices(ResponseCreated)) == started(scene) == 1


def test_a_reply_without_kept_audio_is_continued_in_new_words() -> None:
    scene = replied(Scene(SETTINGS))
    scene.passes(1_000)
    scene.hears(96, 0.9)
    large = Message(ItemId("large"), "assistant", (OutputAudio("said", bytes(KEPT_AUDIO_BYTES)),))
    scene.happens(ItemCreateRequested(large))
    scene.hears(640, 0.0)
    scene.happens(Transcribed(scene.turn(), ""))
    assert started(scene) == 2
    hint = scene.last(StartGeneration).prompt.items[-1]
    assert isinstance(hint, Message)
    assert hint.role == "system"
    assert hint.id
    (part,) = hint.content
    assert isinstance(part, InputText)
    assert "Go on" in part.text


def test_a_reply_of_which_nothing_was_heard_is_generated_again_without_a_hint() -> None:
    scene = Scene(replace(SETTINGS, modality="audio"))
    scene.says("count")
    coughs(scene)
    assert started(scene) == 2
    assert [item.role for item in scene.last(StartGeneration).prompt.items if isinstance(item, Message)] == ["user"]
    assert scene.notices(ResponseDone)[0].response.reason == "turn_detected"


@pytest.mark.parametrize("cut", ["calling", "length"])
def test_an_unfinished_reply_is_continued_in_new_words(cut: str) -> None:
    scene = Scene(SETTINGS)
    scene.says("count")
    scene.answers(("One two three four.", 4_000), finish=False)
    attempt = scene.attempt()
    if cut == "calling":
        scene.happens(ToolCallStarted(attempt, 0, CallId("c"), "look"))
    else:
        scene.happens(GenerationFinished(attempt, "length"))
    scene.passes(1_000)
    coughs(scene)
    assert started(scene) == 2


@pytest.mark.parametrize("words", ["", "mm-hm"])
def test_a_turn_that_resumed_a_reply_is_not_answered_as_well(words: str) -> None:
    scene = replied(Scene(SETTINGS))
    scene.passes(1_000)
    coughs(scene, words)
    scene.passes(10_000)
    assert (started(scene), len(scene.notices(ResponseCreated))) == (1, 2)


@pytest.mark.parametrize(("words", "answers"), [("", 0), ("mm-hm", 1)])
@pytest.mark.parametrize("why", ["the owner", "deleted", "format"])
def test_a_word_over_a_reply_that_cannot_be_resumed_is_answered_and_a_noise_is_not(
    why: str, words: str, answers: int
) -> None:
    scene = replied(Scene(SETTINGS, OwnerSettings(resume_false_stops=why != "the owner")))
    scene.passes(1_000)
    scene.hears(96, 0.9)
    if why == "deleted":
        scene.happens(ItemDeleteRequested(scene.notices(OutputItemAdded)[0].item.id))
    elif why == "format":
        scene.happens(SessionUpdateRequested({"output_format": AudioFormat.PCMU}))
    scene.hears(640, 0.0)
    scene.happens(Transcribed(scene.turn(), words))
    scene.passes(10_000)
    assert started(scene) == 1 + answers


@pytest.mark.parametrize("words", ["", "mm-hm"])
def test_a_reply_continued_in_new_words_is_generated_once(words: str) -> None:
    scene = Scene(SETTINGS)
    scene.says("count")
    scene.answers(("One two three four.", 4_000), finish=False)
    scene.passes(1_000)
    coughs(scene, words)
    assert started(scene) == 2
    scene.answers(("Five.", 500))
    scene.passes(10_000)
    assert started(scene) == 2
