"""The conversations of all owners, and which of them have a slot of the model.

Laws:
- An owner (`SpeechRequest.share`) has one conversation, which no other owner's request touches; a request without an owner has one of its
  own.
- A request that comes while its owner's conversation is in use has a sequence of its own, and the same turns.
- Slots are those of the requests being spoken, and of the conversations used last. Owners that are gone, or idle for `IDLE_S`, are
  forgotten.

On the model's thread.
"""

from __future__ import annotations

import time
import weakref
from collections import OrderedDict
from collections.abc import Hashable
from typing import Final

from parley.engines.tts.csm.conversation import ContextCounts, CsmConversation, SequenceModel
from parley.engines.tts.csm.model import Sampling

MAX_OWNERS: Final = 256
"""Of which turns are kept: some megabytes of codes."""

IDLE_S: Final = 900.0
"""A conversation that has been silent for so long may be over; one that is not pays once for reading its context again."""


class CsmConversations:
    """`lend()` a conversation for each request, and `give_back()`."""

    def __init__(
        self, model: SequenceModel, sampling: Sampling, context_frames: int, slots: int, counts: ContextCounts
    ) -> None:
        self._model = model
        self._sampling = sampling
        self._context_frames = context_frames
        self._slots = slots
        self._counts = counts
        self._kept: OrderedDict[Hashable, CsmConversation] = OrderedDict()
        self._lent = 0

    @property
    def full(self) -> bool:
        """Whether every slot is that of a request being spoken."""
        return self._lent >= self._slots

    def lend(self, share: object) -> CsmConversation:
        """The conversation of this owner, with a slot that it can take. Not when `full`."""
        self._forget_idle()
        mine = None
        if share is not None:
            key = _key(share)
            mine = self._kept.pop(key, None) or self._new()
            self._kept[key] = mine
        if mine is None or mine.busy:
            mine = self._new(mine)
        if mine.sequence is None:
            self._make_room()
        mine.busy = True
        self._lent += 1
        return mine

    def give_back(self, conversation: CsmConversation) -> None:
        """The request is over. A conversation that no owner has ends with it."""
        conversation.busy = False
        conversation.used_s = time.monotonic()
        self._lent -= 1
        if not any(conversation is kept for kept in self._kept.values()):
            conversation.drop()

    def _new(self, of: CsmConversation | None = None) -> CsmConversation:
        known = None if of is None else of.known
        return CsmConversation(self._model, self._sampling, self._context_frames, self._counts, known)

    def _make_room(self) -> None:
        """Take slots from idle conversations, the one used longest ago first, until there is one more than are lent."""
        idle = [one for one in self._kept.values() if not one.busy and one.sequence is not None]
        for one in idle[: max(0, self._lent + 1 + len(idle) - self._slots)]:
            one.drop()

    def _forget_idle(self) -> None:
        before_s = time.monotonic() - IDLE_S
        over = [
            key
            for key, one in self._kept.items()
            if not one.busy and (one.used_s < before_s or (isinstance(key, weakref.ref) and key() is None))
        ]
        idle = [key for key, one in self._kept.items() if not one.busy and key not in over]
        over += idle[: max(0, len(self._kept) - len(over) - MAX_OWNERS)]
        for key in over:
            self._kept.pop(key).drop()


def _key(share: object) -> Hashable:
    """What stands for an owner, without keeping it alive where that can be."""
    try:
        return weakref.ref(share)
    except TypeError:
        return share
