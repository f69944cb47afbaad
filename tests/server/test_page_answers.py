"""What the browser page is told of the pipelines: what answers, with which voices, and which MCP servers may be named."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import httpx
import pytest

from parley.engines.llm.responder import Responder
from parley.engines.ports import EngineInfo
from parley.engines.tts.espeak import EspeakSynthesizer
from parley.testing.fakes import FakeModel, FakeRecognizer, FakeSynthesizer
from tests.server.harness import Engines, configured, loaded, running


async def told(engines: Engines, **server: Any) -> dict[str, Any]:
    config = configured(**server)
    async with running(config, loaded(config, engines)) as serving, httpx.AsyncClient(base_url=serving.http) as client:
        answer: dict[str, Any] = (await client.get("/parley/pipelines")).json()
        return answer


class NamedModel(FakeModel):
    @property
    def info(self) -> EngineInfo:
        return replace(super().info, model="qwen3")


class WithoutTools(FakeModel):
    @property
    def info(self) -> EngineInfo:
        return replace(super().info, tools=False)


class Measuring(FakeModel):
    @property
    def info(self) -> EngineInfo:
        return replace(super().info, measuring=True)


@pytest.mark.parametrize(
    ("llm", "answers"),
    [
        (NamedModel(), {"by": "model", "engine": "fake", "model": "qwen3"}),
        (Responder(), {"by": "rules", "engine": "responder", "model": ""}),
        (Measuring(), {"by": "rules", "engine": "fake", "model": ""}),
    ],
)
async def test_the_page_learns_what_answers(llm: Any, answers: dict[str, str]) -> None:
    (pipeline,) = (await told(Engines(llm=llm)))["pipelines"]
    assert pipeline["answers"] == answers
    assert pipeline["measures"] is False, "a pipeline is for benchmarks where all of it is"
    assert pipeline["previews"] is True


@pytest.mark.parametrize("calls", [True, False])
async def test_the_page_learns_whether_tools_are_called(calls: bool) -> None:
    (pipeline,) = (await told(Engines(llm=FakeModel() if calls else WithoutTools())))["pipelines"]
    assert pipeline["tools"] is calls


async def test_voices_are_described_and_openais_names_explained() -> None:
    espeak: Any = EspeakSynthesizer()
    await espeak.open()
    try:
        (pipeline,) = (await told(Engines(tts=espeak)))["pipelines"]
    finally:
        await espeak.close()
    voices = {voice["name"]: voice for voice in pipeline["voices"]}
    assert voices["de"] == {
        "name": "de",
        "of": "engine",
        "language": "de",
        "sex": "",
        "character": "robotic",
        "sounds_as": "",
    }
    assert (voices["alloy"]["of"], voices["alloy"]["sounds_as"]) == ("openai", "en-us+f2")
    assert (voices["alloy"]["language"], voices["alloy"]["sex"]) == ("en-us", "female")
    assert (voices["onyx"]["sounds_as"], voices["onyx"]["sex"]) == ("en-us+m2", "male")
    assert {"de", "en", "fr"} <= set(pipeline["speaks"])


async def test_an_engine_that_describes_no_voices_leaves_their_fields_empty() -> None:
    (pipeline,) = (await told(Engines(stt=FakeRecognizer(), tts=FakeSynthesizer())))["pipelines"]
    assert pipeline["voices"]
    assert {voice["sex"] for voice in pipeline["voices"]} == {""}


async def test_the_page_learns_which_mcp_servers_may_be_named() -> None:
    assert (await told(Engines()))["tool_servers"] == ["*"]
    address = "https://tools.example.com/mcp"
    assert (await told(Engines(), allowed_mcp_servers=(address,)))["tool_servers"] == [address]
