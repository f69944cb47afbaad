"""Requests that share the model's steps: joining, leaving, being ahead; and what becomes of a model that fails."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from parley.engines.ports import EngineError, EngineRefused, SpeechChunk, SpeechRequest
from parley.engines.tts.csm import engine as engine_module
from parley.engines.tts.csm import scheduler as scheduling
from parley.engines.tts.csm.model import CsmModel, Frame
from parley.engines.tts.csm.speech import MAX_AHEAD_FRAMES
from tests.engines.csm.talking import FRAME, Calls, opened, ours, quickened, say, user

torch = pytest.importorskip("torch", reason="torch (the extra `csm`) is not installed")
pytest.importorskip("transformers", reason="transformers (the extra `csm`) is not installed")

LONG = "one two three four five six seven eight nine ten"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    quickened(monkeypatch, tmp_path)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    return Calls(monkeypatch)


async def test_requests_share_steps_and_each_says_what_it_says_alone(folder: Path, calls: Calls) -> None:
    texts = [LONG, "Yes.", "One two three."]
    async with opened(folder) as engine:
        alone = [await say(engine, text) for text in texts]
        calls.stepped.clear()
        together = await asyncio.gather(*(say(engine, text, share=n) for n, text in enumerate(texts)))
        assert all(len(one) == len(other) for one, other in zip(alone, together, strict=True))
        assert all(np.abs(one - other).max() < 1e-3 for one, other in zip(alone, together, strict=True))
        frames = [len(one) // FRAME for one in alone]
        assert sum(calls.stepped) == sum(frames)
        assert len(calls.stepped) <= max(frames) + 8, "they are spoken at the same time"


async def test_more_requests_than_a_step_holds_are_all_spoken(folder: Path, calls: Calls) -> None:
    async with opened(folder, batch=2, sessions=4) as engine:
        said = await asyncio.gather(*(say(engine, share=n) for n in range(7)))
        assert len({len(one) for one in said}) == 1
        assert max(calls.stepped) == 2


async def test_the_first_sound_comes_after_one_frame(folder: Path, calls: Calls) -> None:
    async with opened(folder) as engine:
        calls.stepped.clear()
        made: list[int] = []
        calls.before_step = lambda _: made.append(len(calls.stepped))
        async with aclosing(engine.speak(SpeechRequest(LONG))) as chunks:  # type: ignore[type-var]
            first = await anext(chunks)
        assert len(first.audio) % FRAME == 0
        assert len(first.audio) <= (len(made) + 1) * FRAME


async def test_a_reply_that_is_closed_stops_within_a_frame(folder: Path, calls: Calls) -> None:
    async with opened(folder) as engine:
        chunks: Any = engine.speak(SpeechRequest(LONG, share="s", id="r"))
        await anext(chunks)
        await chunks.aclose()
        steps = len(calls.stepped)
        said = await say(engine, share="other")
        assert len(calls.stepped) <= steps + 1 + len(said) // FRAME
        assert len(await say(engine, share="s", id="q", context=(ours("r", "one", said[:FRAME]),)))


async def test_a_request_that_is_not_begun_yet_can_be_closed(folder: Path, calls: Calls) -> None:
    async with opened(folder, batch=1, sessions=1) as engine:
        first: Any = engine.speak(SpeechRequest(LONG, share=1))
        await anext(first)
        waiting = asyncio.ensure_future(say(engine, "Never said.", share=2))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
        texts = len(calls.appended)
        await first.aclose()
        await say(engine, share=3)
        assert len(calls.appended) == texts + 1


async def test_nothing_is_made_far_ahead_of_a_consumer_that_is_behind(folder: Path) -> None:
    async with opened(folder) as engine:
        behind: Any = engine.speak(SpeechRequest(" ".join([LONG] * 2), share="slow"))
        taken = len((await anext(behind)).audio) // FRAME
        others = [len(await say(engine, LONG, share=n)) // FRAME for n in range(2)]
        assert min(others) > 2 * MAX_AHEAD_FRAMES
        waiting = len((await anext(behind)).audio) // FRAME
        assert waiting <= MAX_AHEAD_FRAMES, f"{taken} were taken"
        rest = [chunk.audio async for chunk in behind]
        assert sum(map(len, rest)) // FRAME + taken + waiting > 2 * MAX_AHEAD_FRAMES, "and it goes on when it is taken"


async def test_what_may_wait_is_bounded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduling, "MAX_WAITING", 2)
    async with opened(folder, batch=1, sessions=1) as engine:
        first: Any = engine.speak(SpeechRequest(LONG, share=0))
        await anext(first)
        waiting = [asyncio.ensure_future(say(engine, share=1)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(EngineRefused) as refused:
            await say(engine, share=1)
        assert refused.value.code == "overloaded"
        await first.aclose()
        assert all(map(len, await asyncio.gather(*waiting)))


async def test_speech_ends_where_the_model_falls_silent(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    step, made = CsmModel.step, 0

    def falling_silent(model: CsmModel, sequences: Sequence[Any]) -> list[Frame]:
        nonlocal made
        made += 1
        loud = made < 10
        return [
            Frame(one.codes, one.audio if loud else np.zeros_like(one.audio), one.ended)
            for one in step(model, sequences)
        ]

    async with opened(folder) as engine:
        monkeypatch.setattr(CsmModel, "step", falling_silent)
        said = await say(engine, LONG, share="s", id="r")
        assert made == 9 + 15, "1.2 s of silence end it"
        assert len(said) == (9 + 4) * FRAME, "0.32 s of it are handed on"
        assert engine.scheduler is not None
        made, reused = 0, engine.scheduler.counts.reused
        await say(engine, share="s", id="q", context=(ours("r", LONG, said),))
        assert engine.scheduler.counts.reused == reused + 1, "what lies before the model was cut to what was handed on"


async def test_a_model_that_ends_its_speech_is_believed(tmp_path: Path) -> None:
    from tests.engines.csm.tiny_csm import csm_folder

    weights = csm_folder(tmp_path / "ends", ends=True)
    frames: dict[float, int] = {}
    for bias in (0, 2, 4):
        async with opened(weights, temperature=0, eos_bias=bias) as engine:
            frames[bias] = sum([len(await say(engine, text)) // FRAME for text in ("One.", "Hello there.")])
    assert frames[4] < frames[2] < frames[0], frames
    async with opened(weights, temperature=0, eos_bias=2) as engine:
        assert engine.scheduler is not None
        said = await say(engine, "Hello there.", share="s", id="r")
        await say(engine, "One.", share="s", id="q", context=(ours("r", "Hello there.", said),))
        assert engine.scheduler.counts.reused == 1
        assert engine.scheduler.counts.appended == 0


# --- faults ---


class Fault:
    """Raised by the model's next steps: `error` for `times` of them, where one is of `sequence`, if that is given."""

    def __init__(self, calls: Calls) -> None:
        self.error: Exception | None = None
        self.times = 1
        self.only: Any = None
        calls.before_step = self._check

    def _check(self, sequences: Sequence[Any]) -> None:
        if self.error is not None and self.times > 0 and (self.only is None or self.only in sequences):
            self.times -= 1
            raise self.error


@pytest.fixture
def fault(calls: Calls) -> Fault:
    return Fault(calls)


async def failure(attempt: Any) -> EngineError:
    with pytest.raises(EngineError) as raised:
        await attempt
    return raised.value


async def test_memory_that_runs_out_fails_one_request(folder: Path, fault: Fault) -> None:
    async with opened(folder, batch=1, sessions=1) as engine:
        fault.error = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 MiB.")
        error = await failure(say(engine, share=1))
        assert error.code == "out_of_memory"
        assert "context_s" in error.remedy
        assert engine.fault is None
        assert len(await say(engine, share=1)), "its slot is free again"


async def test_a_step_that_fails_for_one_request_fails_no_other(folder: Path, fault: Fault, calls: Calls) -> None:
    seen: list[Any] = []
    check = calls.before_step

    def watch(sequences: Sequence[Any]) -> None:
        seen.extend(one for one in sequences if one not in seen)
        if len(sequences) == 3 and fault.error is None:
            fault.error, fault.times, fault.only = RuntimeError("a bad row"), 2, sequences[1]
        check(sequences)

    async with opened(folder) as engine:
        whole = len(await say(engine, LONG))
        seen.clear()
        calls.before_step = watch
        said = await asyncio.gather(*(say(engine, LONG, share=n) for n in range(3)), return_exceptions=True)
        failed = [one for one in said if isinstance(one, BaseException)]
        assert [len(one) for one in said if isinstance(one, np.ndarray)] == [whole] * 2
        assert len(failed) == 1
        assert isinstance(failed[0], EngineError)
        assert failed[0].code == "engine_error"
        assert "a bad row" in failed[0].message
        assert engine.fault is None
        assert len(await asyncio.gather(*(say(engine, share=n) for n in range(4)))) == 4, "all slots are free again"


async def test_a_step_that_fails_once_fails_nobody(folder: Path, fault: Fault) -> None:
    async with opened(folder) as engine:
        fault.error = RuntimeError("too much at once")
        chunks: Any = engine.speak(SpeechRequest(LONG, share=1))
        other = asyncio.ensure_future(say(engine, LONG, share=2))
        fault.times = 0
        first = len((await anext(chunks)).audio)
        fault.times = 1
        rest = sum([len(chunk.audio) async for chunk in chunks])
        lengths = {first + rest, len(await other)}
        assert len(lengths) == 1


async def test_a_model_that_is_broken_is_loaded_again(
    folder: Path, fault: Fault, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(folder) as engine:
        loaded: list[int] = []
        load = CsmModel.__init__

        def loading(model: CsmModel, *arguments: Any, **options: Any) -> None:
            loaded.append(1)
            fault.error = None
            load(model, *arguments, **options)

        monkeypatch.setattr(CsmModel, "__init__", loading)
        chunks: Any = engine.speak(SpeechRequest(LONG, share="s", id="r", context=(user("u"),)))
        heard: SpeechChunk = await anext(chunks)
        fault.error, fault.times = RuntimeError("CUDA error: device-side assert triggered"), 1_000
        error = await failure(_rest(chunks))
        assert error.code == "engine_error"
        context = (user("u"), ours("r", "one", heard.audio))
        assert len(await say(engine, share="s", id="q", context=context))
        assert loaded == [1]
        assert engine.fault is None
    assert "is loaded again" in caplog.text


async def test_a_model_that_cannot_be_loaded_again_is_reported_and_tried_later(
    folder: Path, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(folder) as engine:
        load = CsmModel.__init__

        def failing(model: CsmModel, *arguments: Any, **options: Any) -> None:
            raise RuntimeError("no GPU")

        monkeypatch.setattr(CsmModel, "__init__", failing)
        fault.error, fault.times = RuntimeError("CUDA error"), 1_000
        waiting = [asyncio.ensure_future(say(engine, share=n)) for n in range(8)]
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        assert all(isinstance(one, EngineError) for one in outcomes)
        assert engine.fault is not None
        assert "no GPU" in engine.fault.message
        assert (await failure(say(engine))).code == "synthesizer_failed"
        monkeypatch.setattr(CsmModel, "__init__", load)
        monkeypatch.setattr(scheduling, "RELOAD_S", 0.0)
        fault.error = None
        assert len(await say(engine)), "the first request after a while has it loaded, and waits for it"
        assert engine.scheduler is not None
        assert engine.scheduler.fault is None


async def test_a_model_that_hangs_is_reported_until_it_returns(
    folder: Path, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduling, "STUCK_S", 1.0)
    go_on = threading.Event()
    async with opened(folder) as engine:
        calls.before_step = lambda _: assert_true(go_on.wait(60))
        error = await failure(say(engine, share=1))
        assert error.code == "synthesizer_stuck"
        fault = engine.fault
        assert fault is not None
        assert (await failure(say(engine, share=2))).code == "synthesizer_stuck"
        go_on.set()
        async with asyncio.timeout(30):
            while engine.fault is not None:  # noqa: ASYNC110 - the thread tells nobody that it has returned
                await asyncio.sleep(0)
        assert len(await say(engine, share=1))


async def test_closing_fails_what_is_spoken_and_what_waits(folder: Path) -> None:
    async with opened(folder, batch=1, sessions=1) as engine:
        waiting = [asyncio.ensure_future(say(engine, LONG, share=n)) for n in range(3)]
        await asyncio.sleep(0)
        await engine.close()
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        assert {one.code for one in outcomes if isinstance(one, EngineError)} == {"engine_closed"}
        assert len(outcomes) == 3
        assert (await failure(say(engine))).code == "not_open"


async def test_a_machine_that_is_too_slow_is_told_of(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(engine_module, "probe", lambda model: 0.4)
    with caplog.at_level(logging.WARNING):
        async with opened(folder) as engine:
            assert "a real-time factor of 5" in engine.info.summary
            assert "too slow" in engine.notice
    assert "takes 5.0 s on cpu for a second of speech" in caplog.text


def assert_true(value: bool) -> None:
    assert value


async def _rest(chunks: Any) -> None:
    async for _ in chunks:
        pass
