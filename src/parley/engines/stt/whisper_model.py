"""One loaded Whisper model: audio and forced tokens in, tokens out. Synchronous; the only file that touches faster-whisper.

Laws:
- Given tokens are kept: the decoder is made to begin with them, so what was promised to a listener is in every later result.
- Deterministic unless a task has a temperature: its words are then sampled, from a seed that differs each time.
- A result that runs in circles is decoded once more with repeated four-grams forbidden.
- The model looks at 30 s, whatever there is of speech. A quick decoding looks at little more than the speech, which takes a third of the
  time on a CPU; a result that no one could have said, as the model then sometimes gives, is replaced by one of the whole window.
- Words are timed by where the decoder's attention lies in the audio (dynamic time warping over the model's alignment heads, in steps of
  20 ms). A silence that the attention gives to a word at a sentence's edge is taken off (see `_without_silence`); nothing is interpolated.
- Knows no streams and no queue. Calls from several threads run in parallel up to `workers`; the GIL is free while it computes.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from parley.audio.types import Samples
from parley.engines.ports import EngineUnavailable, TokenLogprob, Word

MAX_SECONDS = 30
"""The window the model was trained for."""

MAX_TOKENS = 448
"""The decoder's context."""

_TOKENS_PER_SECOND = 20
"""More than any speech needs (English: four; scripts spelt in bytes: fifteen); what exceeds it is running in circles."""

QUICK_SECONDS = 10
"""The least that a quick decoding looks at."""

QUICK_MARGIN_SECONDS = 5
"""What it looks at behind the speech: with less, results more often run in circles."""

_QUICK_WORDS_PER_SECOND = 6
"""More words than anyone says: a quick result that has more is not believed."""

_SPARE_TOKENS = 24
_MAX_NEW_TOKENS = 224
_FRAMES_PER_SECOND = 100
_SAMPLES_PER_FRAME = 160
_COMPRESSION_LIMIT = 2.4
_NO_SPEECH = 0.6
_UNLIKELY = -1.0

_OPENING = "\"'“¿([{-"
_CLOSING = "\"'.。,，!！?？:：”)]}、"
"""Marks that belong to the word behind them, and before them."""

_SENTENCE_ENDS = ".。!！?？"
_LONGEST = 2.0
_LONGEST_MEDIAN_MS = 700.0


@dataclass(frozen=True, slots=True)
class Task:
    """What to decode: at most 30 s of 16 kHz audio. `language` "" is detected, among `languages` where there are any; `kept`
    tokens begin the result. `quick`: a little worse, and sooner. `temperature` above 0 samples, which takes the place of the beams.
    `timed`: with the times of the words."""

    audio: Samples
    language: str = ""
    prompt: str = ""
    kept: tuple[int, ...] = ()
    beam_size: int = 1
    logprobs: bool = False
    languages: tuple[str, ...] = ()
    quick: bool = False
    temperature: float = 0.0
    timed: bool = False


@dataclass(frozen=True, slots=True)
class Decoding:
    """`tokens` begin with the kept ones. `confidence` is the geometric mean of the new tokens' probabilities, `language_confidence` the
    probability of the language among those that it may be; `words` are timed from the start of the audio, where the task asks for them."""

    tokens: tuple[int, ...]
    language: str
    confidence: float | None = None
    logprobs: tuple[TokenLogprob, ...] = ()
    language_confidence: float = 1.0
    words: tuple[Word, ...] = ()


class WhisperModel:
    """Make it with `load()`; then `decode()` and `text()`."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self.multilingual: bool = model.model.is_multilingual
        self.languages: tuple[str, ...] = tuple(model.supported_languages)
        self._tokenizers: dict[str, Any] = {}
        self._quick = False
        """Whether a quick decoding is worth something here: on a CPU, with a library that takes windows of any length."""

    @classmethod
    def load(cls, folder: Path, device: str, compute_type: str, threads: int, workers: int) -> WhisperModel:
        """Load and warm up. Blocks. `compute_type` "auto" is int8 on a CPU, float16 on a GPU. Raises `EngineUnavailable`."""
        try:
            import ctranslate2
            import faster_whisper
        except ImportError as error:
            raise EngineUnavailable(
                f"faster-whisper cannot be imported: {error}.",
                code="missing_package",
                remedy="Install it: pip install faster-whisper",
            ) from error
        if device == "auto":
            device = "cuda" if ctranslate2.get_cuda_device_count() else "cpu"
        if compute_type == "auto":
            compute_type = "int8" if device == "cpu" else "float16"
        try:
            loaded = faster_whisper.WhisperModel(
                str(folder),
                device=device,
                compute_type=compute_type,
                cpu_threads=threads,
                num_workers=workers,
                local_files_only=True,
            )
            model = cls(loaded)
            model.decode(Task(np.zeros(8000, np.float32)))
            model.try_quick()
        except Exception as error:  # the tokenizer's library raises nothing narrower for a damaged file
            raise EngineUnavailable(
                f"The Whisper weights in {folder} cannot be loaded: {error}.",
                code="load_failed",
                remedy="Correct `device` or `compute_type` (int8, float16, default), or delete the folder and download again.",
            ) from error
        return model

    def text(self, tokens: tuple[int, ...]) -> str:
        """The text of tokens, with the space it begins with."""
        tokenizer = self._model.hf_tokenizer
        text: str = tokenizer.decode(list(tokens), skip_special_tokens=True)
        return text

    def decode(self, task: Task) -> Decoding:
        """Transcribe. Blocks for tenths of seconds on a CPU. Raises `RuntimeError` when the library fails."""
        quick = task.quick and self._quick and bool(task.language)
        encoded = self._encode(task.audio, window(task.audio) if quick else MAX_SECONDS)
        language, sure = (task.language, 1.0) if task.language else self._detect(encoded, task.languages)
        tokenizer = self._tokenizer(language)
        new_limit = min(_MAX_NEW_TOKENS, int(task.audio.size / 16000 * _TOKENS_PER_SECOND) + _SPARE_TOKENS)
        prompt = self._prompt(tokenizer, task, new_limit)
        result = self._generate(encoded, prompt, task, new_limit)
        text = self.text(tuple(result.sequences_ids[0]))
        if quick and not sayable(text, task.audio.size / 16_000):
            return self.decode(replace(task, quick=False))
        if _in_circles(text):
            result = self._generate(encoded, prompt, task, new_limit, no_repeat_ngram_size=4)
        # the library returns the forced tokens too, and scores them as certain
        everything = result.sequences_ids[0]
        new = [token for token in everything[len(task.kept) :] if token < tokenizer.eot]
        mean_logprob = float(result.scores[0]) * len(everything) / max(1, len(new))
        if not task.kept and result.no_speech_prob > _NO_SPEECH and mean_logprob < _UNLIKELY:
            return Decoding((), language, language_confidence=sure)
        logprobs = self._logprobs(result.logits[0][len(task.kept) :], new) if task.logprobs else ()
        confidence = math.exp(min(0.0, mean_logprob)) if new else None
        tokens = (*task.kept, *new)
        words = self._words(tokenizer, encoded, tokens, task.audio) if task.timed else ()
        return Decoding(tokens, language, confidence, logprobs, sure, words)

    def try_quick(self) -> None:
        """Find out whether quick decodings are possible and worth something; the first one warms them up."""
        if self._model.model.device != "cpu":
            return
        try:
            self._encode(np.zeros(8000, np.float32), QUICK_SECONDS)
        except (RuntimeError, ValueError):  # a library that only takes whole windows
            return
        self._quick = True

    def _encode(self, audio: Samples, seconds: int) -> Any:
        from faster_whisper.audio import pad_or_trim

        return self._model.encode(pad_or_trim(self._model.feature_extractor(audio), seconds * _FRAMES_PER_SECOND))

    def _words(self, tokenizer: Any, encoded: Any, tokens: tuple[int, ...], audio: Samples) -> tuple[Word, ...]:
        """The words and where they lie in the audio."""
        from faster_whisper.transcribe import merge_punctuations

        if not tokens:
            return ()
        (found,) = self._model.find_alignment(tokenizer, [list(tokens)], encoded, audio.size // _SAMPLES_PER_FRAME)
        merge_punctuations(found, _OPENING, _CLOSING)
        length_ms = audio.size / 16.0
        words = [
            Word(
                one["word"].strip(), min(1e3 * float(one["start"]), length_ms), min(1e3 * float(one["end"]), length_ms)
            )
            for one in found
            if one["word"].strip()
        ]
        return _without_silence(words)

    def _detect(self, encoded: Any, among: tuple[str, ...]) -> tuple[str, float]:
        """The likeliest language and its probability, among those of `among` where it names any."""
        if not self.multilingual:
            return "en", 1.0
        (ranked,) = self._model.model.detect_language(encoded)
        likelihoods: dict[str, float] = {token.strip("<|>"): likelihood for token, likelihood in ranked}
        possible = {language: p for language, p in likelihoods.items() if not among or language in among}
        language = max(possible, key=possible.__getitem__)
        return language, possible[language] / (sum(possible.values()) or 1.0)

    def _tokenizer(self, language: str) -> Any:
        from faster_whisper.tokenizer import Tokenizer

        if language not in self._tokenizers:
            self._tokenizers[language] = Tokenizer(
                self._model.hf_tokenizer, self.multilingual, task="transcribe", language=language
            )
        return self._tokenizers[language]

    def _prompt(self, tokenizer: Any, task: Task, new_limit: int) -> list[int]:
        start = [*tokenizer.sot_sequence, tokenizer.no_timestamps, *task.kept]
        if not task.prompt.strip():
            return start
        # the most recent part of the context is the most useful one
        left = MAX_TOKENS // 2 - len(start) - 1
        context = tokenizer.encode(" " + task.prompt.strip())[-left:] if left > 0 else []
        return [tokenizer.sot_prev, *context, *start]

    def _generate(self, encoded: Any, prompt: list[int], task: Task, new_limit: int, **extra: int) -> Any:
        # the library's limit counts the whole context, of which half is for the result, forced tokens included
        wanted = len(task.kept) + new_limit
        limit = min(MAX_TOKENS, max(2 * wanted, len(prompt) + wanted))
        sampling = {"sampling_topk": 0, "sampling_temperature": task.temperature} if task.temperature else {}
        (result,) = self._model.model.generate(
            encoded,
            [prompt],
            beam_size=1 if task.logprobs or task.temperature else task.beam_size,
            max_length=limit,
            return_scores=True,
            return_no_speech_prob=True,
            return_logits_vocab=task.logprobs,
            suppress_blank=not task.kept,
            **sampling,
            **extra,
        )
        return result

    def _logprobs(self, rows: Sequence[Any], new: list[int]) -> tuple[TokenLogprob, ...]:
        found = []
        for token, row in zip(new, rows, strict=False):
            logits = np.asarray(row, dtype=np.float32).reshape(-1)
            top = float(logits.max())
            normaliser = top + math.log(float(np.exp(logits - top).sum()))
            found.append(TokenLogprob(self.text((token,)), min(0.0, float(logits[token]) - normaliser)))
        return tuple(found)


def window(audio: Samples) -> int:
    """Seconds that a quick decoding looks at."""
    return min(MAX_SECONDS, max(QUICK_SECONDS, math.ceil(audio.size / 16_000) + QUICK_MARGIN_SECONDS))


def sayable(text: str, seconds: float) -> bool:
    """Whether someone can have said this in that time."""
    return not _in_circles(text) and len(text.split()) <= 2 + _QUICK_WORDS_PER_SECOND * seconds


def _without_silence(words: Sequence[Word]) -> tuple[Word, ...]:
    """The words, none of which at a sentence's edge lasts more than `_LONGEST` times as long as words do in this speech: the attention
    gives silence before and behind a sentence to the word beside it."""
    lengths = [word.end_ms - word.start_ms for word in words if word.end_ms > word.start_ms]
    if not lengths:
        return tuple(words)
    longest_ms = _LONGEST * min(float(np.median(lengths)), _LONGEST_MEDIAN_MS)
    trimmed: list[Word] = []
    for number, word in enumerate(words):
        begins = number == 0 or words[number - 1].text[-1] in _SENTENCE_ENDS
        ends = number == len(words) - 1 or word.text[-1] in _SENTENCE_ENDS
        if word.end_ms - word.start_ms > longest_ms and begins != ends:
            word = (
                replace(word, start_ms=word.end_ms - longest_ms)
                if begins
                else replace(word, end_ms=word.start_ms + longest_ms)
            )
        trimmed.append(word)
    return tuple(trimmed)


def _in_circles(text: str) -> bool:
    data = text.encode()
    return len(data) > 40 and len(data) / len(zlib.compress(data)) > _COMPRESSION_LIMIT
