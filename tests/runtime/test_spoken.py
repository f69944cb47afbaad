"""A reply that a speech model gives: what is posted of it, in which order, and what a moderator or a converter does to it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

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
    SpokenWord,
    TextGenerated,
    ToolArgumentsGenerated,
    ToolCallStarted,
)
from parley.core.words.ids import AttemptId, CallId, ItemId
from parley.core.words.items import InputAudio, InputText, Message, OutputAudio
from parley.core.words.settings import AudioFormat, FunctionTool, Modality
from parley.core.words.work import Prompt, Reply, Utterance
from parley.engines.moderation import words as word_list
from parley.engines.ports import (
    LLM,
    MODERATION,
    SPEECH,
    VC,
    ChatEnd,
    ChatMessage,
    DialogueEvent,
    DialogueRequest,
    Engine,
    EngineError,
    EngineInfo,
    EngineSet,
    SpokenDelta,
    Stage,
    TokenUsage,
    ToolCallDelta,
    Word,
)
from parley.engines.vc import bench as bench_converter
from parley.runtime.generation.attempts import Generations
from parley.testing.fakes import FakeModel, Hold
from tests.runtime.rig import settled

ATTEMPT = AttemptId(7)
RATE = 24_000
Said = DialogueEvent | Exception | Hold


class Speaker:
    """A speech model that gives what it was told to."""

    def __init__(self, *script: Said, rate: int = RATE) -> None:
        self.script = script
        self.rate = rate
        self.requests: list[DialogueRequest] = []
        self.running = 0

    @property
    def info(self) -> EngineInfo:
        return EngineInfo("speech", "speaker", "Says what it is told to.", sample_rate=self.rate, voices=("ada",))

    async def open(self) -> None:
        return None

    async def close(self) -> None:
        return None

    def resolve_voice(self, voice: str, language: str = "") -> str | None:
        return "ada" if voice in ("", "ada") and language in ("", "en") else None

    async def reply(self, request: DialogueRequest) -> AsyncIterator[DialogueEvent]:
        self.requests.append(request)
        self.running += 1
        try:
            for one in self.script:
                if isinstance(one, Exception):
                    raise one
                if isinstance(one, Hold):
                    await one.pass_through()
                else:
                    yield one
        finally:
            self.running -= 1


def sound(ms: float) -> np.ndarray:
    return np.full(round(24 * ms), 0.25, np.float32)


def delta(text: str, ms: float = 100, *words: Word) -> SpokenDelta:
    return SpokenDelta(sound(ms), RATE, text, words)


class Spoken:
    """A session's generations with a speech model, and everything that they have posted."""

    def __init__(self, model: Speaker, **others: Engine) -> None:
        self.model = model
        self.events: list[Event] = []
        stages: dict[str, Stage[Engine]] = {"llm": LLM, "moderation": MODERATION, "vc": VC}  # type: ignore[dict-item]
        engines: dict[Stage[Engine], Engine] = {stages[name]: engine for name, engine in others.items()}
        self.generations = Generations(EngineSet({SPEECH: model, **engines}), self.events.append)

    @property
    def over(self) -> bool:
        return bool(self.events) and isinstance(self.events[-1], GenerationFinished | GenerationFailed)

    async def said(self, start: StartGeneration) -> list[Event]:
        self.generations.start(start)
        await settled(lambda: self.over)
        await settled(lambda: self.model.running == 0)
        return [event for event in self.events if not isinstance(event, FirstTokenGenerated)]


def turn(*items: Message, modality: Modality = "audio", voice: str = "ada", **prompt: object) -> StartGeneration:
    work = Reply(Prompt("Be brief.", items, **prompt))  # type: ignore[arg-type]
    return StartGeneration(ATTEMPT, work, modality, voice, 1.0, AudioFormat.PCM16, "en")


def user(text: str, audio: bytes | None = None) -> Message:
    return Message(ItemId("item_u"), "user", (InputAudio(text, audio),))


def shown(events: Sequence[Event]) -> list[tuple[str, float]]:
    """Each clause with the milliseconds of its audio."""
    clauses: list[tuple[str, float]] = []
    for event in events:
        if isinstance(event, ClauseStarted):
            clauses.append((event.text, 0))
        elif isinstance(event, SpeechGenerated):
            text, ms = clauses.pop() if clauses else ("", 0)
            clauses.append((text, ms + len(event.audio) / 48))
    return clauses


async def test_the_turn_is_given_as_sound_and_what_came_before_it_as_words() -> None:
    model = Speaker(delta("Yes."), ChatEnd("stop"))
    heard = Message(ItemId("item_a"), "assistant", (OutputAudio("One two", heard_ms=1_300),))
    pcm = (np.arange(2_400) % 100).astype("<i2").tobytes()
    items = (user("First.", pcm), heard, user("Go on.", pcm))
    await Spoken(model).said(turn(*items, tools=(FunctionTool("f", "Does it."),), max_output_tokens=50))
    (request,) = model.requests
    assert request.messages == (
        ChatMessage("system", "Be brief."),
        ChatMessage("user", "First."),
        ChatMessage("assistant", "One two", heard_ms=1_300),
    )
    assert (request.transcript, len(request.audio), request.audio.dtype.name) == ("Go on.", 2_400, "float32")
    assert (request.voice, request.language, request.max_tokens, request.text_only) == ("ada", "en", 50, False)
    assert request.tools[0].name == "f"


async def test_a_turn_is_resampled_to_what_the_model_hears() -> None:
    model = Speaker(delta("Yes."), ChatEnd("stop"), rate=16_000)
    await Spoken(model).said(turn(user("Go on.", bytes(48_000))))
    assert len(model.requests[0].audio) == 16_000


async def test_typed_words_beside_the_sound_stay_a_message() -> None:
    model = Speaker(delta("Yes."), ChatEnd("stop"))
    typed = Message(ItemId("item_u"), "user", (InputText("Look:"), InputAudio("what is this", bytes(4_800))))
    await Spoken(model).said(turn(typed))
    assert model.requests[0].messages[1:] == (ChatMessage("user", "Look:"),)
    assert model.requests[0].transcript == "what is this"


@pytest.mark.parametrize(("voice", "asked"), [("ada", "ada"), ("alloy", "")])
async def test_a_voice_that_the_model_lacks_is_left_to_it(voice: str, asked: str) -> None:
    model = Speaker(delta("Yes."), ChatEnd("stop"))
    await Spoken(model).said(turn(user("Go on."), voice=voice))
    assert model.requests[0].voice == asked


async def test_each_piece_of_text_comes_with_its_own_audio_and_the_end_with_its_usage() -> None:
    model = Speaker(
        delta("Hello "), delta("there, ", 60), delta("", 40), delta("friend."), ChatEnd("stop", TokenUsage(3, 4, 1))
    )
    events = await Spoken(model).said(turn(user("Hi.")))
    assert shown(events) == [("Hello ", 100), ("there, ", 100), ("friend.", 100)]
    assert events[-1] == GenerationFinished(ATTEMPT, "stop", MeasuredUsage(3, 4, 1))


async def test_a_word_that_comes_in_parts_is_shown_once_it_is_whole() -> None:
    model = Speaker(delta("Hel"), delta("lo wor"), delta("ld"), delta(" again"), ChatEnd("stop"))
    events = await Spoken(model).said(turn(user("Hi.")))
    texts = [text for text, _ in shown(events)]
    assert texts == ["", "Hello ", "world ", "again"]
    assert "".join(texts) == "Hello world again"


async def test_words_are_timed_from_the_start_of_their_piece() -> None:
    first, second = Word("Hello", 0, 90), Word("there", 110, 180)
    model = Speaker(delta("Hello", 100, first), delta(" there", 100, second), ChatEnd("stop"))
    events = await Spoken(model).said(turn(user("Hi.")))
    words = [event.words for event in events if isinstance(event, SpeechGenerated)]
    assert words == [(SpokenWord(5, 90 * 24),), (SpokenWord(6, 80 * 24),)]


async def test_calls_come_after_the_speech_before_them() -> None:
    call = (ToolCallDelta(0, "call_1", "f"), ToolCallDelta(0, arguments="{}"))
    model = Speaker(delta("Let me see"), *call, ChatEnd("tool_calls"))
    events = await Spoken(model).said(turn(user("Hi.")))
    calls = [ToolCallStarted(ATTEMPT, 0, CallId("call_1"), "f"), ToolArgumentsGenerated(ATTEMPT, 0, "{}")]
    assert [*events[-3:-1]] == calls
    assert "".join(text for text, _ in shown(events[:-3])) == "Let me see"


async def test_a_converter_that_is_late_leaves_each_text_at_its_audio() -> None:
    converter = bench_converter.create("", {"latency_ms": 30})
    model = Speaker(delta("One ", 100), delta("two ", 100), delta("three.", 100), ChatEnd("stop"))
    events = await Spoken(model, vc=converter).said(turn(user("Hi.")))
    clauses = shown(events)
    assert [text for text, _ in clauses] == ["One ", "two ", "three."]
    assert [ms for _, ms in clauses] == pytest.approx([100, 100, 100], abs=1.5)


async def test_telephone_audio_is_cut_at_the_same_places() -> None:
    start = turn(user("Hi."))
    start = StartGeneration(ATTEMPT, start.work, "audio", "ada", 1.0, AudioFormat.PCMU, "en")
    model = Speaker(delta("One ", 100), delta("two.", 100), ChatEnd("stop"))
    events = await Spoken(model).said(start)
    clauses = [(text, ms * 6) for text, ms in shown(events)]
    assert [text for text, _ in clauses] == ["One ", "two."]
    assert [ms for _, ms in clauses] == pytest.approx([100, 100], abs=3)


async def moderating() -> Engine:
    moderator = word_list.create("", {"words": ["darn"]})
    await moderator.open()
    return moderator


class TestModerated:
    async def test_nothing_of_a_refused_clause_is_heard(self) -> None:
        moderator = await moderating()
        script = (delta("The weather "), delta("is very fine. "), delta("It is a darn "), delta("shame today."))
        events = await Spoken(Speaker(*script, ChatEnd("stop")), moderation=moderator).said(turn(user("Hi.")))
        assert "".join(text for text, _ in shown(events)).strip() == "The weather is very fine."
        assert events[-1] == GenerationFinished(ATTEMPT, "content_filter")

    async def test_what_is_allowed_is_heard_to_its_last_sound(self) -> None:
        moderator = await moderating()
        script = (delta("The weather is fine. "), delta("It is cold"), delta("", 50))
        events = await Spoken(Speaker(*script, ChatEnd("stop")), moderation=moderator).said(turn(user("Hi.")))
        clauses = shown(events)
        assert "".join(text for text, _ in clauses) == "The weather is fine. It is cold"
        assert sum(ms for _, ms in clauses) == 250

    async def test_the_user_s_words_are_judged_first(self) -> None:
        moderator = await moderating()
        model = Speaker(delta("Yes. "), ChatEnd("stop"))
        events = await Spoken(model, moderation=moderator).said(turn(user("A darn question.")))
        assert events == [GenerationFinished(ATTEMPT, "content_filter")]


async def test_a_written_reply_is_the_words_of_an_answer_that_nobody_hears() -> None:
    model = Speaker(delta("Hello "), delta("there."), ChatEnd("stop"))
    events = await Spoken(model).said(turn(user("Hi."), modality="text"))
    assert events[:-1] == [TextGenerated(ATTEMPT, "Hello "), TextGenerated(ATTEMPT, "there.")]
    assert model.requests[0].text_only


async def test_a_language_model_beside_it_writes_what_is_read() -> None:
    model, writer = Speaker(delta("Spoken."), ChatEnd("stop")), FakeModel(["Written."])
    events = await Spoken(model, llm=writer).said(turn(user("Hi."), modality="text"))
    assert events[0] == TextGenerated(ATTEMPT, "Written.")
    events = await Spoken(model, llm=writer).said(turn(user("Hi.")))
    assert [text for text, _ in shown(events)] == ["Spoken."]


async def test_a_text_to_be_spoken_needs_a_synthesizer() -> None:
    start = StartGeneration(ATTEMPT, Utterance("Hello."), "audio", "ada", 1.0, AudioFormat.PCM16, "en")
    (failed,) = await Spoken(Speaker()).said(start)
    assert isinstance(failed, GenerationFailed)
    assert failed.fault.code == "no_engine"


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ((EngineError("Gone.", code="timeout"),), "timeout"),
        ((delta("Hel"), RuntimeError("no")), "engine_error"),
        ((delta("Hel"),), "connection_failed"),
        ((SpokenDelta(np.zeros(9, np.int16), RATE),), "invalid_audio"),
        ((SpokenDelta(sound(9), RATE, None),), "invalid_audio"),  # type: ignore[arg-type]
        (("Hello",), "invalid_audio"),
    ],
)
async def test_a_model_that_fails_fails_the_reply_after_what_it_said(script: tuple[Said, ...], code: str) -> None:
    events = await Spoken(Speaker(*script)).said(turn(user("Hi.")))
    assert isinstance(events[-1], GenerationFailed)
    assert isinstance(events[-1].fault, Fault)
    assert events[-1].fault.code == code


async def test_a_cancelled_answer_stops_the_model_and_posts_nothing_more() -> None:
    hold = Hold()
    spoken = Spoken(Speaker(delta("Hello "), hold, delta("there."), ChatEnd("stop")))
    spoken.generations.start(turn(user("Hi.")))
    await hold.reached.wait()
    await settled(lambda: any(isinstance(event, SpeechGenerated) for event in spoken.events))
    posted = list(spoken.events)
    spoken.generations.cancel(CancelGeneration(ATTEMPT))
    await settled(lambda: spoken.model.running == 0 and not spoken.generations.tasks())
    assert spoken.events == posted
