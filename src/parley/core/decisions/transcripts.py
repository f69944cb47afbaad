"""The transcripts of the user's turns: pending, sent as they become stable, and their consequences.

Laws: a word once sent is never taken back; every committed turn gets its transcript, its failure, or is deleted by
the client; the wait is bounded in time and number.
"""

from __future__ import annotations

from typing import assert_never

from parley.core.decisions.responses import Responses
from parley.core.decisions.resumption import Resumption
from parley.core.policy.backchannels import is_backchannel
from parley.core.policy.policy import Answer, Decided, PassOn, Said, Say, Skip, Translate, Waiting
from parley.core.policy.spoken_language import believed_language
from parley.core.regions.attempt import Plan
from parley.core.regions.entry import Entry
from parley.core.regions.pending_turns import HeldTranscript, Pending
from parley.core.regions.turn_taking import UserTurn
from parley.core.regions.work_queue import PendingWork
from parley.core.state import State
from parley.core.words.effects import DropTranscription, FinishTranscription, OpenTranscription, Transcribe
from parley.core.words.errors import Fault, PeerError
from parley.core.words.events import PartialTranscribed, Transcribed, TranscriptionFailed
from parley.core.words.ids import TurnId
from parley.core.words.limits import (
    MAX_PENDING_TURNS,
    MAX_UNSTABLE_TEXT,
    MAX_WAITING_MS,
    SAMPLES_PER_MS,
    TRANSCRIPT_WAIT_NS,
    TRANSLATION_CONTEXT,
)
from parley.core.words.notices import ErrorRaised, TranscriptionCompleted, TranscriptionDelta, TranscriptionFailedNotice
from parley.core.words.settings import LOGPROBS, UNSTABLE_WORDS, Transcription
from parley.core.words.translation_notices import UnstableWordsChanged
from parley.core.words.unstable_transcript import UnstableTranscript
from parley.core.words.work import OriginalSpeech, Translation, Utterance
from parley.text.joining import after_words, last_words
from parley.text.repeats import without_loops

_LATE = Fault("timeout", "Speech recognition did not answer in time.")


class Transcripts:
    """Owns every decision about the transcripts of committed turns. Shares the session's state."""

    def __init__(self, state: State, responses: Responses) -> None:
        self.st = state
        self.responses = responses
        self.resumption = Resumption(state, responses)

    # --- recogniser streams --------------------------------------------------------------------------------------------------

    def open_turn(self, start: int, onset: int, *, provisional: bool = False) -> UserTurn:
        """Open a turn from this sample on (24 kHz), with its own recogniser stream."""
        return self._open(UserTurn(self.st.ids.turn(), self.st.ids.item(), start, onset, start, provisional), live=True)

    def _open(self, turn: UserTurn, *, live: bool) -> UserTurn:
        self._open_transcription(turn, live)
        return turn

    def _open_transcription(self, turn: UserTurn, live: bool) -> None:
        wanted = self.st.settings.transcription or Transcription()
        language = self._prescribed_language()
        interprets = self.st.settings.kind == "translation"
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
                self.st.owner.interpreting.lag.agreement if interprets else 2,
            )
        )

    def _prescribed_language(self) -> str:
        """The language for the recogniser; "" to have it detected."""
        wanted = self.st.settings.transcription or Transcription()
        if wanted.language or not wanted.languages:
            return wanted.language or self.st.owner.language
        return wanted.languages[0] if len(wanted.languages) == 1 else ""

    def language_of(self, event: Transcribed, samples: int) -> str:
        """The language of a turn of so many samples; "" where it is not known."""
        expected = self._prescribed_language() or self.st.heard_language
        return believed_language(event.language, event.language_confidence, samples // SAMPLES_PER_MS, expected)

    def feed(self, turn: UserTurn, end: int) -> None:
        """Feed the turn's audio up to `end` to the recogniser."""
        if end > turn.fed_to:
            piece = self.st.input.span(turn.fed_to, end)
            turn.feed(end)
            if piece:
                self.st.do(Transcribe(turn.id, piece))

    def audio_part(self, entry: Entry, index: int, audio: bytes, *, private: bool) -> None:
        """Transcribe audio that a client added as part of an item."""
        self.st.engines_used = True
        part = UserTurn(self.st.ids.turn(), entry.item.id, 0, 0, 0, content_index=index, private=private)
        turn = self._open(part, live=False)
        self.st.do(Transcribe(turn.id, audio))
        self.expect(turn, entry, self.st.input.format.samples(len(audio)), False)
        self.st.do(FinishTranscription(turn.id))

    # --- the words of committed turns ----------------------------------------------------------------------------------------

    def check_waiting(self, samples: int, field: str | None = None) -> None:
        """Raises `PeerError` if `samples` more exceed the transcription backlog."""
        waiting_s, more_s = self.st.pending.samples // (1000 * SAMPLES_PER_MS), samples // (1000 * SAMPLES_PER_MS)
        if self.st.pending.samples + samples > MAX_WAITING_MS * SAMPLES_PER_MS:
            raise PeerError(
                f"{waiting_s} s of this session's audio wait for their transcripts; {more_s} s more exceed the limit of "
                f"{MAX_WAITING_MS // 1000} s. Send less audio at once, or wait for the transcripts that are to come.",
                code="transcription_backlog",
                field=field,
                kind="rate_limit_error",
            )

    def expect(
        self, turn: UserTurn, entry: Entry, samples: int, wants_reply: bool, *, silent_prompt: bool = False
    ) -> Pending:
        """Wait for the transcript of this many samples, limited in time and number."""
        st = self.st
        deadline_ns = st.now + TRANSCRIPT_WAIT_NS
        pending = Pending(turn, entry, samples, deadline_ns, wants_reply, silent_prompt=silent_prompt)
        st.pending.add(pending)
        # Only what waits before this turn counts: the turn itself was recognised while it came.
        while (
            len(st.pending.turns) > MAX_PENDING_TURNS
            or self.st.pending.samples - samples > MAX_WAITING_MS * SAMPLES_PER_MS
        ):
            message = (
                "This turn was given up: too much audio waits for its transcript. Send audio no faster than it is spoken, "
                "or wait for the transcripts."
            )
            self.lose(st.pending.oldest, Fault("transcription_backlog", message))
        return pending

    def _turn(self, turn_id: TurnId) -> UserTurn | None:
        pending = self.st.pending.get(turn_id)
        if pending is not None:
            return pending.turn
        return next((turn for turn in self.st.turns.open() if turn.id == turn_id), None)

    def partial(self, event: PartialTranscribed) -> None:
        """Take a hypothesis; its stable part may be sent."""
        turn = self._turn(event.turn)
        if turn is None:
            self.st.late += 1
            return
        turn.hear(event.text, event.stable, event.language, event.language_confidence)
        if event.end_of_turn is not None:
            self.st.turns.ending(turn, event.end_of_turn)
        if not turn.provisional:
            self.words_stable(turn)
        elif turn is self.st.turns.manual and self._asked_for(turn):
            self._tell_unstable(turn)  # its deltas follow the commit: until then its client may clear it

    def words_stable(self, turn: UserTurn) -> None:
        """Send stable words to the client and let the policy decide on them."""
        st = self.st
        if self._waits_for_older(turn):
            return
        if self._asked_for(turn):
            if new := turn.tell_stable():
                self._tell_words(turn, new)
            self._tell_unstable(turn)
        detection = st.settings.turn_detection
        if not turn.consider_stable() or turn.private or not st.policy.speaks:
            return
        if detection is not None and detection.create_response:
            turn.wait(st.turns.scored_to)
            said = self._said(turn)
            self._decided(turn, said, st.policy.words_became_stable(said))

    def words_wait(self, turn: UserTurn) -> None:
        """Time has passed: ask a policy that waits about the stable words for which it has decided no work."""
        policy = self.st.policy
        if turn.private or not isinstance(policy, Waiting) or not turn.due(self.st.turns.scored_to):
            return
        said = self._said(turn)
        self._decided(turn, said, policy.words_wait(said))

    def _said(self, turn: UserTurn) -> Said:
        """The stable words of a turn that is being spoken."""
        st = self.st
        waited = 0 if turn.waiting_since is None else (st.turns.scored_to - turn.waiting_since) // SAMPLES_PER_MS
        return Said(turn.stable, turn.decided_to, self._language(self._believed(turn)), waited)

    def _believed(self, turn: UserTurn) -> str:
        """What the recogniser has made known of the language of a turn that is being spoken, as far as it is believed."""
        expected = self._prescribed_language() or self.st.heard_language
        if not turn.language:
            return self.st.heard_language
        turn_ms = (turn.fed_to - turn.start_sample) // SAMPLES_PER_MS
        return believed_language(turn.language, turn.language_confidence, turn_ms, expected)

    def _tell_words(self, turn: UserTurn, new: str) -> None:
        """Send more of a turn's words; in a translation session all turns are one text."""
        st, elapsed_ms = self.st, 0
        if st.settings.kind == "translation":
            new, elapsed_ms = st.captions.add_source(new), st.input.received // SAMPLES_PER_MS
        st.tell(TranscriptionDelta(turn.item_id, turn.content_index, new, elapsed_ms))

    def _tell_unstable(self, turn: UserTurn | None) -> None:
        """Send a turn's words that may still change to a client that asked for them, where they have changed; None: there are none."""
        st = self.st
        if UNSTABLE_WORDS not in st.settings.include:
            return
        words = "" if turn is None else last_words(self._unsent(turn, turn.text), MAX_UNSTABLE_TEXT)
        if st.settings.kind != "translation":  # each turn's words end by themselves
            if turn is not None and turn.show(words):
                st.tell(UnstableTranscript(turn.item_id, turn.content_index, words))
            return
        if (shown := st.captions.change_unstable(words)) is not None:
            st.tell(UnstableWordsChanged(shown, st.input.received // SAMPLES_PER_MS))

    def drop(self, turn: UserTurn) -> None:
        """The turn is discarded: none of its words is to come, and those that may still change end."""
        self.st.do(DropTranscription(turn.id))
        turn.hear("")
        self._tell_unstable(turn)

    def _language(self, heard: str = "") -> str:
        wanted = self.st.settings.transcription
        return heard or (wanted.language if wanted else "") or self.st.owner.language

    def _decided(self, turn: UserTurn, said: Said, work: tuple[Decided, ...], entry: Entry | None = None) -> None:
        """Queue the work that the policy has decided for the turn's words; `entry` is its item once it is committed."""
        heard_to = max(turn.fed_to, turn.start_sample)
        end_ms = heard_to // SAMPLES_PER_MS
        for one in work:
            match one:
                case Answer():
                    self.responses.queue_reply()
                case Translate(end=end):
                    text = turn.decide(said.text, end, heard_to)
                    turn.passes(heard_to)
                    if text.strip():
                        self._translate(text, one.from_language or said.language, one, end_ms)
                case Say(text=text):
                    if one.end:
                        turn.decide(said.text, one.end, heard_to)
                    if text.strip():
                        self.responses.queue(
                            PendingWork(Plan(given=Utterance(text, one.language, end_ms)), queued_ns=self.st.now)
                        )
                case PassOn(end=end):
                    self._pass_on(turn, turn.decide(said.text, end, heard_to), heard_to, entry)
                case Skip(end=end):
                    turn.decide(said.text, end, heard_to)
                    turn.passes(heard_to)
                case _:
                    assert_never(one)

    def _translate(self, text: str, from_language: str, one: Translate, end_ms: int) -> None:
        st = self.st
        text = without_loops(text)
        clause = st.captions.next_clause()
        given = Translation(text, from_language, one.to_language, one.terms, st.translated, clause, end_ms)
        st.translated = (*st.translated, text)[-TRANSLATION_CONTEXT:]
        self.responses.queue(PendingWork(Plan(given=given), queued_ns=st.now))

    def _pass_on(self, turn: UserTurn, text: str, heard_to: int, entry: Entry | None) -> None:
        """Queue the turn's own audio up to `heard_to`, as the speech of these words."""
        st = self.st
        begin, end = turn.passes(heard_to)
        audio = (
            st.input.span(begin, end)
            if entry is None
            else entry.audio_between(begin - turn.start_sample, end - turn.start_sample)
        )
        if audio and st.input.format is st.settings.output_format:
            given = OriginalSpeech(text, audio, end // SAMPLES_PER_MS)
            self.responses.queue(PendingWork(Plan(given=given), queued_ns=st.now))

    def _asked_for(self, turn: UserTurn) -> bool:
        return self.st.settings.transcription is not None and not turn.private

    def resolve(
        self, pending: Pending, text: str, logprobs: str, language: str, *, speculated_at: int | None = None
    ) -> None:
        """Handle a turn's transcript. `speculated_at` is the conversation's version on which a speculative reply rests."""
        turn = pending.turn
        if self._waits_for_older(turn):
            pending.hold(HeldTranscript(text, logprobs, language))
            return
        self._resolved(pending, text, logprobs, language, speculated_at)
        self._next_in_order()

    def _waits_for_older(self, turn: UserTurn) -> bool:
        """Whether the words of this turn come after those of an older one, in a session whose turns are one text."""
        st = self.st
        return st.settings.kind == "translation" and bool(st.pending.turns) and st.pending.oldest.turn is not turn

    def _next_in_order(self) -> None:
        """A turn has its words, or will have none: those that waited for it follow."""
        st = self.st
        if st.settings.kind != "translation":
            return
        for pending in st.pending:
            if pending.held is None:
                self.words_stable(pending.turn)
                return
            held = pending.held
            self._resolved(pending, held.text, held.logprobs, held.language, None)
        for turn in st.turns.open():
            self.words_stable(turn)

    def _resolved(self, pending: Pending, text: str, logprobs: str, language: str, speculated_at: int | None) -> None:
        st, turn = self.st, pending.turn
        st.pending.remove(turn.id)
        pending.entry.transcribed(turn.content_index, text)
        if not turn.private:
            st.heard_language = language
        if self._asked_for(turn):
            rest = self._unsent(turn, text)
            if rest.strip():
                self._tell_words(turn, rest)
            self._tell_unstable(None)
            seconds = pending.samples / (1000 * SAMPLES_PER_MS)
            st.tell(TranscriptionCompleted(turn.item_id, turn.content_index, text, seconds, logprobs))
        stopped = st.interrupted is not None and st.interrupted.turn == turn.id
        backchannel = stopped and is_backchannel(text)
        said = Said(text, turn.undecided_from(text), self._language(language))
        decided = st.policy.turn_ended(said) if pending.wants_reply else ()
        if speculated_at is not None:
            if decided == (Answer(),) and not backchannel:
                turn_ms = pending.samples // SAMPLES_PER_MS
                if self.responses.release_speculation(text, speculated_at, turn_ms):
                    return
            self.responses.drop_speculation()
        self.responses.start_waiting()
        if backchannel and pending.wants_reply and self.resumption.resume_after_false_interruption(text):
            return
        if pending.silent_prompt:
            self.responses.queue_reply(silent=True)
        elif pending.wants_reply:
            self._decided(turn, said, decided, pending.entry)

    def _unsent(self, turn: UserTurn, text: str) -> str:
        """What of its final words the client has not been sent as deltas."""
        if text.startswith(turn.sent):
            return text[len(turn.sent) :]
        if self.st.settings.kind != "translation":
            return ""  # the final transcript follows whole
        return text[after_words(text, len(turn.sent.split())) :]

    def failed(self, event: TranscriptionFailed) -> None:
        """The recogniser has failed for a turn; a turn in progress fails at its end."""
        st = self.st
        pending = st.pending.get(event.turn)
        if pending is not None:
            self.lose(pending, event.fault)
            return
        turn = self._turn(event.turn)
        if turn is not None:
            turn.fail(event.fault)
        else:
            st.late += 1

    def lose(self, pending: Pending, fault: Fault) -> None:
        """The turn gets no transcript: fail what waited for it, and close its recogniser stream."""
        st, turn = self.st, pending.turn
        st.do(DropTranscription(turn.id))
        if self._asked_for(turn):
            st.tell(TranscriptionFailedNotice(turn.item_id, turn.content_index, fault.code, fault.message))
        elif not turn.private:
            st.tell(ErrorRaised(fault.code, fault.message, kind="server_error"))
        if self._waits_for_older(turn):  # what it has promised is translated in its turn
            pending.hold(HeldTranscript(turn.stable, "", self._believed(turn)))
            return
        self._tell_unstable(None)
        st.pending.remove(turn.id)
        pending.entry.lose_one()
        self.responses.transcript_failed(pending.entry, fault)
        self.responses.start_waiting()
        if st.settings.kind == "translation" and pending.wants_reply:
            said = self._said(turn)  # the stable words were shown, and are not taken back
            self._decided(turn, said, st.policy.turn_ended(said), pending.entry)
        self._next_in_order()

    def fail_overdue(self) -> None:
        """Fail every turn whose transcript has timed out."""
        for pending in self.st.pending:
            if pending.held is None and pending.deadline_ns <= self.st.now:
                self.lose(pending, _LATE)

    def abandon(self, turn_id: TurnId) -> None:
        """Fail a turn whose transcript the shell has abandoned."""
        pending = self.st.pending.get(turn_id)
        if pending is None or pending.held is not None:
            self.st.late += 1
        else:
            self.lose(pending, _LATE)
