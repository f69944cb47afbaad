"""The agent's side: responses, their work, speculation and interruption.

Laws: at most one response in the default conversation at a time; a speculative attempt becomes a response only if its basis holds;
stopping a reply first records how much of it was heard, then closes it, in one synchronous call.
"""

from __future__ import annotations

from collections.abc import Sequence

from parley.core.decisions.fillers import FillerSpeech
from parley.core.decisions.heard import HeardSpeech
from parley.core.decisions.output import OutputDelivery
from parley.core.decisions.prompt import PromptBuilder
from parley.core.policy.catching_up import rate_when_behind
from parley.core.policy.policy import Said
from parley.core.regions.attempt import Attempt, Basis, Plan
from parley.core.regions.entry import Entry
from parley.core.regions.open_responses import AwaitingInput, Generating, Replaying, ResponsePosition
from parley.core.regions.playback import Heard
from parley.core.regions.response import Response
from parley.core.regions.work_queue import PendingWork
from parley.core.state import Interrupted, State
from parley.core.words.effects import CancelGeneration, ReleaseGeneration
from parley.core.words.errors import Fault, PeerError
from parley.core.words.events import GenerationEvent, SpeechGenerated
from parley.core.words.ids import NO_ATTEMPT, AttemptId, TurnId
from parley.core.words.items import InputAudio, InputText, Message
from parley.core.words.limits import GENERATION_SILENCE_NS, MAX_PENDING_WORK, SAMPLES_PER_MS
from parley.core.words.notices import ErrorRaised, StatusReason, Usage
from parley.core.words.settings import AudioFormat
from parley.core.words.work import AS_THE_SESSION, OriginalSpeech, ResponseParams, Translation

_SILENCE_HINT = "The user has said nothing for a while. Say something short that helps them go on."


class Responses:
    """Owns every decision about responses. Shares the session's state."""

    def __init__(
        self,
        state: State,
        prompts: PromptBuilder,
        heard: HeardSpeech,
        delivery: OutputDelivery,
        fillers: FillerSpeech,
    ) -> None:
        self.st = state
        self.prompts = prompts
        self.heard = heard
        self.delivery = delivery
        self.fillers = fillers

    # --- starting ------------------------------------------------------------------------------------------------------------

    def create(self, plan: Plan, *, follows: bool = False, queued_ns: int = 0) -> Response:
        """Create a response, and start it when everything that it depends on has arrived.

        `follows`: the client did not ask for it; it follows the outcome of tools that the last one called. `queued_ns`: when its work was
        decided; 0: now.
        """
        st = self.st
        response = self._new(plan.params, end_ms=0 if plan.given is None else plan.given.end_ms)
        if plan.params.in_conversation:
            self.drop_speculation()
        self._begin(response, AwaitingInput(plan))
        if plan.params.in_conversation and plan.given is None:
            self._answers(self._entries(plan))
            st.tool_rounds = st.tool_rounds + 1 if follows else 0
        st.tell(response.created())
        if not self._awaits(plan):
            self._start(response, plan, queued_ns)
        return response

    def begin_replay(self, format: AudioFormat, end_ms: int = 0) -> Response:
        """Create a response in the conversation that repeats existing audio, in this format. `end_ms` is as in `PartAt.elapsed_ms`."""
        response = self._new(AS_THE_SESSION, format, end_ms)
        self._begin(response, Replaying())
        self.st.tell(response.created())
        return response

    def _new(self, params: ResponseParams, format: AudioFormat | None = None, end_ms: int = 0) -> Response:
        st = self.st
        conversation = st.conversation.id if params.in_conversation else None
        return Response.begin(st.ids.response(), conversation, st.settings, params, format, end_ms)

    def _begin(self, response: Response, position: ResponsePosition) -> None:
        self.st.responses.begin(response, position)

    def _answers(self, entries: Sequence[Entry]) -> None:
        """A reply in the default conversation begins: it answers every turn that wants a reply, now or once its words are known, and the
        outcome of every tool that is awaited among `entries`, which it waits for. No other reply follows for these, and an interrupted one
        is not resumed."""
        st = self.st
        st.work.drop_reply()
        st.interrupted = None
        st.pending.answered_by_reply()
        st.tools.answered_by_reply(entries)

    def start_waiting(self) -> None:
        """Start the responses whose transcripts and approved calls have all arrived."""
        for response, plan in self.st.responses.awaiting_input():
            if not self._awaits(plan):
                self._start(response, plan)

    def transcript_failed(self, entry: Entry, fault: Fault) -> None:
        """Fail the responses that waited for this transcript."""
        for response, plan in self.st.responses.awaiting_input():
            if entry in self._entries(plan):
                self.delivery.fail(response, fault)

    def _awaits(self, plan: Plan) -> bool:
        if plan.given is not None or not (self.st.pending.turns or self.st.tools.calls):
            return False
        return any(entry.awaiting for entry in self._entries(plan))

    def _entries(self, plan: Plan) -> Sequence[Entry]:
        return self.st.conversation.entries() if plan.entries is None else plan.entries

    def _start(self, response: Response, plan: Plan, queued_ns: int = 0) -> None:
        st = self.st
        try:
            attempt = self.prompts.draft(plan, (plan.hint,) if plan.hint else ())
        except PeerError as error:
            self.delivery.fail(response, Fault(error.code, error.message), kind=error.kind)
            return
        if plan.entries is None and plan.params.in_conversation and plan.given is None:
            st.conversation.settle(attempt.shown)
        attempt.feed(response)
        if isinstance(plan.given, Translation):
            behind_ms = st.playback.unheard_ms(st.now)
            attempt.hurry(queued_ns or st.now, rate_when_behind(behind_ms))
        st.responses.move(response, Generating(attempt.id))
        self.prompts.generate(attempt, response)

    # --- work that waits -----------------------------------------------------------------------------------------------------

    def queue(self, work: PendingWork) -> None:
        """Queue this work until the session can start it."""
        if not self.st.work.add(work):
            message = (
                f"At most {MAX_PENDING_WORK} translations and utterances may wait to be spoken; this one is dropped."
            )
            self.st.tell(ErrorRaised("work_queue_full", message, kind="server_error"))

    def queue_reply(self, *, silent: bool = False) -> None:
        """Queue the reply to a finished turn; `silent`: it has no speech."""
        hint = Message(self.st.ids.item(), "system", (InputText(_SILENCE_HINT),)) if silent else None
        self.queue(PendingWork(Plan(hint=hint)))

    def start_work(self) -> bool:
        """Start queued work if the session is free for it. True if something was started."""
        st = self.st
        if not st.work.waiting:
            return False
        work = st.work.ready(st.now)
        if work is None or st.responses.main is not None:
            return False
        if work.plan.given is None and not self._may_reply(work):
            return False
        if isinstance(work.plan.given, Translation):
            work = st.work.take_late(work, st.now)
        else:
            st.work.take(work)
        self.start_now(work)
        return True

    def _may_reply(self, work: PendingWork) -> bool:
        """Whether the floor is free for a reply, and no turn that it answers too is still to come. (What is translated or said does not
        wait for the floor: it follows what is heard.)"""
        st = self.st
        if st.user_turn() is not None or st.pending.reply_follows:
            return False
        return work.follows or not st.playback.audible(st.now)

    def start_now(self, work: PendingWork) -> None:
        """Start this work; a reply only if the rate limit allows another response."""
        st, given = self.st, work.plan.given
        if isinstance(given, OriginalSpeech):
            self._pass_on(given)
            return
        if given is None:
            try:
                st.rate_limit.spend(st.now)
            except PeerError as error:
                st.tell(ErrorRaised(error.code, error.message, error.field, error.kind))
                return
        self.create(work.plan, follows=work.follows, queued_ns=work.queued_ns)

    def _pass_on(self, given: OriginalSpeech) -> None:
        """Let the listener hear the speaker's own audio."""
        st = self.st
        response = self.begin_replay(st.settings.output_format, given.end_ms)
        text = st.captions.add_target(given.text.strip())
        output = self.delivery.open_message(response)
        output.entry.begin_clause(text)
        st.tell_all(response.say(output, text))
        self.delivery.speak(response, SpeechGenerated(NO_ATTEMPT, given.audio))
        spoken_ms = response.audio_samples // SAMPLES_PER_MS
        self.delivery.end(response, "completed", usage=Usage(output_audio=-(-spoken_ms // 50)))

    # --- speculation ---------------------------------------------------------------------------------------------------------

    def speculate(self, said: Said) -> None:
        """Start a reply to the words so far, and hold it."""
        st = self.st
        if st.responses.main is not None or st.responses.awaiting_input() or st.pending.turns or st.work.waiting:
            return
        if st.playback.audible(st.now) or st.winding_down or not st.rate_limit.covers_one(st.now):
            return
        if not st.policy.may_speculate(said):
            return
        turn = st.turns.turn
        heard = st.capabilities.audio or st.capabilities.conversational
        audio = st.input.span(turn.start_sample, st.turns.scored_to) if turn and heard else None
        message = Message(st.ids.item(), "user", (InputAudio(said.text, audio, st.input.format),))
        try:
            attempt = self.prompts.draft(Plan(), (message,))
        except PeerError:
            return  # the real reply reports it
        st.attempts.hold(attempt, Basis(said.text, st.settings.version, st.conversation.version))
        self.prompts.generate(attempt, None, said.language)

    def release_speculation(self, transcript: str, conversation_version: int, turn_ms: int) -> bool:
        """The turn is over: release the held reply if all of its basis still holds, else drop it.

        `conversation_version` is the version before the turn's own item was added, `turn_ms` the length of its audio.
        """
        st = self.st
        held = st.attempts.held
        if held is None:
            return False
        holds = held.basis == Basis(transcript, st.settings.version, conversation_version)
        if not holds or st.responses.main is not None or held.failed or not st.rate_limit.covers_one(st.now):
            self.drop_speculation()
            return False
        st.attempts.take_held()
        st.rate_limit.spend(st.now)
        attempt = held.attempt
        st.conversation.settle(attempt.shown)
        response = self._new(AS_THE_SESSION)
        attempt.feed(response, turn_ms)
        self._begin(response, Generating(attempt.id))
        self._answers(())  # it waited for the outcome of no tool
        st.tool_rounds = 0
        st.do(ReleaseGeneration(attempt.id, response.id))
        st.tell(response.created())
        for event in held.output:
            self.delivery.apply(attempt, response, event)
        return True

    def drop_speculation(self) -> None:
        """Discard the speculative attempt without telling the client."""
        held = self.st.attempts.take_held()
        if held is not None and self.st.attempts.forget(held.attempt.id):
            self.st.do(CancelGeneration(held.attempt.id))

    # --- what the engines produce --------------------------------------------------------------------------------------------

    def progressed(self, attempt_id: AttemptId) -> None:
        """The model of this attempt has produced its first token."""
        if self.st.attempts.progressed(attempt_id, self.st.now) is None:
            self.st.late += 1

    def generated(self, event: GenerationEvent) -> None:
        """Route an attempt's output to its response, or hold it."""
        st = self.st
        attempt = st.attempts.generated(event, st.now)
        if attempt is None:
            st.late += 1
        elif attempt.response is not None:
            self.delivery.apply(attempt, attempt.response, event)
        elif attempt.id == st.reply_wait.attempt:
            self.fillers.generated(attempt, event)
        else:
            held = st.attempts.held
            assert held is not None, "an attempt without a response is held"
            held.hold(event)
            if held.too_large:
                self.drop_speculation()

    # --- stopping ------------------------------------------------------------------------------------------------------------

    def silence(self, reason: StatusReason, by: TurnId | None = None) -> None:
        """Stop the reply that is generated or played: keep what was heard, close it, discard the rest.

        `by` is the turn that takes the floor, None where the client stops it.
        """
        st = self.st
        main = st.responses.main
        cuts = self.heard.stop()
        st.interrupted = None if by is None else self._interrupted(by, main, cuts)
        if main is not None:
            self.heard.cut_unspoken(main, {cut.item for cut in cuts})
            self.delivery.end(main, "cancelled", reason=reason)
        self.heard.tell_cleared(cuts)

    def _interrupted(self, by: TurnId, main: Response | None, cuts: list[Heard]) -> Interrupted | None:
        """What the turn has cut: what sounded last, or, where the listener waited for more, what was said so far."""
        cuts = [cut for cut in cuts if self.st.reply_wait.entry(cut.item) is None]
        if cuts:
            last = self.st.conversation.entry(cuts[-1].item)
            made = main is None and last is not None and last.item.status == "completed"
            return Interrupted(by, cuts[-1].item, made)
        if main is None:
            return None
        spoken = [output.entry for output in main.outputs if output.entry.speech and output.entry.speech.samples]
        return Interrupted(by, spoken[-1].item.id if spoken else None, False)

    def cancel(self, response: Response) -> None:
        """Cancel the response for the client."""
        if response is self.st.responses.main:
            self.silence("client_cancelled")
            self.st.work.drop_reply()
        else:
            self.delivery.end(response, "cancelled", reason="client_cancelled")

    def drained(self) -> bool:
        """Finish replies that are done and fully heard. True if something changed."""
        st = self.st
        if not st.playback.sounding:
            return False
        main = st.responses.main
        changed, notices = st.playback.drain(None if main is None else main.id, st.now)
        st.tell_all(notices)
        return changed

    # --- attempts that produce nothing ---------------------------------------------------------------------------------------

    def fail_overdue(self) -> None:
        """Fail every attempt that has produced nothing for too long."""
        for attempt in self.st.attempts:
            if attempt.silent(self.st.now):
                self._give_up(attempt)

    def abandon(self, attempt_id: AttemptId) -> None:
        """Fail an attempt that the shell has abandoned."""
        attempt = self.st.attempts.get(attempt_id)
        if attempt is None or attempt.ended:
            self.st.late += 1
        else:
            self._give_up(attempt)

    def _give_up(self, attempt: Attempt) -> None:
        if attempt.id == self.st.reply_wait.attempt:
            self.fillers.drop()
            return
        if attempt.response is None:
            self.drop_speculation()
            return
        seconds = GENERATION_SILENCE_NS // 1_000_000_000
        message = (
            f"No output came from the pipeline's models for {seconds} seconds; one is overloaded, or reasons for long."
        )
        self.delivery.fail_attempt(attempt, attempt.response, Fault("timeout", message))
