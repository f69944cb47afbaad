"""OpenAI's moderation endpoint, or a server that has it: `moderation = "openai:omni-moderation-latest"`.

Laws:
- A text is withheld until its verdict has come. Where none comes, `on_error` decides: `refuse` (the reply fails, with the reason) or
  `allow` (the text passes, and the log says so).
- A clause of a reply is judged with what was said just before it.
- A request is sent again as those of the other OpenAI-compatible engines are (`openai_api/retries`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any, Final

from parley.engines.openai_api.connection import EndpointConfig, EndpointConnection, read_endpoint
from parley.engines.openai_api.errors import failure_of
from parley.engines.openai_api.retries import retried
from parley.engines.openai_api.service import Service
from parley.engines.openai_api.slots import RequestSlots
from parley.engines.options import OptionReader
from parley.engines.ports import EngineError, EngineInfo, ModerationRequest, ModerationVerdict

MODEL: Final = "omni-moderation-latest"
MAX_REQUESTS: Final = 64
"""At once, from all sessions, which take turns; the others wait, inside the time limit."""

MODERATION_API: Final = Service(
    stage="moderation",
    title="The moderator",
    api="moderations API",
    answer="verdict",
    input="text",
    first="the verdict",
    idle_option="timeout_s",
    example_url="http://localhost:8000/v1",
    flags=False,
)

logger = logging.getLogger(__name__)


def create(model: str, options: Mapping[str, object]) -> OpenAIModerator:
    """`openai[:MODEL]`. Options: those of `read_endpoint`, `categories` (the names that count; none given: whatever the server flags),
    `timeout_s` (to the verdict), `on_error` (`refuse`, `allow`)."""
    reader = OptionReader("moderation openai", options)
    engine = OpenAIModerator(
        read_endpoint(reader, MODERATION_API),
        model or MODEL,
        categories=reader.names("categories"),
        timeout_s=reader.number("timeout_s", 5, 0.01, 600),
        allow_on_error=reader.choice("on_error", "refuse", ("refuse", "allow")) == "allow",
    )
    reader.close()
    return engine


class OpenAIModerator:
    """The `Moderator` port: one model at one endpoint, shared by all sessions."""

    def __init__(
        self,
        endpoint: EndpointConfig,
        model: str = MODEL,
        *,
        categories: tuple[str, ...] = (),
        timeout_s: float = 5.0,
        allow_on_error: bool = False,
    ) -> None:
        self._connection = EndpointConnection(endpoint, MODERATION_API, model)
        self._categories = frozenset(categories)
        self._timeout_s = timeout_s
        self._allow_on_error = allow_on_error
        self._slots = RequestSlots(MAX_REQUESTS)

    @property
    def info(self) -> EngineInfo:
        return EngineInfo(
            stage="moderation",
            name="openai",
            summary=f"OpenAI's moderation endpoint: {self._connection.model} at {self._connection.endpoint.shown_url}.",
            needs=("httpx2",),
        )

    async def open(self) -> None:
        """Raises `EngineUnavailable` for a missing key, a wrong address, a server that is not there."""
        self._connection.check_settings()
        await self._connection.open()

    async def close(self) -> None:
        await self._connection.close()

    async def judge(self, request: ModerationRequest) -> ModerationVerdict:
        if not request.text.strip():
            return ModerationVerdict(False)
        try:
            return await self._judge(request)
        except EngineError as error:
            if not self._allow_on_error:
                raise
            logger.warning("A text passes without a verdict: %s", error.message)
            return ModerationVerdict(False)

    async def _judge(self, request: ModerationRequest) -> ModerationVerdict:
        try:
            verdicts = retried(
                MODERATION_API.title,
                lambda: self._attempt(request.before + request.text),
                lambda error: failure_of(error, self._connection.endpoint),
            )
            async with asyncio.timeout(self._timeout_s), self._slots.slot(request.share), aclosing(verdicts):
                async for verdict in verdicts:
                    return verdict
        except TimeoutError:
            raise EngineError(
                f"{MODERATION_API.title} at {self._connection.endpoint.shown_url} gave no verdict within {self._timeout_s:g} s.",
                "Raise its timeout_s, or look at that server.",
                code="timeout",
            ) from None
        raise self._unreadable()

    async def _attempt(self, text: str) -> AsyncGenerator[ModerationVerdict, None]:
        body = {"model": self._connection.model, "input": text}
        async with self._connection.client.post("/moderations", body) as answer:
            yield self._verdict(await answer.json())

    def _verdict(self, answer: Any) -> ModerationVerdict:
        try:
            (result,) = answer["results"]
            named = tuple(name for name, flagged in dict(result["categories"]).items() if flagged is True)
            flagged = result["flagged"]
        except (KeyError, TypeError, ValueError):
            raise self._unreadable() from None
        if not isinstance(flagged, bool):
            raise self._unreadable()
        if self._categories:
            named = tuple(name for name in named if name in self._categories)
            flagged = bool(named)
        return ModerationVerdict(flagged, named)

    def _unreadable(self) -> EngineError:
        return EngineError(
            f"{self._connection.endpoint.shown_url} answered without a verdict.",
            "Use an endpoint that has OpenAI's /moderations.",
            code="server_error",
        )
