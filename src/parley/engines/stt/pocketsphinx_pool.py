"""Shares a few PocketSphinx processes among any number of streams.

Laws:
- A live pause that waits for its text comes first; then items and partials, in turns. Sessions take turns (`FairQueue`), one segment
  each. A segment of an item, or of a session that has more of them waiting, is abandoned for a pause of another session that no
  decoder is free for, and decoded again later: who has one turn to wait for waits for a slice, whatever others have waiting.
- A decoder follows one stream at a time for its partials. One that is needed for a pause drops the stream it followed, which then
  goes without partials until its next pause: on a full machine partials get rarer, finals only later.
- Every piece of work is short (`SLICE`), so a closed stream costs at most one slice more.
- A decoder that ends or hangs in the middle of a segment costs time, not words: the segment's audio is kept until its text is there,
  and is decoded again, `MAX_LOST` times at most (audio that ends every decoder must not keep all other turns waiting).
- A decoder without work is asked every `PING_S` whether it answers, so that one that hangs is replaced before the next turn.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence

from parley.engines.fair_queue import MAX_REMEMBERED, FairQueue
from parley.engines.ports import EngineError
from parley.engines.stt.pocketsphinx_decoder import Decoder, PendingSegment
from parley.engines.stt.pocketsphinx_process import DecoderLost, DecoderProcess

log = logging.getLogger(__name__)

SLICE = 2 * 3200
"""Bytes decoded at once: 200 ms of PCM16 at 16 kHz, about 25 ms of work."""

CATCH_UP = 10 * 32000
"""Bytes a stream may have waiting and still be followed: with ten seconds and more to catch up on, partials would come too late."""

IDLE_S = 2.0
"""A stream that sends nothing for so long gives up its decoder to one that does."""

MAX_LOST = 3
"""Decoders that may end over one segment: two by chance are rare, three are the audio's doing."""

MAX_ABANDONED = 3
"""Times that a live segment is put off: a session with much to decode is slowed down by the others, and not shut out."""

PING_S = 5.0
"""Between two such questions: each costs less than half a millisecond of processor time, both processes together."""

MIN_AUDIO = 3200
"""Bytes worth decoding: 100 ms; less holds no word, and no cepstral mean."""


class DecoderPool:
    """Call `start()`, then `want_pause()` and `want_partials()` whenever a stream has something new, then `stop()`."""

    def __init__(self, processes: Sequence[DecoderProcess]) -> None:
        self._decoders = [Decoder(process) for process in processes]
        self._tasks: list[asyncio.Task[None]] = []
        self._pauses: FairQueue[PendingSegment] = FairQueue()
        self._speaking: FairQueue[PendingSegment] = FairQueue()
        self._wake = asyncio.Event()
        self._means: dict[object, str] = {}
        """The cepstral mean of the last segment of each session; the latest at the end."""
        for process in processes:
            process.on_exit = self._wake.set

    @property
    def pids(self) -> tuple[int, ...]:
        return tuple(decoder.process.pid for decoder in self._decoders)

    @property
    def fault(self) -> EngineError | None:
        """Why no decoder can work for the time being; None while at least one can."""
        faults = [decoder.fault for decoder in self._decoders]
        return faults[0] if all(faults) else None

    async def start(self) -> None:
        """Start every process and serve. Raises `EngineUnavailable`."""
        results = await asyncio.gather(*(decoder.start() for decoder in self._decoders), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                await self.stop()
                raise result
        self._tasks = [asyncio.create_task(self._run(decoder), name="pocketsphinx") for decoder in self._decoders]

    async def stop(self) -> None:
        """End all work and all processes; idempotent."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(decoder.process.stop() for decoder in self._decoders))

    def want_pause(self, segment: PendingSegment) -> None:
        """The segment has a new cut."""
        if (fault := self.fault) is not None:
            segment.fail(fault)
            return
        self._pauses.put(segment, segment.share, live=segment.live)
        self._wake.set()

    def want_partials(self, segment: PendingSegment) -> None:
        """The segment has a slice of audio or more that is not decoded; cheap enough to call for every chunk."""
        if any(decoder.follows is segment for decoder in self._decoders):
            self._wake.set()
        elif segment.live and not segment.muted:
            self._speaking.put(segment, segment.share)
            self._wake.set()

    def forget(self, segment: PendingSegment) -> None:
        """The segment's stream has ended."""
        self._pauses.discard(segment, segment.share)
        self._speaking.discard(segment, segment.share)
        for decoder in self._decoders:
            if decoder.follows is segment:
                decoder.follows = None

    # --- one decoder's work ---

    async def _run(self, decoder: Decoder) -> None:
        while True:
            if not decoder.process.alive:
                self._follow_again(decoder)
                await decoder.keep_running(self._give_up_if_down)
            elif (work := self._next(decoder)) is not None:
                await self._work(decoder, *work)
            elif not await self._rest(decoder):
                with contextlib.suppress(DecoderLost):
                    await decoder.process.ping()

    async def _rest(self, decoder: Decoder) -> bool:
        """Wait until there may be something to do; False after `PING_S` without."""
        self._wake.clear()
        decoder.idle = True
        try:
            async with asyncio.timeout(PING_S):
                return await self._wake.wait()
        except TimeoutError:
            return False
        finally:
            decoder.idle = False

    async def _work(self, decoder: Decoder, segment: PendingSegment, pause: bool) -> None:
        segment.busy = True
        decoder.works_on = segment
        try:
            await (self._second_pass(decoder, segment) if pause else self._follow(decoder, segment))
        except DecoderLost as error:
            segment.lost += 1
            if not pause:
                pass  # it is followed again from its beginning, see `_follow_again`
            elif segment.lost < MAX_LOST and not segment.closed:
                self._pauses.put_first(segment, segment.share, live=segment.live)
            else:
                segment.fail(error)
        except EngineError as error:
            decoder.follows = None
            segment.fail(error)
        except Exception as error:
            # One turn's fault must not leave all others without a decoder; what this one has been asked is not known.
            log.exception("PocketSphinx's result could not be taken")
            decoder.follows = None
            segment.fail(EngineError(f"PocketSphinx failed: {error}", code="recognizer_failed"))
            await decoder.process.stop()
        finally:
            segment.busy = False
            decoder.works_on = None
            self._wake.set()

    def _follow_again(self, decoder: Decoder) -> None:
        """The decoder's process is gone, and with it what it had heard of the stream that it followed."""
        segment, decoder.follows = decoder.follows, None
        if segment is not None and not segment.closed:
            segment.decoded = 0
            segment.muted = segment.lost >= MAX_LOST
            self.want_partials(segment)

    def _give_up_if_down(self) -> None:
        """A decoder has a fault: where no other is left, the turns that wait fail now."""
        if (fault := self.fault) is not None:
            for segment in self._pauses.drain():
                segment.fail(fault)

    # --- what is next ---

    def _next(self, decoder: Decoder) -> tuple[PendingSegment, bool] | None:
        """The segment to work on, and whether a pause of it is wanted (else its partials)."""
        if (segment := self._next_pause(decoder, live=True)) is not None:
            return segment, True
        item_first = decoder.item_next
        for items in (item_first, not item_first):
            segment = self._next_item(decoder) if items else self._next_slice(decoder)
            if segment is not None:
                return segment, items
        return None

    def _next_pause(self, decoder: Decoder, *, live: bool) -> PendingSegment | None:
        """The next pause that this decoder should see to."""
        return self._pauses.take(lambda segment: self._is_for(decoder, segment), live=live)

    def _is_for(self, decoder: Decoder, segment: PendingSegment) -> bool:
        """Whether no decoder works on it, and this decoder need not drop another stream that an idle one would not drop."""
        if segment.busy:
            return False
        if decoder.follows is None or decoder.follows is segment:
            return True
        others = (other for other in self._decoders if other is not decoder)
        return not any(other.idle and (other.follows is None or other.follows is segment) for other in others)

    def _next_item(self, decoder: Decoder) -> PendingSegment | None:
        """An item's segment, where the decoder follows no live stream."""
        if self._is_following(decoder):
            return None
        segment = self._next_pause(decoder, live=False)
        if segment is not None:
            decoder.item_next = False
        return segment

    def _is_following(self, decoder: Decoder) -> bool:
        current = decoder.follows
        return current is not None and asyncio.get_running_loop().time() - current.last_fed_s < IDLE_S

    def _next_slice(self, decoder: Decoder) -> PendingSegment | None:
        """The stream this decoder follows, if it has a slice; else another, if this one is over or silent."""
        current = decoder.follows
        if current is not None and not current.busy and current.available() - current.decoded >= SLICE:
            return current
        if self._is_following(decoder):
            return None
        while (segment := self._speaking.take()) is not None:
            if segment.muted or segment.available() < SLICE:
                continue
            if segment.available() > CATCH_UP:
                segment.muted = True
                continue
            decoder.item_next = True
            return segment
        return None

    # --- the work ---

    async def _follow(self, decoder: Decoder, segment: PendingSegment) -> None:
        """First pass, one slice: as it comes, with the cepstral mean of this session's last segment."""
        if decoder.follows is not segment:
            decoder.follow(segment)
            segment.decoded = 0
            await decoder.process.begin(self._means.get(segment.share, ""))
            if segment.available() < SLICE:
                return  # closed meanwhile
        start = segment.decoded
        segment.decoded = start + SLICE
        text = await decoder.process.decode(segment.audio(start, start + SLICE))
        if not segment.closed:
            segment.report(text)

    async def _second_pass(self, decoder: Decoder, segment: PendingSegment) -> None:
        """The whole of the audio up to the cut, with its own cepstral mean."""
        size = segment.next_cut()
        if size is None:
            return
        for other in self._decoders:
            if other.follows is segment:
                other.follows = None
        if size < MIN_AUDIO or not segment.worth_decoding(size):
            segment.commit(size, None)
            return
        decoder.follow(None)
        mean = await decoder.process.mean(segment.audio(0, size))
        await decoder.process.begin(mean)
        for start in range(0, size, SLICE):
            if segment.next_cut() is None:
                return  # closed or failed meanwhile
            if self._yields(decoder, segment):
                segment.abandoned += 1
                self._pauses.put_first(segment, segment.share, live=segment.live)
                return
            await decoder.process.decode(segment.audio(start, min(start + SLICE, size)))
        hypothesis = await decoder.process.end()
        self._remember(segment.share, mean)
        if not segment.closed:
            segment.commit(size, hypothesis)

    def _remember(self, share: object, mean: str) -> None:
        if share is None:
            return  # streams without a session may be anybody's
        self._means.pop(share, None)
        self._means[share] = mean
        if len(self._means) > MAX_REMEMBERED:
            del self._means[next(iter(self._means))]

    def _yields(self, decoder: Decoder, segment: PendingSegment) -> bool:
        """Whether this segment is to wait for a live pause of another session, which no decoder is free for."""
        share = segment.share
        if any(other.idle for other in self._decoders):
            return False
        if not segment.live:
            return self._pauses.any_live(lambda one: not one.busy)
        working = [other.works_on for other in self._decoders if other is not decoder and other.works_on is not None]
        has_more = segment.cuts() > 1 or self._pauses.waiting(share) > 0 or any(one.share is share for one in working)
        if not has_more or segment.abandoned >= MAX_ABANDONED:
            return False
        served = {id(one.share) for one in (*working, segment)}
        return self._pauses.any_live(lambda one: not one.busy and id(one.share) not in served)
