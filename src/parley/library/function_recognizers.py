"""Functions as the voice activity model and as the recogniser.

Laws: audio is float32 `[n]` in [-1, 1] at 16 kHz, a copy of the function's own; a plain or asynchronous function is given all of it and
returns, a generator function makes one generator for each stream (each turn), which is given the audio as it comes.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterator, Sequence
from contextlib import aclosing
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parley.engines.ports import EngineError, Partial, RecognitionSpec, Samples, Transcript
from parley.library.errors import LibraryError
from parley.library.functions import END, FunctionEngine, asked_for, called, is_async, is_generator, name_of

logger = logging.getLogger(__name__)

RATE = 16_000
"""The sample rate for functions, in Hz: voice models and recognisers are trained on it."""

VAD_FRAME = 512
"""Samples of one frame: 32 ms."""

VadFunction = Callable[[Samples], float] | Callable[[], Generator[float, Samples, None]]
"""From one frame, float32 `[512]` at 16 kHz, to the probability in 0..1 (or True, False) that it holds a voice. It is called 31 times a
second on the event loop: be quick. A generator function is called once for each session, takes each frame from its `yield`, and
yields the probability (the first `yield` gives none)."""

SttFunction = (
    Callable[[Samples], str | Transcript | Awaitable[str | Transcript]]
    | Callable[[Iterator[Samples]], Iterator[str | Transcript]]
    | Callable[[AsyncIterator[Samples]], AsyncIterator[str | Transcript]]
)
"""From a turn's audio, float32 `[n]` at 16 kHz, to its words. A generator function is given an iterator of the audio as it comes, and
yields all words so far; its last ones are the transcript. One that has a parameter `language` is given the BCP-47 tag, or ""."""


class FunctionVad(FunctionEngine):
    """A function that meets the `VoiceActivityModel` port."""

    stage = "vad"
    sample_rate = RATE
    frame_samples = VAD_FRAME

    def __init__(self, function: VadFunction) -> None:
        super().__init__(function)
        if is_async(function):
            raise LibraryError(
                f"vad={name_of(function)} is asynchronous, but the voice activity of each frame is wanted at once.",
                remedy="Give a plain function, or a plain generator function.",
            )
        self._streams: dict[int, Generator[Any, Samples, None] | None] = {}
        self._known: dict[int, float | Exception] = {}
        """Answers of a batch in which one stream failed: each is computed again alone, and no generator receives a frame twice."""

    def allocate(self) -> int:
        slot = next(number for number in range(len(self._streams) + 1) if number not in self._streams)
        self._streams[slot] = None
        return slot

    def release(self, slot: int) -> None:
        self.reset(slot)
        del self._streams[slot]

    def reset(self, slot: int) -> None:
        self._known.pop(slot, None)
        stream, self._streams[slot] = self._streams[slot], None
        if stream is not None:
            try:
                stream.close()
            except Exception:
                logger.exception("closing the generator of %s failed", self.name)

    def score(self, slots: Sequence[int], frames: NDArray[np.float32]) -> NDArray[np.float32]:
        for slot, frame in zip(slots, frames, strict=True):
            if slot not in self._known:
                try:
                    self._known[slot] = self._probability(slot, frame.copy())
                except Exception as error:  # noqa: BLE001 - raised again where this stream is asked for alone
                    self._known[slot] = error
        failed = next((known for slot in slots if isinstance(known := self._known[slot], Exception)), None)
        if failed is not None and len(slots) > 1:
            raise failed
        answers = [self._known.pop(slot) for slot in slots]
        if failed is not None:
            raise failed
        return np.array(answers, np.float32)

    def _probability(self, slot: int, frame: Samples) -> float:
        if not is_generator(self.function):
            return self._checked(self.function(frame))
        stream = self._streams[slot]
        try:
            if stream is None:
                stream = self._streams[slot] = self.function()
                next(stream)
            return self._checked(stream.send(frame))
        except StopIteration:
            self._streams[slot] = None
            raise EngineError(
                f"The generator of {self.name} ended.", code="invalid_score", remedy="Let it yield for every frame."
            ) from None
        except Exception:
            self._streams[slot] = None
            raise

    def _checked(self, answer: Any) -> float:
        try:
            probability = float(answer)
        except (TypeError, ValueError):
            probability = math.nan
        if not 0.0 <= probability <= 1.0:
            raise EngineError(
                f"{self.name} gave {answer!r}.", code="invalid_score", remedy="A voice probability is a number in 0..1."
            )
        return probability


class FunctionRecognizer(FunctionEngine):
    """A function that meets the `SpeechRecognizer` port."""

    stage = "stt"
    sample_rate = RATE

    def __init__(self, function: SttFunction) -> None:
        super().__init__(function)
        self._asks = asked_for(function, ("language",))

    def open_stream(self, spec: RecognitionSpec, on_partial: Callable[[Partial], None]) -> _Whole | _Streamed:
        named = {"language": spec.language} if "language" in self._asks else {}
        return _Streamed(self, named, on_partial) if is_generator(self.function) else _Whole(self, named)

    def transcript(self, words: Any) -> Transcript:
        """The function's answer, checked."""
        if isinstance(words, Transcript):
            return words
        if isinstance(words, str):
            return Transcript(words)
        raise EngineError(
            f"{self.name} gave a {type(words).__name__}.",
            code="invalid_transcript",
            remedy='Give the words as a string ("" where there are none), or a Transcript.',
        )


class _Whole:
    """A turn for a function of all its audio."""

    def __init__(self, owner: FunctionRecognizer, named: dict[str, Any]) -> None:
        self._owner = owner
        self._named = named
        self._audio: list[Samples] = []

    def feed(self, audio: Samples) -> None:
        self._audio.append(audio)

    async def flush(self) -> Transcript:
        audio = np.concatenate(self._audio) if self._audio else np.empty(0, np.float32)
        return self._owner.transcript(await called(self._owner.function, audio, **self._named))

    async def finish(self) -> Transcript:
        return await self.flush()

    def close(self) -> None:
        self._audio.clear()


class _Streamed:
    """A turn for a generator, which receives the audio as it comes and yields the words so far."""

    def __init__(self, owner: FunctionRecognizer, named: dict[str, Any], on_partial: Callable[[Partial], None]) -> None:
        self._owner = owner
        self._on_partial = on_partial
        self._audio: asyncio.Queue[Samples | None] = asyncio.Queue()  # bounded by the longest turn
        self._waits = asyncio.Event()
        """Set while the generator has received all audio so far and waits for more."""
        self._words = Transcript("")
        self._loop = asyncio.get_running_loop()
        self._task = self._loop.create_task(self._run(named))
        self._task.add_done_callback(self._over)

    def _over(self, task: asyncio.Task[None]) -> None:
        self._waits.set()
        if not task.cancelled():
            task.exception()  # retrieved here: a dropped turn never awaits it

    async def _run(self, named: dict[str, Any]) -> None:
        async with aclosing(self._pieces(named)) as pieces:
            async for words in pieces:
                self._words = self._owner.transcript(words)
                self._on_partial(Partial(self._words.text))

    async def _pieces(self, named: dict[str, Any]) -> AsyncGenerator[Any, None]:
        function = self._owner.function
        if is_async(function):
            async with aclosing(function(self._heard(), **named)) as generator:
                async for words in generator:
                    yield words
            return
        answers: asyncio.Queue[tuple[Any, BaseException | None]] = asyncio.Queue()  # bounded by the audio
        threading.Thread(target=self._hear_in_thread, args=(named, answers), name="parley stt", daemon=True).start()
        try:
            while (answer := await answers.get())[0] is not END:
                yield answer[0]
            if answer[1] is not None:
                raise answer[1]
        finally:
            self._audio.put_nowait(None)  # a thread that waits for audio goes on to its end

    def _hear_in_thread(self, named: dict[str, Any], answers: asyncio.Queue[tuple[Any, BaseException | None]]) -> None:
        last: tuple[Any, BaseException | None] = END, None
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            try:
                for words in self._owner.function(self._heard_in_thread(), **named):
                    self._loop.call_soon_threadsafe(answers.put_nowait, (words, None))
            except BaseException as error:  # noqa: BLE001 - raised again where the words are awaited
                last = END, error
            self._loop.call_soon_threadsafe(answers.put_nowait, last)

    async def _heard(self) -> AsyncIterator[Samples]:
        while (audio := await self._next()) is not None:
            yield audio

    def _heard_in_thread(self) -> Iterator[Samples]:
        while (audio := asyncio.run_coroutine_threadsafe(self._next(), self._loop).result()) is not None:
            yield audio

    async def _next(self) -> Samples | None:
        if self._audio.empty():
            self._waits.set()
        return await self._audio.get()

    def feed(self, audio: Samples) -> None:
        self._waits.clear()
        self._audio.put_nowait(audio.copy())

    async def flush(self) -> Transcript:
        await self._waits.wait()
        if self._task.done():
            self._task.result()
        return self._words

    async def finish(self) -> Transcript:
        self._audio.put_nowait(None)
        await self._task
        return self._words

    def close(self) -> None:
        self._task.cancel()
