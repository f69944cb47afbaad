"""Resumes a reply after a false interruption: a cough, or an "mm-hm" that does not take the floor.

Laws: the reply resumes where the listener stopped hearing, with its existing audio if that is complete, else with a new generation;
a "yes" near its end answers it, and then nothing is resumed.
"""

from __future__ import annotations

from parley.core.decisions.responses import Responses
from parley.core.regions.attempt import Plan
from parley.core.regions.work_queue import PendingWork
from parley.core.state import State
from parley.core.words.events import SpeechGenerated
from parley.core.words.ids import NO_ATTEMPT
from parley.core.words.items import InputText, Message
from parley.core.words.limits import ANSWERING_MS, SAMPLES_PER_MS
from parley.core.words.notices import Usage

_RESUME_HINT = (
    "A noise cut off your last words; nobody spoke. Go on from where you were stopped, without repeating yourself."
)


class Resumption:
    """Owns the resumption of falsely interrupted replies. Shares the session's state."""

    def __init__(self, state: State, responses: Responses) -> None:
        self.st = state
        self.responses = responses

    def resume_after_false_interruption(self, words: str) -> bool:
        """The interruption was false: resume the reply where it was stopped. True if there was one.

        `words`: listening words, if any; said so near the reply's end they are no listening, but the answer to it.
        """
        st = self.st
        stopped, st.interrupted = st.interrupted, None
        if stopped is None or not st.owner.resume_false_stops or st.responses.main is not None:
            return False
        if stopped.item is None:
            self.responses.queue_reply()
            return True
        entry = st.conversation.entry(stopped.item)
        if entry is None or entry.speech is None or entry.heard is None:
            return False
        speech, heard = entry.speech, entry.heard
        if stopped.whole and words.strip() and speech.samples - heard <= ANSWERING_MS * SAMPLES_PER_MS:
            return False
        if not stopped.whole or speech.discarded:
            hint = Message(st.ids.item(), "system", (InputText(_RESUME_HINT),))
            self.responses.queue(PendingWork(Plan(hint=hint)))
            return True
        audio = speech.audio_until(speech.samples)
        rest = speech.rest(heard)
        if (
            audio is None
            or not rest
            or speech.format is not st.settings.output_format
            or st.settings.modality != "audio"
        ):
            return False
        response, delivery = self.responses.begin_replay(speech.format), self.responses.delivery
        for clause, start, end in rest:
            output = delivery.open_message(response)
            output.entry.begin_clause(clause)
            st.tell_all(response.say(output, clause))
            piece = audio[speech.format.size(start) : speech.format.size(end)]
            delivery.speak(response, SpeechGenerated(NO_ATTEMPT, piece))
        delivery.end(
            response, "completed", usage=Usage(output_audio=-(-response.audio_samples // SAMPLES_PER_MS // 50))
        )
        return True
