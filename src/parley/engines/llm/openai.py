"""A language model behind any OpenAI-compatible chat endpoint: OpenAI, vLLM, llama.cpp, LM Studio and their like.

Laws (beside those of `endpoint_model`): what the server refuses in a request (`stream_options`, the name of the token limit) is learnt
once.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Final

from parley.engines.llm.endpoint_model import EndpointModel, OpenAIConfig, read_config
from parley.engines.llm.openai_request import ChatDialect, request_body
from parley.engines.llm.openai_stream import StreamReader
from parley.engines.openai_api.errors import StatusError
from parley.engines.openai_api.server_events import ServerEvent
from parley.engines.openai_api.service import Service
from parley.engines.options import OptionReader
from parley.engines.ports import ChatEnd, ChatEvent, ChatRequest, EngineInfo

CHAT: Final = Service(
    stage="llm",
    title="The language model",
    api="chat-completions API",
    answer="reply",
    input="conversation",
    first="the first token",
    idle_option="token_timeout_s",
    example_url="http://localhost:11434/v1",
    too_long="Lower the pipeline's context_tokens, or use a model with a larger context.",
)

_UNOPENED_REASONERS: Final = ("deepseek-r1", "deepseek-reasoner", "qwq", "-thinking")
"""Models whose templates are known to swallow the opening <think>. The first reply shows whether that is so."""


def create(model: str, options: Mapping[str, object]) -> OpenAIModel:
    """`openai:MODEL`; options: see `read_chat_config`."""
    reader = OptionReader("llm openai", options)
    config = read_chat_config(model, reader)
    reader.close()
    return OpenAIModel(config)


def read_chat_config(model: str, reader: OptionReader) -> OpenAIConfig:
    """The options of `endpoint_model.read_config`, and `audio`: the model hears, and is sent the sound of the user's last turns."""
    return replace(read_config(model, reader, CHAT), audio=reader.flag("audio", False))


class OpenAIModel(EndpointModel[StreamReader]):
    """A model that answers `POST /chat/completions`."""

    api = "chat"

    def __init__(self, config: OpenAIConfig) -> None:
        super().__init__(config, CHAT)
        self._dialect = ChatDialect("max_completion_tokens" if config.endpoint.is_openai else "max_tokens")
        self._reasoning_opened = any(name in config.model.lower() for name in _UNOPENED_REASONERS)
        self._reasoning_seen = False

    @property
    def info(self) -> EngineInfo:
        named = f"{self.model or 'a model'} at {self.shown_url}"
        return EngineInfo(
            stage="llm",
            model=self.model,
            name="openai",
            summary=f"Any OpenAI-compatible chat endpoint: {named}.",
            needs=("httpx2",),
            images=self._config.images,
            audio=self._config.audio,
        )

    def _reader(self, request: ChatRequest) -> StreamReader:
        return StreamReader(request, self._reasoning_opened)

    def _learn(self, event: ChatEvent, reader: StreamReader) -> None:
        """Whether the next reply is to be taken for reasoning until a closing tag comes."""
        if reader.reasoning_unopened:
            self._reasoning_opened = self._reasoning_seen = True
        elif isinstance(event, ChatEnd) and event.reason == "stop" and not self._reasoning_seen:
            self._reasoning_opened = False  # unlike other models of its name

    async def _send(self, request: ChatRequest, stack: AsyncExitStack) -> AsyncGenerator[ServerEvent, None]:
        """As the base says; repeats the request in another form where the server refuses a field."""
        client = self._connection.client
        dialect = self._dialect
        tried = {dialect}
        while True:
            body: dict[str, object] = {
                **request_body(request, self.model, dialect, hears=self._config.audio),
                "stream": True,
            }
            if request.temperature is None and self._config.temperature is not None:
                body["temperature"] = self._config.temperature
            body |= self._config.extra_body
            try:
                events = await stack.enter_async_context(client.stream("/chat/completions", body))
            except StatusError as error:
                changed = dialect.without(str(error.body)) if error.status in (400, 422) else None
                if changed is None or changed in tried:
                    raise
                dialect = changed
                tried.add(dialect)
            else:
                self._dialect = dialect
                return events
