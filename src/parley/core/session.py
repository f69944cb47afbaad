"""The entry point of the core: a session handles events, `handle(event, now) -> effects`.

Laws: synchronous, owns all state, does no I/O; time and ids come from outside, so that the same events at the same times cause the same
effects. Each event is routed to the module of `decisions` that owns it; then the rules that follow from the state alone run to a fixed
point; then the invariants are checked, in production too.

    turns.py       the user's side        audio, voice, turns, transcripts, the floor
    responses.py   the agent's side       responses, speculation, interruption
    tools.py       the tools' side        servers of tools, and the outcome of calls
    compaction.py  long conversations     summaries in place of older items
    interpreted.py translation sessions    hearing out, finishing, closing
    requests.py    the client's requests  settings, items, response.create and cancel
"""

from __future__ import annotations

from typing import assert_never

from parley.core.decisions.compaction import Compaction
from parley.core.decisions.fillers import FillerSpeech
from parley.core.decisions.heard import HeardSpeech
from parley.core.decisions.interpreted import InterpretedSession
from parley.core.decisions.output import OutputDelivery
from parley.core.decisions.prompt import PromptBuilder
from parley.core.decisions.requests import ClientRequests
from parley.core.decisions.responses import Responses
from parley.core.decisions.tool_calls import ToolCalls
from parley.core.decisions.tools import ServerTools
from parley.core.decisions.turns import Turns
from parley.core.invariants import check
from parley.core.policy.kinds import policy_of
from parley.core.policy.turn_rules import Rules
from parley.core.regions.conversation import Conversation
from parley.core.regions.input_audio import InputBuffer
from parley.core.regions.playback import PacedPlayback, RemotePlayback
from parley.core.regions.rate_limit import RateLimiter
from parley.core.spec import SessionSpec
from parley.core.state import Idle, State
from parley.core.words.effects import CancelGeneration, CloseLink, DropTranscription, Effect
from parley.core.words.errors import PeerError
from parley.core.words.events import (
    AudioArrived,
    AudioPlayed,
    CancelRequested,
    ClauseStarted,
    ClearRequested,
    ClientErred,
    ClientRequest,
    CommitRequested,
    Event,
    FirstTokenGenerated,
    GenerationFailed,
    GenerationFinished,
    InputEnded,
    ItemCreateRequested,
    ItemDeleteRequested,
    ItemRetrieveRequested,
    ItemTruncateRequested,
    LinkClosed,
    OutputClearRequested,
    PartialTranscribed,
    PauseJudged,
    ResponseRequested,
    SessionCloseRequested,
    SessionUpdateRequested,
    SpeechGenerated,
    Summarized,
    SummaryFailed,
    TextGenerated,
    TimePassed,
    ToolAnswered,
    ToolArgumentsGenerated,
    ToolCallStarted,
    ToolFailed,
    ToolListingFailed,
    ToolsListed,
    Transcribed,
    TranscriptionFailed,
    VoiceScored,
    WindDownRequested,
    WorkAbandoned,
)
from parley.core.words.ids import Minter, SessionId
from parley.core.words.items import Item
from parley.core.words.limits import STALLED_MICROPHONE_NS
from parley.core.words.notices import ErrorRaised, Notice
from parley.core.words.pipeline_events import PipelineFound, PipelineNotFound
from parley.core.words.settings import ServerVad, Settings
from parley.core.words.work import (
    AwaitedCall,
    AwaitedGeneration,
    AwaitedListing,
    AwaitedSummary,
    AwaitedTranscript,
    Outstanding,
)


class Session:
    """One conversation with one client.

    Call `start()` once, then `handle()` for every event in the order it happened, with a monotonic clock in nanoseconds; perform the
    effects in order. Post `TimePassed` when `next_deadline()` has come. After `closed` nothing is answered any more.

    Raises `InvariantBroken` on a bug of its own.
    """

    def __init__(self, spec: SessionSpec) -> None:
        ids = Minter(spec.seed)
        self._st = State(
            session_id=ids.session(),
            settings=spec.settings,
            defaults=spec.settings,
            owner=spec.owner,
            capabilities=spec.capabilities,
            policy=spec.policy or policy_of(spec.settings, spec.owner),
            custom_policy=spec.policy is not None,
            rules=spec.rules or Rules(),
            ids=ids,
            started_ns=spec.now_ns,
            input=InputBuffer(spec.settings.input_format),
            playback=PacedPlayback() if spec.playback == "paced" else RemotePlayback(),
            conversation=Conversation(ids.conversation()),
            now=spec.now_ns,
            rate_limit=RateLimiter(spec.owner.responses_per_minute, spec.now_ns),
        )
        self._heard = HeardSpeech(self._st)
        calls = ToolCalls(self._st)
        delivery = OutputDelivery(self._st, self._heard, calls)
        prompts = PromptBuilder(self._st)
        self._fillers = FillerSpeech(self._st, prompts, delivery)
        self._responses = Responses(self._st, prompts, self._heard, delivery, self._fillers)
        self._compaction = Compaction(self._st, prompts, self._heard)
        self._turns = Turns(self._st, self._responses)
        self._tools = ServerTools(self._st, self._responses, calls)
        self._interpreting = InterpretedSession(self._st, self._turns)
        self._requests = ClientRequests(self._st, self._responses, self._turns, self._tools, self._compaction)

    @property
    def id(self) -> SessionId:
        return self._st.session_id

    @property
    def closed(self) -> bool:
        return self._st.closed

    @property
    def settings(self) -> Settings:
        return self._st.settings

    @property
    def items(self) -> tuple[Item, ...]:
        """The conversation as it stands: without audio, with the words that were heard by the last event."""
        played = self._heard.played_so_far()
        return tuple(entry.view(played.get(entry.item.id)) for entry in self._st.conversation.entries())

    @property
    def ending(self) -> bool:
        """Whether its client has asked for its end, or the server: no more input is taken."""
        return self._st.closing != "no"

    @property
    def speaking(self) -> bool:
        """Whether the listener hears a reply."""
        return self._st.playback.audible(self._st.now)

    def turn_audio(self, longest_ms: int) -> bytes:
        """The end of the turn now being spoken, up to what was scored last, in the input's format; b"" without a turn."""
        return self._st.turn_audio(longest_ms)

    @property
    def late_events(self) -> int:
        """The number of events of ended work, which were dropped."""
        return self._st.late

    def outstanding(self) -> tuple[Outstanding, ...]:
        """The outstanding work, whose outcome has not arrived. A shell that stops waiting posts `WorkAbandoned` for it."""
        st = self._st
        return (
            *(AwaitedTranscript(pending.turn.id) for pending in st.pending if pending.held is None),
            *map(AwaitedGeneration, st.attempts.running()),
            *(AwaitedListing(listing.id) for listing in st.tools.awaited()),
            *map(AwaitedCall, st.tools.calls),
            *((AwaitedSummary(st.summaries.running.id),) if st.summaries.running is not None else ()),
        )

    def start(self) -> list[Effect]:
        """Send the first notices. Call it once, before anything else."""
        self._st.tell_all(self.introduction(self._st.now))
        self._tools.configure(self._st.settings.tools)
        return self._taken()

    def introduction(self, now_ns: int) -> list[Notice]:
        """The notices that describe the session as it is now: the first for anyone who listens to it."""
        return self._requests.introduction(now_ns)

    def handle(self, event: Event, now_ns: int) -> list[Effect]:
        """Handle one event; returns its effects, in order."""
        st = self._st
        if st.closed:
            st.late += 1
            return []
        st.now = max(now_ns, st.now)
        try:
            self._route(event)
        except PeerError as error:
            st.tell(ErrorRaised(error.code, error.message, error.field, error.kind, getattr(event, "event_id", None)))
        if not isinstance(event, AudioArrived):  # audio alone changes nothing else; what follows comes with its score
            self._settle()
            check(st)
        return self._taken()

    def _taken(self) -> list[Effect]:
        out, self._st.out = self._st.out, []
        return out

    def _route(self, event: Event) -> None:
        turns, responses = self._turns, self._responses
        match event:
            case AudioArrived(audio=audio):
                turns.audio(audio)
            case VoiceScored():
                turns.scored(event)
            case FirstTokenGenerated(attempt=attempt):
                responses.progressed(attempt)
            case TextGenerated() | ClauseStarted() | SpeechGenerated() | ToolCallStarted() | ToolArgumentsGenerated():
                responses.generated(event)
            case GenerationFinished() | GenerationFailed():
                responses.generated(event)
            case Summarized() | SummaryFailed():
                self._compaction.handle(event)
            case ToolsListed() | ToolListingFailed() | ToolAnswered() | ToolFailed():
                self._tools.handle(event)
            case AudioPlayed(samples=samples):
                self._st.playback.played(samples)
            case TimePassed():
                self._time_passed()
            case InputEnded():
                turns.input_ended()
            case WorkAbandoned(work=work):
                self._abandon(work)
            case PartialTranscribed():
                turns.transcripts.partial(event)
            case Transcribed():
                turns.transcribed(event)
            case TranscriptionFailed():
                turns.transcripts.failed(event)
            case PauseJudged():
                turns.judged(event)
            case PipelineFound() | PipelineNotFound():
                self._requests.pipeline_found(event)
            case WindDownRequested():
                self._st.winding_down = True
                responses.drop_speculation()
                self._interpreting.wind_down()
            case LinkClosed():
                self._close()
            case _:
                self._answer(event)

    def _answer(self, event: ClientRequest) -> None:
        """Handle a client's event."""
        turns, requests = self._turns, self._requests
        match event:
            case SessionUpdateRequested():
                requests.update(event)
            case CommitRequested():
                turns.commit()
            case ClearRequested():
                turns.clear()
            case OutputClearRequested():
                requests.clear_output()
            case ItemCreateRequested():
                requests.create_item(event)
            case ItemRetrieveRequested():
                requests.retrieve_item(event)
            case ItemDeleteRequested():
                requests.delete_item(event)
            case ItemTruncateRequested():
                requests.truncate_item(event)
            case ResponseRequested():
                requests.create_response(event)
            case CancelRequested():
                requests.cancel_response(event)
            case SessionCloseRequested():
                self._interpreting.close()
            case ClientErred(code=code, message=message, path=path, kind=kind, event_id=event_id):
                self._st.tell(ErrorRaised(code, message, None, kind, event_id, path))
            case _:
                assert_never(event)

    # --- time ------------------------------------------------------------------------------------------------------------------

    def next_deadline(self) -> int | None:
        """When (monotonic ns) `TimePassed` is to be posted; None: never. It may be posted at any other time too."""
        st = self._st
        if st.closed:
            return None
        deadline = st.started_ns + st.owner.session_ms * 1_000_000
        if st.awaits_audio:
            deadline = min(deadline, st.last_heard_ns + STALLED_MICROPHONE_NS)
        waits = [deadline, st.playback.silent_at(st.now), st.summaries.deadline_ns(), self._fillers.deadline_ns()]
        if st.pending.turns:
            waits.append(st.pending.deadline_ns())
        if st.attempts.alive:
            waits.append(st.attempts.deadline_ns())
        if st.work.waiting:
            waits.append(st.work.deadline_ns(st.now))
        if st.tools.listings or st.tools.calls:
            waits.append(st.tools.deadline_ns())
        if st.idle is not None:
            waits.append(self._idle_at())
        return min(wait for wait in waits if wait is not None)

    def _idle_at(self) -> int | None:
        st, detection = self._st, self._st.settings.turn_detection
        if st.idle is None or not isinstance(detection, ServerVad) or detection.idle_timeout_ms is None:
            return None
        return st.idle.since_ns + detection.idle_timeout_ms * 1_000_000

    def _time_passed(self) -> None:
        st = self._st
        if st.now >= st.started_ns + st.owner.session_ms * 1_000_000:
            minutes = st.owner.session_ms / 60_000
            st.tell(ErrorRaised("session_expired", f"Your session hit the maximum duration of {minutes:g} minutes."))
            st.do(CloseLink("session_expired"))
            self._close()
            return
        if st.awaits_audio and st.now >= st.last_heard_ns + STALLED_MICROPHONE_NS:
            self._turns.stalled()
            self._interpreting.heard_out()
        self._turns.transcripts.fail_overdue()
        self._responses.fail_overdue()
        self._tools.fail_overdue()
        self._compaction.fail_overdue()
        idle_at = self._idle_at()
        if idle_at is not None and st.idle is not None and st.now >= idle_at:
            self._turns.idle_timeout(st.idle.since_sample)

    def _abandon(self, work: Outstanding) -> None:
        """Fail work that the shell has abandoned; work whose outcome has arrived meanwhile is counted as late."""
        match work:
            case AwaitedTranscript(turn=turn):
                self._turns.transcripts.abandon(turn)
            case AwaitedGeneration(attempt=attempt):
                self._responses.abandon(attempt)
            case AwaitedListing() | AwaitedCall():
                self._tools.abandon(work)
            case AwaitedSummary(summary=summary):
                self._compaction.abandon(summary)
            case _:
                assert_never(work)

    # --- what follows from the state alone -------------------------------------------------------------------------------------

    def _settle(self) -> None:
        st = self._st
        if st.closed:
            return
        self._interpreting.hear_out()
        while self._responses.drained() or self._responses.start_work():
            pass
        if self._interpreting.settle():
            self._close()
            return
        self._fillers.consider()
        self._compaction.consider()
        self._watch_idleness()
        waits = st.work.waiting or st.pending.turns or st.tools.calls
        if st.winding_down and st.closing == "no" and not st.output_heard and not st.responses.sides and not waits:
            st.do(CloseLink("server_shutting_down"))
            self._close()

    def _watch_idleness(self) -> None:
        st, detection = self._st, self._st.settings.turn_detection
        if not isinstance(detection, ServerVad) or detection.idle_timeout_ms is None or not st.responses.any_ended:
            st.idle = None
            return
        busy = st.turns.turn is not None or st.pending.turns or st.tools.calls or st.work.waiting
        if busy or st.output_heard or not st.policy.speaks:
            st.idle = None
        elif st.idle is None:
            st.idle = Idle(st.now, st.input.received)

    def _close(self) -> None:
        """End the session: stop all work; nothing is sent after this."""
        st = self._st
        self._heard.cut_at_end()
        for attempt_id in st.attempts.running():
            st.do(CancelGeneration(attempt_id))
        for turn in (*st.turns.open(), *(pending.turn for pending in st.pending)):
            st.do(DropTranscription(turn.id))
        self._compaction.drop()
        st.do_all(st.playback.end(st.now))
        st.closed = True
        for region in (st.attempts, st.pending, st.responses, st.work, st.tools, st.summaries, st.reply_wait):
            region.clear()
        st.changing = None
        st.turns.end_manual()
        st.turns.rest()
