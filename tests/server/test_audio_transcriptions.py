"""`POST /v1/audio/transcriptions` with the stock client: every format, whole and as a stream, every field, every refusal, and what happens
when the client goes away."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
import pytest
from openai import APIError, APIStatusError, AsyncOpenAI
from openai.types.audio import Transcription, TranscriptionVerbose
from openai.types.audio.transcription_text_delta_event import TranscriptionTextDeltaEvent
from openai.types.audio.transcription_text_done_event import TranscriptionTextDoneEvent

from parley.config import Config, load
from parley.engines.ports import EngineError, EngineInfo, TokenLogprob, Transcript, Word
from parley.runtime.engines import LoadedEngines
from parley.server import lifetime, transcriptions_rest
from parley.server.audio_upload import MAX_REQUESTS
from parley.testing.fakes import FakeRecognizer, Hold
from tests.conftest import clip_path
from tests.runtime.rig import settled
from tests.server.harness import PATIENCE_S, Engines, Running, configured, loaded, running, running_in_thread
from tests.server.recordings import SECONDS, wav
from tests.speech import recording

pytestmark = pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")


class Timing(FakeRecognizer):
    """Declares word times and English."""

    @property
    def info(self) -> EngineInfo:
        return replace(super().info, timings=True, languages=("en", "pt"))


HELLO = Transcript(
    "Hello to all.",
    (Word("Hello", 100, 400), Word("to", 420, 500), Word("all.", 520, 900)),
    "en",
    0.5,
    (TokenLogprob("Hello", -0.1), TokenLogprob(" to all.", -0.25)),
)
WORLD = Transcript(
    "Olá <mundo>", (Word("Olá", 100, 300), Word("<mundo>", 320, 800)), "pt", 0.9, (TokenLogprob("Olá", -0.3),)
)


@dataclass
class Hearing(Engines):
    """Hears two turns in each recording, again and again."""

    stt: FakeRecognizer = field(default_factory=lambda: Timing(*(HELLO, WORLD) * 12))


TEXT = "Hello to all. Olá <mundo>"


@asynccontextmanager
async def hearing(engines: Engines | None = None, **server: Any) -> AsyncIterator[tuple[Running, AsyncOpenAI]]:
    async with running(configured(**server), engines or Hearing()) as started, started.client() as client:
        yield started, client


async def asked(client: AsyncOpenAI, **request: Any) -> Any:
    chosen: dict[str, Any] = {"file": ("talk.wav", wav()), "model": "gpt-transcribe"} | request
    return await client.audio.transcriptions.create(**chosen)


async def refused(client: AsyncOpenAI, **request: Any) -> APIStatusError:
    with pytest.raises(APIStatusError) as error:
        await asked(client, **request)
    body = error.value.response.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"message", "type", "param", "code"}
    return error.value


# --- formats -----------------------------------------------------------------------------------------------------------


async def test_every_name_that_stock_clients_send_is_the_default_pipelines_recogniser() -> None:
    names = {
        "gpt-transcribe": "tokens",
        "gpt-4o-transcribe": "tokens",
        "gpt-4o-mini-transcribe": "tokens",
        "gpt-4o-mini-transcribe-2025-12-15": "tokens",
        "gpt-4o-transcribe-diarize": "tokens",
        "whisper-1": "duration",
        "default": "duration",
    }
    async with hearing() as (_, client):
        for name, kind in names.items():
            made = await asked(client, model=name)
            assert made.text == TEXT, name
            assert Transcription.model_validate(made.model_dump(exclude_unset=True)) == made
            assert made.usage.type == kind, name
    assert [language.code for language in made.languages] == ["en", "pt"]
    assert made.usage.seconds == pytest.approx(SECONDS, abs=0.001)
    assert made.logprobs is None


async def test_text_and_subtitles() -> None:
    shown: dict[str, str] = {}
    async with hearing() as (_, client):
        for form in ("text", "srt", "vtt"):
            shown[form] = await asked(client, response_format=form)
    assert shown["text"] == TEXT + "\n"
    first, second, rest = shown["srt"].split("\n\n")
    assert (first.splitlines()[0], first.splitlines()[2], second.splitlines()[2]) == (
        "1",
        "Hello to all.",
        "Olá <mundo>",
    )
    assert not rest
    # The first turn begins 300 ms before its voice, at 0; its words are at 100 to 900 ms of it, and are shown until they are read.
    assert first.splitlines()[1] == "00:00:00,100 --> 00:00:01,865"
    assert shown["vtt"].startswith("WEBVTT\n\n00:00:00.100 --> 00:00:01.865\nHello to all.\n\n")
    assert "Olá &lt;mundo&gt;" in shown["vtt"]


async def test_verbose_json_has_segments_unless_only_words_are_wanted() -> None:
    wanted: dict[tuple[str, ...], TranscriptionVerbose] = {}
    async with hearing() as (_, client):
        for times in ((), ("word",), ("segment",), ("word", "segment")):
            extra = {"timestamp_granularities": list(times)} if times else {}
            made = await asked(client, response_format="verbose_json", **extra)
            assert TranscriptionVerbose.model_validate(made.model_dump(exclude_unset=True)) == made
            wanted[times] = made
    assert {times: (made.words is not None, made.segments is not None) for times, made in wanted.items()} == {
        (): (False, True),
        ("word",): (True, False),
        ("segment",): (False, True),
        ("word", "segment"): (True, True),
    }
    made = wanted["word", "segment"]
    assert (made.text, made.language, made.usage and made.usage.type) == (TEXT, "portuguese", "duration")
    assert made.duration == pytest.approx(SECONDS, abs=0.001)
    assert made.words is not None
    assert [word.word for word in made.words] == ["Hello", "to", "all.", "Olá", "<mundo>"]
    assert (made.words[0].start, made.words[0].end) == (0.1, 0.4)
    times_s = [edge for word in made.words for edge in (word.start, word.end)]
    assert times_s == sorted(times_s)
    assert made.segments is not None
    assert [segment.text for segment in made.segments] == ["Hello to all.", "Olá <mundo>"]
    assert made.segments[0].avg_logprob == pytest.approx(-0.693, abs=0.001)
    assert made.segments[0].compression_ratio == pytest.approx(13 / 21, abs=0.1)


# --- streams -----------------------------------------------------------------------------------------------------------


async def test_a_stream_has_the_words_while_the_rest_is_still_recognised() -> None:
    rest = Hold()
    async with hearing(Engines(stt=Timing(HELLO, rest, WORLD))) as (_, client):
        events = await asked(client, stream=True)
        first = await asyncio.wait_for(anext(events), PATIENCE_S)
        assert first.delta == "Hello to all."
        await asyncio.wait_for(rest.reached.wait(), PATIENCE_S)
        rest.event.set()
        others = [event async for event in events]
    *deltas, done = (first, *others)
    for delta in deltas:
        assert TranscriptionTextDeltaEvent.model_validate(delta.model_dump(exclude_unset=True)) == delta
    assert TranscriptionTextDoneEvent.model_validate(done.model_dump(exclude_unset=True)) == done
    assert "".join(delta.delta for delta in deltas) == done.text == TEXT
    usage = done.usage
    assert usage.input_tokens == usage.input_token_details.audio_tokens == 39
    assert usage.total_tokens == usage.input_tokens + usage.output_tokens
    assert [language.code for language in done.languages] == ["en", "pt"]


async def test_a_stream_is_server_sent_events_that_end_with_the_whole_text() -> None:
    async with hearing() as (server, _), httpx.AsyncClient(base_url=server.http, trust_env=False) as client:
        for form, more in (("json", False), ("text", False), ("verbose_json", True)):
            answer = await client.post(
                "/v1/audio/transcriptions",
                files={"file": ("a.wav", wav())},
                data={"model": "whisper-1", "stream": "true", "response_format": form},
            )
            assert answer.headers["content-type"].startswith("text/event-stream")
            assert answer.text.endswith("\n\n")
            events = [
                httpx.Response(200, text=one.removeprefix("data: ")).json() for one in answer.text.split("\n\n")[:-1]
            ]
            assert [event["type"] for event in events] == ["transcript.text.delta"] * 2 + ["transcript.text.done"]
            assert (len(events[-1].get("segments", ())) == 2) is more


async def test_a_stream_that_has_no_words_for_long_shows_that_it_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transcriptions_rest, "COMMENT_S", 0.01)
    rest = Hold()
    async with (
        hearing(Engines(stt=FakeRecognizer("Hello.", rest, "World."))) as (server, client),
        httpx.AsyncClient(base_url=server.http, trust_env=False) as plain,
    ):
        form: Any = {"files": {"file": ("a.wav", wav())}, "data": {"model": "whisper-1", "stream": "true"}}
        async with plain.stream("POST", "/v1/audio/transcriptions", **form) as answer:
            said = ""
            async for text in answer.aiter_text():
                said += text
                if said.partition("Hello.")[2].count(": working") >= 3:
                    rest.event.set()
        assert said.partition("Hello.")[2].partition("World.")[0].count(": working") >= 3
        engines = [event async for event in await asked(client, stream=True)]
    assert engines[-1].type == "transcript.text.done"


async def test_log_probabilities_are_given_where_they_are_asked_for() -> None:
    async with hearing() as (_, client):
        whole = await asked(client, include=["logprobs"])
        events = [event async for event in await asked(client, include=["logprobs"], stream=True)]
    assert [(one.token, one.logprob) for one in whole.logprobs] == [("Hello", -0.1), (" to all.", -0.25), ("Olá", -0.3)]
    assert bytes(map(int, whole.logprobs[-1].bytes)).decode() == "Olá"
    assert [len(event.logprobs) for event in events] == [2, 1, 3]


async def test_a_recogniser_that_fails_fails_the_request_and_ends_the_stream_with_the_error() -> None:
    lost = EngineError("The recogniser is lost.", code="recogniser_lost")
    async with hearing(Engines(stt=Timing(HELLO, lost, HELLO, lost))) as (server, client):
        error = await refused(client)
        assert (error.status_code, error.code) == (502, "recogniser_lost")
        events = await asked(client, stream=True)
        assert (await anext(events)).delta == "Hello to all."
        with pytest.raises(APIError, match="The recogniser is lost") as broken:
            await anext(events)
        assert broken.value.code == "recogniser_lost"
        await settled(lambda: not len(server.app.audio))


async def test_a_file_that_cannot_be_read_is_refused_before_a_stream_begins() -> None:
    async with hearing() as (_, client):
        error = await refused(client, file=("a.wav", b"words"), stream=True)
    assert (error.status_code, error.code) == (400, "invalid_file")


async def test_a_recording_for_which_the_disk_has_no_room_is_refused_by_that_name(
    caplog: pytest.LogCaptureFixture,
) -> None:
    least, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    async with hearing() as (server, client):
        resource.setrlimit(resource.RLIMIT_FSIZE, (64 << 10, most))
        try:
            error = await refused(client, file=("a.wav", bytes(2 << 20)))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (least, most))
        assert (error.status_code, error.code) == (507, "storage_full")
        assert "no room for the recording" in error.message
        assert not [record for record in caplog.records if record.exc_info], (
            "the log has a line of it, and no traceback"
        )
        assert len(server.app.audio) == 0
        assert (await asked(client)).text == TEXT


# --- fields ------------------------------------------------------------------------------------------------------------


async def test_what_the_client_tells_of_the_speech_reaches_the_recogniser_which_serves_live_speech_first() -> None:
    engines = Hearing()
    async with hearing(engines) as (_, client):
        await asked(
            client,
            language="Portuguese",
            prompt="Names: Ada.",
            temperature=0.3,
            include=["logprobs"],
            chunking_strategy="auto",
            extra_body={"keywords": ["Lovelace", "Babbage"]},
        )
        await asked(client, extra_body={"languages": ["en", "pt"]})
    told, guessed = engines.stt.streams[0].spec, engines.stt.streams[-1].spec
    assert (told.language, told.prompt, told.keywords, told.logprobs, told.temperature) == (
        "pt",
        "Names: Ada.",
        ("Lovelace", "Babbage"),
        True,
        0.3,
    )
    assert (guessed.language, guessed.languages, guessed.logprobs) == ("", ("en", "pt"), False)
    assert guessed.temperature is None, "the recogniser's own"
    assert not told.live


@pytest.mark.parametrize("whole", [True, False], ids=["as JSON text", "in parts, as the stock clients send it"])
async def test_chunking_is_that_of_the_voice_detector(whole: bool) -> None:
    """The pause in the recording lasts 900 ms."""
    engines = Engines(stt=FakeRecognizer("all of it"))
    longer: Any = {"type": "server_vad", "threshold": 0.4, "prefix_padding_ms": 100, "silence_duration_ms": 1_500}
    async with hearing(engines) as (_, client):
        extra: dict[str, Any] = {"chunking_strategy": longer}
        if whole:
            extra = {"extra_body": {"chunking_strategy": httpx.Response(200, json=longer).text}}
        made = await asked(client, response_format="verbose_json", **extra)
    assert [segment.text for segment in made.segments] == ["all of it"]
    assert made.segments[0].start == pytest.approx(0.2, abs=0.05), "100 ms before the voice"
    assert len(engines.stt.streams) == 1


REFUSALS: tuple[tuple[dict[str, Any], str, str], ...] = (
    ({"model": "gpt-9"}, "model", "gpt-9"),
    ({"model": "whisper:small.en"}, "model", "whisper:small.en"),
    ({"response_format": "yaml"}, "response_format", "json, text, srt, verbose_json, vtt"),
    ({"response_format": "diarized_json"}, "response_format", "tells speakers apart"),
    ({"extra_body": {"known_speaker_names": ["Ada"]}}, "known_speaker_names", "tells speakers apart"),
    ({"extra_body": {"known_speaker_references": ["data:"]}}, "known_speaker_references", "tells speakers apart"),
    ({"temperature": 3}, "temperature", "from 0 to 1"),
    ({"extra_body": {"temperature": "nan"}}, "temperature", "from 0 to 1"),
    ({"language": "?"}, "language", "BCP-47"),
    ({"language": "fr"}, "language", "does not understand 'fr'; it knows en, pt"),
    ({"extra_body": {"languages": ["fr", "de"]}}, "languages", "it knows en, pt"),
    ({"language": "en", "extra_body": {"languages": ["en"]}}, "languages", "not both"),
    ({"extra_body": {"languages": ["en"] * 33}}, "languages", "may be 32"),
    ({"extra_body": {"keywords": ["k" * 129]}}, "keywords", "1 to 128"),
    ({"stream": True, "response_format": "srt"}, "response_format", "A stream has no response_format srt"),
    ({"extra_body": {"stream": "yes"}}, "stream", "true or false"),
    ({"timestamp_granularities": ["word"]}, "timestamp_granularities", "verbose_json"),
    (
        {"timestamp_granularities": ["letter"], "response_format": "verbose_json"},
        "timestamp_granularities",
        "word, or segment",
    ),
    ({"include": ["logprobs"], "response_format": "text"}, "include", "response_format json"),
    ({"include": ["usage"]}, "include", "it is logprobs"),
    ({"chunking_strategy": "often"}, "chunking_strategy", "auto, nor a JSON object"),
    ({"chunking_strategy": {"type": "semantic_vad"}}, "chunking_strategy", "semantic_vad"),
    ({"chunking_strategy": {"type": "server_vad", "threshold": 2}}, "chunking_strategy", "<= 1.0"),
    ({"extra_body": {"chunking_strategy": '{"type": "server_vad", "eagerness": 1}'}}, "chunking_strategy", "eagerness"),
    ({"extra_body": {"chunking_strategy": "[]"}}, "chunking_strategy", "server_vad"),
    ({"extra_body": {"diarize": "true"}}, "diarize", "There is no field 'diarize'"),
    ({"extra_body": {"model": ["whisper-1"]}}, "model[]", "There is no field"),
)


async def test_what_cannot_be_done_names_the_field() -> None:
    async with hearing() as (server, client):
        for request, param, said in REFUSALS:
            error = await refused(client, **request)
            assert error.status_code == (404 if param == "model" else 400), request
            assert error.param == param, request
            assert said in error.message, request
        assert len(server.app.audio) == 0


class Plain(FakeRecognizer):
    """Declares nothing that a request may ask for."""

    @property
    def info(self) -> EngineInfo:
        return replace(super().info, logprobs=False, prompts=False, keywords=False, temperature=False)


async def test_what_the_recogniser_would_pass_over_is_refused_with_what_does_not() -> None:
    engines = Engines(stt=Plain("a", "b"))
    refusals: tuple[tuple[dict[str, Any], str, str, str], ...] = (
        ({"temperature": 0.3}, "temperature", "'fake' always chooses the most likely words", "send 0"),
        ({"prompt": "Names: Ada."}, "prompt", "'fake' reads no prompt", "leave prompt out"),
        ({"extra_body": {"keywords": ["Ada"]}}, "keywords", "'fake' uses no keywords", "leave keywords out"),
    )
    async with hearing(engines) as (_, client):
        for request, param, said, remedy in refusals:
            error = await refused(client, **request)
            assert (error.status_code, error.code, error.param) == (400, "unsupported_parameter", param)
            assert said in error.message
            assert remedy in error.message
            assert "whisper" in error.message
        assert not engines.stt.streams
        made = await asked(client, temperature=0, prompt="")
    assert made.text == "a b", "stock clients send these"
    assert engines.stt.streams[0].spec.temperature == 0


async def test_words_and_log_probabilities_that_the_recogniser_does_not_give_are_refused_with_what_does() -> None:
    async with hearing(Engines(stt=Plain("a", "b"))) as (_, client):
        error = await refused(client, response_format="verbose_json", timestamp_granularities=["word"])
        assert error.param == "timestamp_granularities"
        assert "'fake' gives no times of words" in error.message
        assert "pocketsphinx" in error.message
        error = await refused(client, include=["logprobs"])
        assert (error.param, "gives no log probabilities" in error.message) == ("include", True)


async def test_a_recogniser_that_could_not_be_loaded_is_no_model() -> None:
    config = configured()
    async with running(config, loaded(config, Hearing())) as server, server.client() as client:
        error = await refused(client, model="bench")
    assert (error.status_code, error.code) == (404, "model_not_found")


# --- leaving -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_goes_away_ends_the_work(stream: bool) -> None:
    hold = Hold()
    engines = Engines(stt=FakeRecognizer(hold, "never"))
    async with hearing(engines) as (server, client):
        asking = asyncio.create_task(asked(client, stream=stream))
        await asyncio.wait_for(hold.reached.wait(), PATIENCE_S)
        asking.cancel()
        if stream and not asking.cancelled():
            for events in await asyncio.gather(asking, return_exceptions=True):
                if not isinstance(events, BaseException):
                    await events.close()
        await asyncio.gather(asking, return_exceptions=True)
        await settled(lambda: not len(server.app.audio))
        assert all(stream.closed for stream in engines.stt.streams)


async def test_a_stream_whose_client_goes_away_ends_the_work() -> None:
    rest = Hold()
    engines = Engines(stt=FakeRecognizer("Hello.", rest, "never"))
    async with hearing(engines) as (server, client):
        events = await asked(client, stream=True)
        assert (await anext(events)).delta == "Hello."
        await asyncio.wait_for(rest.reached.wait(), PATIENCE_S)
        await events.close()
        await settled(lambda: not len(server.app.audio))
        assert all(stream.closed for stream in engines.stt.streams)


@pytest.mark.slow
async def test_a_server_that_stops_ends_a_stream_with_the_reason(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifetime, "LINKS_END_S", 0.5)
    hold = Hold()
    async with hearing(Engines(stt=FakeRecognizer("Hello.", hold, "never")), shutdown_grace_s=0) as (server, client):
        events = await asked(client, stream=True)
        assert (await anext(events)).delta == "Hello."
        await asyncio.wait_for(hold.reached.wait(), PATIENCE_S)
        server.server.leave()
        with pytest.raises(APIError, match="restarting") as broken:
            await asyncio.wait_for(anext(events), PATIENCE_S)
        assert broken.value.code == "server_shutting_down"
        assert len(server.app.audio) == 0
    assert not [record for record in caplog.records if record.exc_info]


async def test_one_more_than_the_server_takes_at_once_is_told_when_to_come_back() -> None:
    hold = Hold()
    async with hearing(Engines(stt=FakeRecognizer(*(hold, "never") * MAX_REQUESTS))) as (server, client):
        asking = [asyncio.create_task(asked(client)) for _ in range(MAX_REQUESTS)]
        await settled(lambda: len(server.app.audio) == MAX_REQUESTS)
        error = await refused(client)
        assert (error.status_code, error.code) == (429, "too_many_audio_requests")
        assert int(error.response.headers["retry-after"]) > 0
        for one in asking:
            one.cancel()
        await asyncio.gather(*asking, return_exceptions=True)


# --- real speech -------------------------------------------------------------------------------------------------------


def recognising() -> Config:
    config = load(None, {"port": 0, "stt": "pocketsphinx", "llm": "bench", "tts": "bench"}, {})
    return replace(config, pipelines={config.default_pipeline: config.pipelines[config.default_pipeline]})


async def opened(config: Config) -> LoadedEngines:
    engines = await LoadedEngines.open_all(config.pipelines.values())
    assert not engines.failures
    return engines


def test_recorded_speech_is_recognised_for_the_blocking_client() -> None:
    clip = clip_path("hello_world")
    with running_in_thread(recognising(), opened) as server, server.sync_client() as client:
        create = client.audio.transcriptions.create
        assert create(file=clip, model="gpt-transcribe").text == "hello world"
        assert "hello world" in str(create(file=clip, model="whisper-1", response_format="srt"))
        verbose = create(
            file=clip, model="whisper-1", response_format="verbose_json", timestamp_granularities=["word", "segment"]
        )
        assert verbose.words is not None
        assert [word.word for word in verbose.words] == ["hello", "world"]
        assert 0 <= verbose.words[0].start < verbose.words[0].end <= verbose.words[1].start < verbose.duration
        events = list(create(file=clip, model="gpt-4o-transcribe", stream=True, include=["logprobs"]))
        assert [event.type for event in events] == ["transcript.text.delta", "transcript.text.done"]
        assert events[-1].text == "hello world"  # type: ignore[union-attr]


@pytest.mark.slow
def test_the_words_of_a_long_recording_come_while_it_is_recognised_and_are_most_of_its_words() -> None:
    spoken = recording("two_cities")
    if spoken is None:
        pytest.skip("this needs a recording of a person")
    with running_in_thread(recognising(), opened) as server, server.sync_client() as client:
        events = list(client.audio.transcriptions.create(file=spoken, model="gpt-4o-transcribe", stream=True))
    assert len(events) > 5
    text = events[-1].text  # type: ignore[union-attr]
    assert "it was the best of times it was the worst of times" in text
    assert "we had everything before us" in text
