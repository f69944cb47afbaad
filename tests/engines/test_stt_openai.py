"""A recogniser behind any OpenAI-compatible server: each turn's own words, no request too many, and what goes wrong is said clearly."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest

from parley.engines.openai_api.slots import RequestSlots
from parley.engines.ports import (
    EngineError,
    EngineRefused,
    EngineUnavailable,
    Partial,
    RecognitionSpec,
    Samples,
    SpeechRecognizer,
    TokenLogprob,
    Transcript,
)
from parley.engines.stt.language_names import tag_of
from parley.engines.stt.openai import OpenAIRecognizer, create
from tests.engines.audio_server import AudioServer, Form, slowly, transcribe
from tests.engines.chat_server import Answer, Request, Script

KEY = "sk-secret-1234567890abcdef"
SPEC = RecognitionSpec(language="en")
RATE = 16_000


@asynccontextmanager
async def connected(
    *scripts: Script, model: str = "m", **options: object
) -> AsyncIterator[tuple[OpenAIRecognizer, AudioServer]]:
    server = AudioServer(models=[model], transcripts=list(scripts) or [transcribe])
    async with server.running():
        engine = create(model, {"base_url": server.url, "warm_up": False, "partials": False, **options})
        await engine.open()
        try:
            yield engine, server
        finally:
            await engine.close()


def sound(seconds: float) -> Samples:
    """Something to be heard, with a little silence behind it."""
    times = np.arange(round(seconds * RATE)) / RATE
    loud = 0.3 * np.sin(2 * np.pi * 440 * times)
    return np.concatenate([loud, np.zeros(RATE // 10)]).astype(np.float32)


def silence(seconds: float) -> Samples:
    return np.zeros(round(seconds * RATE), np.float32)


class Listener:
    def __init__(self) -> None:
        self.partials: list[Partial] = []

    def __call__(self, partial: Partial) -> None:
        self.partials.append(partial)


async def heard(engine: OpenAIRecognizer, audio: Samples | None = None, spec: RecognitionSpec = SPEC) -> Transcript:
    stream = engine.open_stream(spec, lambda _: None)
    stream.feed(sound(1) if audio is None else audio)
    async with asyncio.timeout(30):
        return await stream.finish()


async def error_of(engine: OpenAIRecognizer) -> EngineError:
    with pytest.raises(EngineError) as caught:
        await heard(engine)
    return caught.value


def uploads(server: AudioServer) -> list[Form]:
    return [request.body for request in server.posted("/audio/transcriptions")]


def answering(status: int, body: object, headers: dict[str, str] | None = None) -> Script:
    async def script(request: Request, answer: Answer) -> None:
        await answer.json(status, body, headers)

    return script


def streaming(*events: object, end: bool = True) -> Script:
    async def script(request: Request, answer: Answer) -> None:
        for event in events:
            await answer.event(event)
        if end:
            await answer.end()
        else:
            await answer.until_client_leaves()

    return script


def delta(text: str) -> dict[str, object]:
    return {"type": "transcript.text.delta", "delta": text}


# --- what is heard ---


async def test_a_turn_is_sent_as_it_was_heard_and_its_length_matters() -> None:
    async with connected(api_key=KEY) as (engine, server):
        assert isinstance(engine, SpeechRecognizer)
        audio = sound(1)
        assert (await heard(engine, audio)).text == "burst50"
        assert (await heard(engine, sound(2))).text == "burst100"
        form = uploads(server)[0]
        assert np.array_equal(form.wav(), np.rint(audio * 32_768).astype(np.int16))
        assert (form.file_name, form.file_type) == ("turn.wav", "audio/wav")
        assert form.texts == {"model": ["m"], "response_format": ["json"], "language": ["en"]}
        assert server.posted("/audio/transcriptions")[0].headers["authorization"] == f"Bearer {KEY}"


async def test_the_language_the_prompt_and_the_options_reach_the_server() -> None:
    spec = RecognitionSpec(language="pt-BR", prompt="A café.", keywords=("Parley", "Zürich"))
    options: dict[str, Any] = {
        "prompt": "Names:",
        "temperature": 0.2,
        "extra_body": {"vad_filter": True, "hotwords": "a", "tags[]": ["x", "y"]},
    }
    async with connected(**options) as (engine, server):
        assert (await heard(engine, spec=spec)).language == "pt"
        texts = uploads(server)[0].texts
    assert texts["language"] == ["pt"]
    assert texts["prompt"] == ["Names: A café. Parley, Zürich"]
    assert texts["temperature"] == ["0.2"]
    assert (texts["vad_filter"], texts["hotwords"], texts["tags[]"]) == (["true"], ["a"], ["x", "y"])


@pytest.mark.parametrize(("option", "asked", "sent"), [(0.2, 0.5, ["0.5"]), (0.2, 0.0, ["0"]), (None, 0.7, ["0.7"])])
async def test_a_requests_own_temperature_comes_before_the_option(
    option: float | None, asked: float, sent: list[str]
) -> None:
    options: dict[str, Any] = {} if option is None else {"temperature": option}
    async with connected(**options) as (engine, server):
        assert engine.info.temperature
        await heard(engine, spec=RecognitionSpec(temperature=asked))
        assert uploads(server)[0].texts["temperature"] == sent


@pytest.mark.parametrize(
    ("spec", "option", "sent"),
    [
        (RecognitionSpec(), "", None),
        (RecognitionSpec(), "de", ["de"]),
        (RecognitionSpec(language="fr"), "de", ["fr"]),
        (RecognitionSpec(languages=("es", "en")), "de", None),
        (RecognitionSpec(languages=("es",)), "", ["es"]),
    ],
)
async def test_a_language_is_named_where_there_is_one(
    spec: RecognitionSpec, option: str, sent: list[str] | None
) -> None:
    async with connected(language=option) as (engine, server):
        final = await heard(engine, spec=spec)
        assert uploads(server)[0].texts.get("language") == sent
        assert final.language_confidence == (1.0 if sent else None)


async def test_a_language_that_the_model_lacks_is_refused_before_anything_is_sent() -> None:
    async with connected(languages=["en", "es"]) as (engine, server):
        assert engine.info.languages == ("en", "es")
        with pytest.raises(EngineRefused, match="does not understand 'de'") as caught:
            engine.open_stream(RecognitionSpec(language="de"), lambda _: None)
        assert caught.value.code == "unsupported_language"
        await heard(engine, spec=RecognitionSpec(languages=("de", "es")))
        assert uploads(server)[0].texts["language"] == ["es"]


async def test_a_verbose_answer_gives_the_language_the_confidence_and_the_words() -> None:
    async with connected(model="whisper-1", words=True) as (engine, server):
        audio = np.concatenate([sound(1), sound(2)])
        final = await heard(engine, audio, RecognitionSpec())
    assert uploads(server)[0].texts["response_format"] == ["verbose_json"]
    assert uploads(server)[0].texts["timestamp_granularities[]"] == ["word", "segment"]
    assert (final.text, final.language, final.language_confidence) == ("burst50 burst100", "en", None)
    assert final.confidence == pytest.approx(math.exp(-0.25))
    assert [word.text for word in final.words] == ["burst50", "burst100"]
    times = [time for word in final.words for time in (word.start_ms, word.end_ms)]
    assert times == pytest.approx([0, 1_000, 1_100, 3_100])


async def test_words_behind_the_first_segment_have_the_times_of_the_turn() -> None:
    async with connected(model="whisper-1", words=True) as (engine, server):
        stream = engine.open_stream(SPEC, lambda _: None)
        stream.feed(sound(12))
        await stream.flush()
        stream.feed(sound(1))
        final = await stream.finish()
        assert [len(form.wav()) for form in uploads(server)] == [round(12.1 * RATE), round(1.1 * RATE)]
    assert final.text == "burst600 burst50"
    assert (final.words[1].start_ms, final.words[1].end_ms) == pytest.approx((12_100, 13_100))


async def test_logprobs_come_where_they_are_asked_for_and_the_server_has_them() -> None:
    asks = RecognitionSpec(logprobs=True)
    async with connected(logprobs=True) as (engine, server):
        assert engine.info.logprobs
        final = await heard(engine, spec=asks)
        assert final.logprobs == (TokenLogprob("burst50", -0.5),)
        assert final.confidence == pytest.approx(math.exp(-0.5))
        assert (await heard(engine)).logprobs == ()
        assert [form.texts.get("include[]") for form in uploads(server)] == [["logprobs"], None]
    async with connected() as (engine, server):
        assert not engine.info.logprobs
        assert (await heard(engine, spec=asks)).logprobs == ()
        assert "include[]" not in uploads(server)[0].texts


@pytest.mark.parametrize(
    ("named", "tag"),
    [("english", "en"), ("Haitian Creole", "ht"), ("de", "de"), ("pt_BR", "pt-br"), ("klingonese", ""), (7, "")],
)
def test_a_language_is_known_by_its_name_or_its_tag(named: object, tag: str) -> None:
    assert tag_of(named) == tag


async def test_what_a_server_leaves_out_or_writes_oddly_stays_empty() -> None:
    odd = {
        "text": " Hello. ",
        "language": None,
        "words": [{"word": "Hello", "start": "x", "end": 1}, 5],
        "logprobs": [{"token": 3}],
        "segments": [{"avg_logprob": float("nan")}],
    }
    async with connected(answering(200, odd)) as (engine, _):
        assert await heard(engine, spec=RecognitionSpec(logprobs=True)) == Transcript("Hello.")


async def test_words_that_whisper_invented_for_a_noise_are_no_words() -> None:
    noise = {"avg_logprob": -1.4, "no_speech_prob": 0.9}
    speech = {"avg_logprob": -0.2, "no_speech_prob": 0.1}
    for segments, text in (([noise], ""), ([noise, speech], "Thank you."), ([{"avg_logprob": -1.4}], "Thank you.")):
        async with connected(answering(200, {"text": "Thank you.", "segments": segments})) as (engine, _):
            assert (await heard(engine)).text == text


async def test_openai_has_its_own_key_and_its_newer_models_take_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    """The proxy of the environment is the server."""
    spec = RecognitionSpec(languages=("en-GB", "es"), keywords=("Parley", "Zoë"), prompt="Names.", logprobs=True)
    score = {"token": "Hola", "logprob": -0.1}
    whole = answering(200, {"text": "Hola", "languages": [{"code": "es"}], "logprobs": [score]})
    server = AudioServer(root="http://eu.api.openai.com/v1", transcripts=[whole])
    async with server.running():
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.port}")
        for model in ("gpt-transcribe", "gpt-4o-mini-transcribe"):
            server.models = [model]
            engine = create(model, {"base_url": "http://eu.api.openai.com/v1", "api_key": KEY})
            await engine.open()
            final = await heard(engine, spec=spec)
            assert (final.text, final.language, final.logprobs) == ("Hola", "es", (TokenLogprob("Hola", -0.1),))
            await engine.close()
    new, old = (form.texts for form in uploads(server))
    assert (new["languages[]"], new["keywords[]"], new["prompt"]) == (["en", "es"], ["Parley", "Zoë"], ["Names."])
    assert (old["prompt"], old["include[]"]) == (["Names. Parley, Zoë"], ["logprobs"])
    assert not {"languages[]", "keywords[]", "language"} & old.keys()
    assert "include[]" not in new
    assert {request.headers["authorization"] for request in server.requests} == {f"Bearer {KEY}"}


# --- no request too many ---


async def test_silence_is_not_sent() -> None:
    async with connected() as (engine, server):
        for audio in (silence(0), silence(3), sound(0.05)):
            assert (await heard(engine, audio)).text == ""
        assert uploads(server) == []


async def test_the_end_of_a_turn_after_a_pause_costs_no_second_request() -> None:
    async with connected() as (engine, server):
        stream = engine.open_stream(SPEC, lambda _: None)
        stream.feed(sound(1))
        first = await stream.flush()
        stream.feed(silence(0.5))
        assert await stream.finish() == first
        assert len(uploads(server)) == 1


async def test_an_end_that_comes_while_its_pause_is_transcribed_waits_for_that_request() -> None:
    asked, goes_on = asyncio.Event(), asyncio.Event()

    async def slow(request: Request, answer: Answer) -> None:
        asked.set()
        await goes_on.wait()
        await transcribe(request, answer)

    async with connected(slow) as (engine, server):
        stream = engine.open_stream(SPEC, lambda _: None)
        stream.feed(sound(1))
        pausing = asyncio.create_task(stream.flush())
        await asked.wait()
        stream.feed(silence(0.5))
        ending = asyncio.create_task(stream.finish())
        await asyncio.sleep(0)
        goes_on.set()
        assert (await ending).text == (await pausing).text == "burst50"
        assert len(uploads(server)) == 1


async def test_partials_are_requests_where_the_option_says_so() -> None:
    came = asyncio.Event()
    seen: list[Partial] = []

    def listen(partial: Partial) -> None:
        seen.append(partial)
        came.set()

    async with connected(partials=True) as (engine, server):
        stream = engine.open_stream(SPEC, listen)
        stream.feed(sound(1.5))
        async with asyncio.timeout(10):
            await came.wait()
        assert (seen[0].text, seen[0].stable) == ("burst75", "")
        assert (await stream.finish()).text == "burst75"
    async with connected() as (engine, server):
        stream = engine.open_stream(SPEC, listen)
        stream.feed(sound(5))
        await stream.finish()
        assert len(uploads(server)) == 1


def test_partials_are_for_servers_on_this_machine_unless_they_are_asked_for() -> None:
    for url, expected in (("http://localhost:1/v1", True), ("https://api.openai.com/v1", False)):
        assert create("m", {"base_url": url})._config.partials is expected
        assert create("m", {"base_url": url, "partials": not expected})._config.partials is not expected


# --- streamed text ---


async def test_a_streamed_text_is_shown_as_it_is_made() -> None:
    shown = asyncio.Event()

    async def script(request: Request, answer: Answer) -> None:
        assert request.body.texts["stream"] == ["true"]
        await answer.event(delta("Good "))
        await shown.wait()
        await answer.event(delta("day."))
        await answer.event({"type": "transcript.text.done", "text": "Good day.", "usage": {"type": "tokens"}})
        await answer.end()

    texts: list[str] = []

    def listen(partial: Partial) -> None:
        texts.append(partial.text)
        assert partial.stable == ""
        shown.set()

    async with connected(script, stream=True) as (engine, _):
        stream = engine.open_stream(SPEC, listen)
        stream.feed(sound(1))
        assert (await stream.flush()).text == "Good day."
        await asyncio.sleep(0)
        assert texts == ["Good", "Good day."]
        stream.close()


@pytest.mark.parametrize(
    "events",
    [
        [delta("Good "), delta("day."), {"type": "transcript.text.done", "text": "Good day."}],
        [delta("Good "), delta("day."), {"type": "transcript.text.done"}],
        [{"type": "transcript.text.done", "text": "Good day."}],
        [{"type": "transcript.text.segment", "text": "ignored"}, delta("Good day."), "[DONE]"],
        [
            {"object": "transcription.chunk", "choices": [{"delta": {"content": "Good "}}]},
            {"object": "transcription.chunk", "choices": [{"delta": {"content": "day."}, "finish_reason": "stop"}]},
            {"object": "transcription.chunk", "choices": [], "usage": {}},
            "[DONE]",
        ],
    ],
    ids=["OpenAI", "a done without text", "only done", "segments", "vLLM"],
)
async def test_the_streams_of_servers_differ(events: list[object]) -> None:
    async with connected(streaming(*events), stream=True) as (engine, _):
        assert (await heard(engine)).text == "Good day."


async def test_a_server_that_does_not_stream_is_understood_too() -> None:
    async with connected(answering(200, {"text": "Whole."}), stream=True) as (engine, _):
        assert (await heard(engine)).text == "Whole."


async def test_logprobs_of_a_stream_are_those_of_its_pieces_or_of_its_end() -> None:
    score = {"token": "Hi", "logprob": -0.1}
    spec = RecognitionSpec(logprobs=True)
    for events in (
        [{**delta("Hi"), "logprobs": [score]}, {"type": "transcript.text.done", "text": "Hi"}],
        [delta("Hi"), {"type": "transcript.text.done", "text": "Hi", "logprobs": [score]}],
    ):
        async with connected(streaming(*events), stream=True, logprobs=True) as (engine, _):
            assert (await heard(engine, spec=spec)).logprobs == (TokenLogprob("Hi", -0.1),)


@pytest.mark.parametrize(
    ("events", "code", "words"),
    [
        ([delta("Good ")], "server_error", "ended its stream in the middle"),
        ([delta("Good "), {"type": "error", "error": {"message": "Out of memory."}}], "server_error", "Out of memory"),
        ([delta("Good "), "not json"], "server_error", "not json"),
        ([delta("x" * 20_001)], "server_error", "20000 characters"),
        ([{"type": "transcript.text.done", "text": "x" * 20_001}], "server_error", "20000 characters"),
        ([delta("a"), *[{**delta(""), "logprobs": [0] * 5_000}] * 5], "server_error", "20000 characters"),
        ([], "server_error", "ended its stream in the middle"),
    ],
)
async def test_a_stream_that_breaks_off_is_no_shorter_transcript(events: list[object], code: str, words: str) -> None:
    async with connected(streaming(*events), stream=True) as (engine, server):
        if not events:
            server.transcripts = [streaming({"type": "transcript.text.segment"})]
        error = await error_of(engine)
        assert (error.code, words in str(error)) == (code, True), str(error)
        assert len(uploads(server)) == 1


async def test_a_whole_text_that_nobody_can_say_is_no_transcript() -> None:
    async with connected(answering(200, {"text": "word " * 400_000})) as (engine, _):
        error = await error_of(engine)
    assert (error.code, "20000 characters" in str(error)) == ("server_error", True)


async def test_a_failure_before_any_text_is_tried_again() -> None:
    broken = streaming({"type": "error", "error": {"message": "Warming up."}})
    async with connected(broken, transcribe, stream=True) as (engine, server):
        assert (await heard(engine)).text == "burst50"
        assert len(uploads(server)) == 2


# --- many turns ---


async def test_sixteen_at_once_are_each_heard_alone() -> None:
    turns = [np.concatenate([sound(0.2 + 0.1 * at), sound(0.3 + 0.02 * (at % 5))]) for at in range(16)]
    async with connected() as (engine, _):
        alone = [(await heard(engine, turn)).text for turn in turns]
        assert len(set(alone)) == 16
        specs = [RecognitionSpec(language="en", share=at) for at in range(16)]
        together = await asyncio.gather(*(heard(engine, *one) for one in zip(turns, specs, strict=True)))
    assert [final.text for final in together] == alone


async def test_no_more_requests_are_on_their_way_than_the_option_says() -> None:
    waiting: list[asyncio.Event] = []
    at_once: list[int] = []
    arrived = asyncio.Semaphore(0)

    async def script(request: Request, answer: Answer) -> None:
        goes_on = asyncio.Event()
        waiting.append(goes_on)
        at_once.append(len(waiting))
        arrived.release()
        await goes_on.wait()
        waiting.remove(goes_on)
        await transcribe(request, answer)

    async with connected(script, max_requests=2) as (engine, _):
        turns = [asyncio.create_task(heard(engine, spec=RecognitionSpec(share=at))) for at in range(6)]
        async with asyncio.timeout(20):
            for _ in range(6):
                await arrived.acquire()
                if len(waiting) == 2 or len(at_once) == 6:
                    waiting[0].set()
            while waiting:
                waiting[0].set()
                await asyncio.sleep(0)
            assert [(await turn).text for turn in turns] == ["burst50"] * 6
    assert max(at_once) == 2


async def test_live_requests_come_first_and_sessions_take_turns() -> None:
    slots, order = RequestSlots(1), list[str]()
    goes_on = asyncio.Event()

    async def ask(name: str, share: object, live: bool = True) -> None:
        async with slots.slot(share, live=live):
            order.append(name)
            await goes_on.wait()

    tasks = []
    for name, share, live in (
        ("first", "a", True), ("item", "c", False), ("a2", "a", True), ("a3", "a", True), ("b1", "b", True), ("gone", "b", True),
    ):  # fmt: skip
        tasks.append(asyncio.create_task(ask(name, share, live)))
        await asyncio.sleep(0)
    tasks[5].cancel()
    await asyncio.sleep(0)
    goes_on.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert order == ["first", "b1", "a2", "a3", "item"]


async def test_a_place_is_free_again_when_its_request_is_cancelled_in_the_moment_it_is_given() -> None:
    slots = RequestSlots(1)
    entered: list[int] = []

    async def ask(number: int) -> None:
        async with slots.slot():
            entered.append(number)

    async with slots.slot():
        waiting = [asyncio.create_task(ask(number)) for number in range(2)]
        await asyncio.sleep(0)
    waiting[0].cancel()  # it has the place and has not run yet
    async with asyncio.timeout(5):
        await waiting[1]
    assert entered == [1]


# --- the end ---


@pytest.mark.parametrize("begun", [False, True])
async def test_closing_a_turn_closes_its_request(begun: bool) -> None:
    asked = asyncio.Event()

    async def script(request: Request, answer: Answer) -> None:
        if begun:
            await answer.event(delta("Good "))
        asked.set()
        await answer.until_client_leaves()

    async with connected(script, stream=begun) as (engine, server):
        stream = engine.open_stream(SPEC, lambda _: None)
        stream.feed(sound(1))
        waiting = asyncio.create_task(stream.finish())
        await asked.wait()
        stream.close()
        with pytest.raises(EngineRefused, match="closed before its text was ready"):
            await waiting
        async with asyncio.timeout(5):
            await server.client_left.wait()


# --- what goes wrong ---


@pytest.mark.parametrize(
    ("status", "body", "code", "words"),
    [
        (401, {"error": {"message": f"Incorrect API key provided: {KEY}."}}, "invalid_api_key", "stt_options.api_key"),
        (403, {"error": {"message": "Not yours."}}, "permission_denied", "Not yours"),
        (
            404,
            {"error": {"message": "The model `m` does not exist", "code": "model_not_found"}},
            "model_not_found",
            "m.",
        ),
        (404, {"detail": "Not Found"}, "invalid_base_url", "There is no transcriptions API at"),
        (400, {"error": {"message": "Audio file might be corrupted"}}, "invalid_request", "corrupted"),
        (413, {"error": {"message": "Maximum content size limit exceeded"}}, "invalid_request", "content size"),
        (429, {"error": {"message": "Slow down."}}, "rate_limit_exceeded", "It asks to wait 30 s"),
        (501, {}, "server_error", "HTTP 501"),
        (200, {"error": {"message": "No GPU."}}, "server_error", "No GPU"),
        (200, {"answer": 1}, "server_error", "JSON that holds no text"),
        (200, b"<html><title>Router login</title>", "invalid_base_url", "'Router login'"),
        (200, b'{"text":"' + b"x" * (9 << 20), "invalid_base_url", "longer than 8 MiB"),
    ],
)
async def test_a_refusal_says_what_and_where_and_is_not_repeated(
    status: int, body: object, code: str, words: str
) -> None:
    script = answering(status, body, {"retry-after": "30"} if status == 429 else None)
    async with connected(script, api_key=KEY) as (engine, server):
        if isinstance(body, dict) and status == 200 and "error" in body:
            server.transcripts = [script, answering(501, body)]  # a failure in a success may pass: it is tried again
        error = await error_of(engine)
        assert (error.code, words in str(error)) == (code, True), str(error)
        assert KEY not in str(error)


@pytest.mark.parametrize(
    "failure",
    [answering(500, {}), answering(503, {}, {"retry-after": "0"}), answering(429, {}, {"retry-after": "0.3"})],
)
async def test_what_passes_is_tried_again(failure: Script) -> None:
    async with connected(failure, transcribe) as (engine, server):
        assert (await heard(engine)).text == "burst50"
        assert len(uploads(server)) == 2
        assert uploads(server)[0].file == uploads(server)[1].file


async def test_a_server_that_keeps_failing_is_given_up_after_three_attempts_and_other_turns_go_on() -> None:
    fails = answering(502, {})
    async with connected(fails, fails, fails, transcribe) as (engine, server):
        assert (await error_of(engine)).code == "server_error"
        assert len(uploads(server)) == 3
        assert (await heard(engine)).text == "burst50"


async def test_a_connection_that_breaks_is_tried_again() -> None:
    async def breaks(request: Request, answer: Answer) -> None:
        answer.break_off()

    async with connected(breaks, transcribe) as (engine, _):
        assert (await heard(engine)).text == "burst50"
    async with connected(breaks) as (engine, _):
        assert "The transcription server at" in str(await error_of(engine))


async def test_a_slow_answer_and_an_idle_stream_name_their_options() -> None:
    async def silent(request: Request, answer: Answer) -> None:
        await answer.until_client_leaves()

    stalls = streaming(delta("Good "), end=False)
    for script, option in ((silent, " timeout_s"), (stalls, "text_timeout_s")):
        limits: dict[str, Any] = {"timeout_s": 60, "text_timeout_s": 60} | {option.strip(): 0.3}
        async with connected(script, stream=True, **limits) as (engine, server):
            error = await error_of(engine)
            assert (error.code, option in str(error)) == ("timeout", True), str(error)
            assert len(uploads(server)) == 1


async def test_the_key_and_what_was_said_are_never_logged(caplog: pytest.LogCaptureFixture) -> None:
    async with connected(answering(500, {"error": {"message": f"Bad key {KEY}"}}), transcribe, api_key=KEY) as (
        engine,
        _,
    ):
        with caplog.at_level(logging.DEBUG):
            assert (await heard(engine, spec=RecognitionSpec(prompt="Secret prompt"))).text == "burst50"
        assert KEY not in repr(engine._config)
    assert "again in" in caplog.text
    assert not any(word in caplog.text for word in (KEY, "burst50", "Secret prompt"))


# --- opening ---


async def test_openai_itself_needs_a_key_and_a_model_before_anything_is_sent() -> None:
    with pytest.raises(EngineUnavailable, match=r"OPENAI_API_KEY.*--stt-base-url"):
        await create("gpt-4o-transcribe", {}).open()
    with pytest.raises(EngineUnavailable, match="--stt openai:MODEL"):
        await create("", {"api_key": KEY}).open()


async def test_a_key_of_another_stage_or_of_openai_goes_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("PARLEY_LLM_API_KEY", KEY)
    async with connected() as (engine, server):
        await heard(engine)
    assert all("authorization" not in request.headers for request in server.requests)


@pytest.mark.parametrize(("warm_up", "sent"), [(True, 1), (False, 0)])
async def test_a_local_server_is_warmed_with_half_a_second_of_silence(warm_up: bool, sent: int) -> None:
    async with connected(warm_up=warm_up) as (_, server):
        assert [len(form.wav()) for form in uploads(server)] == [RATE // 2] * sent


async def test_a_server_may_take_its_time_to_load_its_model_at_the_start() -> None:
    async with connected(slowly(transcribe, 0.4), transcribe, warm_up=True, timeout_s=0.2) as (_, server):
        assert len(uploads(server)) == 1
    async with connected(slowly(transcribe, 0.4), timeout_s=0.2) as (engine, _):
        assert (await error_of(engine)).code == "timeout"


async def test_an_unlisted_model_is_tried_before_it_is_refused() -> None:
    server = AudioServer(
        models=["whisper"], transcripts=[answering(404, {"detail": "Model 'wisper' is not installed"})]
    )
    async with server.running():
        with pytest.raises(EngineUnavailable, match="Did you mean 'whisper'") as caught:
            await create("wisper", {"base_url": server.url, "warm_up": False}).open()
    assert caught.value.code == "model_not_found"


def test_options_are_checked() -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"response_format": "srt"}, "one of json, verbose_json"),
        ({"words": True}, "words needs"),
        ({"logprobs": True, "response_format": "verbose_json"}, "logprobs needs"),
        ({"languages": {}}, "a list of texts"),
        ({"max_requests": 0}, "from 1 to 1000"),
    ]
    for options, words in wrong:
        with pytest.raises(ValueError, match=words):
            create("m", options)
    assert create("gpt-4o-transcribe", {}).info.logprobs
    assert not create("whisper-1", {}).info.logprobs
