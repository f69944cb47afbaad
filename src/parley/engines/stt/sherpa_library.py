"""One loaded recogniser of sherpa-onnx: audio in, what was heard out. Synchronous; the only file that calls its recognisers.

Laws:
- Every call blocks, and leaves the interpreter to others while it computes. Calls of one model come from one thread at a time.
- What is heard is given as tokens with their times; words and probabilities are made of them here, the same way for every kind.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from parley.audio.types import Samples
from parley.engines.ports import RecognitionSpec, TokenLogprob, Word
from parley.engines.sherpa import library
from parley.engines.stt.language_names import TAGS
from parley.engines.stt.sherpa_models import SAMPLE_RATE

_TOKEN_MS: Final = 80.0
"""A token's length where the model tells only when it begins: the step of most encoders."""

_NAMES: Final = {tag: name for name, tag in reversed(TAGS.items())}
"""The first English name of each language."""

_UNSPACED: Final = ("\u0e00", "\u0eff"), ("\u3040", "\u30ff"), ("\u3400", "\u9fff")
_SPACES: Final = (" ", "▁")


@dataclass(frozen=True, slots=True)
class Decoded:
    """A hypothesis. `tokens` begin at `times_ms`; `logprobs` are theirs, () where the model gives none."""

    text: str = ""
    tokens: tuple[str, ...] = ()
    times_ms: tuple[float, ...] = ()
    lengths_ms: tuple[float, ...] = ()
    logprobs: tuple[float, ...] = ()
    language: str = ""

    @property
    def confidence(self) -> float | None:
        """The geometric mean of the tokens' probabilities."""
        return math.exp(min(0.0, sum(self.logprobs) / len(self.logprobs))) if self.logprobs else None

    def words(self) -> tuple[Word, ...]:
        """The words with their times; () where not every token has one, or the tokens do not make up the text."""
        if not self.tokens or len(self.times_ms) != len(self.tokens):
            return ()
        found: list[Word] = []
        for index, token in enumerate(self.tokens):
            text = token.replace("▁", " ").strip()
            start_ms = self.times_ms[index]
            end_ms = start_ms + (self.lengths_ms[index] if index < len(self.lengths_ms) else _TOKEN_MS)
            if index + 1 < len(self.times_ms):
                end_ms = max(start_ms, min(end_ms, self.times_ms[index + 1]))
            if found and not token.startswith(_SPACES) and not (unspaced(text[:1]) or unspaced(found[-1].text[-1:])):
                last = found.pop()
                found.append(Word(last.text + text, last.start_ms, max(last.end_ms, end_ms)))
            elif text:
                found.append(Word(text, start_ms, end_ms))
        whole = "".join(word.text for word in found)
        return tuple(found) if whole == "".join(self.text.split()) else ()

    def token_logprobs(self) -> tuple[TokenLogprob, ...]:
        """The tokens with their log probabilities: one for the whole text where its tokens are not text by themselves."""
        if not self.text.strip() or not self.logprobs:
            return ()
        tokens = [token.replace("▁", " ") for token in self.tokens]
        if len(tokens) == len(self.logprobs) and "".join("".join(tokens).split()) == "".join(self.text.split()):
            pairs = zip(tokens, self.logprobs, strict=True)
            return tuple(TokenLogprob(token, min(0.0, logprob)) for token, logprob in pairs)
        return (TokenLogprob(self.text.strip(), min(0.0, sum(self.logprobs))),)


def unspaced(text: str) -> bool:
    """Whether a text has characters of a script that is written without spaces: Thai, Lao, kana, Han."""
    return any(low <= character <= high for character in text for low, high in _UNSPACED)


def build(streaming: bool, factory: str, arguments: Mapping[str, Any]) -> Any:
    """Load a recogniser. Blocks for seconds, and ends the process for a model that the library cannot use (see `trial`)."""
    package = library.load()
    recognizers = package.OnlineRecognizer if streaming else package.OfflineRecognizer
    return getattr(recognizers, factory)(**arguments)


def load_once(streaming: bool, factory: str, arguments: Mapping[str, Any], pad_samples: int) -> None:
    """Load a recogniser and run it on two seconds of noise: what `trial` does in a child process."""
    recognizer = build(streaming, factory, arguments)
    sound = np.random.default_rng(0).normal(0, 0.05, 2 * SAMPLE_RATE).astype(np.float32)
    if streaming:
        stream = StreamingModel(recognizer, pad_samples).new_stream()
        StreamingModel(recognizer, pad_samples).advance([(stream, sound, True)])
    else:
        OfflineModel(recognizer, "", "", "").transcribe(sound, RecognitionSpec())


class StreamingModel:
    """A recogniser that keeps its state between pieces of audio."""

    def __init__(self, recognizer: Any, pad_samples: int) -> None:
        self._recognizer = recognizer
        self._silence = np.zeros(pad_samples, np.float32).data
        self.pad_samples = pad_samples

    def new_stream(self, language: str = "", hotwords: Sequence[str] = ()) -> Any:
        """The state of one turn. `hotwords` only where the recogniser was built with a `modeling_unit`."""
        words = "/".join(word.replace("/", " ").strip() for word in hotwords if word.strip())
        stream = self._recognizer.create_stream(words) if words else self._recognizer.create_stream()
        if language:
            stream.set_option("language", language)
        return stream

    def advance(self, pieces: Sequence[tuple[Any, Samples, bool]]) -> list[Decoded]:
        """Feed each stream its next audio, and silence behind it where that is asked for; decode all of them together, step by step.

        Returns what each has heard since it began.
        """
        for stream, audio, pad in pieces:
            if audio.size:
                stream.accept_waveform(SAMPLE_RATE, np.ascontiguousarray(audio).data)
            if pad:
                stream.accept_waveform(SAMPLE_RATE, self._silence)
        streams = [stream for stream, _, _ in pieces]
        while ready := [stream for stream in streams if self._recognizer.is_ready(stream)]:
            self._recognizer.decode_streams(ready)
        return [self._heard(stream) for stream in streams]

    def _heard(self, stream: Any) -> Decoded:
        result = self._recognizer.get_result_all(stream)
        tokens = tuple(result.tokens)
        return Decoded(
            result.text.strip(),
            tokens,
            tuple(1_000 * time for time in result.timestamps),
            (),
            tuple(result.ys_probs) if len(result.ys_probs) == len(tokens) else (),
        )


class OfflineModel:
    """A recogniser of whole utterances. `language` is where a turn's language goes (see `Kind`), `hotwords` how they are given."""

    def __init__(self, recognizer: Any, language: str, hotwords: str, default_language: str) -> None:
        self._recognizer = recognizer
        self._language = language
        self._hotwords = hotwords
        self._default_language = default_language

    def transcribe(self, audio: Samples, spec: RecognitionSpec) -> Decoded:
        stream = self._new_stream(spec)
        stream.accept_waveform(SAMPLE_RATE, np.ascontiguousarray(audio).data)
        self._recognizer.decode_stream(stream)
        result = stream.result
        tokens = tuple(result.tokens)
        return Decoded(
            result.text.strip(),
            tokens,
            tuple(1_000 * time for time in result.timestamps),
            tuple(1_000 * length for length in result.durations),
            tuple(result.ys_log_probs) if len(result.ys_log_probs) == len(tokens) else (),
            result.lang.strip("<|>"),
        )

    def _new_stream(self, spec: RecognitionSpec) -> Any:
        language = spec.language or self._default_language
        if self._language == "config":
            self._configure(language)
        words = [word.strip() for word in spec.keywords if word.strip()]
        if words and self._hotwords == "stream":
            stream = self._recognizer.create_stream("/".join(word.replace("/", " ") for word in words))
        else:
            stream = self._recognizer.create_stream()
        if words and self._hotwords == "option":
            stream.set_option("hotwords", ",".join(word.replace(",", " ") for word in words))
        if language and self._language == "stream":
            stream.set_option("language", language)
        elif language and self._language == "name":
            stream.set_option("language", _NAMES.get(language, language).title())
        elif language and self._language == "canary":
            stream.set_option("src_lang", language)
            stream.set_option("tgt_lang", language)
        return stream

    def _configure(self, language: str) -> None:
        """Whisper's language belongs to the recogniser: it is set before each call, all of which come from one thread."""
        config = self._recognizer.config
        if config.model_config.whisper.language != language:
            config.model_config.whisper.language = language
            self._recognizer.recognizer.set_config(config)
