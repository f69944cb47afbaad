"""The written form of a mix of voices, `af_bella(2)+af_sky(1)`: which voices it names, and how much there is of each.

Laws: pure; a weight that is left out is 1; the shares of a mix add up to 1; a voice that is named twice counts with the sum. At most
`MAX_VOICES` names, so that a client cannot make a server read hundreds of files for one voice.
"""

from __future__ import annotations

import re
from typing import Final

MAX_VOICES: Final = 8
MIN_WEIGHT: Final = 1e-6
MAX_WEIGHT: Final = 100.0
FORM: Final = "af_bella(2)+af_sky(1)"
"""An example, for messages."""

_PART: Final = re.compile(r"([^\s()+]{1,64})(?:\((\d{1,3}(?:\.\d{1,6})?)\))?")


def parse(text: str) -> dict[str, float]:
    """The share of each voice that `text` names, in its order; a lone name has the share 1. Names are as written.

    Raises `ValueError` with what is wrong.
    """
    parts = text.split("+")
    if len(parts) > MAX_VOICES:
        raise ValueError(f"a mix has at most {MAX_VOICES} voices")
    weights: dict[str, float] = {}
    for part in parts:
        match = _PART.fullmatch(part.strip())
        if match is None:
            raise ValueError(f"{part.strip()!r} is no voice with a weight; a mix is written {FORM}")
        weight = float(match[2] or 1)
        if not MIN_WEIGHT <= weight <= MAX_WEIGHT:
            raise ValueError(f"the weight of {match[1]!r} must be above 0 and at most {MAX_WEIGHT:g}")
        weights[match[1]] = weights.get(match[1], 0.0) + weight
    total = sum(weights.values())
    return {name: weight / total for name, weight in weights.items()}


def written(shares: dict[str, float]) -> str:
    """Shares as a mix is written, and a lone name without its share; `parse()` reads them back to six decimals."""
    if len(shares) == 1:
        return next(iter(shares))
    return "+".join(f"{name}({max(share, MIN_WEIGHT):.6f})" for name, share in shares.items())
