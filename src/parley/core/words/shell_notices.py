"""The notices that the shell makes and the core never does."""

from __future__ import annotations

from dataclasses import dataclass

from parley.core.words.turn_measured import TurnMeasured


@dataclass(frozen=True, slots=True)
class KeypadPressed:
    """The caller has pressed a key of the telephone: one of 0-9, *, #, A-D. `at_s` is Unix time."""

    key: str
    at_s: int


ShellNotice = TurnMeasured | KeypadPressed
