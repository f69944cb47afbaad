"""Adds the sound of the user's last turns to the items of a prompt, for a language model that hears.

Laws: pure. At most `MAX_PROMPT_AUDIO_TURNS` turns have their sound, none longer than `MAX_PROMPT_AUDIO_MS`; the others are their
transcripts, as they are where the audio is no longer kept. What a turn says in words is in the prompt all the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from parley.core.regions.entry import Entry
from parley.core.words.items import Content, InputAudio, Item, Message
from parley.core.words.limits import MAX_PROMPT_AUDIO_MS, MAX_PROMPT_AUDIO_TURNS, SAMPLES_PER_MS


def with_sound(items: tuple[Item, ...], entries: Iterable[Entry]) -> tuple[Item, ...]:
    """The items with the audio of the last turns: that of their entries, or their own where they are in no conversation yet."""
    kept = {entry.item.id: entry.item for entry in entries}
    left = MAX_PROMPT_AUDIO_TURNS
    heard: list[Item] = []
    for item in reversed(items):
        if isinstance(item, Message) and item.role == "user" and any(isinstance(p, InputAudio) for p in item.content):
            source = kept.get(item.id, item)
            sounds = source.content if isinstance(source, Message) and left and _is_short(source) else ()
            item = replace(item, content=tuple(_with(part, at, sounds) for at, part in enumerate(item.content)))
            left = max(0, left - 1)
        heard.append(item)
    return tuple(reversed(heard))


def without_sound(item: Item) -> Item:
    """The item with its words only."""
    if not isinstance(item, Message):
        return item
    return replace(item, content=tuple(_with(part, at, ()) for at, part in enumerate(item.content)))


def _is_short(message: Message) -> bool:
    sounds = (part for part in message.content if isinstance(part, InputAudio))
    samples = sum(sound.format.samples(len(sound.audio)) for sound in sounds if sound.audio)
    return samples <= MAX_PROMPT_AUDIO_MS * SAMPLES_PER_MS


def _with(part: Content, at: int, sounds: tuple[Content, ...]) -> Content:
    """A part with the audio of the same part in `sounds`; without any where that is empty."""
    if not isinstance(part, InputAudio):
        return part
    sound = sounds[at] if at < len(sounds) else None
    if not isinstance(sound, InputAudio):
        return replace(part, audio=None)
    return replace(part, audio=sound.audio or None, format=sound.format)
