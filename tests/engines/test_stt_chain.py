"""A chain of recognisers: the next hears the whole turn when one fails before its final, and keeps what was promised of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from parley.audio import pcm
from parley.audio.resampling import resample
from parley.config import load
from parley.engines import registry
from parley.engines.fallback import ChainMember, FallbackLimits
from parley.engines.ports import (
    STT,
    ChainCount,
    EngineError,
    EngineInfo,
    EngineRefused,
    Partial,
    RecognitionSpec,
    Samples,
    SpeechRecognizer,
    Transcript,
)
from parley.engines.stt import chain as chains
from parley.engines.stt.chain import RecognizerChain
from parley.engines.stt.promises import continued
from tests.engines.audio_server import AudioServer
from tests.engines.chat_server import Answer, Request
from tests.engines.test_chain import Clock
from tests.speech import clip
from tests.speech import load as load_clip

RATE = 16_000
DOWN = EngineError("It is down.", "Start it.", code="connection_failed")
SECOND = np.full(RATE, 0.25, np.float32)


@dataclass
class Ear:
    """A recogniser of a test: its text is its name and how many samples it was fed. It fails at what `fails` names."""

    name: str
    languages: tuple[str, ...] = ()
    rate: int = RATE
    fails: dict[str, Exception] = field(default_factory=dict)
    waits: asyncio.Event | None = None
    says: str = "{name} {fed}"
    streams: list[EarStream] = field(default_factory=list)
    opened: asyncio.Queue[EarStream] = field(default_factory=asyncio.Queue)

    @property
    def info(self) -> EngineInfo:
        return EngineInfo("stt", self.name, "A test's.", sample_rate=self.rate, languages=self.languages)

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    def open_stream(self, spec: RecognitionSpec, on_partial: Callable[[Partial], None]) -> EarStream:
        if error := self.fails.get("open"):
            raise error
        self.streams.append(EarStream(self, on_partial))
        self.opened.put_nowait(self.streams[-1])
        return self.streams[-1]


@dataclass
class EarStream:
    ear: Ear
    on_partial: Callable[[Partial], None]
    fed: int = 0
    first: float = 0.0
    asked: list[tuple[str, int]] = field(default_factory=list)
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    closed: bool = False

    def feed(self, audio: Samples) -> None:
        if error := self.ear.fails.get("feed"):
            raise error
        self.first = self.first or float(audio[0])
        self.fed += len(audio)

    async def flush(self) -> Transcript:
        return await self._answer("flush")

    async def finish(self) -> Transcript:
        return await self._answer("finish")

    async def _answer(self, what: str) -> Transcript:
        self.asked.append((what, self.fed))
        fed = self.fed
        self.begun.set()
        if self.ear.waits is not None:
            await self.ear.waits.wait()
        if error := self.ear.fails.get(what):
            raise error
        return Transcript(self.ear.says.format(name=self.ear.name, fed=fed))

    def close(self) -> None:
        self.closed = True


async def chain(*ears: Ear, first_s: float = 30.0, clock: Clock | None = None) -> RecognizerChain:
    members: list[ChainMember[SpeechRecognizer]] = [ChainMember(ear.name, ear) for ear in ears]
    made = RecognizerChain(members, FallbackLimits(first_s, 5, 15), clock or Clock())
    await made.open()
    return made


async def final(engine: SpeechRecognizer, *audio: Samples, spec: RecognitionSpec | None = None) -> str:
    stream = engine.open_stream(spec or RecognitionSpec(), lambda _: None)
    for piece in audio:
        stream.feed(piece)
    return (await stream.finish()).text


@pytest.mark.parametrize("at", ["open", "feed", "flush", "finish"])
@pytest.mark.parametrize("fault", [DOWN, RuntimeError("a fault of the package")])
async def test_the_next_hears_the_whole_turn_wherever_one_fails(at: str, fault: Exception) -> None:
    first, second = Ear("a", fails={at: fault}), Ear("b")
    engine = await chain(first, second)
    assert isinstance(engine, SpeechRecognizer)
    stream = engine.open_stream(RecognitionSpec(), lambda _: None)
    stream.feed(SECOND)
    paused = (await stream.flush()).text
    assert paused == ("a 16000" if at == "finish" else "b 16000")
    for _ in range(3):
        stream.feed(SECOND)
    assert (await stream.finish()).text == "b 64000"
    assert second.streams[0].first == 0.25
    assert second.streams[0].closed
    assert all(one.closed for one in first.streams)
    assert engine.counts() == {"a": ChainCount(int(at == "finish"), 1), "b": ChainCount(1, 0)}
    assert await final(engine, SECOND) == "b 16000"
    assert len(first.streams) == (0 if at == "open" else 1), "it rests"


async def test_questions_that_wait_are_put_to_the_next_where_they_were_asked() -> None:
    first, second = Ear("a", fails={"flush": DOWN, "finish": DOWN}, waits=asyncio.Event()), Ear("b")
    engine = await chain(first, second)
    stream = engine.open_stream(RecognitionSpec(), lambda _: None)
    stream.feed(SECOND)
    flushing = asyncio.ensure_future(stream.flush())
    await first.streams[0].begun.wait()
    stream.feed(SECOND)
    finishing = asyncio.ensure_future(stream.finish())
    await asyncio.sleep(0)
    assert first.waits is not None
    first.waits.set()
    assert ((await flushing).text, (await finishing).text) == ("b 16000", "b 32000")
    assert second.streams[0].asked == [("flush", 16_000), ("finish", 32_000)]


async def test_audio_goes_on_to_the_next_while_it_catches_up() -> None:
    first, second = Ear("a"), Ear("b")
    engine = await chain(first, second)
    stream = engine.open_stream(RecognitionSpec(), lambda _: None)
    for _ in range(5):
        stream.feed(SECOND)
    first.fails["feed"] = DOWN
    stream.feed(SECOND)
    await asyncio.sleep(0)
    stream.feed(SECOND)
    assert second.streams[0].fed < 7 * RATE, "it is not given all at once"
    assert (await stream.finish()).text == f"b {7 * RATE}"


async def test_a_turn_without_audio_falls_over_too() -> None:
    engine = await chain(Ear("a", fails={"finish": DOWN}), Ear("b"))
    assert await final(engine) == "b 0"


async def test_a_refusal_is_an_answer() -> None:
    refusal = EngineRefused("It does not understand that.", "Choose another.", code="unsupported_language")
    for at in ("open", "feed", "finish"):
        first, second = Ear("a", fails={at: refusal}), Ear("b")
        engine = await chain(first, second)
        with pytest.raises(EngineRefused, match="does not understand"):
            await final(engine, SECOND)
        assert second.streams == []
        assert engine.counts()["a"].failures == 0


async def test_one_that_does_not_know_the_language_is_passed_over_unless_none_does() -> None:
    refusal = EngineRefused("Not Spanish.", "Choose another.", code="unsupported_language")
    first, second = Ear("a", ("en",), fails={"open": refusal}), Ear("b", ("es", "en"))
    engine = await chain(first, second)
    assert engine.info.languages == ("en",)
    assert await final(engine, spec=RecognitionSpec("es-MX")) == "b 0"
    assert await final(engine, spec=RecognitionSpec(languages=("de", "es"))) == "b 0"
    with pytest.raises(EngineRefused):
        await final(engine, spec=RecognitionSpec("fi"))


async def test_where_none_answers_the_first_ones_code_is_reported_to_every_question() -> None:
    first, second = Ear("a", fails={"finish": DOWN}), Ear("b", fails={"feed": EngineError("Full.", code="busy")})
    engine = await chain(first, second)
    stream = engine.open_stream(RecognitionSpec(), lambda _: None)
    stream.feed(SECOND)
    with pytest.raises(EngineError, match=r"a: It is down\. b: Full\.") as caught:
        await stream.finish()
    assert (caught.value.code, caught.value.remedy) == ("connection_failed", "Start it.")
    assert engine.fault is not None
    first.fails.clear()
    assert await final(engine, SECOND) == "a 16000"
    assert engine.fault is None


async def test_one_that_is_too_slow_is_left_only_where_another_is_ready() -> None:
    first, second = Ear("a", waits=asyncio.Event()), Ear("b")
    engine = await chain(first, second, first_s=0.01)
    assert await final(engine, SECOND) == "b 16000"
    error = engine.members[0].error
    assert error is not None
    assert error.code == "timeout"
    second.fails["feed"] = DOWN
    assert first.opened.get_nowait() is first.streams[0]
    waiting = asyncio.ensure_future(final(engine, SECOND))
    await (await first.opened.get()).begun.wait()
    assert first.waits is not None
    first.waits.set()
    assert await waiting == "a 16000"


async def test_a_resting_engine_comes_back_with_one_turn() -> None:
    clock, first, second = Clock(), Ear("a", fails={"finish": DOWN}), Ear("b")
    engine = await chain(first, second, clock=clock)
    await final(engine, SECOND)
    first.fails.clear()
    clock.now += 5
    trying = engine.open_stream(RecognitionSpec(), lambda _: None)
    assert await final(engine, SECOND) == "b 16000", "one turn tries it, the others go on without"
    trying.close()
    assert await final(engine, SECOND) == "a 16000", "a turn that was given up tries nothing any more"


# --- promises ---


@dataclass
class Listener:
    partials: list[Partial] = field(default_factory=list)

    def __call__(self, partial: Partial) -> None:
        self.partials.append(partial)


async def test_the_next_goes_on_behind_what_was_promised(caplog: pytest.LogCaptureFixture) -> None:
    first, second = Ear("a", fails={"finish": DOWN}), Ear("b", says="please book a TABLE, for two")
    second.waits = asyncio.Event()
    engine = await chain(first, second)
    listener = Listener()
    stream = engine.open_stream(RecognitionSpec(), listener)
    stream.feed(SECOND)
    late = first.streams[0].on_partial
    late(Partial("Please book a table four", "Please book a table"))
    finishing = asyncio.ensure_future(stream.finish())
    await (await second.opened.get()).begun.wait()
    late(Partial("Please book a table for you", "Please book a table for you"))
    say = second.streams[0].on_partial
    say(Partial("please", ""))
    say(Partial("please book a TABLE,", "please book"))
    say(Partial("please book a TABLE, for", "please book a TABLE,"))
    assert second.waits is not None
    second.waits.set()
    with caplog.at_level(logging.DEBUG):
        assert (await finishing).text == "Please book a table, for two"
    assert listener.partials == [
        Partial("Please book a table four", "Please book a table"),
        Partial("Please book a table,", "Please book a table"),
        Partial("Please book a table, for", "Please book a table,"),
    ]
    assert "table" not in caplog.text


async def test_a_text_that_contradicts_what_was_promised_is_the_final_and_takes_nothing_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    first, second = Ear("a", fails={"finish": DOWN}), Ear("b", says="Please look a table")
    second.waits = asyncio.Event()
    third = Ear("c", says="please book a table for two")
    engine = await chain(first, second, third)
    listener = Listener()
    stream = engine.open_stream(RecognitionSpec(), listener)
    stream.feed(SECOND)
    first.streams[0].on_partial(Partial("Please book a", "Please book"))
    finishing = asyncio.ensure_future(stream.finish())
    await (await second.opened.get()).begun.wait()
    second.streams[0].on_partial(Partial("Please look a", "Please look"))
    second.waits.set()
    assert (await finishing).text == "Please look a table"
    assert listener.partials == [Partial("Please book a", "Please book")]
    assert third.streams == [], "hearing other words is no failure"
    assert engine.counts()["b"] == ChainCount(1, 0)
    assert "b hears other words than were promised" in caplog.text
    assert "look" not in caplog.text


async def test_a_turn_goes_on_after_a_pause_whose_text_contradicts_what_was_promised() -> None:
    first, second = Ear("a", fails={"flush": DOWN}), Ear("b", says="Please look {fed}")
    engine = await chain(first, second)
    listener = Listener()
    stream = engine.open_stream(RecognitionSpec(), listener)
    stream.feed(SECOND)
    first.streams[0].on_partial(Partial("Please book a", "Please book"))
    assert (await stream.flush()).text == "Please look 16000"
    stream.feed(SECOND)
    second.streams[0].on_partial(Partial("please book 32000", "please book"))
    assert listener.partials[-1] == Partial("Please book 32000", "Please book")
    assert (await stream.finish()).text == "Please look 32000"


@pytest.mark.parametrize(
    ("promised", "text", "goes_on"),
    [
        ("", "Anything", "Anything"),
        ("Good morning", "Good morning to you", "Good morning to you"),
        ("Good morning.", "good morning, and welcome", "Good morning. and welcome"),
        ("Good morning", "good morning, and welcome", "Good morning, and welcome"),
        ("Good ", "GOOD, morning", "Good morning"),
        ("Hello", "hellos", None),
        ("Hello", "", None),
        ("Hello there", "hello", None),
        ("Caf\u00e9", "cafe\u0301 noir", "Caf\u00e9 noir"),
        ("Cafe", "caf\u00e9 noir", "Cafe noir"),
        ("\u4f60\u597d", "\u4f60\u597d\uff0c\u4e16\u754c", "\u4f60\u597d\uff0c\u4e16\u754c"),
        ("\u4f60\u597d\u3002", "\u4f60\u597d\u4e16\u754c", "\u4f60\u597d\u3002\u4e16\u754c"),
        ("\u041f\u0440\u0438\u0432\u0435\u0442", "\u043f\u0440\u0438\u0432\u0435\u0442\u0438\u043a", None),
        ("Stra\u00dfe", "STRASSE 5", "Stra\u00dfe 5"),
        ("...", "hello", "...hello"),
    ],
)
def test_promises_in_any_script(promised: str, text: str, goes_on: str | None) -> None:
    assert continued(promised, text) == goes_on


# --- bounds ---


async def test_a_turn_that_is_too_long_to_keep_fails_with_its_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chains, "MAX_TURN_S", 3)
    first, second = Ear("a", fails={"finish": DOWN}), Ear("b")
    engine = await chain(first, second)
    stream = engine.open_stream(RecognitionSpec(), lambda _: None)
    for _ in range(4):
        stream.feed(SECOND)
    with pytest.raises(EngineError) as caught:
        await stream.finish()
    assert caught.value is DOWN
    assert second.streams == []
    assert await final(engine, SECOND, SECOND, SECOND) == "b 48000", "the audio of a turn that ended was let go"


async def test_audio_that_comes_faster_than_the_next_catches_up_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chains, "MAX_TURN_S", 3)
    first, second = Ear("a", fails={"feed": DOWN}), Ear("b")
    engine = await chain(first, second)
    stream = engine.open_stream(RecognitionSpec(), lambda _: None)
    for _ in range(3):
        stream.feed(SECOND)
    with pytest.raises(EngineError) as caught:
        stream.feed(SECOND)
    assert caught.value.code == "transcription_backlog"
    assert caught.value.remedy


async def test_engines_of_other_rates_hear_the_same_time() -> None:
    first, second = Ear("a", fails={"finish": DOWN}), Ear("b", rate=24_000)
    engine = await chain(first, second)
    assert engine.info.sample_rate == 24_000
    stream = engine.open_stream(RecognitionSpec(), lambda _: None)
    for _ in range(6):
        stream.feed(np.full(8_000, 0.25, np.float32))
    assert (await stream.finish()).text == "b 48000"
    assert first.streams[0].asked == [("finish", 32_000)]


# --- real engines ---


async def dies(request: Request, answer: Answer) -> None:
    answer.break_off()


async def test_a_remote_recogniser_that_breaks_off_is_replaced_by_a_local_one(tmp_path: Path) -> None:
    samples, rate = load_clip(clip("hello_world"))
    speech = resample(pcm.to_float(samples), rate, RATE)
    server = AudioServer(transcripts=[dies])
    async with server.running():
        path = tmp_path / "parley.toml"
        path.write_text(
            '[pipelines.default]\nstt = ["openai:whisper-1", "pocketsphinx"]\n'
            f'stt_options.openai = {{ base_url = "{server.url}", warm_up = false }}\n'
        )
        engine = registry.create(STT, load(path, {}, {}).pipelines["default"].engines[STT])
        assert isinstance(engine, RecognizerChain)
        await engine.open()
        try:
            stream = engine.open_stream(RecognitionSpec("en"), lambda _: None)
            stream.feed(speech)
            heard = await stream.finish()
        finally:
            await engine.close()
    assert server.posted("/audio/transcriptions"), "the first was asked"
    assert heard.text
    counts = engine.counts()
    # A slow machine may have asked it for a partial, too.
    assert counts["openai:whisper-1"] in (ChainCount(0, 1), ChainCount(0, 2))
    assert counts["pocketsphinx"] == ChainCount(1, 0)
