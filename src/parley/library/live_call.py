"""A session in real time: reads a source as it arrives, fills a sink as it is played.

Laws: whatever ends the call ends all of it: the source's end (after the last turn was answered and heard), a fault of the source, of the
sink, or of the session; nothing keeps running when the iterator of events is closed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from parley.library.embedded_session import EmbeddedSession
from parley.library.events import ReplyAudio, VoiceEvent
from parley.library.frame_reader import Frame, FrameReader
from parley.library.options import VoiceSessionOptions
from parley.library.playout import Int16, Sink, SinkLoudspeaker
from parley.runtime.pipeline import LoadedPipeline


class LiveCall:
    """One call. Iterate over `events()`, once."""

    def __init__(
        self,
        pipeline: LoadedPipeline,
        options: VoiceSessionOptions,
        reader: FrameReader,
        output_rate: int,
        sink: Sink | None,
    ) -> None:
        self._reader = reader
        self._speaker = SinkLoudspeaker(output_rate, sink)
        self.embedded = EmbeddedSession(pipeline, options, None, self._speaker)

    async def events(self, source: AsyncGenerator[Frame, None]) -> AsyncGenerator[VoiceEvent, None]:
        """The events, as they happen."""
        embedded = self.embedded
        embedded.start()
        work = asyncio.get_running_loop().create_task(self._run(source))
        work.add_done_callback(lambda _: embedded.news.set())
        try:
            while True:
                embedded.news.clear()
                for event in embedded.taken():
                    yield event
                if embedded.events or (embedded.ended and not embedded.over):
                    continue
                if embedded.over:
                    return
                if work.done():
                    work.result()
                    return
                await embedded.news.wait()
        finally:
            work.cancel()
            await asyncio.wait([work])
            embedded.shut("its call is over")
            self._speaker.let_go()

    async def _run(self, source: AsyncGenerator[Frame, None]) -> None:
        """Read and play until both are over; raises what either raises."""
        loop = asyncio.get_running_loop()
        playing = loop.create_task(self._speaker.serve(self._went_out))
        hearing = loop.create_task(self._hear(source))
        try:
            done, _ = await asyncio.wait({playing, hearing}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in (playing, hearing):
                task.cancel()
            await asyncio.wait([playing, hearing])

    async def _hear(self, source: AsyncGenerator[Frame, None]) -> None:
        embedded = self.embedded
        async with aclosing(source) as frames:
            async for frame in frames:
                for chunk in self._reader.push(frame):
                    embedded.hear(chunk)
        for chunk in self._reader.finish():
            embedded.hear(chunk)
        embedded.score()
        embedded.end_input()
        await embedded.settled()
        while embedded.working() or not self._speaker.empty:
            await self._speaker.silent()
            await embedded.settled()

    def _went_out(self, count: int, audio: Int16) -> None:
        if len(audio):
            self.embedded.emit(ReplyAudio(audio, self._speaker.output_rate))
        self.embedded.played(count)
