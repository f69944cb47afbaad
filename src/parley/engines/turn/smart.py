"""Smart Turn: a trained model that judges by the sound of the last eight seconds whether the speaker has finished, and `rules` beside it.

Laws:
- The model hears and does not read. Its log odds are scaled and added to those of `rules`, which has the words; with the option `alone`
  the answer is the model's as it is, and the text changes nothing.
- Judgements run one after the other on the model's own thread, features included; the event loop only waits. A judgement whose pause has
  passed before its turn came is not computed. Sessions take turns, because each has one question open at a time.
- One thread, no spinning: a call costs its own milliseconds and burns nothing between calls.

Source: Smart Turn v3.2 (https://github.com/pipecat-ai/smart-turn): Whisper tiny's encoder with a classifier, quantised to 8 bits.
"""

from __future__ import annotations

import asyncio
import functools
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from parley.engines.model_worker import ModelWorker
from parley.engines.onnx_session import open_session
from parley.engines.options import OptionReader
from parley.engines.ports import EngineError, EngineInfo, EngineUnavailable, PauseContext, Samples
from parley.engines.turn import smart_weights
from parley.engines.turn.rules import weigh
from parley.engines.turn.smart_features import FRAMES, MELS, SAMPLE_RATE, log_mel

INPUT = "input_features"

SHARE: Final = 0.6
"""Of the model's log odds that count beside the rules. Both hear the same sound, so their evidence is not independent."""

OFFSET: Final = -1.65
"""In log odds. In pauses inside sentences the model answers 0.9 and more about as often as less (`benchmarks/turn_curve.py`)."""

_SURELY: Final = 1e-4
"""The model's answer is taken to be this far from 0 and 1 at least."""

LIMIT_S = 5.0
"""The longest wait of medium eagerness is 4 s: a later judgement comes after the end of the turn."""

MAX_WAITING = 256
"""At 90 ms a judgement, the last one would come after 23 s; beyond this, judgements are refused and pauses judged by their length."""


class SmartTurn:
    """The `TurnJudge` port. Call `open()`, then `judge()` in any number of sessions."""

    def __init__(self, model: str = "", threads: int = 1, alone: bool = False) -> None:
        self._model = model
        self._threads = threads
        self._alone = alone
        self._session: Any = None
        self._worker: ModelWorker | None = None

    @property
    def info(self) -> EngineInfo:
        return EngineInfo(
            stage="turn",
            name="smart",
            summary="Smart Turn v3.2 on ONNX Runtime: judges a pause by the sound of the last 8 s (23 languages), with `rules` beside it",
            needs=("onnxruntime", "weights (8.7 MB, of the catalogue or a file)"),
            sample_rate=SAMPLE_RATE,
            licence="BSD-2-Clause",
        )

    @property
    def fault(self) -> EngineError | None:
        """Why nothing can be judged at this moment; None while something can."""
        return self._worker.fault if self._worker else None

    def missing_models(self) -> tuple[str, ...]:
        """The published graph, where it is wanted and not on this machine."""
        return smart_weights.missing(self._model)

    async def open(self) -> None:
        """Load the graph and judge a silence with it. Raises `EngineUnavailable`."""
        if self._worker is not None:
            return
        self._session = await asyncio.to_thread(_load, self._model, self._threads)
        self._worker = ModelWorker(
            "Smart Turn", title="Turn judgement", code_prefix="turn", limit_s=LIMIT_S, max_waiting=MAX_WAITING
        )

    async def close(self) -> None:
        worker, self._worker = self._worker, None
        if worker is not None:
            await worker.close()
        self._session = None

    async def judge(self, pause: PauseContext) -> float:
        """Probability in 0..1 that the turn is over. Raises `EngineError`: `turn_failed`, `turn_stuck`, `overloaded`, `engine_closed`."""
        if self._worker is None:
            raise EngineError("Smart Turn is not open.", code="engine_closed")
        return await self._worker.call(functools.partial(self._answer, self._session, pause))

    def _answer(self, session: Any, pause: PauseContext) -> float:
        heard = _judge(session, pause.audio)
        return heard if self._alone else combined(heard, pause)


def combined(heard: float, pause: PauseContext) -> float:
    """Probability in 0..1 that the turn is over, from the model's (`heard`) and the evidence of `rules`."""
    heard = min(1 - _SURELY, max(_SURELY, heard))
    log_odds = OFFSET + SHARE * math.log(heard / (1 - heard)) + weigh(pause).log_odds
    return 1 / (1 + math.exp(-log_odds))


def _judge(session: Any, audio: Samples) -> float:
    """The graph's answer: its output is named `logits` and holds a probability."""
    (answer,) = session.run(None, {INPUT: log_mel(audio)[None]})
    if np.size(answer) != 1 or not 0.0 <= (finished := float(np.ravel(answer)[0])) <= 1.0:
        raise EngineError(
            f"Smart Turn gave {np.ravel(answer)[:3].tolist()} where a probability was expected.",
            code="invalid_judgement",
            remedy=f"Use the published graph, {smart_weights.FILE}.",
        )
    return finished


def _load(model: str, threads: int) -> Any:
    path = smart_weights.locate(model)
    try:
        session = open_session(path, threads)
    except EngineUnavailable:
        raise
    except Exception as error:
        raise _wrong_graph(path, str(error)) from error
    _check(session, path)
    try:
        _judge(session, np.zeros(0, dtype=np.float32))
    except Exception as error:
        raise _wrong_graph(path, str(error)) from error
    return session


def _check(session: Any, path: Path) -> None:
    """Raises `EngineUnavailable` for a graph with other inputs or outputs than Smart Turn's."""
    inputs = {each.name: list(each.shape) for each in session.get_inputs()}
    if set(inputs) != {INPUT} or inputs[INPUT][1:] != [MELS, FRAMES] or len(session.get_outputs()) != 1:
        raise _wrong_graph(path, f"its inputs are {inputs}, not {INPUT} [batch, {MELS}, {FRAMES}]")


def _wrong_graph(path: Path, why: str) -> EngineUnavailable:
    return EngineUnavailable(
        f"{path} cannot be used as Smart Turn: {why.strip().rstrip('.')}.",
        code="bad_weights",
        remedy=f"Give the path of {smart_weights.FILE}, or leave the path out to use the published graph.",
    )


def create(model: str, options: Mapping[str, object]) -> SmartTurn:
    """Entry point `turn.smart`. `model` is a file or folder, "" the published graph.

    Options: `threads` of a judgement (1 to 16, 1); `alone` (off): the model's answer without the words and the rules.
    """
    given = OptionReader("turn smart", options)
    threads = int(given.number("threads", 1, 1, 16))
    alone = given.flag("alone", False)
    given.close()
    return SmartTurn(model, threads, alone)
