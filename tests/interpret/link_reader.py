"""Reads a link's updates as they come, and waits for what a test wants to see."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import numpy as np

from parley.interpret.ports import RouteLink
from parley.interpret.updates import RouteLinkEnded, RouteNote, RouteUpdate, SourceText, TargetAudio, TargetText

PATIENCE_S = 20.0
Kind = TypeVar("Kind", bound=RouteUpdate)


class LinkReader:
    """`updates` are all that came."""

    def __init__(self, link: RouteLink) -> None:
        self.link = link
        self.updates: list[RouteUpdate] = []
        self._came = asyncio.Event()

    async def read(self) -> None:
        async for update in self.link:
            self.updates.append(update)
            self._came.set()

    async def until(self, seen: Callable[[], object]) -> None:
        """Until `seen` is true; fails after `PATIENCE_S`."""
        async with asyncio.timeout(PATIENCE_S):
            while not seen():
                self._came.clear()
                await self._came.wait()

    def of(self, kind: type[Kind]) -> list[Kind]:
        return [update for update in self.updates if isinstance(update, kind)]

    @property
    def text(self) -> str:
        return "".join(update.text + ("\n" if update.ends else "") for update in self.of(TargetText))

    @property
    def source(self) -> list[str]:
        return [update.text for update in self.of(SourceText) if update.ends]

    @property
    def played(self) -> list[int]:
        return list(dict.fromkeys(int(update.audio[0]) for update in self.of(TargetAudio)))

    @property
    def notes(self) -> list[str]:
        return [note.message for note in self.of(RouteNote)]

    @property
    def end(self) -> RouteLinkEnded | None:
        return next(iter(self.of(RouteLinkEnded)), None)

    async def lines(self, count: int) -> None:
        """Until so many translations have ended."""
        await self.until(lambda: self.text.count("\n") >= count)

    async def ended(self) -> RouteLinkEnded:
        await self.until(lambda: self.end)
        assert self.end is not None
        return self.end


@asynccontextmanager
async def reading(link: RouteLink) -> AsyncIterator[LinkReader]:
    reader = LinkReader(link)
    task = asyncio.create_task(reader.read())
    try:
        yield reader
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def say(link: RouteLink, mark: int, length_ms: int = 600) -> None:
    """A pause, a sentence and its end, as fast as it can be sent."""
    for value, pieces in ((0, 10), (mark, 5)):
        for _ in range(pieces):
            link.send(np.full(480, value, np.int16))
    link.speech_began()
    for _ in range(length_ms // 20):
        link.send(np.full(480, mark, np.int16))
    link.speech_ended()
