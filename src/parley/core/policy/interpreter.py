"""The interpreter's policy: each clause is translated as soon as its words are stable, and a voice over the translation cuts nothing."""

from __future__ import annotations

from parley.core.policy.policy import Decided, OverOutput, Said, Translate
from parley.text.clauses import ClauseCutter


class Interpreter:
    """Translates the user's speech into `to_language`. Languages are BCP 47 tags; `from_language` "": the detected one. `terms` are
    pairs of a term and its prescribed translation."""

    speaks = True

    def __init__(self, to_language: str, from_language: str = "", terms: tuple[tuple[str, str], ...] = ()) -> None:
        self._to = to_language
        self._from = from_language
        self._terms = terms

    def words_became_stable(self, said: Said) -> tuple[Decided, ...]:
        ends: list[int] = []
        end = said.begin
        for clause in ClauseCutter(self._from or said.language).push(said.new):
            end += len(clause.text)
            ends.append(end)
        return tuple(self._translate(end) for end in ends)

    def turn_ended(self, said: Said) -> tuple[Decided, ...]:
        return (self._translate(len(said.text)),) if said.new.strip() else ()

    def may_speculate(self, said: Said) -> bool:
        return False

    def voice_over_output(self) -> OverOutput:
        return "queue"

    def _translate(self, end: int) -> Translate:
        return Translate(end, self._to, self._from, self._terms)
