"""llama.cpp in this process, on a model of random weights that the test makes: loading, replies, limits, cancelling, damaged files."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, aclosing
from pathlib import Path

import pytest

from parley.engines.llm.gguf import read_head
from parley.engines.llm.llama import LlamaModel, create
from parley.engines.llm.llama_files import installed_models
from parley.engines.ports import (
    ChatEnd,
    ChatEvent,
    ChatMessage,
    ChatRequest,
    EngineError,
    EngineRefused,
    EngineUnavailable,
    ForceTool,
    ImagePart,
    Tool,
    ToolCall,
    ToolCallDelta,
)
from parley.models import store
from parley.models.catalogue import find
from tests.engines.llm_replies import text_of
from tests.engines.opening import while_open
from tests.engines.tiny_gguf import tiny_gguf

pytest.importorskip("xllamacpp", reason="the extra llama is not installed: make test-weights")

NUMBER = '{"type":"object","properties":{"n":{"type":"integer"}},"required":["n"],"additionalProperties":false}'
COUNT = Tool("count", "Count to n.", NUMBER)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_gguf(tmp_path_factory.mktemp("llama") / "tiny.gguf")


def opened(path: Path | str, **options: object) -> AbstractAsyncContextManager[LlamaModel]:
    return while_open(create(str(path), {"threads": 1, **options}))


def asked(*said: str, **fields: object) -> ChatRequest:
    """A request that is answered the same way each time."""
    roles = ("user", "assistant")
    messages = tuple(ChatMessage(roles[i % 2], text) for i, text in enumerate(said))  # type: ignore[arg-type]
    return ChatRequest(messages, **{"temperature": 0.0, "max_tokens": 12, **fields})  # type: ignore[arg-type]


async def answer(engine: LlamaModel, request: ChatRequest) -> list[ChatEvent]:
    return [event async for event in engine.reply(request)]


def end_of(events: list[ChatEvent]) -> ChatEnd:
    assert isinstance(events[-1], ChatEnd)
    return events[-1]


async def refused(path: Path | str, **options: object) -> EngineUnavailable:
    with pytest.raises(EngineUnavailable) as raised:
        async with opened(path, **options):
            pass
    assert raised.value.remedy
    return raised.value


async def test_the_question_and_the_weights_matter(weights: Path, tmp_path: Path) -> None:
    async with opened(weights) as engine:
        hello = text_of(await answer(engine, asked("hello")))
        assert hello == text_of(await answer(engine, asked("hello")))
        assert hello != text_of(await answer(engine, asked("good evening, what is it?")))
    async with opened(tiny_gguf(tmp_path / "other.gguf", seed=8)) as other:
        assert hello != text_of(await answer(other, asked("hello")))


async def test_a_conversation_is_not_computed_again(weights: Path) -> None:
    async with opened(weights) as engine:
        first = await answer(engine, asked("tell me of the river"))
        usage = end_of(await answer(engine, asked("tell me of the river", text_of(first), "and then?"))).usage
    assert usage is not None
    assert usage.cached_tokens >= len("tell me of the river")  # a byte is a token


async def test_max_tokens_ends_a_reply(weights: Path) -> None:
    async with opened(weights) as engine:
        end = end_of(await answer(engine, asked("hello", max_tokens=2)))
    assert end.reason == "length"
    assert end.usage is not None
    assert end.usage.output_tokens == 2


async def test_a_schema_is_kept_to(weights: Path) -> None:
    async with opened(weights) as engine:
        said = text_of(await answer(engine, asked("count", json_schema=NUMBER, max_tokens=80)))
    assert isinstance(json.loads(said)["n"], int)


@pytest.mark.parametrize("choice", ["required", ForceTool("count")])
async def test_a_tool_is_called_where_it_must_be(weights: Path, choice: object) -> None:
    other = Tool("other", "Something else.", NUMBER)
    tools = (other, COUNT) if isinstance(choice, ForceTool) else (COUNT,)
    async with opened(weights) as engine:
        events = await answer(engine, asked("count", tools=tools, tool_choice=choice, temperature=2.0, max_tokens=900))
    calls = [event for event in events if isinstance(event, ToolCallDelta)]
    assert {call.name for call in calls} - {""} == {"count"}
    assert isinstance(json.loads("".join(call.arguments for call in calls if call.index == 0))["n"], int)


async def test_a_result_of_a_tool_is_read(weights: Path) -> None:
    def told(result: str) -> ChatRequest:
        call = ChatMessage("assistant", tool_calls=(ToolCall("call_1", "count", '{"n": 3}'),))
        messages = (ChatMessage("user", "count"), call, ChatMessage("tool", result, call_id="call_1"))
        return ChatRequest(messages, (COUNT,), max_tokens=12, temperature=0)

    async with opened(weights) as engine:
        three, four = [text_of(await answer(engine, told(result))) for result in ("three", "it is four")]
    assert three != four


async def test_replies_at_once_are_those_one_by_one(weights: Path) -> None:
    questions = [asked(f"question {number * 7}") for number in range(6)]
    async with opened(weights, parallel=3) as engine:
        alone = [text_of(await answer(engine, question)) for question in questions]
        together = await asyncio.gather(*(answer(engine, question) for question in questions))
    assert [text_of(events) for events in together] == alone


async def test_a_conversation_that_does_not_fit_is_refused(weights: Path) -> None:
    async with opened(weights, num_ctx=256) as engine:
        with pytest.raises(EngineRefused, match="num_ctx is 256") as raised:
            await answer(engine, asked("word " * 100))
        assert raised.value.code == "context_length_exceeded"
        assert text_of(await answer(engine, asked("hello")))


async def test_a_reply_that_is_closed_frees_its_slot(weights: Path) -> None:
    async with opened(weights, parallel=1) as engine:
        events: AsyncGenerator[ChatEvent, None] = engine.reply(asked("hello", max_tokens=900, temperature=2.0))  # type: ignore[assignment]
        async with aclosing(events):
            await anext(events)
        assert text_of(await answer(engine, asked("hello")))


async def test_a_reply_that_is_closed_before_its_first_word_frees_its_slot(weights: Path) -> None:
    async with opened(weights, parallel=1) as engine:
        reply = asyncio.create_task(answer(engine, asked("hello " * 100)))
        await asyncio.sleep(0)
        reply.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reply
        assert text_of(await answer(engine, asked("hello")))


async def test_closing_ends_replies_and_threads(weights: Path) -> None:
    before, sockets = threading.active_count(), _sockets()
    async with opened(weights, parallel=2) as engine:
        assert _sockets() > sockets
        replies = [asyncio.create_task(answer(engine, asked(f"{i}", max_tokens=900, temperature=2.0))) for i in (1, 2)]
        await asyncio.sleep(0)
    for ended in await asyncio.gather(*replies, return_exceptions=True):
        assert isinstance(ended, EngineError | list)
    assert _sockets() == sockets
    assert threading.active_count() <= before + 1  # (asyncio's own)
    with pytest.raises(EngineUnavailable, match="not open"):
        await answer(engine, asked("hello"))


def _sockets() -> set[str]:
    """llama.cpp's sockets in the file system that this process holds; other processes have their own."""
    lines = [line.split() for line in Path("/proc/net/unix").read_text().splitlines() if "llama.sock" in line]
    held = {os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if _is_link(fd)}
    return {fields[-1] for fields in lines if f"socket:[{fields[6]}]" in held}


@pytest.mark.skipif(not os.path.exists("/proc/self/net/tcp"), reason="Linux's list of sockets")
async def test_no_port_is_opened(weights: Path) -> None:
    def listening() -> set[str]:
        lines = Path("/proc/self/net/tcp").read_text().splitlines()[1:]
        inodes = {os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if _is_link(fd)}
        return {line for line in lines if line.split()[3] == "0A" and f"socket:[{line.split()[9]}]" in inodes}

    before = listening()
    async with opened(weights):
        assert listening() == before


def _is_link(fd: str) -> bool:
    return os.path.islink(f"/proc/self/fd/{fd}")


# --- what cannot be loaded ---


async def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert (await refused(tmp_path / "none.gguf")).code == "missing_weights"


async def test_a_name_that_is_none() -> None:
    error = await refused("smolm2")
    assert error.code == "model_not_found"
    assert "llama:smollm2-135m" in error.remedy


async def test_a_model_of_the_catalogue_that_is_not_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(store.VARIABLE, str(tmp_path))
    error = await refused("smollm2-135m")
    assert "models pull llama:smollm2-135m" in error.remedy
    assert installed_models() == ()


@pytest.mark.parametrize("size", [3, 20, 1000, 6000, 100_000, -1])
def test_half_a_file(weights: Path, tmp_path: Path, size: int) -> None:
    half = tmp_path / "half.gguf"
    half.write_bytes(weights.read_bytes()[:size])
    assert asyncio.run(refused(half)).code == "invalid_weights"


@pytest.mark.parametrize(
    ("start", "what"),
    [
        (b"PK\3\4" + b"\0" * 60, "no GGUF file"),
        (b"GGUF\x01\0\0\0" + b"\0" * 60, "version"),
        (b"GGUF\x03\0\0\0" + b"\xff" * 16, "facts"),
        (b"GGUF\x03\0\0\0" + b"\0" * 8 + b"\1" + b"\0" * 7 + b"\xff" * 8, "text of"),
        (b"GGUF\x03\0\0\0" + b"\0" * 8 + b"\1" + b"\0" * 7 + b"\1" + b"\0" * 7 + b"k" + b"\x63\0\0\0", "unknown type"),
    ],
)
async def test_a_file_of_something_else(tmp_path: Path, start: bytes, what: str) -> None:
    other = tmp_path / "other.gguf"
    other.write_bytes(start)
    error = await refused(other)
    assert what in error.message
    assert error.code == "invalid_weights"


async def test_a_file_that_makes_llama_cpp_abort(tmp_path: Path) -> None:
    """An assertion of llama.cpp ends the process that loads the file."""
    hostile = tiny_gguf(tmp_path / "hostile.gguf", epsilon=-1.0)
    error = await refused(hostile)
    assert error.code == "invalid_weights"
    assert "died of signal 6" in error.message
    assert "GGML_ASSERT" in error.message


async def test_a_model_without_a_template(tmp_path: Path) -> None:
    bare = tiny_gguf(tmp_path / "bare.gguf", template="")
    error = await refused(bare)
    assert error.code == "no_chat_template"
    template = tmp_path / "template.jinja"
    template.write_text("{% for message in messages %}{{ message.content }}{% endfor %}")
    async with opened(bare, chat_template=str(template)) as engine:
        assert text_of(await answer(engine, asked("hello")))


async def test_more_context_than_the_model_has(weights: Path) -> None:
    error = await refused(weights, num_ctx=2048)
    assert error.remedy == "Set num_ctx to at most 1024."


async def test_an_image_is_refused(weights: Path) -> None:
    request = ChatRequest((ChatMessage("user", "See?", (ImagePart("data:image/png;base64,AAAA"),)),))
    async with opened(weights) as engine:
        with pytest.raises(EngineRefused) as raised:
            await answer(engine, request)
    assert raised.value.code == "images_unsupported"


async def test_thinking_is_what_the_request_says(tmp_path: Path) -> None:
    """The template is told; what it writes for either is another prompt."""
    template = "{% for message in messages %}{{ message.content }}{% endfor %}{% if enable_thinking %} think about it {% endif %}"
    async with opened(tiny_gguf(tmp_path / "thinks.gguf", template=template)) as engine:

        async def prompt_tokens(effort: str) -> int:
            usage = end_of(await answer(engine, asked("hello", reasoning_effort=effort))).usage
            assert usage is not None
            return usage.input_tokens

        assert await prompt_tokens("") == await prompt_tokens("none") < await prompt_tokens("low")


def test_the_catalogue_names_what_the_engine_takes() -> None:
    assert find("llama:smollm2-135m").files[0].path.endswith(".gguf")


def test_facts_are_read(weights: Path) -> None:
    head = read_head(weights)
    assert head.architecture == "llama"
    assert head.context_length == 1024
    assert head.template
    assert not head.sees
