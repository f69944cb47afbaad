"""The contract of moderators."""

from __future__ import annotations

import asyncio
from typing import Literal

import pytest

from parley.engines.ports import MODERATION, ModerationRequest, ModerationVerdict, Moderator
from parley.testing.contracts.base import EngineContract, Subject
from parley.testing.contracts.material import ODD_TEXTS, SENTENCES
from parley.testing.contracts.watching import unblocked


class ModeratorContract(EngineContract[Moderator, ModerationVerdict]):
    """For a `Moderator`. What it flags is its configuration: a subclass names such a text, `refused`, or leaves out what needs one."""

    stage = MODERATION
    refused = ""

    async def answer(self, engine: Moderator, number: int) -> ModerationVerdict:
        text = f"{SENTENCES[number]} {self.refused if number % 2 else ''}"
        return await engine.judge(ModerationRequest(text, "user", "en", number))

    def need_refused(self) -> None:
        if not self.refused:
            pytest.skip("a text that this engine flags is not known: set `refused`")

    def check(self, engine: Moderator, answer: ModerationVerdict) -> None:
        assert isinstance(answer, ModerationVerdict), f"a verdict, not {answer!r}"
        assert isinstance(answer.flagged, bool)
        assert all(isinstance(name, str) for name in answer.categories)
        assert answer.open_from in ("", "text", "before")

    def same(self, one: ModerationVerdict, other: ModerationVerdict) -> bool:
        return one == other

    @pytest.mark.parametrize("side", ["user", "assistant"])
    def test_a_harmless_text_passes_and_a_refused_one_is_flagged(
        self, subject: Subject[Moderator], side: Literal["user", "assistant"]
    ) -> None:
        self.need_refused()

        def flagged(text: str) -> bool:
            return subject.run(subject.engine.judge(ModerationRequest(text, side, "en"))).flagged

        assert not flagged(SENTENCES[1])
        assert flagged(f"{SENTENCES[1]} {self.refused}")

    def test_a_text_without_words_passes(self, subject: Subject[Moderator]) -> None:
        for text in ("", "  ", "\n"):
            assert not subject.run(subject.engine.judge(ModerationRequest(text, "user"))).flagged

    def test_what_two_clauses_share_is_flagged_with_the_second(self, subject: Subject[Moderator]) -> None:
        self.need_refused()
        first, space, second = self.refused.partition(" ")
        if not space:
            pytest.skip("`refused` is one word, which no two clauses share")
        request = ModerationRequest(second, "assistant", "en", before=first + space)
        assert subject.run(subject.engine.judge(request)).flagged

    @pytest.mark.parametrize("kind", ODD_TEXTS)
    def test_odd_texts_are_judged(self, subject: Subject[Moderator], kind: str) -> None:
        for language in ("", "en", "x-none"):
            request = ModerationRequest(ODD_TEXTS[kind], "assistant", language)
            self.check(subject.engine, subject.run(subject.engine.judge(request)))

    def test_a_long_text_is_judged_to_its_end_without_holding_the_event_loop(self, subject: Subject[Moderator]) -> None:
        self.need_refused()
        engine = subject.engine
        text = f"{' '.join(SENTENCES * 8)} {self.refused}"

        async def judge() -> ModerationVerdict:
            async with unblocked("a long text"):
                return await engine.judge(ModerationRequest(text, "user", "en"))

        assert subject.run(judge()).flagged

    def test_a_question_that_is_given_up_leaves_others_alone(self, subject: Subject[Moderator]) -> None:
        self.need_refused()
        engine = subject.engine

        async def give_up() -> ModerationVerdict:
            asked = asyncio.ensure_future(engine.judge(ModerationRequest(SENTENCES[0], "user")))
            await asyncio.sleep(0)
            asked.cancel()
            await asyncio.wait([asked])
            return await engine.judge(ModerationRequest(self.refused, "user"))

        assert subject.run(give_up()).flagged
