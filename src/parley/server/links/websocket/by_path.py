"""Which gate a WebSocket handshake comes to, by its path.

Laws: a path that no other gate has belongs to the Realtime protocol's, which refuses what it does not know.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import unquote

from parley.server.links.link import Peer
from parley.server.links.websocket.connection import Gate
from parley.server.refusals import Refusal


class GateByPath:
    """A `Gate` made of others. `others`: by path, of which each has all that lies below it too."""

    def __init__(self, realtime: Gate, others: Mapping[str, Gate]) -> None:
        self.max_message_bytes = realtime.max_message_bytes
        self.messages_per_second = realtime.messages_per_second
        self._realtime = realtime
        self._others = others

    def accept(
        self, target: str, headers: Mapping[str, str], subprotocols: Sequence[str], client: str
    ) -> Peer | Refusal:
        path = unquote(target.partition("?")[0])
        for base, gate in self._others.items():
            if path == base or path.startswith(f"{base}/"):
                return gate.accept(target, headers, subprotocols, client)
        return self._realtime.accept(target, headers, subprotocols, client)
