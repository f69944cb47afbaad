"""The assistant's policy: a finished turn with words causes a reply."""

from __future__ import annotations

from parley.core.policy.backchannels import is_backchannel
from parley.core.policy.policy import Answer, Decided, OverOutput, Said


class Assistant:
    """Answers every turn with words; a turn without words (a cough, a noise) is not answered. Override a method to decide otherwise."""

    speaks = True

    def words_became_stable(self, said: Said) -> tuple[Decided, ...]:
        return ()

    def turn_ended(self, said: Said) -> tuple[Decided, ...]:
        return (Answer(),) if said.text.strip() else ()

    def may_speculate(self, said: Said) -> bool:
        return not is_backchannel(said.text)

    def voice_over_output(self) -> OverOutput:
        return "cut"
