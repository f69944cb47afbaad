"""One translation model in CTranslate2's format: a sentence in, a sentence out. Synchronous; only this file touches the library.

Laws:
- Two forms: of one pair (Opus-MT: `source.spm` and `target.spm`, or one `*.spm`), and of many languages whose vocabulary has a token
  for each (NLLB: `spa_Latn`; M2M-100: `__es__`).
- Deterministic: beam search, no sampling. A result is bounded by the length of its source, so that one in circles ends.
- Knows no queue. Calls from several threads run in parallel up to `workers`; the GIL is free while it computes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from parley.engines.mt.language_codes import tags_of_tokens
from parley.engines.ports import EngineUnavailable

INSTALL: Final = "Install it: pip install -e '.[ctranslate2]'"
LAYOUT: Final = (
    "The folder holds model.bin, config.json and the vocabulary that CTranslate2's converters write, and the SentencePiece models of the "
    "original: source.spm and target.spm, or one *.model or *.spm (docs/translation.md)."
)
_SPARE_TOKENS: Final = 16
_LONGEST: Final = 3
"""Tokens of a translation for each of its source: more than any pair of languages needs."""

_MAX_INPUT: Final = 512
_END: Final = "</s>"


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """`compute_type` "auto" is int8 on a CPU, float16 on a GPU; `workers` sentences are translated at once, on `threads` cores each."""

    device: str = "auto"
    compute_type: str = "auto"
    threads: int = 2
    workers: int = 1
    beam_size: int = 2


class CTranslateModel:
    """Make it with `load()`; then `translate()`."""

    def __init__(
        self, model: Any, source: Any, target: Any, tokens: frozenset[str], adds_end: bool, beam_size: int
    ) -> None:
        self._model = model
        self._source = source
        self._target = target
        self._known = tokens
        self._adds_end = adds_end
        self._beam_size = beam_size
        self.language_tokens: Mapping[str, str] = MappingProxyType(tags_of_tokens(sorted(tokens)))
        """By tag, of a model of many languages; empty otherwise."""

    @classmethod
    def load(cls, folder: Path, options: ModelOptions) -> CTranslateModel:
        """Load and warm up. Blocks. Raises `EngineUnavailable`: `missing_package`, `missing_weights`, `load_failed`."""
        try:
            import ctranslate2
            import sentencepiece
        except ImportError as error:
            raise EngineUnavailable(
                f"{error.name} cannot be imported: {error}.", INSTALL, code="missing_package"
            ) from error
        source, target = _sentence_pieces(folder)
        device = options.device
        if device == "auto":
            device = "cuda" if ctranslate2.get_cuda_device_count() else "cpu"
        compute = options.compute_type
        if compute == "auto":
            compute = "int8" if device == "cpu" else "float16"
        try:
            tokens = _vocabulary(folder)
            config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
            loaded = ctranslate2.Translator(
                str(folder),
                device=device,
                compute_type=compute,
                inter_threads=options.workers,
                intra_threads=options.threads,
            )
            model = cls(
                loaded,
                sentencepiece.SentencePieceProcessor(model_file=str(source)),
                sentencepiece.SentencePieceProcessor(model_file=str(target)),
                tokens,
                not config.get("add_source_eos", False) and _END in tokens,
                options.beam_size,
            )
            first = next(iter(model.language_tokens), "")
            model.translate("1", first, first)
        except (OSError, ValueError, RuntimeError, KeyError, AttributeError) as error:
            raise EngineUnavailable(
                f"The CTranslate2 model in {folder} cannot be loaded: {error}.",
                f"Correct `device` or `compute_type`, or convert the model again. {LAYOUT}",
                code="load_failed",
            ) from error
        return model

    def translate(self, text: str, source: str, target: str) -> str:
        """The translation of one sentence; `source` and `target` are tags of `language_tokens`, ignored where it is empty."""
        pieces: list[str] = self._source.encode(text, out_type=str)
        tokens = pieces + ([_END] if self._adds_end else [])
        prefix = None
        if self.language_tokens:
            tokens = [self.language_tokens[source], *tokens]
            prefix = [[self.language_tokens[target]]]
        results = self._model.translate_batch(
            [tokens],
            target_prefix=prefix,
            beam_size=self._beam_size,
            max_decoding_length=_LONGEST * len(tokens) + _SPARE_TOKENS,
            max_input_length=_MAX_INPUT,
            disable_unk=True,
        )
        made = [
            token for token in results[0].hypotheses[0] if token not in self.language_tokens.values() and token != _END
        ]
        text_made: str = self._target.decode(made)
        return text_made.strip()


def _sentence_pieces(folder: Path) -> tuple[Path, Path]:
    """The SentencePiece models of both sides; one serves both where there is only one."""
    if not (folder / "model.bin").is_file():
        raise EngineUnavailable(f"{folder} has no model.bin.", LAYOUT, code="missing_weights")
    source, target = folder / "source.spm", folder / "target.spm"
    if source.is_file() and target.is_file():
        return source, target
    found = sorted(path for pattern in ("*.spm", "*.model") for path in folder.glob(pattern))
    if len(found) != 1:
        raise EngineUnavailable(f"{folder} has {len(found)} SentencePiece models.", LAYOUT, code="missing_weights")
    return found[0], found[0]


def _vocabulary(folder: Path) -> frozenset[str]:
    """All tokens of the source side."""
    for name in ("shared_vocabulary", "source_vocabulary"):
        if (path := folder / f"{name}.json").is_file():
            return frozenset(map(str, json.loads(path.read_text(encoding="utf-8"))))
        if (path := folder / f"{name}.txt").is_file():
            return frozenset(path.read_text(encoding="utf-8").split("\n"))
    raise FileNotFoundError("it has no shared_vocabulary.json and no source_vocabulary.json")
