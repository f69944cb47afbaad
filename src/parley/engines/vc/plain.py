"""Conversion for programs that feed whole sentences: as many samples out as in, however long they take. The speaker's own voice is never
given.

Laws: the output is `latency` samples of silence, then what the input says, position for position; an exchange waits for its computing.
"""

from __future__ import annotations

import numpy as np

from parley.engines.ports import ConversionSpec, ConversionStream, EngineError, Samples, VoiceConverter
from parley.engines.vc.raw_fallback import latency_samples


class PlainConversion:
    """One speaker. Call `exchange_async()` with each frame, `flush()` at the end of what is said, `close()` last; one call at a time.

    Raises `EngineRefused` (`unknown_voice`), and whatever else the converter's `open_stream()` raises.
    """

    def __init__(self, converter: VoiceConverter, voice: str = "", share: object = None) -> None:
        self.rate = converter.info.sample_rate
        self.latency = latency_samples(converter)
        """The delay in samples."""
        self.latency_ms = 1_000 * self.latency / self.rate
        self._converter = converter
        self._spec = ConversionSpec(voice, share)
        self._stream: ConversionStream | None = converter.open_stream(self._spec)
        self._begin()

    def _begin(self) -> None:
        self._fed = self._made = 0
        self._ready: Samples = np.zeros(self.latency, np.float32)

    async def exchange_async(self, frame: Samples) -> Samples:
        """Take a frame; give as many samples. Raises `EngineError` where the converter fails; the conversion is over then."""
        if self._stream is None:
            self._stream = self._converter.open_stream(self._spec)
        self._fed += len(frame)
        if len(frame):
            self._take(await self._stream.convert(frame))
        if len(self._ready) < len(frame):
            raise EngineError(
                f"The voice converter holds back {self._fed - self._made} samples, and declares {self.latency}.",
                code="invalid_conversion",
            )
        given, self._ready = self._ready[: len(frame)], self._ready[len(frame) :]
        return given

    async def flush(self) -> Samples:
        """Give everything that is held back, and begin anew; nothing where there was no input. Raises `EngineError`."""
        stream, self._stream = self._stream, None
        if stream is None or not self._fed:
            self._stream = stream
            return np.zeros(0, np.float32)
        try:
            self._take(await stream.finish())
        finally:
            stream.close()
        if self._made != self._fed:
            raise EngineError(
                f"The voice converter gave {self._made} samples for {self._fed}.", code="invalid_conversion"
            )
        rest = self._ready
        self._begin()
        return rest

    def close(self) -> None:
        """End it; idempotent."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()

    def _take(self, audio: Samples) -> None:
        self._made += len(audio)
        if self._made > self._fed:
            raise EngineError("The voice converter gives audio before its input was said.", code="invalid_conversion")
        self._ready = np.concatenate([self._ready, audio])
