"""One model of the package `onnx-asr`, loaded: audio to a transcript with word times.

Knows nothing of streams. `transcribe()` blocks, and may run on several threads at once.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from parley.engines.onnx_session import session_options
from parley.engines.ports import EngineUnavailable, RecognitionSpec, Samples, TokenLogprob, Transcript, Word
from parley.engines.stt import onnx_asr_weights
from parley.engines.stt.turn_audio import SAMPLE_RATE
from parley.invocation import install

QUANTIZATIONS: Final = ("int8", None)
"""What is looked for where the configuration names none: on a CPU the small graphs are several times faster, and hear nearly as well."""

FRAME_MS: Final = 80.0
"""How long the last token of a word lasts at most: a frame of NeMo's encoders. The library tells when tokens begin."""

_LANGUAGE_TOKEN: Final = re.compile(r"<\|([a-z]{2}|haw|yue)\|>")


@dataclass(frozen=True, slots=True)
class OnnxAsrLoading:
    """How a model is loaded. `quantization` None: the smallest that is there; "" the full one."""

    model: str
    kind: str = ""
    quantization: str | None = None
    device: str = "cpu"
    threads: int = 1


@dataclass(frozen=True, slots=True)
class OnnxAsrModel:
    """`languages` are those that the model's vocabulary names or its name tells, () where neither does; `told` whether it is told the
    language of the audio, and `detects` whether it finds it out where it is not told; `times` whether it times its tokens."""

    languages: tuple[str, ...]
    told: bool
    detects: bool
    times: bool
    _recognizer: Any

    @classmethod
    def load(cls, loading: OnnxAsrLoading) -> OnnxAsrModel:
        """Blocks. Raises `EngineUnavailable`."""
        try:
            from onnx_asr.loader import Manager, create_asr_resolver
            from onnx_asr.models.nemo import NemoConformerAED
            from onnx_asr.models.whisper import WhisperHf, WhisperOrt
        except ImportError as error:
            raise EngineUnavailable(
                f"onnx-asr cannot be imported: {error}.",
                f"Install it: {install('onnx-asr')}",
                code="missing_package",
            ) from error
        found = onnx_asr_weights.locate(loading.model, loading.kind)
        providers = _providers(loading.device)
        try:
            resolver = create_asr_resolver(found.model, found.folder, offline=True)
            files, quantization = _files(resolver, loading)
            manager = Manager(session_options(loading.threads), providers)
            adapter = manager.create_asr(found.model, found.folder, quantization=quantization, offline=True)
            recognizer = adapter.with_timestamps()
            heard = recognizer.recognize(np.zeros(SAMPLE_RATE, np.float32))
        except EngineUnavailable:
            raise
        except FileNotFoundError as error:
            raise onnx_asr_weights.absent(loading.model, _first_line(error)) from error
        except Exception as error:  # whatever a file that is none makes the library or ONNX Runtime raise
            raise EngineUnavailable(
                f"The weights of onnx-asr:{loading.model} cannot be loaded ({type(error).__name__}: {_first_line(error)}).",
                "Fetch them again. Where the folder's config.json lacks `model_type`, give it as the option `type`: nemo-conformer-tdt, "
                "nemo-conformer-aed, whisper...",
                code="invalid_weights",
            ) from error
        whisper, canary = isinstance(adapter.asr, WhisperHf | WhisperOrt), isinstance(adapter.asr, NemoConformerAED)
        languages = onnx_asr_weights.languages_of(loading.model)
        if not languages and (whisper or canary):
            languages = _vocabulary_languages(files["added_tokens" if whisper else "vocab"])
        return cls(languages, whisper or canary, not canary, heard.timestamps is not None, recognizer)

    def transcribe(self, audio: Samples, spec: RecognitionSpec) -> Transcript:
        """16 kHz audio `[n]`; `spec.language` is a primary tag that the model knows, or "", and `spec.languages` those that it may be.

        A model that is told the language and cannot find it out is told English where that may be, else the first.
        """
        language = spec.language
        if not language and not self.detects:
            language = "en" if "en" in spec.languages or not spec.languages else spec.languages[0]
        heard = self._recognizer.recognize(audio, language=language or None)
        words = _words(heard.tokens, heard.timestamps) if self.times else ()
        scores = heard.logprobs if self.times else None
        return Transcript(
            " ".join(heard.text.split()),
            words,
            language,
            math.exp(min(0.0, sum(scores) / len(scores))) if scores else None,
            tuple(map(_scored, heard.tokens, scores)) if scores and spec.logprobs else (),
            1.0 if spec.language else None,
        )


def _files(resolver: Any, loading: OnnxAsrLoading) -> tuple[dict[str, Path], str | None]:
    """The files of the model, and the quantization that they are of."""
    wanted = QUANTIZATIONS if loading.quantization is None else (loading.quantization or None,)
    for quantization in wanted:
        try:
            return resolver.resolve_model(quantization=quantization), quantization
        except FileNotFoundError:
            if quantization == wanted[-1]:
                raise
    raise AssertionError("unreachable")


def _providers(device: str) -> list[str]:
    if device == "cpu":
        return ["CPUExecutionProvider"]
    import onnxruntime

    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        raise EngineUnavailable(
            "ONNX Runtime was built without CUDA.",
            'Install onnxruntime-gpu in place of onnxruntime, or use device = "cpu".',
            code="device_unavailable",
        )
    return ["CUDAExecutionProvider", "CPUExecutionProvider"]


def _vocabulary_languages(vocabulary: Path) -> tuple[str, ...]:
    """The languages that have a token in the model's vocabulary: the keys of a JSON object, or the first word of each line."""
    text = vocabulary.read_text(encoding="utf-8")
    tokens = (
        json.loads(text) if vocabulary.suffix == ".json" else [line.partition(" ")[0] for line in text.splitlines()]
    )
    return tuple(sorted(match[1] for token in tokens if (match := _LANGUAGE_TOKEN.fullmatch(token))))


def _words(tokens: list[str], times_s: list[float]) -> tuple[Word, ...]:
    """The words that tokens make, one for each stretch between spaces."""
    spelt: list[str] = []
    starts: list[float] = []
    lasts: list[float] = []
    fresh = True
    for token, time_s in zip(tokens, times_s, strict=True):
        for index, part in enumerate(token.split(" ")):
            fresh = fresh or index > 0
            if not part:
                continue
            if fresh:
                spelt.append("")
                starts.append(1_000 * time_s)
                lasts.append(1_000 * time_s)
            spelt[-1] += part
            lasts[-1] = 1_000 * time_s
            fresh = False
    ends = [min(last + FRAME_MS, following) for last, following in zip(lasts, [*starts[1:], math.inf], strict=True)]
    return tuple(map(Word, spelt, starts, ends))


def _scored(token: str, logprob: float) -> TokenLogprob:
    return TokenLogprob(token, min(0.0, float(logprob)))


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [""])[0][:200].rstrip(".!")
