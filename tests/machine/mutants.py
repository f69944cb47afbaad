"""Small faults put into the core one at a time; the checker must find each of them in simulated sessions.

Laws: a mutant is an edit of one method's source that must apply exactly once, so that a mutant that no longer fits the core is noticed;
the core's own invariant check is switched off, so that only visible behaviour can reveal the fault.
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from parley.core import session, state
from parley.core.decisions import compaction, heard, output, requests, responses, transcripts, turns
from parley.core.regions import (
    attempt,
    context,
    conversation,
    entry,
    heard_turns,
    input_audio,
    pending_turns,
    playback,
    response,
    summaries,
    turn_taking,
)


class DoesNotApply(AssertionError):
    """The core no longer has the line that the mutant edits; the mutant must be rewritten."""


@dataclass(frozen=True, slots=True)
class Edit:
    """In `owner.method`, `old` becomes `new`."""

    owner: type | ModuleType
    method: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Mutant:
    """A fault. `what` describes its effect for a user."""

    name: str
    what: str
    edits: tuple[Edit, ...]


def _one(name: str, what: str, owner: type | ModuleType, method: str, old: str, new: str) -> Mutant:
    return Mutant(name, what, (Edit(owner, method, old, new),))


@contextmanager
def applied(mutant: Mutant) -> Iterator[None]:
    """Patch the core with this fault. Raises `DoesNotApply`."""
    edits: dict[tuple[type | ModuleType, str], list[Edit]] = {}
    for edit in mutant.edits:
        edits.setdefault((edit.owner, edit.method), []).append(edit)
    edited = {place: _edited(mutant, *place, some) for place, some in edits.items()}
    originals = {place: place[0].__dict__[place[1]] for place in edited}
    inner = vars(session)
    inner_check = inner["check"]
    try:
        for (owner, method), function in edited.items():
            setattr(owner, method, function)
        inner["check"] = lambda st: None
        yield
    finally:
        inner["check"] = inner_check
        for (owner, method), original in originals.items():
            setattr(owner, method, original)


def _edited(mutant: Mutant, owner: type | ModuleType, method: str, edits: list[Edit]) -> Any:
    original = owner.__dict__.get(method)
    if original is None:
        raise DoesNotApply(f"{mutant.name}: {owner.__name__} no longer has {method}")
    source = textwrap.dedent(inspect.getsource(original))
    for edit in edits:
        if source.count(edit.old) != 1:
            raise DoesNotApply(
                f"{mutant.name}: {owner.__name__}.{method} holds {edit.old!r} {source.count(edit.old)} times"
            )
        source = source.replace(edit.old, edit.new)
    module = inspect.getmodule(owner)
    assert isinstance(module, ModuleType)
    scope: dict[str, Any] = {}
    exec(compile("from __future__ import annotations\n" + source, f"<{mutant.name}>", "exec"), vars(module), scope)
    return scope[method]


MUTANTS = (
    _one(
        "a summary outlives its messages",
        "what the client has deleted is still in the prompt, as part of a summary",
        summaries.Summary,
        "holds",
        "return all(",
        "return True or all(",
    ),
    _one(
        "a summary takes the model",
        "a summary is begun while a reply is generated",
        compaction.Compaction,
        "_idle",
        "st.attempts.alive or ",
        "",
    ),
    _one(
        "nothing is cut",
        "the conversation keeps words that were not heard",
        heard.HeardSpeech,
        "stop",
        "entry.cut(cut.samples)",
        "pass",
    ),
    _one(
        "heard too much",
        "100 ms more than was heard is kept",
        playback.Playback,
        "heard",
        "sound.start + sound.samples - left",
        "sound.start + sound.samples - left + 2_400",
    ),
    _one(
        "heard too little",
        "the playback is calculated from the last piece, not from the queue",
        playback.RemotePlayback,
        "_extend",
        "max(self._ends, now)",
        "now",
    ),
    _one(
        "unspoken words kept",
        "words without synthesized audio stay in the conversation",
        responses.Responses,
        "silence",
        "self.heard.cut_unspoken(main, {cut.item for cut in cuts})",
        "pass",
    ),
    _one(
        "uncut audio retrieved",
        "an item is retrieved with audio that was not heard",
        entry.Entry,
        "with_audio",
        "self.speech.samples if self.heard is None else self.heard",
        "self.speech.samples",
    ),
    _one(
        "two terminals",
        "response.done is sent twice",
        output.OutputDelivery,
        "end",
        "st.tell_all(response.finish(status, reason=reason, error=error, usage=usage))",
        "ends = response.finish(status, reason=reason, error=error, usage=usage); st.tell_all([*ends, ends[-1]])",
    ),
    _one(
        "a part never done",
        "content_part.done is missing",
        response.Response,
        "close",
        "notices.append(ContentPartDone(at, self.modality, text))",
        "pass",
    ),
    _one(
        "a turn never done",
        "conversation.item.done of the user's item is missing",
        turns.Turns,
        "_commit",
        "st.tell(ItemDone(view, previous))",
        "pass",
    ),
    Mutant(
        "an outdated attempt is released",
        "the answer is to half a sentence",
        (
            Edit(turns.Turns, "scored", "self.responses.drop_speculation()", "pass"),
            Edit(
                responses.Responses,
                "release_speculation",
                "holds = held.basis == Basis(transcript, st.settings.version, conversation_version)",
                "holds = True",
            ),
        ),
    ),
    _one(
        "a held attempt outlives its pause",
        "a held reply continues while the user speaks",
        turns.Turns,
        "scored",
        "self.responses.drop_speculation()",
        "pass",
    ),
    _one(
        "the loudspeaker is not stopped",
        "the server keeps playing while the user speaks",
        heard.HeardSpeech,
        "stop",
        "st.do_all(effects)",
        "pass",
    ),
    _one(
        "errors without event_id",
        "clients cannot tell which request was refused",
        session.Session,
        "handle",
        'getattr(event, "event_id", None)',
        "None",
    ),
    _one(
        "generations are not stopped",
        "a cancelled generation is not stopped",
        output.OutputDelivery,
        "end",
        "st.do(CancelGeneration(attempt_id))",
        "pass",
    ),
    Mutant(
        "late audio is accepted",
        "an ended attempt's audio is played",
        (
            Edit(attempt.Attempts, "forget", "self.alive.pop(attempt_id, None)", "self.alive.get(attempt_id)"),
            Edit(output.OutputDelivery, "apply", "if response.done:\n        return\n", "pass\n"),
        ),
    ),
    _one(
        "audio committed twice",
        "the same words are in two turns",
        input_audio.InputBuffer,
        "commit",
        "self.trim(end)",
        "pass",
    ),
    _one(
        "two responses at once",
        "response.create is accepted while one runs",
        requests.ClientRequests,
        "create_response",
        "params.in_conversation and st.responses.main is not None",
        "False",
    ),
    _one(
        "replies before the transcript",
        "a reply is generated before the transcript is there",
        responses.Responses,
        "_awaits",
        "if plan.given is not None or not (self.st.pending.turns or self.st.tools.calls):",
        "if True:",
    ),
    _one(
        "unstable words are sent",
        "a transcription delta is taken back",
        turn_taking.UserTurn,
        "hear",
        "self.stable = stable",
        "self.stable = text",
    ),
    _one(
        "words outlive their turn",
        "words that may still change stand after their turn was cleared",
        transcripts.Transcripts,
        "drop",
        "self._tell_unstable(turn)",
        "pass",
    ),
    _one(
        "waits forever for a transcript",
        "a silent recogniser blocks the session",
        transcripts.Transcripts,
        "fail_overdue",
        "pending.deadline_ns <= self.st.now",
        "False",
    ),
    _one(
        "no queue of one",
        "a turn spoken over a reply is never answered",
        responses.Responses,
        "queue_reply",
        "self.queue(PendingWork(Plan(hint=hint)))",
        "self.st.responses.main or self.queue(PendingWork(Plan(hint=hint)))",
    ),
    _one(
        "wrong previous_item_id",
        "previous_item_id names the wrong item",
        conversation.Conversation,
        "insert",
        "return self._order[index - 1] if index else None",
        "return self._order[0] if index else None",
    ),
    _one(
        "audio sent twice",
        "the listener hears everything twice",
        response.Response,
        "sound",
        "return [OutputAudioDelta(at, audio)]",
        "return [OutputAudioDelta(at, audio), OutputAudioDelta(at, audio)]",
    ),
    _one(
        "metadata lost",
        "clients that match replies by metadata wait forever",
        response.Response,
        "_view",
        "self.metadata",
        "None",
    ),
    _one(
        "out-of-band items enter the conversation",
        "an out-of-band reply shows up in the prompt",
        state.State,
        "place",
        "if response.conversation_id is not None else None",
        "",
    ),
    _one(
        "interrupts against the settings",
        "interrupt_response: false is ignored",
        turns.Turns,
        "_claim",
        "detection is not None and detection.interrupt_response",
        "detection is not None",
    ),
    Mutant(
        "stopped before speech_started",
        "the client gets the cancelled reply before its reason",
        (
            Edit(
                turns.Turns,
                "_claim",
                "st.tell(InputSpeechStarted(turn.item_id, turn.start_sample // SAMPLES_PER_MS))",
                "pass",
            ),
            Edit(
                turns.Turns,
                "_claim",
                'self.responses.silence("turn_detected", by=turn.id)',
                'self.responses.silence("turn_detected", by=turn.id)'
                "\n        st.tell(InputSpeechStarted(turn.item_id, turn.start_sample // SAMPLES_PER_MS))",
            ),
        ),
    ),
    _one(
        "streams left open",
        "a recogniser stream leaks when the session ends",
        session.Session,
        "_close",
        "st.do(DropTranscription(turn.id))",
        "pass",
    ),
    _one(
        "the question is lost",
        "a model is asked without the question where its context is full",
        context,
        "_question",
        "return next(asked, len(items) - 1)",
        "return len(items) - 1",
    ),
    _one(
        "an output without its call",
        "strict endpoints refuse every later turn",
        context,
        "_outlasting",
        "last[shared]",
        "at",
    ),
    _one(
        "answered twice",
        "a client that requests the reply before the transcript gets two",
        pending_turns.PendingTurns,
        "answered_by_reply",
        "pending.wants_reply = pending.silent_prompt = False",
        "pass",
    ),
    _one(
        "a client's truncation is ignored",
        "the prompt holds what the client says was not heard",
        heard.HeardSpeech,
        "cut_by_client",
        "entry.cut(known if all_of_it else audio_end_ms * SAMPLES_PER_MS, by_client=True)",
        "pass",
    ),
    _one(
        "side replies have no end",
        "an out-of-band response is never cancelled",
        responses.Responses,
        "cancel",
        'self.delivery.end(response, "cancelled", reason="client_cancelled")',
        "pass",
    ),
    _one(
        "the voice knows what nobody heard",
        "a conversational voice goes on from words that the listener interrupted",
        heard_turns,
        "_clauses_of",
        "speech.samples if entry.heard is None else entry.heard",
        "speech.samples",
    ),
    _one(
        "the voice hears another clause",
        "a conversational voice is given the sound of one clause with the words of another",
        heard_turns,
        "_clauses_of",
        "audio[form.size(clause.start) :",
        "audio[form.size(0) :",
    ),
)
