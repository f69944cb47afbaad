"""The conversation as it was heard, for a synthesizer that speaks as a part of it.

Laws: pure. What was said of a reply after the listener interrupted it is not in it, neither as sound nor in words. At most
`MAX_HEARD_CONTEXT_MS` of sound, the newest; a turn whose sound is not kept ends it, so that nothing is missing in between.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

from parley.core.regions.entry import Entry
from parley.core.words.items import InputAudio, Item, Message, OutputAudio
from parley.core.words.limits import MAX_HEARD_CONTEXT_MS, SAMPLES_PER_MS
from parley.core.words.work import HeardTurn


def heard_turns(entries: Sequence[Entry], extra: Iterable[Item] = ()) -> tuple[HeardTurn, ...]:
    """The turns of the entries, then those of `extra` items, the oldest first."""
    left = MAX_HEARD_CONTEXT_MS * SAMPLES_PER_MS
    kept: list[HeardTurn] = []
    for turn in _backwards(entries, tuple(extra)):
        left -= 0 if turn is None else turn.format.samples(len(turn.audio))
        if turn is None or left < 0:
            break
        kept.append(turn)
    return tuple(reversed(kept))


def _backwards(entries: Sequence[Entry], extra: Sequence[Item]) -> Iterator[HeardTurn | None]:
    """The newest turn first; None for one whose sound is not kept. What was written only is left out."""
    for item in reversed(extra):
        yield from _turns_of_item(item)
    for entry in reversed(entries):
        yield from _turns_of_item(entry.item) if entry.speech is None else _clauses_of(entry)


def _turns_of_item(item: Item) -> Iterator[HeardTurn | None]:
    for at, part in reversed(tuple(enumerate(item.content if isinstance(item, Message) else ()))):
        if isinstance(part, InputAudio | OutputAudio):
            speaker: Literal["user", "assistant"] = "user" if isinstance(part, InputAudio) else "assistant"
            words = part.transcript or ""
            yield HeardTurn(f"{item.id}/{at}", speaker, words, part.audio, part.format) if part.audio else None


def _clauses_of(entry: Entry) -> list[HeardTurn | None]:
    speech = entry.speech
    assert speech is not None
    audio = speech.audio_until(speech.samples if entry.heard is None else entry.heard)
    if audio is None:
        return [None]
    form = speech.format
    until = form.samples(len(audio))
    turns: list[HeardTurn | None] = []
    for at, clause in enumerate(speech.clauses):
        heard = min(until - clause.start, clause.samples)
        if heard > 0:
            sound = audio[form.size(clause.start) : form.size(clause.start + heard)]
            words, _ = clause.text_within(heard)
            turns.append(HeardTurn(clause.id or f"{entry.item.id}/{at}", "assistant", words.strip(), sound, form))
    return turns[::-1]
