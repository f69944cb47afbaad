"""The keys that a caller presses, as the model and those who listen to the session are told of them.

Laws:
- Every key is told at once to all who listen (`input_audio_buffer.dtmf_event_received`).
- As `text`, what was pressed without a pause becomes one item of the user and is answered; `#` ends it at once. The first key of it
  interrupts what is being said, as speech would.
- What is gathered is bounded, and dropped when the call ends.
"""

from __future__ import annotations

import asyncio
from typing import Final, Literal, Protocol

import msgspec

KEYS: Final = frozenset("0123456789*#ABCD")
ENTER: Final = "#"
MOST: Final = 64
"""Keys of one item: longer than any number that people type."""


class PressedIn(Protocol):
    """A session, as far as keys are pressed in it."""

    def key_pressed(self, key: str) -> None: ...

    def received(self, data: bytes) -> int: ...


class Keypad:
    """`press` for each key, `close` at the end. `pause_ms` without a key ends what is gathered."""

    def __init__(self, session: PressedIn, told_as: Literal["text", "event"], pause_ms: int) -> None:
        self._session = session
        self._as_text = told_as == "text"
        self._pause_s = pause_ms / 1000
        self._loop = asyncio.get_running_loop()
        self._pressed = ""
        self._timer: asyncio.TimerHandle | None = None

    def press(self, key: str) -> None:
        """One of `KEYS`; anything else is ignored."""
        if key not in KEYS:
            return
        self._session.key_pressed(key)
        if not self._as_text:
            return
        self._stop()
        if not self._pressed:
            self._silence()
        self._pressed += key
        if key == ENTER or len(self._pressed) == MOST:
            self._enter()
        else:
            self._timer = self._loop.call_later(self._pause_s, self._enter)

    def close(self) -> None:
        self._stop()
        self._pressed = ""

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _enter(self) -> None:
        self._timer = None
        pressed, self._pressed = self._pressed, ""
        said = {"type": "input_text", "text": f"The caller pressed these keys on the telephone: {pressed}"}
        self._silence()
        self._ask({"type": "conversation.item.create", "item": {"type": "message", "role": "user", "content": [said]}})
        self._ask({"type": "response.create"})

    def _silence(self) -> None:
        """Of the two, one is an error where nothing is being said; it goes to the link, which shows none."""
        self._ask({"type": "response.cancel"})
        self._ask({"type": "output_audio_buffer.clear"})

    def _ask(self, event: dict[str, object]) -> None:
        self._session.received(msgspec.json.encode(event))
