"""Where the time of each turn went, by names that can be compared with other assistants'.

`figure_names.py` says what each measures. A typed message has no speech: its question ends when it is sent. An answer that is read, because
there is no loudspeaker, begins with its first words on the screen.

A reply that goes on from a tool's answer belongs to the turn that made the model call the tool: QUESTION-TO-RESPONSE_MS includes the tool,
and the other figures are those of the reply that was heard first.

Laws: pure; times are seconds of one monotonic clock. What only the server knows is taken from a Parley's own waterfall
(`server_turns`); of other servers it is measured from their events as they arrive, and so includes the way here: such a figure
is marked as estimated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from parley.client.updates import (
    TYPED,
    ClientUpdate,
    ResponseAudio,
    ResponseCut,
    ResponseEnded,
    ResponseStarted,
    ResponseText,
    ServerToolCalled,
    UserTranscript,
    UserTurnEnded,
    UserTurnLost,
    UserTurnStarted,
)
from parley.talk.figure_names import NAMES

TURNS_KEPT = 1000
"""For the summary: a day of talk; a turn is some 500 bytes."""


@dataclass(frozen=True, slots=True)
class Figure:
    """`estimated`: measured from the arrival of events, not reported by the server."""

    ms: float
    estimated: bool = False

    def __str__(self) -> str:
        return f"{'~' if self.estimated else ''}{self.ms:.0f}"


@dataclass(frozen=True, slots=True)
class WaterfallBar:
    """One bar of the waterfall, in milliseconds from the end of the user's speech, or from their message."""

    label: str
    start_ms: float
    end_ms: float


@dataclass(slots=True)
class ToolUse:
    """A reply that called a tool before anything of it was heard: when its model was asked, when it called, and when the reply that goes
    on from the answer began."""

    response_id: str
    asked_s: float
    called_s: float
    answered_s: float


@dataclass(slots=True)
class TalkTurn:
    """One turn of the user and its reply; times None where it did not happen (yet)."""

    number: int
    item_id: str = ""
    response_id: str = ""
    began_s: float | None = None
    typed_s: float | None = None
    voice_end_s: float | None = None
    turn_end_s: float | None = None
    first_words_s: float | None = None
    transcript_s: float | None = None
    reply_began_s: float | None = None
    asked_s: float | None = None
    first_token_s: float | None = None
    shown_s: float | None = None
    last_words_s: float | None = None
    first_audio_s: float | None = None
    last_audio_s: float | None = None
    played_s: float | None = None
    called_s: float | None = None
    tools: list[ToolUse] = field(default_factory=list)
    speculation: str = ""
    by_server: bool = False
    interrupted: bool = False
    read: bool = False
    over: bool = False

    @property
    def question_s(self) -> float | None:
        """When the user had asked: their voice ended, or their message was sent."""
        return self.typed_s if self.voice_end_s is None else self.voice_end_s

    @property
    def answered_s(self) -> float | None:
        """When the answer began: the first sound left the loudspeaker, or the first words of an answer that is read were shown."""
        return self.shown_s if self.read else self.played_s

    def figures(self) -> dict[str, Figure]:
        """Each figure of `NAMES` that is known."""
        local, remote = False, not self.by_server
        spans = {
            "QUESTION-TO-RESPONSE_MS": (self.question_s, self.answered_s, local),
            "STT_MS": (self.turn_end_s, self.transcript_s, remote),
            "STT-TTF_MS": (self.began_s, self.first_words_s, local),
            "STT-TOTAL_MS": (self.voice_end_s, self.transcript_s, remote),
            "LLM-TTF_MS": (self.asked_s, self.first_token_s, remote),
            "LLM-TOTAL_MS": (self.asked_s, self.last_words_s, remote),
            "TTS-TTF_MS": (self.first_token_s, self.first_audio_s, remote),
            "TTS-TOTAL_MS": (self.first_token_s, self.last_audio_s, remote),
        }
        return {
            name: Figure(max(0.0, (end - start) * 1000), estimated)
            for name, (start, end, estimated) in spans.items()
            if start is not None and end is not None
        }

    def waterfall(self) -> list[WaterfallBar]:
        """What followed the end of the user's speech, or their message, in order; empty until there is anything."""
        origin = self.question_s if self.question_s is not None else self.asked_s
        if origin is None:
            return []
        spans = (
            ("turn end", self.voice_end_s, self.turn_end_s),
            ("transcript", self.turn_end_s, self.transcript_s),
            ("sent", self.typed_s, self.reply_began_s),
            *(("tool call", use.asked_s, use.called_s) for use in self.tools),
            *(("tool", use.called_s, use.answered_s) for use in self.tools),
            ("first token", self.asked_s, self.first_token_s),
            ("first audio", self.first_token_s, self.first_audio_s),
            ("played", self.first_audio_s, self.played_s),
        )
        return [
            WaterfallBar(label, (start - origin) * 1000, (max(start, end) - origin) * 1000)
            for label, start, end in spans
            if start is not None and end is not None
        ]

    def go_on(self, response_id: str, now_s: float) -> None:
        """Another reply goes on from the tool that the last one called."""
        called_s, self.called_s = self.called_s, None
        if called_s is not None and self.asked_s is not None and self.first_audio_s is None:
            self.tools.append(ToolUse(self.response_id, self.asked_s, called_s, now_s))
            self.asked_s = now_s
            self.first_token_s = self.shown_s = self.last_words_s = None
        self.response_id = response_id
        self.over = False


class TalkFigures:
    """Call `on_update()` for each update, `played()` when an item's first sample left the loudspeaker, `server_turns()` with what a
    Parley's waterfall says. `turns` are all so far, oldest first."""

    def __init__(self) -> None:
        self.turns: list[TalkTurn] = []
        self.interruptions = 0
        self._count = 0
        self._replies: dict[str, TalkTurn] = {}
        self._items: dict[str, TalkTurn] = {}

    @property
    def last(self) -> TalkTurn | None:
        """The turn that is shown: the last one whose answer has begun, or the last."""
        answered = [turn for turn in self.turns[-3:] if turn.answered_s is not None]
        return answered[-1] if answered else (self.turns[-1] if self.turns else None)

    def on_update(self, update: ClientUpdate, now_s: float) -> None:
        """One update, at the time it arrived."""
        match update:
            case UserTurnStarted(item_id=item_id):
                turn = self._begin(item_id, now_s)
                if item_id.startswith(TYPED):
                    turn.typed_s = now_s
            case UserTurnEnded(item_id=item_id, voice_end_s=voice_end_s, turn_end_s=turn_end_s):
                turn = self._turn_of(item_id, now_s)
                turn.voice_end_s, turn.turn_end_s = voice_end_s, turn_end_s
            case UserTranscript(item_id=item_id, text=text, final=final):
                turn = self._turn_of(item_id, now_s)
                if item_id.startswith(TYPED):
                    # A typed message: there is nothing to recognise.
                    return
                if text.strip() and turn.first_words_s is None:
                    turn.first_words_s = now_s
                if final and not turn.by_server:
                    turn.transcript_s = now_s
            case UserTurnLost(item_id=item_id):
                lost = self._find(item_id)
                if lost is not None and not lost.response_id:
                    lost.over = True
            case _:
                self._on_reply(update, now_s)

    def _on_reply(self, update: ClientUpdate, now_s: float) -> None:
        match update:
            case ResponseStarted(response_id=response_id):
                last = self.turns[-1] if self.turns else None
                if last is not None and last.called_s is not None:
                    self._replies[response_id] = last
                    last.go_on(response_id, now_s)
                    return
                turn = self._answered(now_s)
                turn.response_id = response_id
                self._replies[response_id] = turn
                turn.reply_began_s = now_s
                turn.asked_s = now_s if turn.turn_end_s is None else turn.turn_end_s
            case ServerToolCalled(response_id=response_id):
                found = self._replies.get(response_id)
                if found is not None and found.response_id == response_id:
                    found.called_s = found.called_s or now_s
            case ResponseText(response_id=response_id, item_id=item_id, final=final):
                found = self._replies.get(response_id)
                if found is not None:
                    self._items[item_id] = found
                    found.first_token_s = found.first_token_s or now_s
                    found.shown_s = found.shown_s or now_s
                    if not final or found.last_words_s is None:
                        found.last_words_s = now_s
            case ResponseAudio(response_id=response_id, item_id=item_id):
                found = self._replies.get(response_id)
                if found is not None:
                    self._items[item_id] = found
                    found.first_audio_s = found.first_audio_s or now_s
                    found.last_audio_s = now_s
            case ResponseCut(item_id=item_id, exact=False, by_user=True):
                found = self._items.get(item_id)
                if found is not None and not found.interrupted:
                    found.interrupted = True
                    self.interruptions += 1
            case ResponseEnded(response_id=response_id, status=status):
                found = self._replies.get(response_id)
                if found is not None:
                    found.over = True
                    found.read = status == "completed" and found.shown_s is not None and found.first_audio_s is None
            case _:
                pass

    def played(self, item_id: str, at_s: float) -> None:
        """The item's first sample leaves the loudspeaker at `at_s`."""
        turn = self._items.get(item_id)
        if turn is not None and turn.played_s is None:
            turn.played_s = at_s

    def server_turns(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """A Parley's own account of the session's turns (`GET /parley/sessions/ID/turns`): better than what arrives here."""
        for row in rows:
            turn = self._replies.get(str(row.get("response_id")))
            if turn is None:
                continue
            use = next((use for use in turn.tools if use.response_id == row["response_id"]), None)
            if turn.tools and use is not turn.tools[0]:
                _take_reply(turn, use, turn.tools[turn.tools.index(use) - 1 if use else -1].answered_s, row)
                continue
            # A message that was typed has no end of a turn: its account begins with the reply.
            joined_s = turn.reply_began_s if turn.turn_end_s is None else turn.turn_end_s
            if joined_s is not None:
                _take_turn(turn, joined_s, row)
                _take_reply(turn, use, joined_s, row)

    def _begin(self, item_id: str, now_s: float) -> TalkTurn:
        self._count += 1
        turn = TalkTurn(self._count, item_id, began_s=now_s)
        self.turns.append(turn)
        if len(self.turns) > TURNS_KEPT:
            gone = self.turns.pop(0)
            self._replies = {reply: turn for reply, turn in self._replies.items() if turn is not gone}
            self._items = {item: turn for item, turn in self._items.items() if turn is not gone}
        return turn

    def _find(self, item_id: str) -> TalkTurn | None:
        for turn in reversed(self.turns):
            if turn.item_id == item_id:
                return turn
            # A turn that a key began has no item until the server commits it.
            if item_id and not turn.item_id:
                turn.item_id = item_id
                return turn
        return None

    def _turn_of(self, item_id: str, now_s: float) -> TalkTurn:
        return self._find(item_id) or self._begin(item_id, now_s)

    def _answered(self, now_s: float) -> TalkTurn:
        """The turn that a new response answers: the last, unless that has its reply already."""
        last = self.turns[-1] if self.turns else None
        if last is None or last.response_id or last.over:
            return self._begin("", now_s)
        return last


def _take_turn(turn: TalkTurn, end_s: float, row: Mapping[str, Any]) -> None:
    """What the server knows of the user's side."""
    turn.by_server = True
    turn.speculation = str(row.get("speculation") or "")
    voice_end, turn_end = row.get("voice_end_at_ms"), row.get("turn_end_at_ms")
    if voice_end is not None and turn_end is not None:
        turn.voice_end_s = end_s - (turn_end - voice_end) / 1000
    turn.transcript_s = _after(end_s, row.get("transcript_ms"), turn.transcript_s)


def _take_reply(turn: TalkTurn, use: ToolUse | None, joined_s: float, row: Mapping[str, Any]) -> None:
    """What it knows of a reply; `joined_s`: where both clocks meet, the turn's end or the reply's own beginning."""
    if use is not None:
        use.asked_s = joined_s + row["requested_ms"] / 1000 if row.get("requested_ms") is not None else use.asked_s
        return
    turn.asked_s = _after(joined_s, row.get("requested_ms"), turn.asked_s)
    turn.first_token_s = _after(joined_s, row.get("first_token_ms"), turn.first_token_s)
    turn.first_audio_s = _after(joined_s, row.get("first_audio_ms"), turn.first_audio_s)


def _after(end_s: float, after_ms: Any, known: float | None) -> float | None:
    return end_s + after_ms / 1000 if isinstance(after_ms, int | float) else known


@dataclass(frozen=True, slots=True)
class FigureSpread:
    """One figure over all turns, in milliseconds."""

    name: str
    count: int
    p50: float
    p95: float


def spreads(turns: Sequence[TalkTurn]) -> list[FigureSpread]:
    """Each figure's median and 95th percentile (nearest rank) over the turns that have it."""
    found: list[FigureSpread] = []
    for name in NAMES:
        values = sorted(figures[name].ms for turn in turns if name in (figures := turn.figures()))
        if values:
            found.append(FigureSpread(name, len(values), _percentile(values, 0.50), _percentile(values, 0.95)))
    return found


def _percentile(ordered: Sequence[float], share: float) -> float:
    rank = max(1, -(-round(share * 100) * len(ordered) // 100))
    return ordered[rank - 1]
