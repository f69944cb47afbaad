"""The notices that the shell makes."""

from __future__ import annotations

from typing import get_args

from parley.core.words import shell_notices
from parley.core.words.notices import Notice
from parley.core.words.shell_notices import KeypadPressed, ShellNotice
from parley.core.words.turn_measured import TurnMeasured
from tests.core.values import can_change, values_of


def test_they_are_notices_and_cannot_be_changed() -> None:
    assert values_of(shell_notices) == [KeypadPressed]
    assert set(get_args(ShellNotice)) == {TurnMeasured, KeypadPressed}
    assert set(get_args(ShellNotice)) <= set(get_args(Notice))
    assert not can_change(KeypadPressed)
