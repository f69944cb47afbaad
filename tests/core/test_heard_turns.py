"""A conversational synthesizer is given the conversation as it was heard: words and sound, cut where the listener was."""

from __future__ import annotations

from dataclasses import replace

import pytest

from parley.core.words.effects import StartGeneration
from parley.core.words.events import (
    AudioArrived,
    ClauseStarted,
    CommitRequested,
    GenerationFinished,
    ItemCreateRequested,
    ItemDeleteRequested,
    ItemTruncateRequested,
    ResponseRequested,
    SpeechGenerated,
    Transcribed,
)
from parley.core.words.ids import ItemId
from parley.core.words.items import InputAudio, InputText, ItemReference, Message, OutputAudio
from parley.core.words.limits import KEPT_AUDIO_BYTES, MAX_HEARD_CONTEXT_MS
from parley.core.words.notices import InputCommitted, ItemAdded
from parley.core.words.settings import AudioFormat, Capabilities, Settings
from parley.core.words.work import HeardTurn, ResponseParams
from tests.core.scene import SPECULATING, Scene, of

CONVERSATIONAL = Capabilities(conversational=True)
MANUAL = Settings(turn_detection=None)


def sound(number: int, length_ms: int = 200, form: AudioFormat = AudioFormat.PCM16) -> bytes:
    """Bytes that no other turn has."""
    return bytes([number, number + 100]) * (length_ms * form.bytes_per_ms // 2)


def scene_of(settings: Settings = MANUAL, capabilities: Capabilities = CONVERSATIONAL) -> Scene:
    return Scene(settings, capabilities=capabilities)


def said(scene: Scene, text: str, audio: bytes) -> ItemId:
    """A turn of the user: committed, and transcribed."""
    caused = scene.happens(AudioArrived(audio), CommitRequested())
    scene.happens(Transcribed(scene.turn(), text))
    return next(e.notice.item_id for e in caused if hasattr(e, "notice") and isinstance(e.notice, InputCommitted))


def replied(scene: Scene, *clauses: tuple[str, bytes], params: ResponseParams | None = None) -> tuple[HeardTurn, ...]:
    """What a response that is asked for now is given; it says these clauses and ends."""
    caused = scene.happens(ResponseRequested(params) if params else ResponseRequested())
    started = next(effect for effect in caused if isinstance(effect, StartGeneration))
    for number, (text, audio) in enumerate(clauses):
        name = f"{started.attempt}/{number}"
        scene.happens(ClauseStarted(started.attempt, text, name), SpeechGenerated(started.attempt, audio))
    scene.happens(GenerationFinished(started.attempt, "stop"))
    return started.heard


def spoken(turns: tuple[HeardTurn, ...]) -> list[tuple[str, str, bytes]]:
    return [(turn.speaker, turn.text, turn.audio) for turn in turns]


def reply_item(scene: Scene) -> ItemId:
    added = scene.notices(ItemAdded)
    return next(n.item.id for n in reversed(added) if isinstance(n.item, Message) and n.item.role == "assistant")


@pytest.mark.parametrize("form", list(AudioFormat))
def test_both_sides_are_given_with_their_sound_the_oldest_first(form: AudioFormat) -> None:
    scene = scene_of(Settings(turn_detection=None, input_format=form, output_format=form))
    said(scene, "hello", sound(1, form=form))
    assert spoken(replied(scene, ("Hi.", sound(2, form=form)), (" How are you?", sound(3, form=form)))) == [
        ("user", "hello", sound(1, form=form))
    ]
    said(scene, "fine", sound(4, form=form))
    given = replied(scene)
    assert spoken(given) == [
        ("user", "hello", sound(1, form=form)),
        ("assistant", "Hi.", sound(2, form=form)),
        ("assistant", "How are you?", sound(3, form=form)),
        ("user", "fine", sound(4, form=form)),
    ]
    assert {turn.format for turn in given} == {form}


def test_a_synthesizer_that_is_not_conversational_is_given_nothing() -> None:
    scene = scene_of(capabilities=Capabilities())
    said(scene, "hello", sound(1))
    assert replied(scene) == ()


def test_each_clause_keeps_the_name_that_the_synthesizer_gave_it() -> None:
    scene = scene_of()
    said(scene, "hello", sound(1))
    replied(scene, ("Hi.", sound(2)), (" Well.", sound(3)))
    attempt = scene.attempt()
    given = replied(scene)
    assert [turn.id for turn in given][1:] == [f"{attempt}/0", f"{attempt}/1"]
    assert [turn.id for turn in replied(scene)][: len(given)] == [turn.id for turn in given]


def test_of_a_reply_that_was_cut_only_what_was_heard_is_given() -> None:
    scene = scene_of()
    said(scene, "hello", sound(1))
    replied(scene, ("Hi there.", sound(2, 300)), (" How are you today?", sound(3, 400)), (" Well?", sound(4, 200)))
    scene.happens(ItemTruncateRequested(reply_item(scene), 0, 500))
    _, first, second = replied(scene)
    assert (first.text, first.audio) == ("Hi there.", sound(2, 300))
    assert second.audio == sound(3, 400)[: 200 * AudioFormat.PCM16.bytes_per_ms]
    assert "How are you today?".startswith(second.text)
    assert second.text != "How are you today?"


def test_a_reply_of_which_nothing_was_heard_is_not_given() -> None:
    scene = scene_of()
    said(scene, "hello", sound(1))
    replied(scene, ("Hi there.", sound(2, 300)))
    scene.happens(ItemTruncateRequested(reply_item(scene), 0, 0))
    assert spoken(replied(scene)) == [("user", "hello", sound(1))]


def test_what_was_deleted_or_only_written_is_not_given() -> None:
    scene = scene_of()
    first = said(scene, "secret", sound(1))
    said(scene, "hello", sound(2))
    scene.happens(ItemDeleteRequested(first))
    scene.happens(ItemCreateRequested(Message(ItemId("typed"), "user", (InputText("typed"),))))
    assert spoken(replied(scene)) == [("user", "hello", sound(2))]


def test_only_the_newest_sound_is_given() -> None:
    scene = scene_of()
    said(scene, "old", sound(1, 2_000))
    for number in range(MAX_HEARD_CONTEXT_MS // 60_000):
        said(scene, f"minute {number}", sound(2 + number, 60_000))
    given = replied(scene)
    assert [turn.text for turn in given] == [f"minute {n}" for n in range(MAX_HEARD_CONTEXT_MS // 60_000)]


def test_a_turn_whose_sound_is_not_there_ends_what_is_given() -> None:
    scene = scene_of()
    said(scene, "before", sound(1))
    scene.happens(ItemCreateRequested(Message(ItemId("mute"), "user", (InputAudio("quiet words", None),))))
    said(scene, "after", sound(2))
    assert spoken(replied(scene)) == [("user", "after", sound(2))]


def test_a_reply_whose_sound_was_discarded_ends_what_is_given() -> None:
    scene = scene_of()
    said(scene, "before", sound(1))
    replied(scene, ("A very long reply.", sound(2, KEPT_AUDIO_BYTES // AudioFormat.PCM16.bytes_per_ms + 1)))
    replied(scene, ("A short one.", sound(3)))
    assert spoken(replied(scene)) == [("assistant", "A short one.", sound(3))]


def test_a_response_with_input_of_its_own_is_given_what_that_refers_to() -> None:
    scene = scene_of()
    first = said(scene, "hello", sound(1))
    said(scene, "goodbye", sound(2))
    params = ResponseParams(in_conversation=False, input=(ItemReference(first),))
    assert spoken(replied(scene, params=params)) == [("user", "hello", sound(1))]


def test_what_the_client_brought_as_the_assistants_is_given_as_its() -> None:
    scene = scene_of()
    brought = Message(ItemId("brought"), "assistant", (OutputAudio("Welcome.", sound(3)),))
    scene.happens(ItemCreateRequested(brought))
    assert spoken(replied(scene)) == [("assistant", "Welcome.", sound(3))]


def test_a_reply_that_is_begun_in_the_pause_is_given_the_turn_so_far() -> None:
    scene = Scene(replace(Settings(), modality="audio"), owner=SPECULATING, capabilities=CONVERSATIONAL)
    caused = scene.pauses("hello there")
    (started,) = of(caused, StartGeneration)
    (turn,) = started.heard
    assert (turn.speaker, turn.text) == ("user", "hello there")
    assert len(turn.audio) >= 640 * AudioFormat.PCM16.bytes_per_ms
    assert [part for item in started.prompt.items for part in item.content] == [InputAudio("hello there")], (  # type: ignore[union-attr]
        "the language model does not hear"
    )
