"""A language model behind OpenAI's Responses API, or a server that has it too (vLLM, LM Studio, Ollama).

Laws (beside those of `endpoint_model`): the server stores nothing; that a model takes no temperature is learnt once.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Final

from parley.engines.llm.endpoint_model import EndpointModel, OpenAIConfig, read_config
from parley.engines.llm.request_parts import refuses
from parley.engines.llm.responses_request import request_body
from parley.engines.llm.responses_stream import ResponsesReader
from parley.engines.openai_api.errors import StatusError
from parley.engines.openai_api.server_events import ServerEvent
from parley.engines.openai_api.service import Service
from parley.engines.options import OptionReader
from parley.engines.ports import ChatRequest, EngineInfo

RESPONSES: Final = Service(
    stage="llm",
    title="The language model",
    api="Responses API",
    answer="reply",
    input="conversation",
    first="the first token",
    idle_option="token_timeout_s",
    example_url="http://localhost:11434/v1",
    too_long="Lower the pipeline's context_tokens, or use a model with a larger context.",
    engine="responses",
)


def create(model: str, options: Mapping[str, object]) -> ResponsesModel:
    """`responses:MODEL`; the options of `endpoint_model.read_config`, and `reasoning_effort` for requests that name none."""
    reader = OptionReader("llm responses", options)
    config = replace(read_config(model, reader, RESPONSES), reasoning_effort=reader.text("reasoning_effort"))
    reader.close()
    return ResponsesModel(config)


class ResponsesModel(EndpointModel[ResponsesReader]):
    """A model that answers `POST /responses`."""

    api = "responses"

    probe_tokens = 16

    def __init__(self, config: OpenAIConfig) -> None:
        super().__init__(config, RESPONSES)
        self._takes_temperature = True

    @property
    def info(self) -> EngineInfo:
        named = f"{self.model or 'a model'} at {self.shown_url}"
        return EngineInfo(
            stage="llm",
            model=self.model,
            name="responses",
            summary=f"OpenAI's Responses API: {named}.",
            needs=("httpx2",),
            images=self._config.images,
        )

    def _reader(self, request: ChatRequest) -> ResponsesReader:
        return ResponsesReader(request)

    async def _send(self, request: ChatRequest, stack: AsyncExitStack) -> AsyncGenerator[ServerEvent, None]:
        """As the base says; repeats the request without a temperature where the model takes none."""
        config = self._config
        while True:
            body = request_body(request, self.model, config.reasoning_effort)
            if request.temperature is None and config.temperature is not None:
                body["temperature"] = config.temperature
            if not self._takes_temperature:
                body.pop("temperature", None)
            body |= config.extra_body
            try:
                return await stack.enter_async_context(self._connection.client.stream("/responses", body))
            except StatusError as error:
                if error.status != 400 or not self._takes_temperature or not refuses(str(error.body), "temperature"):
                    raise
                self._takes_temperature = False
