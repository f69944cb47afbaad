"""Makes the frames of all requests together, on one thread: who is in the next step, and what becomes of a fault.

Laws:
- A round is a short time of preparation (a turn encoded, or appended), then one frame of every request that is ready and whose consumer is
  not behind. Requests join and leave between two rounds.
- Speech for a listener who has more than `MAX_AHEAD_S` of it is made only where nobody needs any sooner. Where more are ready than one
  step may hold, those come first whose listeners run out of speech first.
- What the model raises for one request ends that request. Where it works for none any more, all that were begun fail, and it is loaded
  again; while that fails, `fault` says why.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from statistics import median
from typing import Final

from parley.engines.fair_queue import Backlog, FairQueue
from parley.engines.model_threads import ModelName, ModelThreads, closed
from parley.engines.ports import EngineError, EngineRefused
from parley.engines.tts.csm.conversation import ContextCounts, SequenceModel
from parley.engines.tts.csm.conversations import CsmConversations
from parley.engines.tts.csm.faults import error_of, is_out_of_memory
from parley.engines.tts.csm.model import FRAMES_PER_S, Frame, Sampling
from parley.engines.tts.csm.running_speech import RunningSpeech
from parley.engines.tts.csm.settings import CsmSettings
from parley.engines.tts.csm.speech import MAX_AHEAD_S, CsmSpeech

log = logging.getLogger(__name__)

STUCK_S: Final = 120.0
"""A context of a minute is read in half a minute on a slow processor; a call that takes four times as long has hung."""

MAX_WAITING: Final = 256
"""Requests that wait for a slot: later ones would wait longer than any listener does."""

PREPARE_S: Final = 0.02
"""In each round. A frame lasts 0.08 s, of which a step takes the most."""

RELOAD_S: Final = 30.0
"""Between two attempts to load a model that could not be loaded again."""

PROBE: Final = Sampling(seed=0, eos_bias=-20)
PROBE_FRAMES: Final = 12
PROBE_S: Final = 1.5
"""Whichever is reached first."""


class FrameScheduler:
    """Make it on the event loop with a loaded model; `submit()` requests, `leave()` them, `close()` it last.

    `load` loads the model again; it blocks, and is called on the thread.
    """

    def __init__(
        self, name: str, model: SequenceModel, load: Callable[[], SequenceModel], settings: CsmSettings
    ) -> None:
        self.counts = ContextCounts()
        self._name = ModelName(name, "Speech synthesis", "synthesizer")
        self._load = load
        self._settings = settings
        self._model: SequenceModel | None = None
        self._conversations: CsmConversations | None = None
        self._suspect = False
        """Whether the model has raised something that may not be one request's."""
        self._queue: FairQueue[CsmSpeech] = FairQueue()
        self._backlog = Backlog(MAX_WAITING, MAX_WAITING)
        self._lock = threading.Lock()
        """For the queue and the backlog: the thread takes, the event loop puts."""
        self._active: list[RunningSpeech] = []
        self._broken: EngineError | None = None
        self._loaded_s = 0.0
        self._loading = False
        self._closed = False
        self._threads = ModelThreads(self._name, self._burst, self._drop_waiting, limit_s=STUCK_S)
        self._use(model)

    @property
    def fault(self) -> EngineError | None:
        """Why nothing can be spoken at this moment; None while something can."""
        return self._threads.fault or self._broken

    @property
    def _to_be_loaded(self) -> bool:
        """Whether a broken model is being loaded again, or is to be for the next request, which waits for it."""
        due = self._broken is not None and time.monotonic() - self._loaded_s >= RELOAD_S
        return self._threads.fault is None and (self._loading or due)

    def submit(self, speech: CsmSpeech) -> None:
        """Have it spoken. Raises `EngineError`: `engine_closed`, the `fault`, and `EngineRefused` (`overloaded`)."""
        if self._closed:
            raise closed(self._name)
        if (fault := self.fault) is not None and not self._to_be_loaded:
            raise fault
        share = speech.request.share
        with self._lock:
            if not self._backlog.takes(share, 1):
                raise EngineRefused(
                    f"{self._backlog.waiting} requests wait for {self._name.model} already.",
                    "Try again later.",
                    code="overloaded",
                )
            self._backlog.add(share, 1)
            self._queue.put(speech, share)
        self._threads.wake()

    def leave(self, speech: CsmSpeech) -> None:
        """Nothing more of it is wanted; idempotent."""
        with self._lock:
            waiting = len(self._queue)
            self._queue.discard(speech, speech.request.share)
            if len(self._queue) < waiting:
                self._backlog.remove(speech.request.share, 1)
        speech.leave()

    def wake(self) -> None:
        """A consumer has taken something."""
        self._threads.wake()

    async def close(self) -> None:
        """Fail what is being spoken and what waits, and let go of the model; idempotent."""
        self._closed = True
        error = closed(self._name)
        self._drop_waiting(error)
        self._fail_active(error)
        await self._threads.stop()
        self._fail_active(error)  # one may have been admitted meanwhile
        self._active.clear()
        self._model = None
        self._conversations = None

    # --- the event loop, for the threads ---

    def _burst(self) -> _Burst | None:
        """Called only while the thread does nothing."""
        if self._broken is not None:
            return _Burst(self) if len(self._queue) and self._to_be_loaded else None
        runnable = any(one.speech.left or not one.speech.ahead for one in self._active)
        return _Burst(self) if runnable or (len(self._queue) and len(self._active) < self._settings.slots) else None

    def _drop_waiting(self, error: EngineError) -> None:
        with self._lock:
            waiting = self._queue.drain()
            for speech in waiting:
                self._backlog.remove(speech.request.share, 1)
        for speech in waiting:
            speech.fail(error)

    def _fail_active(self, error: EngineError) -> None:
        for one in tuple(self._active):
            one.speech.fail(error)
            one.speech.left = True

    def settled(self) -> None:
        """The thread has done what there was to do: fail what waits, where the model is broken."""
        if self._broken is not None:
            self._drop_waiting(self._broken)

    def failed(self, error: EngineError) -> None:
        """The thread hangs, or has raised what no request accounts for."""
        self._fail_active(error)

    # --- the thread ---

    def run(self, alive: Callable[[], None]) -> None:
        """Rounds, until there is nothing to do."""
        if self._broken is not None:
            self._reload()
        while self._broken is None and not self._closed and self._round():
            alive()

    def _round(self) -> bool:
        """Whether there was something to do."""
        for one in [one for one in self._active if one.speech.left]:
            self._finish(one)
        self._admit()
        prepared = self._prepare()
        stepped = self._step()
        if self._suspect:
            self._check()
        return prepared or stepped

    def _admit(self) -> None:
        assert self._conversations is not None
        while not self._conversations.full:
            with self._lock:
                speech = self._queue.take()
                if speech is None:
                    return
                self._backlog.remove(speech.request.share, 1)
            if speech.left:
                continue
            assert self._model is not None
            try:
                conversation = self._conversations.lend(speech.request.share)
            except Exception as error:  # noqa: BLE001 - the engine boundary: it takes a slot from an idle conversation
                self._suspect = True
                speech.fail(error_of(error, self._name.model))
                return
            self._active.append(RunningSpeech(speech, conversation, self._model))

    def _prepare(self) -> bool:
        """Prepare those who begin, a part at a time, for so long that nobody else waits for it noticeably."""
        until_s = time.monotonic() + PREPARE_S
        prepared = False
        while waiting := [one for one in self._active if not one.ready and not one.speech.left]:
            one = min(waiting, key=lambda one: one.speech.due_s)
            try:
                one.prepare()
            except Exception as error:  # noqa: BLE001 - the engine boundary
                self._fail(one, error)
            prepared = True
            if time.monotonic() >= until_s:
                break
        return prepared

    def _step(self) -> bool:
        ready = [one for one in self._active if one.ready and not one.speech.ahead and not one.speech.left]
        if not ready:
            return False
        soon_s = time.monotonic() + MAX_AHEAD_S
        needed = [one for one in ready if one.speech.due_s < soon_s] or ready
        chosen = sorted(needed, key=lambda one: one.speech.due_s)[: self._settings.batch]
        for one, frame in self._frames(chosen):
            try:
                over = one.take(frame)
            except Exception as error:  # noqa: BLE001 - the engine boundary: it cuts the sequence
                self._fail(one, error)
                continue
            if over:
                self._finish(one)
        return True

    def _frames(self, chosen: list[RunningSpeech]) -> list[tuple[RunningSpeech, Frame]]:
        """A frame of each. Where the model raises for several, each is tried alone, unless its sequence has changed meanwhile."""
        assert self._model is not None
        before = [self._model.length(one.sequence) for one in chosen]
        try:
            return list(zip(chosen, self._model.step([one.sequence for one in chosen]), strict=True))
        except Exception as error:
            if len(chosen) == 1:
                self._fail(chosen[0], error)
                return []
            log.warning("%s failed for %d requests at once", self._name.model, len(chosen), exc_info=error)
            failed = error
        made: list[tuple[RunningSpeech, Frame]] = []
        for one, length in zip(chosen, before, strict=True):
            if self._model.length(one.sequence) != length:
                self._fail(one, failed)
            else:
                made += self._frames([one])
        return made

    def _finish(self, one: RunningSpeech) -> None:
        """It has been said, or is not wanted any more."""
        try:
            one.stop()
        except Exception as error:  # noqa: BLE001 - the engine boundary: it cuts the sequence
            self._fail(one, error)
            return
        self._release(one)

    def _fail(self, one: RunningSpeech, error: Exception) -> None:
        if not isinstance(error, EngineError):
            log.warning("%s failed for one request", self._name.model, exc_info=error)
        self._suspect = self._suspect or not (isinstance(error, EngineError) or is_out_of_memory(error))
        one.speech.fail(error_of(error, self._name.model))
        try:
            one.conversation.drop()
        except Exception as raised:
            one.conversation.sequence = None
            self._suspect = True
            log.warning("%s failed to give a slot back", self._name.model, exc_info=raised)
        self._release(one)

    def _release(self, one: RunningSpeech) -> None:
        assert self._conversations is not None
        self._active.remove(one)
        self._conversations.give_back(one.conversation)

    # --- a model that may be broken ---

    def _check(self) -> None:
        """Whether the model still speaks; where it does not, fail what was begun and load it again."""
        self._suspect = False
        assert self._model is not None
        try:
            probe(self._model)
        except EngineRefused:  # every slot is taken
            return
        except Exception as error:
            if is_out_of_memory(error):
                return
            log.error("%s is broken, and is loaded again", self._name.model, exc_info=error)
            self._loading = True
            self._broken = error_of(error, self._name.model)
            self._fail_active(self._broken)
            self._active.clear()
            self._reload()

    def _reload(self) -> None:
        self._loading = True
        self._model = self._conversations = None
        self._loaded_s = time.monotonic()
        try:
            model = self._load()
            probe(model)
        except Exception as error:
            self._loading = False
            log.error("%s cannot be loaded again", self._name.model, exc_info=error)
            why = error_of(error, self._name.model)
            self._broken = EngineError(
                f"Speech synthesis is down: {why.message}",
                "It is loaded again from time to time; restart the server if it stays so.",
                code="synthesizer_failed",
            )
            return
        self._use(model)
        self._broken = None
        self._loading = False

    def _use(self, model: SequenceModel) -> None:
        settings = self._settings
        frames = round(settings.context_s * FRAMES_PER_S)
        self._conversations = CsmConversations(model, settings.sampling, frames, settings.slots, self.counts)
        self._model = model


def probe(model: SequenceModel) -> float:
    """Have the model say something short, and return how long a frame takes, in seconds. Raises what the model raises."""
    sequence = model.open(PROBE)
    try:
        model.append(sequence, [model.tokenize("Yes.", 0)])
        model.begin(sequence)
        took_s: list[float] = []
        while len(took_s) < PROBE_FRAMES and sum(took_s) < PROBE_S:
            began_s = time.perf_counter()
            ended = model.step([sequence])[0].ended
            took_s.append(time.perf_counter() - began_s)
            if ended:
                break
        return median(took_s)
    finally:
        model.close(sequence)


class _Burst:
    """The scheduler's rounds, as one job of its thread."""

    def __init__(self, scheduler: FrameScheduler) -> None:
        self._scheduler = scheduler

    def run(self, alive: Callable[[], None]) -> None:
        self._scheduler.run(alive)

    def returned(self) -> None:
        self._scheduler.settled()

    def failed(self, error: EngineError) -> None:
        self._scheduler.failed(error)
