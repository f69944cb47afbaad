"""The HTTP endpoints and their errors, as clients and browsers see them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from openai import NotFoundError
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from parley import __version__
from parley.engines.ports import STT, VAD, EngineError, EngineSet
from parley.runtime.engine_opening import EngineReport
from parley.runtime.engines import LoadedEngines
from parley.runtime.pipeline import LoadedPipeline
from parley.runtime.voice_worker import VoiceWorker
from parley.testing.fakes import FakeRecognizer, FakeVoiceActivity
from tests.server.harness import Engines, Running, configured, loaded, running, talking
from tests.server.test_audio_translations import Translating


@asynccontextmanager
async def http(server: Running) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=server.http, trust_env=False) as client:
        yield client


async def test_models_are_the_pipelines_and_the_names_that_stock_clients_use() -> None:
    async with running() as server, server.client() as client:
        models = [model.id async for model in client.models.list()]
        assert models[0] == "default"
        assert {"gpt-realtime", "gpt-4o-transcribe", "whisper-1"} <= set(models)
        assert "bench" not in models, "a pipeline that could not be loaded is not served"
        model = await client.models.retrieve("gpt-realtime-2025-08-28")
        assert (model.id, model.object, model.owned_by) == ("gpt-realtime-2025-08-28", "model", "parley")
        with pytest.raises(NotFoundError) as missing:
            await client.models.retrieve("gpt-9")
    assert missing.value.code == "model_not_found"
    assert missing.value.param == "model"


async def test_a_model_says_what_can_be_done_with_it() -> None:
    async with running(engines=Translating()) as server, server.client() as client, http(server) as plain:
        listed = {model.id: model async for model in client.models.list()}
        one = await client.models.retrieve("whisper-1")
        speaks = (await client.models.retrieve("tts-1-hd")).model_dump()["capabilities"]
        shown = (await plain.get("/v1/models/default")).json()
    assert one == listed["whisper-1"]
    can = shown["capabilities"]
    assert can == one.model_dump()["capabilities"] == listed["default"].model_dump()["capabilities"]
    assert can["pipeline"] == "default"
    assert can["sessions"] == ["realtime", "transcription", "translation"]
    assert {"/v1/realtime", "/v1/audio/speech", "/v1/audio/transcriptions", "/v1/audio/translations"} <= set(
        can["endpoints"]
    )
    assert can["engines"] | {"stt": "fake", "llm": "fake", "tts": "fake", "mt": "bench"} == can["engines"]
    assert can["languages"]["translated_into"]
    assert "alloy" in can["voices"]
    assert (can["word_timestamps"], can["logprobs"], can["clones_voices"]) == (False, True, False)
    assert (can["prompt"], can["keywords"], can["temperature"]) == (True, True, True)
    assert can["sample_rates"]["formats"]["audio/pcm"] == 24_000
    assert can["sample_rates"]["engines"]["stt"] == 16_000
    assert (speaks["sessions"], speaks["endpoints"]) == ([], ["/v1/audio/speech"])
    assert set(shown) == {"id", "object", "created", "owned_by", "capabilities"}


async def test_a_pipeline_that_only_hears_offers_no_conversation_and_no_speech() -> None:
    config = configured()
    name = config.default_pipeline
    engines = EngineSet({VAD: FakeVoiceActivity(), STT: FakeRecognizer()})
    pipeline = LoadedPipeline(name, engines, VoiceWorker(engines[VAD]), config.pipelines[name])
    async with running(config, LoadedEngines({name: pipeline}, {"bench": ()}, [])) as server, http(server) as client:
        can = (await client.get("/v1/models/gpt-realtime")).json()["capabilities"]
        listed = [model["id"] for model in (await client.get("/v1/models")).json()["data"]]
    assert can["sessions"] == ["transcription"]
    assert can["endpoints"] == ["/v1/realtime", "/v1/audio/transcriptions"]
    assert (can["input_modalities"], can["output_modalities"]) == (["audio"], ["text"])
    assert "tts-1" not in listed


async def test_a_model_path_without_a_name_is_a_404() -> None:
    async with running() as server, http(server) as client:
        answer = await client.get("/v1/models/")
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "not_found"


async def test_models_ask_for_the_key() -> None:
    async with running(configured(api_keys=("sk-k",))) as server, http(server) as client:
        assert (await client.get("/v1/models")).status_code == 401
        assert (await client.get("/v1/models", headers={"Authorization": "Bearer sk-k"})).status_code == 200


async def test_two_contradicting_keys_open_nothing() -> None:
    right, wrong = ("Authorization", "Bearer sk-k"), ("Authorization", "Bearer sk-wrong")
    async with running(configured(api_keys=("sk-k",))) as server, http(server) as client:
        for path in ("/v1/models", "/parley/pipelines"):
            for headers in ([right, wrong], [wrong, right]):
                assert (await client.get(path, headers=headers)).status_code == 401
        assert (await client.get("/v1/models", headers=[right])).status_code == 200


async def test_health_names_version_pipelines_and_sessions_and_asks_for_no_key() -> None:
    async with running(configured(api_keys=("sk-k",))) as server, http(server) as client, talking(server, key="sk-k"):
        answer = await client.get("/health")
    assert answer.status_code == 200
    health = answer.json()
    assert health["parley"] == __version__
    assert health["status"] == "ok"
    assert health["pipelines"] == {"default": {"state": "ready"}, "bench": {"state": "failed"}}
    assert health["sessions"] == 1


async def test_health_names_an_engine_that_cannot_work_at_this_moment() -> None:
    class Supervised(FakeRecognizer):
        fault: EngineError | None = EngineError("The recogniser is down.", code="recognizer_down")

    stt = Supervised()
    config = configured()
    async with running(config, loaded(config, Engines(stt=stt))) as server, http(server) as client:
        answer = await client.get("/health")
        assert answer.status_code == 200
        assert answer.json()["status"] == "degraded"
        assert answer.json()["pipelines"]["default"] == {
            "state": "degraded",
            "faults": {"stt": {"code": "recognizer_down", "message": "The recogniser is down."}},
        }
        stt.fault = None
        assert (await client.get("/health")).json()["status"] == "ok"


async def test_health_is_503_when_nothing_is_served() -> None:
    config = configured()
    failed = (EngineReport(STT, "whisper", ("default",), "failed", 1.0, "no weights"),)
    engines = loaded(config, Engines(), {"default": failed, "bench": failed})
    async with running(config, engines) as server, http(server) as client:
        answer = await client.get("/health")
        assert answer.status_code == 503
        assert answer.json()["status"] == "unavailable"
        assert (await client.get("/v1/models")).json()["data"] == []


async def test_metrics_are_prometheus_text_that_counts_sessions_and_refusals() -> None:
    async with running() as server, http(server) as client:
        async with talking(server):
            text = (await client.get("/metrics")).text
        assert 'parley_sessions{pipeline="default"} 1.0' in text
        with pytest.raises(InvalidStatus):
            await connect(server.ws + "/v1/realtime?model=gpt-9")
        assert 'parley_refusals_total{code="model_not_found"} 1.0' in (await client.get("/metrics")).text


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
async def test_metrics_require_a_key_wherever_the_server_does(host: str) -> None:
    """On a loopback address too: a reverse proxy in front of it passes on the requests of others."""
    config = configured(api_keys=("sk-k",), host=host)
    async with running(config) as server, http(server) as client:
        assert (await client.get("/metrics")).status_code == 401
        assert (await client.get("/metrics", headers={"Authorization": "Bearer sk-k"})).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/unheard_of", 404, "not_found"),
        ("GET", "/unheard_of", 404, "not_found"),
        ("POST", "/", 405, "method_not_allowed"),
        ("DELETE", "/v1/models", 405, "method_not_allowed"),
        ("GET", "/v1/models/gpt-9", 404, "model_not_found"),
        ("GET", "/v1/realtime", 426, "upgrade_required"),
    ],
)
async def test_every_error_has_the_shape_of_openai(method: str, path: str, status: int, code: str) -> None:
    async with running() as server, http(server) as client:
        answer = await client.request(method, path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["code"] == code


async def test_a_404_of_a_path_without_v1_suggests_the_one_with_it() -> None:
    async with running() as server, http(server) as client:
        assert "Did you mean /v1/models?" in (await client.get("/models")).json()["error"]["message"]
        assert "Did you mean" not in (await client.get("/nope")).json()["error"]["message"]


async def test_an_allowed_page_can_read_answers_and_errors() -> None:
    origin = "http://localhost:3000"
    async with running(configured(api_keys=("sk-k",))) as server, http(server) as client:
        for path in ("/health", "/v1/models", "/v1/unheard_of"):
            answer = await client.get(path, headers={"Origin": origin})
            assert answer.headers["access-control-allow-origin"] == origin
            assert "Location" in answer.headers["access-control-expose-headers"]
        preflight = await client.options(
            "/v1/models",
            headers={
                "Origin": origin,
                "Access-Control-Request-Method": "GET",
                "Access-Control-Request-Headers": "authorization, content-type, x-openai-agents-sdk, x-stainless-os",
            },
        )
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == origin
    assert "x-openai-agents-sdk" in preflight.headers["access-control-allow-headers"]


async def test_a_foreign_page_can_read_nothing() -> None:
    async with running() as server, http(server) as client:
        answer = await client.get("/v1/models", headers={"Origin": "https://evil.com"})
        assert "access-control-allow-origin" not in answer.headers
        preflight = await client.options(
            "/v1/models", headers={"Origin": "https://evil.com", "Access-Control-Request-Method": "GET"}
        )
        assert preflight.status_code == 400
        assert "access-control-allow-origin" not in preflight.headers


async def test_a_bug_is_a_500_that_a_page_can_read(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running() as server, http(server) as client:
        monkeypatch.setattr(type(server.app.sessions), "__len__", lambda self: 1 // 0)
        answer = await client.get("/health", headers={"Origin": "http://localhost:3000"})
        monkeypatch.undo()
    assert answer.status_code == 500
    assert answer.json()["error"]["type"] == "server_error"
    assert answer.headers["access-control-allow-origin"] == "http://localhost:3000"
