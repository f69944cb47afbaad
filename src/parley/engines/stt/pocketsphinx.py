"""PocketSphinx: English speech recognition that works straight after installation, with nothing to download.

Laws:
- Decoding happens in child processes (see `pocketsphinx_worker`); the event loop only moves bytes.
- Partials come from a first pass as the audio arrives; a pause or the end of the turn is decoded a second time with the
  cepstral mean of the whole segment, which is what makes it accurate.
- English only: another language is refused by name rather than transcribed as nonsense.

Measured (two cores): 0.12 s of CPU for each second of speech and pass; 120 MB per process.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from parley.engines.options import OptionReader
from parley.engines.ports import EngineError, EngineInfo, EngineRefused, EngineUnavailable, Partial, RecognitionSpec
from parley.engines.stt.pocketsphinx_pool import DecoderPool
from parley.engines.stt.pocketsphinx_process import REQUEST_TIMEOUT_S, DecoderProcess
from parley.engines.stt.pocketsphinx_stream import PocketsphinxStream
from parley.engines.stt.turn_audio import SAMPLE_RATE
from parley.engines.stt.turn_stream import new_backlog
from parley.text.language_tags import primary_tag

MAX_STREAMS = 1024
"""Turns open at once; far more than any machine can decode, so reaching it means streams are not being closed."""

MAX_THREADS = 64

_TUNING: Mapping[str, object] = {
    "samprate": SAMPLE_RATE,
    # Half the CPU of the defaults at the same word error rate (0.27-0.33 against 0.33-0.34 on a minute of read speech).
    "maxhmmpf": 3000,
    "fwdflat": False,
}


class PocketsphinxRecognizer:
    """The `SpeechRecognizer` port. Call `open()`, then `open_stream()` for each turn."""

    def __init__(self, threads: int, grammar: Path | None = None, limit_s: float = REQUEST_TIMEOUT_S) -> None:
        """`limit_s`: a decoder that does not answer one request for so long is replaced."""
        self._threads = threads
        self._grammar = grammar
        self._limit_s = limit_s
        self._backlog = new_backlog()
        self._pool: DecoderPool | None = None
        self._streams: set[PocketsphinxStream] = set()

    @property
    def info(self) -> EngineInfo:
        return EngineInfo(
            stage="stt",
            name="pocketsphinx",
            summary="PocketSphinx, English, offline and without downloads; best on short clear questions",
            needs=("pocketsphinx", f"{120 * self._threads} MB memory"),
            sample_rate=SAMPLE_RATE,
            languages=("en",),
            batch=self._threads,
            licence="BSD-2-Clause",
            logprobs=True,
            timings=True,
            deterministic=True,
        )

    @property
    def pids(self) -> tuple[int, ...]:
        """Process ids of the running decoders."""
        return self._pool.pids if self._pool else ()

    @property
    def fault(self) -> EngineError | None:
        """Why nothing can be decoded at this moment; None while something can."""
        return self._pool.fault if self._pool else None

    async def open(self) -> None:
        if self._pool is not None:
            return
        options = dict(_TUNING)
        if self._grammar is not None:
            if not self._grammar.is_file():
                raise self._bad_grammar("it does not exist")
            options["jsgf"] = str(self._grammar)
        pool = DecoderPool([DecoderProcess(options, self._limit_s) for _ in range(self._threads)])
        try:
            await pool.start()
        except EngineUnavailable as error:
            if self._grammar is not None and error.code == "load_failed":
                raise self._bad_grammar("it is not valid JSGF, or has a word that the dictionary lacks") from error
            raise
        self._pool = pool

    def _bad_grammar(self, why: str) -> EngineUnavailable:
        return EngineUnavailable(
            f"The grammar {self._grammar} cannot be used: {why}.",
            code="bad_grammar",
            remedy="Correct the file, or the option `grammar` of the engine pocketsphinx.",
        )

    async def close(self) -> None:
        for stream in tuple(self._streams):
            stream.close()
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.stop()

    def open_stream(self, spec: RecognitionSpec, on_partial: Callable[[Partial], None]) -> PocketsphinxStream:
        """Start a turn. Raises `EngineRefused` for another language than English, `EngineError` when too many are open."""
        if self._pool is None:
            raise EngineError("PocketSphinx is not open.", code="engine_closed")
        asked = (spec.language,) if spec.language else spec.languages
        if asked and "en" not in [primary_tag(language) for language in asked]:
            raise EngineRefused(
                f"PocketSphinx understands English only, not {', '.join(map(repr, asked))}.",
                code="unsupported_language",
                remedy="Choose another recogniser, for example --stt whisper:small.",
            )
        if len(self._streams) >= MAX_STREAMS:
            raise EngineError(f"{MAX_STREAMS} transcriptions are open already.", code="too_many_streams")
        stream = PocketsphinxStream(spec, on_partial, self._pool, self._backlog, self._streams.discard)
        self._streams.add(stream)
        return stream


def create(model: str, options: Mapping[str, object]) -> PocketsphinxRecognizer:
    """Entry point `stt.pocketsphinx`. Options: `threads` (decoder processes), `grammar` (a JSGF file, for command agents)."""
    if model:
        raise ValueError(f"pocketsphinx has one model; leave out {model!r}")
    given = OptionReader("stt pocketsphinx", options)
    threads = int(given.number("threads", min(2, os.cpu_count() or 1), 1, MAX_THREADS))
    grammar = given.text("grammar")
    given.close()
    return PocketsphinxRecognizer(threads, Path(grammar).expanduser() if grammar else None)
