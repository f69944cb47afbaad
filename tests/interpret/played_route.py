"""A route whose sessions do what a test has them do: a `TranslationRoute` without a server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import numpy as np

from parley.audio.types import Int16
from parley.client.connection import ServerUnavailable
from parley.interpret.ports import WIRE_RATE, RouteWishes
from parley.interpret.updates import RouteLinkEnded, RouteUpdate


class PlayedLink:
    """One session: `say()` what the server says, `break_off()` to lose it. What it was sent stands in its fields."""

    def __init__(self, wishes: RouteWishes, expires_in_s: float | None) -> None:
        self.wishes = wishes
        self.expires_in_s = expires_in_s
        self.sent: list[Int16] = []
        self.targets: list[str] = []
        self.voices: list[str] = []
        self.edges: list[str] = []
        self.finished = False
        self.ended = asyncio.Event()
        self._updates: asyncio.Queue[RouteUpdate] = asyncio.Queue()

    @property
    def audio(self) -> Int16:
        return np.concatenate([*self.sent, np.zeros(0, np.int16)])

    @property
    def seconds(self) -> float:
        return len(self.audio) / WIRE_RATE

    def say(self, *updates: RouteUpdate) -> None:
        for update in updates:
            self._updates.put_nowait(update)

    def break_off(self, why: str = "the server went away", *, again: bool = True) -> None:
        self.say(RouteLinkEnded(why, again=again))

    def send(self, audio: Int16) -> None:
        self.sent.append(audio)

    def speech_began(self) -> None:
        self.edges.append("began")

    def speech_ended(self) -> None:
        self.edges.append("ended")

    def set_target(self, language: str) -> None:
        self.targets.append(language)

    def set_voice(self, voice: str) -> None:
        self.voices.append(voice)

    def finish(self) -> None:
        self.finished = True

    async def __aiter__(self) -> AsyncIterator[RouteUpdate]:
        while True:
            update = await self._updates.get()
            yield update
            if isinstance(update, RouteLinkEnded):
                return


@dataclass
class PlayedRoute:
    """`refusals` are raised by the next openings; `opened` counts sessions as they come."""

    expires_in_s: float | None = None
    refusals: list[Exception] = field(default_factory=list)
    name: str = "played"
    voices_change: bool = True
    links: list[PlayedLink] = field(default_factory=list)
    attempts: int = 0

    @asynccontextmanager
    async def open(self, wishes: RouteWishes) -> AsyncIterator[PlayedLink]:
        self.attempts += 1
        if self.refusals:
            raise self.refusals.pop(0)
        link = PlayedLink(replace(wishes), self.expires_in_s)
        self.links.append(link)
        try:
            yield link
        finally:
            link.ended.set()

    async def link(self, number: int) -> PlayedLink:
        """The session of that number, once it is open."""
        async with asyncio.timeout(20):
            while len(self.links) <= number:  # noqa: ASYNC110 - what is waited for has no event
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.02)
        return self.links[number]


GONE = ServerUnavailable("The server cannot be reached.", again=True)
WRONG_KEY = ServerUnavailable("The server refuses the key.", "Name another.")
