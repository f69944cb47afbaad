"""Speech from espeak-ng: works straight after installation, in a hundred languages, the first audio within a millisecond.

Laws:
- A text is spoken in pieces of at most `MAX_PIECE_CHARS`; the next piece is asked for when the last one's audio has been taken.
  So what is handed over is bounded by one piece, and no session holds the library for longer than a few ms.
- Words are the text's own (split at white space; single characters in Chinese and Japanese), in order, and together they cover it.
- The event loop never waits: the library runs on a thread of the engine's `ModelWorker`, sessions in turns, one piece each.

Voices: see `espeak_voices`. Speed 1.0 is 170 words a minute, clamped to 80..450, which is what espeak-ng can do.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing
from functools import partial
from itertools import pairwise
from typing import Final

import numpy as np

from parley.engines.model_worker import ModelWorker
from parley.engines.options import OptionReader
from parley.engines.ports import (
    EngineError,
    EngineInfo,
    EngineRefused,
    EngineUnavailable,
    SpeechChunk,
    SpeechRequest,
    VoiceDescription,
    Word,
)
from parley.engines.tts import espeak_voices
from parley.engines.tts.espeak_library import (
    MAX_WPM,
    MIN_WPM,
    REMEDY,
    SAMPLE_RATE,
    EspeakLibrary,
    WordMark,
    load,
)

NATURAL_WPM: Final = 170
MAX_PIECE_CHARS: Final = 300
"""About 20 s of speech (0.9 MB) and 15 ms of synthesis: long clauses stay whole, and no other session waits longer."""

STUCK_S: Final = 10.0
"""A piece takes some ms; one that takes so long has hung."""

_MAX_JOINED: Final = 3
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
        self._worker: ModelWorker | None = None

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
            timings=True,
            normalizes=True,
        )

    @property
    def knows_voices(self) -> bool:
        """Its voices lie on this machine."""
        return True

    @property
    def fault(self) -> EngineError | None:
        """Why nothing can be spoken at this moment; None while something can."""
        return self._worker.fault if self._worker else None

    async def open(self) -> None:
        catalogue = espeak_voices.catalogue()
        if not catalogue.languages:
            raise EngineUnavailable("espeak-ng's data files are not installed.", remedy=REMEDY)
        if self._default_voice and self.resolve_voice("") is None:
            raise EngineUnavailable(
                f"espeak-ng has no voice {self._default_voice!r}.",
                code="unknown_voice",
                remedy="List the voices with: parley engines --json",
            )
        self._library = await asyncio.to_thread(load)
        self._worker = ModelWorker("espeak-ng", title="Speech synthesis", code_prefix="synthesizer", limit_s=STUCK_S)
        try:
            async for _ in self.speak(SpeechRequest("ready", self._default_voice)):
                pass
        except EngineError as error:
            await self.close()
            raise EngineUnavailable.of(error) from error

    async def close(self) -> None:
        worker, self._worker, self._library = self._worker, None, None
        if worker is not None:
            await worker.close()

    def describe_voice(self, voice: str) -> VoiceDescription:
        return espeak_voices.catalogue().describe(voice)

    def resolve_voice(self, voice: str, language: str = "") -> str | None:
        catalogue = espeak_voices.catalogue()
        return catalogue.resolve(voice, language, self._default_voice)

    def voice_in(self, voice: str, language: str) -> str | None:
        return espeak_voices.catalogue().voice_in(voice, language, self._default_voice)

    async def speak(self, request: SpeechRequest) -> AsyncIterator[SpeechChunk]:
        """Stream the text's audio at 22,050 Hz; `words` of each chunk are all words begun so far.

        Raises `EngineRefused` for an unknown voice (`unknown_voice`) or language (`unsupported_language`).
        """
        library, worker = self._library, self._worker
        if library is None or worker is None:
            raise EngineUnavailable("espeak-ng is not open.", code="not_open")
        voice = self._voice_for(request)
        rate = min(MAX_WPM, max(MIN_WPM, round(self._rate_wpm * request.speed)))
        start = 0  # the piece's first sample in the request's audio
        earlier: tuple[Word, ...] = ()
        for piece in _pieces(request.text):
            timing = _WordTiming(piece, start)
            speak = partial(_speak, library, piece, voice, rate)
            async with aclosing(worker.stream(speak, request.share)) as batches:
                async for pcm, marks in batches:
                    audio = np.frombuffer(pcm, dtype="<i2").astype(np.float32) * np.float32(1 / 32768)
                    timing.add(marks, len(audio))
                    yield SpeechChunk(audio, SAMPLE_RATE, earlier + timing.words())
            reported = len(timing.words())
            earlier += timing.all_words()
            start += timing.samples
            if reported < len(
                timing.all_words()
            ):  # unspoken tokens at the very end (a lone dash): shown, no audio of their own
                yield SpeechChunk(np.zeros(0, dtype=np.float32), SAMPLE_RATE, earlier)

    def _voice_for(self, request: SpeechRequest) -> str:
        catalogue = espeak_voices.catalogue()
        asked = request.voice or self._default_voice
        language = request.language
        if not language and not espeak_voices.names_language(catalogue, asked):
            language = espeak_voices.language_of_script(request.text)
        resolved = self.resolve_voice(request.voice, language)
        if resolved is not None:
            return catalogue.identifier(resolved)
        if self.resolve_voice(request.voice) is None:
            raise EngineRefused(
                f"espeak-ng has no voice {request.voice!r}.",
                code="unknown_voice",
                remedy="Use an OpenAI voice name, a language (en-gb), or a language with a variant (de+f2).",
            )
        raise EngineRefused(
            f"espeak-ng does not speak the language {language!r}.",
            code="unsupported_language",
            remedy="List its languages with: parley engines --json",
        )


_Batch = tuple[bytes, list[WordMark]]


def _speak(library: EspeakLibrary, text: str, voice: str, rate_wpm: int, emit: Callable[[_Batch], bool]) -> None:
    """Emit the text's audio: its first buffer at once, the others `_MAX_JOINED` at a time."""
    buffers: list[tuple[bytes, tuple[WordMark, ...]]] = []
    due = 1

    def emit_joined() -> bool:
        nonlocal due
        due = _MAX_JOINED
        batch = b"".join(pcm for pcm, _ in buffers), [mark for _, marks in buffers for mark in marks]
        buffers.clear()
        return emit(batch)

    def on_audio(pcm: bytes, marks: tuple[WordMark, ...]) -> bool:
        buffers.append((pcm, marks))
        return len(buffers) < due or emit_joined()

    library.speak(text, voice, rate_wpm, on_audio)
    if buffers:
        emit_joined()


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
