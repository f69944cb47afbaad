"""Every kind of session has a built-in policy."""

from __future__ import annotations

from typing import get_args

from parley.core.policy.assistant import Assistant
from parley.core.policy.kinds import policy_of
from parley.core.policy.transcriber import Transcriber
from parley.core.words.settings import SessionKind


def test_a_realtime_session_answers_and_a_transcription_session_only_transcribes() -> None:
    assert isinstance(policy_of("realtime"), Assistant)
    assert isinstance(policy_of("transcription"), Transcriber)
    assert set(get_args(SessionKind)) == {"realtime", "transcription"}
