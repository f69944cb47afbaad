"""A conversation that is typed: a message goes out, the reply's words (and sound) come back, one after the other.

Laws: the messages and what they mean are `client/session.py`'s; nothing is read from the server but while a reply is awaited. A reply that
calls a tool of the server's goes on with the next one, and one that wants to call a tool with the user's consent waits for the answer.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager

from parley.client.connection import Connection, Server, ServerUnavailable, dial
from parley.client.session import ClientSession
from parley.client.session_setup import SessionOptions
from parley.client.updates import (
    ClientUpdate,
    ConsentAsked,
    ConsentedCallEnded,
    ConsentSettled,
    ResponseEnded,
    ResponseStarted,
    ServerToolCalled,
    SessionConfigured,
    SessionStarted,
    StatusMessage,
    ToolListing,
)

BEGIN_S = 15.0
"""A server that has not opened a session by then counts as unreachable; MCP servers that have not listed their tools are done without."""

STOP_S = 2.0
"""How long a reply that was stopped may take to end."""


class TypedConversation:
    """Make it with `typed_conversation()`, then `reply()` to one message after the other."""

    def __init__(self, connection: Connection, options: SessionOptions) -> None:
        self._connection = connection
        self._session = ClientSession(options)
        self.began = SessionStarted("", "", "")

    async def begin(self) -> list[StatusMessage]:
        """Until the session is open, set up as the options ask, with the tools of its MCP servers; what the server said against them.
        Raises `ServerUnavailable`, also where the server refuses the options: it then has taken none of them."""
        opening = _Opening()
        try:
            async with asyncio.timeout(BEGIN_S), aclosing(self._received()) as coming:
                async for updates in coming:
                    opening.on_updates(updates)
                    self.began = opening.began or self.began
                    self._send()
                    if opening.configured and not opening.listings:
                        return opening.said
        except TimeoutError:
            if opening.configured:
                late = f"An MCP server has not listed its tools within {BEGIN_S:g} s; they cannot be called yet."
                return [*opening.said, StatusMessage("warning", late)]
            raise ServerUnavailable(f"The server opened no session within {BEGIN_S:g} s.", again=True) from None
        raise self._lost()

    async def reply(self, text: str) -> AsyncGenerator[ClientUpdate, None]:
        """The reply to a message, as it comes; it ends with its last `ResponseEnded`, or with the server's refusal. A `ConsentAsked` wants
        `decide()` before the next update is taken. Raises `ServerUnavailable` where the connection is lost."""
        self._session.say(text)
        self._send()
        answer = _Answer()
        async with aclosing(self._received()) as coming:
            async for updates in coming:
                self._send()
                for update in updates:
                    answer.on_update(update)
                    yield update
                if answer.over:
                    return
        raise self._lost()

    async def decide(self, request_id: str, approve: bool, reason: str = "") -> None:
        """Answer a `ConsentAsked`; `reason` is for the model."""
        self._session.decide(request_id, approve, reason)
        self._send()

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


class _Opening:
    """What has come of a session that opens: `configured` once the options are taken, and the MCP servers that still list their tools."""

    def __init__(self) -> None:
        self.began: SessionStarted | None = None
        self.configured = False
        self.listings: set[str] = set()
        self.said: list[StatusMessage] = []

    def on_updates(self, updates: Sequence[ClientUpdate]) -> None:
        """What one message of the server says. Raises `ServerUnavailable` where it refuses the options."""
        said = [update for update in updates if isinstance(update, StatusMessage)]
        self.said += said
        for update in updates:
            match update:
                case SessionStarted(configuring=configuring):
                    self.began, self.configured = update, not configuring
                case SessionConfigured():
                    if said:
                        refusal = " ".join(message.message for message in said)
                        raise ServerUnavailable(f"The server refuses the settings of the session: {refusal}")
                    self.configured = True
                case ToolListing(item_id=item_id, over=over):
                    (self.listings.discard if over else self.listings.add)(item_id)
                case _:
                    pass


class _Answer:
    """Whether more of the answer to a message is to come: calls of tools make it several replies."""

    def __init__(self) -> None:
        self.over = False
        self._begun = False
        self._goes_on = False
        """A tool has been called, or refused, since the last reply began: another one follows."""
        self._awaited: set[str] = set()
        """Requests without an outcome: neither refused nor called."""

    def on_update(self, update: ClientUpdate) -> None:
        match update:
            case ResponseStarted():
                self._begun, self._goes_on = True, False
            case ServerToolCalled():
                self._goes_on = True
            case ConsentAsked(request_id=request_id):
                self._awaited.add(request_id)
            case ConsentSettled(request_id=request_id, approved=False) | ConsentedCallEnded(request_id=request_id):
                self._awaited.discard(request_id)
                self._goes_on = True
            case ResponseEnded():
                self.over = not self._goes_on and not self._awaited
            case StatusMessage(level=level):
                # The server refused what was asked of it, or does not go on.
                self.over = not self._begun or (level == "error" and self._goes_on and not self._awaited)
            case _:
                pass


@asynccontextmanager
async def typed_conversation(server: Server, options: SessionOptions) -> AsyncIterator[TypedConversation]:
    """A conversation with the server, not begun. Raises `ServerUnavailable`."""
    async with dial(server) as connection:
        yield TypedConversation(connection, options)
