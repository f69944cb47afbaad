"""Speech from espeak-ng: works straight after installation, in a hundred languages, the first audio within a millisecond.

Laws:
- A text is spoken in pieces of at most `MAX_PIECE_CHARS`; the next piece is asked for when the last one's audio has been taken.
  So what is handed over is bounded by one piece, and no session holds the library for longer than a few ms.
- Words are the text's own (split at white space; single characters in Chinese and Japanese), in order, and together they cover it.
- The event loop never waits: a worker thread hands audio over and wakes the loop at most once per batch.

Voices: see `espeak_voices`. Speed 1.0 is 170 words a minute, clamped to 80..450, which is what espeak-ng can do.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections import deque
from collections.abc import AsyncIterator, Mapping
from itertools import pairwise
from typing import Final

import numpy as np

from parley.engines.options import OptionReader
from parley.engines.ports import (
    EngineError,
    EngineInfo,
    EngineRefused,
    EngineUnavailable,
    SpeechChunk,
    SpeechRequest,
    Word,
)
from parley.engines.tts import espeak_library, espeak_voices
from parley.engines.tts.espeak_library import (
    MAX_WPM,
    MIN_WPM,
    REMEDY,
    SAMPLE_RATE,
    EspeakLibrary,
    SynthesisJob,
    WordMark,
    load,
)

NATURAL_WPM: Final = 170
MAX_PIECE_CHARS: Final = 300
"""About 20 s of speech (0.9 MB) and 15 ms of synthesis: long clauses stay whole, and no other session waits longer."""

_MAX_BATCH_BUFFERS: Final = 3
"""Buffers (200 ms each) joined into one chunk: fewer wake-ups and messages, and still short enough to be paced."""

_PIECE_ENDS: Final = re.compile(r"[.!?;:,。！？；，、।؟…](?:\s+|$)|(?<=[。！？；，、])|\s+")
_CJK: Final = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_CLOSERS: Final = "、。，．！？；：」』）】》〉”’"
_TOKENS: Final = re.compile(rf"[{_CJK}][{_CLOSERS}]*|[^\s{_CJK}]+")


def create(model: str, options: Mapping[str, object]) -> EspeakSynthesizer:
    """`espeak[:VOICE]`; options `voice` (the default voice) and `rate_wpm` (words a minute at speed 1.0)."""
    reader = OptionReader("tts espeak", options)
    voice = reader.text("voice", model)
    rate = reader.number("rate_wpm", NATURAL_WPM, MIN_WPM, MAX_WPM)
    reader.close()
    return EspeakSynthesizer(voice, round(rate))


class EspeakSynthesizer:
    """espeak-ng as a `SpeechSynthesizer`. Any number of requests may run at once; they take turns clause by clause."""

    def __init__(self, voice: str = "", rate_wpm: int = NATURAL_WPM) -> None:
        self._default_voice = voice
        self._rate_wpm = rate_wpm
        self._library: EspeakLibrary | None = None

    @property
    def info(self) -> EngineInfo:
        catalogue = espeak_voices.catalogue()
        return EngineInfo(
            stage="tts",
            name="espeak",
            summary=(
                "espeak-ng: small, instant, robotic; about 100 languages. Voices are LANGUAGE or LANGUAGE+VARIANT "
                f"({len(catalogue.variants)} variants: f1..f5, m1..m8, ...)."
            ),
            needs=("espeakng-loader",),
            sample_rate=SAMPLE_RATE,
            languages=tuple(sorted({name.partition("-")[0] for name in catalogue.names})),
            voices=catalogue.names,
            licence="GPL-3.0-or-later (a library loaded at run time)",
        )

    @property
    def fault(self) -> EngineError | None:
        """Why nothing can be spoken at this moment; None while something can."""
        return self._library.fault if self._library else None

    async def open(self) -> None:
        catalogue = espeak_voices.catalogue()
        if not catalogue.languages:
            raise EngineUnavailable("espeak-ng's data files are not installed.", remedy=REMEDY)
        if self._default_voice and self.resolve_voice("") is None:
            raise EngineUnavailable(
                f"espeak-ng has no voice {self._default_voice!r}.",
                code="voice_not_found",
                remedy="List the voices with: parley engines --json",
            )
        self._library = await asyncio.to_thread(load)
        async for _ in self.speak(SpeechRequest("ready", self._default_voice)):
            pass

    async def close(self) -> None:
        self._library = None

    def resolve_voice(self, voice: str, language: str = "") -> str | None:
        catalogue = espeak_voices.catalogue()
        return catalogue.resolve(voice, language, self._default_voice)

    def voice_in(self, voice: str, language: str) -> str | None:
        return espeak_voices.catalogue().voice_in(voice, language, self._default_voice)

    async def speak(self, request: SpeechRequest) -> AsyncIterator[SpeechChunk]:
        """Stream the text's audio at 22,050 Hz; `words` of each chunk are all words begun so far.

        Raises `EngineRefused` for an unknown voice (`voice_not_found`) or language (`unsupported_language`).
        """
        library = self._library
        if library is None:
            raise EngineUnavailable("espeak-ng is not open.", code="not_open")
        voice = self._voice_for(request)
        rate = min(MAX_WPM, max(MIN_WPM, round(self._rate_wpm * request.speed)))
        start = 0  # the piece's first sample in the request's audio
        earlier: tuple[Word, ...] = ()
        for piece in _pieces(request.text):
            handover = _Handover()
            utterance = SynthesisJob(piece, voice, rate, handover.put, handover.end, request.share)
            library.submit(utterance)
            timing = _WordTiming(piece, start)
            try:
                while (batch := await handover.take(library)) is not None:
                    audio = np.frombuffer(batch[0], dtype="<i2").astype(np.float32) * np.float32(1 / 32768)
                    timing.add(batch[1], len(audio))
                    yield SpeechChunk(audio, SAMPLE_RATE, earlier + timing.words())
            finally:
                utterance.cancelled = True
            reported = len(timing.words())
            earlier += timing.all_words()
            start += timing.samples
            if reported < len(
                timing.all_words()
            ):  # unspoken tokens at the very end (a lone dash): shown, no audio of their own
                yield SpeechChunk(np.zeros(0, dtype=np.float32), SAMPLE_RATE, earlier)

    def _voice_for(self, request: SpeechRequest) -> str:
        catalogue = espeak_voices.catalogue()
        wished = request.voice or self._default_voice
        language = request.language
        if not language and not espeak_voices.names_language(catalogue, wished):
            language = espeak_voices.language_of_script(request.text)
        resolved = self.resolve_voice(request.voice, language)
        if resolved is not None:
            return catalogue.identifier(resolved)
        if self.resolve_voice(request.voice) is None:
            raise EngineRefused(
                f"espeak-ng has no voice {request.voice!r}.",
                code="voice_not_found",
                remedy="Use an OpenAI voice name, a language (en-gb), or a language with a variant (de+f2).",
            )
        raise EngineRefused(f"espeak-ng does not speak the language {language!r}.", code="unsupported_language")


class _Handover:
    """Buffers from the worker thread to the event loop; bounded by the length of the piece that is spoken."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._ready = asyncio.Event()
        self._buffers: deque[tuple[bytes, tuple[WordMark, ...]]] = deque()
        self._ended = False
        self._error: Exception | None = None
        self._first = True

    def put(self, pcm: bytes, marks: tuple[WordMark, ...]) -> None:
        """Worker thread: one more buffer. Wakes the loop for the first one only; the rest are there soon, in one batch."""
        self._buffers.append((pcm, marks))
        if self._first or len(self._buffers) == _MAX_BATCH_BUFFERS:
            self._first = False
            self._wake()

    def end(self, error: Exception | None) -> None:
        """Worker thread: nothing more comes."""
        self._error = error
        self._ended = True
        self._wake()

    def _wake(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._ready.set)
        except RuntimeError:  # the loop is closed
            self._buffers.clear()

    async def take(self, library: EspeakLibrary) -> tuple[bytes, list[WordMark]] | None:
        """The next audio and its word marks, None at the end. Raises what the worker met, and the library's fault while it has one."""
        while True:
            ended = self._ended  # read before the buffers: what was put before the end is then seen
            if self._buffers:
                taken = [self._buffers.popleft() for _ in range(min(len(self._buffers), _MAX_BATCH_BUFFERS))]
                return b"".join(pcm for pcm, _ in taken), [mark for _, marks in taken for mark in marks]
            if ended:
                if self._error is not None:
                    raise self._error
                return None
            self._ready.clear()
            if self._buffers or self._ended:  # the worker may have come between; its wake-up then still stands
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(espeak_library.STUCK_S):
                    await self._ready.wait()
            if not self._ready.is_set() and (fault := library.fault) is not None:
                raise fault


class _WordTiming:
    """Turns the library's word marks into the times of a piece's own words.

    The library speaks some words as one ("in the") and marks only the first: such a run shares its time by length.
    """

    def __init__(self, text: str, start_sample: int) -> None:
        self._tokens = [(match.group(), match.end()) for match in _TOKENS.finditer(text)]
        self._start = start_sample
        self._marked: list[tuple[int, int]] = []  # (token, first sample), both growing
        self.samples = 0

    def add(self, marks: list[WordMark], samples: int) -> None:
        """Take the next audio and the marks that came with it."""
        self.samples += samples
        for mark in marks:
            token = self._marked[-1][0] if self._marked else 0
            while token < len(self._tokens) - 1 and self._tokens[token][1] <= mark.position:
                token += 1
            if not self._marked or token > self._marked[-1][0]:  # further marks inside one word tell nothing new
                self._marked.append((token, mark.sample))

    def words(self) -> tuple[Word, ...]:
        """The words begun so far; the last one's end is the end of the audio so far."""
        return self._timed(self._marked[-1][0] + 1 if self._marked else 0)

    def all_words(self) -> tuple[Word, ...]:
        """Every word, once all audio has been taken."""
        return self._timed(len(self._tokens))

    def _timed(self, count: int) -> tuple[Word, ...]:
        words: list[Word] = []
        runs = [*self._marked, (count, self.samples)] if self._marked else [(0, 0), (count, self.samples)]
        if runs[0][0] > 0:
            runs[0] = (0, runs[0][1])  # nothing marked before it: it belongs to the first run
        for (first, begin), (after, end) in pairwise(runs):
            texts = [token for token, _ in self._tokens[first:after]]
            if not texts:
                continue
            weights = [sum(character.isalnum() for character in text) for text in texts]
            if not any(weights):
                weights[:1] = [1]
            position = float(begin)
            for text, weight in zip(texts, weights, strict=True):
                following = position + (max(begin, end) - begin) * weight / sum(weights)
                words.append(Word(text, self._ms(position), self._ms(following)))
                position = following
        return tuple(words)

    def _ms(self, sample: float) -> float:
        return (self._start + sample) * 1000 / SAMPLE_RATE


def _pieces(text: str) -> list[str]:
    """The text in pieces of at most `MAX_PIECE_CHARS`, cut after punctuation, else at white space, else anywhere."""
    pieces = []
    rest = text.strip()
    while len(rest) > MAX_PIECE_CHARS:
        window = rest[:MAX_PIECE_CHARS]
        cuts = [match.end() for match in _PIECE_ENDS.finditer(window)]
        stops = [
            cut for cut in cuts if window[:cut].rstrip()[-1:] in ".!?;:,。！？；，、।؟…" and cut >= MAX_PIECE_CHARS // 3
        ]
        cut = stops[-1] if stops else cuts[-1] if cuts and cuts[-1] > 0 else MAX_PIECE_CHARS
        pieces.append(rest[:cut])
        rest = rest[cut:].lstrip()
    return [piece for piece in [*pieces, rest] if piece.strip()]
