"""A real HTTP server that speaks Ollama's own API as far as Parley uses it, and refuses what Ollama refuses.

`/api/version`, `/api/tags`, `/api/show`, and `/api/chat`: loading a model, a prompt beyond `num_ctx` (a token is a word here), tools and
thinking for models without them, and replies line by line as a test scripts them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from tests.engines.chat_server import Answer, ChatServer, Request
from tests.engines.scripted_servers import next_of


@dataclass
class Pulled:
    """One model that was pulled."""

    context_length: int = 40_960
    capabilities: list[str] | None = field(default_factory=lambda: ["completion", "tools"])
    family: str = "qwen3"
    parameters: str = ""

    def shown(self) -> dict[str, object]:
        shown: dict[str, object] = {
            "modelfile": "FROM x",
            "parameters": self.parameters,
            "template": "{{ .Prompt }}",
            "details": {"format": "gguf", "family": self.family, "parameter_size": "4.0B"},
            "model_info": {
                "general.architecture": self.family,
                f"{self.family}.context_length": self.context_length,
                f"{self.family}.embedding_length": 2560,
            },
        }
        if self.capabilities is not None:
            shown["capabilities"] = self.capabilities
        return shown


@dataclass
class OllamaServer(ChatServer):
    """`pulled` are its models by name; `scripts` answer the requests that have messages."""

    pulled: dict[str, Pulled] = field(default_factory=lambda: {"m": Pulled()})
    version: str = "0.33.3"
    memory_gib: float = 64.0
    """What a model may take with its context: a GiB for 4096 tokens of it."""

    prompts: list[list[Any]] = field(default_factory=list)
    """What the model saw of each prompt: its messages."""

    root: str = ""

    @property
    def bodies(self) -> list[Any]:
        """The bodies of the requests that had messages."""
        return [body for body in self.chats if body["messages"]]

    @property
    def chats(self) -> list[Any]:
        return [request.body for request in self.requests if request.path == "/api/chat"]

    async def _answer(self, request: Request, answer: Answer) -> None:
        match request.method, request.path:
            case "GET", "/api/version":
                await answer.json(200, {"version": self.version})
            case "GET", "/api/tags":
                listed = [{"name": name, "model": name, "size": 1, "digest": "d"} for name in self.pulled]
                await answer.json(200, {"models": listed})
            case "GET", "/v1/models":
                listed = [{"id": name, "object": "model"} for name in self.pulled]
                await answer.json(200, {"object": "list", "data": listed})
            case "POST", "/api/show" if request.body["model"] in self.pulled:
                await answer.json(200, self.pulled[request.body["model"]].shown())
            case "POST", "/api/chat" if request.body["model"] in self.pulled:
                await self._chat(request, answer)
            case "POST", "/api/show" | "/api/chat":
                await answer.json(404, {"error": f"model '{request.body['model']}' not found"})
            case _:
                await answer.json(404, b"404 page not found")

    async def _chat(self, request: Request, answer: Answer) -> None:
        body, model = request.body, self.pulled[request.body["model"]]
        num_ctx = body.get("options", {}).get("num_ctx", 4096)
        known = model.capabilities or []
        if num_ctx / 4096 > self.memory_gib:
            needed = f"{num_ctx / 4096:.1f} GiB"
            said = f"model requires more system memory ({needed}) than is available ({self.memory_gib} GiB)"
            await answer.json(500, {"error": said})
        elif body.get("tools") and "tools" not in known:
            await answer.json(400, {"error": f'"{body["model"]}" does not support tools'})
        elif body.get("think") and "thinking" not in known:
            await answer.json(400, {"error": f'"{body["model"]}" does not support thinking'})
        elif not body["messages"]:
            await answer.json(200, {"model": body["model"], "message": {}, "done": True, "done_reason": "load"})
        elif (counted := _words(body["messages"])) > num_ctx and body.get("truncate") is False:
            said = (
                f"request ({counted} tokens) exceeds the available context size ({num_ctx} tokens), try increasing it"
            )
            inner = {"error": {"code": 400, "message": said, "type": "exceed_context_size_error"}}
            await answer.json(400, {"error": json.dumps(inner)})
        else:
            messages = list(body["messages"])
            while len(messages) > 1 and _words(messages) > num_ctx:
                messages.pop(0)
            self.prompts.append(messages)
            script = next_of(self.scripts)
            await script(request, answer)


def _words(messages: list[Any]) -> int:
    return sum(len(message["content"].split()) for message in messages)


async def line(answer: Answer, **chunk: object) -> None:
    """One line of a reply."""
    data = {"model": "m", "created_at": "2026-11-28T12:00:00Z", **chunk}
    await answer.raw(json.dumps(data).encode() + b"\n", content_type="application/x-ndjson")


async def piece(answer: Answer, content: str = "", **message: object) -> None:
    """A piece of the message."""
    await line(answer, message={"role": "assistant", "content": content, **message}, done=False)


async def finish(answer: Answer, reason: str = "stop", prompt: int = 12, made: int = 3) -> None:
    """The last line, and the end of the body."""
    counts = {"total_duration": 5, "load_duration": 1, "prompt_eval_count": prompt, "eval_count": made}
    await line(answer, message={"role": "assistant", "content": ""}, done=True, done_reason=reason, **counts)
    await answer.end()


async def text(answer: Answer, *pieces: str) -> None:
    """A whole ordinary reply."""
    for one in pieces:
        await piece(answer, one)
    await finish(answer)
