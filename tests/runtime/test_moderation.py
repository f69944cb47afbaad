"""A moderated attempt: nothing is posted that the moderator has not allowed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from parley.core.words.effects import CancelGeneration, StartGeneration
from parley.core.words.errors import Fault
from parley.core.words.events import (
    ClauseStarted,
    Event,
    FirstTokenGenerated,
    GenerationFailed,
    GenerationFinished,
    SpeechGenerated,
    TextGenerated,
    ToolCallStarted,
)
from parley.core.words.ids import AttemptId, ItemId
from parley.core.words.items import InputAudio, InputText, Message, OutputText
from parley.core.words.settings import AudioFormat, Modality
from parley.core.words.work import Prompt, Reply, Utterance
from parley.engines.moderation import words
from parley.engines.ports import (
    LLM,
    MODERATION,
    TTS,
    EngineError,
    EngineInfo,
    EngineSet,
    ModerationRequest,
    ModerationVerdict,
    ToolCallDelta,
)
from parley.runtime.generation.attempts import Generations
from parley.runtime.generation.screening import MAX_BEFORE_CHARS, MAX_REMEMBERED, Remembered, words_to_answer
from parley.testing.fakes import FakeModel, FakeSynthesizer, Hold
from parley.text.clauses import Clause
from tests.runtime.rig import settled

ATTEMPT = AttemptId(7)
TWO_SENTENCES = "The weather is very fine today. Tomorrow it is a darn shame."


def asked(*texts: str, modality: Modality = "audio") -> StartGeneration:
    """The work of answering these messages of the user's."""
    items = tuple(
        Message(ItemId(f"item_{n}"), "user", (InputText(text) if n % 2 else InputAudio(text),))
        for n, text in enumerate(texts)
    )
    return StartGeneration(ATTEMPT, Reply(Prompt("", items)), modality, "alloy", 1.0, AudioFormat.PCM16, "en")


class Asked:
    """A moderator of which each verdict waits for `hold`, and which says what it was asked."""

    def __init__(self, *flags: str, hold: Hold | None = None, error: Exception | None = None) -> None:
        self.flags = flags
        self.hold = hold
        self.error = error
        self.requests: list[ModerationRequest] = []
        self.running = 0

    @property
    def info(self) -> EngineInfo:
        return EngineInfo("moderation", "asked", "Flags what it is told to.")

    async def open(self) -> None:
        return None

    async def close(self) -> None:
        return None

    async def judge(self, request: ModerationRequest) -> ModerationVerdict:
        self.requests.append(request)
        self.running += 1
        try:
            if self.hold is not None:
                await self.hold.pass_through()
            if self.error is not None:
                raise self.error
            return ModerationVerdict(any(flag in request.text for flag in self.flags), ("asked",))
        finally:
            self.running -= 1


class Moderated:
    """The attempts of a session with a moderator, and what they post."""

    def __init__(self, moderator: Asked | words.WordList, *reply: object) -> None:
        self.llm = FakeModel(list(reply) or [TWO_SENTENCES])  # type: ignore[arg-type]
        self.tts = FakeSynthesizer()
        self.events: list[Event] = []
        engines = EngineSet({LLM: self.llm, TTS: self.tts, MODERATION: moderator})
        self.generations = Generations(engines, self._take)

    def _take(self, event: Event) -> None:
        if not isinstance(event, FirstTokenGenerated):
            self.events.append(event)

    async def said(self, start: StartGeneration) -> list[Event]:
        self.generations.start(start)
        await settled(lambda: bool(self.events) and isinstance(self.events[-1], GenerationFinished | GenerationFailed))
        await settled(lambda: self.llm.running == 0 and self.tts.running == 0)
        return self.events

    @property
    def text(self) -> str:
        return "".join(e.text for e in self.events if isinstance(e, ClauseStarted | TextGenerated))


@asynccontextmanager
async def listed(*entries: str) -> AsyncIterator[words.WordList]:
    engine = words.WordList(None, entries)
    await engine.open()
    yield engine
    await engine.close()


@pytest.mark.parametrize("modality", ["audio", "text"])
async def test_the_reply_ends_before_the_first_clause_that_is_refused(modality: Modality) -> None:
    async with listed("darn") as moderator:
        moderated = Moderated(moderator)
        await moderated.said(asked("How is the weather?", modality=modality))
        assert moderated.text.strip() == "The weather is very fine today."
        assert moderated.events[-1] == GenerationFinished(ATTEMPT, "content_filter")
        assert [request.text for request in moderated.tts.requests] == (
            ["The weather is very fine today."] if modality == "audio" else []
        )


@pytest.mark.parametrize("modality", ["audio", "text"])
async def test_what_is_allowed_is_said_as_without_a_moderator(modality: Modality) -> None:
    async with listed("blast") as moderator:
        moderated = Moderated(moderator)
        await moderated.said(asked("How is the weather?", modality=modality))
        assert moderated.text == TWO_SENTENCES
        assert moderated.events[-1] == GenerationFinished(ATTEMPT, "stop")
        assert any(isinstance(e, SpeechGenerated) for e in moderated.events) is (modality == "audio")


@pytest.mark.parametrize("modality", ["audio", "text"])
async def test_words_that_are_refused_are_not_answered(modality: Modality) -> None:
    async with listed("blast") as moderator:
        moderated = Moderated(moderator)
        await moderated.said(asked("Blast it!", modality=modality))
        assert moderated.events == [GenerationFinished(ATTEMPT, "content_filter")]


async def test_a_tool_is_not_called_for_words_that_are_refused_nor_after_a_refused_clause() -> None:
    call = ToolCallDelta(0, "call_1", "shut_down", "{}")
    async with listed("darn") as moderator:
        for question, reply in (("darn it", "Yes."), ("Please do.", "Well, darn.")):
            moderated = Moderated(moderator, reply, call)
            await moderated.said(asked(question))
            assert moderated.events == [GenerationFinished(ATTEMPT, "content_filter")]
            assert not any(isinstance(e, ToolCallStarted) for e in moderated.events)


async def test_what_was_said_since_the_last_reply_is_judged_once_and_older_words_are_not() -> None:
    items = (
        Message(ItemId("a"), "user", (InputText("darn old"),)),
        Message(ItemId("b"), "assistant", (OutputText("Yes."),)),
        Message(ItemId("c"), "user", (InputAudio("first"), InputText("second"))),
        Message(ItemId("s"), "system", (InputText("darn system"),)),
        Message(ItemId("d"), "user", (InputAudio(None), InputText("third"))),
    )
    start = replace(asked(), work=Reply(Prompt("", items)))
    assert words_to_answer(start) == ["first\nsecond", "third"]
    moderator = Asked()
    moderated = Moderated(moderator)
    await moderated.said(start)
    moderated.events.clear()
    await moderated.said(start)
    assert [request.text for request in moderator.requests if request.side == "user"] == words_to_answer(start)
    said = [request.text for request in moderator.requests if request.side == "assistant"]
    assert "".join(said) == 2 * TWO_SENTENCES
    assert {request.language for request in moderator.requests} == {"en"}


async def test_refused_words_are_kept_from_the_model_and_in_no_other_answers_way() -> None:
    async with listed("darn") as moderator:
        moderated = Moderated(moderator, "All right.")
        await moderated.said(asked("darn it", "too"))
        assert moderated.events == [GenerationFinished(ATTEMPT, "content_filter")]
        moderated.events.clear()
        await moderated.said(asked("darn it", "too", "Hello."))
        assert moderated.text == "All right."
        prompt = [message.text for message in moderated.llm.requests[-1].messages if message.role == "user"]
        assert prompt == ["too", "Hello."]
        moderated.events.clear()
        await moderated.said(asked("Hello.", "darn it"))
        assert moderated.events == [GenerationFinished(ATTEMPT, "content_filter")], "said again, it is refused again"


async def test_few_verdicts_are_remembered() -> None:
    remembered = Remembered()
    for number in range(MAX_REMEMBERED + 5):
        remembered.put(str(number), True)
    assert list(remembered.flagged) == [str(number) for number in range(5, MAX_REMEMBERED + 5)]


async def test_a_text_that_a_program_has_spoken_is_judged_too() -> None:
    async with listed("darn") as moderator:
        moderated = Moderated(moderator)
        await moderated.said(replace(asked(), work=Utterance(TWO_SENTENCES)))
        assert moderated.text.strip() == "The weather is very fine today."


async def test_nothing_is_said_before_its_verdict_and_clauses_are_judged_ahead() -> None:
    hold = Hold()
    moderator = Asked("darn", hold=hold)
    moderated = Moderated(moderator)
    moderated.generations.start(asked("How is the weather?"))
    await settled(lambda: len(moderator.requests) == 3)
    assert moderated.events == []
    hold.event.set()
    await settled(lambda: bool(moderated.events) and isinstance(moderated.events[-1], GenerationFinished))
    assert moderated.text.strip() == "The weather is very fine today."


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (EngineError("No verdict.", code="timeout"), Fault("timeout", "No verdict.")),
        (
            KeyError("darn"),
            Fault("engine_error", "The moderator 'asked' failed: KeyError. The log has the details."),
        ),
    ],
)
async def test_without_a_verdict_nothing_is_said_and_the_reply_fails(error: Exception, fault: Fault) -> None:
    moderated = Moderated(Asked(error=error))
    await moderated.said(asked("How is the weather?"))
    assert moderated.events == [GenerationFailed(ATTEMPT, fault)]


async def test_a_verdict_that_is_none_fails_the_reply() -> None:
    class Answers(Asked):
        async def judge(self, request: ModerationRequest) -> ModerationVerdict:
            return True  # type: ignore[return-value]

    moderated = Moderated(Answers())
    (event,) = await moderated.said(asked("How is the weather?"))
    assert isinstance(event, GenerationFailed)
    assert event.fault.message.startswith("The moderator 'asked' failed: TypeError.")


async def test_a_cancelled_attempt_cancels_its_questions() -> None:
    moderator = Asked(hold=Hold())
    moderated = Moderated(moderator)
    moderated.generations.start(asked("How is the weather?"))
    await settled(lambda: moderator.running == 3)
    moderated.generations.cancel(CancelGeneration(ATTEMPT))
    await settled(lambda: moderator.running == 0 and not moderated.generations.tasks())
    await asyncio.sleep(0)
    assert moderated.events == []


async def test_what_was_refused_is_not_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    async with listed("darn") as moderator:
        await Moderated(moderator).said(asked("How is the weather?"))
    assert "The moderator 'words' refused a clause of the reply: blocked_word" in caplog.text
    assert "darn" not in caplog.text
    assert "shame" not in caplog.text


# --- what two clauses share ---

STOLEN = "You can always buy stolen, cards are sold at the corner. For ten."


class Clauses:
    """A cutter that gives each delta as one clause."""

    def __init__(self, language: str) -> None:
        self._language = language

    def push(self, delta: str) -> list[Clause]:
        return [Clause(delta, delta)]

    def hurry(self) -> list[Clause]:
        return []

    def finish(self) -> list[Clause]:
        return []


def by_delta(moderator: Asked | words.WordList, *reply: object) -> Moderated:
    moderated = Moderated(moderator, *reply)
    moderated.generations = Generations(
        EngineSet({LLM: moderated.llm, TTS: moderated.tts, MODERATION: moderator}), moderated._take, cutter=Clauses
    )
    return moderated


@pytest.mark.parametrize("modality", ["audio", "text"])
@pytest.mark.parametrize(
    ("entry", "half"), [("buy stolen cards", "stolen"), ("stolen cards are", "stolen"), ("corner for", "corner")]
)
async def test_a_phrase_over_two_clauses_is_refused_and_its_first_half_is_not_said(
    entry: str, half: str, modality: Modality
) -> None:
    async with listed(entry) as moderator:
        moderated = Moderated(moderator, STOLEN)
        await moderated.said(asked("What can I do?", modality=modality))
    assert moderated.events[-1] == GenerationFinished(ATTEMPT, "content_filter")
    assert half not in moderated.text
    assert not any(half in request.text for request in moderated.tts.requests)


async def test_a_phrase_over_many_clauses_is_refused_whole() -> None:
    async with listed("one two three four") as moderator:
        moderated = by_delta(moderator, "Zero. ", "One. ", "Two. ", "... ", "Three. ", "Four. ", "Five.")
        await moderated.said(asked("Count."))
    assert moderated.text == "Zero. "


@pytest.mark.parametrize(
    "reply", [["Buy stolen. ", "Bicycles. ", "Now."], ["Buy stolen. ", "Buy stolen. ", "Bicycles."], ["Buy stolen."]]
)
async def test_a_beginning_that_is_continued_otherwise_is_said(reply: list[str]) -> None:
    async with listed("buy stolen cards") as moderator:
        moderated = by_delta(moderator, *reply)
        await moderated.said(asked("What can I do?"))
    assert moderated.text == "".join(reply)
    assert moderated.events[-1] == GenerationFinished(ATTEMPT, "stop")


async def test_a_clause_is_not_kept_waiting_for_the_next_unless_a_phrase_may_begin_at_its_end() -> None:
    async with listed("buy stolen cards") as moderator:
        hold = Hold()
        moderated = by_delta(moderator, "Buy a stolen. ", "Buy stolen. ", hold, "Bicycles.")
        moderated.generations.start(asked("What can I do?"))
        await settled(lambda: hold.reached.is_set() and moderated.text != "" and moderated.tts.running == 0)
        assert moderated.text == "Buy a stolen. "
        hold.event.set()
        await settled(lambda: isinstance(moderated.events[-1], GenerationFinished))
        assert moderated.text == "Buy a stolen. Buy stolen. Bicycles."


@pytest.mark.parametrize("call", [[], [ToolCallDelta(0, "call_1", "look", "{}")]])
async def test_the_end_of_the_text_lets_a_beginning_be_said(call: list[ToolCallDelta]) -> None:
    async with listed("buy stolen cards") as moderator:
        moderated = by_delta(moderator, "I would never buy stolen", *call)
        events = await moderated.said(asked("What can I do?"))
    assert moderated.text == "I would never buy stolen"
    assert any(isinstance(event, ToolCallStarted) for event in events) is bool(call)


async def test_a_clause_waits_for_few_others() -> None:
    class Open(Asked):
        async def judge(self, request: ModerationRequest) -> ModerationVerdict:
            self.requests.append(request)
            return ModerationVerdict(False, (), "before" if request.before else "text")

    moderator = Open()
    moderated = by_delta(moderator, *(["Word. "] * 300))
    await moderated.said(asked("Go on.", modality="text"))
    assert moderated.text == "Word. " * 300
    assert max(len(request.before) for request in moderator.requests) <= MAX_BEFORE_CHARS


async def test_each_clause_is_judged_after_what_was_said_before_it() -> None:
    moderator = Asked()
    moderated = by_delta(moderator, "One. ", "Two. ", "Three.")
    await moderated.said(asked("Count."))
    said = [(request.before, request.text) for request in moderator.requests if request.side == "assistant"]
    assert said == [("", "One. "), ("One. ", "Two. "), ("One. Two. ", "Three.")]
