"""The espeak-ng library of the `espeakng_loader` wheel, through ctypes: one utterance at a time for the whole process.

Laws:
- The library keeps its voice and its synthesiser in C globals and crashes when two threads enter it, so `LOCK` is held around
  voice selection and synthesis; other users of espeak-ng in this process (a phonemizer) must hold it too.
- One owner thread serves utterances; sessions take turns (`FairQueue`), one utterance each. It never waits for a consumer while it
  holds the lock, so a slow listener costs others nothing; the caller bounds the length of the text instead.
- Loaded once, never unloaded: several engines share it, and the library cannot be initialised twice safely.
- Knows nothing of voices' names, clauses or event loops.

Source: `speak_lib.h` of espeak-ng 1.52 (event types, parameters, the callback's contract).
"""

from __future__ import annotations

import ctypes
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from parley.engines.fair_queue import FairQueue
from parley.engines.ports import EngineError, EngineRefused, EngineUnavailable

log = logging.getLogger(__name__)

LOCK: Final = threading.Lock()
"""Held around every use of the library in this process."""

SAMPLE_RATE: Final = 22_050
MIN_WPM: Final = 80
MAX_WPM: Final = 450
"""The rates espeak-ng can do by itself (without the sonic stretcher)."""

MAX_WAITING: Final = 1024
"""Utterances in the queue, each a few ms of work: beyond this the wait would be seconds, so a refusal is kinder."""

STUCK_S: Final = 10.0
"""An utterance takes some ms; one that takes so long has hung, and since a thread cannot be ended, further requests fail."""

_BUFFER_MS: Final = 200
"""Audio per callback. Synthesis runs about 1000 times faster than speech, so a small buffer buys no latency (200 ms take
0.2 ms to make) and each callback costs a hand-over of the interpreter lock."""

_AUDIO_OUTPUT_SYNCHRONOUS: Final = 2
_INITIALIZE_DONT_EXIT: Final = 0x8000
_CHARS_UTF8: Final = 1
_POSITION_CHARACTER: Final = 1
_EVENT_LIST_TERMINATED: Final = 0
_EVENT_WORD: Final = 1
_PARAMETER_RATE: Final = 1
_MAX_EVENTS: Final = 4096
"""A buffer of 200 ms never carries as many; the list ends with a terminator, and this ends the loop if that were missing."""

REMEDY: Final = "Install it with: pip install --force-reinstall espeakng-loader"


class _EventId(ctypes.Union):
    _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)]


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EventId),
    ]


_SynthCallback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(_Event))


@dataclass(frozen=True, slots=True)
class WordMark:
    """A spoken word begins: characters `position .. position + length` of the text, at `sample` of the utterance's audio."""

    position: int
    length: int
    sample: int


@dataclass(slots=True, eq=False)
class SynthesisJob:
    """One text to be spoken. Both callables run on the owner thread and must return at once.

    `on_audio(pcm16, marks)` gets 16-bit little-endian mono bytes; `on_end(error)` is called exactly once, last.
    Set `cancelled` from any thread: the synthesis stops at its next buffer. Those of one `share` take turns with those of others.
    """

    text: str
    voice: str
    rate_wpm: int
    on_audio: Callable[[bytes, tuple[WordMark, ...]], None]
    on_end: Callable[[Exception | None], None]
    share: object = None
    cancelled: bool = False
    error: Exception | None = field(default=None, repr=False)


class EspeakLibrary:
    """The loaded library and its owner thread. Get it with `load()`; then `submit()` from any thread."""

    def __init__(self, path: str, data_path: str) -> None:
        try:
            self._lib = ctypes.CDLL(path)
        except OSError as error:
            raise EngineUnavailable(
                f"The espeak-ng library at {path} cannot be loaded: {error}.", remedy=REMEDY
            ) from error
        self._declare()
        rate = self._lib.espeak_Initialize(
            _AUDIO_OUTPUT_SYNCHRONOUS, _BUFFER_MS, data_path.encode(), _INITIALIZE_DONT_EXIT
        )
        if rate != SAMPLE_RATE:
            raise EngineUnavailable(
                f"espeak-ng could not start with the data at {data_path} (answer {rate}).", remedy=REMEDY
            )
        self._current: SynthesisJob | None = None
        self._voice = ""
        self._callback = _SynthCallback(self._on_synthesised)  # C keeps only a pointer: this reference keeps it alive
        self._lib.espeak_SetSynthCallback(self._callback)
        self._queue: FairQueue[SynthesisJob] = FairQueue()
        self._changed = threading.Condition()
        """Held around every use of the queue; notified when something comes."""
        self._began_s: float | None = None
        threading.Thread(target=self._serve, name="espeak-ng", daemon=True).start()

    def submit(self, utterance: SynthesisJob) -> None:
        """Queue an utterance. Raises `EngineRefused` (`overloaded`) when too many wait, and `fault` while there is one."""
        if (fault := self.fault) is not None:
            raise fault
        with self._changed:
            if len(self._queue) >= MAX_WAITING:
                raise EngineRefused(
                    f"{MAX_WAITING} clauses are already waiting for espeak-ng.",
                    code="overloaded",
                    remedy="Try again later.",
                )
            self._queue.put(utterance, utterance.share)
            self._changed.notify()

    @property
    def fault(self) -> EngineError | None:
        """Why nothing can be spoken at this moment; None while something can."""
        began = self._began_s
        if began is None or time.monotonic() - began < STUCK_S:
            return None
        return EngineError(
            f"Speech synthesis is down: espeak-ng has not returned from one clause for more than {STUCK_S:g} s.",
            code="synthesizer_stuck",
            remedy="Restart the server.",
        )

    def _declare(self) -> None:
        lib = self._lib
        lib.espeak_Initialize.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_int]
        lib.espeak_SetSynthCallback.argtypes = [_SynthCallback]
        lib.espeak_SetVoiceByName.argtypes = [ctypes.c_char_p]
        lib.espeak_SetParameter.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int]
        lib.espeak_Synth.argtypes = [
            ctypes.c_char_p,
            ctypes.c_size_t,
            ctypes.c_uint,
            ctypes.c_int,
            ctypes.c_uint,
            ctypes.c_uint,
            ctypes.c_void_p,
            ctypes.c_void_p,
        ]

    def _serve(self) -> None:
        while True:
            with self._changed:
                while (utterance := self._queue.take()) is None:
                    self._changed.wait()
            if not utterance.cancelled:
                with LOCK:
                    self._began_s = time.monotonic()
                    try:
                        self._synthesise(utterance)
                    except Exception as error:  # noqa: BLE001 - one text's fault must not leave all sessions without a voice
                        utterance.error = error
                    finally:
                        self._began_s = None
            try:
                utterance.on_end(utterance.error)
            except Exception:
                log.exception("reporting the end of an utterance failed")

    def _synthesise(self, utterance: SynthesisJob) -> None:
        if self._voice != utterance.voice:
            if self._lib.espeak_SetVoiceByName(utterance.voice.encode()) != 0:
                self._voice = ""
                utterance.error = EngineRefused(f"espeak-ng has no voice {utterance.voice!r}.", code="voice_not_found")
                return
            self._voice = utterance.voice
        self._lib.espeak_SetParameter(_PARAMETER_RATE, utterance.rate_wpm, 0)
        encoded = utterance.text.replace("\0", " ").encode("utf-8", "replace")
        self._current = utterance
        try:
            answer = self._lib.espeak_Synth(
                encoded, len(encoded) + 1, 0, _POSITION_CHARACTER, 0, _CHARS_UTF8, None, None
            )
        finally:
            self._current = None
        if answer != 0 and not utterance.cancelled and utterance.error is None:
            utterance.error = EngineRefused(
                f"espeak-ng could not speak this text (answer {answer}).", code="server_error"
            )

    def _on_synthesised(self, samples: int | None, count: int, events: ctypes._Pointer[_Event]) -> int:
        """Called by C with each buffer, and with no samples at the end; 1 stops the synthesis."""
        utterance = self._current
        if utterance is None or utterance.cancelled:
            return 1
        if not samples or count <= 0:
            return 0
        try:
            utterance.on_audio(ctypes.string_at(samples, count * 2), tuple(_word_marks(events)))
        except Exception as error:  # noqa: BLE001 - the boundary to C: it cannot cross, so it travels in the utterance
            utterance.error = error
            return 1
        return 0


def _word_marks(events: ctypes._Pointer[_Event]) -> list[WordMark]:
    marks = []
    for i in range(_MAX_EVENTS):
        event = events[i]
        if event.type == _EVENT_LIST_TERMINATED:
            break
        if event.type == _EVENT_WORD:
            marks.append(WordMark(event.text_position - 1, event.length, event.sample))  # positions count from 1
    return marks


_loading: Final = threading.Lock()
_loaded: EspeakLibrary | None = None


def load() -> EspeakLibrary:
    """The process's library, loaded at the first call (a few ms). Raises `EngineUnavailable` with its remedy."""
    global _loaded
    with _loading:
        if _loaded is None:
            try:
                import espeakng_loader
            except ImportError:
                raise EngineUnavailable("The package espeakng-loader is not installed.", remedy=REMEDY) from None
            _loaded = EspeakLibrary(espeakng_loader.get_library_path(), espeakng_loader.get_data_path())
        return _loaded
