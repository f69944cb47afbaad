"""The built-in policy of each kind of session."""

from __future__ import annotations

from parley.core.policy.assistant import Assistant
from parley.core.policy.policy import Policy
from parley.core.policy.transcriber import Transcriber
from parley.core.words.settings import SessionKind


def policy_of(kind: SessionKind) -> Policy:
    """The built-in policy of a kind of session."""
    return Assistant() if kind == "realtime" else Transcriber()
