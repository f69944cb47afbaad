"""CSM loaded from a folder: a conversation becomes a prefix of keys and values, and each step adds one frame of speech.

Laws:
- A prefix only grows or is cut; what stays is never computed again.
- A step makes one frame of 80 ms for each of its sequences, which do not influence each other. They join and leave between two steps.
  (In bfloat16 a batch of another size is rounded otherwise, which may decide between two codes that are nearly as likely.)
- What a sequence says depends on its prefix, its sampling and its seed, not on what was cut from it.
- Nothing is downloaded, and only safetensors are read: no file of the folder is executed.

Everything blocks; one thread at a time. Knows nothing of requests, clauses or time.

Source: https://github.com/SesameAILabs/csm (Apache-2.0); the network's modules are those of transformers.
"""

from __future__ import annotations

import collections.abc as abc
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from parley.engines.ports import EngineError, EngineRefused, EngineUnavailable, Samples
from parley.engines.tts.csm import folder as layout
from parley.engines.tts.csm import libraries, loading
from parley.engines.tts.csm.frames import FrameMaker, Row
from parley.engines.tts.csm.graphs import Graphs
from parley.engines.tts.csm.mimi_stream import MimiStream
from parley.engines.tts.csm.sampler import MAX_TOP_K
from parley.engines.tts.csm.speech_loop import SpeechLoop

FRAME_SAMPLES: Final = 1920
SAMPLE_RATE: Final = 24_000
FRAMES_PER_S: Final = 12.5

MAX_TEMPERATURE: Final = 5.0
"""Far above it every code is as likely as every other one."""

_PREFILL: Final = 256
"""Positions computed at once: the embeddings of their codes are 32 times as large as they are."""

_TOKEN, _FRAME, _END = 1, 2, 3
"""What stands at a position: a token of text, a frame of speech, the frame that ends it."""

Codes = NDArray[np.int64]
"""Speech as codes of Mimi, shape `[frames, codebooks]`: 12.5 frames a second, each code in `0..2047` (the codec's codebook)."""

Piece = abc.Sequence[int] | NDArray[np.integer[Any]]
"""Of a prefix: the tokens of a text (`CsmModel.tokenize`), or the codes of its sound (`Codes`, or the same in fewer bits)."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the codes of a sequence are chosen.

    `temperature` 0..5; 0 takes the likeliest code each time. `top_k` is how many of the likeliest codes may be taken (1..256, 0 for
    all). `seed` is 0 or more; None is one by chance. `eos_bias`, in logits, is added to the score of the first code of an end frame:
    more than 0 ends sooner.
    """

    temperature: float = 0.9
    top_k: int = 50
    seed: int | None = None
    eos_bias: float = 0.0


@dataclass(frozen=True, slots=True)
class Frame:
    """80 ms of speech: `codes` `[codebooks]`, `audio` float32 `[1920]` at 24 kHz, as the codec makes it: peaks may go beyond 1.

    `ended`: the speech has ended before this frame (every code is 0, `audio` is silence and not to be played).
    """

    codes: NDArray[np.int64]
    audio: Samples = field(repr=False)
    ended: bool


class Sequence:
    """One conversation, or one voice in it, in a slot of the cache. Its fields are the model's own; use the methods of `CsmModel`.

    Keys and values stand for the first `computed` positions; the last one of `length` is always left for a step to compute.
    """

    def __init__(self, slot: int, sampling: Sampling, seed: int, max_context: int, codebooks: int) -> None:
        self.slot = slot
        self.sampling = sampling
        self.seed = seed
        self.inputs = np.zeros((max_context, codebooks), np.int64)
        self.kinds = np.zeros(max_context, np.uint8)
        self.length = 0
        self.computed = 0
        self.speaking = False
        self.frame = 0
        self.closed = False

    def last_is(self, kind: int) -> bool:
        return self.length > 0 and self.kinds[self.length - 1] == kind

    def add(self, inputs: NDArray[np.int64], kind: int) -> None:
        end = self.length + len(inputs)
        self.inputs[self.length : end, : inputs.shape[1]] = inputs
        self.kinds[self.length : end] = kind
        self.length = end

    def keep(self, length: int) -> None:
        self.length = length
        self.computed = min(self.computed, max(0, length - 1))

    def row(self) -> Row:
        at = self.length - 1
        return Row(
            slot=self.slot,
            position=at,
            text=bool(self.kinds[at] == _TOKEN),
            frame=self.frame,
            seed=self.seed,
            top_k=self.sampling.top_k,
            temperature=self.sampling.temperature,
            eos_bias=self.sampling.eos_bias,
            inputs=self.inputs[at],
        )


class CsmModel:
    """The loaded model. `codebooks`, `max_context` (positions that a sequence may have: tokens and frames together), `slots`, `device`
    ("cpu", "cuda:0") and `free_slots` are for reading.

    A turn of the conversation is `append(sequence, [tokenize(text, speaker), codes])`. To speak, `append` the text alone, `begin`, then
    `step` until the frame says `ended`, or stop at any time: the frames made are in the prefix. The next `append` ends what was spoken.
    """

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

        `device` is "auto" (a CUDA device where there is one), "cpu", "cuda" or "cuda:N"; `dtype` "auto" (bfloat16 on CUDA, float32 on
        the CPU), "float32" or "bfloat16", of the language model; the codec is always float32. `graphs`: CUDA graphs, None where there is
        a CUDA device. `slots` sequences may be open at once, of `max_context` positions each, at most what the model was trained for.
        CSM-1B needs 64 MiB a slot in bfloat16, twice as much in float32. Capturing the graphs takes a while.

        Raises `EngineUnavailable`: `missing_package`, `missing_weights`, `unsafe_weights`, `wrong_architecture`, `invalid_weights`,
        `no_device`, `invalid_dtype`, `out_of_memory`; `ValueError` where `slots` or `max_context` is below 1.
        """
        if slots < 1 or max_context < 1:
            raise ValueError(f"slots and max_context are at least 1, not {slots} and {max_context}.")
        torch = libraries.torch()
        layout.check(folder)
        where, with_graphs = loading.choose_device(device, graphs)
        kind = loading.choose_dtype(dtype, where)
        try:
            network = loading.load_network(folder, where, kind)
            loading.check_shape(network, folder, FRAME_SAMPLES, SAMPLE_RATE)
            config = network.config
            self._tokenizer = loading.Tokenizer(folder / "tokenizer.json", config.text_vocab_size)
            self.codebooks: int = config.num_codebooks
            self.max_context = min(max_context, config.max_position_embeddings)
            self.slots = slots
            self.device = str(where)
            self._codec = network.codec_model
            with torch.inference_mode():
                loop = SpeechLoop(network, slots + 1, self.max_context)
                stream = MimiStream(self._codec, slots + 1)
                self._frames = FrameMaker(
                    loop,
                    stream,
                    slots=slots,
                    max_context=self.max_context,
                    device=where,
                    graphs=Graphs(where) if with_graphs else None,
                )
        except RuntimeError as error:
            if not isinstance(error, torch.OutOfMemoryError) and "can't allocate memory" not in str(error):
                raise
            raise EngineUnavailable(
                f"CSM with {slots} slots of {max_context} positions does not fit into the memory of {where}.",
                "Lower the number of sessions or of positions, or use a device with more memory.",
                code="out_of_memory",
            ) from error
        self._codebook_size: int = config.codec_config.codebook_size
        self._text_vocabulary: int = config.text_vocab_size
        self._free = list(range(slots - 1, -1, -1))

    @property
    def free_slots(self) -> int:
        """How many more sequences can be opened."""
        return len(self._free)

    def encode(self, audio: Samples) -> Codes:
        """The codes of a sound: float32 `[n]`, 24 kHz, mono. The last frame is filled up with silence.

        Raises `EngineRefused`: `invalid_audio` (another shape, no sample, not finite), `context_full` (more frames than a sequence has
        positions).
        """
        sound = np.ascontiguousarray(audio, np.float32)
        if sound.ndim != 1 or not sound.size or not np.isfinite(sound).all():
            raise EngineRefused(
                f"CSM takes one channel of finite samples, not an array of shape {sound.shape}.",
                "Give float32 [n] at 24,000 Hz.",
                code="invalid_audio",
            )
        if len(sound) > self.max_context * FRAME_SAMPLES:
            raise self._full(-(-len(sound) // FRAME_SAMPLES))
        torch = libraries.torch()
        with torch.inference_mode():
            given = torch.from_numpy(sound.copy()).to(self.device)
            codes = self._codec.encode(given[None, None]).audio_codes[0]
            return np.asarray(codes.T.cpu().numpy(), np.int64)

    def tokenize(self, text: str, speaker: int) -> list[int]:
        """The tokens of a text in a speaker's mouth: what CSM was trained on, `[0]text` between the marks of a text's begin and end.
        Marks in the text itself are read as text."""
        return self._tokenizer.encode(text, speaker)

    def open(self, sampling: Sampling) -> Sequence:
        """A sequence with nothing in it, in a slot of its own until `close()`.

        Raises `EngineRefused`: `overloaded` where every slot is taken, `invalid_sampling`.
        """
        _check_sampling(sampling)
        if not self._free:
            raise EngineRefused(
                f"All {self.slots} slots of the model are taken.",
                "Try again later, or give the model more slots.",
                code="overloaded",
            )
        seed = secrets.randbits(62) if sampling.seed is None else sampling.seed
        noise = int(np.random.SeedSequence(seed).generate_state(1)[0])
        return Sequence(self._free.pop(), sampling, noise, self.max_context, self.codebooks)

    def append(self, sequence: Sequence, pieces: abc.Sequence[Piece]) -> None:
        """Add to the prefix: tokens (one position each), or codes (one position a frame, and one more for the end frame; none for no
        frames).

        What the sequence was speaking ends first: where its last position is a frame of speech, an end frame is added (one position). So
        what was generated needs no piece of its own: after `truncate` to what was heard, append what follows.

        Raises `EngineRefused`, and adds nothing: `context_full`, `invalid_codes`, `invalid_tokens`.
        """
        _check_open(sequence)
        end = np.zeros((1, self.codebooks), np.int64)
        parts = [(end, _END)] if sequence.last_is(_FRAME) else []
        for piece in pieces:
            if isinstance(piece, np.ndarray):
                codes = self._checked_codes(piece)
                parts += [(codes, _FRAME), (end, _END)] if len(codes) else []
            elif len(piece):
                parts.append((self._checked_tokens(piece), _TOKEN))
        length = sequence.length + sum(len(inputs) for inputs, _ in parts)
        if length > self.max_context:
            raise self._full(length)
        sequence.speaking = False
        for inputs, kind in parts:
            sequence.add(inputs, kind)
        while sequence.computed < sequence.length - 1:
            until = min(sequence.computed + _PREFILL, sequence.length - 1)
            now = slice(sequence.computed, until)
            self._frames.prefill(sequence.inputs[now], sequence.kinds[now] == _TOKEN, sequence.slot, sequence.computed)
            sequence.computed = until

    def truncate(self, sequence: Sequence, length: int) -> None:
        """Keep the first `length` positions, 0..`length(sequence)`. A generation that was running is over. Raises `ValueError` for
        another length."""
        _check_open(sequence)
        if not 0 <= length <= sequence.length:
            raise ValueError(f"A sequence of {sequence.length} positions cannot be cut to {length}.")
        sequence.speaking = False
        sequence.keep(length)

    def length(self, sequence: Sequence) -> int:
        """Positions so far: tokens, frames (each of those made since `begin` too) and end frames."""
        return sequence.length

    def begin(self, sequence: Sequence) -> None:
        """Speak from here on: the last piece of the prefix must be a text. The decoder of the sound starts afresh.

        Raises `EngineRefused` (`nothing_to_say`) where it is not.
        """
        _check_open(sequence)
        if not sequence.last_is(_TOKEN):
            raise EngineRefused("There is no text to speak.", "Append one before `begin`.", code="nothing_to_say")
        sequence.speaking = True
        sequence.frame = 0

    def step(self, sequences: abc.Sequence[Sequence]) -> list[Frame]:
        """One frame for each, in their order, computed together. Each must have begun and not ended.

        Raises `EngineRefused`, before anything is computed: `context_full` where a sequence has `max_context` positions, `not_speaking`;
        `ValueError` where one is given twice.
        """
        if len(set(map(id, sequences))) < len(sequences):
            raise ValueError("A sequence is given twice.")
        for sequence in sequences:
            _check_open(sequence)
            if not sequence.speaking:
                raise EngineRefused("A sequence does not speak.", "Call `begin` first.", code="not_speaking")
            if sequence.length == self.max_context:
                raise self._full(sequence.length + 1)
        if not sequences:
            return []
        codes, audio = self._frames.make([sequence.row() for sequence in sequences])
        return [self._taken(sequence, codes[index], audio[index]) for index, sequence in enumerate(sequences)]

    def _taken(self, sequence: Sequence, codes: NDArray[np.int64], audio: Samples) -> Frame:
        ended = not codes.any()
        sequence.computed = sequence.length
        sequence.add(codes[None], _END if ended else _FRAME)
        sequence.frame += 1
        sequence.speaking = not ended
        return Frame(codes, np.zeros_like(audio) if ended else audio, ended)

    def close(self, sequence: Sequence) -> None:
        """Give the slot back; idempotent."""
        if not sequence.closed:
            sequence.closed = True
            self._free.append(sequence.slot)

    def _checked_codes(self, codes: NDArray[np.integer[Any]]) -> Codes:
        right = codes.ndim == 2 and codes.shape[1] == self.codebooks and np.issubdtype(codes.dtype, np.integer)
        if not right or (codes.size and not (codes.min() >= 0 and codes.max() < self._codebook_size)):
            raise EngineRefused(
                f"Codes of shape {codes.shape} and type {codes.dtype} are not CSM's.",
                f"Give whole numbers [frames, {self.codebooks}] in 0..{self._codebook_size - 1}, as `encode` does.",
                code="invalid_codes",
            )
        return codes.astype(np.int64, copy=False)

    def _checked_tokens(self, tokens: abc.Sequence[int]) -> NDArray[np.int64]:
        column = np.array(tokens, np.int64)[:, None]
        if column.min() < 0 or column.max() >= self._text_vocabulary:
            raise EngineRefused(
                f"A token is not in 0..{self._text_vocabulary - 1}.",
                "Give what `tokenize` returns.",
                code="invalid_tokens",
            )
        return column

    def _full(self, length: int) -> EngineRefused:
        return EngineRefused(
            f"A sequence has {self.max_context} positions, and {length} are needed.",
            "Leave out the oldest turns, or say less at once.",
            code="context_full",
        )


def _check_open(sequence: Sequence) -> None:
    if sequence.closed:
        raise EngineError("This sequence is closed.", "Open another one.", code="sequence_closed")


def _check_sampling(sampling: Sampling) -> None:
    wrong = {
        "temperature": not 0 <= sampling.temperature <= MAX_TEMPERATURE,
        "top_k": not 0 <= sampling.top_k <= MAX_TOP_K,
        "seed": sampling.seed is not None and sampling.seed < 0,
        "eos_bias": not np.isfinite(sampling.eos_bias),
    }
    for name in (name for name, is_wrong in wrong.items() if is_wrong):
        raise EngineRefused(
            f"The sampling's {name} is {getattr(sampling, name)!r}.",
            f"temperature is 0..{MAX_TEMPERATURE:g}, top_k 0..{MAX_TOP_K}, seed 0 or more, eos_bias finite.",
            code="invalid_sampling",
        )
