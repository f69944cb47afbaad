"""What a speech model answers, as the pieces of an attempt and as its events.

Laws:
- The events are those of the clause path: text before the audio that it goes with, calls after the speech before them.
- A piece of text begins where the audio that came with it begins, also behind a voice converter that gives its audio later. A word that
  comes in parts is shown once it is whole.
- Where the pipeline has a moderator, audio waits for the verdict on the clause that its words end in.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from parley.core.words.effects import StartGeneration
from parley.core.words.events import (
    ClauseStarted,
    GenerationEvent,
    GenerationFinished,
    SpeechGenerated,
    SpokenWord,
    ToolArgumentsGenerated,
    ToolCallStarted,
)
from parley.core.words.limits import SAMPLES_PER_MS
from parley.engines.ports import (
    VC,
    ChatEnd,
    DialogueEvent,
    EngineError,
    EngineSet,
    Samples,
    SpeechModel,
    SpokenDelta,
    ToolCallDelta,
    Word,
)
from parley.runtime.conversion import ClauseConversion, SpokenBefore
from parley.runtime.engine_results import checked_chunk
from parley.runtime.faults import named
from parley.runtime.generation.dialogue import dialogue_request
from parley.runtime.generation.encoding import OutputEncoder
from parley.runtime.generation.pacing import Pacing
from parley.runtime.generation.screening import Screening
from parley.runtime.generation.streams import closing
from parley.runtime.generation.text_sources import broken_off, call_events, measured
from parley.text.clauses import Cutter
from parley.text.whole_characters import WholeCharacters, writable
from parley.text.word_timing import WordTiming

MAX_PIECES_AHEAD: Final = 64
"""What the model may have said that is not posted yet. Beyond it the model's stream is left waiting."""

LONGEST_PIECE_MS: Final = 1_000
"""Of a longer delta so much is handled in one slice of the loop."""

_WIDE: Final = 0x2E80
"""From here on scripts put no spaces between words, so that every character ends a piece that can be shown."""


@dataclass(frozen=True, slots=True)
class SpokenGroup:
    """Deltas that may be heard together; `clause`: with them ends a clause that a moderator judges."""

    deltas: tuple[SpokenDelta, ...]
    clause: bool = False


SpokenEvent = SpokenGroup | ToolCallStarted | ToolArgumentsGenerated | GenerationFinished


class SpokenAnswer:
    """One answer of the model, read: await `read()`, which puts its pieces into a queue. Raises what the model raises."""

    def __init__(
        self, effect: StartGeneration, model: SpeechModel, share: object, began: Callable[[], None], cutter: Cutter
    ) -> None:
        self._effect = effect
        self._model = model
        self._share = share
        self._began = began
        self._cutter = cutter
        self._who = named("The speech model", model)
        self._waiting: deque[tuple[SpokenDelta, int]] = deque()
        """Deltas that are not judged, each with where its text ends in the answer."""
        self._written = self._cut = 0
        self._calls: set[int] = set()

    async def read(self, queue: asyncio.Queue[Any], screening: Screening | None) -> None:
        request = await dialogue_request(self._effect, self._model, self._share)
        first = True
        async with closing(self._model.reply(request)) as events:
            async for event in events:
                if first:
                    first = False
                    self._began()
                match self._checked(event):
                    case SpokenDelta() as delta:
                        if screening is None:
                            await queue.put(SpokenGroup((delta,)))
                        else:
                            await self._judge(delta, queue, screening)
                    case ToolCallDelta() as call:
                        await self._end(queue, screening)
                        for one in call_events(self._effect.attempt, call, self._calls):
                            await queue.put(one)
                    case ChatEnd(reason, usage):
                        await self._end(queue, screening)
                        await queue.put(GenerationFinished(self._effect.attempt, reason, measured(usage)))
                        return
        raise broken_off(self._who)

    def _checked(self, event: DialogueEvent) -> DialogueEvent:
        """The event as it can be taken. Raises `EngineError` for anything else."""
        given: Any = event  # a third-party engine may give anything
        if isinstance(given, ChatEnd):
            return given
        if isinstance(given, ToolCallDelta):
            names = (given.call_id, given.name, given.arguments)
            return ToolCallDelta(given.index, *map(writable, names))
        checked_chunk(given, self._who)
        text, words = getattr(given, "text", None), getattr(given, "words", None)
        if not isinstance(text, str) or not isinstance(words, tuple):
            raise EngineError(f"{self._who} gave a delta whose text is {text!r:.100}.", code="invalid_audio")
        return SpokenDelta(given.audio, given.sample_rate, text, words)

    async def _judge(self, delta: SpokenDelta, queue: asyncio.Queue[Any], screening: Screening) -> None:
        self._written += len(delta.text)
        self._waiting.append((delta, self._written))
        for clause in self._cutter.push(delta.text):
            await self._release(clause.text, queue, screening)

    async def _release(self, text: str, queue: asyncio.Queue[Any], screening: Screening) -> None:
        """A clause is written: it is judged, and what ends in it may follow the verdict."""
        self._cut += len(text)
        screening.clause_written(text)
        ready = []
        while self._waiting and self._waiting[0][1] <= self._cut:
            ready.append(self._waiting.popleft()[0])
        await queue.put(SpokenGroup(tuple(ready), clause=True))

    async def _end(self, queue: asyncio.Queue[Any], screening: Screening | None) -> None:
        """Everything that was said is judged, before what is no speech."""
        if screening is None:
            return
        for clause in self._cutter.finish():
            await self._release(clause.text, queue, screening)
        screening.text_ended()
        if self._waiting:  # sound after the last word
            await queue.put(SpokenGroup(tuple(delta for delta, _ in self._waiting)))
            self._waiting.clear()


@dataclass(frozen=True, slots=True)
class _Begun:
    """Text that begins at this place in the model's audio, with its words timed from there."""

    at_ms: float
    text: str
    words: tuple[SpokenWord, ...]


class SpokenVoice:
    """The audio of one answer, posted: await `speak()` for each group in order, `finish()` before anything else is posted."""

    def __init__(
        self,
        effect: StartGeneration,
        engines: EngineSet,
        model: SpeechModel,
        share: object,
        pacing: Pacing,
        say: Callable[[GenerationEvent], None],
    ) -> None:
        self._effect = effect
        self._share = share
        self._pacing = pacing
        self._say = say
        self._encoder = OutputEncoder(effect.format)
        self._converter = engines.find(VC)
        self._converted: ClauseConversion | None = None
        self.who = named("The speech model", model)
        """Who speaks, for messages."""
        if self._converter is not None:
            self.who += f" with the voice converter {self._converter.info.name!r}"
            self._before = SpokenBefore(self._converter.info.sample_rate)
        self._characters = WholeCharacters()
        self._held = ""
        """The beginning of a word that is not whole."""
        self._begun: deque[_Begun] = deque()
        self._words: tuple[SpokenWord, ...] = ()
        self._given_ms = self._sent_ms = 0.0

    async def speak(self, piece: SpokenGroup) -> None:
        """Post what may be heard now."""
        for delta in piece.deltas:
            self._begin(delta)
            longest = max(1, delta.sample_rate * LONGEST_PIECE_MS // 1_000)
            for at in range(0, max(1, len(delta.audio)), longest):
                await self._hear(delta.audio[at : at + longest], delta.sample_rate)

    async def finish(self) -> None:
        """Post all that was held back."""
        self._book(self._held, ())
        self._held = ""
        converted, self._converted = self._converted, None
        if converted is not None:
            try:
                last = await converted.finish()
            finally:
                converted.close()
            await self._post(self._encoder.encode(last, converted.rate))
        await self._post(self._encoder.finish())
        while self._begun:
            self._start(self._begun.popleft())

    def close(self) -> None:
        """Let go of the converter; nothing more is posted."""
        if self._converted is not None:
            self._converted.close()
            self._converted = None

    def _begin(self, delta: SpokenDelta) -> None:
        text = self._held + self._characters.push(delta.text)
        shown = len(text) if delta.words else _whole(text)
        self._held = text[shown:]
        self._book(text[:shown], delta.words)

    def _book(self, text: str, words: Sequence[Word]) -> None:
        if not text:
            return
        at = self._given_ms
        timed = [Word(word.text, word.start_ms - at, word.end_ms - at) for word in words]
        placed = WordTiming(text, text).spoken(timed)
        ends = tuple(SpokenWord(word.text_end, round(max(0.0, word.end_ms) * SAMPLES_PER_MS)) for word in placed)
        self._begun.append(_Begun(at, text, ends))

    async def _hear(self, audio: Samples, rate: int) -> None:
        length_ms = 1_000 * len(audio) / rate
        await self._pacing.slice(length_ms)
        self._given_ms += length_ms
        if self._converter is None:
            await self._post(self._encoder.encode(audio, rate))
            return
        if self._converted is None:
            self._converted = ClauseConversion(self._converter, self._effect.voice, self._share, self._before)
        ready = await self._converted.push(audio, rate)
        await self._post(self._encoder.encode(ready, self._converted.rate))

    async def _post(self, deltas: Sequence[bytes]) -> None:
        """Post audio, and each text where it begins in it."""
        form = self._effect.format
        for data in deltas:
            while data:
                self._start_due()
                size = len(data)
                if self._begun:
                    # (a millisecond at least, whole samples)
                    samples = max(1.0, self._begun[0].at_ms - self._sent_ms) * form.bytes_per_ms
                    size = min(size, form.bytes_per_ms * max(1, int(samples) // form.bytes_per_ms))
                audio, data = data[:size], data[size:]
                self._sent_ms += len(audio) / form.bytes_per_ms
                self._say(SpeechGenerated(self._effect.attempt, audio, self._words))
                await self._pacing.sent(len(audio))
        self._start_due()

    def _start_due(self) -> None:
        """Begin the texts whose audio comes next; of several at one place, those before the last have none."""
        while self._begun and self._begun[0].at_ms < self._sent_ms + 1:
            self._start(self._begun.popleft())

    def _start(self, begun: _Begun) -> None:
        self._words = begun.words
        self._say(ClauseStarted(self._effect.attempt, begun.text))


def _whole(text: str) -> int:
    """How many characters can be shown: a word is not cut in two."""
    end = len(text)
    while end and text[end - 1].isalnum() and ord(text[end - 1]) < _WIDE:
        end -= 1
    return end
