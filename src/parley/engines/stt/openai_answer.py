"""Reads the answers of a transcriptions API: one JSON document, or the events of a streamed transcript.

Laws: pure, one object for one answer; what a server leaves out stays empty. A streamed answer without its end is an error, never a
shorter transcript.

Sources: OpenAI's API reference, "Create transcription" (`transcript.text.delta`, `.done`; `json`, `verbose_json`; `languages` of
gpt-transcribe); vLLM streams
`transcription.chunk` documents in the shape of chat completions.
"""

from __future__ import annotations

import json
import math
from typing import Any

from parley.engines.openai_api.errors import StreamError
from parley.engines.openai_api.server_events import ServerEvent
from parley.engines.ports import EngineError, RecognitionSpec, TokenLogprob, Transcript, Word
from parley.engines.stt.language_names import tag_of

MAX_TEXT_CHARS = 20_000
"""Of one request's audio, at most half a minute: far more than anybody says in it."""


NO_SPEECH, UNLIKELY = 0.6, -1.0
"""Whisper's own thresholds: the probability of silence above which, and the mean log probability below which, a segment is not speech."""


class TranscriptReader:
    """One answer. Give `whole()` a document, or `read()` each event until `done`, then take `end()`.

    `who` names the server in messages; `text` is what has come so far.
    """

    def __init__(self, spec: RecognitionSpec, who: str) -> None:
        self._who = who
        self.text = ""
        self.done = False
        self._spec = spec
        self._last: dict[str, Any] = {}
        self._logprobs: list[Any] = []

    def whole(self, document: object) -> Transcript:
        """The transcript in a document. Raises `StreamError` for a failure that it reports, `EngineError` for one without a text."""
        if isinstance(document, dict) and document.get("error"):
            raise StreamError(document)
        if not isinstance(document, dict) or not isinstance(document.get("text"), str):
            raise EngineError(
                f"{self._who} answered with JSON that holds no text.",
                code="server_error",
                remedy="Is it a transcriptions API?",
            )
        self.done = True
        return self._transcript(document["text"], document)

    def read(self, event: ServerEvent) -> None:
        """The next event. Raises `StreamError` for a failure that it reports."""
        if event.data.strip() == "[DONE]":
            self.done = True
            return
        try:
            document: Any = json.loads(event.data)
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict):
            raise StreamError(event.data)
        if document.get("error") or document.get("type") == "error" or event.name == "error":
            raise StreamError(document)
        match document.get("type"):
            case "transcript.text.delta":
                self._logprobs += _listed(document.get("logprobs"))
                self._add(document.get("delta"))
            case "transcript.text.done":
                self._last, self.done = document, True
            case _:
                for choice in _listed(document.get("choices"))[:1]:
                    self._add(_field(_field(choice, "delta"), "content"))

    def end(self) -> Transcript:
        """The streamed transcript. Raises `EngineError` where its end has not come."""
        if not self.done:
            raise EngineError(f"{self._who} ended its stream in the middle.", code="server_error")
        text = self._last.get("text")
        return self._transcript(text if isinstance(text, str) else self.text, {"logprobs": self._logprobs} | self._last)

    def _add(self, text: object) -> None:
        if isinstance(text, str):
            self.text += text
        self._check(max(len(self.text), len(self._logprobs)))

    def _check(self, length: int) -> None:
        if length > MAX_TEXT_CHARS:
            raise EngineError(
                f"{self._who} sent more than {MAX_TEXT_CHARS} characters for half a minute of audio.",
                code="server_error",
            )

    def _transcript(self, text: str, document: dict[str, Any]) -> Transcript:
        spec = self._spec
        self._check(len(text))
        if _is_invented(document):
            return Transcript("")
        scores = [score for score in map(_logprob, _listed(document.get("logprobs"))) if score is not None]
        return Transcript(
            text,
            _words(document),
            spec.language or _language(document),
            _confidence(scores, document),
            tuple(scores) if spec.logprobs else (),
            1.0 if spec.language else _probability(document.get("language_probability")),
        )


def _language(document: dict[str, Any]) -> str:
    """The language of a document, or the first one of its list; "" where it has none."""
    detected = _listed(document.get("languages"))
    return tag_of(document.get("language")) or tag_of(_field(detected[0], "code") if detected else None)


def _is_invented(document: dict[str, Any]) -> bool:
    """Whether each segment was probably silence and its text improbable: Whisper invents words for a cough."""
    scores = [
        (_number(_field(segment, "no_speech_prob")), _number(_field(segment, "avg_logprob")))
        for segment in _listed(document.get("segments"))
    ]
    return bool(scores) and all(
        silent is not None and likely is not None and silent > NO_SPEECH and likely < UNLIKELY
        for silent, likely in scores
    )


def _confidence(scores: list[TokenLogprob], document: dict[str, Any]) -> float | None:
    """The geometric mean of the tokens' probabilities; of the segments' where the answer has those."""
    logprobs = [score.logprob for score in scores]
    weights = [1.0] * len(logprobs)
    if not logprobs:
        for segment in _listed(document.get("segments")):
            mean = _number(_field(segment, "avg_logprob"))
            if mean is not None:
                logprobs.append(mean)
                weights.append(float(len(_listed(_field(segment, "tokens"))) or 1))
    if not logprobs:
        return None
    mean = sum(value * weight for value, weight in zip(logprobs, weights, strict=True)) / sum(weights)
    return math.exp(min(0.0, mean))


def _words(document: dict[str, Any]) -> tuple[Word, ...]:
    """The words with their times, which stand in the document, or in its segments."""
    listed = _listed(document.get("words"))
    if not listed:
        listed = [word for segment in _listed(document.get("segments")) for word in _listed(_field(segment, "words"))]
    words = []
    for word in listed:
        text, start, end = _field(word, "word"), _number(_field(word, "start")), _number(_field(word, "end"))
        if isinstance(text, str) and start is not None and end is not None:
            words.append(Word(text.strip(), 1_000 * start, 1_000 * max(start, end)))
    return tuple(words)


def _logprob(entry: object) -> TokenLogprob | None:
    token, value = _field(entry, "token"), _number(_field(entry, "logprob"))
    return TokenLogprob(token, min(0.0, value)) if isinstance(token, str) and value is not None else None


def _field(value: object, name: str) -> object:
    return value.get(name) if isinstance(value, dict) else None


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _probability(value: object) -> float | None:
    number = _number(value)
    return min(1.0, max(0.0, number)) if number is not None else None
