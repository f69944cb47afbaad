"""One turn at an upstream Realtime transcription session.

Laws:
- Audio is kept until its transcript is final, and sent again on a new connection where one breaks.
- A pause commits what was said since the last one; where that was nothing, nothing is asked, and the audio stays for the next.
- A promise never reaches beyond the pause that is to be answered first. Where audio that is heard again after a lost connection has other
  words than were promised, the final has them, and no partial does.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from parley.audio.resampling import Resampler
from parley.audio.types import Samples
from parley.engines.fair_queue import Backlog
from parley.engines.openai_api.errors import Endpoint, failure_of
from parley.engines.openai_api.realtime import RATE, TranscriptionSession
from parley.engines.openai_api.retries import Retries
from parley.engines.openai_api.slots import RequestSlots
from parley.engines.ports import EngineError, Partial, RecognitionSpec, Transcript
from parley.engines.stt.agreement import UNSPACED
from parley.engines.stt.promises import continued
from parley.engines.stt.turn_audio import SAMPLE_RATE
from parley.engines.stt.turn_stream import Cut, TurnStream

MAX_TEXT_CHARS: Final = 64 * 1024
"""Of what is said between two pauses: an hour of speech."""

_TRANSCRIPTION: Final = "conversation.item.input_audio_transcription."

logger = logging.getLogger(__name__)


@dataclass(eq=False, slots=True)
class _Item:
    """What a pause asks for. `id` is the server's, None where nothing was said; `due` when its transcript must be there."""

    cut: Cut
    due: float
    id: str | None = ""
    text: str = ""
    final: str | None = None


class RealtimeStream(TurnStream[Cut]):
    """The `RecognizerStream` port. `connect` makes a new session, `language` is the turn's where it is known."""

    def __init__(
        self,
        spec: RecognitionSpec,
        on_partial: Callable[[Partial], None],
        backlog: Backlog,
        connect: Callable[[], TranscriptionSession],
        slots: RequestSlots,
        endpoint: Endpoint,
        timeout_s: float,
        language: str,
    ) -> None:
        super().__init__(spec, on_partial, backlog)
        self._connect = connect
        self._endpoint = endpoint
        self._timeout_s = timeout_s
        self._language = language
        self._more = asyncio.Event()
        self._finals: list[str] = []
        self._promised = ""
        self._items: deque[_Item] = deque()
        self._uncommitted = ""
        self._sent = self._segment = 0
        self._waiting: asyncio.Timeout | None = None
        self.task = self._loop.create_task(self._run(slots))

    async def flush(self) -> Transcript:
        self._raise_if_over()
        waiter: asyncio.Future[Transcript] = self._loop.create_future()
        self._cuts.append(Cut(self._audio.end, waiter))
        self._more.set()
        return await waiter

    async def ended(self) -> None:
        """Until the connection of a stream that was closed is gone."""
        await asyncio.wait([self.task])

    def _fed(self, audio: Samples) -> None:
        self._more.set()

    def _leave(self) -> None:
        if self.task is not asyncio.current_task():
            self.task.cancel()

    # --- the connection ---

    async def _run(self, slots: RequestSlots) -> None:
        title = self._endpoint.service.title
        retries, progress = Retries(title), 0
        try:
            async with slots.slot(self.share, live=self.live):
                while True:
                    try:
                        async with self._connect() as session:
                            await self._talk(session)
                    except Exception as error:  # noqa: BLE001 - the engine boundary: everything becomes an EngineError
                        if len(self._finals) > progress:
                            retries, progress = Retries(title), len(self._finals)
                        wait_s = retries.pause_after(failure_of(error, self._endpoint), begun=False)
                    await asyncio.sleep(wait_s)
        except EngineError as error:
            self.fail(error)

    async def _talk(self, session: TranscriptionSession) -> None:
        """Send and receive until one of the two fails."""
        self._items.clear()
        self._uncommitted, self._waiting = "", None
        self._sent = self._segment = self._audio.start
        both = [asyncio.create_task(self._send(session)), asyncio.create_task(self._receive(session))]
        try:
            done, _ = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in both:
                task.cancel()
            await asyncio.gather(*both, return_exceptions=True)

    async def _send(self, session: TranscriptionSession) -> None:
        resampler = Resampler(SAMPLE_RATE, RATE)
        while True:
            cut = self._cuts[len(self._items)] if len(self._cuts) > len(self._items) else None
            stop = self._audio.end if cut is None else cut.position
            if self._sent < stop:
                start, self._sent = self._sent, min(stop, self._sent + SAMPLE_RATE)
                audio = resampler.push(self._audio.samples(start, self._sent))
                if audio.size:
                    await session.append(audio)
            elif cut is not None:
                item = _Item(cut, self._loop.time() + self._timeout_s)
                if not self._audio.has_speech(self._segment, cut.position):
                    item.id, item.final = None, ""
                self._items.append(item)
                if item.id is None:
                    self._settle()
                    continue
                item.text, self._uncommitted = self._uncommitted, ""
                self._segment = cut.position
                if self._waiting is not None:
                    self._waiting.reschedule(self._due())
                if (held := resampler.finish()).size:
                    await session.append(held)
                await session.send({"type": "input_audio_buffer.commit"})
            else:
                self._more.clear()
                await self._more.wait()

    def _due(self) -> float | None:
        """When the next transcript must be there."""
        return next((item.due for item in self._items if item.final is None), None)

    async def _receive(self, session: TranscriptionSession) -> None:
        while True:
            async with asyncio.timeout_at(self._due()) as self._waiting:
                event = await session.event()
            kind, name = str(event.get("type")), str(event.get("item_id", ""))
            if kind == "input_audio_buffer.committed":
                item = next((one for one in self._items if one.id == ""), None)
                if item is not None:
                    item.id = name
            elif kind == _TRANSCRIPTION + "delta":
                self._add(name, str(event.get("delta") or ""))
            elif kind == _TRANSCRIPTION + "completed":
                self._complete(name, str(event.get("transcript") or "").strip())

    # --- the text ---

    def _add(self, name: str, delta: str) -> None:
        """More text of an item; of one that is not committed yet where no item has that name."""
        item = next((one for one in self._items if one.id == name), None)
        if item is None:
            self._uncommitted += delta
        else:
            item.text += delta
        self._check(self._uncommitted if item is None else item.text)
        first = next((one for one in self._items if one.final is None), None)
        self._tell(self._uncommitted if first is None else first.text)

    def _check(self, text: str) -> None:
        if len(text) > MAX_TEXT_CHARS:
            raise EngineError(
                f"{self._endpoint.shown_url} sent a transcript of more than {MAX_TEXT_CHARS >> 10} Ki characters.",
                code="server_error",
            )

    def _tell(self, text: str) -> None:
        promised = continued(self._promised, self._joined([*self._finals, text.strip()]))
        if promised:
            self._promised = promised
            self._report(Partial(promised, promised))

    def _complete(self, name: str, final: str) -> None:
        item = next((one for one in self._items if one.id == name), None)
        if item is not None:
            self._check(final)
            said = item.text.strip()
            item.final = continued(said, final) or said
            self._settle()

    def _settle(self) -> None:
        """Answer the pauses whose transcripts are there, in order."""
        while self._items and self._items[0].final is not None:
            item = self._items[0]
            finals = [*self._finals, item.final or ""]
            heard = self._joined(finals)
            text = continued(self._promised, heard)
            if text is None:  # (heard again on a new connection: a turn that fails would lose this text too)
                logger.warning("%s took back a part of its transcript", self._endpoint.shown_url)
                text = heard
            self._items.popleft()
            self._cuts.popleft()
            if item.id is not None:
                self._finals = finals
                if item.final:
                    self._audio.learn_level(self._audio.start, item.cut.position)
                self._drop(item.cut.position)
            sure = 1.0 if self._language else None
            item.cut.answer(Transcript(text, language=self._language, language_confidence=sure))

    def _joined(self, texts: list[str]) -> str:
        return ("" if self._language in UNSPACED else " ").join(filter(None, texts))
