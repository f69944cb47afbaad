"""What only translation sessions do: close for their client, and forget what they have said.

Laws: `session.close` is carried out once: first the audio that was received is heard out, then what follows from it is finished (and
played, where the server plays it), then the session ends, and nothing is sent after that.
"""

from __future__ import annotations

from parley.core.decisions.turns import Turns
from parley.core.regions.turn_taking import FRAME
from parley.core.state import State
from parley.core.words.effects import CloseLink
from parley.core.words.errors import PeerError
from parley.core.words.limits import INTERPRETED_ITEMS, SAMPLES_PER_MS
from parley.core.words.notices import TranslationClosed
from parley.core.words.settings import CLAUSES
from parley.core.words.translation_notices import TranslationPlaying


class InterpretedSession:
    """Owns the end of a translation session. Shares the session's state."""

    def __init__(self, state: State, turns: Turns) -> None:
        self.st = state
        self.turns = turns

    def close(self) -> None:
        """Handle the client's `session.close`; a second one changes nothing. Raises `PeerError` in other sessions."""
        st = self.st
        if st.settings.kind != "translation":
            raise PeerError(
                "session.close is for translation sessions; close the connection to end this one.",
                code="invalid_value",
                field="type",
            )
        if st.closing == "no":
            st.closing = "input"

    def wind_down(self) -> None:
        """The server stops: finish what was said until now, as for the client's own close."""
        st = self.st
        if st.settings.kind == "translation" and st.closing == "no":
            st.closing = "input"

    def hear_out(self) -> None:
        """End the speaker's turn once all audio before the close has been scored."""
        st = self.st
        if st.closing == "input" and st.input.received - st.turns.scored_to < FRAME:
            self.turns.stalled()
            self.heard_out()

    def heard_out(self) -> None:
        """No audio is waited for any more."""
        st = self.st
        st.closing = "output" if st.closing == "input" else st.closing

    def settle(self) -> bool:
        """Forget old items; tell the end of a closing session in which nothing is pending. True if the session is over."""
        st = self.st
        if st.settings.kind != "translation":
            return False
        self._forget_old_items()
        self._tell_playing()
        if st.closing != "output" or self._busy():
            return False
        st.tell(TranslationClosed())
        st.do(CloseLink("server_shutting_down" if st.winding_down else "session_closed"))
        return True

    def _tell_playing(self) -> None:
        """Tell a client that asked for the records of clauses what it is about to hear, where it cannot know that by itself."""
        st = self.st
        if not st.playback.holds_buffer or CLAUSES not in st.settings.include:
            return
        unheard = st.playback.unheard(st.now)
        end_ms = unheard[0][0].elapsed_ms if unheard else None
        if st.captions.change_playing(end_ms):
            st.tell(TranslationPlaying(end_ms, st.input.received // SAMPLES_PER_MS))

    def _busy(self) -> bool:
        """Whether anything is still to come of what was received."""
        st = self.st
        if st.playback.holds_buffer and st.playback.audible(st.now):
            return True
        if st.turns.turn is not None or st.pending.turns or st.work.waiting:
            return True
        return any(st.responses) or bool(st.attempts.running())

    def _forget_old_items(self) -> None:
        """A translation session refers to nothing that it has said: keep the last items only."""
        st = self.st
        if len(st.conversation) > INTERPRETED_ITEMS:
            for entry in st.conversation.entries()[:-INTERPRETED_ITEMS]:
                if not entry.awaiting and entry.item.status != "in_progress":
                    st.conversation.delete(entry.item.id)
