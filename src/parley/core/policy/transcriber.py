"""The transcriber's policy: a finished turn causes only its transcript."""

from __future__ import annotations

from parley.core.policy.policy import Decided, OverOutput, Said


class Transcriber:
    """Never answers."""

    speaks = False

    def words_became_stable(self, said: Said) -> tuple[Decided, ...]:
        return ()

    def turn_ended(self, said: Said) -> tuple[Decided, ...]:
        return ()

    def may_speculate(self, said: Said) -> bool:
        return False

    def voice_over_output(self) -> OverOutput:
        return "cut"
