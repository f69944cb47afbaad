"""What a finished turn causes. A policy is asked, it never acts.

Laws: pure functions of what they are given. Write your own by meeting the `Policy` protocol and handing it to the
session.
"""

from __future__ import annotations

from typing import Protocol

from parley.core.policy.assistant import Assistant
from parley.core.policy.transcriber import Transcriber
from parley.core.words.settings import SessionKind


class Policy(Protocol):
    """Asked by the session at three moments."""

    speaks: bool
    """Whether this kind of session ever answers; False refuses `response.create`."""

    def wants_reply(self, transcript: str) -> bool:
        """A turn with `create_response` is over and this was said: shall a reply be made?"""
        ...

    def may_guess(self, transcript: str) -> bool:
        """In a pause, this was said so far: may a reply be started before the turn is surely over?"""
        ...


def policy_of(kind: SessionKind) -> Policy:
    """The built-in policy of a kind of session."""
    return Assistant() if kind == "realtime" else Transcriber()
