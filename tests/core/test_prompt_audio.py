"""A language model that hears is given the sound of the user's last turns, and the words of the others."""

from __future__ import annotations

import pytest

from parley.core.regions.prompt_audio import without_sound
from parley.core.words.effects import StartGeneration
from parley.core.words.events import (
    AudioArrived,
    CommitRequested,
    GenerationFinished,
    ItemCreateRequested,
    ItemDeleteRequested,
    ResponseRequested,
    Transcribed,
)
from parley.core.words.ids import CallId, ItemId
from parley.core.words.items import FunctionCall, InputAudio, InputText, Item, ItemReference, Message
from parley.core.words.limits import MAX_PROMPT_AUDIO_MS, MAX_PROMPT_AUDIO_TURNS
from parley.core.words.notices import InputCommitted
from parley.core.words.settings import AudioFormat, Capabilities, OwnerSettings, Settings
from parley.core.words.work import ResponseParams
from tests.core.scene import SPECULATING, Scene

HEARS = Capabilities(audio=True)
MANUAL = Settings(turn_detection=None, modality="text")


def sound(number: int, length_ms: int = 200, format: AudioFormat = AudioFormat.PCM16) -> bytes:
    """Bytes that no other turn has."""
    return bytes([number, number + 100]) * (length_ms * format.bytes_per_ms // 2)


def said(scene: Scene, text: str, audio: bytes) -> ItemId:
    """A turn of the user: committed, and transcribed."""
    caused = scene.happens(AudioArrived(audio), CommitRequested())
    scene.happens(Transcribed(scene.turn(), text))
    return next(e.notice.item_id for e in caused if hasattr(e, "notice") and isinstance(e.notice, InputCommitted))


def prompted(scene: Scene, params: ResponseParams | None = None) -> tuple[Item, ...]:
    """The items of the prompt of a response that is asked for now, and ends at once."""
    caused = scene.happens(ResponseRequested(params) if params else ResponseRequested())
    started = next(effect for effect in caused if isinstance(effect, StartGeneration))
    scene.happens(GenerationFinished(started.attempt, "stop"))
    return started.prompt.items


def heard(items: tuple[Item, ...]) -> list[tuple[str | None, bytes | None]]:
    """What the user said: words and sound."""
    parts = (part for item in items if isinstance(item, Message) for part in item.content)
    return [(part.transcript, part.audio) for part in parts if isinstance(part, InputAudio)]


@pytest.mark.parametrize("format", list(AudioFormat))
def test_a_turn_is_shown_as_its_sound_and_its_words(format: AudioFormat) -> None:
    scene = Scene(Settings(turn_detection=None, modality="text", input_format=format), capabilities=HEARS)
    said(scene, "hello", sound(1, format=format))
    items = prompted(scene)
    assert heard(items) == [("hello", sound(1, format=format))]
    assert [part.format for item in items if isinstance(item, Message) for part in item.content] == [format]  # type: ignore[union-attr]


def test_a_model_that_does_not_hear_is_shown_words_only() -> None:
    scene = Scene(MANUAL)
    said(scene, "hello", sound(1))
    assert heard(prompted(scene)) == [("hello", None)]


def test_older_turns_are_their_words() -> None:
    scene = Scene(MANUAL, capabilities=HEARS)
    for number in range(MAX_PROMPT_AUDIO_TURNS + 2):
        said(scene, f"turn {number}", sound(number))
    shown = heard(prompted(scene))
    assert shown[:2] == [("turn 0", None), ("turn 1", None)]
    assert shown[2:] == [(f"turn {n}", sound(n)) for n in range(2, MAX_PROMPT_AUDIO_TURNS + 2)]


def test_a_turn_that_is_too_long_is_its_words() -> None:
    scene = Scene(MANUAL, capabilities=HEARS)
    said(scene, "long", sound(1, MAX_PROMPT_AUDIO_MS + 20))
    said(scene, "not quite", sound(2, MAX_PROMPT_AUDIO_MS))
    assert heard(prompted(scene)) == [("long", None), ("not quite", sound(2, MAX_PROMPT_AUDIO_MS))]


def test_a_deleted_turn_is_not_heard() -> None:
    scene = Scene(MANUAL, capabilities=HEARS)
    first = said(scene, "secret", sound(1))
    said(scene, "hello", sound(2))
    scene.happens(ItemDeleteRequested(first))
    assert heard(prompted(scene)) == [("hello", sound(2))]


def test_a_turn_that_the_context_has_no_room_for_is_not_heard() -> None:
    scene = Scene(MANUAL, OwnerSettings(context_tokens=300), HEARS)
    said(scene, "word " * 200, sound(1))
    said(scene, "hello " * 30, sound(2))
    assert [audio for _, audio in heard(prompted(scene))] == [sound(2)]


def test_a_response_with_input_of_its_own_hears_what_that_refers_to() -> None:
    scene = Scene(MANUAL, capabilities=HEARS)
    first = said(scene, "hello", sound(1))
    said(scene, "goodbye", sound(2))
    typed = Message(ItemId("typed"), "user", (InputText("What was that?"),))
    items = prompted(scene, ResponseParams(in_conversation=False, input=(ItemReference(first), typed)))
    assert heard(items) == [("hello", sound(1))]


def test_what_the_client_brought_as_audio_is_heard() -> None:
    scene = Scene(MANUAL, capabilities=HEARS)
    brought = Message(ItemId("brought"), "user", (InputText("Listen:"), InputAudio("a bell", sound(3))))
    scene.happens(ItemCreateRequested(brought))
    assert heard(prompted(scene)) == [("a bell", sound(3))]


def test_a_reply_that_is_begun_in_the_pause_hears_the_turn_so_far() -> None:
    scene = Scene(owner=SPECULATING, capabilities=HEARS)
    caused = scene.pauses("hello there")
    started = next(effect for effect in caused if isinstance(effect, StartGeneration))
    ((words, audio),) = heard(started.prompt.items)
    assert words == "hello there"
    assert audio is not None
    assert len(audio) >= 640 * AudioFormat.PCM16.bytes_per_ms


def test_an_item_without_its_sound_keeps_its_words() -> None:
    said = Message(ItemId("said"), "user", (InputText("Listen:"), InputAudio("a bell", sound(3))))
    assert without_sound(said) == Message(ItemId("said"), "user", (InputText("Listen:"), InputAudio("a bell")))
    call = FunctionCall(ItemId("call"), CallId("c"), "ring", "{}")
    assert without_sound(call) is call


def test_a_voice_that_is_conversational_gives_no_sound_to_a_model_that_does_not_hear() -> None:
    scene = Scene(owner=SPECULATING, capabilities=Capabilities(conversational=True))
    started = next(effect for effect in scene.pauses("hello there") if isinstance(effect, StartGeneration))
    assert heard(started.prompt.items) == [("hello there", None)]
    assert [turn.text for turn in started.heard] == ["hello there"]
