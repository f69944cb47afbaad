"""A conversation that is typed: a message goes out, the reply's words (and sound) come back, one after the other.

Laws: the messages and what they mean are `client/session.py`'s; nothing is read from the server but while a reply is awaited. A reply that
calls a tool of the server's goes on with the next one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager

from parley.client.connection import Connection, Server, ServerUnavailable, dial
from parley.client.session import ClientSession
from parley.client.session_setup import SessionOptions
from parley.client.updates import (
    ClientUpdate,
    ResponseEnded,
    ResponseStarted,
    ServerToolCalled,
    SessionStarted,
    StatusMessage,
)

BEGIN_S = 15.0
"""A server that has not opened a session by then counts as unreachable."""

STOP_S = 2.0
"""How long a reply that was stopped may take to end."""


class TypedConversation:
    """Make it with `typed_conversation()`, then `reply()` to one message after the other."""

    def __init__(self, connection: Connection, options: SessionOptions) -> None:
        self._connection = connection
        self._session = ClientSession(options)
        self.began = SessionStarted("", "", "")

    async def begin(self) -> None:
        """Until the session is open, set up as the options ask. Raises `ServerUnavailable`, also where the server refuses them: it then has
        taken none of them."""
        try:
            async with asyncio.timeout(BEGIN_S), aclosing(self._received()) as coming:
                async for updates in coming:
                    if refused := [update.message for update in updates if isinstance(update, StatusMessage)]:
                        raise ServerUnavailable(f"The server refuses the settings of the session: {' '.join(refused)}")
                    started = [update for update in updates if isinstance(update, SessionStarted)]
                    self.began = started[0] if started else self.began
                    # The server answers what was asked of the session; without that there is nothing to wait for.
                    if self.began.session_id and not (started and self._send()):
                        return
        except TimeoutError:
            raise ServerUnavailable(f"The server opened no session within {BEGIN_S:g} s.", again=True) from None
        raise self._lost()

    async def reply(self, text: str) -> AsyncGenerator[ClientUpdate, None]:
        """The reply to a message, as it comes; it ends with its `ResponseEnded`, or with the server's refusal. Raises `ServerUnavailable`
        where the connection is lost."""
        self._session.say(text)
        self._send()
        begun = goes_on = over = False
        async with aclosing(self._received()) as coming:
            async for updates in coming:
                self._send()
                for update in updates:
                    match update:
                        case ResponseStarted():
                            begun, goes_on = True, False
                        case ServerToolCalled():
                            goes_on = True
                        case ResponseEnded():
                            over = not goes_on
                        case StatusMessage() if not begun:
                            over = True
                        case _:
                            pass
                    yield update
                if over:
                    return
        raise self._lost()

    async def stop_reply(self) -> None:
        """Stop a reply that is no longer awaited, and pass over what is left of it."""
        self._session.interrupt()
        if not self._send():
            return
        try:
            async with asyncio.timeout(STOP_S), aclosing(self._received()) as coming:
                async for updates in coming:
                    self._send()
                    if any(isinstance(update, ResponseEnded) for update in updates):
                        return
        except TimeoutError:
            return

    async def _received(self) -> AsyncGenerator[list[ClientUpdate], None]:
        async for message in self._connection:
            yield self._session.received(message, time.monotonic())

    def _send(self) -> bool:
        """Whether there was anything to send."""
        messages = self._session.outgoing()
        self._connection.send(messages)
        return bool(messages)

    def _lost(self) -> ServerUnavailable:
        return ServerUnavailable(f"The connection is lost: {self._connection.why_ended}.", again=True)


@asynccontextmanager
async def typed_conversation(server: Server, options: SessionOptions) -> AsyncIterator[TypedConversation]:
    """A conversation with the server, not begun. Raises `ServerUnavailable`."""
    async with dial(server) as connection:
        yield TypedConversation(connection, options)
