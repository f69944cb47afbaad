"""The protocols that a language model may be behind, each with a server that speaks it and a writer of its replies."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod

from tests.engines import ollama_server
from tests.engines.chat_server import Answer, ChatServer, Script
from tests.engines.ollama_server import OllamaServer
from tests.engines.responses_server import ResponsesServer, Stream


class ModelProtocol(ABC):
    """One protocol; `engine` is the engine that speaks it."""

    engine: str

    @abstractmethod
    def server(self, *scripts: Script) -> ChatServer: ...

    @abstractmethod
    async def piece(self, answer: Answer, text: str) -> None:
        """A piece of a reply's text."""

    @abstractmethod
    async def finish(self, answer: Answer) -> None:
        """The end of a reply of text, and of its body."""

    @abstractmethod
    async def call(self, answer: Answer, name: str, arguments: str) -> None:
        """A whole reply that is one call."""

    @abstractmethod
    async def sign_of_life(self, answer: Answer) -> None:
        """Bytes of which the model made nothing."""

    async def text(self, answer: Answer, *pieces: str) -> None:
        """A whole reply of text."""
        for piece in pieces:
            await self.piece(answer, piece)
        await self.finish(answer)


class Chat(ModelProtocol):
    engine = "openai"

    def server(self, *scripts: Script) -> ChatServer:
        return ChatServer(list(scripts))

    async def piece(self, answer: Answer, text: str) -> None:
        await answer.delta(content=text)

    async def finish(self, answer: Answer) -> None:
        await answer.delta(finish="stop")
        await answer.done()

    async def call(self, answer: Answer, name: str, arguments: str) -> None:
        function = {"name": name, "arguments": arguments}
        await answer.delta(tool_calls=[{"index": 0, "id": "call_9", "function": function}])
        await answer.delta(finish="tool_calls")
        await answer.done()

    async def sign_of_life(self, answer: Answer) -> None:
        await answer.raw(b": still here\n\n")


class Responses(ModelProtocol):
    engine = "responses"

    def server(self, *scripts: Script) -> ChatServer:
        return ResponsesServer(list(scripts))

    async def piece(self, answer: Answer, text: str) -> None:
        await Stream(answer).delta(text)

    async def finish(self, answer: Answer) -> None:
        await Stream(answer).completed()

    async def call(self, answer: Answer, name: str, arguments: str) -> None:
        stream = Stream(answer)
        await stream.call(name, arguments, call_id="call_9")
        await stream.completed()

    async def sign_of_life(self, answer: Answer) -> None:
        await answer.event({"type": "response.in_progress", "response": {}}, "response.in_progress")


class Ollama(ModelProtocol):
    engine = "ollama"

    def server(self, *scripts: Script) -> ChatServer:
        return OllamaServer(list(scripts))

    async def piece(self, answer: Answer, text: str) -> None:
        await ollama_server.piece(answer, text)

    async def finish(self, answer: Answer) -> None:
        await ollama_server.finish(answer)

    async def call(self, answer: Answer, name: str, arguments: str) -> None:
        await ollama_server.piece(answer, tool_calls=[{"function": {"name": name, "arguments": json.loads(arguments)}}])
        await ollama_server.finish(answer)

    async def sign_of_life(self, answer: Answer) -> None:
        await answer.raw(b"\n", content_type="application/x-ndjson")


PROTOCOLS: tuple[ModelProtocol, ...] = (Chat(), Responses(), Ollama())
