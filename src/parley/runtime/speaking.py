"""A session's mouth: each attempt at a reply is one task that runs the language model and the synthesizer and posts their events.

Laws:
- An attempt posts in the order the model wrote: clauses with their audio, then the tool calls that follow them; last,
  exactly one of `GenerationFinished` and `GenerationFailed`. Once cancelled it posts nothing.
- The model goes on writing while a clause is spoken; one clause is synthesized at a time. (A second one at once would take the
  processor from the clause that is waited for, and gain nothing once audio runs ahead of the listener.)
- Nothing is generated far ahead: `MAX_CLAUSES_AHEAD` of text, `MAX_AHEAD_S` of audio; and nothing at all while `hold(True)` stands:
  the client does not take what was sent.
- One turn of the event loop handles one slice of audio (a chunk, or several short ones) or one slice of text, of all sessions; the
  attempt whose listener runs out of audio first comes first (`loop_slices`).

Does not know: whether anybody hears the attempt; held and released are the core's words.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

from parley.core.words.effects import CancelGeneration, StartGeneration
from parley.core.words.errors import Fault
from parley.core.words.events import (
    ClauseStarted,
    Event,
    FirstTokenGenerated,
    GenerationEvent,
    GenerationFailed,
    GenerationFinished,
    MeasuredUsage,
    SpeechGenerated,
    SpokenWord,
    TextGenerated,
    ToolArgumentsGenerated,
    ToolCallStarted,
)
from parley.core.words.ids import AttemptId, CallId
from parley.core.words.limits import SAMPLES_PER_MS
from parley.engines.ports import (
    ChatEnd,
    ChatRequest,
    EngineError,
    LanguageModel,
    Samples,
    SpeechChunk,
    SpeechRequest,
    SpeechSynthesizer,
    TextDelta,
    TokenUsage,
    ToolCallDelta,
)
from parley.runtime.faults import engine_code, fault_of
from parley.runtime.loop_slices import slice_turn
from parley.runtime.model_output import in_slices
from parley.runtime.prompt_mapping import chat_request
from parley.runtime.sound import OutputEncoder
from parley.text.clauses import Clause, ClauseCutter, Cutter
from parley.text.word_timing import PlacedWord, WordTiming

MAX_CLAUSES_AHEAD = 256
"""What the model may have written that is not spoken yet, in clauses and pieces of tool calls: some ten minutes of
speech. Beyond it the model's stream is left waiting."""

MAX_AHEAD_S = 20.0
"""Audio generated ahead of a listener who hears it as soon as it can be heard: nearly every reply is whole at once, and a link may stall
for as long. A cancelled answer wastes no more than this, a held one stays under the core's `MAX_HELD_BYTES`, and a client never has to
buffer more."""

SLICE_MS = 100
"""Audio handled in one slice of the loop: a chunk, or what an engine of small chunks gives in the meantime."""

CHUNK_MS = 5
"""What a chunk costs beside its audio, in audio: a stream of empty ones must not hold the loop either."""

LONGEST_PIECE_MS = 1_000
"""Of a longer chunk so much is handled in one slice: a millisecond or two of resampling and encoding, and one delta."""

MAX_WRITING_S = 10.0
"""A slow model that has written on one clause for so long, while nothing waits to be spoken, is spoken as far as its last whole word:
at a word a second the end of a sentence may be half a minute away, and the core gives an attempt up that is silent for long."""

CLOSING_S = 1.0
"""How long the end of an attempt waits for the model's stream to close; all has been said by then, except a synthesizer's fault."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Failed:
    """The model's stream broke off."""

    fault: Fault


_Piece = Clause | ToolCallStarted | ToolArgumentsGenerated | GenerationFinished | _Failed


def _measured(usage: TokenUsage | None) -> MeasuredUsage | None:
    if usage is None:
        return None
    return MeasuredUsage(usage.input_tokens, usage.output_tokens, usage.cached_tokens)


def _in_samples(words: Sequence[PlacedWord]) -> tuple[SpokenWord, ...]:
    """As the core counts: 24 kHz samples."""
    return tuple(SpokenWord(word.text_end, round(word.end_ms * SAMPLES_PER_MS)) for word in words)


def _pieces_of(chunk: SpeechChunk) -> Iterator[Samples]:
    """The chunk's audio in pieces of at most `LONGEST_PIECE_MS`; an empty chunk is one empty piece."""
    longest = max(1, chunk.sample_rate * LONGEST_PIECE_MS // 1_000)
    yield chunk.audio[:longest]
    for at in range(longest, len(chunk.audio), longest):
        yield chunk.audio[at : at + longest]


@asynccontextmanager
async def _closing(stream: AsyncIterator[T]) -> AsyncGenerator[AsyncIterator[T], None]:
    """Close the engine's stream whatever happens: for a model this is what ends the request upstream."""
    try:
        yield stream
    finally:
        close = getattr(stream, "aclose", None)
        if close is not None:
            await close()


class _Attempt:
    """One attempt. `run()` is its task; after `cancel()` it is silent."""

    def __init__(
        self,
        effect: StartGeneration,
        request: ChatRequest,
        model: LanguageModel,
        synthesizer: SpeechSynthesizer,
        post: Callable[[Event], None],
        cutter: Callable[[str], Cutter],
        clock: Callable[[], int],
        sleep: Callable[[float], Awaitable[None]],
        taken: asyncio.Event,
        share: object,
    ) -> None:
        self._share = share
        self._effect = effect
        self._taken = taken
        self._cutter = cutter
        self._clock = clock
        self._sleep = sleep
        self._request = request
        self._model = model
        self._synthesizer = synthesizer
        self._post = post
        self._alive = True
        self._encoder = OutputEncoder(effect.format)
        self._slice_ms: float = SLICE_MS
        """Audio handled in the slice that has begun."""
        self._runs_out_s = clock() / 1e9
        """When the listener will have heard all that was generated; the beginning, while there is no audio."""
        self.task: asyncio.Task[None] | None = None

    def cancel(self) -> None:
        self._alive = False
        if self.task is not None:
            self.task.cancel()

    def _say(self, event: GenerationEvent) -> None:
        if self._alive:
            self._post(event)

    async def run(self) -> None:
        try:
            with engine_code():
                if self._effect.modality == "text":
                    await self._write()
                else:
                    await self._speak()
        except Exception as error:  # noqa: BLE001 - the engine boundary
            self._say(GenerationFailed(self._effect.attempt, fault_of(error, "The reply's engine")))

    # --- the model ---

    async def _pieces(
        self,
    ) -> AsyncGenerator[TextDelta | ToolCallStarted | ToolArgumentsGenerated | GenerationFinished, None]:
        """What the model writes, in whole characters, its calls and its end as events; raises what it raises."""
        attempt = self._effect.attempt
        calls: set[int] = set()
        written = False
        async with _closing(self._model.reply(self._request)) as stream, aclosing(in_slices(stream)) as events:
            async for event in events:
                if not written:
                    written = True
                    self._post(FirstTokenGenerated(attempt))
                match event:
                    case TextDelta():
                        yield event
                    case ToolCallDelta(index, call_id, name, arguments):
                        if index not in calls:
                            calls.add(index)
                            yield ToolCallStarted(attempt, index, CallId(call_id), name)
                        if arguments:
                            yield ToolArgumentsGenerated(attempt, index, arguments)
                    case ChatEnd(reason, usage):
                        yield GenerationFinished(attempt, reason, _measured(usage))
                        return
        raise EngineError("The language model's stream ended in the middle of the reply.", code="connection_failed")

    async def _write(self) -> None:
        """A text reply: everything as it comes."""
        async with _closing(self._pieces()) as pieces:
            async for piece in pieces:
                await self._taken.wait()
                self._say(TextGenerated(self._effect.attempt, piece.text) if isinstance(piece, TextDelta) else piece)

    # --- the model and the synthesizer side by side ---

    async def _speak(self) -> None:
        pieces: asyncio.Queue[_Piece] = asyncio.Queue(MAX_CLAUSES_AHEAD)
        writer = asyncio.get_running_loop().create_task(self._cut_into(pieces))
        try:
            while True:
                piece = await pieces.get()
                await asyncio.sleep(0)  # a queue full of pieces is not one step of the loop
                await self._taken.wait()
                match piece:
                    case Clause():
                        await self._speak_clause(piece)
                    case _Failed(fault):
                        self._say(GenerationFailed(self._effect.attempt, fault))
                        return
                    case GenerationFinished():
                        self._say(piece)
                        return
                    case _:
                        self._say(piece)
        finally:
            writer.cancel()
            await asyncio.wait([writer], timeout=CLOSING_S)

    async def _cut_into(self, queue: asyncio.Queue[_Piece]) -> None:
        """Queue what the model writes, its text cut into clauses; a failure comes after all that was written before it."""
        cutter = self._cutter(self._request.language)
        try:
            with engine_code():
                await self._cut(cutter, queue)
        except Exception as error:  # noqa: BLE001 - the engine boundary
            for clause in cutter.finish():
                await queue.put(clause)
            await queue.put(_Failed(fault_of(error, "The language model")))

    async def _cut(self, cutter: Cutter, queue: asyncio.Queue[_Piece]) -> None:
        begun_ns = self._clock()
        async with _closing(self._pieces()) as pieces:
            async for piece in pieces:
                if isinstance(piece, TextDelta):
                    clauses = cutter.push(piece.text)
                    if clauses:
                        begun_ns = self._clock()
                    elif queue.empty() and self._clock() - begun_ns > MAX_WRITING_S * 1e9:
                        clauses, begun_ns = cutter.hurry(), self._clock()
                    for clause in clauses:
                        await queue.put(clause)
                    continue
                for clause in cutter.finish():
                    await queue.put(clause)
                await queue.put(piece)

    async def _speak_clause(self, clause: Clause) -> None:
        effect = self._effect
        self._say(ClauseStarted(effect.attempt, clause.text))
        if not clause.spoken:
            return
        timing = WordTiming(clause.text, clause.spoken)
        request = SpeechRequest(clause.spoken, effect.voice, self._request.language, effect.speed, self._share)
        async with _closing(self._synthesizer.speak(request)) as chunks:
            async for chunk in chunks:
                words = _in_samples(timing.spoken(chunk.words))
                for piece in _pieces_of(chunk):
                    if self._slice_ms >= SLICE_MS:
                        self._slice_ms = 0.0
                        await slice_turn(self._runs_out_s)
                    self._slice_ms += CHUNK_MS + 1_000 * len(piece) / chunk.sample_rate
                    for audio in self._encoder.encode(piece, chunk.sample_rate):
                        self._say(SpeechGenerated(effect.attempt, audio, words))
                        await self._wait_for_listener(len(audio))
        for audio in self._encoder.finish():
            self._say(SpeechGenerated(effect.attempt, audio, _in_samples(timing.last)))

    async def _wait_for_listener(self, size: int) -> None:
        """Wait while more than `MAX_AHEAD_S` of audio lies before the listener, and while the client does not take what was sent."""
        now_s = self._clock() / 1e9
        self._runs_out_s = max(self._runs_out_s, now_s) + size / self._effect.format.bytes_per_ms / 1_000
        ahead_s = self._runs_out_s - now_s
        if ahead_s > MAX_AHEAD_S:
            await self._sleep(ahead_s - MAX_AHEAD_S)
        await self._taken.wait()


class Speaking:
    """What one session speaks with: any number of attempts at once, each cancelled by its id.

    `clock` (monotonic ns) and `sleep` measure how far the audio runs ahead of the listener. `cutter` makes what cuts a reply of that
    language into clauses.
    """

    __slots__ = (
        "_attempts",
        "_clock",
        "_cutter",
        "_language",
        "_model",
        "_post",
        "_share",
        "_sleep",
        "_synthesizer",
        "_taken",
    )

    def __init__(
        self,
        model: LanguageModel,
        synthesizer: SpeechSynthesizer,
        language: str,
        post: Callable[[Event], None],
        *,
        cutter: Callable[[str], Cutter] = ClauseCutter,
        clock: Callable[[], int] = time.monotonic_ns,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._model = model
        self._cutter = cutter
        self._synthesizer = synthesizer
        self._language = language
        self._post = post
        self._clock = clock
        self._sleep = sleep
        self._share = object()
        """Tells the synthesizer which requests are of one session, and nothing else."""
        self._attempts: dict[AttemptId, _Attempt] = {}
        self._taken = asyncio.Event()
        self._taken.set()

    def hold(self, held: bool) -> None:
        """Whether the client does not take what was sent: then the attempts wait, instead of making more of it."""
        if held:
            self._taken.clear()
        else:
            self._taken.set()

    def start(self, effect: StartGeneration) -> None:
        """Begin; the answers are the events of `GenerationEvent`."""
        request = chat_request(effect, self._language)
        attempt = _Attempt(
            effect,
            request,
            self._model,
            self._synthesizer,
            self._post,
            self._cutter,
            self._clock,
            self._sleep,
            self._taken,
            self._share,
        )
        self._attempts[effect.attempt] = attempt
        attempt.task = asyncio.get_running_loop().create_task(attempt.run())
        attempt.task.add_done_callback(lambda _: self._forget(effect.attempt))

    def _forget(self, attempt_id: AttemptId) -> None:
        attempt = self._attempts.pop(attempt_id, None)
        if attempt is not None:
            # A cancelled task keeps its traceback, whose frames keep the attempt.
            attempt.task = None

    def cancel(self, effect: CancelGeneration) -> None:
        """Nothing of this attempt is posted from here on."""
        attempt = self._attempts.get(effect.attempt)
        if attempt is not None:
            attempt.cancel()

    def tasks(self) -> set[asyncio.Task[None]]:
        """The attempts that are under way."""
        tasks = (attempt.task for attempt in self._attempts.values())
        return {task for task in tasks if task is not None and not task.done()}

    def release(self) -> None:
        for attempt in self._attempts.values():
            attempt.cancel()
