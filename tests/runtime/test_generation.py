"""One attempt at a reply: what is posted, in which order, and what ends it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import replace

import numpy as np
import pytest

from parley.core.words.effects import CancelGeneration, StartGeneration
from parley.core.words.errors import Fault
from parley.core.words.events import (
    ClauseStarted,
    Event,
    FirstTokenGenerated,
    GenerationFailed,
    GenerationFinished,
    MeasuredUsage,
    SpeechGenerated,
    TextGenerated,
    ToolArgumentsGenerated,
    ToolCallStarted,
)
from parley.core.words.ids import AttemptId, CallId
from parley.core.words.settings import AudioFormat
from parley.core.words.work import Prompt, Reply
from parley.engines.ports import (
    LLM,
    TTS,
    ChatEnd,
    ChatEvent,
    ChatRequest,
    EngineError,
    EngineSet,
    LanguageModel,
    SpeechChunk,
    SpeechRequest,
    SpeechSynthesizer,
    TokenUsage,
    ToolCallDelta,
)
from parley.runtime.generation import pacing
from parley.runtime.generation.attempts import Generations
from parley.runtime.generation.model_output import EVENT_CHARS, SLICE_CHARS
from parley.runtime.generation.pacing import CHUNK_MS, SLICE_MS
from parley.testing.fakes import FakeModel, FakeSynthesizer, Hold
from tests.runtime.rig import WAIT_S, settled

ATTEMPT = AttemptId(7)
START = StartGeneration(ATTEMPT, Reply(Prompt("", ())), "audio", "alloy", 1.0, AudioFormat.PCM16, "en")
TWO_SENTENCES = "The weather is very fine today. Tomorrow it will rain again."


def engines(llm: LanguageModel, tts: SpeechSynthesizer) -> EngineSet:
    return EngineSet({LLM: llm, TTS: tts})


class _Generating:
    """A session's generations and everything it has posted."""

    def __init__(self, llm: FakeModel, tts: FakeSynthesizer | None = None) -> None:
        self.llm = llm
        self.tts = tts or FakeSynthesizer()
        self.events: list[Event] = []
        self.first_tokens = 0
        self.generations = Generations(engines(self.llm, self.tts), self._take)

    def _take(self, event: Event) -> None:
        if isinstance(event, FirstTokenGenerated):
            assert not self.events
            self.first_tokens += 1
        else:
            self.events.append(event)

    @property
    def over(self) -> bool:
        return bool(self.events) and isinstance(self.events[-1], GenerationFinished | GenerationFailed)

    async def said(self, start: StartGeneration = START) -> list[Event]:
        self.generations.start(start)
        await settled(lambda: self.over)
        await settled(lambda: self.llm.running == 0 and self.tts.running == 0)
        return self.events

    def of(self, kind: type[SpeechGenerated]) -> list[SpeechGenerated]:
        return [event for event in self.events if isinstance(event, kind)]


async def test_each_clause_comes_with_its_own_audio_and_their_texts_join_to_the_reply() -> None:
    generating = _Generating(FakeModel([TWO_SENTENCES]))
    events = await generating.said()
    clauses = [event.text for event in events if isinstance(event, ClauseStarted)]
    assert "".join(clauses) == TWO_SENTENCES
    assert len(clauses) == 2
    assert generating.first_tokens == 1
    assert isinstance(events[0], ClauseStarted)
    seconds: list[float] = []
    for event in events:
        if isinstance(event, ClauseStarted):
            seconds.append(0)
        elif isinstance(event, SpeechGenerated):
            seconds[-1] += len(event.audio) / 48_000
    assert seconds == pytest.approx([0.6, 0.5])
    assert events[-1] == GenerationFinished(ATTEMPT, "stop", None)


@pytest.mark.parametrize(
    ("normalizes", "spoken", "ends"),
    [
        (False, "It costs three dollars and fifty cents now.", [(2, 2_400), (8, 4_800), (14, 16_800), (19, 19_200)]),
        (True, "It costs $3.50 now.", [(2, 2_400), (8, 4_800), (14, 7_200), (19, 9_600)]),
    ],
)
async def test_a_voice_that_does_not_read_numbers_gets_words_and_its_times_are_those_of_the_text(
    normalizes: bool, spoken: str, ends: list[tuple[int, int]]
) -> None:
    generating = _Generating(FakeModel(["It costs $3.50 now."]), FakeSynthesizer(normalizes=normalizes))
    events = await generating.said()
    assert [request.text for request in generating.tts.requests] == [spoken]
    assert [event.text for event in events if isinstance(event, ClauseStarted)] == ["It costs $3.50 now."]
    last = generating.of(SpeechGenerated)[-1]
    assert [(word.text_end, word.end_sample) for word in last.words] == ends
    halfway = [[word.text_end for word in event.words] for event in generating.of(SpeechGenerated)]
    assert halfway == sorted(halfway)
    if not normalizes:
        assert [2, 8] in halfway, "the amount is not heard before its last word is"


async def test_the_language_of_the_reply_decides_how_its_numbers_are_spoken() -> None:
    generating = _Generating(FakeModel(["Son 3,50 €."]), FakeSynthesizer(normalizes=False))
    await generating.said(replace(START, language="es"))
    assert [request.text for request in generating.tts.requests] == ["Son tres euros con cincuenta céntimos."]


async def test_a_text_reply_is_posted_as_it_is_written_and_nothing_is_spoken() -> None:
    generating = _Generating(FakeModel(["One", ". Two.", ChatEnd("length", TokenUsage(9, 4, 2))]))
    events = await generating.said(replace(START, modality="text"))
    assert events == [
        TextGenerated(ATTEMPT, "One"),
        TextGenerated(ATTEMPT, ". Two."),
        GenerationFinished(ATTEMPT, "length", MeasuredUsage(9, 4, 2)),
    ]
    assert not generating.tts.requests


@pytest.mark.parametrize("modality", ["audio", "text"])
async def test_a_huge_delta_is_taken_in_slices_with_room_for_others_between(modality: str) -> None:
    turn = 0
    posted: dict[int, int] = {}
    huge = ["and so on " * 500, ToolCallDelta(0, "c", "look", "x" * 15_000)]
    tiny: list[object] = [""] * 5_000
    model = FakeModel([*tiny, *huge, ChatEnd("tool_calls")])  # type: ignore[list-item]

    def post(event: Event) -> None:
        events.append(event)
        size = {TextGenerated: "text", ClauseStarted: "text", ToolArgumentsGenerated: "arguments"}.get(type(event))
        if size is not None:
            posted[turn] = posted.get(turn, 0) + len(getattr(event, size))

    async def bystander() -> None:
        nonlocal turn
        while True:
            await asyncio.sleep(0)
            turn += 1

    events: list[Event] = []
    generations = Generations(engines(model, FakeSynthesizer(word_ms=1)), post, clock=lambda: 10**15)
    other = asyncio.create_task(bystander())
    generations.start(replace(START, modality=modality))  # type: ignore[arg-type]
    await settled(lambda: bool(events) and isinstance(events[-1], GenerationFinished | GenerationFailed))
    other.cancel()
    assert sum(posted.values()) == 20_000
    assert max(posted.values()) <= 2 * SLICE_CHARS
    assert turn >= 5_000 * EVENT_CHARS // SLICE_CHARS


async def test_a_long_chunk_and_endless_empty_ones_leave_room_for_others_between() -> None:
    """A voice that never waits: 2,000 chunks without sound, then a whole paragraph in one."""
    turn = 0
    posted: list[int] = []

    class Hasty(FakeSynthesizer):
        async def speak(self, request: SpeechRequest) -> AsyncIterator[SpeechChunk]:
            for _ in range(2_000):
                yield SpeechChunk(np.zeros(0, np.float32), 16_000)
            yield SpeechChunk(np.zeros(15 * 16_000, np.float32), 16_000)

    def post(event: Event) -> None:
        events.append(event)
        if isinstance(event, SpeechGenerated):
            posted.append(turn)

    async def bystander() -> None:
        nonlocal turn
        while True:
            await asyncio.sleep(0)
            turn += 1

    events: list[Event] = []
    generations = Generations(engines(FakeModel(["Hello."]), Hasty()), post, clock=lambda: 10**15)
    other = asyncio.create_task(bystander())
    generations.start(START)
    await settled(lambda: bool(events) and isinstance(events[-1], GenerationFinished | GenerationFailed))
    other.cancel()
    assert sum(len(event.audio) for event in events if isinstance(event, SpeechGenerated)) == 15 * 48_000
    assert posted[0] >= 2_000 * CHUNK_MS // SLICE_MS
    assert max(posted.count(number) for number in posted) <= 3, (
        "a second of audio, and what the resampler had held back"
    )


async def test_a_slow_model_is_heard_before_it_has_written_a_whole_clause() -> None:
    """It writes a word every three seconds; the core gives up what is silent for sixty."""
    now = written = 0

    class Slow(FakeModel):
        async def reply(self, request: ChatRequest) -> AsyncIterator[ChatEvent]:
            nonlocal now, written
            async for event in super().reply(request):
                now += 3_000_000_000
                heard = written // 4
                await settled(lambda heard=heard: len(generating.tts.requests) >= heard and generating.tts.running == 0)  # type: ignore[misc]
                written += 1
                yield event

    generating = _Generating(Slow([f"word{i} " for i in range(12)]))
    generating.generations = Generations(
        engines(generating.llm, generating.tts), generating.events.append, clock=lambda: now
    )
    events = await generating.said()
    clauses = [event.text for event in events if isinstance(event, ClauseStarted)]
    assert clauses == [
        "word0 word1 word2 word3 ",
        "word4 word5 word6 word7 ",
        "word8 word9 word10 word11 ",
    ]


async def test_a_character_that_comes_in_two_halves_is_whole_and_half_a_one_is_not_sent() -> None:
    call = [ToolCallDelta(0, "call", "look_up", '"\ud83d'), ToolCallDelta(0, arguments='\ude00"')]
    llm = FakeModel(["Yes \ud83d", "\ude00, \ude00 \ud83d", "!", *call, "\ud83d", ChatEnd("tool_calls")])
    events = await _Generating(llm).said(replace(START, modality="text"))
    assert (
        "".join(event.text for event in events if isinstance(event, TextGenerated)) == "Yes \U0001f600, \ufffd \ufffd!"
    )
    arguments = [event.arguments for event in events if isinstance(event, ToolArgumentsGenerated)]
    assert "".join(arguments) == '"\U0001f600"'


async def test_a_fault_whose_message_ends_in_half_a_character_can_be_passed_on() -> None:
    events = await _Generating(FakeModel(["Yes.", EngineError("no \ud83d", code="server_error")])).said()
    assert events[-1] == GenerationFailed(ATTEMPT, Fault("server_error", "no \ufffd"))


async def test_tool_calls_come_after_the_words_before_them() -> None:
    call = [ToolCallDelta(0, "call_a", "look_up", '{"city"'), ToolCallDelta(0, arguments=':"Paris"}')]
    more = [ToolCallDelta(1, "call_b", "look_up", "{}")]
    llm = FakeModel(["Let me look", *call, *more, ChatEnd("tool_calls")])
    events = await _Generating(llm).said()
    first_call = events.index(next(event for event in events if isinstance(event, ToolCallStarted)))
    assert all(isinstance(event, ClauseStarted | SpeechGenerated) for event in events[:first_call])
    assert sum(isinstance(event, SpeechGenerated) for event in events[:first_call]) == 3
    assert events[first_call:] == [
        ToolCallStarted(ATTEMPT, 0, CallId("call_a"), "look_up"),
        ToolArgumentsGenerated(ATTEMPT, 0, '{"city"'),
        ToolArgumentsGenerated(ATTEMPT, 0, ':"Paris"}'),
        ToolCallStarted(ATTEMPT, 1, CallId("call_b"), "look_up"),
        ToolArgumentsGenerated(ATTEMPT, 1, "{}"),
        GenerationFinished(ATTEMPT, "tool_calls"),
    ]


async def test_the_first_clause_is_spoken_while_the_model_still_writes() -> None:
    rest = Hold()
    generating = _Generating(FakeModel(["The weather is very fine today. Tom", rest, "orrow it will rain."]))
    generating.generations.start(START)
    await settled(lambda: len(generating.of(SpeechGenerated)) == 6)
    assert not generating.over
    rest.event.set()
    await settled(lambda: generating.over)


async def test_the_model_goes_on_writing_while_a_clause_is_spoken() -> None:
    held = Hold()
    generating = _Generating(FakeModel([TWO_SENTENCES]), FakeSynthesizer(script={"very": held}))
    generating.generations.start(START)
    await settled(lambda: held.reached.is_set() and generating.llm.running == 0)
    held.event.set()
    await settled(lambda: generating.over)


@pytest.mark.parametrize("modality", ["audio", "text"])
async def test_nothing_follows_a_cancellation_and_both_streams_are_closed(modality: str) -> None:
    generating = _Generating(
        FakeModel(["The weather is very fine today. Tomorrow", Hold()]), FakeSynthesizer(script={"fine": Hold()})
    )
    generating.generations.start(replace(START, modality=modality))  # type: ignore[arg-type]
    await settled(lambda: bool(generating.events) and generating.llm.running == 1)
    posted = len(generating.events)
    generating.generations.cancel(CancelGeneration(ATTEMPT))
    await settled(lambda: generating.llm.running == 0 and generating.tts.running == 0)
    assert len(generating.events) == posted


async def test_an_attempt_cancelled_before_it_ran_never_asks_the_model() -> None:
    generating = _Generating(FakeModel(["Too late."]))
    generating.generations.start(START)
    generating.generations.cancel(CancelGeneration(ATTEMPT))
    after = asyncio.Event()
    asyncio.get_running_loop().call_later(0.01, after.set)
    async with asyncio.timeout(WAIT_S):
        await after.wait()
    assert not generating.events
    assert not generating.llm.requests


async def test_two_attempts_at_once_do_not_mix() -> None:
    generating = _Generating(FakeModel([Hold()], ["The second one speaks."]))
    generating.generations.start(START)
    await settled(lambda: generating.llm.running == 1)
    generating.generations.start(replace(START, attempt=AttemptId(8)))
    await settled(lambda: generating.over)
    assert {event.attempt for event in generating.events} == {8}  # type: ignore[union-attr]
    generating.generations.release()
    await settled(lambda: generating.llm.running == 0)


async def test_a_models_fault_comes_after_the_words_it_had_written() -> None:
    fault = EngineError("The endpoint is down.", code="connection_failed", remedy="Start it.")
    events = await _Generating(FakeModel(["It is now exactly", fault])).said()
    assert sum(isinstance(event, SpeechGenerated) for event in events) == 4
    failed = events[-1]
    assert isinstance(failed, GenerationFailed)
    assert (failed.fault.code, failed.fault.message) == ("connection_failed", "The endpoint is down. Start it.")


async def test_a_synthesizers_fault_ends_the_reply_and_the_model() -> None:
    fault = EngineError("No such voice.", code="voice_not_found")
    generating = _Generating(
        FakeModel(["The weather is very fine today. Tomorrow", Hold()]), FakeSynthesizer(script={"very": fault})
    )
    events = await generating.said()
    assert [type(event) for event in events] == [
        ClauseStarted,
        SpeechGenerated,
        SpeechGenerated,
        SpeechGenerated,
        GenerationFailed,
    ]


@pytest.mark.parametrize("modality", ["audio", "text"])
async def test_an_unexpected_error_fails_the_reply_and_stands_in_the_log(
    modality: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        events = await _Generating(FakeModel([ZeroDivisionError("oh")])).said(replace(START, modality=modality))  # type: ignore[arg-type]
    failed = events[-1]
    assert isinstance(failed, GenerationFailed)
    assert failed.fault.code == "engine_error"
    assert "ZeroDivisionError" in failed.fault.message
    assert [record.exc_info is not None for record in caplog.records] == [True]


@pytest.mark.parametrize(("part", "modality"), [("model", "audio"), ("model", "text"), ("synthesizer", "audio")])
async def test_an_engine_whose_own_work_was_cancelled_fails_the_reply(part: str, modality: str) -> None:
    class CancelledModel(FakeModel):
        async def reply(self, request: ChatRequest) -> AsyncIterator[ChatEvent]:
            async for event in super().reply(request):
                yield event
                raise asyncio.CancelledError

    class CancelledSynthesizer(FakeSynthesizer):
        async def speak(self, request: SpeechRequest) -> AsyncIterator[SpeechChunk]:
            async for chunk in super().speak(request):
                yield chunk
                raise asyncio.CancelledError

    llm = CancelledModel([TWO_SENTENCES]) if part == "model" else FakeModel([TWO_SENTENCES])
    tts = CancelledSynthesizer() if part == "synthesizer" else FakeSynthesizer()
    events = await _Generating(llm, tts).said(replace(START, modality=modality))  # type: ignore[arg-type]
    assert isinstance(events[-1], GenerationFailed)
    assert events[-1].fault.code == "engine_error"


async def test_a_stream_that_breaks_off_is_a_failure_not_an_end() -> None:
    events = await _Generating(FakeModel(["Half an answ"], cut=True)).said()
    failed = events[-1]
    assert isinstance(failed, GenerationFailed)
    assert failed.fault.code == "connection_failed"


@pytest.mark.parametrize(
    ("rate", "format", "size"),
    [
        (22_050, AudioFormat.PCM16, 9_600),
        (16_000, AudioFormat.PCM16, 9_600),
        (24_000, AudioFormat.PCMU, 1_600),
        (22_050, AudioFormat.PCMA, 1_600),
    ],
)
async def test_every_clause_is_whole_in_the_sessions_format(rate: int, format: AudioFormat, size: int) -> None:
    """Two words of 100 ms are 200 ms in every format, with nothing held back by the resampler."""
    generating = _Generating(FakeModel(["Good morning."]), FakeSynthesizer(sample_rate=rate))
    await generating.said(replace(START, format=format))
    assert sum(len(event.audio) for event in generating.of(SpeechGenerated)) == pytest.approx(size, abs=2)


async def test_no_delta_is_longer_than_a_second() -> None:
    generating = _Generating(FakeModel(["Loooong."]), FakeSynthesizer(word_ms=2_500))
    await generating.said()
    assert [len(event.audio) for event in generating.of(SpeechGenerated)] == [48_000, 48_000, 24_000]


async def test_words_are_timed_in_the_text_that_is_shown() -> None:
    generating = _Generating(FakeModel(["Good **morning**, Anna!"]))
    await generating.said()
    last = generating.of(SpeechGenerated)[-1]
    assert [(word.text_end, word.end_sample) for word in last.words] == [(4, 2_400), (17, 4_800), (23, 7_200)]


async def test_audio_is_not_made_hours_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pacing, "MAX_AHEAD_S", 0.3)
    generating = _Generating(FakeModel(["one two three four five six seven eight nine"]))
    loop = asyncio.get_running_loop()
    begun = loop.time()
    await generating.said()
    assert loop.time() - begun == pytest.approx(0.9 - 0.3, abs=0.25)
    assert len(generating.of(SpeechGenerated)) == 9


async def test_a_client_that_does_not_read_stops_what_is_made_for_it_and_loses_nothing() -> None:
    words = " ".join(f"word{number}" for number in range(40))
    generating = _Generating(FakeModel([words]))
    generating.generations.hold(True)
    generating.generations.start(START)
    for _ in range(200):
        await asyncio.sleep(0)
    assert generating.llm.requests
    assert generating.events == []
    generating.generations.hold(False)
    await settled(lambda: len(generating.of(SpeechGenerated)) == 3)
    generating.generations.hold(True)
    for _ in range(200):
        await asyncio.sleep(0)
    made = len(generating.of(SpeechGenerated))
    assert made <= 4
    generating.generations.hold(False)
    await settled(lambda: generating.over)
    assert len(generating.of(SpeechGenerated)) == 40


async def test_tool_calls_wait_for_a_client_that_does_not_read() -> None:
    generating = _Generating(FakeModel([ToolCallDelta(0, "c", "look", "x" * 40_000)]))
    generating.generations.hold(True)
    generating.generations.start(START)
    for _ in range(200):
        await asyncio.sleep(0)
    assert generating.llm.requests
    assert generating.events == []
    generating.generations.hold(False)
    await settled(lambda: generating.over)
    assert (
        sum(len(event.arguments) for event in generating.events if isinstance(event, ToolArgumentsGenerated)) == 40_000
    )


async def test_a_text_reply_waits_for_a_client_that_does_not_read() -> None:
    generating = _Generating(FakeModel([f"{number} " for number in range(40)]))
    generating.generations.hold(True)
    generating.generations.start(replace(START, modality="text"))
    for _ in range(200):
        await asyncio.sleep(0)
    assert generating.events == []
    generating.generations.hold(False)
    await settled(lambda: generating.over)
    assert sum(isinstance(event, TextGenerated) for event in generating.events) == 40


async def test_many_replies_at_once_take_the_loop_for_one_chunk_at_a_time_and_the_latest_begins_at_once() -> None:
    """Eight replies of sixty chunks each; a ninth, of which nothing has been heard yet, comes before what is made ahead."""
    turn = 0
    made: list[tuple[int, AttemptId]] = []

    def post(event: Event) -> None:
        if isinstance(event, SpeechGenerated):
            made.append((turn, event.attempt))

    text = " ".join(["word"] * 60)
    generations = Generations(engines(FakeModel(*[[text] for _ in range(9)]), FakeSynthesizer()), post, clock=lambda: 0)
    for number in range(8):
        generations.start(replace(START, attempt=AttemptId(number)))
    started = False
    async with asyncio.timeout(WAIT_S):
        while len(made) < 9 * 60:
            turn += 1
            await asyncio.sleep(0)
            if not started and len(made) >= 80:
                started = True
                generations.start(replace(START, attempt=AttemptId(8)))
    turns = [number for number, _ in made]
    assert len(turns) == len(set(turns)), "two chunks in one turn of the loop"
    order = [attempt for _, attempt in made]
    assert max(order[:80].count(AttemptId(number)) for number in range(8)) <= 11
    first = order.index(AttemptId(8))
    assert order[first : first + 8].count(AttemptId(8)) >= 7
