"""The pace at which a link sends the audio that the server plays: the clock that all such links share, and what goes out by it.

Laws:
- The clock is monotonic and counts from its start: late ticks are made up for, and nothing drifts.
- At most `lead_ms` of audio is on its way that the listener has not heard by the clock, so a burst after a late event loop is no longer
  than that. A listener that ran dry begins anew with the next audio.
- Audio counts as heard when its time has come by the clock (`ClockedReports`), or when the protocol says so (`Reports` of the link).
- An interruption drops what has not been sent, at once.
- Nothing is sent, and no timer runs, while there is no audio.

Does not know: what carries the audio, or why it is interrupted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from parley.audio.even_resampling import EvenResampler
from parley.core.words.effects import Play
from parley.core.words.limits import SAMPLE_RATE, SAMPLES_PER_MS
from parley.core.words.settings import AudioFormat
from parley.server.links.media_format import NATIVE_FORMATS, MediaFormat
from parley.server.links.output_queue import OutputQueue

TICK_MS: Final = 20
FRAME: Final = TICK_MS * SAMPLES_PER_MS
"""24 kHz samples of one tick."""

LEAD_MS_LEAST: Final = 2 * TICK_MS
"""With less, a tick that is a little late finds a listener that has run dry."""

_EARLY: Final = FRAME // 4
"""Event loops ring some milliseconds early or late; that shifts nothing by a whole tick."""


class Alarm(Protocol):
    def cancel(self) -> None: ...


class EventLoop(Protocol):
    """An event loop, as far as it tells the time (in seconds)."""

    def time(self) -> float: ...

    def call_at(self, when: float, callback: Callable[[], object], /) -> Alarm: ...


def _no_tick() -> None:
    """In place of `tick` once the clock is closed."""


def _unsent(audio: bytes) -> None:
    """In place of `send` once the link is gone."""


def _unplayed(samples: int) -> None:
    """In place of `played` once the link is gone."""


class PacingClock:
    """Calls `tick` every 20 ms between `start` and `stop`, on a grid that begins with `start`."""

    __slots__ = ("_alarm", "_began", "_loop", "_tick")

    def __init__(self, loop: EventLoop, tick: Callable[[], None]) -> None:
        self._loop = loop
        self._tick = tick
        self._began = 0.0
        self._alarm: Alarm | None = None

    @property
    def running(self) -> bool:
        return self._alarm is not None

    def start(self) -> None:
        """Count from now; a clock that runs starts again."""
        self.stop()
        self._began = self._loop.time()
        self._set()

    def stop(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def close(self) -> None:
        """It rings no more, and refers to nothing."""
        self.stop()
        self._tick = _no_tick

    def elapsed(self) -> int:
        """24 kHz samples since the start."""
        return round((self._loop.time() - self._began) * SAMPLE_RATE)

    def _set(self) -> None:
        ticks = (self.elapsed() + _EARLY) // FRAME + 1
        self._alarm = self._loop.call_at(self._began + ticks * TICK_MS / 1000, self._ring)

    def _ring(self) -> None:
        self._set()
        self._tick()


class Reports(Protocol):
    """Judges what the listener has heard of what was sent, and tells the session. All counts are of speech, in 24 kHz samples."""

    def sent(self, samples: int, *, last: bool) -> None:
        """So much has been sent; `last`: nothing more waits at the moment."""

    def passed(self, samples: int) -> None:
        """The time of so much more has passed, by the clock."""

    def cleared(self) -> None:
        """The listener was told to drop what has been sent: nothing of it is heard any more."""


class ClockedReports:
    """Believes the clock."""

    def __init__(self, played: Callable[[int], None]) -> None:
        self._played = played

    def sent(self, samples: int, *, last: bool) -> None:
        pass

    def passed(self, samples: int) -> None:
        self._played(samples)

    def cleared(self) -> None:
        pass


class PacedOutput:
    """A `Loudspeaker` that sends audio in `form`, in frames of 20 ms, up to `lead_ms` ahead of what is heard.

    `whole_frames`: the last frame of speech is filled up with silence; else it is as short as it is. Next: `hold` it while the client does
    not read, and `close` it at the end.
    """

    def __init__(
        self,
        form: MediaFormat,
        send: Callable[[bytes], None],
        reports: Reports,
        *,
        loop: EventLoop,
        lead_ms: int,
        whole_frames: bool = False,
    ) -> None:
        self._form = form
        self._send = send
        self._reports = reports
        self._lead = max(LEAD_MS_LEAST, lead_ms) * SAMPLES_PER_MS
        self._whole = whole_frames
        self._clock = PacingClock(loop, self._go)
        self._kept = form.native or AudioFormat.PCM16
        self._queue = OutputQueue(self._kept)
        self._resampler: EvenResampler | None = None
        self._sent = 0
        """Samples since the clock's start, silence included."""
        self._heard = 0
        self._unheard: deque[tuple[int, int]] = deque()
        """Samples of each frame that is on its way, and how many of them are speech."""
        self._held = False
        self._going = False

    def play(self, effect: Play) -> None:
        """More audio of a response."""
        self._queue.play(effect)
        if not self._going:
            self._go()

    def stop(self) -> None:
        """Drop what has not been sent; what is on its way is no longer heard."""
        self._queue.stop()
        self._rest()
        self._resampler = None
        self._reports.cleared()

    def write_in(self, form: MediaFormat) -> None:
        """Send in this form from now on. What waits is kept as it was kept before: a form of G.711 then costs a conversion."""
        self._form = form
        self._resampler = None

    def hold(self, held: bool) -> None:
        """Send nothing while the client does not take what was sent."""
        self._held = held
        if not held and not self._going:
            self._go()

    def close(self) -> None:
        """The link is gone: nothing is sent or reported any more, and nothing of the link is referred to."""
        self._queue.stop()
        self._rest()
        self._clock.close()
        self._send, self._reports = _unsent, ClockedReports(_unplayed)

    def _rest(self) -> None:
        self._clock.stop()
        self._unheard.clear()
        self._sent = self._heard = 0

    def _go(self) -> None:
        """Report what has been heard by now, and send what is due."""
        self._going = True
        try:
            if self._clock.running:
                self._report()
            if len(self._queue) and not self._held:
                if self._sent == self._heard:
                    self._rest()
                    self._clock.start()
                self._send_due()
            elif self._clock.running:
                self._run_dry()
        finally:
            self._going = False

    def _report(self) -> None:
        passed = min(self._clock.elapsed(), self._sent) - self._heard
        self._heard += passed
        speech = 0
        while passed:
            samples, spoken = self._unheard.popleft()
            now = min(samples, passed)
            said = min(spoken, now)
            if samples > now:
                self._unheard.appendleft((samples - now, spoken - said))
            speech += said
            passed -= now
        if speech:
            self._reports.passed(speech)

    def _send_due(self) -> None:
        limit = self._clock.elapsed() + _EARLY + self._lead
        while (waiting := len(self._queue)) and not self._held:
            count = min(FRAME, waiting)
            if self._sent + count > limit:
                return
            if count < FRAME and self._sent - self._clock.elapsed() > FRAME:
                return  # the rest of the frame may come before the listener runs dry
            audio, speech = self._queue.take(FRAME if self._whole else count)
            samples = self._kept.samples(len(audio))
            self._sent += samples
            self._unheard.append((samples, speech))
            self._send(self._encoded(audio))
            self._reports.sent(speech, last=not len(self._queue))

    def _run_dry(self) -> None:
        """Nothing more waits."""
        if self._resampler is not None and not self._held and self._sent - self._clock.elapsed() <= FRAME:
            rest, self._resampler = self._resampler.finish(), None
            if not self._whole:  # a last frame that is filled up has it, but for 3 ms at the most
                self._send(self._form.encode(rest))
        if self._sent == self._heard:
            self._rest()

    def _encoded(self, audio: bytes) -> bytes:
        if self._form.native is self._kept:
            return audio
        if self._resampler is None:
            self._resampler = EvenResampler(self._kept.rate, self._form.rate)
        return self._form.encode(self._resampler.push(NATIVE_FORMATS[self._kept].decode(audio)))
