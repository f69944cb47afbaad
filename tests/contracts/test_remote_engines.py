"""The contract suite on engines behind a server, and on chains: against servers that speak the real protocols, whose answers depend on what
they are sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from parley.config import Config
from parley.engines.fallback import ChainMember, FallbackLimits
from parley.engines.llm.chain import ModelChain
from parley.engines.ports import (
    LLM,
    MODERATION,
    MT,
    STT,
    TTS,
    VAD,
    Engine,
    EngineError,
    EngineSet,
    EngineSpec,
    LanguageModel,
    Samples,
    SpeechRecognizer,
    SpeechRequest,
    SpeechSynthesizer,
    Stage,
    Transcript,
    Translator,
)
from parley.engines.registry import create
from parley.engines.stt.chain import RecognizerChain
from parley.engines.tts.chain import VoiceChain
from parley.runtime.engines import LoadedEngines
from parley.runtime.pipeline import LoadedPipeline
from parley.runtime.voice_worker import VoiceWorker
from parley.testing.contracts import (
    LanguageModelContract,
    ModeratorContract,
    RecognizerContract,
    SynthesizerContract,
    TranslatorContract,
)
from parley.testing.fakes import FakeVoiceActivity
from tests.engines import ollama_server
from tests.engines.audio_server import AudioServer, Form, speak
from tests.engines.bursts import BurstRecognizer
from tests.engines.chat_server import Answer, ChatServer, Request
from tests.engines.ollama_server import OllamaServer
from tests.engines.responses_server import ResponsesServer, Stream
from tests.engines.scripted_servers import served
from tests.engines.translating_server import Drifting, translate
from tests.engines.voices_server import VoicesServer, error
from tests.server.harness import configured, running_in_thread

Make = Callable[[], Any]
AT_ONCE = FallbackLimits(retry_s=0)
"""An engine that failed does not rest: every request falls over."""


def made(stage: Stage[Any], name: str, **options: object) -> Callable[[], Engine]:
    return partial(create, stage, EngineSpec.parse(name, options))


def words_of(said: object, most: int | None) -> tuple[list[str], bool]:
    """The words of a reply that repeats what was said, at most so many, with the spaces before them, and whether it was cut."""
    words = f"You said: {said if isinstance(said, str) else 'something to see'}".split(" ")
    kept = words[: most or len(words)]
    return [word if index == 0 else f" {word}" for index, word in enumerate(kept)], len(kept) < len(words)


async def chat(request: Request, answer: Answer) -> None:
    """Repeats the last message word by word, cut at `max_tokens` words."""
    messages, body = request.body["messages"], request.body
    said = messages[-1]["content"] if messages else "Nothing."
    words, cut = words_of(said, body.get("max_completion_tokens") or body.get("max_tokens"))
    for word in words:
        await answer.delta(content=word)
    await answer.delta(finish="length" if cut else "stop")
    await answer.usage(len(words), len(words))
    await answer.done()


async def responses(request: Request, answer: Answer) -> None:
    """The same in the Responses API."""
    items, stream = request.body["input"], Stream(answer)
    said = items[-1].get("content") if items else "Nothing."
    words, cut = words_of(said, request.body.get("max_output_tokens"))
    for word in words:
        await stream.delta(word)
    await (stream.incomplete("max_output_tokens") if cut else stream.completed())


async def ollama(request: Request, answer: Answer) -> None:
    """The same in Ollama's own API."""
    said = request.body["messages"][-1]["content"]
    words, cut = words_of(said, request.body.get("options", {}).get("num_predict"))
    for word in words:
        await ollama_server.piece(answer, word)
    await ollama_server.finish(answer, "length" if cut else "stop")


# --- language models ---


@pytest.fixture(scope="module")
def chat_url() -> Iterator[str]:
    with served(ChatServer([chat])) as url:
        yield url


class TestOpenAI(LanguageModelContract):
    @pytest.fixture
    def make_engine(self, chat_url: str) -> Make:
        return made(LLM, "openai:m", base_url=chat_url)


@pytest.fixture(scope="module")
def responses_url() -> Iterator[str]:
    with served(ResponsesServer([responses])) as url:
        yield url


class TestResponses(LanguageModelContract):
    @pytest.fixture
    def make_engine(self, responses_url: str) -> Make:
        return made(LLM, "responses:m", base_url=responses_url)


@pytest.fixture(scope="module")
def ollama_url() -> Iterator[str]:
    with served(OllamaServer([ollama])) as url:
        yield url


class TestOllama(LanguageModelContract):
    @pytest.fixture
    def make_engine(self, ollama_url: str) -> Make:
        return made(LLM, "ollama:m", base_url=ollama_url)


async def down(*pieces: object) -> AsyncIterator[Any]:
    """An answer that fails before its first piece."""
    await asyncio.sleep(0)
    if not pieces:
        raise EngineError("It is down.", code="connection_failed")
    for piece in pieces:
        yield piece


class BrokenModel:
    """A `LanguageModel` that fails before its first token."""

    def __init__(self, name: str, engine: LanguageModel) -> None:
        self.info = engine.info

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    def reply(self, request: object) -> AsyncIterator[Any]:
        return down()


class TestModelChain(LanguageModelContract):
    """Every reply is the second engine's, after the first one failed."""

    @pytest.fixture
    def make_engine(self, chat_url: str) -> Make:
        def make() -> ModelChain:
            second = create(LLM, EngineSpec("openai", "m", {"base_url": chat_url}))
            assert isinstance(second, LanguageModel)
            first = BrokenModel("broken", second)
            return ModelChain([ChainMember("broken", first), ChainMember("openai:m", second)], AT_ONCE)

        return make


# --- translators that are language models ---


@pytest.fixture(scope="module")
def translating_url() -> Iterator[str]:
    with served(ChatServer([translate])) as url:
        yield url


DRIFTING = Drifting()


@pytest.fixture(scope="module")
def drifting_url() -> Iterator[str]:
    with served(ChatServer([DRIFTING])) as url:
        yield url


class TestLlmTranslator(TranslatorContract):
    """Each clause is held and judged."""

    @pytest.fixture
    def make_engine(self, drifting_url: str) -> Make:
        return made(MT, "llm:openai:m", openai={"base_url": drifting_url})

    async def drift(self, engine: Translator, times: int) -> str:
        return DRIFTING.drift(times)


class TestLlmTranslatorWithoutItsGuard(TranslatorContract):
    """Pieces as they come, with the last pairs in the prompt."""

    @pytest.fixture
    def make_engine(self, translating_url: str) -> Make:
        return made(MT, "llm:openai:m", openai={"base_url": translating_url}, guard=False, pairs=2)


# --- moderators ---


async def moderate(request: Request, answer: Answer) -> None:
    """Flags what has the word in it."""
    flagged = "bomb" in str(request.body["input"])
    result = {"flagged": flagged, "categories": {"violence": flagged}, "category_scores": {"violence": float(flagged)}}
    await answer.json(200, {"id": "modr_1", "model": "omni-moderation-latest", "results": [result]})


@pytest.fixture(scope="module")
def moderation_url() -> Iterator[str]:
    with served(ChatServer([moderate], models=["omni-moderation-latest"], api="/moderations")) as url:
        yield url


class TestOpenAIModerator(ModeratorContract):
    refused = "bomb"

    @pytest.fixture
    def make_engine(self, moderation_url: str) -> Make:
        return made(MODERATION, "openai", base_url=moderation_url)


# --- recognisers ---


@pytest.fixture(scope="module")
def audio_url() -> Iterator[str]:
    with served(AudioServer(speech=[speak_at_its_speed])) as url:
        yield url


class TestOpenAIRecognizer(RecognizerContract):
    @pytest.fixture
    def make_engine(self, audio_url: str) -> Make:
        return made(STT, "openai:whisper-1", base_url=audio_url, languages=["en", "de"])


class TestOpenAIRecognizerStreamed(RecognizerContract):
    """The text as it is made, with the probabilities of its tokens."""

    @pytest.fixture
    def make_engine(self, audio_url: str) -> Make:
        return made(STT, "openai:m", base_url=audio_url, stream=True, logprobs=True)


@pytest.fixture(scope="module")
def parley_url() -> Iterator[str]:
    """A Parley that hears bursts of sound."""

    async def load_engines(config: Config) -> LoadedEngines:
        stt = BurstRecognizer()
        await stt.open()
        engines = EngineSet({VAD: FakeVoiceActivity(), STT: stt})
        name = config.default_pipeline
        pipeline = LoadedPipeline(name, engines, VoiceWorker(engines[VAD]), config.pipelines[name])
        return LoadedEngines({name: pipeline}, {}, [stt])

    config = configured(max_sessions=100)
    with running_in_thread(config, load_engines) as server:
        yield f"{server.http}/v1"


class TestRealtimeRecognizer(RecognizerContract):
    """Another Parley is the upstream server."""

    @pytest.fixture
    def make_engine(self, parley_url: str) -> Make:
        return made(STT, "realtime:gpt-live-transcribe", base_url=parley_url)


class BrokenRecognizer:
    """A `SpeechRecognizer` whose turns fail when their text is wanted."""

    def __init__(self, second: SpeechRecognizer) -> None:
        self.info = second.info

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    def open_stream(self, spec: object, on_partial: object) -> BrokenStream:
        return BrokenStream()


class BrokenStream:
    def feed(self, audio: Samples) -> None: ...

    async def flush(self) -> Transcript:
        await asyncio.sleep(0)
        raise EngineError("It is down.", code="connection_failed")

    async def finish(self) -> Transcript:
        return await self.flush()

    def close(self) -> None: ...


class TestRecognizerChain(RecognizerContract):
    """Every transcript is the second engine's, after the first one failed."""

    @pytest.fixture
    def make_engine(self) -> Make:
        def make() -> RecognizerChain:
            second = BurstRecognizer()
            members: list[ChainMember[SpeechRecognizer]] = [
                ChainMember("broken", BrokenRecognizer(second)),
                ChainMember("bursts", second),
            ]
            return RecognizerChain(members, AT_ONCE)

        return make


class TestRecognizersThatWork(RecognizerContract):
    """The first engine of a chain, where nothing fails."""

    @pytest.fixture
    def make_engine(self, audio_url: str) -> Make:
        table = {"base_url": audio_url, "languages": ["en", "de"]}
        return made(STT, "chain:openai:whisper-1, openai:whisper-2", openai=table)


# --- voices ---


async def speak_at_its_speed(request: Request, answer: Answer) -> None:
    """`speak`, as much shorter as the speed asks for."""
    said = request.body["input"]
    kept = round(len(said) / request.body.get("speed", 1.0))
    await speak(replace(request, body={**request.body, "input": (said * 2)[:kept]}), answer)


class TestOpenAISynthesizer(SynthesizerContract):
    @pytest.fixture
    def make_engine(self, audio_url: str) -> Make:
        return made(TTS, "openai:m", base_url=audio_url, voices=["alloy", "nova"], languages=["en"])


class Cloning(VoicesServer):
    """Speaks with the voices that it has made: each has a pitch of its own; a recording of less than a second gives none."""

    async def _create(self, kept: dict[str, Form], name: str, prefix: str, form: Any, answer: Answer) -> None:
        if name == "audio_sample" and len(form.file) < 48_000:
            await answer.json(400, error("The recording is too short.", "clip_too_short", "audio_sample"))
        else:
            await super()._create(kept, name, prefix, form, answer)

    async def _speak(self, request: Request, answer: Answer) -> None:
        assert request.body["voice"]["id"] in self.made
        higher = sorted(self.made).index(request.body["voice"]["id"]) + 1
        said = "".join(chr(ord(letter) + higher) for letter in request.body["input"])
        await speak(replace(request, body={**request.body, "input": said}), answer)


@pytest.fixture(scope="module")
def cloning_url() -> Iterator[str]:
    with served(Cloning(speech=[speak_at_its_speed])) as url:
        yield url


class TestCustomVoices(SynthesizerContract):
    """A server that makes voices of recordings."""

    @pytest.fixture
    def make_engine(self, cloning_url: str) -> Make:
        return made(TTS, "openai:m", base_url=cloning_url, voices=["alloy", "nova"], languages=["en"], clones=True)


class BrokenVoice:
    """A `SpeechSynthesizer` that fails before its first audio; it has the voices of `second`."""

    def __init__(self, second: SpeechSynthesizer) -> None:
        self.info = second.info
        self.resolve_voice = second.resolve_voice

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    def speak(self, request: SpeechRequest) -> AsyncIterator[Any]:
        return down()


class TestVoiceChain(SynthesizerContract):
    """Every clause is the second engine's, after the first one failed."""

    @pytest.fixture
    def make_engine(self) -> Make:
        def make() -> VoiceChain:
            second = create(TTS, EngineSpec("espeak"))
            assert isinstance(second, SpeechSynthesizer)
            members: list[ChainMember[SpeechSynthesizer]] = [
                ChainMember("broken", BrokenVoice(second)),
                ChainMember("espeak", second),
            ]
            return VoiceChain(members, AT_ONCE)

        return make
