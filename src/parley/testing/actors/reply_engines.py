"""The agent's side: a language model that writes clauses and calls tools, its synthesizer, and the server's loudspeaker.

Laws: an attempt's events come in the order of the engine contract and end once, unless it is cancelled; a misbehaving model also answers
after that.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from parley.core.words.effects import Play, StartGeneration, Summarize
from parley.core.words.errors import Fault
from parley.core.words.events import (
    AudioPlayed,
    ClauseStarted,
    Event,
    GenerationFailed,
    GenerationFinished,
    MeasuredUsage,
    SpeechGenerated,
    SpokenWord,
    Summarized,
    SummaryFailed,
    TextGenerated,
    ToolArgumentsGenerated,
    ToolCallStarted,
)
from parley.core.words.ids import AttemptId, CallId, SummaryId
from parley.core.words.settings import AudioFormat, ForceFunction
from parley.core.words.work import Utterance
from parley.testing.actors.world import SimulatedWorld, piece

_SENTENCES = (
    "Good morning. ",
    "I can help you with that, of course. ",
    "Let me think about it for a moment; ",
    "the answer is twenty-three. ",
    "Yes. ",
    "It rains in the north, and the south stays dry until Sunday. ",
    "🙂 ",
    "Would you like to hear more? ",
)


@dataclass(frozen=True, slots=True)
class ReplyEngineTraits:
    """How the model and the synthesizer behave. Chances in 0..1, delays in milliseconds, `real_time_factor` of the synthesis."""

    first_delay_ms: float = 200
    clauses: int = 3
    real_time_factor: float = 0.4
    chunk_ms: int = 120
    timed_words: bool = True
    tools: float = 0.3
    failing: float = 0.0
    silent: float = 0.0
    cut_short: float = 0.0
    misbehaving: float = 0.0


class Model:
    """Language model and synthesizer together; any number of attempts run at once."""

    def __init__(self, world: SimulatedWorld, traits: ReplyEngineTraits) -> None:
        self._world = world
        self._traits = traits
        self._running: dict[AttemptId, bool] = {}
        self._made_bytes = 0
        self._summary: SummaryId | None = None

    def start(self, effect: StartGeneration) -> None:
        self._world.counts["generations"] += 1
        self._running[effect.attempt] = True
        if self._world.rng.random() < self._traits.silent:
            self._world.counts["silent models"] += 1
            return
        self._step(effect.attempt, self._script(effect))

    def summarize(self, effect: Summarize) -> None:
        """Write a summary after a while; a failing model fails, a silent one writes none, a misbehaving one writes it again."""
        world, rng, traits = self._world, self._world.rng, self._traits
        world.counts["summaries"] += 1
        self._summary = effect.summary
        if rng.random() < traits.silent:
            return
        failed = rng.random() < traits.failing
        fault = Fault("server_error", "The model's server went away.")
        text = rng.choice(("", *_SENTENCES, "word " * 1_000))
        event = SummaryFailed(effect.summary, fault) if failed else Summarized(effect.summary, text)

        def send() -> None:
            if self._summary == effect.summary or rng.random() < traits.misbehaving:
                world.post(event)

        delay = traits.first_delay_ms * (1 + rng.random())
        world.at(delay, send)
        if rng.random() < traits.misbehaving:
            world.at(delay + 20, send)

    def abandon(self, summary: SummaryId) -> None:
        self._world.counts["summaries abandoned"] += 1
        self._summary = None

    def cancel(self, attempt: AttemptId) -> None:
        self._running[attempt] = False

    def _step(self, attempt: AttemptId, script: Iterator[tuple[float, Event]], late: int = 0) -> None:
        following = next(script, None)
        if following is None:
            self._after(attempt)
            return
        delay, event = following

        def send() -> None:
            left = late
            if not self._running[attempt]:
                if left == 0 and self._world.rng.random() >= self._traits.misbehaving:
                    return
                left += 1
                self._world.counts["late events"] += 1
                if left > 3:
                    return
            self._world.post(event)
            self._step(attempt, script, left)

        self._world.at(delay, send)

    def _after(self, attempt: AttemptId) -> None:
        if self._world.rng.random() < self._traits.misbehaving:
            self._world.counts["late events"] += 1
            again = GenerationFinished(attempt)
            self._world.at(20, lambda: self._world.post(again))

    def _script(self, effect: StartGeneration) -> Iterator[tuple[float, Event]]:
        rng, traits, attempt = self._world.rng, self._traits, effect.attempt
        first = traits.first_delay_ms * (0.5 + rng.random())
        fails_after = rng.randrange(6) if rng.random() < traits.failing else None
        called = False
        for steps, (delay, event) in enumerate(self._content(effect)):
            if fails_after == steps:
                yield delay, GenerationFailed(attempt, Fault("server_error", "The model's server went away."))
                return
            yield delay + (first if steps == 0 else 0), event
            called = called or isinstance(event, ToolCallStarted)
        usage = MeasuredUsage(40, 20, 5) if rng.random() < 0.5 else None
        cut = rng.random() < traits.cut_short
        yield 5, GenerationFinished(attempt, "length" if cut else "tool_calls" if called else "stop", usage)

    def _calls(self, effect: StartGeneration) -> bool:
        return bool(effect.prompt.tools) and effect.prompt.tool_choice != "none"

    def _content(self, effect: StartGeneration) -> Iterator[tuple[float, Event]]:
        rng = self._world.rng
        if isinstance(effect.work, Utterance):
            yield 20, ClauseStarted(effect.attempt, effect.work.text)
            yield from self._voice(effect, effect.work.text)
            return
        prompt = effect.prompt
        forced = prompt.tool_choice == "required" or isinstance(prompt.tool_choice, ForceFunction)
        tools = self._calls(effect) and (forced or rng.random() < self._traits.tools)
        if not tools or rng.random() < 0.3:
            yield from self._words(effect)
        if tools:
            for index in range(1 + (rng.random() < 0.4)):
                tool = rng.choice(prompt.tools).name
                yield 30, ToolCallStarted(effect.attempt, index, CallId(f"call_{effect.attempt}_{index}"), tool)
                for part in ('{"place"', ':"Oslo', '"}'):
                    yield 20, ToolArgumentsGenerated(effect.attempt, index, part)

    def _words(self, effect: StartGeneration) -> Iterator[tuple[float, Event]]:
        rng, attempt = self._world.rng, effect.attempt
        for number in range(rng.randint(1, self._traits.clauses)):
            text = rng.choice(_SENTENCES)
            if effect.modality == "text":
                for word in text.split(" "):
                    yield 15, TextGenerated(attempt, word + " ")
                continue
            yield 20, ClauseStarted(attempt, text, f"{attempt}/{number}")
            yield from self._voice(effect, text)

    def _voice(self, effect: StartGeneration, text: str) -> Iterator[tuple[float, Event]]:
        if not any(letter.isalnum() for letter in text):
            return
        rng, traits, format = self._world.rng, self._traits, effect.format
        total_ms = int(len(text) * 60 / max(effect.speed, 0.25))
        words = _timings(text, total_ms)
        at = 0
        while at < total_ms:
            length = min(traits.chunk_ms, total_ms - at)
            at += length
            timed = tuple(word for word in words if word.end_sample <= at * 24) if traits.timed_words else ()
            delay = length * traits.real_time_factor * (0.5 + rng.random())
            yield delay, SpeechGenerated(effect.attempt, self._sound(format, length), timed)

    def _sound(self, format: AudioFormat, length_ms: int) -> bytes:
        size = length_ms * format.bytes_per_ms
        self._made_bytes += size
        return piece(2, self._made_bytes, size)


def _timings(text: str, total_ms: int) -> list[SpokenWord]:
    """The end of each word in samples, in proportion to the letters."""
    words: list[SpokenWord] = []
    end = 0
    for word in text.split(" "):
        end += len(word)
        if word:
            words.append(SpokenWord(end, int(total_ms * 24 * end / len(text))))
        end += 1
    return words


class SimulatedLoudspeaker:
    """The server's own playback (paced): plays what is queued in real time and reports it."""

    TICK_MS = 60

    def __init__(self, world: SimulatedWorld) -> None:
        self._world = world
        self._queued = 0
        self._ticking = False

    def play(self, effect: Play) -> None:
        self._queued += effect.format.samples(len(effect.audio))
        if not self._ticking:
            self._ticking = True
            self._world.at(self.TICK_MS, self._tick)

    def stop(self) -> None:
        self._queued = 0

    def _tick(self) -> None:
        played = min(self._queued, self.TICK_MS * 24)
        self._queued -= played
        if played:
            self._world.post(AudioPlayed(played))
        self._ticking = self._queued > 0
        if self._ticking:
            self._world.at(self.TICK_MS, self._tick)
