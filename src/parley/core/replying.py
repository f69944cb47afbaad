"""The agent's side: responses, their generation, speaking and being interrupted.

Laws: at most one response in the default conversation at a time; a guess becomes a response only if its basis holds; whatever stops a
reply first says how much of it was heard, then closes it, in one call and without waiting for anybody.
"""

from __future__ import annotations

from typing import assert_never

from parley.core.conversation import Entry, audio_ms, is_empty, text_tokens, tokens_of
from parley.core.effects import CancelGeneration, Play, Prompt, StartGeneration, StopPlayback
from parley.core.errors import ErrorType, Fault, PeerError
from parley.core.events import (
    ClauseStarted,
    GenerationEvent,
    GenerationFailed,
    GenerationFinished,
    ResponseParams,
    SpeechGenerated,
    TextGenerated,
    ToolArgumentsGenerated,
    ToolCallStarted,
)
from parley.core.generation import Attempt, Basis
from parley.core.ids import AttemptId, ItemId, ResponseId, TurnId
from parley.core.items import InputAudio, InputText, Item, Message
from parley.core.limits import (
    GENERATION_SILENCE_NS,
    MAX_HELD_BYTES,
    MAX_RESPONSE_AUDIO_MS,
    MAX_RESPONSE_TEXT,
    SAMPLES_PER_MS,
)
from parley.core.notices import (
    ItemTruncated,
    OutputBufferCleared,
    OutputBufferStarted,
    OutputBufferStopped,
    RateLimit,
    RateLimitsUpdated,
    ResponseError,
    ResponseStatus,
    StatusReason,
    Usage,
)
from parley.core.response import Output, Response, new_call
from parley.core.state import Interrupted, Plan, State

_SILENCE_HINT = "The user has said nothing for a while. Say something short that helps them go on."
_RESUME_HINT = "A noise cut off your last words; nobody spoke. Go on from where you were stopped, without repeating yourself."

_NO_ATTEMPT = AttemptId(0)


class Replying:
    """Owns every decision about responses. Shares the session's state."""

    def __init__(self, state: State) -> None:
        self.st = state

    # --- starting ------------------------------------------------------------------------------------------------------------

    def create(self, params: ResponseParams, entries: tuple[Entry, ...] | None, hint: Message | None = None) -> Response:
        """Make a response, tell of it, and start it as soon as the transcripts it needs are there."""
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
        if params.in_conversation:
            self.drop_guess()
            st.main = response
            st.owed, st.owed_hint, st.interrupted = False, None, None
        else:
            st.sides[response.id] = response
        st.tell(response.created())
        plan = Plan(params, entries, hint)
        if self._awaits(plan):
            st.waiting[response.id] = plan
        else:
            self._start(response, plan)
        return response

    def reply(self) -> None:
        """Answer the turn that is owed one."""
        st = self.st
        hint = st.owed_hint
        try:
            self.spend_allowance()
        except PeerError:
            st.owed, st.owed_hint = False, None
            raise
        self.create(ResponseParams(), None, hint)

    def owe(self, *, silent: bool = False) -> None:
        """A finished turn wants a reply; it is started when the session comes to rest."""
        st = self.st
        st.owed = True
        st.owed_hint = self._hint(_SILENCE_HINT) if silent else None

    def transcripts_changed(self) -> None:
        """Start the responses that were waiting for a transcript and have it now."""
        for response_id, plan in list(self.st.waiting.items()):
            if not self._awaits(plan):
                del self.st.waiting[response_id]
                self._start(self._alive(response_id), plan)

    def transcript_failed(self, entry: Entry, fault: Fault) -> None:
        """Whatever waited for these words cannot be answered."""
        for response_id, plan in list(self.st.waiting.items()):
            if entry in (self.st.conversation.entries() if plan.entries is None else plan.entries):
                del self.st.waiting[response_id]
                self._fail(self._alive(response_id), fault)

    def _awaits(self, plan: Plan) -> bool:
        if not self.st.pending:
            return False
        return any(entry.awaiting for entry in (self.st.conversation.entries() if plan.entries is None else plan.entries))

    def _alive(self, response_id: ResponseId) -> Response:
        st = self.st
        if st.main is not None and st.main.id == response_id:
            return st.main
        return st.sides[response_id]

    def _hint(self, text: str) -> Message:
        return Message(self.st.ids.item(), "system", (InputText(text),))

    def _start(self, response: Response, plan: Plan) -> None:
        try:
            attempt = self._attempt(plan, (plan.hint,) if plan.hint else ())
        except PeerError as error:
            self._fail(response, Fault(error.code, error.message), kind=error.kind)
            return
        attempt.response = response
        response.attempt = attempt.id
        self._generate(attempt, response)

    def _attempt(self, plan: Plan, extra: tuple[Item, ...]) -> Attempt:
        st, params, settings = self.st, plan.params, self.st.settings
        tools = settings.tools if params.tools is None else params.tools
        instructions = settings.instructions if params.instructions is None else params.instructions
        limit = settings.max_output_tokens if params.max_output_tokens is None else params.max_output_tokens or None
        fixed = text_tokens(len(instructions) + sum(len(tool.name) + len(tool.description) + len(tool.parameters) for tool in tools))
        if plan.entries is None:
            items = st.conversation.prompt_items(settings.truncation, st.conduct.context_tokens, fixed, extra)
            entries = st.conversation.entries()
        else:
            items = (*(view for entry in plan.entries if not is_empty(view := entry.view())), *extra)
            entries = list(plan.entries)
        choice = settings.tool_choice if params.tool_choice is None else params.tool_choice
        parallel = settings.parallel_tool_calls if params.parallel_tool_calls is None else params.parallel_tool_calls
        effort = settings.reasoning_effort if params.reasoning_effort is None else params.reasoning_effort
        prompt = Prompt(instructions, items, tools, choice, parallel, limit, effort)
        shown = {item.id for item in items}
        heard_ms = sum(audio_ms(entry) for entry in entries if entry.item.id in shown)
        attempt = Attempt(st.ids.attempt(), prompt, fixed + sum(map(tokens_of, items)), heard_ms, st.now)
        st.attempts[attempt.id] = attempt
        return attempt

    def _generate(self, attempt: Attempt, response: Response | None) -> None:
        settings = self.st.settings
        self.st.do(
            StartGeneration(
                attempt.id,
                attempt.prompt,
                response.modality if response else settings.modality,
                response.voice if response else settings.voice,
                settings.speed,
                response.format if response else settings.output_format,
                settings.transcription.language if settings.transcription else "",
            )
        )

    # --- guessing ------------------------------------------------------------------------------------------------------------

    def speculate(self, transcript: str) -> None:
        """Start a reply to what was said so far, and hold it."""
        st = self.st
        if st.main is not None or st.waiting or st.pending or st.owed or not st.policy.may_guess(transcript):
            return
        if st.playback.audible(st.now) or st.winding_down or not self._allowed():
            return
        said = Message(st.ids.item(), "user", (InputAudio(transcript),))
        basis = Basis(transcript, st.settings.version, st.conversation.version)
        try:
            attempt = self._attempt(Plan(ResponseParams(), None), (said,))
        except PeerError:
            return  # the real reply will say so
        attempt.basis = basis
        st.guess = attempt
        self._generate(attempt, None)

    def redeem_guess(self, transcript: str, conversation_version: int) -> bool:
        """The turn is over: release the held reply if all it rests on still holds, else drop it.

        `conversation_version` is the version before the turn's own item was added.
        """
        st = self.st
        guess = st.guess
        if guess is None:
            return False
        holds = guess.basis == Basis(transcript, st.settings.version, conversation_version)
        if not holds or st.main is not None or guess.ended_badly or not self._allowed():
            self.drop_guess()
            return False
        st.guess = None
        self.spend_allowance()
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
        st.main = response
        st.owed, st.owed_hint, st.interrupted = False, None, None
        st.tell(response.created())
        held, guess.held = guess.held, []
        for event in held:
            self._apply(guess, response, event)
        return True

    def drop_guess(self) -> None:
        """The guess was wrong: nobody ever hears of it."""
        guess = self.st.guess
        if guess is not None:
            self.st.guess = None
            self._forget(guess)

    def _forget(self, attempt: Attempt) -> None:
        if self.st.attempts.pop(attempt.id, None) is not None and not attempt.ended:
            self.st.do(CancelGeneration(attempt.id))

    # --- what the engines make -----------------------------------------------------------------------------------------------

    def generated(self, event: GenerationEvent) -> None:
        """Route an attempt's output to its response, or hold it."""
        st = self.st
        attempt = st.attempts.get(event.attempt)
        if attempt is None or attempt.ended:
            st.late += 1
            return
        attempt.progress_ns = st.now
        attempt.ended = isinstance(event, GenerationFinished | GenerationFailed)
        if attempt.response is not None:
            self._apply(attempt, attempt.response, event)
            return
        attempt.hold(event)
        if isinstance(event, GenerationFailed):
            attempt.ended_badly = True
        elif attempt.held_bytes > MAX_HELD_BYTES:
            self.drop_guess()

    def _apply(self, attempt: Attempt, response: Response, event: GenerationEvent) -> None:
        st = self.st
        if response.done:
            return
        match event:
            case TextGenerated(text=text):
                st.tell_all(response.say(self._open_message(response), text))
            case ClauseStarted(text=text):
                output = self._open_message(response)
                if output.entry.speech is not None:
                    output.entry.speech.begin(text)
                st.tell_all(response.say(output, text))
                st.conversation.changed()
            case SpeechGenerated():
                self._speak(response, event)
            case ToolCallStarted(index=index, call_id=call_id, name=name):
                if response.calls() and not response.parallel_calls:
                    return
                message = response.message()
                if message is not None:
                    st.tell_all(response.close(message, "completed"))
                entry = new_call(st.ids.item(), call_id or st.ids.call(), name)
                st.tell_all(response.open(entry, self._insert(response, entry), index))
            case ToolArgumentsGenerated(index=index, arguments=arguments):
                call = response.call(index)
                if call is not None:
                    st.tell_all(response.argue(call, arguments))
            case GenerationFinished(reason=reason):
                st.attempts.pop(attempt.id, None)
                usage = self._usage(attempt, response, event)
                match reason:
                    case "length":
                        self._end(response, "incomplete", reason="max_output_tokens", usage=usage)
                    case "content_filter":
                        self._end(response, "incomplete", reason="content_filter", usage=usage)
                    case "stop" | "tool_calls":
                        self._end(response, "completed", usage=usage)
                    case _:
                        assert_never(reason)
                return
            case GenerationFailed(fault=fault):
                st.attempts.pop(attempt.id, None)
                self._fail(response, fault)
                return
            case _:
                assert_never(event)
        if response.text_length > MAX_RESPONSE_TEXT or response.audio_samples > MAX_RESPONSE_AUDIO_MS * SAMPLES_PER_MS:
            self._end(response, "incomplete", reason="max_output_tokens", usage=self._usage(attempt, response, None))

    def _open_message(self, response: Response) -> Output:
        output = response.message()
        if output is None:
            entry = response.new_message(self.st.ids.item())
            self.st.tell_all(response.open(entry, self._insert(response, entry)))
            output = response.outputs[-1]
        return output

    def _insert(self, response: Response, entry: Entry) -> ItemId | None:
        return self.st.conversation.insert(entry) if response.conversation_id is not None else None

    def _speak(self, response: Response, event: SpeechGenerated) -> None:
        st = self.st
        output = self._open_message(response)
        entry = output.entry
        if entry.speech is None or not event.audio:
            return
        if not entry.speech.clauses:
            entry.speech.begin("")
        start = entry.speech.samples
        samples = entry.speech.add(event.audio, event.words)
        if response.conversation_id is None:
            st.tell_all(response.sound(output, event.audio))
            return
        st.conversation.spoken = True
        notices = response.sound(output, event.audio)
        if not entry.by_client:
            if st.paced and response.audio_samples == samples:
                st.tell(OutputBufferStarted(response.id))
            st.playback.queue(entry.item.id, response.id, start, samples, st.now)
            if st.paced:
                st.do(Play(response.id, event.audio, response.format))
        if not st.paced:
            st.tell_all(notices)

    def _usage(self, attempt: Attempt, response: Response, event: GenerationFinished | None) -> Usage:
        measured = event.usage if event is not None else None
        spoken_ms = response.audio_samples // SAMPLES_PER_MS
        return Usage(
            input_text=measured.input_tokens if measured else attempt.input_tokens,
            input_audio=-(-attempt.input_audio_ms // 100),
            input_cached=min(measured.cached_tokens, measured.input_tokens) if measured else 0,
            output_text=measured.output_tokens if measured else text_tokens(response.text_length),
            output_audio=-(-spoken_ms // 50),
        )

    # --- stopping ------------------------------------------------------------------------------------------------------------

    def silence(self, reason: StatusReason, by: TurnId | None = None) -> None:
        """Stop the reply that is being made or heard: keep what was heard, close it, forget the rest.

        `by` is the turn that wants the floor, None where it is the client who stops it.
        """
        st = self.st
        main, draining = st.main, st.draining
        cuts = st.playback.stop(st.now)
        st.interrupted = Interrupted(by, None, False) if by is not None and (main is not None or cuts) else None
        for cut in cuts:
            entry = st.conversation.entry(cut.item)
            if entry is not None and entry.speech is not None:
                st.conversation.cut(entry, cut.samples)
                if by is not None:
                    st.interrupted = Interrupted(by, cut.item, main is None)
        if main is not None:
            self._cut_unspoken(main, {cut.item for cut in cuts})
        if st.paced and cuts:
            st.do(StopPlayback())
        if main is not None:
            self._end(main, "cancelled", reason=reason)
        if st.paced and cuts:
            for response in filter(None, (draining, main)):
                st.tell(OutputBufferCleared(response.id))
            for cut in cuts:
                if cut.item in st.conversation:
                    st.tell(ItemTruncated(cut.item, 0, cut.samples // SAMPLES_PER_MS))
        st.draining = None

    def _cut_unspoken(self, response: Response, cut: set[ItemId]) -> None:
        """Words of an unfinished reply whose sound was not made yet were not heard either."""
        for output in response.outputs:
            speech = output.entry.speech
            if speech is not None and not output.closed and output.entry.item.id not in cut and output.entry.heard is None:
                self.st.conversation.cut(output.entry, speech.samples)

    def cancel(self, response: Response) -> None:
        """The client wants no more of this response."""
        if response is self.st.main:
            self.silence("client_cancelled")
            self.st.owed, self.st.owed_hint = False, None
        else:
            self._end(response, "cancelled", reason="client_cancelled")

    def false_stop(self) -> bool:
        """The voice that cut the reply was nothing: let the reply go on where it was stopped. True if there was one."""
        st = self.st
        stopped, st.interrupted = st.interrupted, None
        if stopped is None or not st.conduct.resume_false_stops or st.main is not None:
            return False
        if stopped.item is None:
            st.owed, st.owed_hint = True, None
            return True
        entry = st.conversation.entry(stopped.item)
        if entry is None or entry.speech is None or entry.heard is None:
            return False
        speech, heard = entry.speech, entry.heard
        if not stopped.whole or speech.discarded:
            st.owed, st.owed_hint = True, self._hint(_RESUME_HINT)
            return True
        audio = speech.audio_until(speech.samples)
        rest = speech.rest(heard)
        if audio is None or not rest or speech.format is not st.settings.output_format or st.settings.modality != "audio":
            return False
        response = Response(
            st.ids.response(), st.conversation.id, "audio", st.settings.voice, speech.format, st.settings.max_output_tokens, None
        )
        st.main = response
        st.tell(response.created())
        for clause, start, end in rest:
            output = self._open_message(response)
            if output.entry.speech is not None:
                output.entry.speech.begin(clause)
            st.tell_all(response.say(output, clause))
            piece = audio[speech.format.size(start) : speech.format.size(end)]
            self._speak(response, SpeechGenerated(_NO_ATTEMPT, piece))
        self._end(response, "completed", usage=Usage(output_audio=-(-response.audio_samples // SAMPLES_PER_MS // 50)))
        return True

    def _fail(self, response: Response, fault: Fault, kind: ErrorType = "server_error") -> None:
        self._cut_unspoken(response, set())
        self._end(response, "failed", error=ResponseError(kind, fault.code, fault.message))

    def _end(
        self,
        response: Response,
        status: ResponseStatus,
        *,
        reason: StatusReason | None = None,
        error: ResponseError | None = None,
        usage: Usage | None = None,
    ) -> None:
        st = self.st
        st.waiting.pop(response.id, None)
        attempt = st.attempts.get(response.attempt) if response.attempt is not None else None
        if attempt is not None:
            usage = usage or self._usage(attempt, response, None)
            self._forget(attempt)
        st.tell_all(response.finish(status, reason=reason, error=error, usage=usage))
        if response is st.main:
            st.main = None
            st.answered = True
            st.conversation.changed()
            if st.playback.plays(response.id, st.now):
                st.draining = response
        else:
            st.sides.pop(response.id, None)
        if (limit := st.conduct.responses_per_minute) is not None:
            left = int(self._refilled())
            st.tell(RateLimitsUpdated((RateLimit("requests", limit, left, round((limit - left) * 60 / limit, 3)),)))

    def drained(self) -> bool:
        """If the last reply has been heard to its end, that is over too. True if something changed."""
        st = self.st
        if st.draining is None or st.playback.plays(st.draining.id, st.now):
            return False
        response, st.draining = st.draining, None
        if st.paced:
            st.tell(OutputBufferStopped(response.id))
        return True

    def next_silence_ns(self) -> int | None:
        """When the slowest attempt counts as dead."""
        return min((attempt.progress_ns for attempt in self.st.attempts.values() if not attempt.ended), default=None)

    def give_up_on_the_silent(self) -> None:
        """Fail every attempt that has produced nothing for too long."""
        st = self.st
        for attempt in list(st.attempts.values()):
            if attempt.ended or st.now - attempt.progress_ns < GENERATION_SILENCE_NS:
                continue
            if attempt is st.guess:
                self.drop_guess()
            elif attempt.response is not None:
                seconds = GENERATION_SILENCE_NS // 1_000_000_000
                self._fail(attempt.response, Fault("timeout", f"The models produced nothing for {seconds} seconds."))

    # --- the rate limit ------------------------------------------------------------------------------------------------------

    def _refilled(self) -> float:
        st, limit = self.st, self.st.conduct.responses_per_minute
        if limit is None:
            return 1.0
        minutes = (st.now - st.allowance_ns) / 60e9
        return min(float(limit), st.allowance + minutes * limit)

    def _allowed(self) -> bool:
        return self._refilled() >= 1.0

    def spend_allowance(self) -> None:
        """Count one response. Raises `PeerError` when the session's rate is used up."""
        st, limit = self.st, self.st.conduct.responses_per_minute
        if limit is None:
            return
        left = self._refilled()
        if left < 1.0:
            wait_s = (1.0 - left) * 60 / limit
            raise PeerError(
                f"This session may make {limit} responses a minute; try again in {wait_s:.1f} s.",
                code="rate_limit_exceeded",
                kind="rate_limit_error",
            )
        st.allowance, st.allowance_ns = left - 1.0, st.now
