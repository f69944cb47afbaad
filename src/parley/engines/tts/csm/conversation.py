"""One conversation before the model: the codes of its turns, each computed once, and what of them lies in a sequence.

Laws:
- A turn is encoded once (`known_turn`). What the engine said itself is known from making it.
- A sequence is appended to. Where the conversation differs from what lies in it, it is cut back to what they have in common.
- The voice's own turn stands first and is never trimmed; then as many of the latest turns as the budget holds (`context_plan`).

Everything here runs on the model's thread.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from parley.audio import resampling
from parley.engines.ports import EngineRefused, Samples, SpeechRequest, SpokenTurn
from parley.engines.tts.csm import model as csm
from parley.engines.tts.csm.context_plan import Laid, common, first_kept
from parley.engines.tts.csm.known_turn import KnownTurn, TurnEntry, frames_of
from parley.engines.tts.csm.model import FRAMES_PER_S, SAMPLE_RATE, Codes, Frame, Piece, Sampling
from parley.engines.tts.csm.spoken_text import longest_frames, plain_text
from parley.engines.tts.csm.voices import CsmVoice

MAX_TURNS: Final = 128
"""Turns in a context: more would be words of a second each."""

MAX_KNOWN: Final = 2 * MAX_TURNS
"""Turns of one conversation whose codes are kept."""

LEAST_FRAMES: Final = 13
"""A piece that has no more room than for a second is refused: it would be cut off."""


class SequenceModel(Protocol):
    """What is used of `CsmModel`."""

    max_context: int

    def encode(self, audio: Samples) -> Codes: ...
    def tokenize(self, text: str, speaker: int) -> list[int]: ...
    def open(self, sampling: Sampling) -> csm.Sequence: ...
    def append(self, sequence: csm.Sequence, pieces: Sequence[Piece]) -> None: ...
    def truncate(self, sequence: csm.Sequence, length: int) -> None: ...
    def length(self, sequence: csm.Sequence) -> int: ...
    def begin(self, sequence: csm.Sequence) -> None: ...
    def step(self, sequences: Sequence[csm.Sequence]) -> list[Frame]: ...
    def close(self, sequence: csm.Sequence) -> None: ...


@dataclass(slots=True)
class ContextCounts:
    """What contexts have cost: turns encoded, turns appended to sequences, and turns that lay there already."""

    encoded: int = 0
    appended: int = 0
    reused: int = 0


class CsmConversation:
    """The turns of one owner, and a sequence of the model while it has one. `known` may be shared by several of one owner."""

    def __init__(
        self,
        model: SequenceModel,
        sampling: Sampling,
        context_frames: int,
        counts: ContextCounts,
        known: OrderedDict[str, KnownTurn] | None = None,
    ) -> None:
        self.known: OrderedDict[str, KnownTurn] = OrderedDict() if known is None else known
        self.sequence: csm.Sequence | None = None
        self.busy = False
        """Whether a request is using it."""
        self.used_s = 0.0
        self._model = model
        self._sampling = sampling
        self._context_frames = min(context_frames, model.max_context)
        self._counts = counts
        self._laid: list[Laid] = []
        self._first = ""
        """The first turn that stayed when the context was trimmed last; "" for all."""

    def own_turn(self, request: SpeechRequest, voice: CsmVoice) -> KnownTurn:
        """What the request is going to say; later contexts find it by the request's `id`."""
        turn = KnownTurn(own=True, voice=voice.digest)
        if request.id:
            self._keep(request.id, turn)
        return turn

    def lay(self, voice: CsmVoice, request: SpeechRequest, own: KnownTurn, text: str) -> Generator[None, None, int]:
        """Have the voice, the context, what was said of this request, and `text` in the sequence, and begin. Yields between two calls of
        the model, so that others can go on; returns how many frames there is room for.

        Raises `EngineRefused` (`context_full`), and what the model raises: `drop()` the sequence then.
        """
        model = self._model
        tokens = model.tokenize(text, voice.speaker)
        room = len(tokens) + longest_frames(text, FRAMES_PER_S) + 2
        wanted = yield from self._wanted(voice, request, own, room)
        if self.sequence is None:
            self.sequence = model.open(self._sampling)
        sequence = self.sequence
        kept = common(self._laid, [entry.key for entry in wanted])
        end = self._laid[kept - 1].end if kept else 0
        del self._laid[kept:]
        self._counts.reused += kept
        if end < model.length(sequence):
            model.truncate(sequence, end)
        for entry in wanted[kept:]:
            model.append(sequence, [model.tokenize(entry.text, entry.speaker), entry.codes])
            self._laid.append(Laid(entry.key, model.length(sequence)))
            self._counts.appended += 1
            yield
        model.append(sequence, [tokens])
        left = model.max_context - model.length(sequence)
        if left < LEAST_FRAMES:
            raise EngineRefused(
                "The text and the recording of the voice leave no room for speech in the model's context.",
                "Use a shorter recording for the voice.",
                code="context_full",
            )
        model.begin(sequence)
        return left

    def said(self, own: KnownTurn, speaker: int, start: int, whole: bool) -> None:
        """The last piece of `own` has been spoken behind position `start` of the sequence. `whole`: the model ended it itself, and all that
        it made was handed on; else the sequence is cut to what was."""
        if self.sequence is None:
            return
        entry, made = own.latest(speaker), self._model.length(self.sequence)
        end = made if whole else start + len(entry.codes)
        if end < made:
            self._model.truncate(self.sequence, end)
        self._laid.append(Laid(entry.key, end))

    def drop(self) -> None:
        """Give the sequence back; the codes stay."""
        sequence, self.sequence = self.sequence, None
        self._laid = []
        if sequence is not None:
            self._model.close(sequence)

    def _wanted(
        self, voice: CsmVoice, request: SpeechRequest, own: KnownTurn, room: int
    ) -> Generator[None, None, list[TurnEntry]]:
        """What is to lie before the text, trimmed to the budget; turns that are not known yet are encoded."""
        turns = [turn for turn in request.context[-MAX_KNOWN:] if self._usable(turn, voice)]
        first = next((index for index, turn in enumerate(turns) if turn.id == self._first), 0)
        first = first_kept([1] * len(turns), first, MAX_TURNS)
        first = first_kept([self._frames(turn) for turn in turns], first, self._context_frames)
        groups: list[tuple[str, list[TurnEntry]]] = []
        for turn in turns[first:]:
            known = self.known.get(turn.id)
            if known is None:
                known = self._encode(turn)
                yield
            speaker = voice.speaker if turn.speaker == "assistant" else voice.other_speaker
            groups.append((turn.id, list(known.entries(speaker, turn.text))))
        groups.append(("", list(own.entries(voice.speaker))))
        codes = voice.reference(self._model.encode)
        reference = [] if codes is None else [TurnEntry(voice.digest, voice.speaker, voice.text, codes)]
        budget = max(0, self._model.max_context - room - self._positions(reference))
        left = first_kept([self._positions(entries) for _, entries in groups], 0, budget)
        self._first = groups[left][0] if first + left and left < len(groups) else ""
        return [*reference, *(entry for _, entries in groups[left:] for entry in entries)]

    def _usable(self, turn: SpokenTurn, voice: CsmVoice) -> bool:
        """Whether the turn's sound is known or there to be encoded, it has words, and this voice may follow it: after a turn of its own in
        another voice, the model would fall back into that one. A turn that is known by other audio is forgotten."""
        known = self.known.get(turn.id)
        if known is not None and not known.hears(turn):
            del self.known[turn.id]
            known = None
        if known is not None:
            self.known.move_to_end(turn.id)
            if known.own and known.voice != voice.digest:
                return False
        return bool(plain_text(turn.text)) and (known is not None or len(turn.audio) > 0)

    def _frames(self, turn: SpokenTurn) -> int:
        known = self.known.get(turn.id)
        if known is None:
            return frames_of(turn)
        return known.frames if known.heard is None else known.heard

    def _positions(self, entries: list[TurnEntry]) -> int:
        return sum(len(self._model.tokenize(one.text, one.speaker)) + len(one.codes) + 1 for one in entries)

    def _encode(self, turn: SpokenTurn) -> KnownTurn:
        audio = resampling.resample(turn.audio, turn.sample_rate, SAMPLE_RATE)
        codes = self._model.encode(np.clip(np.nan_to_num(audio), -1.0, 1.0).astype(np.float32, copy=False))
        self._counts.encoded += 1
        known = KnownTurn(own=False, samples=len(audio), pieces=[(plain_text(turn.text), codes)])
        self._keep(turn.id, known)
        return known

    def _keep(self, name: str, turn: KnownTurn) -> None:
        self.known[name] = turn
        self.known.move_to_end(name)
        while len(self.known) > MAX_KNOWN:
            self.known.popitem(last=False)
