"""A live voice on this machine: microphone, voice converter, loudspeaker, or a cable into another program.

Laws:
- The sound crosses no event loop: the microphone's thread resamples, exchanges it for converted audio and puts that into the buffer; the
  loudspeaker's thread takes it from there. Only the conversion itself is computed elsewhere, and `LiveConversion` does not wait for it.
- Each device runs at its own rate and on its own clock; `SteeredBuffer` keeps the delay between them.
- A device that vanishes ends nothing: it is reported, and the devices are opened again as soon as they are there.
- The delay that is shown is the sum of what each part adds, by samples and by the times that the devices report.
Does not know: terminals, and how figures are shown.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncGenerator
from dataclasses import asdict, dataclass
from typing import Any, Final, Protocol

import numpy as np
import soxr

from parley.audio.clock_steering import SteeredBuffer
from parley.audio.levels import SILENCE_DBFS, rms_dbfs
from parley.audio.short_resampling import ShortResampler
from parley.audio.types import Samples
from parley.engines.ports import VoiceConverter
from parley.engines.vc.live import LiveConversion, LiveFigures
from parley.invocation import install
from parley.talk.device_pair import DevicePair, OpenDevice
from parley.talk.devices import DevicesUnavailable

LEAST_SOXR: Final = (1, 1)

PIECE_MS: Final = 10.0
"""What a device gives or takes at a time."""

DEVICE_MS: Final = 20.0
"""Asked of PortAudio for each device, which rounds it to what the device can do."""

SLACK_MS: Final = 30.0
"""What is converted at once at least, and so the time that the computing may take: with less, a machine that does other things too is late
now and then, and the speaker's own voice is heard."""

MARGIN_MS: Final = 10.0
"""How late a callback may come without a gap, at first; each gap adds to it."""

MOST_MARGIN_MS: Final = 120.0

SETTLING_S: Final = 0.4
"""Devices ask for their first audio in bursts; meanwhile silence is played, and nothing of the buffer."""

AGAIN_S: Final = 1.0
"""A device that has vanished is looked for so often."""

FALL_DB: Final = 1.5
"""How far a shown level falls with each piece."""


@dataclass(frozen=True, slots=True)
class LiveBuffers:
    """What is asked of each device, and the time that a block may take to compute, in milliseconds."""

    device_ms: float = DEVICE_MS
    slack_ms: float = SLACK_MS


class Exchange(Protocol):
    """What `LiveConversion` does for a thread: a frame in, as much audio out, later by `latency_ms`."""

    rate: int
    latency_ms: float

    @property
    def figures(self) -> LiveFigures: ...

    def exchange(self, frame: Samples) -> Samples: ...


@dataclass(frozen=True, slots=True)
class LiveVoiceFigures:
    """How a live voice fares. Times are in milliseconds.

    `delay_ms` is from the sound at the microphone to the sound at the loudspeaker: what the devices report (`devices_ms`), the conversion
    (`conversion_ms`), what waits between the two devices (`buffer_ms`), and filters. `rtf_p50` and `rtf_p95` are computing time by audio.
    `gaps` are those of the sound that is played, `dropped_ms` what a device that stood still cost; `raw_blocks` and `raw_ms` is what came
    through unconverted. `clocks_ppm`: how much faster the microphone's clock runs. Levels are in dBFS.
    """

    delay_ms: float
    conversion_ms: float
    buffer_ms: float
    devices_ms: float
    rtf_p50: float
    rtf_p95: float
    behind_ms: float
    raw_blocks: int
    raw_ms: float
    gaps: int
    dropped_ms: float
    clocks_ppm: float
    input_dbfs: float
    output_dbfs: float

    def to_json(self) -> dict[str, Any]:
        return {name: round(value, 3) for name, value in asdict(self).items()}


class VoicePath:
    """Between two open devices: `record()` from the microphone's thread, `play()` from the loudspeaker's."""

    def __init__(self, voice: Exchange, in_rate: int, out_rate: int, piece_ms: float = PIECE_MS) -> None:
        self._voice = voice
        self._resampler = ShortResampler(in_rate, voice.rate)
        usual_ms = 2 * piece_ms + MARGIN_MS
        self._buffer = SteeredBuffer(voice.rate, out_rate, usual_ms, most_ms=usual_ms + MOST_MARGIN_MS)
        self._lock = threading.Lock()
        self._in_dbfs = self._out_dbfs = SILENCE_DBFS
        self._settled_at_s: float | None = None

    def record(self, audio: Samples, at_s: float) -> None:
        """The microphone gave this, float32 `[n]` at its rate, at the time `at_s`."""
        self._in_dbfs = _metered(self._in_dbfs, audio)
        if self._settled_at_s is None:
            self._settled_at_s = at_s + SETTLING_S
        frame = self._resampler.push(audio)
        if len(frame):
            given = self._voice.exchange(frame)
            with self._lock:
                self._buffer.push(given, at_s)

    def play(self, count: int, at_s: float) -> Samples:
        """What the loudspeaker plays next, at its rate."""
        if self._settled_at_s is None or at_s < self._settled_at_s:
            return np.zeros(count, np.float32)
        with self._lock:
            audio = self._buffer.pull(count, at_s)
        self._out_dbfs = _metered(self._out_dbfs, audio)
        return audio

    def figures(self, input_ms: float, output_ms: float) -> LiveVoiceFigures:
        """All of it; the devices' own delays are `input_ms` and `output_ms`."""
        conversion, buffer = self._voice.figures, self._buffer
        with self._lock:
            filters_ms = self._resampler.lag_ms + buffer.lag_ms
            fill_ms, ppm, gaps, dropped_ms = buffer.fill_ms, buffer.ppm, buffer.underruns, buffer.dropped_ms
        return LiveVoiceFigures(
            delay_ms=input_ms + filters_ms + self._voice.latency_ms + fill_ms + output_ms,
            conversion_ms=self._voice.latency_ms,
            buffer_ms=fill_ms,
            devices_ms=input_ms + output_ms,
            rtf_p50=conversion.rtf_p50,
            rtf_p95=conversion.rtf_p95,
            behind_ms=conversion.behind_ms,
            raw_blocks=conversion.raw_blocks,
            raw_ms=conversion.raw_ms,
            gaps=gaps,
            dropped_ms=dropped_ms,
            clocks_ppm=ppm,
            input_dbfs=self._in_dbfs,
            output_dbfs=self._out_dbfs,
        )


def _metered(shown: float, audio: Samples) -> float:
    return max(rms_dbfs(audio), shown - FALL_DB) if len(audio) else shown


@dataclass(frozen=True, slots=True)
class DevicesOpened:
    """The sound flows from now on; `again` where devices had vanished before."""

    input: OpenDevice
    output: OpenDevice
    again: bool


@dataclass(frozen=True, slots=True)
class DeviceVanished:
    """A device is gone; it is waited for."""

    name: str


LiveVoiceEvent = DevicesOpened | DeviceVanished | LiveVoiceFigures


async def live_voice(
    converter: VoiceConverter,
    voice: str,
    devices: tuple[str, str],
    *,
    every_s: float = 1.0,
    buffers: LiveBuffers = LiveBuffers(),
) -> AsyncGenerator[LiveVoiceEvent, None]:
    """Convert the microphone `devices[0]` into the loudspeaker `devices[1]` ("": the default ones) until the iterator is closed, with
    figures each `every_s`. The converter is open.

    Raises `DevicesUnavailable` where no device can be opened at first, and where soxr is too old for two clocks, `EngineRefused` for an
    unknown voice, and what the converter raises when it does not recover.
    """
    _check_resampler()
    again = False
    while True:
        async with contextlib.aclosing(_until_vanished(converter, voice, devices, every_s, buffers, again)) as events:
            async for event in events:
                yield event
        again = True


def _check_resampler() -> None:
    """The base takes an older soxr, which cannot change its rate as it runs."""
    if tuple(map(int, soxr.__version__.split(".")[:2])) < LEAST_SOXR:
        raise DevicesUnavailable(
            f"soxr {soxr.__version__} is installed; the clocks of two devices need soxr 1.1 or newer.",
            f"Install it: {install('talk')}",
        )


async def _until_vanished(
    converter: VoiceConverter,
    voice: str,
    devices: tuple[str, str],
    every_s: float,
    buffers: LiveBuffers,
    again: bool,
) -> AsyncGenerator[LiveVoiceEvent, None]:
    conversion = LiveConversion(converter, voice, frame_ms=max(PIECE_MS, buffers.slack_ms))
    pair = DevicePair()
    try:
        path = await _opened(pair, conversion, devices, buffers.device_ms, again)
        assert pair.input is not None
        assert pair.output is not None
        yield DevicesOpened(pair.input, pair.output, again)
        while (gone := pair.vanished()) is None:
            await asyncio.sleep(every_s)
            if pair.failure is not None:
                raise pair.failure
            yield path.figures(pair.input_ms, pair.output_ms)
        yield DeviceVanished(gone)
    finally:
        conversion.close()
        # It waits for a device that is still being opened.
        await asyncio.shield(asyncio.to_thread(pair.close))


async def _opened(
    pair: DevicePair,
    conversion: Exchange,
    devices: tuple[str, str],
    device_ms: float,
    again: bool,
) -> VoicePath:
    """Opens the devices and lets the sound flow; `again`: as soon as they are there."""

    def open_both() -> VoicePath:
        pair.open(*devices, piece_ms=PIECE_MS, latency_ms=device_ms, refresh=again)
        assert pair.input is not None
        assert pair.output is not None
        path = VoicePath(conversion, pair.input.rate, pair.output.rate)
        pair.start(path.record, path.play)
        return path

    while True:
        try:
            return await asyncio.to_thread(open_both)
        except DevicesUnavailable:
            if not again:
                raise
            await asyncio.sleep(AGAIN_S)
