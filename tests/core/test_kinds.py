"""Every kind of session has a built-in policy."""

from __future__ import annotations

from typing import get_args

from parley.core.policy.assistant import Assistant
from parley.core.policy.interpreter import Interpreter
from parley.core.policy.kinds import policy_of
from parley.core.policy.policy import Said, Translate
from parley.core.policy.transcriber import Transcriber
from parley.core.words.interpreting import Interpreting
from parley.core.words.settings import OwnerSettings, SessionKind, Settings


def test_each_kind_of_session_has_its_policy() -> None:
    kinds = {"realtime": Assistant, "transcription": Transcriber, "translation": Interpreter}
    assert set(kinds) == set(get_args(SessionKind))
    assert isinstance(policy_of(Settings(kind="realtime"), OwnerSettings()), Assistant)
    assert isinstance(policy_of(Settings(kind="transcription"), OwnerSettings()), Transcriber)


def test_an_interpreter_has_the_target_of_its_client_and_the_terms_of_its_owner() -> None:
    owner = OwnerSettings(language="en", interpreting=Interpreting(terms=(("Parley", "Parley"),)))
    policy = policy_of(Settings(kind="translation", target_language="pt"), owner)
    assert policy.turn_ended(Said("Parley listens.")) == (Translate(15, "pt", "en", (("Parley", "Parley"),)),)
