"""How long a connection of any kind may keep the server waiting."""

from __future__ import annotations

STALL_S = 20.0
"""A client that takes not one byte for so long is dead; mobile networks recover sooner or not at all."""

CLOSE_S = 5.0
"""From the server's close to the end of the connection, whatever the client does."""
