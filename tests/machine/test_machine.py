"""Any event at any time: Hypothesis drives a session, the checker checks every step.

Both playbacks, realtime and transcription sessions, with and without speculation, both barge-in modes; events of work that has ended
or never existed, and requests that cannot be honoured.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any, Literal

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from parley.core.words.errors import Fault
from parley.core.words.events import (
    AudioPlayed,
    CancelRequested,
    ClauseStarted,
    ClearRequested,
    ClientErred,
    ClientEvent,
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
    SessionUpdateRequested,
    SpeechGenerated,
    SpokenWord,
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
from parley.core.words.ids import (
    AttemptId,
    CallId,
    ClientEventId,
    FlushId,
    ItemId,
    JudgementId,
    ResponseId,
    ToolCallId,
    TurnId,
)
from parley.core.words.items import (
    FunctionCallOutput,
    InputText,
    Item,
    ItemReference,
    McpApprovalResponse,
    McpError,
    Message,
    OutputText,
)
from parley.core.words.settings import (
    UNSTABLE_WORDS,
    AudioFormat,
    ForceMcp,
    FunctionTool,
    McpServer,
    OwnerSettings,
    SemanticVad,
    ServerVad,
    SessionKind,
    Settings,
    SettingsPatch,
    Transcription,
)
from parley.core.words.work import AwaitedCall, AwaitedGeneration, AwaitedTranscript, ResponseParams
from parley.testing.actors.tool_servers import LIBRARY, OPEN_LIBRARY, TOOLS
from tests.machine.harness import FRAME, Watched

EXAMPLES = int(os.environ.get("PARLEY_MACHINE_EXAMPLES", "20"))
STEPS = 60

FAULT = Fault("engine_error", "It broke.")
TOOL = FunctionTool("weather", "", "{}")
PATCHES: list[SettingsPatch] = [
    {"instructions": "Be brief."},
    {"turn_detection": None},
    {"turn_detection": ServerVad(silence_duration_ms=200)},
    {"turn_detection": ServerVad(interrupt_response=False)},
    {"turn_detection": ServerVad(create_response=False, idle_timeout_ms=5_000)},
    {"turn_detection": SemanticVad("high")},
    {"transcription": None},
    {"transcription": Transcription("any")},
    {"modality": "text"},
    {"modality": "audio"},
    {"voice": "marin"},
    {"voice": "unknown"},
    {"speed": 1.2},
    {"tools": (TOOL,)},
    {"tools": (TOOL, LIBRARY)},
    {"tools": (OPEN_LIBRARY,)},
    {"tool_choice": ForceMcp("library", "search")},
    {"tool_choice": "required"},
    {"input_format": AudioFormat.PCMU},
    {"output_format": AudioFormat.PCMU},
    {"kind": "transcription"},
]
SAID = ("hello", "there", "you", "all")
CLAUSES = ("Yes. ", "I think so, too. ", "🙂 ", "")


class Machine(RuleBasedStateMachine):
    """The rules: every event that may reach a session, in any order."""

    kind: SessionKind = "realtime"
    playback: Literal["remote", "paced"] = "remote"
    owner = OwnerSettings()

    def __init__(self) -> None:
        super().__init__()
        first = Settings(
            kind=self.kind,
            voice="alloy",
            transcription=Transcription("any"),
            turn_detection=ServerVad(silence_duration_ms=300),
            include=(UNSTABLE_WORDS,),
        )
        self.it = Watched(first, self.owner, self.playback)

    def teardown(self) -> None:
        if self.it.broken:
            return
        if not self.it.session.closed:
            self.it.post(LinkClosed("the end"))
        self.it.checker.finish(quiet=False)

    # --- the client

    def _client(self, event: ClientEvent, named: bool) -> None:
        self.it.post(replace(event, event_id=ClientEventId("evt")) if named else event)

    @rule(patch=st.sampled_from(PATCHES), named=st.booleans())
    def updates(self, patch: SettingsPatch, named: bool) -> None:
        self._client(SessionUpdateRequested(patch), named)

    @rule(
        event=st.sampled_from(
            [CommitRequested(), ClearRequested(), OutputClearRequested(), ClientErred("bad", "Bad.", "x")]
        ),
        named=st.booleans(),
    )
    def asks(self, event: ClientEvent, named: bool) -> None:
        self._client(event, named)

    @rule(data=st.data(), named=st.booleans())
    def touches_an_item(self, data: st.DataObject, named: bool) -> None:
        item = data.draw(st.sampled_from([*self.it.items[-5:], ItemId("item_unknown")]))
        events: list[ClientEvent] = [
            ItemRetrieveRequested(item),
            ItemDeleteRequested(item),
            ItemTruncateRequested(item, 0, 0),
            ItemTruncateRequested(item, 0, 70),
            ItemTruncateRequested(item, 0, 10_000),
            ItemTruncateRequested(item, 1, 0),
            ResponseRequested(ResponseParams(in_conversation=False, input=(ItemReference(item),))),
        ]
        event = data.draw(st.sampled_from(events))
        self._client(event, named)

    @rule(data=st.data(), named=st.booleans())
    def brings_an_item(self, data: st.DataObject, named: bool) -> None:
        place = data.draw(st.sampled_from([None, "root", *self.it.items[-3:], "item_unknown"]))
        name = ItemId(data.draw(st.sampled_from(["", "mine", *self.it.items[-1:]])))
        items: list[Item] = [
            Message(name, "user", (InputText("hello"),)),
            Message(name, "assistant", (OutputText("hi"),)),
            FunctionCallOutput(name, CallId("call_1"), "{}"),
        ]
        item = data.draw(st.sampled_from(items))
        self._client(ItemCreateRequested(item, place), named)

    @rule(
        aside=st.booleans(),
        empty=st.booleans(),
        modality=st.sampled_from([None, "text", "audio"]),
        named=st.booleans(),
    )
    def wants_a_response(
        self, aside: bool, empty: bool, modality: Literal["text", "audio"] | None, named: bool
    ) -> None:
        params = ResponseParams(
            in_conversation=not aside, input=() if empty else None, modality=modality, metadata=(("a", "b"),)
        )
        self._client(ResponseRequested(params), named)

    @rule(data=st.data(), named=st.booleans())
    def cancels(self, data: st.DataObject, named: bool) -> None:
        response = data.draw(st.sampled_from([None, *self.it.responses[-3:], ResponseId("resp_unknown")]))
        self._client(CancelRequested(response), named)

    # --- the input engines

    @rule(length_ms=st.integers(1, 400))
    def sends_audio(self, length_ms: int) -> None:
        self.it.say(length_ms)

    @rule(voiced=st.booleans(), frames=st.integers(1, 24))
    def speaks_or_pauses(self, voiced: bool, frames: int) -> None:
        """Audio that is voice or silence, scored as it arrives."""
        self.it.say(frames * 32)
        self.it.wait(frames * 32)
        work = self.it.work
        while work.voice_from >= 0 and work.voice_from + FRAME <= work.scored_to:
            work.voice_from += FRAME
            self.it.post(VoiceScored(work.voice_from, 0.95 if voiced else 0.05))

    @rule(end=st.integers(-1_000, 100_000), probability=st.floats(0, 1))
    def scores_nonsense(self, end: int, probability: float) -> None:
        self.it.post(VoiceScored(end, probability))

    def _words(self, data: st.DataObject, turn: TurnId) -> str:
        """A possible transcript of the turn, which begins with its stable words."""
        stable = self.it.work.stable.get(turn, "")
        said = [" ".join(SAID[:count]) for count in range(len(SAID) + 1)]
        texts = [text for text in said if text.startswith(stable)] if stable else [*said, "mm-hm"]
        return data.draw(st.sampled_from(texts))

    @rule(data=st.data(), stable=st.booleans())
    def transcribes_partially(self, data: st.DataObject, stable: bool) -> None:
        turn = data.draw(st.sampled_from([*sorted(self.it.work.streams), TurnId(999)]))
        text = self._words(data, turn)
        if stable and text != "mm-hm":
            self.it.work.stable[turn] = text
        self.it.post(PartialTranscribed(turn, text, self.it.work.stable.get(turn, "")))

    @precondition(lambda self: bool(self.it.work.flushes))
    @rule(data=st.data())
    def answers_a_flush(self, data: st.DataObject) -> None:
        turn, flush = data.draw(st.sampled_from(self.it.work.flushes))
        self.it.work.flushes.remove((turn, flush))
        self.it.post(Transcribed(turn, self._words(data, turn), flush))

    @precondition(lambda self: bool(self.it.work.finishing))
    @rule(data=st.data())
    def answers_the_end(self, data: st.DataObject) -> None:
        turn = data.draw(st.sampled_from(sorted(self.it.work.finishing)))
        self.it.post(Transcribed(turn, self._words(data, turn)))

    @rule(data=st.data())
    def fails_to_transcribe(self, data: st.DataObject) -> None:
        self.it.post(
            TranscriptionFailed(data.draw(st.sampled_from([*sorted(self.it.work.streams), TurnId(999)])), FAULT)
        )

    @rule(flush=st.sampled_from([None, FlushId(1), FlushId(999)]))
    def transcribes_an_ended_turn(self, flush: FlushId | None) -> None:
        self.it.post(Transcribed(TurnId(998), "late words", flush))

    @rule(data=st.data(), finished=st.floats(0, 1))
    def judges(self, data: st.DataObject, finished: float) -> None:
        turn, judgement = data.draw(st.sampled_from([*self.it.work.judgements[-2:], (TurnId(999), JudgementId(999))]))
        self.it.post(PauseJudged(turn, judgement, finished))

    # --- the models

    def _running(self, data: st.DataObject) -> AttemptId:
        return data.draw(st.sampled_from(sorted(self.it.work.generations)))

    @precondition(lambda self: bool(self.it.work.generations))
    @rule(
        data=st.data(),
        text=st.sampled_from(CLAUSES),
        lengths=st.lists(st.integers(1, 900), max_size=3),
        timed=st.booleans(),
    )
    def says(self, data: st.DataObject, text: str, lengths: list[int], timed: bool) -> None:
        generation = self.it.work.generations[(attempt := self._running(data))]
        if generation.started.modality == "text":
            self.it.post(TextGenerated(attempt, text or "x"))
            return
        self.it.post(ClauseStarted(attempt, text))
        generation.clause = True
        end = 0
        for length in lengths if text.strip() else ():
            end += length * 24
            words = (SpokenWord(len(text.rstrip()), end),) if timed else ()
            self.it.post(
                SpeechGenerated(attempt, self.it.sound(generation.started.format.bytes_per_ms * length), words)
            )

    @precondition(lambda self: bool(self.it.work.generations))
    @rule(data=st.data(), arguments=st.sampled_from(['{"a":1}', ""]))
    def calls_a_tool(self, data: st.DataObject, arguments: str) -> None:
        generation = self.it.work.generations[(attempt := self._running(data))]
        index = generation.calls
        generation.calls += 1
        names = [tool.name for tool in generation.started.prompt.tools] or ["weather"]
        name = data.draw(st.sampled_from(names))
        self.it.post(ToolCallStarted(attempt, index, CallId(f"call_{attempt}_{index}"), name))
        self.it.post(ToolArgumentsGenerated(attempt, index, arguments))

    @precondition(lambda self: bool(self.it.work.generations))
    @rule(data=st.data(), reason=st.sampled_from(["stop", "stop", "length", "content_filter"]))
    def finishes(self, data: st.DataObject, reason: Literal["stop", "length", "content_filter"]) -> None:
        self.it.post(GenerationFinished(self._running(data), reason))

    @precondition(lambda self: bool(self.it.work.generations))
    @rule(data=st.data())
    def fails(self, data: st.DataObject) -> None:
        self.it.post(GenerationFailed(self._running(data), FAULT))

    @rule(data=st.data(), attempt=st.integers(1, 40))
    def continues_an_ended_attempt(self, data: st.DataObject, attempt: int) -> None:
        ended = AttemptId(attempt if attempt not in self.it.work.generations else 999)
        events: list[Event] = [
            FirstTokenGenerated(ended),
            TextGenerated(ended, "late"),
            ClauseStarted(ended, "late"),
            SpeechGenerated(ended, b"late"),
            ToolCallStarted(ended, 0, CallId("call_late"), "late"),
            ToolArgumentsGenerated(ended, 0, "{}"),
            GenerationFinished(ended),
            GenerationFailed(ended, FAULT),
        ]
        self.it.post(data.draw(st.sampled_from(events)))

    # --- MCP servers

    @precondition(lambda self: bool(self.it.work.listings))
    @rule(data=st.data(), well=st.integers(0, 3))
    def server_tells_its_tools(self, data: st.DataObject, well: int) -> None:
        asked = data.draw(st.sampled_from(self.it.work.listings))
        if data.draw(st.booleans()):
            self.it.work.listings.remove(asked)  # else it answers again later
        self.it.post(ToolsListed(asked.listing, TOOLS) if well else ToolListingFailed(asked.listing, FAULT))

    @precondition(lambda self: bool(self.it.work.mcp_calls))
    @rule(data=st.data(), well=st.integers(0, 2))
    def tool_answers(self, data: st.DataObject, well: int) -> None:
        made = data.draw(st.sampled_from(self.it.work.mcp_calls))
        if data.draw(st.booleans()):
            self.it.work.mcp_calls.remove(made)
        failed = ToolFailed(made.call, McpError("tool_execution_error", "It is lent out."))
        self.it.post(ToolAnswered(made.call, "Third shelf.") if well else failed)

    @precondition(lambda self: bool(self.it.requests))
    @rule(data=st.data(), approve=st.booleans())
    def client_decides(self, data: st.DataObject, approve: bool) -> None:
        request = data.draw(st.sampled_from(self.it.requests))
        self.it.post(ItemCreateRequested(McpApprovalResponse(ItemId(""), request, approve)))

    @rule(server=st.sampled_from([LIBRARY, OPEN_LIBRARY]))
    def uses_a_library(self, server: McpServer) -> None:
        self.it.post(SessionUpdateRequested({"tools": (TOOL, server), "tool_choice": "auto"}))
        if self.it.work.listings:
            self.it.post(ToolsListed(self.it.work.listings[-1].listing, TOOLS))

    # --- the loudspeaker, the clock, the link

    @precondition(lambda self: self.it.work.queued > 0)
    @rule(share=st.floats(0.01, 1))
    def plays(self, share: float) -> None:
        samples = max(1, int(self.it.work.queued * share))
        self.it.work.queued -= samples
        self.it.wait(samples // 24)
        self.it.post(AudioPlayed(samples))

    @rule(length_ms=st.sampled_from([1, 40, 500, 3_500, 31_000, 61_000]))
    def waits(self, length_ms: int) -> None:
        self.it.wait(length_ms)

    @rule()
    def wakes_early(self) -> None:
        self.it.post(TimePassed())

    @rule()
    def input_ends(self) -> None:
        self.it.post(InputEnded())

    @rule(data=st.data())
    def shell_abandons_work(self, data: st.DataObject) -> None:
        unknown = (AwaitedTranscript(TurnId(999)), AwaitedGeneration(AttemptId(999)), AwaitedCall(ToolCallId(999)))
        work = data.draw(st.sampled_from([*self.it.session.outstanding(), *unknown]))
        if isinstance(work, AwaitedGeneration):
            self.it.work.generations.pop(work.attempt, None)
        self.it.post(WorkAbandoned(work))

    @precondition(lambda self: bool(self.it.work.generations))
    @rule(data=st.data())
    def model_begins(self, data: st.DataObject) -> None:
        self.it.post(FirstTokenGenerated(self._running(data)))

    @rule(really=st.integers(0, 9))
    def ends(self, really: int) -> None:
        if really == 0:
            self.it.post(LinkClosed("gone"))
        elif really == 1:
            self.it.post(WindDownRequested())


def machine(kind: SessionKind, playback: str, speculation: bool, barge_in: str) -> type[Machine]:
    """The machine for one kind of session."""
    owner = OwnerSettings(
        speculation=speculation,
        speculate_after_ms=100,
        barge_in="confirmed" if barge_in == "confirmed" else "immediate",
    )
    members: dict[str, Any] = {"kind": kind, "playback": playback, "owner": owner}
    return type("SomeMachine", (Machine,), members)


@pytest.mark.slow
@pytest.mark.parametrize("playback", ["remote", "paced"])
@pytest.mark.parametrize(
    ("kind", "speculation", "barge_in"),
    [
        ("realtime", False, "immediate"),
        ("realtime", True, "immediate"),
        ("realtime", False, "confirmed"),
        ("realtime", True, "confirmed"),
        ("transcription", False, "immediate"),
    ],
)
def test_any_event_at_any_time_breaks_no_law(
    kind: SessionKind, playback: str, speculation: bool, barge_in: str
) -> None:
    run_state_machine_as_test(
        machine(kind, playback, speculation, barge_in),
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            derandomize="PARLEY_MACHINE_EXAMPLES" not in os.environ,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate, Phase.shrink],  # explaining a failure takes minutes here and says little
            report_multiple_bugs=False,
            database=None,
        ),
    )
