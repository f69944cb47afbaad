"""The user's side: input audio, turn detection, transcripts, and the floor.

Laws: decisions about the user's voice are made in samples; the recogniser gets exactly the turn's audio; the client
is notified of a turn at once, of its transcript when it arrives; a voice over a reply takes the floor at once or, if
`barge_in` is "confirmed", once its words or its length confirm it.
"""

from __future__ import annotations

from typing import assert_never

from parley.core.decisions.responses import Responses
from parley.core.decisions.transcripts import Transcripts
from parley.core.policy.backchannels import takes_floor
from parley.core.policy.endpointing import threshold_of
from parley.core.policy.policy import Said
from parley.core.policy.turn_rules import MAX_PRE_ROLL_MS, PauseSeen
from parley.core.regions.entry import Entry
from parley.core.regions.pending_turns import Pending
from parley.core.regions.turn_taking import Began, Paused, Pausing, Quiet, Resumed, Speaking, UserTurn
from parley.core.state import State
from parley.core.words.effects import (
    DropTranscription,
    FinishTranscription,
    FlushTranscription,
    JudgePause,
    ScoreVoice,
)
from parley.core.words.errors import PeerError
from parley.core.words.events import PauseJudged, Transcribed, VoiceScored
from parley.core.words.items import InputAudio, Message
from parley.core.words.limits import (
    CONFIRM_SPEECH_MS,
    CONFIRM_WORDS,
    JUDGE_AFTER_MS,
    JUDGE_AUDIO_MS,
    MANUAL_FEED_MS,
    MAX_APPEND_BYTES,
    MAX_BUFFERED_MS,
    MAX_TURN_MS,
    MIN_COMMIT_MS,
    REJECT_PAUSE_MS,
    SAMPLES_PER_MS,
)
from parley.core.words.notices import (
    IdleTimeoutTriggered,
    InputCleared,
    InputCommitted,
    InputSpeechStarted,
    InputSpeechStopped,
    ItemAdded,
    ItemDone,
)
from parley.core.words.settings import SemanticVad, TurnDetection


class Turns:
    """Owns every decision about the user's voice. Shares the session's state."""

    def __init__(self, state: State, responses: Responses) -> None:
        self.st = state
        self.responses = responses
        self.transcripts = Transcripts(state, responses)

    # --- audio ---------------------------------------------------------------------------------------------------------------

    def audio(self, audio: bytes) -> None:
        """Take the next audio of the microphone."""
        st = self.st
        if len(audio) > MAX_APPEND_BYTES:
            raise PeerError(
                f"One append carries at most {MAX_APPEND_BYTES // 1024 // 1024} MiB of audio; send it in smaller pieces.",
                code="invalid_value",
                field="audio",
            )
        if st.input.buffered_with(audio) > MAX_BUFFERED_MS * SAMPLES_PER_MS:
            raise PeerError(
                f"The input buffer holds at most {MAX_BUFFERED_MS // 60_000} minutes; commit or clear it.",
                code="input_audio_buffer_full",
                field="audio",
            )
        if st.winding_down:
            return
        if st.closing != "no":
            raise PeerError(
                "session.close was received: no more audio can be sent. Open another session for it.",
                code="session_closing",
                field="audio",
            )
        start, piece = st.input.append(audio)
        st.last_heard_ns = st.now
        if not piece:
            return
        if st.settings.turn_detection is not None:
            st.do(ScoreVoice(start, piece, st.input.format))
            return
        turn = st.turns.manual
        if turn is None:
            turn = self.transcripts.open_turn(st.input.begins, st.input.begins, provisional=True)
            st.turns.begin_manual(turn)
        if st.input.received - turn.fed_to >= MANUAL_FEED_MS * SAMPLES_PER_MS:
            self.transcripts.feed(turn, st.input.received)

    # --- the voice -----------------------------------------------------------------------------------------------------------

    def scored(self, event: VoiceScored) -> None:
        """One frame's voice probability: find the turn's beginning, its pauses and its end."""
        st = self.st
        detection = st.settings.turn_detection
        if detection is None or event.end_sample > st.input.received or event.end_sample <= st.turns.scored_to:
            st.late += 1
            return
        st.last_heard_ns = st.now  # audio that waited to be scored is no silence
        if event.end_sample <= st.input.begins:
            return  # that audio was committed or cleared meanwhile
        change = st.turns.heard(event.end_sample, event.probability, threshold_of(detection))
        match change:
            case Began(onset=onset):
                self._begin(detection, onset)
            case Paused(turn=turn, since=since):
                st.turns.pause(turn, since)
            case Resumed(turn=turn):
                self.responses.drop_speculation()
                st.turns.speak(turn)
            case None:
                pass
            case _:
                assert_never(change)
        match st.turns.position:
            case Quiet():
                longest = st.rules.pre_roll.pre_roll_ms(detection, ()) if st.rules.settled_pre_roll else MAX_PRE_ROLL_MS
                keep = (longest + 100) * SAMPLES_PER_MS
                oldest = event.end_sample - keep
                st.input.trim(min(oldest, st.idle.since_sample) if st.idle is not None else oldest)
            case Speaking(turn=turn):
                self.transcripts.feed(turn, event.end_sample)
                self.transcripts.words_wait(turn)
                if turn.provisional:
                    self._contest(turn, (event.end_sample - turn.onset_sample) // SAMPLES_PER_MS)
                if event.end_sample - turn.start_sample >= MAX_TURN_MS * SAMPLES_PER_MS:
                    self._end_turn(turn, event.end_sample, None)
            case Pausing(turn=turn) as pausing:
                self.transcripts.feed(turn, event.end_sample)
                self._pause(detection, pausing)
            case position:
                assert_never(position)

    def _begin(self, detection: TurnDetection, onset: int) -> None:
        st = self.st
        pre_roll_ms = min(st.rules.pre_roll.pre_roll_ms(detection, st.turns.before), MAX_PRE_ROLL_MS)
        start = max(onset - max(0, pre_roll_ms) * SAMPLES_PER_MS, st.input.begins)
        provisional = st.output_heard and detection.interrupt_response and self._contested()
        turn = self.transcripts.open_turn(start, onset, provisional=provisional)
        st.turns.speak(turn)
        if not provisional:
            self._claim(turn)

    def _claim(self, turn: UserTurn) -> None:
        """Give the floor to the turn."""
        st = self.st
        turn.claim()
        st.tell(InputSpeechStarted(turn.item_id, turn.start_sample // SAMPLES_PER_MS))
        detection = st.settings.turn_detection
        if detection is not None and detection.interrupt_response and self._cuts_output():
            self.responses.silence("turn_detected", by=turn.id)
        self.transcripts.words_stable(turn)

    def _cuts_output(self) -> bool:
        """Whether a turn that takes the floor now stops the output, if there is any."""
        return not self.st.output_heard or self.st.policy.voice_over_output() == "cut"

    def _contested(self) -> bool:
        """Whether a voice over output must be confirmed before it takes the floor."""
        st = self.st
        match st.policy.voice_over_output():
            case "cut":
                return st.rules.floor is not None or st.owner.barge_in == "confirmed"
            case "queue":
                return False
            case "ignore":
                return True
            case other:
                assert_never(other)

    def _contest(self, turn: UserTurn, voice_ms: int) -> None:
        """Decide whether a voice over a reply takes the floor."""
        st, floor = self.st, self.st.rules.floor
        if not st.output_heard:
            self._claim(turn)
        elif st.policy.voice_over_output() != "cut":
            pass  # it is no turn for as long as there is output
        elif floor is not None:
            if floor.takes_floor(turn.text, voice_ms):
                self._claim(turn)
        elif voice_ms >= CONFIRM_SPEECH_MS or takes_floor(turn.text, CONFIRM_WORDS):
            self._claim(turn)

    def _pause(self, detection: TurnDetection, pausing: Pausing) -> None:
        st, turn = self.st, pausing.turn
        pause_ms = (st.turns.scored_to - pausing.since) // SAMPLES_PER_MS
        if turn.provisional:
            self._contest(turn, (pausing.since - turn.onset_sample) // SAMPLES_PER_MS)
            if turn.provisional:
                if pause_ms >= REJECT_PAUSE_MS:
                    self._abandon(turn)
                return
        turn_ms = (pausing.since - turn.start_sample) // SAMPLES_PER_MS
        seen = PauseSeen(pause_ms, turn_ms, turn.text, pausing.verdict)
        if pause_ms >= st.rules.endpointing.pause_needed_ms(detection, seen):
            self._end_turn(turn, st.turns.scored_to, pausing)
            return
        semantic = isinstance(detection, SemanticVad)
        flush_after_ms = self._flush_after_ms(semantic)
        if pausing.flush is None and flush_after_ms is not None and pause_ms >= flush_after_ms:
            flush = st.ids.flush()
            pausing = st.turns.flush(pausing, flush)
            st.do(FlushTranscription(turn.id, flush))
            if semantic:
                self._judge(pausing, turn.text)

    def _flush_after_ms(self, semantic: bool) -> int | None:
        """The pause after which the words so far are asked for; None: not before the turn ends."""
        st = self.st
        if semantic:
            return JUDGE_AFTER_MS
        return st.owner.speculate_after_ms if st.owner.speculation or st.settings.kind == "translation" else None

    def _judge(self, pausing: Pausing, text: str, language: str = "", confidence: float | None = None) -> None:
        st, turn = self.st, pausing.turn
        judgement = st.ids.judgement()
        st.turns.judge(pausing, judgement, text)
        start = max(turn.start_sample, st.turns.scored_to - JUDGE_AUDIO_MS * SAMPLES_PER_MS)
        audio = st.input.span(start, st.turns.scored_to)
        wanted = st.settings.transcription.language if st.settings.transcription else ""
        spoken = wanted or language or st.owner.language
        st.do(JudgePause(turn.id, judgement, text, audio, st.input.format, spoken, confidence))

    def judged(self, event: PauseJudged) -> None:
        pausing = self.st.turns.position
        if not isinstance(pausing, Pausing) or pausing.turn.id != event.turn or pausing.judgement != event.judgement:
            self.st.late += 1
            return
        self.st.turns.judged(pausing, event.finished)

    def _abandon(self, turn: UserTurn) -> None:
        """Discard a provisional turn without telling the client."""
        st = self.st
        self.transcripts.drop(turn)
        st.input.trim(st.turns.scored_to)
        st.turns.rest()

    # --- the end of a turn ---------------------------------------------------------------------------------------------------

    def _end_turn(self, turn: UserTurn, end: int, pausing: Pausing | None) -> None:
        st = self.st
        if turn.provisional:
            self._claim(turn)
        detection = st.settings.turn_detection
        self.transcripts.feed(turn, end)
        st.turns.rest()
        st.tell(InputSpeechStopped(turn.item_id, end // SAMPLES_PER_MS))
        wants_reply = detection is not None and detection.create_response and st.policy.speaks
        version = st.conversation.version
        pending = self._commit(turn, turn.start_sample, end, wants_reply)
        if turn.fault is not None:
            self.responses.drop_speculation()
            self.transcripts.lose(pending, turn.fault)
            return
        if pausing is None or pausing.flush is None:
            self.responses.drop_speculation()
            st.do(FinishTranscription(turn.id))
            return
        if pausing.text is None:
            pending.answered_by(pausing.flush)
            return
        st.do(DropTranscription(turn.id))
        self.transcripts.resolve(pending, pausing.text, pausing.logprobs, pausing.language, speculated_at=version)

    def _commit(
        self, turn: UserTurn, start: int, end: int, wants_reply: bool, *, silent_prompt: bool = False
    ) -> Pending:
        """Add the turn's audio to the conversation as an item with a pending transcript."""
        st = self.st
        audio = st.input.commit(start, end)
        item = Message(turn.item_id, "user", (InputAudio(None, audio, st.input.format),))
        entry = Entry(item, input_samples=st.input.format.samples(len(audio)), awaiting=1)
        previous = st.conversation.insert(entry)
        st.tell(InputCommitted(turn.item_id, previous))
        view = entry.view()
        st.tell(ItemAdded(view, previous))
        st.tell(ItemDone(view, previous))
        return self.transcripts.expect(turn, entry, entry.input_samples, wants_reply, silent_prompt=silent_prompt)

    def commit(self) -> None:
        """Commit a turn for the client; this causes no reply."""
        st = self.st
        turn = st.turns.manual or st.turns.turn
        start = turn.start_sample if turn is not None else st.input.begins
        buffered_ms = (st.input.received - max(start, st.input.begins)) / SAMPLES_PER_MS
        if buffered_ms < MIN_COMMIT_MS:
            raise PeerError(
                "Error committing input audio buffer: buffer too small. Expected at least "
                f"{MIN_COMMIT_MS}ms of audio, but buffer only has {buffered_ms:.2f}ms of audio.",
                code="input_audio_buffer_commit_empty",
            )
        st.conversation.check_capacity()
        end = st.input.received
        # A turn that nothing waits before was recognised while it came: its length does not matter.
        if st.pending.turns:
            self.transcripts.check_waiting(end - max(start, st.input.begins))
        if turn is None:
            turn = self.transcripts.open_turn(start, start)
        elif turn is st.turns.turn:
            self.responses.drop_speculation()
            st.turns.rest()
            if not turn.provisional:
                st.tell(InputSpeechStopped(turn.item_id, end // SAMPLES_PER_MS))
        st.turns.end_manual()
        self.transcripts.feed(turn, end)
        pending = self._commit(turn, max(turn.start_sample, st.input.begins), end, False)
        turn.claim()
        self.transcripts.words_stable(turn)
        if turn.fault is not None:
            self.transcripts.lose(pending, turn.fault)
        else:
            st.do(FinishTranscription(turn.id))

    def clear(self) -> None:
        self.stop_listening()
        self.st.input.clear()
        self.st.tell(InputCleared())

    def stop_listening(self) -> None:
        """End the open turn without committing it."""
        st = self.st
        for turn in st.turns.open():
            self.transcripts.drop(turn)
            if turn is st.turns.turn and not turn.provisional:
                st.tell(InputSpeechStopped(turn.item_id, max(st.turns.scored_to, turn.start_sample) // SAMPLES_PER_MS))
        self.responses.drop_speculation()
        st.turns.end_manual()
        st.turns.rest()

    def stalled(self) -> None:
        """The microphone has stopped during a turn: end the turn there."""
        turn = self.st.turns.turn
        if turn is not None:
            self._end_turn(turn, self.st.input.received, None)

    def input_ended(self) -> None:
        """No more audio follows: end the open turn; with manual turns, commit the buffered audio."""
        st = self.st
        if st.settings.turn_detection is not None:
            self.stalled()
        elif (
            st.turns.manual is not None
            and st.input.received - st.turns.manual.start_sample >= MIN_COMMIT_MS * SAMPLES_PER_MS
        ):
            self.commit()

    def idle_timeout(self, since_sample: int) -> None:
        """The idle timeout has passed: commit the audio since the last turn, and answer it."""
        st = self.st
        end = st.input.received
        start = max(min(since_sample, end), st.input.begins)
        turn = self.transcripts.open_turn(start, start)
        st.tell(IdleTimeoutTriggered(turn.item_id, start // SAMPLES_PER_MS, end // SAMPLES_PER_MS))
        self.transcripts.feed(turn, end)
        self._commit(turn, start, end, True, silent_prompt=True)
        st.do(FinishTranscription(turn.id))

    # --- the words --------------------------------------------------------------------------------------

    def transcribed(self, event: Transcribed) -> None:
        """Handle a transcript: of a flush or the final one."""
        st = self.st
        pending = st.pending.get(event.turn)
        if pending is not None:
            if event.flush is None or event.flush == pending.flush:
                if event.flush is not None:
                    st.do(DropTranscription(event.turn))
                language = self.transcripts.language_of(event, pending.samples)
                self.transcripts.resolve(pending, event.text, event.logprobs, language)
            return
        pausing = st.turns.position
        if event.flush is None or not isinstance(pausing, Pausing) or pausing.flush != event.flush:
            st.late += 1
            return
        self._flushed(pausing, event)

    def _flushed(self, pausing: Pausing, event: Transcribed) -> None:
        """Handle the transcript of a pause."""
        st, turn, text = self.st, pausing.turn, event.text
        language = self.transcripts.language_of(event, pausing.since - turn.start_sample)
        pausing = st.turns.transcribed(pausing, text, event.logprobs, language)
        detection = st.settings.turn_detection
        if isinstance(detection, SemanticVad) and (text != pausing.judged_text or event.confidence is not None):
            self._judge(pausing, text, language, event.confidence)
        if st.owner.speculation and detection is not None and detection.create_response and not turn.provisional:
            self.responses.speculate(Said(text, turn.decided_to, language))
