"""The text that the conversation keeps of a reply that was not heard to the end."""

from __future__ import annotations

from parley.core.words.items import Item, Message, OutputAudio, OutputText
from parley.core.words.limits import SAMPLES_PER_MS
from parley.core.words.notices import ItemDone, ItemRetrieved, OutputItemDone
from parley.testing.rules.base import Handlers, Rule, Step
from parley.testing.rules.listener import TOLERANCE, HeardAudio


def spoken_text(item: Item) -> str:
    """The words of an assistant message."""
    if not isinstance(item, Message):
        return ""
    parts = [part for part in item.content if isinstance(part, OutputAudio | OutputText)]
    return "".join(part.transcript if isinstance(part, OutputAudio) else part.text for part in parts)


class OnlyHeardIsKept(Rule):
    """7: an item that was interrupted or truncated keeps exactly the words that were heard."""

    law = "7"

    def __init__(self, listener: HeardAudio) -> None:
        self._listener = listener
        self._closing: list[Item] = []

    def effect_handlers(self) -> Handlers:
        return {ItemDone: self._item, OutputItemDone: self._item, ItemRetrieved: self._retrieved}

    def _item(self, notice: ItemDone | OutputItemDone) -> None:
        if notice.item.status == "incomplete":
            self._closing.append(notice.item)

    def after(self, step: Step) -> None:
        for item in self._closing:
            self.check(item, "is closed")
        self._closing.clear()

    def check(self, item: Item, what: str) -> None:
        """Raise `CheckFailed` unless the item holds the words that were heard."""
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
        """A message that was stopped before its first audio keeps no text (unless it never had audio of its own)."""
        record = self._listener.record_of(item.id)
        if record is None or record.created.modality != "audio" or not record.in_conversation or record.done is None:
            return
        if record.done.status == "cancelled" and item.status == "incomplete":
            self.require(
                not spoken_text(item).strip(),
                f"item {item.id} {what} with {spoken_text(item)!r}; no audio of it was played",
            )

    def _retrieved(self, notice: ItemRetrieved) -> None:
        self.check(notice.item, "is retrieved")
        track = self._listener.tracks.get(notice.item.id)
        if track is None or not isinstance(notice.item, Message):
            return
        audio = b"".join(part.audio or b"" for part in notice.item.content if isinstance(part, OutputAudio))
        most = track.sent if track.cut is None else track.cut + TOLERANCE
        samples = track.format.samples(len(audio))
        self.require(samples <= most, f"retrieved {samples} samples of {notice.item.id}, at most {most} are kept")
        start = track.format.size(track.first_sample)
        own = bytes(track.attempt.audio[start : start + len(audio)])
        self.require(own == audio, f"retrieved audio of {notice.item.id} is not what was sent")
