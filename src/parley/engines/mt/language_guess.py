"""The language of a short text among a few candidates, or "cannot say": `py3langid` behind one function.

Laws:
- A text with fewer than `MIN_WORDS` words or `MIN_LETTERS` letters has no language: "No.", "OK", a name, a number.
- The model is the same for every caller: it is read once in a process (0.8 s, 100 MB of memory), never written, and safe to ask from any
  thread. `load()` blocks; `guess()` takes 0.1 ms and looks at the first `MAX_CHARACTERS` only.
- Deterministic: the same text and candidates give the same answer.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from parley.engines.ports import EngineUnavailable
from parley.text.language_tags import primary_tag

MIN_WORDS: Final = 3
MIN_LETTERS: Final = 10
MIN_UNSPACED: Final = 4
"""Letters of a script without spaces, each of which says more."""

MAX_CHARACTERS: Final = 1_000

_LETTER: Final = re.compile(r"[^\W\d_]")
_UNSPACED: Final = re.compile("[\u0e00-\u0eff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]")
_SAME: Final = {"nb": "no", "iw": "he", "in": "id", "fil": "tl", "cmn": "zh"}
_LOADING: Final = threading.Lock()


@dataclass(frozen=True, slots=True)
class LanguageGuess:
    """The likeliest of the candidates, a primary tag, and its probability among them (0 to 1)."""

    language: str
    probability: float


def load() -> None:
    """Read the model; blocks. Raises `EngineUnavailable` where the package is missing."""
    _identifier()


def guess(text: str, candidates: Iterable[str]) -> LanguageGuess | None:
    """The language of `text` among `candidates` (BCP-47 tags); None: cannot say. Call `load()` first, or the first call reads the model.

    None as well where a candidate is a language that the model does not know: what it then holds to be another one would be wrong.
    """
    head = text[:MAX_CHARACTERS]
    if not _is_long_enough(head):
        return None
    wanted = {_SAME.get(tag, tag) for tag in map(primary_tag, candidates)}
    ranked: list[tuple[str, float]] = _identifier().rank(head)
    chances = {language: chance for language, chance in ranked if language in wanted}
    total = sum(chances.values())
    if wanted - chances.keys() or total <= 0:
        return None
    best = max(chances, key=lambda language: chances[language])
    return LanguageGuess(best, chances[best] / total)


def _is_long_enough(text: str) -> bool:
    if len(_UNSPACED.findall(text)) >= MIN_UNSPACED:
        return True
    words = [word for word in text.split() if _LETTER.search(word)]
    return len(words) >= MIN_WORDS and len(_LETTER.findall(text)) >= MIN_LETTERS


def _identifier() -> Any:
    with _LOADING:
        return _read()


@lru_cache(1)
def _read() -> Any:
    try:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier
    except ImportError as error:
        raise EngineUnavailable(
            "The package py3langid, which recognises the language of a translation, is missing.",
            "Install it: pip install py3langid, or switch the guard off with the option guard = false.",
            code="missing_package",
        ) from error
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
