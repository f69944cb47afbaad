"""What the conversation keeps of a reply that was not heard out."""

from __future__ import annotations

from parley.core.words.items import Item, Message, OutputAudio, OutputText
from parley.core.words.limits import SAMPLES_PER_MS
from parley.core.words.notices import ItemDone, ItemRetrieved, OutputItemDone
from parley.testing.rules.base import Hearing, Rule, Step
from parley.testing.rules.listener import TOLERANCE, HeardAudio


def spoken_text(item: Item) -> str:
    """The words of an assistant message."""
    if not isinstance(item, Message):
        return ""
    parts = [part for part in item.content if isinstance(part, OutputAudio | OutputText)]
    return "".join(part.transcript if isinstance(part, OutputAudio) else part.text for part in parts)


class OnlyHeardIsKept(Rule):
    """7: an item that was interrupted or truncated keeps the words that were heard: none beyond them, none of them lost."""

    law = "7"

    def __init__(self, listener: HeardAudio) -> None:
        self._listener = listener
        self._closing: list[Item] = []

    def hears(self) -> Hearing:
        return {ItemDone: self._item, OutputItemDone: self._item, ItemRetrieved: self._retrieved}

    def _item(self, told: ItemDone | OutputItemDone) -> None:
        if told.item.status == "incomplete":
            self._closing.append(told.item)

    def after(self, step: Step) -> None:
        for item in self._closing:
            self.check(item, "is closed")
        self._closing.clear()

    def check(self, item: Item, what: str) -> None:
        """Raise unless the item's words are those heard."""
        track = self._listener.tracks.get(item.id)
        if track is None:
            self._check_unspoken(item, what)
            return
        if track.cut is None:
            return
        least, most = self._listener.words_heard(track)
        kept = spoken_text(item).rstrip()
        heard = f"after {track.cut / SAMPLES_PER_MS:.0f} of {track.sent / SAMPLES_PER_MS:.0f} ms"
        self.require(most.startswith(kept), f"item {item.id} {what} with {kept!r}; heard was at most {most!r} {heard}")
        self.require(
            kept.startswith(least), f"item {item.id} {what} with {kept!r}; heard was at least {least!r} {heard}"
        )

    def _check_unspoken(self, item: Item, what: str) -> None:
        """Nothing was heard of a message that was stopped before its first sound (one that has none of its own is not)."""
        ledger = self._listener.ledger_of(item.id)
        if ledger is None or ledger.created.modality != "audio" or not ledger.in_conversation or ledger.done is None:
            return
        if ledger.done.status == "cancelled" and item.status == "incomplete":
            self.require(
                not spoken_text(item).strip(), f"item {item.id} {what} with {spoken_text(item)!r}; it never sounded"
            )

    def _retrieved(self, told: ItemRetrieved) -> None:
        self.check(told.item, "is retrieved")
        track = self._listener.tracks.get(told.item.id)
        if track is None or not isinstance(told.item, Message):
            return
        audio = b"".join(part.audio or b"" for part in told.item.content if isinstance(part, OutputAudio))
        most = track.sent if track.cut is None else track.cut + TOLERANCE
        samples = track.format.samples(len(audio))
        self.require(samples <= most, f"retrieved {samples} samples of {told.item.id}, kept are {most}")
        start = track.format.size(track.first_sample)
        own = bytes(track.attempt.audio[start : start + len(audio)])
        self.require(own == audio, f"retrieved audio of {told.item.id} is not what was told")
