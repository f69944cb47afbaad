"""What whoever asks may change in a session: its client, or its owner through a connection of its own.

Laws: a request says who makes it (`Asker`), and every check of it takes these rights. The owner is bound by nothing but the kind of
the session; what the owner changes, it changes for the client as well (`PinnedSettings.follow`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from parley.core.words.settings import Capabilities, OwnerSettings, PinnedSettings

Asker = Literal["client", "owner"]
"""`owner`: the holder of a key, in a session that was opened with a client secret of that key."""


@dataclass(frozen=True, slots=True)
class Rights:
    """The settings that are fixed for the asker, and the MCP servers that it may name (as in `Capabilities`)."""

    pinned: PinnedSettings
    tool_server_urls: tuple[str, ...]


def rights_of(asker: Asker, owner: OwnerSettings, capabilities: Capabilities) -> Rights:
    """The rights of `asker` in a session with these settings and capabilities."""
    if asker == "owner":
        return Rights(PinnedSettings(kind=owner.pinned.kind), owner.tool_server_urls)
    return Rights(owner.pinned, capabilities.tool_server_urls)
