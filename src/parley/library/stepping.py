"""A session in the time of its samples: chunk by chunk, each with everything that follows from it.

Laws: while a chunk is taken, as much of the reply plays as the chunk is long, and it plays before the chunk is heard; the
engines are waited for after every chunk, so that nothing depends on how fast they or the caller are.
"""

from __future__ import annotations

from parley.library.clocks import SampleClock
from parley.library.embedded_session import EmbeddedSession
from parley.library.events import ReplyAudio
from parley.library.playout import PlayoutBuffer


class Stepper:
    """Moves a machine's clock. `chunk_samples` (24 kHz) is the step once the input is over."""

    def __init__(
        self, embedded: EmbeddedSession, clock: SampleClock, playout: PlayoutBuffer, chunk_samples: int
    ) -> None:
        self.embedded = embedded
        self._clock = clock
        self._playout = playout
        self._chunk_samples = chunk_samples

    async def take(self, chunk: bytes) -> None:
        """The next chunk of the input: PCM16 at 24 kHz."""
        embedded = self.embedded
        self._pass(len(chunk) // 2)
        embedded.hear(chunk)
        embedded.score()
        embedded.pass_time()
        await embedded.settled()

    async def play_out(self) -> None:
        """There is no more input: end the turn, and let everything that follows from it play."""
        self.embedded.end_input()
        await self.embedded.settled()
        while not self.embedded.ended and (not self._playout.empty or self._clock.asleep()):
            self._pass(self._chunk_samples)
            self.embedded.pass_time()
            await self.embedded.settled()

    def _pass(self, samples: int) -> None:
        self._clock.advance(samples)
        count, audio = self._playout.take(samples)
        if count:
            if len(audio):
                self.embedded.emit(ReplyAudio(audio, self._playout.output_rate))
            self.embedded.played(count)
