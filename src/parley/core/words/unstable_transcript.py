"""The words of a turn that may still change, as a notice of conversations and transcription sessions."""

from __future__ import annotations

from dataclasses import dataclass

from parley.core.words.ids import ItemId


@dataclass(frozen=True, slots=True)
class UnstableTranscript:
    """What the recogniser has heard of a turn behind the words that were sent (`TranscriptionDelta`), and may still change; "": nothing.

    Takes the place of the turn's last one; more of its words, or their end, ends it. A turn that its client ends has all its words here
    until the commit, and "" if it is cleared; of very long text only the end is here, behind "…". Only for a client that asked for it
    (`settings.UNSTABLE_WORDS`); a translation session has `UnstableWordsChanged`.
    """

    item_id: ItemId
    content_index: int
    text: str
