"""The user's words: waited for, told as they become certain, and what follows when they are there.

Laws: a word once told is never taken back; every committed turn gets its transcript, its failure, or is deleted by
the client; the wait is bounded in time and number.
"""

from __future__ import annotations

from parley.core.decisions.responses import Responses
from parley.core.decisions.resumption import Resumption
from parley.core.policy.backchannels import is_backchannel
from parley.core.regions.entry import Entry
from parley.core.regions.turn_taking import Turn
from parley.core.state import Pending, State
from parley.core.words.effects import DropTranscription, FinishTranscription, OpenTranscription, Transcribe
from parley.core.words.errors import Fault, PeerError
from parley.core.words.events import PartialTranscribed, TranscriptionFailed
from parley.core.words.ids import ItemId, TurnId
from parley.core.words.limits import MAX_PENDING_TURNS, MAX_WAITING_MS, SAMPLES_PER_MS, TRANSCRIPT_WAIT_NS
from parley.core.words.notices import ErrorRaised, TranscriptionCompleted, TranscriptionDelta, TranscriptionFailedNotice
from parley.core.words.settings import LOGPROBS, Transcription

_LATE = Fault("timeout", "Speech recognition did not answer in time.")


class Transcripts:
    """Owns every decision about the words of committed turns. Shares the session's state."""

    def __init__(self, state: State, responses: Responses) -> None:
        self.st = state
        self.responses = responses
        self.resumption = Resumption(state, responses.delivery)

    # --- recogniser streams --------------------------------------------------------------------------------------------------

    def open_turn(self, start: int, onset: int, *, provisional: bool = False, live: bool = True) -> Turn:
        """A turn from this sample on (24 kHz), with a recogniser stream of its own."""
        turn = Turn(self.st.ids.turn(), self.st.ids.item(), start, onset, start, provisional)
        self._open_transcription(turn, live)
        return turn

    def _open_transcription(self, turn: Turn, live: bool) -> None:
        wanted = self.st.settings.transcription or Transcription()
        language = wanted.language or (wanted.languages[0] if len(wanted.languages) == 1 else "")
        self.st.do(
            OpenTranscription(
                turn.id,
                self.st.input.format,
                language,
                wanted.prompt,
                wanted.keywords,
                LOGPROBS in self.st.settings.include,
                () if language else wanted.languages,
                live,
            )
        )

    def feed(self, turn: Turn, end: int) -> None:
        """The recogniser gets the turn's audio up to `end`."""
        if end > turn.fed_to:
            piece = self.st.input.span(turn.fed_to, end)
            turn.fed_to = end
            if piece:
                self.st.do(Transcribe(turn.id, piece))

    def audio_part(self, entry: Entry, index: int, audio: bytes, *, private: bool) -> None:
        """The client has brought audio as part of an item: its words are wanted too."""
        self.st.engines_used = True
        turn = self.open_turn(0, 0, live=False)
        turn.item_id, turn.content_index, turn.private = ItemId(entry.item.id), index, private
        self.st.do(Transcribe(turn.id, audio))
        self.expect(turn, entry, self.st.input.format.samples(len(audio)), False)
        self.st.do(FinishTranscription(turn.id))

    # --- the words of committed turns ----------------------------------------------------------------------------------------

    def waiting(self) -> int:
        """Samples that wait for their words."""
        return sum(pending.samples for pending in self.st.pending.values())

    def check_waiting(self, samples: int, field: str | None = None) -> None:
        """Raises `PeerError` when `samples` more are too many to wait for their words."""
        waiting_s, more_s = self.waiting() // (1000 * SAMPLES_PER_MS), samples // (1000 * SAMPLES_PER_MS)
        if self.waiting() + samples > MAX_WAITING_MS * SAMPLES_PER_MS:
            raise PeerError(
                f"{waiting_s} s of this session's audio wait for their transcripts; {more_s} s more exceed the limit of "
                f"{MAX_WAITING_MS // 1000} s. Send less audio at once, or wait for the transcripts that are to come.",
                code="transcription_backlog",
                field=field,
                kind="rate_limit_error",
            )

    def expect(self, turn: Turn, entry: Entry, samples: int, wants_reply: bool) -> Pending:
        """Wait for the words of so many samples, bounded in time and number."""
        st = self.st
        pending = Pending(turn, entry, samples, st.now + TRANSCRIPT_WAIT_NS, wants_reply)
        st.pending[turn.id] = pending
        # Only what waits before this turn counts: the turn itself was recognised while it came.
        while len(st.pending) > MAX_PENDING_TURNS or self.waiting() - samples > MAX_WAITING_MS * SAMPLES_PER_MS:
            oldest = next(iter(st.pending.values()))
            message = (
                "This turn was given up: too much audio waits for its transcript. Send audio no faster than it is spoken, "
                "or wait for the transcripts."
            )
            self.lose(oldest, Fault("transcription_backlog", message))
        return pending

    def _turn(self, turn_id: TurnId) -> Turn | None:
        st = self.st
        if turn_id in st.pending:
            return st.pending[turn_id].turn
        return next((turn for turn in (st.manual, st.turns.turn) if turn is not None and turn.id == turn_id), None)

    def partial(self, event: PartialTranscribed) -> None:
        """A hypothesis: what is promised of it may be told."""
        turn = self._turn(event.turn)
        if turn is None:
            self.st.late += 1
            return
        turn.text = event.text
        if event.stable.startswith(turn.stable):
            turn.stable = event.stable
        if not turn.provisional:
            self.tell_stable(turn)

    def tell_stable(self, turn: Turn) -> None:
        """A word is told once nothing can take it back."""
        if self._asked_for(turn) and len(turn.stable) > len(turn.told):
            self.st.tell(TranscriptionDelta(turn.item_id, turn.content_index, turn.stable[len(turn.told) :]))
            turn.told = turn.stable

    def _asked_for(self, turn: Turn) -> bool:
        return self.st.settings.transcription is not None and not turn.private

    def resolve(self, pending: Pending, text: str, logprobs: str, *, guessed_at: int | None = None) -> None:
        """A turn's words are known. `guessed_at` is the conversation's version on which a guess at the reply would rest."""
        st, turn = self.st, pending.turn
        st.pending.pop(turn.id, None)
        pending.entry.transcribed(turn.content_index, text)
        if self._asked_for(turn):
            if text.startswith(turn.told) and len(text) > len(turn.told):
                st.tell(TranscriptionDelta(turn.item_id, turn.content_index, text[len(turn.told) :]))
            seconds = pending.samples / (1000 * SAMPLES_PER_MS)
            st.tell(TranscriptionCompleted(turn.item_id, turn.content_index, text, seconds, logprobs))
        stopped = st.interrupted is not None and st.interrupted.turn == turn.id
        nothing_said = stopped and is_backchannel(text)
        answer = pending.wants_reply and st.policy.wants_reply(text) and not nothing_said
        if guessed_at is not None:
            if answer and self.responses.redeem_guess(text, guessed_at, pending.samples // SAMPLES_PER_MS):
                return
            self.responses.drop_guess()
        self.responses.start_waiting()
        if nothing_said and pending.wants_reply and self.resumption.resume_after_false_interruption(text):
            return
        if pending.silent_prompt:
            self.responses.owe(silent=True)
        elif pending.wants_reply and st.policy.wants_reply(text):
            self.responses.owe()

    def failed(self, event: TranscriptionFailed) -> None:
        """The recogniser has given a turn up; if it is still being spoken, its end will say so."""
        st = self.st
        pending = st.pending.get(event.turn)
        if pending is not None:
            self.lose(pending, event.fault)
            return
        turn = self._turn(event.turn)
        if turn is not None:
            turn.fault = event.fault
        else:
            st.late += 1

    def lose(self, pending: Pending, fault: Fault) -> None:
        """This turn's words will never be known; whoever waited for them is told, and the recogniser let go."""
        st, turn = self.st, pending.turn
        st.pending.pop(turn.id, None)
        st.do(DropTranscription(turn.id))
        pending.entry.lose_one()
        if self._asked_for(turn):
            st.tell(TranscriptionFailedNotice(turn.item_id, turn.content_index, fault.code, fault.message))
        elif not turn.private:
            st.tell(ErrorRaised(fault.code, fault.message, kind="server_error"))
        self.responses.transcript_failed(pending.entry, fault)
        self.responses.start_waiting()

    def fail_overdue(self) -> None:
        """Fail every turn whose words have been awaited for too long."""
        for pending in list(self.st.pending.values()):
            if pending.deadline_ns <= self.st.now:
                self.lose(pending, _LATE)

    def abandon(self, turn_id: TurnId) -> None:
        """The shell no longer waits for the words of this turn."""
        pending = self.st.pending.get(turn_id)
        if pending is None:
            self.st.late += 1
        else:
            self.lose(pending, _LATE)
