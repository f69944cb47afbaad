"""`auto` takes the configured endpoint, else a server on this machine, else the responder, and says which."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from parley.engines.llm.auto import AutoModel, create
from parley.engines.ports import ChatMessage, ChatRequest, EngineUnavailable, LanguageModel, TextDelta
from parley.models import store
from parley.models.catalogue import find
from tests.engines import ollama_server
from tests.engines.chat_server import Answer, ChatServer, Request
from tests.engines.ollama_server import OllamaServer, Pulled
from tests.engines.tiny_gguf import tiny_gguf


async def say_model(request: Request, answer: Answer) -> None:
    await answer.text(f"I am {request.body['model']}.")


async def refuse(request: Request, answer: Answer) -> None:
    await answer.json(500, {"error": {"message": "not enough memory"}})


async def opened(model: str = "", **options: object) -> AutoModel:
    engine = create(model, options)
    assert isinstance(engine, LanguageModel)
    await engine.open()
    return engine


async def answer_of(engine: AutoModel) -> str:
    request = ChatRequest((ChatMessage("user", "Who are you?"),))
    text = "".join([e.text async for e in engine.reply(request) if isinstance(e, TextDelta)])
    await engine.close()
    return text


@pytest.fixture
async def closed_port() -> int:
    server = ChatServer([say_model])
    async with server.running():
        return server.port


async def test_a_configured_endpoint_is_used(closed_port: int) -> None:
    server = ChatServer([say_model], models=["alpha", "beta"])
    async with server.running():
        engine = await opened("beta", base_url=server.url, ports=str(closed_port))
        assert "beta" in engine.notice
        assert str(server.port) in engine.notice
        assert "--llm" in engine.notice
        assert engine.info.name == "openai"
        assert await answer_of(engine) == "I am beta."


async def test_a_configured_endpoint_that_fails_is_an_error_and_not_the_responder(closed_port: int) -> None:
    with pytest.raises(EngineUnavailable, match="refused"):
        await opened("m", base_url=f"http://127.0.0.1:{closed_port}/v1", ports=str(closed_port))


async def test_a_local_server_is_found_and_its_first_chat_model_taken(closed_port: int) -> None:
    server = ChatServer([say_model], models=["nomic-embed-text", "gemma3", "qwen3"])
    async with server.running():
        ports = f"{closed_port},{server.port}"
        engine = await opened(ports=ports)
        assert "gemma3" in engine.notice
        assert await answer_of(engine) == "I am gemma3."
        assert await answer_of(await opened("qwen3", ports=ports)) == "I am qwen3."


async def test_an_ollama_is_asked_through_its_own_api(closed_port: int) -> None:
    async def say_num_ctx(request: Request, answer: Answer) -> None:
        await ollama_server.text(answer, f"I have {request.body['options']['num_ctx']} tokens.")

    pulled = {"nomic-embed-text": Pulled(), "qwen3:4b": Pulled()}
    server = OllamaServer([say_num_ctx], pulled=pulled)
    async with server.running():
        engine = await opened(ports=f"{closed_port},{server.port}", temperature=0.5)
        assert "qwen3:4b of Ollama" in engine.notice
        assert "--llm ollama:MODEL" in engine.notice
        assert engine.info.name == "ollama"
        assert await answer_of(engine) == "I have 16384 tokens."
        assert server.bodies[0]["options"]["temperature"] == 0.5


async def test_an_ollama_without_room_is_passed_over_and_named() -> None:
    server = OllamaServer([say_model], memory_gib=1)
    async with server.running():
        engine = await opened(ports=str(server.port))
        assert "built-in responder" in engine.notice
        assert "not enough memory" in engine.notice


async def test_servers_that_cannot_be_used_are_passed_over_and_named() -> None:
    broken = ChatServer([refuse])
    embeddings = ChatServer([say_model], models=["bge-m3"])
    ours = ChatServer([say_model], health={"status": "ok", "parley": "0.1"})
    async with broken.running(), embeddings.running(), ours.running():
        ports = f"{broken.port},{embeddings.port},{ours.port}"
        engine = await opened(ports=ports)
        assert "built-in responder" in engine.notice
        assert "cannot be used" in engine.notice
        assert "not enough memory" in engine.notice
        assert "built-in responder" in await answer_of(engine)
        assert ours.bodies == []


async def test_a_port_that_accepts_and_says_nothing_costs_less_than_a_second() -> None:
    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(mute, "127.0.0.1", 0)
    loop = asyncio.get_running_loop()
    await opened(ports="1")  # (imports)
    began = loop.time()
    engine = await opened(ports=str(server.sockets[0].getsockname()[1]))
    assert loop.time() - began < 1.5
    assert "responder" in engine.notice
    await engine.close()
    server.close()


async def test_with_nothing_there_the_responder_answers_and_tells_how_to_connect_a_model(
    closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = await opened(ports=str(closed_port))
    assert "Ollama" in engine.notice
    assert "built-in responder" in await answer_of(engine)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    assert "--llm openai:MODEL" in (await opened(ports=str(closed_port))).notice


async def test_a_model_in_the_folder_of_models_answers_where_no_server_is(
    closed_port: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The catalogue's model, with fewer bytes: what it is called and where it lies are what counts here."""
    pytest.importorskip("xllamacpp", reason="the extra llama is not installed: make test-weights")
    monkeypatch.setenv(store.VARIABLE, str(tmp_path))
    entry = find("llama:smollm2-135m")
    path = store.folder_of(entry) / entry.files[0].path
    path.parent.mkdir(parents=True)
    tiny_gguf(path)
    without = await opened(ports=str(closed_port))
    assert without.info.name == "responder"
    with path.open("ab") as stream:
        stream.truncate(entry.files[0].size)
    engine = await opened(ports=str(closed_port))
    assert engine.info.name == "llama"
    assert "smollm2-135m, in this process" in engine.notice
    assert "--llm" in engine.notice
    assert await answer_of(engine)


async def test_a_named_model_that_no_server_has_is_an_error(closed_port: int) -> None:
    with pytest.raises(EngineUnavailable, match="'qwen3'") as caught:
        await opened("qwen3", ports=str(closed_port))
    assert caught.value.code == "model_not_found"


def test_wrong_options_are_named() -> None:
    with pytest.raises(ValueError, match="numbers separated by commas"):
        create("", {"ports": "a"})
    with pytest.raises(ValueError, match="'url'"):
        create("", {"url": "x"})
