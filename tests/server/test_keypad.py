"""The keys of a telephone: what is told of them, when, and what of it is bounded."""

from __future__ import annotations

import asyncio
import json

from parley.server.links.telephone.keypad import MOST, Keypad
from tests.runtime.rig import settled

SILENCE = ["response.cancel", "output_audio_buffer.clear"]


class Told:
    """A session that keeps what it is told."""

    def __init__(self) -> None:
        self.keys = ""
        self.asked: list[str] = []
        self.texts: list[str] = []

    def key_pressed(self, key: str) -> None:
        self.keys += key

    def received(self, data: bytes) -> int:
        event = json.loads(data)
        self.asked.append(event["type"])
        if event["type"] == "conversation.item.create":
            self.texts.append(event["item"]["content"][0]["text"].rpartition(": ")[2])
        return 0


async def test_keys_become_one_text_after_a_pause_and_the_first_interrupts() -> None:
    told = Told()
    keypad = Keypad(told, "text", 50)
    for key in "42*":
        keypad.press(key)
    assert (told.keys, told.asked) == ("42*", SILENCE), "the speech stops with the first key"
    await settled(lambda: bool(told.texts))
    assert told.texts == ["42*"]
    assert told.asked == [*SILENCE, *SILENCE, "conversation.item.create", "response.create"]


async def test_a_hash_ends_it_at_once_and_the_next_begins_anew() -> None:
    told = Told()
    keypad = Keypad(told, "text", 60_000)
    for key in "1#2#":
        keypad.press(key)
    assert told.texts == ["1#", "2#"]


async def test_what_is_no_key_is_ignored_and_what_is_typed_is_bounded() -> None:
    told = Told()
    keypad = Keypad(told, "text", 60_000)
    for key in ("", "12", "x", "é", "#1", " "):
        keypad.press(key)
    assert (told.keys, told.asked) == ("", [])
    for _ in range(MOST + 1):
        keypad.press("7")
    assert told.texts == ["7" * MOST]
    keypad.close()


async def test_as_events_the_model_is_told_nothing() -> None:
    told = Told()
    keypad = Keypad(told, "event", 1)
    keypad.press("5")
    await asyncio.sleep(0)
    assert (told.keys, told.asked) == ("5", [])


async def test_what_was_not_ended_is_dropped_with_the_call() -> None:
    told = Told()
    keypad = Keypad(told, "text", 1)
    keypad.press("5")
    keypad.close()
    await asyncio.sleep(0.01)
    assert not told.texts
