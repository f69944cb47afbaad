"""The sentences of a link: what was committed, in order, what was heard of it, and which of them go into one request.

Laws:
- Pure: time (seconds of the caller's monotonic clock) is an argument.
- A sentence leaves the queue once: in a request, or because it is given up, which is reported.
- The running text of the speaker is in the order of the speech, whatever the order in which the server understands.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

from parley.interpret.updates import RouteNote, RouteUpdate, SourceText

MAX_WAITING: Final = 3
"""With more sentences than these waiting, they become one request."""

MAX_WAITING_MS: Final = 20_000
"""The same, for the audio that waits."""

MAX_AGE_S: Final = 8.0
"""The same, for the oldest that waits: a listener loses the thread at twice this lag."""

MAX_MERGED_MS: Final = 60_000
"""What goes into one request at most; the rest follows in the next one."""

MOST_WAITING: Final = 32
MOST_WAITING_MS: Final = 120_000
"""Beyond either, the oldest sentence is given up: the server is far slower than speech."""

TRANSCRIPT_WAIT_S: Final = 10.0
"""For so long after its commit, a sentence's words are waited for; later ones are not shown."""


@dataclass(slots=True, eq=False)
class SpokenSentence:
    """A committed piece of speech. `commit` is the id of the event that committed it, `item_id` the server's name of it ("": not yet
    known). `heard`: its words have come, or never will; then `source` are its words, or None where they are not known."""

    number: int
    length_ms: float
    end_ms: float
    ended_s: float
    commit: str
    item_id: str = ""
    heard: bool = False
    source: str | None = None
    partial: str = ""

    @property
    def wordless(self) -> bool:
        """Nothing was understood in it: a cough, a door."""
        return self.heard and self.source is not None and not any(map(str.isalnum, self.source))


class SentenceQueue:
    """The sentences that wait for their translation, oldest first."""

    def __init__(self) -> None:
        self._waiting: deque[SpokenSentence] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, sentence: SpokenSentence) -> list[SpokenSentence]:
        """The sentences that are given up for it."""
        self._waiting.append(sentence)
        given_up: list[SpokenSentence] = []
        while len(self._waiting) > MOST_WAITING or self.length_ms > MOST_WAITING_MS:
            given_up.append(self._waiting.popleft())
        return given_up

    def remove(self, sentence: SpokenSentence) -> bool:
        """Whether it waited."""
        if sentence not in self._waiting:
            return False
        self._waiting.remove(sentence)
        return True

    def given_up(self) -> list[SpokenSentence]:
        """Take out all of them."""
        all_of_them = list(self._waiting)
        self._waiting.clear()
        return all_of_them

    @property
    def length_ms(self) -> float:
        return sum(sentence.length_ms for sentence in self._waiting)

    def wordless(self) -> list[SpokenSentence]:
        """Take out those without words."""
        found = [sentence for sentence in self._waiting if sentence.wordless]
        for sentence in found:
            self._waiting.remove(sentence)
        return found

    def take(self, now_s: float, *, together: bool) -> tuple[tuple[SpokenSentence, ...], RouteNote | None]:
        """The sentences of the next request: one, or several where the queue is behind or `together` asks for all, and what to tell the
        user of that. Empty where the oldest has no item yet, or with `together` any of them."""
        waiting = self._waiting
        if not waiting or not waiting[0].item_id or (together and not all(one.item_id for one in waiting)):
            return (), None
        waited_s = now_s - waiting[0].ended_s
        behind = len(waiting) > MAX_WAITING or self.length_ms > MAX_WAITING_MS or waited_s > MAX_AGE_S
        taken = [waiting.popleft()]
        length_ms = taken[0].length_ms
        while waiting and (together or (behind and waiting[0].item_id)):
            length_ms += waiting[0].length_ms
            if length_ms > MAX_MERGED_MS and not together:
                break
            taken.append(waiting.popleft())
        if len(taken) == 1:
            return tuple(taken), None
        message = f"{len(taken)} sentences wait for the server, the oldest for {waited_s:.0f} s: they are translated together."
        return tuple(taken), RouteNote("note", message)


class RunningSource:
    """The speaker's words of all sentences as one text. Call `changed()` after changes of a sentence, and `expire()` at `deadline()`."""

    def __init__(self) -> None:
        self._open: deque[SpokenSentence] = deque()
        self._shown = ""

    def __len__(self) -> int:
        return len(self._open)

    def add(self, sentence: SpokenSentence) -> None:
        self._open.append(sentence)

    def of_item(self, item_id: str) -> SpokenSentence | None:
        """The sentence that waits for the words of this item."""
        return next((one for one in self._open if item_id and one.item_id == item_id and not one.heard), None)

    def changed(self) -> list[RouteUpdate]:
        """What is to be shown now."""
        updates: list[RouteUpdate] = []
        while self._open and self._open[0].heard:
            words = self._open.popleft().source
            if words or self._shown:
                updates.append(SourceText(words or "", ends=bool(words)))
            self._shown = ""
        partial = self._open[0].partial if self._open else ""
        if partial != self._shown:
            updates.append(SourceText(unstable=partial))
            self._shown = partial
        return updates

    def deadline(self) -> float | None:
        return min(
            (sentence.ended_s + TRANSCRIPT_WAIT_S for sentence in self._open if not sentence.heard), default=None
        )

    def expire(self, now_s: float) -> list[SpokenSentence]:
        """Give up the words that have not come; those sentences are `heard` now. Next: `changed()`."""
        late = [one for one in self._open if not one.heard and now_s >= one.ended_s + TRANSCRIPT_WAIT_S]
        for sentence in late:
            sentence.heard = True
            sentence.source = sentence.partial.strip() or None
        return late
