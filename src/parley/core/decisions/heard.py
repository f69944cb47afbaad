"""How much of the agent's speech the listener has heard, and cutting the conversation to it.

Laws: items are cut here only; the conversation keeps exactly what was heard; a position given by the client overrides the estimate.
"""

from __future__ import annotations

from collections.abc import Collection

from parley.core.regions.entry import Entry
from parley.core.regions.playback import Heard
from parley.core.regions.response import Response
from parley.core.state import State
from parley.core.words.errors import PeerError
from parley.core.words.ids import ItemId
from parley.core.words.limits import SAMPLES_PER_MS


class HeardSpeech:
    """Owns every cut of an item to what was heard. Shares the session's state."""

    def __init__(self, state: State) -> None:
        self.st = state

    def stop(self) -> list[Heard]:
        """Stop the playback; each item that was not fully heard keeps what was heard. Call `tell_cleared` next."""
        st = self.st
        cuts, effects = st.playback.silence(st.now)
        main = st.responses.main
        being_made = {} if main is None else {output.entry.item.id: output.entry for output in main.outputs}
        for cut in cuts:
            entry = st.conversation.entry(cut.item) or being_made.get(cut.item)  # the client may have deleted it
            if entry is not None and entry.speech is not None:
                entry.cut(cut.samples)
        st.do_all(effects)
        return cuts

    def tell_cleared(self, cuts: Collection[Heard]) -> None:
        """Notify the client of what was stopped and, where the server plays, of what is kept."""
        st = self.st
        st.tell_all(st.playback.cleared([cut for cut in cuts if cut.item in st.conversation]))

    def cut_unspoken(self, response: Response, cut: Collection[ItemId] = ()) -> None:
        """Cut the text of an unfinished reply that has no audio yet; `cut` are the items that were already cut."""
        for output in response.outputs:
            entry = output.entry
            if entry.speech is None or output.closed or entry.item.id in cut or entry.heard is not None:
                continue
            entry.cut(entry.speech.samples)

    def cut_by_client(self, entry: Entry, audio_end_ms: int) -> None:
        """Cut the item to what the client says it has played. Raises `PeerError` for more than there is."""
        if entry.speech is None:
            raise PeerError(
                "Only model output audio messages can be truncated.", code="unsupported_content_type", field="item_id"
            )
        known = entry.heard if entry.by_client and entry.heard is not None else entry.speech.samples
        known_ms = -(-known // SAMPLES_PER_MS)
        if audio_end_ms > known_ms:
            raise PeerError(
                f"Audio content of {known_ms}ms is already shorter than {audio_end_ms}ms",
                code="invalid_value",
                field="audio_end_ms",
            )
        # A client counts whole milliseconds: one that names the last of them has heard the rest of it too.
        all_of_it = audio_end_ms >= known // SAMPLES_PER_MS
        entry.cut(known if all_of_it else audio_end_ms * SAMPLES_PER_MS, by_client=True)
        if self.st.playback.drop(entry.item.id, self.st.now):
            self.tell_cleared([one for one in self.stop() if one.item != entry.item.id])

    def played_so_far(self) -> dict[ItemId, int]:
        """The spoken items that are not fully heard yet, each with the sample to which it has been played."""
        st = self.st
        played = {cut.item: cut.samples for cut in st.playback.heard(st.now)}
        main = st.responses.main
        for output in () if main is None else main.outputs:
            if output.entry.speech is not None and not output.closed:
                played.setdefault(output.entry.item.id, output.entry.speech.samples)
        return played

    def cut_at_end(self) -> None:
        """The session ends: cut the items in progress to what has been heard."""
        for item, samples in self.played_so_far().items():
            entry = self.st.conversation.entry(item)
            if entry is not None and entry.speech is not None and entry.heard is None:
                entry.cut(samples)
