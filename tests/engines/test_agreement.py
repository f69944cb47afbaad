"""Promises about a transcript that is written anew again and again: they grow, and what follows keeps them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import numpy as np
import pytest

from parley.engines.ports import Partial, RecognitionSpec, Samples, TokenLogprob, Transcript, Word
from parley.engines.stt.agreement import WordAgreement
from parley.engines.stt.offline_turns import OfflineTurns


def said(text: str, language: str = "en") -> Transcript:
    """Words of 100 ms each, one behind the other."""
    return Transcript(
        text, tuple(Word(word, 100.0 * i, 100.0 * (i + 1)) for i, word in enumerate(text.split())), language
    )


def test_words_of_two_hypotheses_are_promised_up_to_the_last_but_one() -> None:
    agreement = WordAgreement()
    agreement.heard(said("set a time"))
    assert agreement.promise.text == ""
    agreement.heard(said("set a timer for"))
    assert agreement.promise.text == "set a"
    agreement.heard(said("set a timer for ten"))
    assert agreement.promise.text == "set a timer for"
    assert [word.text for word in agreement.promise.words] == ["set", "a", "timer", "for"]


@pytest.mark.parametrize(
    ("later", "kept"),
    [
        ("set a timer for ten minutes", "set a timer for ten minutes"),
        ("said a timer for ten", "set a timer for ten"),  # another word
        ("set the a timer for ten", "set a timer for ten"),  # one more
        ("set timer for ten", "set a timer for ten"),  # one less
        ("set a", "set a timer"),  # it ends too soon
        ("", "set a timer"),
    ],
)
def test_a_later_hypothesis_begins_with_the_promise_and_says_nothing_twice(later: str, kept: str) -> None:
    agreement = WordAgreement()
    for hypothesis in ("set a timer four", "set a timer for"):
        agreement.heard(said(hypothesis))
    result = agreement.kept(said(later))
    assert result.text == kept
    assert [word.text for word in result.words] == kept.split()
    times = [time for word in result.words for time in (word.start_ms, word.end_ms)]
    assert times == sorted(times)


def test_a_language_without_spaces_is_promised_by_characters() -> None:
    agreement = WordAgreement()
    agreement.heard(Transcript("今日は", language="ja"))
    agreement.heard(Transcript("今日はいい", language="ja"))
    assert agreement.promise.text == "今日は"
    assert agreement.kept(Transcript("今日がいい天気", language="ja")).text == "今日はいい天気"


async def partials_of(
    hypotheses: list[str], spec: RecognitionSpec, on_partial: Callable[[Partial], None]
) -> Transcript:
    """The final of a turn whose decodings give these texts, one for each second and the last one for the final."""
    reported, left = asyncio.Event(), iter(hypotheses)

    def transcribe(audio: Samples, spec: RecognitionSpec) -> Transcript:
        text = next(left)
        return Transcript(text, language="en", logprobs=tuple(TokenLogprob(word, -1.0) for word in text.split()))

    def listen(partial: Partial) -> None:
        on_partial(partial)
        reported.set()

    turns = OfflineTurns("Fickle", transcribe, agreement=True)
    stream = turns.open_stream(spec, listen)
    for _ in hypotheses[:-1]:
        stream.feed(np.full(16_000, 0.3, np.float32))
        await reported.wait()
        reported.clear()
    final = await stream.finish()
    await turns.close()
    return final


async def test_a_turn_promises_what_its_partials_agree_on_and_its_final_keeps_it() -> None:
    partials: list[Partial] = []
    hypotheses = ["set a time", "set a timer for", "said a timer for ten", "said a timer for ten minutes"]
    final = await partials_of(hypotheses, RecognitionSpec("en"), partials.append)
    assert [(one.text, one.stable) for one in partials[:3]] == [
        ("set a time", ""),
        ("set a timer for", "set a"),
        ("set a timer for ten", "set a timer for"),
    ]
    assert final.text == "set a timer for ten minutes"


async def test_a_turn_that_asks_for_logprobs_gets_the_final_as_it_is_heard() -> None:
    partials: list[Partial] = []
    final = await partials_of(
        ["set a time", "set a timer", "said a timer"], RecognitionSpec("en", logprobs=True), partials.append
    )
    assert {one.stable for one in partials} == {""}
    assert final.text == "said a timer"
