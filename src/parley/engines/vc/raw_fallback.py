"""A conversion that never fails: where the converter does, the speaker's own audio of the same positions is given instead.

Laws:
- The time line is that of every `ConversionStream`, whatever happens inside; raw audio is held back as long as converted audio is.
- Each change between the two is joined as `Seams` says: at most one click.
- A stream that failed is opened again with the next audio, but no sooner than `RETRY_MS` of audio after it was opened last, unless
  `retry()` says that the converter is back; the new one hears the last `CONTEXT_MS` of raw audio as its context, goes on at the position
  where the output stands, and so comes back in mid-stream.
- What is kept is `CONTEXT_MS` and what the converter holds back; one that holds back `MAX_HELD_MS` more than it declares has failed.
- The same audio in the same pieces, and the same failures, give the same output.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Final

import numpy as np

from parley.engines.ports import (
    ConversionSpec,
    ConversionStream,
    EngineError,
    EngineRefused,
    Samples,
    VoiceConverter,
)
from parley.engines.vc.recent_audio import RecentAudio
from parley.engines.vc.seams import Seams

logger = logging.getLogger(__name__)

RETRY_MS: Final = 500
CONTEXT_MS: Final = 3_000
MAX_HELD_MS: Final = 1_000

OpenStream = Callable[[ConversionSpec], ConversionStream]


class RawFallback:
    """A `ConversionStream` whose `convert()` and `finish()` raise only after `close()`.

    `open_stream` opens the inner stream, of `rate` Hz and a delay of `latency` samples. Raises the `EngineRefused` that it raises at
    first, since a wrong voice stays wrong, unless the voice is `known`. It stays in the set `among` until it is closed.
    """

    __slots__ = (
        "_among",
        "_closed",
        "_fed",
        "_given",
        "_history",
        "_inner",
        "_latency",
        "_open_stream",
        "_opened_at",
        "_rate",
        "_raw_since",
        "_reported",
        "_seams",
        "_spec",
        "_taken",
        "interruptions",
        "raw_samples",
        "restarts",
    )

    def __init__(
        self,
        open_stream: OpenStream,
        spec: ConversionSpec,
        rate: int,
        latency: int,
        *,
        known: bool = False,
        among: set[RawFallback] | None = None,
        reported: Callable[[], bool] = lambda: False,
    ) -> None:
        """`reported` says whether the log has the engine's fault already, so that each stream need not warn of it."""
        self._open_stream = open_stream
        self._spec = spec
        self._rate = rate
        self._latency = latency
        self._history = RecentAudio()
        if spec.context is not None and len(spec.context):
            before = spec.context[-self._samples(CONTEXT_MS) :]
            self._history = RecentAudio(-len(before))
            self._history.append(before)
        self._seams = Seams(rate)
        self._inner: ConversionStream | None = None
        self._taken = 0  # position up to which it was given audio
        self._given = 0  # position up to which there was output
        self._fed = 0
        self._opened_at = 0
        self._closed = False
        self._raw_since: int | None = None
        self._reported = reported
        self.interruptions = 0
        """How often the converter failed while it worked, or could not be opened at first."""
        self.restarts = 0
        """How often it came back."""
        self.raw_samples = 0
        """Samples of the output that are raw."""
        try:
            self._inner = open_stream(spec)
        except Exception as error:
            if isinstance(error, EngineRefused) and not known:
                raise
            self._interrupted(error)
        self._among = set() if among is None else among
        self._among.add(self)

    @property
    def raw_ms(self) -> float:
        """Milliseconds of the output that are raw."""
        return 1_000 * self.raw_samples / self._rate

    @property
    def converting(self) -> bool:
        """Whether the converter works at this moment."""
        return self._inner is not None

    async def convert(self, audio: Samples) -> Samples:
        """See `ConversionStream`. Raises `EngineError` (`stream_closed`) after `close()` or `finish()`."""
        self._check()
        self._history.append(audio)
        self._fed += len(audio)
        if self._inner is None and self._fed - self._opened_at >= self._samples(RETRY_MS):
            self._open_again()
        return await self._next(finish=False)

    async def finish(self) -> Samples:
        """See `ConversionStream`."""
        self._check()
        rest = await self._next(finish=True)
        if self._raw_since is not None:
            self._warn(
                "The end of an utterance was not converted; %d ms of it are the speaker's own voice", self.raw_ms
            )
        self.close()
        return rest

    def retry(self) -> None:
        """The converter is back: where the stream failed, the next audio opens it again, without a wait."""
        if self._inner is None:
            self._opened_at = self._fed - self._samples(RETRY_MS)

    def close(self) -> None:
        self._closed = True
        self._among.discard(self)
        inner, self._inner = self._inner, None
        if inner is not None:
            inner.close()
        self._history = RecentAudio(self._given)

    async def _next(self, *, finish: bool) -> Samples:
        """Give the inner stream what it was not given yet; what is ready now, and everything at the end."""
        inner, parts = self._inner, [np.zeros(0, np.float32)]
        if inner is not None:
            audio = self._history.between(self._taken, self._fed)
            self._taken = self._fed
            try:
                if len(audio):
                    parts.append(self._converted(await inner.convert(audio), whole=False))
                if finish:
                    parts.append(self._converted(await inner.finish(), whole=True))
            except Exception as error:  # noqa: BLE001 - the engine boundary
                self._check()
                self._lost()
                self._interrupted(error)
            except BaseException:  # cancelled: what the inner stream has taken is not known
                self._lost()
                raise
        if self._inner is None:
            parts.append(self._raw(self._fed if finish else self._fed - self._latency))
        self._history.forget(self._given - self._samples(CONTEXT_MS))
        return np.concatenate(parts)

    def _converted(self, audio: Samples, *, whole: bool) -> Samples:
        self._check()
        due = self._fed - self._given
        held = due - len(audio)
        if len(audio) > due or (whole and held) or held > self._latency + self._samples(MAX_HELD_MS):
            raise EngineError(
                f"The voice converter gave {len(audio)} samples where {due} were due, of which it may hold back {self._latency}.",
                code="invalid_conversion",
            )
        if not np.isfinite(audio).all():
            raise EngineError("The voice converter gave NaN or infinite samples.", code="invalid_conversion")
        if self._raw_since is not None and len(audio):
            logger.info("Converting again after %d ms", 1_000 * (self._given - self._raw_since) / self._rate)
            self._raw_since = None
            self.restarts += 1
        ready = self._seams.converted(audio, self._history.between(self._given, self._given + len(audio)))
        self._given += len(audio)
        return ready

    def _raw(self, until: int) -> Samples:
        if until <= self._given:
            return np.zeros(0, np.float32)
        before = self._history.sample(self._given - 1)
        ready = self._seams.raw(self._history.between(self._given, until), before)
        self.raw_samples += len(ready)
        self._given = until
        return ready

    def _open_again(self) -> None:
        self._opened_at = self._fed
        context = self._history.between(self._given - self._samples(CONTEXT_MS), self._given)
        try:
            self._inner = self._open_stream(replace(self._spec, context=context))
        except Exception as error:  # noqa: BLE001 - the engine boundary
            logger.debug("The voice converter cannot be opened yet: %s", error)
            return
        self._taken = self._given

    def _lost(self) -> None:
        inner, self._inner = self._inner, None
        if inner is not None:
            inner.close()

    def _interrupted(self, error: Exception) -> None:
        if self._raw_since is None:
            self.interruptions += 1
            self._raw_since = self._given
            self._warn("The speaker's own voice is given instead of a converted one: %s", error)

    def _warn(self, message: str, *what: object) -> None:
        logger.log(logging.DEBUG if self._reported() else logging.WARNING, message, *what)

    def _samples(self, milliseconds: float) -> int:
        return round(milliseconds * self._rate / 1_000)

    def _check(self) -> None:
        if self._closed:
            raise EngineError("This conversion is over.", code="stream_closed")


def latency_samples(converter: VoiceConverter) -> int:
    """What a stream of this converter holds back, in samples."""
    return round(converter.latency_ms * converter.info.sample_rate / 1_000)


def with_fallback(converter: VoiceConverter, spec: ConversionSpec, *, known: bool = False) -> RawFallback:
    """A stream of the converter that never fails; as it is where the converter's own streams are such. Raises `EngineRefused`, unless the
    voice is `known`."""
    opened: list[ConversionStream] = []
    try:
        opened.append(converter.open_stream(spec))
    except Exception as error:
        if isinstance(error, EngineRefused) and not known:
            raise
        logger.debug("The voice converter cannot be opened: %s", error)
    if opened and isinstance(opened[0], RawFallback):
        return opened[0]

    def open_stream(asked: ConversionSpec) -> ConversionStream:
        return opened.pop() if opened else converter.open_stream(asked)

    return RawFallback(open_stream, spec, converter.info.sample_rate, latency_samples(converter), known=known)
