"""The moderator's verdicts of one attempt: on what the user said, and on each clause of the reply.

Laws:
- Nothing of a reply is said before the verdict on the words that it answers, and no clause before its own.
- A message of the user's is judged once in a session. One that was refused is kept from the model in later prompts, so that it is not
  answered later, and stands in no other answer's way.
- Judging runs beside the model and the voice: a clause is judged as soon as it is written, the user's words from the start.
- Bounded: as many verdicts wait as clauses do; `MAX_REMEMBERED` verdicts on messages are kept.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from parley.core.words.effects import StartGeneration
from parley.core.words.items import InputAudio, InputText, Item, Message
from parley.core.words.work import Reply
from parley.engines.ports import EngineError, ModerationRequest, ModerationVerdict, Moderator
from parley.runtime.faults import engine_code, fault_of, named

logger = logging.getLogger(__name__)


MAX_REMEMBERED: Final = 256
"""Messages of one session, the last ones; older ones are judged again."""


class Remembered:
    """The verdicts on the user's messages of one session, by their texts."""

    __slots__ = ("_flagged",)

    def __init__(self) -> None:
        self._flagged: dict[str, bool] = {}

    def put(self, text: str, flagged: bool) -> None:
        self._flagged[text] = flagged
        if len(self._flagged) > MAX_REMEMBERED:
            del self._flagged[next(iter(self._flagged))]

    @property
    def flagged(self) -> Mapping[str, bool]:
        return self._flagged


class Screening:
    """Call `clause_written()` for each clause in order, `may_answer()` before anything is said, `may_say()` for each clause in
    order, then `close()`. `effect` is the work without what was refused earlier."""

    __slots__ = ("_answer", "_clauses", "_moderator", "_remembered", "_share", "effect")

    def __init__(self, effect: StartGeneration, moderator: Moderator, share: object, remembered: Remembered) -> None:
        self.effect = without_refused(effect, remembered.flagged)
        self._moderator = moderator
        self._share = share
        self._remembered = remembered
        self._clauses: deque[asyncio.Task[ModerationVerdict]] = deque()
        self._answer = [
            (text, self._judged(ModerationRequest(text, "user", effect.language, share)))
            for text in words_to_answer(self.effect)
            if remembered.flagged.get(text) is not False
        ]

    def clause_written(self, text: str) -> None:
        self._clauses.append(self._judged(ModerationRequest(text, "assistant", self.effect.language, self._share)))

    async def may_answer(self) -> bool:
        """Whether the user's words may be answered. Raises `EngineError` where the moderator cannot judge them."""
        for text, verdict in self._answer:
            flagged = self._flagged(await verdict, "what the user said")
            self._remembered.put(text, flagged)
            if flagged:
                return False
        return True

    async def may_say(self) -> bool:
        """Whether the next clause may be said. Raises `EngineError` where the moderator cannot judge it."""
        return not self._flagged(await self._clauses.popleft(), "a clause of the reply")

    def close(self) -> None:
        for task in (*self._clauses, *(verdict for _, verdict in self._answer)):
            task.cancel()
            task.add_done_callback(_forget)

    def _judged(self, request: ModerationRequest) -> asyncio.Task[ModerationVerdict]:
        return asyncio.get_running_loop().create_task(self._judge(request))

    async def _judge(self, request: ModerationRequest) -> ModerationVerdict:
        try:
            with engine_code():
                verdict: object = await self._moderator.judge(request)
            if not isinstance(verdict, ModerationVerdict):
                raise TypeError(f"a verdict was expected, not {type(verdict).__name__}")
            return verdict
        except EngineError:
            raise
        except Exception as error:
            fault = fault_of(error, named("The moderator", self._moderator))
            raise EngineError(fault.message, code=fault.code) from error

    def _flagged(self, verdict: ModerationVerdict, what: str) -> bool:
        if verdict.flagged:
            # Categories only: what was said stays out of the log.
            logger.info(
                "The moderator %r refused %s: %s", self._moderator.info.name, what, ", ".join(verdict.categories)
            )
        return verdict.flagged


def words_to_answer(effect: StartGeneration) -> list[str]:
    """The texts of the user's messages after the last of the assistant's; none where the work answers nobody."""
    texts: list[str] = []
    for item in reversed(effect.work.prompt.items if isinstance(effect.work, Reply) else ()):
        if isinstance(item, Message) and item.role == "assistant":
            break
        if text := _said(item):
            texts.insert(0, text)
    return texts


def without_refused(effect: StartGeneration, flagged: Mapping[str, bool]) -> StartGeneration:
    """The work without the user's messages that were refused before, except for the last one."""
    if not isinstance(effect.work, Reply) or not any(flagged.values()):
        return effect
    prompt = effect.work.prompt
    last = next((item for item in reversed(prompt.items) if _said(item)), None)
    return replace(effect, work=Reply(replace(prompt, items=unrefused(prompt.items, flagged, last))))


def unrefused(items: tuple[Item, ...], flagged: Mapping[str, bool], but: Item | None = None) -> tuple[Item, ...]:
    """The items without the user's messages that were refused before, except for this one."""
    return tuple(item for item in items if item is but or not flagged.get(_said(item)))


def _said(item: Item) -> str:
    """The words of a message of the user's, "" of anything else."""
    if not isinstance(item, Message) or item.role != "user":
        return ""
    parts = (part for part in item.content if isinstance(part, InputText | InputAudio))
    return "\n".join(part.text if isinstance(part, InputText) else part.transcript or "" for part in parts).strip()


def _forget(task: asyncio.Task[ModerationVerdict]) -> None:
    """An error that nobody waits for any more is not reported."""
    if not task.cancelled():
        task.exception()
