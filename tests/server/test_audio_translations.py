"""`POST /v1/audio/translations` with the stock client: every format, every refusal, and what happens when the client goes away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from openai import APIStatusError, AsyncOpenAI
from openai.types.audio import TranslationVerbose

from parley.config import Config, load
from parley.engines.mt.bench import BenchTranslator
from parley.engines.ports import MT, EngineError, EngineInfo, EngineSet, Transcript, TranslationRequest
from parley.runtime.engines import LoadedEngines
from parley.server import lifetime
from parley.server.audio_upload import MAX_REQUESTS
from parley.testing.fakes import FakeRecognizer
from tests.conftest import clip_path
from tests.library.rig import silence, voice
from tests.server.harness import (
    PATIENCE_S,
    Engines,
    Running,
    configured,
    running,
    running_in_thread,
    turn_the_loop,
)
from tests.server.recordings import TALK, wav

# The client warns that OpenAI will switch its own models for this off.
pytestmark = pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")


class Hanging(BenchTranslator):
    """Never ends a translation; `begun` and `ended` count them."""

    def __init__(self) -> None:
        super().__init__(0, 0)
        self.begun = asyncio.Semaphore(0)
        self.ended = asyncio.Semaphore(0)

    async def translate(self, request: TranslationRequest) -> AsyncIterator[str]:
        self.begun.release()
        try:
            await asyncio.Event().wait()
            yield ""
        finally:
            self.ended.release()


class Failing(BenchTranslator):
    async def translate(self, request: TranslationRequest) -> AsyncIterator[str]:
        async for piece in super().translate(request):
            yield piece
            raise EngineError("The translator's process ended.", code="process_ended")


@dataclass
class Translating(Engines):
    """With a translator; what it hears is in its x-bench language, unless told otherwise."""

    stt: FakeRecognizer = field(
        default_factory=lambda: FakeRecognizer(
            Transcript("doog yad ot uoy.", language="x-bench"), Transcript("olleh <dlrow>", language="x-bench")
        )
    )
    mt: BenchTranslator = field(default_factory=lambda: BenchTranslator(0, 0))

    def as_set(self) -> EngineSet:
        return super().as_set().replaced({MT: self.mt})


@asynccontextmanager
async def translating(engines: Engines | None = None, **server: Any) -> AsyncIterator[tuple[Running, AsyncOpenAI]]:
    async with running(configured(**server), engines or Translating()) as started, started.client() as client:
        yield started, client


async def refused(client: AsyncOpenAI, **request: Any) -> APIStatusError:
    chosen: dict[str, Any] = {"file": ("talk.wav", wav()), "model": "whisper-1"} | request
    with pytest.raises(APIStatusError) as error:
        await client.audio.translations.create(**chosen)
    body = error.value.response.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"message", "type", "param", "code"}
    return error.value


async def test_the_stock_client_gets_english_text() -> None:
    async with translating() as (_, client):
        made = await client.audio.translations.create(file=("talk.wav", wav()), model="whisper-1", temperature=0.2)
    assert made.text == "good day to you. hello <world>"


async def test_the_recogniser_is_asked_once_a_segment_and_not_in_its_hesitations() -> None:
    """What is asked in a pause is for a reply that may begin early, and there is none."""
    hesitating = np.concatenate(
        [silence(300), voice(600), silence(250), voice(600), silence(250), voice(600), silence(900)]
    )
    engines = Translating(stt=FakeRecognizer("doog yad ot uoy."))
    config = configured()
    assert config.pipelines[config.default_pipeline].speculation
    async with running(config, engines) as started, started.client() as client:
        await client.audio.translations.create(
            file=("talk.wav", wav(hesitating)), model="whisper-1", extra_body={"source_language": "x-bench"}
        )
    assert [stream.calls for stream in engines.stt.streams] == [["finish"]]


async def test_the_prompt_and_the_temperature_reach_the_recogniser_or_are_refused() -> None:
    class Plain(FakeRecognizer):
        @property
        def info(self) -> EngineInfo:
            return replace(super().info, prompts=False, temperature=False)

    engines = Translating()
    async with translating(engines) as (_, client):
        await client.audio.translations.create(
            file=("talk.wav", wav()), model="whisper-1", prompt="Names: Ada.", temperature=0.2
        )
    assert {(stream.spec.prompt, stream.spec.temperature) for stream in engines.stt.streams} == {("Names: Ada.", 0.2)}
    spoken = Transcript("doog yad ot uoy.", language="x-bench")
    async with translating(Translating(stt=Plain(spoken, spoken))) as (_, client):
        refusals: tuple[tuple[dict[str, Any], str], ...] = (
            ({"prompt": "Names: Ada."}, "leave prompt out"),
            ({"temperature": 0.2}, "send 0"),
        )
        for asked, remedy in refusals:
            error = await refused(client, **asked)
            assert (error.status_code, error.code, error.param) == (400, "unsupported_parameter", *asked)
            assert remedy in error.message
        made = await client.audio.translations.create(file=("talk.wav", wav()), model="whisper-1", temperature=0)
    assert made.text == "good day to you. good day to you."


async def test_every_format_of_openai_is_answered() -> None:
    shown: dict[str, str] = {}
    for form in ("text", "srt", "vtt"):
        async with translating() as (_, client):
            shown[form] = str(
                await client.audio.translations.create(
                    file=("talk.wav", wav()), model="whisper-1", response_format=form, prompt="Names: Ada."
                )
            )
    assert shown["text"] == "good day to you. hello <world>\n"
    assert shown["srt"].startswith("1\n00:00:00,")
    assert "\n\n2\n00:00:0" in shown["srt"]
    assert shown["vtt"].startswith("WEBVTT\n\n00:00:00.")
    assert "hello &lt;world&gt;" in shown["vtt"]


async def test_verbose_json_has_language_duration_and_segments() -> None:
    async with translating() as (_, client):
        made = await client.audio.translations.create(
            file=("talk.wav", wav()), model="whisper-1", response_format="verbose_json"
        )
    assert isinstance(made, TranslationVerbose)
    assert TranslationVerbose.model_validate(made.model_dump()) == made, "every field that OpenAI has is there"
    assert made.language == "english"
    assert made.duration == pytest.approx(len(TALK) / 24_000, abs=0.001)
    assert made.segments is not None
    assert [segment.text for segment in made.segments] == ["good day to you.", "hello <world>"]
    times = [edge for segment in made.segments for edge in (segment.start, segment.end)]
    assert times == sorted(times)
    assert made.segments[0].model_dump()["source"] == "doog yad ot uoy."


async def test_another_language_can_be_asked_for_and_speech_in_it_passes_unchanged() -> None:
    engines = Translating(stt=FakeRecognizer(Transcript("hello", language="en"), Transcript("world", language="en")))
    async with translating(engines) as (_, client):
        made = await client.audio.translations.create(
            file=("talk.wav", wav()), model="default", extra_body={"language": "x-bench"}
        )
    assert made.text == "olleh dlrow"
    async with translating(Translating(stt=FakeRecognizer(Transcript("hello", language="en")))) as (_, client):
        made = await client.audio.translations.create(
            file=("talk.wav", wav()), model="default", extra_body={"language": "english"}
        )
    assert made.text == "hello"


async def test_the_language_of_the_speech_can_be_named() -> None:
    engines = Translating(stt=FakeRecognizer("olleh"))
    async with translating(engines) as (_, client):
        made = await client.audio.translations.create(
            file=("talk.wav", wav()), model="whisper-1", extra_body={"source_language": "x-bench"}
        )
        assert made.text == "hello"
        assert {stream.spec.language for stream in engines.stt.streams} == {"x-bench"}
        error = await refused(client, extra_body={"source_language": "fr"})
    assert (error.code, error.param) == ("unsupported_language", "language")


@pytest.mark.parametrize(
    ("request_", "param", "said"),
    [
        ({"model": "gpt-9"}, "model", "gpt-9"),
        ({"response_format": "yaml"}, "response_format", "json, text, srt, verbose_json, vtt"),
        ({"temperature": 3}, "temperature", "from 0 to 1"),
        ({"extra_body": {"language": "fr"}}, "language", "does not translate to 'fr'"),
        ({"extra_body": {"language": "?"}}, "language", "BCP-47"),
        ({"extra_body": {"source_language": "12!"}}, "source_language", "BCP-47"),
        ({"extra_body": {"diarize": "true"}}, "diarize", "There is no field 'diarize'"),
    ],
)
async def test_what_cannot_be_done_names_the_field(request_: dict[str, Any], param: str, said: str) -> None:
    async with translating() as (server, client):
        error = await refused(client, **request_)
        assert len(server.app.audio) == 0
    assert error.status_code == (404 if "model" in request_ else 400)
    assert error.param == param
    assert said in error.message


async def test_a_pipeline_without_a_translator_says_which_setting_is_missing() -> None:
    async with translating(Engines()) as (_, client):
        error = await refused(client)
    assert (error.status_code, error.code) == (400, "no_translator")
    assert "set `mt` in [pipelines.default]" in error.message


async def test_a_translator_that_fails_fails_the_request_and_no_part_of_the_text_is_given() -> None:
    async with translating(Translating(mt=Failing(0, 0))) as (_, client):
        error = await refused(client)
    assert (error.status_code, error.code) == (502, "process_ended")


async def test_a_recogniser_that_fails_fails_the_request() -> None:
    stt = FakeRecognizer(EngineError("The recogniser is lost.", code="recogniser_lost"))
    async with translating(Translating(stt=stt)) as (_, client):
        error = await refused(client)
    assert (error.status_code, error.code) == (502, "recogniser_lost")


async def test_a_client_that_goes_away_ends_the_work() -> None:
    mt = Hanging()
    async with translating(Translating(mt=mt)) as (server, client):
        asking = asyncio.create_task(client.audio.translations.create(file=("a.wav", wav()), model="whisper-1"))
        await asyncio.wait_for(mt.begun.acquire(), PATIENCE_S)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        await asyncio.wait_for(mt.ended.acquire(), PATIENCE_S)
        await turn_the_loop(10)
        assert len(server.app.audio) == 0


@pytest.mark.slow
async def test_a_server_that_stops_tells_the_client_that_the_recording_was_not_finished(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lifetime, "LINKS_END_S", 0.5)
    mt = Hanging()
    async with translating(Translating(mt=mt), shutdown_grace_s=0) as (server, client):
        asking = asyncio.create_task(refused(client))
        await asyncio.wait_for(mt.begun.acquire(), PATIENCE_S)
        server.server.leave()
        error = await asyncio.wait_for(asking, PATIENCE_S)
    assert (error.status_code, error.code) == (503, "server_shutting_down")
    assert int(error.response.headers["retry-after"]) > 0


async def test_one_more_than_the_server_takes_at_once_is_told_when_to_come_back() -> None:
    mt = Hanging()
    stt = FakeRecognizer(*(Transcript("eno", language="x-bench") for _ in range(MAX_REQUESTS)))
    async with translating(Translating(stt=stt, mt=mt)) as (_, client):
        asking = [
            asyncio.create_task(client.audio.translations.create(file=("a.wav", wav()), model="whisper-1"))
            for _ in range(MAX_REQUESTS)
        ]
        for _ in asking:
            await asyncio.wait_for(mt.begun.acquire(), PATIENCE_S)
        error = await refused(client)
        assert (error.status_code, error.code) == (429, "too_many_audio_requests")
        assert int(error.response.headers["retry-after"]) > 0
        for one in asking:
            one.cancel()
        await asyncio.gather(*asking, return_exceptions=True)


@pytest.mark.slow
def test_recorded_speech_is_translated_by_a_real_recogniser() -> None:
    config = load(None, {"port": 0, "stt": "pocketsphinx", "mt": "bench", "llm": "bench", "tts": "bench"}, {})
    config = replace(config, pipelines={config.default_pipeline: config.pipelines[config.default_pipeline]})

    async def opened(config: Config) -> LoadedEngines:
        engines = await LoadedEngines.open_all(config.pipelines.values())
        assert not engines.failures
        return engines

    with running_in_thread(config, opened) as server, server.sync_client() as client:
        for _ in range(2):
            made = client.audio.translations.create(
                file=clip_path("hello_world"), model="whisper-1", extra_body={"language": "x-bench"}
            )
            assert made.text == "olleh dlrow"
