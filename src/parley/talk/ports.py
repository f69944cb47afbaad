"""The parts of a conversation: the user's choices, a view, devices.

Laws: Protocols and values only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from parley.audio.types import Int16
from parley.client.connection import Server
from parley.client.playback import PlayedSpan
from parley.client.session_setup import SessionOptions
from parley.talk.devices import DeviceBlock
from parley.talk.status import State
from parley.talk.transcript import TranscriptLine


class TalkView(Protocol):
    """What shows the conversation. Called on the event loop; must return at once."""

    def line_changed(self, line: TranscriptLine) -> None: ...

    def figures_changed(self) -> None: ...

    def state_changed(self, state: State) -> None: ...

    def ticked(self) -> None: ...


class Devices(Protocol):
    """Microphone and loudspeaker; `devices.DeviceAudio` says what each does."""

    names: tuple[str, str]
    lost: asyncio.Event

    async def open(self, wanted_input: str | None, wanted_output: str | None, *, refresh: bool = False) -> None: ...

    async def close(self) -> None: ...

    def check(self) -> None: ...

    def push(self, item_id: str, content_index: int, audio: Int16) -> bool: ...

    def end(self, item_id: str) -> None: ...

    def interrupt(self) -> list[PlayedSpan]: ...

    @property
    def audible(self) -> bool: ...

    @property
    def underruns(self) -> int: ...


MakeDevices = Callable[[Callable[[DeviceBlock], None], Callable[[str, float], None]], Devices]
"""`DeviceAudio`, or a replacement with the same methods."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """What the user chose on the command line. `input` None: no microphone, messages are typed; `output` None: no loudspeaker,
    replies are read."""

    server: Server
    options: SessionOptions
    input: str | None = ""
    output: str | None = ""
    record: Path | None = None
    asks: bool = True
    """Whether there is a user to ask for consent to calls of tools; else they are refused."""

    @property
    def typed(self) -> bool:
        """Whether the user types, without a microphone."""
        return self.input is None

    @property
    def devices(self) -> tuple[str | None, str | None]:
        """Microphone and loudspeaker, by name; "": the system's default."""
        return self.input, self.output

    @property
    def default_devices(self) -> tuple[str | None, str | None]:
        """The system's, in place of those that were chosen."""
        return (None if self.input is None else ""), (None if self.output is None else "")
