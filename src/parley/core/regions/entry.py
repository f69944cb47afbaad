"""One item of a conversation, with its speech, audio and pending output.

Laws: only an entry changes its item; a change that a prompt could show counts in the version of the conversation that holds it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from parley.core.regions.speech import Speech
from parley.core.words.items import Content, InputAudio, Item, Message, OutputAudio
from parley.core.words.limits import SAMPLES_PER_MS


class Version:
    """Counts the changes of a conversation that a prompt could show."""

    __slots__ = ("number",)

    def __init__(self) -> None:
        self.number = 0

    def grow(self) -> None:
        self.number += 1


@dataclass(slots=True, eq=False)
class Entry:
    """An item and what stands behind it.

    `heard` is the sample to which a spoken item was heard (None: all of it, as far as is known); `by_client`: the client said so.
    `input_samples` is the length of a user's audio, `awaiting` how much is still to come: transcripts of its audio, the output of its
    call. `version` is the conversation's, None for an entry that is in none. Entries are equal only if they are the same one.
    """

    item: Item
    speech: Speech | None = None
    heard: int | None = None
    by_client: bool = False
    input_samples: int = 0
    awaiting: int = 0
    deleted: bool = False
    version: Version | None = None

    # --- what changes it -----------------------------------------------------------------------------------------------------

    def become(self, item: Item) -> None:
        """The item is this from now on."""
        self.item = item
        self._changed()

    def begin_clause(self, text: str, id: str = "") -> None:
        """The next clause of a spoken item; the one before it is complete. Does nothing for an item without speech."""
        if self.speech is not None:
            self.speech.begin(text, id)
        self._changed()

    def cut(self, heard: int, *, by_client: bool = False) -> None:
        """At most `heard` samples of this spoken item were heard. The client's own word outranks any estimate."""
        if self.by_client and not by_client:
            return
        self.heard = heard
        self.by_client = self.by_client or by_client
        self._changed()

    def await_one(self) -> None:
        """One more part of it is still to come."""
        self.awaiting += 1

    def lose_one(self) -> None:
        """One part of it will never come."""
        self.awaiting -= 1

    def await_nothing(self) -> None:
        self.awaiting = 0

    def transcribed(self, index: int, transcript: str) -> None:
        """The words of one part of the user's audio have come."""
        self.awaiting -= 1
        if isinstance(self.item, Message):
            content = tuple(
                replace(part, transcript=transcript) if at == index and isinstance(part, InputAudio) else part
                for at, part in enumerate(self.item.content)
            )
            self.item = replace(self.item, content=content)
        self._changed()

    def enter(self, version: Version) -> None:
        """It is in the conversation that counts with this."""
        self.version = version
        version.grow()

    def leave(self) -> None:
        """It has been deleted from its conversation."""
        self.deleted = True
        if self.version is not None:
            self.version.grow()
            self.version = None

    def discard_audio(self) -> None:
        """Forget the sound, keep the words."""
        if self.speech is not None:
            self.speech.discard_audio()
        elif isinstance(self.item, Message):
            self.item = replace(self.item, content=tuple(map(_silent, self.item.content)))

    def _changed(self) -> None:
        if self.version is not None:
            self.version.grow()

    # --- what it looks like --------------------------------------------------------------------------------------------------

    def view(self, played: int | None = None) -> Item:
        """The item as the conversation holds it: without audio, with the words that were heard.

        `played`: the sample to which a spoken item has been played by now (None: to its end, or as `heard` says).
        """
        item = self.item
        if isinstance(item, Message) and self.speech is not None:
            heard = played if self.heard is None else self.heard
            text, exact = (self.speech.text, True) if heard is None else self.speech.text_until(heard)
            heard_ms = None if heard is None else max(heard, 0) // SAMPLES_PER_MS
            return replace(
                item, content=(OutputAudio(text, exact=exact, format=self.speech.format, heard_ms=heard_ms),)
            )
        if isinstance(item, Message):
            return replace(item, content=tuple(_silent(part) for part in item.content))
        return item

    def _heard_text(self, speech: Speech) -> tuple[str, bool]:
        if self.heard is None:
            return speech.text, True
        return speech.text_until(self.heard)

    def audio_between(self, start: int, end: int) -> bytes:
        """The user's audio between two samples of the item; b"" where it is no longer kept."""
        content = self.item.content if isinstance(self.item, Message) else ()
        for part in content:
            if isinstance(part, InputAudio) and part.audio is not None:
                return bytes(part.audio[part.format.size(start) : part.format.size(end)])
        return b""

    def with_audio(self, most_bytes: int) -> Item:
        """The item with as much of its audio as is kept, cut to what a client's socket surely takes."""
        item = self.item
        if isinstance(item, Message) and self.speech is not None:
            text, exact = self._heard_text(self.speech)
            audio = self.speech.audio_until(self.speech.samples if self.heard is None else self.heard)
            return replace(item, content=(OutputAudio(text, _bounded(audio, most_bytes), self.speech.format, exact),))
        if isinstance(item, Message):
            return replace(item, content=tuple(_bounded_part(part, most_bytes) for part in item.content))
        return item

    @property
    def audio_ms(self) -> int:
        """Milliseconds of the user's audio in the item."""
        return self.input_samples // SAMPLES_PER_MS

    @property
    def audio_bytes(self) -> int:
        """Audio that the entry keeps."""
        if self.speech is not None:
            return 0 if self.speech.discarded else self.speech.format.size(self.speech.samples)
        if isinstance(self.item, Message):
            parts = (part for part in self.item.content if isinstance(part, InputAudio | OutputAudio))
            return sum(len(part.audio) for part in parts if part.audio)
        return 0


def _silent(part: Content) -> Content:
    return replace(part, audio=None) if isinstance(part, InputAudio | OutputAudio) else part


def _bounded(audio: bytes | None, most_bytes: int) -> bytes | None:
    return None if audio is None else audio[:most_bytes]


def _bounded_part(part: Content, most_bytes: int) -> Content:
    return replace(part, audio=_bounded(part.audio, most_bytes)) if isinstance(part, InputAudio | OutputAudio) else part
