"""CSM loaded from a folder: a conversation becomes a prefix of keys and values, and each step adds one frame of speech.

Laws:
- A prefix only grows or is cut; it is never computed again.
- A step makes one frame of 80 ms for each of its sequences, which do not influence each other. They join and leave between two steps.
- What a sequence says depends on its prefix, its sampling and its seed, not on what was cut from it.
- Nothing is downloaded, and only safetensors are read: no file of the folder is executed.

Everything blocks; one thread at a time. Knows nothing of requests, clauses or time.
"""

from __future__ import annotations

import collections.abc as abc
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from parley.engines.ports import Samples

FRAME_SAMPLES: Final = 1920
SAMPLE_RATE: Final = 24_000
FRAMES_PER_S: Final = 12.5

Codes = NDArray[np.int64]
"""Speech as codes of Mimi, shape `[frames, codebooks]`: 12.5 frames a second, each code in `0..2047` (the codec's codebook)."""

Piece = abc.Sequence[int] | Codes
"""Of a prefix: the tokens of a text (`CsmModel.tokenize`), or the codes of its sound."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the codes of a sequence are chosen.

    `temperature` 0 takes the likeliest code each time; `top_k` is how many of the likeliest codes may be taken (1..256, 0 for all); `seed` None is one
    by chance; `eos_bias` is added to the score of ending the speech, in logits.
    """

    temperature: float = 0.9
    top_k: int = 50
    seed: int | None = None
    eos_bias: float = 0.0


@dataclass(frozen=True, slots=True)
class Frame:
    """80 ms of speech: `codes` `[codebooks]`, `audio` float32 `[1920]` at 24 kHz.

    `ended`: the speech has ended before this frame (every code is 0, `audio` is silence and not to be played).
    """

    codes: NDArray[np.int64]
    audio: Samples = field(repr=False)
    ended: bool


class Sequence:
    """One conversation, or one voice in it, in a slot of the cache. Its fields are the model's own; use the methods of `CsmModel`."""


class CsmModel:
    """The loaded model. `codebooks`, `max_context` (positions that a sequence may have: tokens and frames together), `slots`, `device`
    ("cpu", "cuda:0") and `free_slots` are for reading.

    A turn of the conversation is `append(sequence, [tokenize(text, speaker), codes])`. To speak, `append` the text alone, `begin`, then `step` until the
    frame says `ended`, or stop at any time: the frames made are in the prefix. The next `append` ends what was spoken.
    """

    codebooks: int
    max_context: int
    slots: int
    device: str

    def __init__(
        self,
        folder: Path,
        *,
        device: str = "auto",
        dtype: str = "auto",
        graphs: bool | None = None,
        slots: int = 32,
        max_context: int = 2048,
    ) -> None:
        """Load the folder: `config.json`, `tokenizer.json` and weights as safetensors, as transformers saves them.

        `device` is "auto" (a CUDA device where there is one), "cpu", "cuda" or "cuda:N"; `dtype` "auto" (bfloat16 on CUDA, float32 on the CPU), "float32"
        or "bfloat16", of the language model; the codec is always float32. `graphs`: CUDA graphs, None where there is a CUDA device. `slots` sequences may
        be open at once, of `max_context` positions each, at most what the model was trained for.

        Raises `EngineUnavailable`: `missing_package`, `missing_weights`, `unsafe_weights`, `wrong_architecture`, `invalid_weights`, `no_device`.
        """
        raise NotImplementedError

    @property
    def free_slots(self) -> int:
        """How many more sequences can be opened."""
        raise NotImplementedError

    def encode(self, audio: Samples) -> Codes:
        """The codes of a sound: float32 `[n]`, 24 kHz, mono. The last frame is filled up with silence.

        Raises `EngineRefused`: `invalid_audio` (another shape, no sample, not finite), `context_full` (more frames than a sequence has
        positions).
        """
        raise NotImplementedError

    def tokenize(self, text: str, speaker: int) -> list[int]:
        """The tokens of a text in a speaker's mouth: what CSM was trained on, `[0]text` between the marks of a text's begin and end. Marks in the text
        itself are read as text."""
        raise NotImplementedError

    def open(self, sampling: Sampling) -> Sequence:
        """A sequence with nothing in it, in a slot of its own until `close()`.

        Raises `EngineRefused`: `overloaded` where every slot is taken, `invalid_sampling`.
        """
        raise NotImplementedError

    def append(self, sequence: Sequence, pieces: abc.Sequence[Piece]) -> None:
        """Add to the prefix: tokens (one position each), or codes (one position a frame, and one more for the end frame).

        What the sequence was speaking ends first: where its last position is a frame of speech, an end frame is added (one position). So what was
        generated needs no piece of its own: after `truncate` to what was heard, append what follows.

        Raises `EngineRefused`: `context_full` (nothing was added), `invalid_codes`.
        """
        raise NotImplementedError

    def truncate(self, sequence: Sequence, length: int) -> None:
        """Keep the first `length` positions, 0..`length(sequence)`. A generation that was running is over."""
        raise NotImplementedError

    def length(self, sequence: Sequence) -> int:
        """Positions so far: tokens, frames (each of those made since `begin` too) and end frames."""
        raise NotImplementedError

    def begin(self, sequence: Sequence) -> None:
        """Speak from here on: the last piece of the prefix must be a text. The decoder of the sound starts afresh.

        Raises `EngineRefused` (`nothing_to_say`) where it is not.
        """
        raise NotImplementedError

    def step(self, sequences: abc.Sequence[Sequence]) -> list[Frame]:
        """One frame for each, in their order, computed together. Each must have begun and not ended.

        Raises `EngineRefused`, before anything is computed: `context_full` where a sequence has `max_context` positions, `not_speaking`.
        """
        raise NotImplementedError

    def close(self, sequence: Sequence) -> None:
        """Give the slot back; idempotent."""
        raise NotImplementedError
