"""LocalAgreement-2: what two hypotheses in a row begin with will not be taken back.

Source: Liu, Spanakis, Niehues, "Low-Latency Sequence-to-Sequence Speech Recognition and Translation by Partial Hypothesis
Selection" (Interspeech 2020). Here on tokens, and only up to the end of a whole word that both hypotheses follow with another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

UNSPACED = frozenset({"zh", "yue", "ja", "th", "lo", "my", "km", "bo"})
"""Languages written without spaces between words: there, any whole character may end a promise."""


def agreed(
    before: Sequence[int], now: Sequence[int], promised: int, text: Callable[[tuple[int, ...]], str], spaced: bool
) -> int:
    """How many tokens of `now` are a promise, at least `promised` (whose tokens both begin with)."""
    common = 0
    for a, b in zip(before, now, strict=False):
        if a != b:
            break
        common += 1
    for end in range(min(common, len(now) - 1), promised, -1):
        so_far = text(tuple(now[:end]))
        if so_far.endswith("\ufffd") or not so_far.strip() or so_far[-1].isspace():
            continue
        if not spaced or text(tuple(now[: end + 1]))[len(so_far) :][:1].isspace():
            return end
    return promised
