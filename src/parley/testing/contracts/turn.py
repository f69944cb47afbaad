"""The contract of turn judges."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from parley.engines.ports import TURN, PauseContext, Samples, TurnJudge
from parley.testing.contracts.base import EngineContract, Subject
from parley.testing.contracts.material import ODD_TEXTS, SENTENCES, noise, odd_audio, silence, speech
from parley.testing.contracts.watching import unblocked

RATE = 16_000
UNFINISHED = "I would like to go to the"


def pause(
    text: str, audio: Samples | None = None, language: str = "en", confidence: float | None = None
) -> PauseContext:
    return PauseContext(text, speech(text, RATE) if audio is None else audio, language, confidence)


class TurnJudgeContract(EngineContract[TurnJudge, float]):
    """For a `TurnJudge`."""

    stage = TURN

    async def answer(self, engine: TurnJudge, number: int) -> float:
        whole = speech(SENTENCES[number], RATE)
        words = SENTENCES[number].split()
        cut = len(words) // 2 if number % 2 else len(words)
        return await engine.judge(pause(" ".join(words[:cut]), whole[: len(whole) * cut // len(words)]))

    def check(self, engine: TurnJudge, answer: float) -> None:
        assert isinstance(answer, float | np.floating | int), f"a probability, not {answer!r}"
        assert 0.0 <= answer <= 1.0, f"{answer} is no probability"

    def same(self, one: float, other: float) -> bool:
        return abs(one - other) < 1e-4

    def test_a_finished_sentence_is_likelier_over_than_one_that_goes_on(self, subject: Subject[TurnJudge]) -> None:
        whole = speech(UNFINISHED + " sea.", RATE)
        cut = pause(UNFINISHED, whole[: round(0.75 * len(whole))])
        over, going_on = (subject.run(subject.engine.judge(each)) for each in (pause(SENTENCES[1]), cut))
        assert over > going_on

    @pytest.mark.parametrize("kind", ODD_TEXTS)
    def test_odd_texts_are_judged(self, subject: Subject[TurnJudge], kind: str) -> None:
        for language in ("", "en", "x-none"):
            answer = subject.run(subject.engine.judge(pause(ODD_TEXTS[kind], noise(1, RATE), language)))
            self.check(subject.engine, answer)

    @pytest.mark.parametrize("kind", odd_audio(RATE))
    def test_odd_audio_is_judged(self, subject: Subject[TurnJudge], kind: str) -> None:
        for text in ("", SENTENCES[1]):
            answer = subject.run(subject.engine.judge(pause(text, odd_audio(RATE)[kind])))
            self.check(subject.engine, answer)

    @pytest.mark.parametrize("confidence", [None, 0.0, 0.5, 1.0])
    def test_any_confidence_of_the_recogniser_is_taken(
        self, subject: Subject[TurnJudge], confidence: float | None
    ) -> None:
        self.check(subject.engine, subject.run(subject.engine.judge(pause(SENTENCES[1], confidence=confidence))))

    def test_the_longest_pause_is_judged_without_holding_the_event_loop(self, subject: Subject[TurnJudge]) -> None:
        engine = subject.engine
        spoken = np.tile(speech(SENTENCES[1], RATE), 8)[: 8 * RATE]

        async def judge() -> float:
            async with unblocked("a pause after 8 s of speech"):
                return await engine.judge(pause(" ".join(SENTENCES * 4), spoken))

        self.check(engine, subject.run(judge()))

    def test_a_question_that_is_given_up_leaves_others_alone(self, subject: Subject[TurnJudge]) -> None:
        engine = subject.engine

        async def give_up() -> float:
            asked = [asyncio.create_task(engine.judge(pause(SENTENCES[1], silence(1, RATE)))) for _ in range(4)]
            await asyncio.sleep(0)
            for task in asked[1:]:
                task.cancel()
            return await asked[0]

        self.check(engine, subject.run(give_up()))
