"""The conversation route: translation by servers that have Realtime conversation sessions only (OpenAI GA, OpenAI beta, others).

Laws: runs on the event loop. What a session decides, `conversation_rules` decides; here are the socket, the clock and the waiting.
Updates that are not read stop the reading of the socket, so that they are bounded.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import Final

from parley.audio.types import Int16
from parley.client.connection import Connection, Server, ServerUnavailable, dial
from parley.engines.mt import language_guess
from parley.interpret.ports import STALE_S, WIRE_RATE, RouteWishes
from parley.interpret.routes.conversation_rules import ConversationRules
from parley.interpret.routes.translating_session import ConversationOptions
from parley.interpret.updates import RouteLinkEnded, RouteUpdate
from parley.wire.dialects import BETA, GA

SETUP_S: Final = 15.0
"""A server that has not opened the session and taken over its settings by then counts as unavailable."""

UNREAD_UPDATES: Final = 2_000
"""Updates that wait to be read; with more, the socket is not read. Several minutes of translated audio."""

REFUSED: Final = "Check the voice, the languages and the transcription model; the beta dialect is for old servers only."

PLAIN_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})
BETA_HEADERS: Final[Mapping[str, str]] = MappingProxyType({"OpenAI-Beta": "realtime=v1"})

AS_USUAL: Final = ConversationOptions()


class ConversationRoute:
    """A `TranslationRoute` to the conversation sessions of a server. `beta`: it speaks the beta dialect. Iterate over its links at once."""

    voices_change = True

    def __init__(self, server: Server, options: ConversationOptions = AS_USUAL, *, beta: bool = False) -> None:
        self._server, self._options, self._beta = server, options, beta
        self.name = f"{server.name or server.url} (conversation session{', beta' if beta else ''})"

    @asynccontextmanager
    async def open(self, wishes: RouteWishes) -> AsyncIterator[ConversationLink]:
        """A link whose session translates from now on; closed at the end. Raises `ServerUnavailable`."""
        await asyncio.to_thread(language_guess.load)
        rules = ConversationRules(self._options, wishes, BETA if self._beta else GA, out_of_band=not self._beta)
        headers = BETA_HEADERS if self._beta else PLAIN_HEADERS
        async with dial(self._server, headers, answers_within_s=STALE_S) as connection:
            link = ConversationLink(connection, rules)
            try:
                await link.opened(self._server.name)
                yield link
            finally:
                await link.close()


class ConversationLink:
    """A `RouteLink`. Made by `ConversationRoute.open`."""

    def __init__(self, connection: Connection, rules: ConversationRules) -> None:
        self._connection, self._rules = connection, rules
        self._loop = asyncio.get_running_loop()
        self._updates: deque[RouteUpdate] = deque()
        self._changed, self._settled, self._room = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._room.set()
        self._timer: asyncio.TimerHandle | None = None
        self._reader = asyncio.create_task(self._read())
        self.expires_in_s: float | None = None

    async def opened(self, name: str) -> None:
        """Until the session is as it was asked for. Raises `ServerUnavailable`."""
        try:
            await asyncio.wait_for(self._settled.wait(), SETUP_S)
        except TimeoutError as error:
            message = f"{name} has not opened a session within {SETUP_S:.0f} s."
            raise ServerUnavailable(message, "Does it have Realtime conversation sessions?", again=True) from error
        rules = self._rules
        if rules.refusal is not None:
            words, again = rules.refusal
            raise ServerUnavailable(f"{name} refuses the session: {words}", REFUSED, again=again)
        if not rules.ready:
            raise ServerUnavailable(f"{name} opened no session: {self._connection.why_ended}.", again=True)
        if rules.expires_at is not None:
            self.expires_in_s = max(0.0, rules.expires_at - time.time())

    @property
    def drifts(self) -> int:
        """How many outputs were no translation."""
        return self._rules.drifts

    def send(self, audio: Int16) -> None:
        if self._connection.unsent * len(audio) / WIRE_RATE > STALE_S:
            self._connection.abandon(f"the server has not read for {STALE_S:g} s")
            return
        self._advance(self._rules.audio(audio, self._loop.time()))

    def speech_began(self) -> None:
        self._advance(self._rules.speech_began(self._loop.time()))

    def speech_ended(self) -> None:
        self._advance(self._rules.speech_ended(self._loop.time()))

    def set_target(self, language: str) -> None:
        self._rules.set_target(language)
        self._advance([])

    def set_voice(self, voice: str) -> None:
        self._rules.set_voice(voice)
        self._advance([])

    def finish(self) -> None:
        self._advance(self._rules.finish(self._loop.time()))

    async def __aiter__(self) -> AsyncIterator[RouteUpdate]:
        while True:
            while self._updates:
                update = self._updates.popleft()
                if len(self._updates) < UNREAD_UPDATES:
                    self._room.set()
                yield update
                if isinstance(update, RouteLinkEnded):
                    return
            self._changed.clear()
            await self._changed.wait()

    async def close(self) -> None:
        """Stop reading; the connection is its maker's."""
        if self._timer is not None:
            self._timer.cancel()
        self._reader.cancel()
        await asyncio.wait((self._reader,))
        if not self._reader.cancelled():
            self._reader.result()

    async def _read(self) -> None:
        try:
            async for message in self._connection:
                self._advance(self._rules.received(message, self._loop.time()))
                if self._rules.ready or self._rules.refusal is not None:
                    self._settled.set()
                await self._room.wait()
        finally:
            self._advance(self._rules.lost(self._connection.why_ended or "the link was closed"))
            self._settled.set()

    def _advance(self, updates: list[RouteUpdate]) -> None:
        """Send what is to be sent, hand out the updates, and set the timer."""
        self._connection.send(self._rules.outgoing())
        if updates:
            self._updates.extend(updates)
            self._changed.set()
            if len(self._updates) >= UNREAD_UPDATES:
                self._room.clear()
        due_s = self._rules.deadline()
        if self._timer is not None and (due_s is None or self._timer.when() != due_s):
            self._timer.cancel()
            self._timer = None
        if self._timer is None and due_s is not None:
            self._timer = self._loop.call_at(due_s, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._advance(self._rules.tick(self._loop.time()))
