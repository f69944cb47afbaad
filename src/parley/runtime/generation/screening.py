"""The moderator's verdicts of one attempt: on what the user said, and on each clause of the reply.

Laws:
- Nothing of a reply is said before the verdict on the words that it answers, and no clause before its own. A clause whose end may begin
  something that is flagged waits for the verdict on the next one, and is refused with it; no other clause waits for the next.
- A message of the user's is judged once in a session. One that was refused is kept from the model in later prompts, so that it is not
  answered later, and stands in no other answer's way.
- Judging runs beside the model and the voice: a clause is judged as soon as it is written, the user's words from the start.
- Bounded: as many verdicts wait as clauses do; `MAX_REMEMBERED` verdicts on messages are kept, and `MAX_BEFORE_CHARS` of what was said. A
  clause waits for `MAX_SEAM_CLAUSES` others.
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


MAX_BEFORE_CHARS: Final = 400
"""Of the reply before a clause: a few sentences, or a phrase of many words."""

MAX_SEAM_CLAUSES: Final = 16
"""Clauses without words between the parts of a phrase; far fewer than may be written ahead, or the source would wait for itself."""


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
    """Call `clause_written()` for each clause in order and `text_ended()` where no other follows at once; `may_answer()` before anything is
    said, `may_say()` for each clause in order; then `close()`. `effect` is the work without what was refused earlier."""

    __slots__ = ("_answer", "_before", "_clauses", "_moderator", "_remembered", "_share", "_written", "effect")

    def __init__(self, effect: StartGeneration, moderator: Moderator, share: object, remembered: Remembered) -> None:
        self.effect = without_refused(effect, remembered.flagged)
        self._moderator = moderator
        self._share = share
        self._remembered = remembered
        self._clauses: deque[asyncio.Task[ModerationVerdict] | None] = deque()
        """The verdicts on clauses that are not said yet; None stands for an end of the text."""
        self._before = ""
        self._written = asyncio.Event()
        self._answer = [
            (text, self._judged(ModerationRequest(text, "user", effect.language, share)))
            for text in words_to_answer(self.effect)
            if remembered.flagged.get(text) is not False
        ]

    def clause_written(self, text: str) -> None:
        request = ModerationRequest(text, "assistant", self.effect.language, self._share, self._before)
        self._before = _end_of(self._before + text)
        self._clauses.append(self._judged(request))
        self._written.set()

    def text_ended(self) -> None:
        self._clauses.append(None)
        self._written.set()

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
        while (clause := self._clauses.popleft()) is None:
            pass
        verdict, following = await clause, 0
        waits = verdict.open_from != ""
        while not verdict.flagged and waits and following < MAX_SEAM_CLAUSES:
            while len(self._clauses) <= following:
                self._written.clear()
                await self._written.wait()
            other = self._clauses[following]
            if other is None:
                break
            verdict, following = await other, following + 1
            waits = verdict.open_from == "before"
        return not self._flagged(verdict, "a clause of the reply")

    def close(self) -> None:
        for task in (*self._clauses, *(verdict for _, verdict in self._answer)):
            if task is not None:
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


def _end_of(text: str) -> str:
    """The last words of a text."""
    if len(text) <= MAX_BEFORE_CHARS:
        return text
    end = text[-MAX_BEFORE_CHARS:]
    return end.partition(" ")[2] or end  # (the beginning of a word is another word)


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
