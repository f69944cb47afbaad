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
    """Moves a machine's clock. `chunk_samples` (24 kHz) is how far at a time when nobody speaks any more."""

    def __init__(self, machine: EmbeddedSession, clock: SampleClock, outlet: PlayoutBuffer, chunk_samples: int) -> None:
        self.machine = machine
        self._clock = clock
        self._outlet = outlet
        self._chunk_samples = chunk_samples

    async def take(self, chunk: bytes) -> None:
        """The next chunk of the input: PCM16 at 24 kHz."""
        machine = self.machine
        self._pass(len(chunk) // 2)
        machine.hear(chunk)
        machine.score()
        machine.pass_time()
        await machine.settled()

    async def play_out(self) -> None:
        """There is no more input: end the turn, and let everything that follows from it play."""
        self.machine.end_input()
        await self.machine.settled()
        while not self.machine.ended and (not self._outlet.empty or self._clock.asleep()):
            self._pass(self._chunk_samples)
            self.machine.pass_time()
            await self.machine.settled()

    def _pass(self, samples: int) -> None:
        self._clock.advance(samples)
        count, audio = self._outlet.take(samples)
        if count:
            if len(audio):
                self.machine.emit(ReplyAudio(audio, self._outlet.output_rate))
            self.machine.played(count)
