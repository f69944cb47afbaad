"""Has the language model sum up the older items of a conversation, and posts what it wrote.

Laws: a summary ends with one `Summarized` or `SummaryFailed`, unless it is abandoned; what a moderator has refused is not summed up.
Bounded: what a model writes beyond `MAX_CHARACTERS` is not read.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from parley.core.words.effects import AbandonSummary, Summarize
from parley.core.words.events import Event, Summarized, SummaryFailed
from parley.core.words.ids import SummaryId
from parley.engines.ports import LLM, ChatEnd, EngineError, EngineSet, TextDelta
from parley.runtime.faults import engine_code, fault_of, named
from parley.runtime.generation.prompt_mapping import summary_request
from parley.runtime.generation.screening import Remembered, unrefused
from parley.runtime.generation.streams import closing
from parley.runtime.generation.text_sources import engine_of

logger = logging.getLogger(__name__)

MAX_CHARACTERS: Final = 16 * 1024
"""Several times the longest summary that a session keeps."""


class SummaryWriter:
    """The summaries that one session has asked for. Events go to `post`."""

    __slots__ = ("_engines", "_judged", "_post", "_tasks")

    def __init__(self, engines: EngineSet, judged: Remembered, post: Callable[[Event], None]) -> None:
        self._engines = engines
        self._judged = judged
        self._post = post
        self._tasks: dict[SummaryId, asyncio.Task[None]] = {}

    def start(self, effect: Summarize) -> None:
        task = asyncio.get_running_loop().create_task(self._run(effect))
        self._tasks[effect.summary] = task
        task.add_done_callback(lambda _: self._tasks.pop(effect.summary, None))

    def abandon(self, effect: AbandonSummary) -> None:
        """Nothing of this summary is posted from here on."""
        if (task := self._tasks.get(effect.summary)) is not None:
            task.cancel()

    def tasks(self) -> set[asyncio.Task[None]]:
        """The summaries that are being written."""
        return {task for task in self._tasks.values() if not task.done()}

    def release(self) -> None:
        for task in self._tasks.values():
            task.cancel()

    async def _run(self, effect: Summarize) -> None:
        name = named("The language model", self._engines.find(LLM))
        try:
            with engine_code():
                text = await self._written(effect)
        except Exception as error:  # noqa: BLE001 - the engine boundary
            fault = fault_of(error, name)
            logger.warning("The conversation is not summed up: %s", fault.message)
            self._post(SummaryFailed(effect.summary, fault))
            return
        logger.info("%s has summed up %d items in %d characters.", name, len(effect.prompt.items), len(text))
        self._post(Summarized(effect.summary, text))

    async def _written(self, effect: Summarize) -> str:
        prompt = replace(effect.prompt, items=unrefused(effect.prompt.items, self._judged.flagged))
        written: list[str] = []
        left = MAX_CHARACTERS
        request = summary_request(replace(effect, prompt=prompt))
        async with closing(engine_of(LLM, self._engines).reply(request)) as events:
            async for event in events:
                match event:
                    case TextDelta(text):
                        written.append(text[:left])
                        left -= len(written[-1])
                    case ChatEnd("content_filter"):
                        raise EngineError("The model's filter stopped the summary.", code="content_filter")
                    case ChatEnd():
                        return "".join(written)
                    case _:
                        pass  # a call: the request allows none
                if left == 0:
                    return "".join(written)
        raise EngineError("The model's stream ended in the middle of the summary.", code="connection_failed")
