"""The arguments of a session."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from parley.core.policy.policy import Policy
from parley.core.policy.turn_rules import Rules
from parley.core.words.settings import Capabilities, OwnerSettings, Settings

PlaybackKind = Literal["remote", "paced"]


@dataclass(frozen=True, slots=True)
class SessionSpec:
    """Constructor arguments of a session; equal arguments rebuild it.

    `seed` determines the session's ids and must differ between sessions. `playback` says who holds the buffer of output audio:
    the client ("remote", WebSocket) or the server ("paced", WebRTC). `now_ns` is the monotonic clock at construction. `policy` and
    `rules` are judgements of your own; None: the built-in ones.
    """

    seed: bytes
    settings: Settings
    owner: OwnerSettings
    capabilities: Capabilities
    playback: PlaybackKind
    now_ns: int
    policy: Policy | None = None
    rules: Rules | None = None
