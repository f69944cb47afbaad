"""The audio of a user, between two samples."""

from __future__ import annotations

from parley.core.words.ids import ItemId
from parley.core.words.items import InputAudio, Message
from parley.core.words.settings import AudioFormat


def test_a_span_of_the_users_audio() -> None:
    from parley.core.regions.entry import Entry

    audio = bytes(range(200))
    entry = Entry(Message(ItemId("item_1"), "user", (InputAudio(None, audio, AudioFormat.PCM16),)))
    assert entry.audio_between(10, 20) == audio[20:40]
    empty = Entry(Message(ItemId("item_2"), "user", (InputAudio("gone", None, AudioFormat.PCM16),)))
    assert empty.audio_between(0, 10) == b""
