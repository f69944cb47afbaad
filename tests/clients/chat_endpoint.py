"""An OpenAI-compatible chat endpoint whose answers follow from the request, so that a test knows what must be spoken.

It calls the first tool it is offered (`calls` times at once: 0 lets it talk), tells what a tool answered, tells a long story slowly
when the system prompt says STORY, and else repeats what it was asked. `requests` holds every request body, for a test to see what the model
saw; `breaking` is how many of the next answers break off after their first words.
"""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

STORY = [
    f"This is sentence number {number} of a rather long story about a river and a boat. " for number in range(1, 13)
]


def scripted_pipeline(url: str, name: str = "default", stt: str = "pocketsphinx") -> str:
    """A pipeline of parley.toml that a model at `url` answers for."""
    return (
        f'[pipelines.{name}]\nstt = "{stt}"\nllm = "openai:scripted"\ntts = "hibari"\n'
        f'llm_options = {{ base_url = "{url}" }}\n'
    )


@dataclass
class ChatEndpoint:
    base_url: str = ""
    requests: list[dict[str, Any]] = field(default_factory=list)
    breaking: int = 0
    calls: int = 1

    @property
    def last_messages(self) -> list[dict[str, Any]]:
        messages: list[dict[str, Any]] = self.requests[-1]["messages"]
        return messages

    async def models(self, request: Request) -> JSONResponse:
        return JSONResponse({"object": "list", "data": [{"id": "scripted", "object": "model"}]})

    async def completions(self, request: Request) -> StreamingResponse:
        body = await request.json()
        self.requests.append(body)
        return StreamingResponse(self._stream(body), media_type="text/event-stream")

    async def _stream(self, body: dict[str, Any]) -> AsyncIterator[str]:
        deltas = self._deltas(body)
        async for delta in deltas:
            yield _chunk({"delta": delta, "index": 0, "finish_reason": None})
            if self.breaking:
                self.breaking -= 1
                return
        calls = bool(self.calls and _offered(body)) and body["messages"][-1]["role"] != "tool"
        yield _chunk({"delta": {}, "index": 0, "finish_reason": "tool_calls" if calls else "stop"})
        usage = {"prompt_tokens": 10, "completion_tokens": 10, "total_tokens": 20}
        yield f"data: {json.dumps({'id': 'c', 'object': 'chat.completion.chunk', 'choices': [], 'usage': usage})}\n\n"
        yield "data: [DONE]\n\n"

    async def _deltas(self, body: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
        messages = body["messages"]
        if messages[-1]["role"] == "tool":
            yield {"content": f"The tool says: {_text(messages[-1])}."}
            return
        if self.calls and (tools := _offered(body)):
            for number in range(self.calls):
                for delta in _call(tools[0]["function"], number):
                    yield {"tool_calls": [{"index": number, **delta}]}
            return
        if any("STORY" in _text(message) for message in messages if message["role"] == "system"):
            for sentence in STORY:
                yield {"content": sentence}
                await asyncio.sleep(0.3)  # a model that writes for a while, so that there is something to interrupt
            return
        said = [_text(message) for message in messages if message["role"] == "user"]
        yield {"content": "You said: "}
        yield {"content": f"{said[-1] if said else 'nothing'}."}


def _offered(body: dict[str, Any]) -> list[dict[str, Any]]:
    return [] if body.get("tool_choice") == "none" else body.get("tools") or []


def _call(function: dict[str, Any], number: int) -> Iterator[dict[str, Any]]:
    """The deltas of a call with every required argument."""
    arguments = json.dumps(dict.fromkeys(function["parameters"].get("required", []), ("Paris", "London")[number]))
    call_id = f"call_from_model{number or ''}"
    yield {"id": call_id, "type": "function", "function": {"name": function["name"], "arguments": ""}}
    for at in range(0, len(arguments), 8):
        yield {"function": {"arguments": arguments[at : at + 8]}}


def _text(message: dict[str, Any]) -> str:
    content = message.get("content") or ""
    return content if isinstance(content, str) else " ".join(part.get("text", "") for part in content)


def _chunk(choice: dict[str, Any]) -> str:
    return f"data: {json.dumps({'id': 'c', 'object': 'chat.completion.chunk', 'choices': [choice]})}\n\n"


@contextmanager
def chat_endpoint() -> Iterator[ChatEndpoint]:
    """Serve it from a thread of its own."""
    endpoint = ChatEndpoint()
    app = Starlette(
        routes=[
            Route("/v1/models", endpoint.models),
            Route("/v1/chat/completions", endpoint.completions, methods=["POST"]),
        ]
    )
    listener = socket.create_server(("127.0.0.1", 0))
    endpoint.base_url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield endpoint
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()
