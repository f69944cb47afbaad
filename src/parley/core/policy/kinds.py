"""The built-in policy of each kind of session."""

from __future__ import annotations

from typing import assert_never

from parley.core.policy.assistant import Assistant
from parley.core.policy.interpreter import Interpreter
from parley.core.policy.policy import Policy
from parley.core.policy.transcriber import Transcriber
from parley.core.words.settings import OwnerSettings, Settings


def policy_of(settings: Settings, owner: OwnerSettings) -> Policy:
    """The built-in policy of a session with these settings."""
    match settings.kind:
        case "realtime":
            return Assistant()
        case "transcription":
            return Transcriber()
        case "translation":
            how = owner.interpreting
            return Interpreter(
                settings.target_language, owner.language, how.terms, lag=how.lag, same_language=how.same_language
            )
        case _:
            assert_never(settings.kind)
