"""The agent's side: responses, their generation, speaking and being interrupted.

Laws: at most one response in the default conversation at a time; a guess becomes a response only if its basis
holds; whatever stops a reply first says how much of it was heard, then closes it, in one call and without waiting
for anybody.
"""

from __future__ import annotations

from collections.abc import Sequence

from parley.core.decisions.output import OutputDelivery
from parley.core.decisions.prompt import PromptBuilder
from parley.core.regions.attempt import Attempt, Basis, Plan
from parley.core.regions.entry import Entry
from parley.core.regions.playback import Heard
from parley.core.regions.response import Response
from parley.core.state import Interrupted, Owed, State
from parley.core.words.effects import ReleaseGeneration, StopPlayback
from parley.core.words.errors import Fault, PeerError
from parley.core.words.events import GenerationEvent, GenerationFailed, GenerationFinished
from parley.core.words.ids import AttemptId, ItemId, ResponseId, TurnId
from parley.core.words.items import InputAudio, InputText, Message
from parley.core.words.limits import (
    GENERATION_SILENCE_NS,
    MAX_HELD_BYTES,
    SAMPLES_PER_MS,
)
from parley.core.words.notices import (
    ErrorRaised,
    ItemTruncated,
    OutputBufferCleared,
    OutputBufferStopped,
    StatusReason,
)
from parley.core.words.work import ResponseParams

_SILENCE_HINT = "The user has said nothing for a while. Say something short that helps them go on."


class Responses:
    """Owns every decision about responses. Shares the session's state."""

    def __init__(self, state: State) -> None:
        self.st = state
        self.prompts = PromptBuilder(state)
        self.delivery = OutputDelivery(state)

    # --- starting ------------------------------------------------------------------------------------------------------------

    def create(
        self,
        params: ResponseParams,
        entries: tuple[Entry, ...] | None,
        hint: Message | None = None,
        *,
        goes_on: bool = False,
    ) -> Response:
        """Make a response, tell of it, and start it as soon as all that it is made from is there.

        `goes_on`: nobody asked for it but the tools that the last one had called.
        """
        st = self.st
        settings = st.settings
        limit = settings.max_output_tokens if params.max_output_tokens is None else params.max_output_tokens or None
        parallel = settings.parallel_tool_calls if params.parallel_tool_calls is None else params.parallel_tool_calls
        response = Response(
            st.ids.response(),
            st.conversation.id if params.in_conversation else None,
            params.modality or settings.modality,
            params.voice or settings.voice,
            params.output_format or settings.output_format,
            limit,
            params.metadata,
            parallel is not False,
        )
        plan = Plan(params, entries, hint)
        if params.in_conversation:
            self.drop_guess()
            st.main = response
            self._take_over(self._entries(plan))
            st.tool_rounds = st.tool_rounds + 1 if goes_on else 0
        else:
            st.sides[response.id] = response
        st.tell(response.created())
        if self._awaits(plan):
            st.waiting[response.id] = plan
        else:
            self._start(response, plan)
        return response

    def reply(self) -> None:
        """Answer the turn that is owed one."""
        st = self.st
        owed, st.owed = st.owed, None
        if owed is not None:
            self.answer(owed)

    def answer(self, owed: Owed) -> None:
        """Make this reply, if the session may make any more of them."""
        st = self.st
        try:
            st.allowance.spend(st.now)
        except PeerError as error:
            st.tell(ErrorRaised(error.code, error.message, error.field, error.kind))
            return
        self.create(owed.params, owed.entries, owed.hint, goes_on=owed.goes_on)

    def _take_over(self, entries: Sequence[Entry]) -> None:
        """A reply in the default conversation begins: it answers every turn that is owed one, now or once its words are known,
        and the outcome of every tool that is awaited among `entries`, which it waits for. No other reply follows for these, and
        none can be taken up again."""
        st = self.st
        st.owed, st.interrupted = None, None
        for pending in st.pending.values():
            pending.wants_reply = pending.silent_prompt = False
        for call in st.calls.values():
            if call.entry.awaiting and call.entry in entries:
                call.wanted = False

    def owe(self, *, silent: bool = False) -> None:
        """A finished turn wants a reply; it is started when the session comes to rest."""
        self.st.owed = Owed(hint=self._hint(_SILENCE_HINT) if silent else None)

    def start_waiting(self) -> None:
        """Start the responses that were waiting for a transcript, or for an approved call, and have it now."""
        for response_id, plan in list(self.st.waiting.items()):
            if not self._awaits(plan):
                del self.st.waiting[response_id]
                self._start(self._alive(response_id), plan)

    def transcript_failed(self, entry: Entry, fault: Fault) -> None:
        """Whatever waited for these words cannot be answered."""
        for response_id, plan in list(self.st.waiting.items()):
            if entry in self._entries(plan):
                del self.st.waiting[response_id]
                self.delivery.fail(self._alive(response_id), fault)

    def _awaits(self, plan: Plan) -> bool:
        if not self.st.pending and not self.st.calls:
            return False
        return any(entry.awaiting for entry in self._entries(plan))

    def _entries(self, plan: Plan) -> Sequence[Entry]:
        return self.st.conversation.entries() if plan.entries is None else plan.entries

    def _alive(self, response_id: ResponseId) -> Response:
        st = self.st
        if st.main is not None and st.main.id == response_id:
            return st.main
        return st.sides[response_id]

    def _hint(self, text: str) -> Message:
        return Message(self.st.ids.item(), "system", (InputText(text),))

    def _start(self, response: Response, plan: Plan) -> None:
        try:
            attempt = self.prompts.draft(plan, (plan.hint,) if plan.hint else ())
        except PeerError as error:
            self.delivery.fail(response, Fault(error.code, error.message), kind=error.kind)
            return
        if plan.entries is None and plan.params.in_conversation:
            self.st.conversation.settle(attempt.shown)
        attempt.response = response
        response.attempt = attempt.id
        self.prompts.generate(attempt, response)

    # --- guessing ------------------------------------------------------------------------------------------------------------

    def speculate(self, transcript: str) -> None:
        """Start a reply to what was said so far, and hold it."""
        st = self.st
        if st.main is not None or st.waiting or st.pending or st.owed or not st.policy.may_guess(transcript):
            return
        if st.playback.audible(st.now) or st.winding_down or not st.allowance.covers_one(st.now):
            return
        said = Message(st.ids.item(), "user", (InputAudio(transcript),))
        basis = Basis(transcript, st.settings.version, st.conversation.version)
        try:
            attempt = self.prompts.draft(Plan(ResponseParams(), None), (said,))
        except PeerError:
            return  # the real reply will say so
        attempt.basis = basis
        st.guess = attempt
        self.prompts.generate(attempt, None)

    def redeem_guess(self, transcript: str, conversation_version: int, turn_ms: int) -> bool:
        """The turn is over: release the held reply if all it rests on still holds, else drop it.

        `conversation_version` is the version before the turn's own item was added, `turn_ms` the length of its audio.
        """
        st = self.st
        guess = st.guess
        if guess is None:
            return False
        holds = guess.basis == Basis(transcript, st.settings.version, conversation_version)
        if not holds or st.main is not None or guess.ended_badly or not st.allowance.covers_one(st.now):
            self.drop_guess()
            return False
        st.guess = None
        st.allowance.spend(st.now)
        st.conversation.settle(guess.shown)
        settings = st.settings
        response = Response(
            st.ids.response(),
            st.conversation.id,
            settings.modality,
            settings.voice,
            settings.output_format,
            settings.max_output_tokens,
            None,
            settings.parallel_tool_calls is not False,
            guess.id,
        )
        guess.response = response
        guess.input_audio_ms += turn_ms
        st.main = response
        self._take_over(())  # it waited for the outcome of no tool
        st.tool_rounds = 0
        st.do(ReleaseGeneration(guess.id, response.id))
        st.tell(response.created())
        held, guess.held = guess.held, []
        for event in held:
            self.delivery.apply(guess, response, event)
        return True

    def drop_guess(self) -> None:
        """The guess was wrong: nobody ever hears of it."""
        guess = self.st.guess
        if guess is not None:
            self.st.guess = None
            self.delivery.forget(guess)

    # --- what the engines make -----------------------------------------------------------------------------------------------

    def progressed(self, attempt_id: AttemptId) -> Attempt | None:
        """The attempt, which has just shown that it is alive; None for one that is over, whose events are late."""
        attempt = self.st.attempts.get(attempt_id)
        if attempt is None or attempt.ended:
            self.st.late += 1
            return None
        attempt.progress_ns = self.st.now
        return attempt

    def generated(self, event: GenerationEvent) -> None:
        """Route an attempt's output to its response, or hold it."""
        attempt = self.progressed(event.attempt)
        if attempt is None:
            return
        attempt.ended = isinstance(event, GenerationFinished | GenerationFailed)
        if attempt.response is not None:
            self.delivery.apply(attempt, attempt.response, event)
            return
        attempt.hold(event)
        attempt.ended_badly = isinstance(event, GenerationFailed)
        if attempt.held_bytes > MAX_HELD_BYTES:
            self.drop_guess()

    # --- stopping ------------------------------------------------------------------------------------------------------------

    def silence(self, reason: StatusReason, by: TurnId | None = None) -> None:
        """Stop the reply that is being made or heard: keep what was heard, close it, forget the rest.

        `by` is the turn that wants the floor, None where it is the client who stops it.
        """
        st = self.st
        main = st.main
        cuts = self._stop_playback()
        st.interrupted = None if by is None else self._interrupted(by, main, cuts)
        if main is not None:
            self.delivery.cut_unspoken(main, {cut.item for cut in cuts})
            self.delivery.end(main, "cancelled", reason=reason)
        self._tell_cleared(cuts)

    def _interrupted(self, by: TurnId, main: Response | None, cuts: list[Heard]) -> Interrupted | None:
        """What the turn has cut: what sounded last, or, where the listener waited for more, what was said so far."""
        if cuts:
            last = self.st.conversation.entry(cuts[-1].item)
            made = main is None and last is not None and last.item.status == "completed"
            return Interrupted(by, cuts[-1].item, made)
        if main is None:
            return None
        spoken = [output.entry for output in main.outputs if output.entry.speech and output.entry.speech.samples]
        return Interrupted(by, spoken[-1].item.id if spoken else None, False)

    def drop_playback(self, item: ItemId) -> None:
        """The client wants no more of this item's sound; where the server plays, everything queued falls silent with it."""
        st = self.st
        if not st.paced:
            st.playback.drop(item, st.now)
        elif any(sound.item == item for sound, _ in st.playback.unheard(st.now)):
            self._tell_cleared([cut for cut in self._stop_playback() if cut.item != item])

    def _stop_playback(self) -> list[Heard]:
        """Silence the listener; of each item that was not heard out, what was heard is kept."""
        st = self.st
        cuts = st.playback.stop(st.now)
        being_made = {} if st.main is None else {output.entry.item.id: output.entry for output in st.main.outputs}
        for cut in cuts:
            entry = st.conversation.entry(cut.item) or being_made.get(cut.item)  # the client may have deleted it
            if entry is not None and entry.speech is not None:
                entry.cut(cut.samples)
        if st.paced and st.sounding:
            st.do(StopPlayback())
        return cuts

    def _tell_cleared(self, cuts: list[Heard]) -> None:
        st = self.st
        cleared = list(st.sounding)
        st.sounding.clear()
        if not st.paced:
            return
        for response_id in cleared:
            st.tell(OutputBufferCleared(response_id))
        for cut in cuts:
            if cut.item in st.conversation:
                st.tell(ItemTruncated(cut.item, 0, cut.samples // SAMPLES_PER_MS))

    def played_so_far(self) -> dict[ItemId, int]:
        """The spoken items that are not heard out yet: the sample to which each has been played by now."""
        st = self.st
        played = {cut.item: cut.samples for cut in st.playback.heard(st.now)}
        for output in () if st.main is None else st.main.outputs:
            if output.entry.speech is not None and not output.closed:
                played.setdefault(output.entry.item.id, output.entry.speech.samples)
        return played

    def keep_what_was_heard(self) -> None:
        """The session is over: of what was still being said or played, no more was heard than until now."""
        for item, samples in self.played_so_far().items():
            entry = self.st.conversation.entry(item)
            if entry is not None and entry.speech is not None and entry.heard is None:
                entry.cut(samples)

    def cancel(self, response: Response) -> None:
        """The client wants no more of this response."""
        if response is self.st.main:
            self.silence("client_cancelled")
            self.st.owed = None
        else:
            self.delivery.end(response, "cancelled", reason="client_cancelled")

    def drained(self) -> bool:
        """Whatever reply is done and has been heard to its end is over. True if something changed."""
        st = self.st
        if not st.sounding:
            return False
        over = [
            response_id
            for response_id in st.sounding
            if (st.main is None or st.main.id != response_id) and not st.playback.plays(response_id, st.now)
        ]
        for response_id in over:
            del st.sounding[response_id]
            if st.paced:
                st.tell(OutputBufferStopped(response_id))
        return bool(over)

    def next_silence_ns(self) -> int | None:
        """When the slowest attempt counts as dead."""
        if not self.st.attempts:
            return None
        return min((attempt.progress_ns for attempt in self.st.attempts.values() if not attempt.ended), default=None)

    def fail_overdue(self) -> None:
        """Fail every attempt that has produced nothing for too long."""
        for attempt in list(self.st.attempts.values()):
            if not attempt.ended and self.st.now - attempt.progress_ns >= GENERATION_SILENCE_NS:
                self._give_up(attempt)

    def abandon(self, attempt_id: AttemptId) -> None:
        """The shell no longer waits for the output of this attempt."""
        attempt = self.st.attempts.get(attempt_id)
        if attempt is None or attempt.ended:
            self.st.late += 1
        else:
            self._give_up(attempt)

    def _give_up(self, attempt: Attempt) -> None:
        if attempt is self.st.guess:
            self.drop_guess()
        elif attempt.response is not None:
            seconds = GENERATION_SILENCE_NS // 1_000_000_000
            message = f"No output came from the pipeline's models for {seconds} seconds; one is overloaded, or reasons for long."
            self.delivery.fail(attempt.response, Fault("timeout", message))
