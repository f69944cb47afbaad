"""CSM as a synthesizer: the conversation before the model, requests that share its steps, and what goes wrong."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest

from parley.engines.ports import SpokenTurn
from parley.engines.tts.csm import spoken_text
from parley.engines.tts.csm.model import CsmModel, Sampling
from tests.engines.csm.talking import FRAME, Calls, opened, ours, quickened, say, sound, user

pytest.importorskip("torch", reason="torch (the extra `csm`) is not installed")
pytest.importorskip("transformers", reason="transformers (the extra `csm`) is not installed")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    quickened(monkeypatch, tmp_path)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    return Calls(monkeypatch)


async def test_the_sound_of_the_conversation_changes_what_is_spoken(folder: Path) -> None:
    async with opened(folder) as engine:
        contexts = [(user("u", seed=seed),) for seed in (1, 2)]
        one, other = [await say(engine, share=n, id="r", context=context) for n, context in enumerate(contexts)]
        again = await say(engine, share=2, id="r", context=contexts[0])
        assert engine.info.conversational
        assert not np.array_equal(one, other), "the same words in another sound"
        assert np.array_equal(one, again)


async def test_a_growing_conversation_is_appended_to_and_no_turn_is_encoded_twice(folder: Path, calls: Calls) -> None:
    async with opened(folder) as engine:
        assert engine.scheduler is not None
        context: tuple[SpokenTurn, ...] = ()
        for number in range(4):
            context += (user(f"u{number}", seed=number),)
            audio = await say(engine, "Yes.", share="s", id=f"r{number}", context=context)
            context += (ours(f"r{number}", "Yes.", audio),)
        assert len(calls.encoded) == 4, "the user's turns; ours are known from making them"
        assert engine.scheduler.counts.appended == 4, "what was spoken stays where it is"
        assert engine.scheduler.counts.reused == 0 + 2 + 4 + 6


async def test_a_reply_that_was_cut_off_stands_there_with_the_codes_that_were_heard(folder: Path, calls: Calls) -> None:
    async with opened(folder) as engine:
        whole = await say(engine, "One two three four.", share="s", id="r", context=(user("u"),))
        heard = whole[: 10 * FRAME + 300]
        context = (user("u"), ours("r", "One two", heard), user("v", "Stop.", seed=3))
        calls.appended.clear()
        said = await say(engine, "Yes.", share="s", id="q", context=context)
        (tokens, codes), (_, later), _ = calls.appended
        assert len(codes) == 10
        assert len(later) == 10, "0.8 s of the user's"
        assert len(calls.encoded) == 2

    # The model itself, given the same turns, says the same.
    model = CsmModel(folder, device="cpu", slots=1)
    sequence = model.open(Sampling(seed=1, eos_bias=-20))
    model.append(sequence, [model.tokenize("What is it?", 1), model.encode(sound(0.8))])
    model.append(sequence, [tokens, codes])
    model.append(sequence, [model.tokenize("Stop.", 1), later, model.tokenize("Yes.", 0)])
    assert tokens == model.tokenize("One two.", 0)
    model.begin(sequence)
    alone = np.concatenate([model.step([sequence])[0].audio for _ in range(len(said) // FRAME)])
    assert np.abs(np.clip(alone, -1, 1) - said).max() < 1e-3


async def test_what_was_spoken_lies_there_as_if_it_had_been_appended(folder: Path) -> None:
    """Keys and values that speaking left are those of the codes it made."""
    async with opened(folder) as engine:
        audio = await say(engine, "Hello.", share="s", id="r")
        context = (ours("r", "Hello.", audio),)
        stayed = await say(engine, "Yes.", share="s", id="q", context=context)
        cut = (ours("r", "Hello.", audio[: 4 * FRAME]),)
        await say(engine, "No.", share="s", id="p", context=cut)
        assert engine.scheduler is not None
        appended = engine.scheduler.counts.appended
        again = await say(engine, "Yes.", share="s", id="o", context=context)
        assert engine.scheduler.counts.appended == appended + 1, "laid anew, because it had been cut"
        assert np.abs(stayed - again).max() < 1e-3


async def test_a_long_conversation_is_trimmed_and_its_beginning_then_stays(folder: Path, calls: Calls) -> None:
    async with opened(folder, context_s=8) as engine:
        assert engine.scheduler is not None
        turns = [user(f"u{number}", seconds=1.6, seed=number) for number in range(8)]
        costs = []
        for count in range(1, 9):
            before = engine.scheduler.counts.appended
            await say(engine, "Yes.", share="s", id=f"r{count}", context=tuple(turns[:count]))
            costs.append(engine.scheduler.counts.appended - before)
        assert len(calls.encoded) == 8
        assert costs == [1, 1, 1, 1, 1, 2, 1, 1], "trimmed to the half once, then only appended to"


async def test_a_turn_that_is_longer_than_the_context_is_left_out_without_being_encoded(
    folder: Path, calls: Calls
) -> None:
    async with opened(folder, context_s=2) as engine:
        assert len(await say(engine, share="s", context=(user("u", seconds=3),)))
        assert calls.encoded == []


async def test_odd_turns_do_no_harm(folder: Path) -> None:
    nothing = np.zeros(0, np.float32)
    broken = np.full(9_000, np.nan, np.float32)
    context = (
        SpokenTurn("a", "user", "gone", nothing, 16_000),
        SpokenTurn("b", "user", "", sound(0.5), 24_000),
        SpokenTurn("c", "assistant", "not ours", broken, 24_000),
        SpokenTurn("d", "user", "x" * 600, sound(0.2), 24_000),
        SpokenTurn("e", "user", "short", sound(0.001), 48_000),
    )
    async with opened(folder) as engine:
        for _ in range(2):
            assert len(await say(engine, share="s", id="r", context=context))


async def test_sessions_never_hear_each_other(folder: Path) -> None:
    async with opened(folder) as engine:
        alone = await say(engine, share="one", id="r")
        await say(engine, share="two", id="r", context=(user("u"),))
        await say(engine, share="two", id="r2", context=(user("u"), ours("r", "Yes.", alone)))
        assert np.array_equal(alone, await say(engine, share="three", id="r3"))
        assert np.array_equal(alone, await say(engine, share="one", id="r4"))
        assert np.array_equal(alone, await say(engine)), "a request without an owner"


async def test_more_sessions_than_slots_take_turns_and_lose_nothing(folder: Path, calls: Calls) -> None:
    async with opened(folder, sessions=2, batch=2) as engine:
        first = [await say(engine, share=n, id="r", context=(user("u", seed=n),)) for n in range(4)]
        again = [await say(engine, share=n, id="q", context=(user("u", seed=n),)) for n in range(4)]
        assert all(map(np.array_equal, first, again))
        assert len(calls.encoded) == 4, "the codes stay when the slot goes"


async def test_a_second_request_of_a_session_waits_for_nothing(folder: Path, calls: Calls) -> None:
    async with opened(folder) as engine:
        both = await asyncio.gather(
            *(say(engine, share="s", id=name, context=(user("u"),)) for name in ("r", "q")),
        )
        assert len(both[0]) == len(both[1])
        assert np.abs(both[0] - both[1]).max() < 1e-3
        assert len(calls.encoded) == 1
        assert 2 in calls.stepped


async def test_a_long_text_is_spoken_in_pieces_of_which_each_goes_on_from_the_last(
    folder: Path, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spoken_text, "MAX_PIECE_CHARS", 16)
    async with opened(folder) as engine:
        assert engine.scheduler is not None
        calls.appended.clear()
        audio = await say(engine, "One two three. Four five six.", share="s", id="r")
        assert [len(pieces) for pieces in calls.appended] == [1, 1], "two texts, and nothing else"
        assert engine.scheduler.counts.reused == 1
        half = len(audio) // FRAME // 2
        context = (ours("r", "One two three. Four five six.", audio[: (half + 5) * FRAME]),)
        calls.appended.clear()
        await say(engine, share="s", id="q", context=context)
        assert [len(pieces[1]) for pieces in calls.appended[:-1]] == [5], "the first piece stays where it is"


async def test_nothing_to_say_is_silence(folder: Path) -> None:
    async with opened(folder) as engine:
        assert len(await say(engine, " … ")) == 0
