"""The espeak-ng library of the `espeakng_loader` wheel, through ctypes: one utterance at a time for the whole process.

Laws:
- The library keeps its voice and its synthesiser in C globals and crashes when two threads enter it, so `LOCK` is held around
  voice selection and synthesis; other users of espeak-ng in this process (a phonemizer) must hold it too.
- Nothing waits for a consumer while the lock is held, so a slow listener costs others nothing; the caller bounds the length of the text
  instead.
- Loaded once, never unloaded: several engines share it, and the library cannot be initialised twice safely.

Does not know: voices' names, clauses, threads, event loops.

Source: `speak_lib.h` of espeak-ng 1.52 (event types, parameters, the callback's contract).
"""

from __future__ import annotations

import ctypes
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from parley.engines.ports import EngineRefused, EngineUnavailable

LOCK: Final = threading.Lock()
"""Held around every use of the library in this process."""

SAMPLE_RATE: Final = 22_050
MIN_WPM: Final = 80
MAX_WPM: Final = 450
"""The rates espeak-ng can do by itself (without the sonic stretcher)."""

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

_MARKS: Final = dict(zip(".,;:!?。，、；：！？؟،؛।…—", ".,;:!?.,,;:!??,;..,", strict=True))
_END_MARK: Final = re.compile(f"([{re.escape(''.join(_MARKS))}])[^\\w\\s]*(?:$|\\s+\\S?$|(?<=[。，、；：！？])\\S?$)")
"""The mark at the end of what the library has read, which is up to one character more than the clause."""

_TITLE: Final = re.compile(r"\b(?:Mrs?|Ms|Dr|Prof|St|Mt)\.\s+\S?$")

_IPA: Final = 0x02
_TIED: Final = 0x80
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


@dataclass(slots=True)
class _Utterance:
    """The text that is being spoken: where its audio goes, and what its callback raised."""

    on_audio: Callable[[bytes, tuple[WordMark, ...]], bool]
    stopped: bool = False
    error: Exception | None = None


class EspeakLibrary:
    """The loaded library. Get it with `load()`; then call `speak()` on any thread but the event loop's."""

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
        self._current: _Utterance | None = None
        self._voice = ""
        self._callback = _SynthCallback(self._on_synthesised)  # C keeps only a pointer: this reference keeps it alive
        self._lib.espeak_SetSynthCallback(self._callback)

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
        lib.espeak_TextToPhonemes.argtypes = [ctypes.POINTER(ctypes.c_char_p), ctypes.c_int, ctypes.c_int]
        lib.espeak_TextToPhonemes.restype = ctypes.c_char_p

    def phonemes(self, text: str, voice: str, tie: str = "") -> list[tuple[str, str]]:
        """The text's clauses as (phonemes in IPA, the mark that ends it, "" for none). Blocks for about a millisecond.

        Words have spaces between them; what is written without a sound has no phonemes. `tie` joins the letters of one phoneme. A mark is
        one of `.,;:!?`, which stand for those of other scripts too. Raises `EngineRefused` (`unknown_voice`).
        """
        encoded = text.replace("\0", " ").encode("utf-8", "replace")
        rest = ctypes.c_char_p(encoded)
        mode = _IPA | (_TIED | ord(tie) << 8 if tie else 0)
        clauses, read = [], 0
        with LOCK:
            self._select(voice)
            while (
                rest.value is not None
            ):  # the library reads one clause at a time, and clears the pointer after the last
                spoken = self._lib.espeak_TextToPhonemes(ctypes.byref(rest), _CHARS_UTF8, mode) or b""
                end = len(encoded) - len(rest.value or b"")
                clause = encoded[read:end].decode("utf-8", "ignore")
                read = max(read, end)
                mark = None if _TITLE.search(clause) else _END_MARK.search(clause)  # "Mr." is a clause of its own here
                clauses.append((spoken.decode("utf-8", "replace").strip(), _MARKS[mark[1]] if mark else ""))
        return clauses

    def speak(
        self, text: str, voice: str, rate_wpm: int, on_audio: Callable[[bytes, tuple[WordMark, ...]], bool]
    ) -> None:
        """Speak one text. Blocks while another one is spoken, then for some ms.

        `on_audio(pcm16, marks)` gets 16-bit little-endian mono bytes on this thread and must return at once; False stops the synthesis.
        Raises `EngineRefused` (`unknown_voice`, `server_error`), and what `on_audio` raised.
        """
        utterance = _Utterance(on_audio)
        with LOCK:
            self._select(voice)
            self._lib.espeak_SetParameter(_PARAMETER_RATE, rate_wpm, 0)
            encoded = text.replace("\0", " ").encode("utf-8", "replace")
            self._current = utterance
            try:
                answer = self._lib.espeak_Synth(
                    encoded, len(encoded) + 1, 0, _POSITION_CHARACTER, 0, _CHARS_UTF8, None, None
                )
            finally:
                self._current = None
        if utterance.error is not None:
            raise utterance.error
        if answer != 0 and not utterance.stopped:
            raise EngineRefused(f"espeak-ng could not speak this text (answer {answer}).", code="server_error")

    def _select(self, voice: str) -> None:
        if self._voice == voice:
            return
        self._voice = ""
        if self._lib.espeak_SetVoiceByName(voice.encode()) != 0:
            raise EngineRefused(f"espeak-ng has no voice {voice!r}.", code="unknown_voice")
        self._voice = voice

    def _on_synthesised(self, samples: int | None, count: int, events: ctypes._Pointer[_Event]) -> int:
        """Called by C with each buffer, and with no samples at the end; 1 stops the synthesis."""
        utterance = self._current
        if utterance is None or utterance.stopped:
            return 1
        if not samples or count <= 0:
            return 0
        try:
            utterance.stopped = not utterance.on_audio(ctypes.string_at(samples, count * 2), tuple(_word_marks(events)))
        except Exception as error:  # noqa: BLE001 - an exception cannot cross C: `speak()` raises it
            utterance.error = error
            utterance.stopped = True
        return int(utterance.stopped)


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
