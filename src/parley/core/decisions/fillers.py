"""Fillers: a phrase while a reply is awaited in silence.

Laws:
- A filler is an out-of-band response that is heard: its words are no part of the conversation, and no model is shown them. (A model that
  read its own "One moment" before every answer would begin to write it.)
- It is made before the client is told of it, and dropped without a trace where the reply, or anybody's voice, comes first. Once it
  sounds, the reply follows behind it, and a barge-in cuts it as it cuts a reply.
- Only a reply in the conversation that is spoken is waited for; pauses are counted from the last sound of either side.
"""

from __future__ import annotations

from parley.core.decisions.output import OutputDelivery
from parley.core.decisions.prompt import PromptBuilder
from parley.core.regions.attempt import Attempt, Plan
from parley.core.regions.open_responses import AwaitingCalls, AwaitingInput, Generating
from parley.core.regions.response import Response
from parley.core.state import State
from parley.core.words.effects import CancelGeneration, ReleaseGeneration
from parley.core.words.events import GenerationEvent, GenerationFailed, GenerationFinished
from parley.core.words.filler_phrases import FillerPhrases
from parley.core.words.limits import MAX_SIDE_RESPONSES
from parley.core.words.work import ResponseParams, Utterance

FILLER = ("parley", "filler")
"""The metadata by which a client tells a filler from a response that it asked for."""

_PARAMS = ResponseParams(in_conversation=False, metadata=(FILLER,))


class FillerSpeech:
    """Owns every decision about fillers. Shares the session's state."""

    def __init__(self, state: State, prompts: PromptBuilder, delivery: OutputDelivery) -> None:
        self.st = state
        self.prompts = prompts
        self.delivery = delivery

    def consider(self) -> None:
        """Look at what has become of the wait: make a filler when it is due, drop the one being made when it is not wanted any more."""
        st = self.st
        if not st.owner.fillers.phrases:
            return
        st.reply_wait.watch(st.responses.main)
        if st.turns.turn is not None:
            st.reply_wait.leave_client()
        if not self._reply_is_awaited():
            st.reply_wait.answered()
            self.drop()
        elif st.turns.turn is not None or st.playback.audible(st.now):
            st.reply_wait.heard()
            self.drop()
        else:
            st.reply_wait.silent(st.now)
            due = self.deadline_ns()
            if due is not None and st.now >= due:
                self._make()

    def _reply_is_awaited(self) -> bool:
        """Whether a reply in the conversation is coming, and is to be spoken, and has not begun to sound."""
        st, main = self.st, self.st.responses.main
        if st.settings.kind != "realtime" or st.settings.modality != "audio" or st.changing is not None:
            return False
        if main is not None:
            calling = isinstance(st.responses.position(main), AwaitingCalls)
            wanted = main.modality == "audio" and (calling or not main.audio_samples)
            return wanted and not self._speaks_unasked(main)
        replies = any(work.plan.given is None and work.plan.hint is None for work in st.work.waiting)
        turns = any(pending.wants_reply and not pending.silent_prompt for pending in st.pending)
        return replies or turns or bool(st.tools.calls) or st.reply_wait.client_calls

    def _speaks_unasked(self, main: Response) -> bool:
        """Whether the session itself has something to say, such as after a long silence: nobody waits for it."""
        position = self.st.responses.position(main)
        if isinstance(position, Generating):
            attempt = self.st.attempts.get(position.attempt)
            return attempt is not None and attempt.plan.hint is not None
        return isinstance(position, AwaitingInput | AwaitingCalls) and position.plan.hint is not None

    def deadline_ns(self) -> int | None:
        """When the next filler is due; None: none is."""
        st, fillers = self.st, self.st.owner.fillers
        state = st.reply_wait
        if state.since_ns is None or state.attempt is not None or state.told >= fillers.most:
            return None
        if self._phrases() is None or len(st.responses.sides) >= MAX_SIDE_RESPONSES:
            return None
        return state.since_ns + (fillers.interval_ms if state.told else fillers.after_ms) * 1_000_000

    def _phrases(self) -> FillerPhrases | None:
        """What can be said in the session's language, or in any where the owner names none for the phrases."""
        fillers = self.st.owner.fillers
        return fillers.in_language(self.prompts.language()) or fillers.in_language("")

    def _make(self) -> None:
        st, phrases = self.st, self._phrases()
        assert phrases is not None
        text = phrases.phrases[st.reply_wait.said % len(phrases.phrases)]
        attempt = self.prompts.draft(Plan(_PARAMS, given=Utterance(text, phrases.language)), ())
        st.reply_wait.make(attempt.id, st.settings.version)
        self.prompts.generate(attempt, None)

    def generated(self, attempt: Attempt, event: GenerationEvent) -> None:
        """Keep what was made of the filler, and say it once it is whole."""
        self.st.reply_wait.hold(event)
        match event:
            case GenerationFailed():
                self.drop()  # the reply is still to come, and says what is wrong where it fails too
            case GenerationFinished():
                self._say(attempt)
            case _ if self.st.reply_wait.too_large:
                self.drop()
            case _:
                pass

    def _say(self, attempt: Attempt) -> None:
        """The filler is whole: let it be heard, if it is still wanted."""
        st = self.st
        silent = st.turns.turn is None and not st.playback.audible(st.now)
        same = st.reply_wait.settings_version == st.settings.version
        if not (silent and same and self._reply_is_awaited() and len(st.responses.sides) < MAX_SIDE_RESPONSES):
            self.drop()
            return
        response = Response.begin(st.ids.response(), None, st.settings, _PARAMS, heard=True)
        st.responses.begin(response, Generating(attempt.id))
        attempt.feed(response)
        st.do(ReleaseGeneration(attempt.id, response.id))
        st.tell(response.created())
        for event in st.reply_wait.take():
            self.delivery.apply(attempt, response, event)
        for output in response.outputs:
            st.reply_wait.sounds(output.entry)

    def drop(self) -> None:
        """Make no more of the filler; the client was told nothing of it."""
        st, attempt_id = self.st, self.st.reply_wait.attempt
        if attempt_id is None:
            return
        st.reply_wait.take()
        if st.attempts.forget(attempt_id):
            st.do(CancelGeneration(attempt_id))
