"""Turns the output of engines into a response: its items, text, audio and end.

Laws: every response ends here; audio is queued for the listener when it is sent; the conversation's
items grow with what is sent of them.
"""

from __future__ import annotations

from typing import Literal, assert_never

from parley.core.decisions.heard import HeardSpeech
from parley.core.decisions.tool_calls import ToolCalls
from parley.core.regions.attempt import Attempt
from parley.core.regions.context import text_tokens
from parley.core.regions.open_responses import AwaitingCalls, AwaitingInput, Generating, Replaying
from parley.core.regions.playback import Sound
from parley.core.regions.response import Output, Response
from parley.core.state import State
from parley.core.words.effects import CancelGeneration
from parley.core.words.errors import ErrorType, Fault
from parley.core.words.events import (
    ClauseStarted,
    GenerationEvent,
    GenerationFailed,
    GenerationFinished,
    SpeechGenerated,
    TextGenerated,
    ToolArgumentsGenerated,
    ToolCallStarted,
)
from parley.core.words.limits import MAX_RESPONSE_AUDIO_MS, MAX_RESPONSE_TEXT, SAMPLES_PER_MS
from parley.core.words.notices import (
    ClauseTranslated,
    ResponseError,
    ResponseStatus,
    StatusReason,
    Usage,
)
from parley.core.words.settings import CLAUSES
from parley.core.words.work import Translation


class OutputDelivery:
    """Owns what a response sends between its beginning and its end. Shares the session's state."""

    def __init__(self, state: State, heard: HeardSpeech, calls: ToolCalls) -> None:
        self.st = state
        self.heard = heard
        self.calls = calls

    def apply(self, attempt: Attempt, response: Response, event: GenerationEvent) -> None:
        """Add an engine's output to the response."""
        st = self.st
        if response.done:
            return
        match event:
            case TextGenerated(text=text):
                st.tell_all(response.say(self.open_message(response), self._shown(text)))
            case ClauseStarted(text=text, id=clause):
                output, text = self.open_message(response), self._shown(text)
                output.entry.begin_clause(text, clause)
                st.tell_all(response.say(output, text))
            case SpeechGenerated():
                attempt.begin(st.now)
                self.speak(response, event)
            case ToolCallStarted():
                self.calls.begin(attempt, response, event)
            case ToolArgumentsGenerated(index=index, arguments=arguments):
                call = response.call(index)
                if call is not None:
                    st.tell_all(response.argue(call, arguments))
            case GenerationFinished(reason=reason, differences=differences):
                st.attempts.forget(attempt.id)
                usage = self._usage(attempt, response, event)
                match reason:
                    case "length":
                        self.end(response, "incomplete", reason="max_output_tokens", usage=usage)
                    case "content_filter":
                        self.end(response, "incomplete", reason="content_filter", usage=usage)
                    case "stop" | "tool_calls":
                        if isinstance(attempt.work, Translation):
                            self._record(attempt, attempt.work, response, differences=differences)
                        self._complete(attempt, response, usage)
                    case _:
                        assert_never(reason)
                return
            case GenerationFailed(fault=fault):
                st.attempts.forget(attempt.id)
                self.fail_attempt(attempt, response, fault)
                return
            case _:
                assert_never(event)
        if response.text_length > MAX_RESPONSE_TEXT or response.audio_samples > MAX_RESPONSE_AUDIO_MS * SAMPLES_PER_MS:
            self.end(response, "incomplete", reason="max_output_tokens", usage=self._usage(attempt, response, None))

    def _shown(self, text: str) -> str:
        """The text as part of what the client shows: the translations of a session are one running text."""
        st = self.st
        return st.captions.add_target(text) if st.settings.kind == "translation" else text

    def _show_source(self, attempt: Attempt, work: Translation, response: Response) -> None:
        """The translation failed: show the speaker's own words in its place, if nothing of it was shown."""
        if not response.text_length:
            self.st.tell_all(response.say(self.open_message(response), self._shown(work.text.strip())))
        self._record(attempt, work, response, "shown")

    def _record(
        self,
        attempt: Attempt,
        work: Translation,
        response: Response,
        outcome: Literal["translated", "shown"] = "translated",
        differences: tuple[str, ...] = (),
    ) -> None:
        """Send the record of a clause to a client that asked for it."""
        st = self.st
        if CLAUSES not in st.settings.include:
            return
        text = "".join(output.text for output in response.outputs).strip()
        waited_ms = ((attempt.began_ns or st.now) - attempt.queued_ns) // 1_000_000
        st.tell(
            ClauseTranslated(
                work.clause,
                work.clauses,
                work.text.strip(),
                text,
                work.from_language,
                work.to_language,
                work.end_ms,
                waited_ms,
                attempt.speed,
                outcome,
                differences,
            )
        )

    def _complete(self, attempt: Attempt, response: Response, usage: Usage) -> None:
        """The generation is complete: end the response, or wait for the calls that it made."""
        st = self.st
        for output in response.outputs:
            if not output.closed and not output.is_ours_to_run:
                st.tell_all(response.close(output, "completed"))
        for asked in response.take_asked():
            st.tell_all(response.announce_asked(asked, st.place(response, asked.entry)))
        for output in response.outputs:
            if not output.closed:
                self.calls.run(response, output)
        if st.tools.runs_for(response.id):
            st.responses.move(response, AwaitingCalls(attempt.plan, usage))
        else:
            self.end(response, "completed", usage=usage)

    def open_message(self, response: Response) -> Output:
        """The message now open, announced if it is new."""
        output = response.message()
        if output is None:
            entry = response.new_message(self.st.ids.item())
            self.st.tell_all(response.open(entry, self.st.place(response, entry)))
            output = response.outputs[-1]
        return output

    def speak(self, response: Response, event: SpeechGenerated) -> None:
        """Add audio to the reply: keep it, queue it for the listener, notify the client."""
        st = self.st
        output = self.open_message(response)
        entry = output.entry
        if entry.speech is None or not event.audio:
            return
        if not entry.speech.clauses:
            entry.speech.begin("")
        st.engines_used = True
        start = entry.speech.samples
        samples = entry.speech.add(event.audio, event.words)
        if not response.heard:
            st.tell_all(response.sound(output, event.audio))
            return
        if response.conversation_id is not None:
            st.conversation.mark_spoken()
        deltas = response.sound(output, event.audio)
        sound = Sound(entry.item.id, response.id, start, samples, response.end_ms)
        st.do_all(st.playback.send(sound, event.audio, response.format, deltas, st.now, heard=not entry.by_client))

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

    def fail_attempt(self, attempt: Attempt, response: Response, fault: Fault) -> None:
        """The work of this response failed: a translation shows its source, the response ends."""
        if isinstance(attempt.work, Translation):
            self._show_source(attempt, attempt.work, response)
        self.fail(response, fault)

    def fail(self, response: Response, fault: Fault, kind: ErrorType = "server_error") -> None:
        """An engine failed: what was heard is kept, the rest is discarded."""
        self.heard.cut_unspoken(response)
        self.end(response, "failed", error=ResponseError(kind, fault.code, fault.message))

    def end(
        self,
        response: Response,
        status: ResponseStatus,
        *,
        reason: StatusReason | None = None,
        error: ResponseError | None = None,
        usage: Usage | None = None,
    ) -> None:
        """End the response: forget its attempt and send its terminal. Every response ends here."""
        st = self.st
        match st.responses.end(response):
            case AwaitingCalls(usage=used):
                usage = usage or used
                st.tools.leave_response(response.id, wanted=reason == "turn_detected")
            case Generating(attempt=attempt_id):
                attempt = st.attempts.get(attempt_id)
                if attempt is not None:
                    usage = usage or self._usage(attempt, response, None)
                if st.attempts.forget(attempt_id):
                    st.do(CancelGeneration(attempt_id))
            case AwaitingInput() | Replaying():
                pass
            case position:
                assert_never(position)
        st.tell_all(response.finish(status, reason=reason, error=error, usage=usage))
        if (limits := st.rate_limit.notice(st.now)) is not None:
            st.tell(limits)
