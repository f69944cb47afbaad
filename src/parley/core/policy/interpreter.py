"""The interpreter's policy: each clause is translated as soon as its words are stable, and a voice over the translation cuts nothing.

Laws: every word is decided on exactly once, in order. Words that say nothing in any language (hesitations, laughter) are passed over.
"""

from __future__ import annotations

from parley.core.policy.policy import Decided, OverOutput, PassOn, Said, Say, Skip, Translate
from parley.core.words.interpreting import LAGS, Lag, SameLanguage
from parley.text.clause_ends import clause_ends, word_count
from parley.text.fillers import only_fillers
from parley.text.language_tags import primary_tag


class Interpreter:
    """Translates the user's speech into `to_language`. Languages are BCP 47 tags; `from_language` "": the detected one. `terms` are
    pairs of a term and its prescribed translation; `lag` says how early a clause is translated, `same_language` what happens to speech
    that is in `to_language` already."""

    speaks = True

    def __init__(
        self,
        to_language: str,
        from_language: str = "",
        terms: tuple[tuple[str, str], ...] = (),
        *,
        lag: Lag = LAGS["normal"],
        same_language: SameLanguage = "silent",
    ) -> None:
        self._to = to_language
        self._from = from_language
        self._terms = terms
        self._lag = lag
        self._same = same_language

    def words_became_stable(self, said: Said) -> tuple[Decided, ...]:
        return self._each(said, clause_ends(said.new, self._lag.boundary, self._lag.min_words))

    def words_wait(self, said: Said) -> tuple[Decided, ...]:
        if said.waited_ms < self._lag.max_wait_ms or word_count(said.new) < self._lag.min_words:
            return ()
        return self._each(said, [len(said.new)])

    def turn_ended(self, said: Said) -> tuple[Decided, ...]:
        if not said.new.strip():
            return ()
        ends = clause_ends(said.new, "sentence", self._lag.min_words)
        if not ends or said.new[ends[-1] :].strip():
            ends.append(len(said.new))
        return self._each(said, ends)

    def may_speculate(self, said: Said) -> bool:
        return False

    def voice_over_output(self) -> OverOutput:
        return "queue"

    def _each(self, said: Said, ends: list[int]) -> tuple[Decided, ...]:
        """One decision for the words up to each of `ends`, which are indexes of `said.new`."""
        language = self._from or said.language
        same = bool(language) and primary_tag(language) == primary_tag(self._to)
        work: list[Decided] = []
        begin = 0
        for end in ends:
            text, begin = said.new[begin:end], end
            index = said.begin + end
            if only_fillers(text, language):
                work.append(Skip(index))
            elif not same:
                work.append(Translate(index, self._to, self._from, self._terms))
            elif self._same == "silent":
                work.append(Skip(index))
            elif self._same == "pass":
                work.append(PassOn(index))
            else:
                work.append(Say(text.strip(), index, self._to))
        return tuple(work)
