"""The contract of translators."""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import product

import pytest

from parley.engines.ports import MT, Guarded, ListsPairs, Term, TranslationRequest, Translator
from parley.testing.contracts.base import Subject, assert_refused, refusal, served_or_refused
from parley.testing.contracts.material import ODD_TEXTS, SENTENCES
from parley.testing.contracts.streamed import StreamedContract
from parley.text.language_tags import primary_tag

NO_LANGUAGE = "x-none"

MOST_PAIRS = 500
"""Pairs of a model of many languages that are asked about: it may have forty thousand."""


WITH_WORDS = ("Chinese", "Arabic", "Hindi", "several scripts", "numbers", "one long word")
"""Odd texts in which something was said."""

_SECRET = "73195"


class TranslatorContract(StreamedContract[Translator, str]):
    """For a `Translator`. The pair of languages is the first that it declares, from English where it can."""

    stage = MT

    def pair(self, engine: Translator) -> tuple[str, str]:
        languages = sorted(engine.info.languages, key=lambda language: language != "en")
        pairs = ((one, other) for one, other in product(languages, languages) if one != other)
        found = next((pair for pair in pairs if engine.translates(*pair)), None)
        assert found is not None, "no two of its languages are translated"
        return found

    def begin(self, engine: Translator, number: int, times: int = 1) -> AsyncIterator[str]:
        text = " ".join([SENTENCES[number]] * times)
        return engine.translate(TranslationRequest(text, *self.pair(engine), share=number))

    def check(self, engine: Translator, answer: list[str]) -> None:
        assert all(isinstance(piece, str) for piece in answer)
        assert "".join(answer).strip(), "a sentence has a translation"

    def same(self, one: list[str], other: list[str]) -> bool:
        return "".join(one) == "".join(other)

    async def drift(self, engine: Translator, times: int) -> str:
        """Have the model of a `Guarded` engine answer as an assistant, for its next `times` outputs, instead of translating.

        Returns what it will answer. A test class whose engine has a guard overrides it; without that its guard is not tried.
        """
        pytest.skip("this test class cannot make the model drift")

    async def translate(self, engine: Translator, request: TranslationRequest) -> str:
        return "".join([piece async for piece in engine.translate(request)])

    def test_languages_are_translated_as_declared(self, subject: Subject[Translator]) -> None:
        engine = subject.engine
        source, target = self.pair(engine)
        assert engine.translates("", target), "the source language may be unknown"
        assert not engine.translates(source, NO_LANGUAGE)
        assert subject.run(self.translate(engine, TranslationRequest(SENTENCES[0], "", target)))

    def test_the_pairs_that_it_lists_are_those_that_it_translates(self, subject: Subject[Translator]) -> None:
        """Where it lists any (`ListsPairs`): each is translated, its languages are declared, and the suite's own pair is among them."""
        engine = subject.engine
        if not isinstance(engine, ListsPairs):
            pytest.skip("it lists no pairs")
        pairs = engine.pairs()
        assert list(pairs) == sorted(set(pairs))
        refused = [pair for pair in pairs[:MOST_PAIRS] if not engine.translates(*pair)]
        assert not refused, f"it lists {refused}, and does not translate them"
        primary = {(primary_tag(source), primary_tag(target)) for source, target in pairs}
        assert {language for pair in primary for language in pair} <= set(map(primary_tag, engine.info.languages))
        assert tuple(map(primary_tag, self.pair(engine))) in primary

    def test_a_pair_that_it_does_not_know_is_refused_by_name(self, subject: Subject[Translator]) -> None:
        engine = subject.engine
        request = TranslationRequest(SENTENCES[0], self.pair(engine)[0], NO_LANGUAGE)
        assert_refused(subject.run(refusal(self.translate(engine, request))), "unsupported_language")

    def test_a_text_without_words_gives_nothing(self, subject: Subject[Translator]) -> None:
        for text in ("", "  ", "..."):
            assert (
                subject.run(self.translate(subject.engine, TranslationRequest(text, *self.pair(subject.engine)))) == ""
            )

    def test_a_longer_text_has_a_longer_translation(self, subject: Subject[Translator]) -> None:
        """A part that is left out would make it no longer."""
        engine, pair = subject.engine, self.pair(subject.engine)
        lengths = [
            len(subject.run(self.translate(engine, TranslationRequest(" ".join(SENTENCES[1 : 1 + count]), *pair))))
            for count in (1, 3, 6)
        ]
        assert lengths[0] < 0.8 * lengths[1]
        assert lengths[1] < 0.8 * lengths[2]

    def test_terms_stand_in_the_translation_as_they_were_given(self, subject: Subject[Translator]) -> None:
        """Where `info.glossary` is declared, of two that begin together the longer one; elsewhere they do no harm."""
        engine = subject.engine
        terms = (Term("weather", "Wetter"), Term("weather report", "Wetterbericht"))
        request = TranslationRequest("The weather report, the weather.", *self.pair(engine), terms)
        made = subject.run(self.translate(engine, request))
        if engine.info.glossary:
            assert (made.count("Wetterbericht"), made.count("Wetter")) == (1, 2), made

    def test_context_is_not_translated_again(self, subject: Subject[Translator]) -> None:
        engine, context = subject.engine, tuple(SENTENCES[1:9])
        request = TranslationRequest(SENTENCES[0], *self.pair(engine), context=context)
        assert len(subject.run(self.translate(engine, request))) < 5 * len(SENTENCES[0])

    def test_a_guard_counts_each_translation(self, subject: Subject[Translator]) -> None:
        """Where it has one: what was asked for grows by one, and no more drifts, or is refused, than was asked for."""
        engine: object = subject.engine
        if not isinstance(engine, Guarded):
            return
        before = engine.guard_counts()
        subject.run(self.answer(subject.engine, 0))
        after = engine.guard_counts()
        assert after.asked == before.asked + 1
        assert after.refused <= after.drifted <= after.asked
        assert sum(after.kinds.values()) == after.drifted

    def test_a_guard_asks_again_and_gives_nothing_of_the_drift(self, subject: Subject[Translator]) -> None:
        engine: object = subject.engine
        if not isinstance(engine, Guarded):
            pytest.skip("it has no guard")
        drift, before = subject.run(self.drift(subject.engine, 1)), engine.guard_counts()
        made = subject.run(served_or_refused(self.answer(subject.engine, 1)))
        assert made is not None, "it refuses without asking again"
        self.check(subject.engine, made)
        assert not _holds("".join(made), drift), f"the drift was given on: {made!r}"
        after = engine.guard_counts()
        assert (after.asked, after.drifted, after.refused) == (before.asked + 1, before.drifted + 1, before.refused)

    def test_what_drifts_twice_is_refused_by_name_and_nothing_of_it_is_given(
        self, subject: Subject[Translator]
    ) -> None:
        """An empty translation would lose what was said: only a refusal has the source shown in its place."""
        engine: object = subject.engine
        if not isinstance(engine, Guarded):
            pytest.skip("it has no guard")
        subject.run(self.drift(subject.engine, 2))
        before, given = engine.guard_counts(), list[str]()

        async def keep() -> None:
            async for piece in self.begin(subject.engine, 1):
                given.append(piece)

        assert_refused(subject.run(refusal(keep())), "translation_drift")
        assert given == [], f"pieces of the drift were given on: {given!r}"
        after = engine.guard_counts()
        assert (after.asked, after.drifted, after.refused) == (before.asked + 1, before.drifted + 1, before.refused + 1)
        self.check(subject.engine, subject.run(self.answer(subject.engine, 1)))

    def test_nothing_of_the_context_or_of_another_caller_is_in_a_translation(
        self, subject: Subject[Translator]
    ) -> None:
        """A number is the same in every language: it shows what was kept."""
        engine, pair = subject.engine, self.pair(subject.engine)

        async def translations() -> list[str]:
            told = f"The number of the room is {_SECRET}."
            return [
                await self.translate(engine, request)
                for request in (
                    TranslationRequest(told, *pair, share=1),
                    TranslationRequest(SENTENCES[2], *pair, share=2),
                    TranslationRequest(SENTENCES[2], *pair, context=(told,), share=2),
                    TranslationRequest(SENTENCES[4], *pair, share=2),
                )
            ]

        _, *others = subject.run(translations())
        assert not any(_SECRET in other for other in others), others

    def test_a_context_of_any_length_is_taken(self, subject: Subject[Translator]) -> None:
        """What is too old for the engine is left out of its context; it is no reason to refuse."""
        engine, context = subject.engine, tuple(SENTENCES[1:9]) * 500
        request = TranslationRequest(SENTENCES[0], *self.pair(engine), context=context)
        made = subject.run(served_or_refused(self.translate(engine, request)))
        assert made is not None, "it refuses a long context"
        assert made.strip()

    @pytest.mark.parametrize("kind", WITH_WORDS)
    def test_what_has_words_is_not_lost_in_silence(self, subject: Subject[Translator], kind: str) -> None:
        """Words that an engine cannot translate stay, or it refuses: an empty translation would hide that something was said."""
        engine = subject.engine
        request = TranslationRequest(ODD_TEXTS[kind], *self.pair(engine))
        made = subject.run(served_or_refused(self.translate(engine, request)))
        assert made is None or made.strip(), "it neither translates nor refuses"

    @pytest.mark.parametrize("kind", ODD_TEXTS)
    def test_odd_texts_are_translated_or_refused(self, subject: Subject[Translator], kind: str) -> None:
        engine = subject.engine
        subject.run(served_or_refused(self.translate(engine, TranslationRequest(ODD_TEXTS[kind], *self.pair(engine)))))
        self.check(engine, subject.run(self.answer(engine, 0)))


def _holds(made: str, drift: str) -> bool:
    """Whether a drift, or its beginning, stands in what was given."""
    return " ".join(drift.split()[:4]) in " ".join(made.split())
