"""`websockets`' server side of one connection, which can be freed without the garbage collector.

Laws: the parser is a generator that refers to its own protocol; `let_go()` ends it and so breaks that reference cycle.
"""

from __future__ import annotations

from collections.abc import Sequence

from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from parley.server.links.websocket.opening import select_subprotocol


class WireProtocol(ServerProtocol):
    """Sans-IO. `let_go()` when the connection is lost; nothing may be received or sent after that."""

    def select_subprotocol(self, subprotocols: Sequence[Subprotocol]) -> Subprotocol | None:
        """A method, because `ServerProtocol` keeps a function it is given bound to itself."""
        return select_subprotocol(subprotocols)

    def let_go(self) -> None:
        self.parser.close()
        # Their tracebacks hold the parser's frame.
        self.parser_exc = self.handshake_exc = None
