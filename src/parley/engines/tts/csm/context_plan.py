"""Which turns of a conversation stay before the model, and how much of what it holds can stay as it is.

Laws: pure. A turn is one thing or it is another: two contexts hold the same turn where its key is equal. Trimming goes deep (`KEEP_SHARE`)
and is remembered by the caller, so that the beginning then stays the same for many turns.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Final

KEEP_SHARE: Final = 0.5
"""Of the budget, what is left after trimming: the model reads so much again, once in as many turns as fill the other half."""


@dataclass(frozen=True, slots=True)
class Laid:
    """Something that lies in a sequence: what it is, and the position behind it."""

    key: Hashable
    end: int


def first_kept(sizes: Sequence[int], first: int, budget: int) -> int:
    """The index of the first turn that stays. `sizes` are those of all turns, the oldest first, `first` is what stayed last time."""
    if sum(sizes[first:]) <= budget:
        return first
    kept = 0
    for index in range(len(sizes) - 1, first - 1, -1):
        kept += sizes[index]
        if kept > budget * KEEP_SHARE:
            # The latest turn says the most of how the answer is to sound: it stays where it fits at all.
            return index if index == len(sizes) - 1 and kept <= budget else index + 1
    return first


def common(laid: Sequence[Laid], wanted: Sequence[Hashable]) -> int:
    """How many of what lies in a sequence, from its beginning, are what is wanted there."""
    count = 0
    for one, key in zip(laid, wanted, strict=False):
        if one.key != key:
            break
        count += 1
    return count


def heard_frames(samples: int, made_samples: int, frames: int) -> int:
    """How many whole frames were heard of `frames` that came out as `made_samples`, where the listener heard `samples`.

    Less than one frame short of the end is the whole.
    """
    if made_samples <= 0 or samples <= 0:
        return 0
    if samples >= made_samples - made_samples // max(1, frames) + 1:
        return frames
    return min(frames, samples * frames // made_samples)
