"""One request while it is being spoken, on the model's thread: its pieces in turn, each laid before the model, then made frame by frame."""

from __future__ import annotations

from collections.abc import Generator

import numpy as np

from parley.engines.tts.csm.conversation import CsmConversation, SequenceModel
from parley.engines.tts.csm.endings import EndRule
from parley.engines.tts.csm.model import FRAMES_PER_S, Frame, Sequence
from parley.engines.tts.csm.speech import CsmSpeech
from parley.engines.tts.csm.spoken_text import longest_frames


class RunningSpeech:
    """`prepare()` it until it is `ready`, then `take()` each frame that the model makes for its `sequence`. `stop()` it at the end."""

    def __init__(self, speech: CsmSpeech, conversation: CsmConversation, model: SequenceModel) -> None:
        self.speech = speech
        self.conversation = conversation
        self.ready = False
        self._model = model
        self._own = conversation.own_turn(speech.request, speech.voice)
        self._piece = 0
        self._laying: Generator[None, None, int]
        self._rule: EndRule
        self._start = 0
        self._held: list[Frame] = []
        """Frames of silence, until speech follows."""
        self._codes: list[np.ndarray[tuple[int], np.dtype[np.int64]]] = []
        """Of the piece's frames that were handed on."""
        self._begin()

    @property
    def sequence(self) -> Sequence:
        assert self.conversation.sequence is not None, "it is ready"
        return self.conversation.sequence

    def prepare(self) -> None:
        """One part of the preparation of the next piece. Raises what the model raises."""
        try:
            next(self._laying)
        except StopIteration as end:
            room: int = end.value
            longest = longest_frames(self.speech.pieces[self._piece], FRAMES_PER_S)
            self._rule = EndRule(min(room, longest), FRAMES_PER_S)
            self._start = self._model.length(self.sequence)
            self.ready = True

    def take(self, frame: Frame) -> bool:
        """The next frame. Returns whether all has been said."""
        if frame.ended:
            return self._next(whole=not self._held)
        self._held.append(frame)
        verdict = self._rule.push(frame.audio)
        for one in self._held[: verdict.release]:
            self._codes.append(np.array(one.codes))
            self.speech.deliver(one.audio)
        del self._held[: verdict.release]
        return self._next(whole=False) if verdict.end else False

    def stop(self) -> None:
        """Keep what was said for later contexts."""
        self._keep(whole=False)

    def _begin(self) -> None:
        text = self.speech.pieces[self._piece]
        self._laying = self.conversation.lay(self.speech.voice, self.speech.request, self._own, text)
        self.ready = False

    def _next(self, whole: bool) -> bool:
        self._keep(whole)
        self._piece += 1
        if self._piece < len(self.speech.pieces):
            self._begin()
            return False
        self.speech.end()
        return True

    def _keep(self, whole: bool) -> None:
        if self._codes:
            codes, self._codes = np.stack(self._codes), []
            self._own.add(self.speech.pieces[self._piece], codes, self.speech.request.speed)
            self.conversation.said(self._own, self.speech.voice.speaker, self._start, whole)
        self._held.clear()
