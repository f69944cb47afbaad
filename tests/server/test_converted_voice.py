"""A pipeline that ends in a voice converter, with the stock client: another voice, the same words, and what was heard is kept."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import numpy as np
import pytest

from parley.engines import registry
from parley.engines.mt.bench import BenchTranslator
from parley.engines.ports import (
    MT,
    VC,
    ConversionSpec,
    ConversionStream,
    EngineSet,
    EngineSpec,
    Samples,
    VoiceConverter,
)
from parley.testing.fakes import FakeModel, FakeRecognizer, FakeSynthesizer, Hold
from tests.server.harness import PATIENCE_S, Engines, Running, Talk, configured, loaded, running, talking
from tests.server.test_conversation import PAUSE, VOICE, push, write
from tests.server.test_translation_sessions import CLOSE, TALK, UPDATE, append, audio_of, check, joined


class Counted:
    """A converter's stream that is counted while it is open."""

    def __init__(self, stream: ConversionStream, open_streams: set[object]) -> None:
        self._stream = stream
        self._open = open_streams
        self._open.add(self)

    async def convert(self, audio: Samples) -> Samples:
        return await self._stream.convert(audio)

    async def finish(self) -> Samples:
        return await self._stream.finish()

    def close(self) -> None:
        self._open.discard(self)
        self._stream.close()


@dataclass
class Converting(Engines):
    """The scripted engines, a translator that reverses words, and the converter."""

    vc: VoiceConverter | None = None
    open_streams: set[object] = field(default_factory=set)

    def as_set(self) -> EngineSet:
        engines = super().as_set().replaced({MT: BenchTranslator(0, 0)})
        if self.vc is None:
            return engines
        opening, counted = self.vc.open_stream, self.open_streams

        def open_stream(spec: ConversionSpec) -> ConversionStream:
            return Counted(opening(spec), counted)

        self.vc.open_stream = open_stream  # type: ignore[method-assign]
        return engines.replaced({VC: self.vc})


@asynccontextmanager
async def converter(name: str) -> AsyncIterator[VoiceConverter | None]:
    if not name:
        yield None
        return
    engine = registry.create(VC, EngineSpec.parse(name))
    await engine.open()
    assert isinstance(engine, VoiceConverter)
    try:
        yield engine
    finally:
        await engine.close()


@asynccontextmanager
async def serving(engines: Converting) -> AsyncIterator[Running]:
    async with asyncio.timeout(PATIENCE_S), running(engines=engines) as server:
        yield server


def heard(talk: Talk) -> Samples:
    audio = b"".join(base64.b64decode(event.delta) for event in talk.of("response.output_audio.delta"))
    return np.frombuffer(audio, "<i2").astype(np.float32) / np.float32(32768)


@pytest.mark.parametrize("name", ["bench", "vocoder:high"])
async def test_a_reply_has_another_voice_and_the_same_words_and_length(name: str) -> None:
    said: list[tuple[Samples, str]] = []
    for spec in ("", name):
        async with converter(spec) as engine:
            engines = Converting(llm=FakeModel(["Good day to you. How are you?"]), vc=engine)
            async with serving(engines) as server, talking(server) as talk:
                await talk.send(type="response.create")
                done = await talk.until("response.done")
                said.append((heard(talk), done.response.output[0].content[0].transcript))
        assert not engines.open_streams
    (plain, words), (other, other_words) = said
    assert words == other_words
    assert len(plain) == len(other)
    assert np.abs(plain - other).max() > 0.05
    assert np.sqrt(np.mean(other**2)) > 0.02


@pytest.mark.parametrize("name", ["", "bench", "vocoder:high"])
async def test_talking_over_a_converted_answer_stops_it_and_keeps_the_words_that_were_heard(name: str) -> None:
    hold = Hold()
    async with converter(name) as engine:
        engines = Converting(
            stt=FakeRecognizer(*["Wait."] * 4),
            llm=FakeModel(["one two three four five six seven eight. It was", hold, " never said."], ["All right."]),
            tts=FakeSynthesizer(word_ms=500),
            vc=engine,
        )
        async with serving(engines) as server, talking(server) as talk:
            await write(talk, "Count.")
            await talk.send(type="response.create")
            item = await talk.until("response.output_item.added")
            while len(heard(talk)) < 3.9 * 24_000:
                await talk.next()
            await hold.reached.wait()
            await push(talk, VOICE)
            assert (await talk.until("response.done")).response.status == "cancelled"
            await talk.send(type="conversation.item.truncate", item_id=item.item.id, content_index=0, audio_end_ms=1200)
            await talk.until("conversation.item.truncated")
            assert not engines.open_streams, "the conversion outlived its reply"
            await push(talk, PAUSE)
            await talk.until("response.done")
    kept = [message.text.strip() for message in engines.llm.requests[1].messages if message.role == "assistant"]
    assert kept == ["one two"]


class StuckConversion:
    """A stream that never gives anything."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()

    async def convert(self, audio: Samples) -> Samples:
        self.asked.set()
        await asyncio.Event().wait()
        return audio

    async def finish(self) -> Samples:
        raise AssertionError("it was cancelled before")

    def close(self) -> None:
        pass


async def test_a_reply_is_cancelled_in_the_middle_of_its_conversion() -> None:
    stuck = StuckConversion()
    async with converter("bench") as engine:
        assert engine is not None
        engine.open_stream = lambda spec: stuck  # type: ignore[method-assign]
        engines = Converting(llm=FakeModel(["Good day to you."], ["Well."]), vc=engine)
        async with serving(engines) as server, talking(server) as talk:
            await talk.send(type="response.create")
            await stuck.asked.wait()
            await talk.send(type="response.cancel")
            assert (await talk.until("response.done")).response.status == "cancelled"
        assert not engines.open_streams


@pytest.mark.parametrize("name", ["bench", "vocoder:high"])
async def test_a_translation_has_another_voice_and_the_same_words_and_length(name: str) -> None:
    spoken: list[tuple[bytes, str]] = []
    for spec in ("", name):
        async with converter(spec) as engine:
            engines = Converting(stt=FakeRecognizer("Good day.", "Bye now."), vc=engine)
            config = configured()
            async with running(config, loaded(config, engines)) as server, asyncio.timeout(PATIENCE_S):
                opened = server.client().realtime.translations.connect(model="gpt-realtime-translate")
                async with opened as connection:
                    events = [await connection.recv()]
                    await connection.send(UPDATE)
                    for chunk in [*TALK, *TALK]:
                        await connection.send(append(chunk))
                    await connection.send(CLOSE)
                    while events[-1].type != "session.closed":
                        events.append(await connection.recv())
        check(events)
        assert not engines.open_streams
        spoken.append((audio_of(events), joined(events, "session.output_transcript.delta")))
    (plain, words), (other, other_words) = spoken
    assert words == other_words == "dooG yad. eyB won."
    assert len(plain) == len(other) >= 4 * 100 * 2 * 24
    assert plain != other
