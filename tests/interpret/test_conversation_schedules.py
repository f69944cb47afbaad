"""Random speakers and servers: what holds of a conversation session whatever happens in whatever order."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from parley.interpret.routes.request_line import SILENT_S
from parley.interpret.routes.sentences import TRANSCRIPT_WAIT_S
from parley.interpret.routes.translating_session import ConversationOptions
from parley.interpret.updates import SourceText, TargetAudio, TargetText
from tests.interpret.realtime_double import CHAT, HEARD, IN_SPANISH, SAID, Script
from tests.interpret.rules_table import RulesTable

MARKS = st.integers(1, 8)
TIMES = st.dictionaries(MARKS, st.integers(1, 2), max_size=2)

SCRIPTS = st.builds(
    Script,
    dialect=st.sampled_from(["ga", "beta"]),
    out_of_band=st.sampled_from(["yes", "yes", "refuses", "ignores"]),
    chats=st.dictionaries(MARKS, st.lists(st.sampled_from([CHAT, IN_SPANISH]), min_size=1, max_size=2), max_size=2),
    fails=TIMES,
    fails_midway=st.sets(MARKS, max_size=1),
    rate_limits=TIMES,
    rate_limited_responses=TIMES,
    forgets=st.sets(MARKS, max_size=1),
    forgets_deletions=st.booleans(),
    echoes_event_ids=st.booleans(),
    transcribes=st.sampled_from(["at once", "late", "never"]),
    audio_first=st.booleans(),
    names_responses=st.booleans(),
)


@dataclass(frozen=True)
class Act:
    """What happens next: a sentence, or part of one; messages that move one way; time."""

    kind: str
    amount: int


ACTS = st.lists(
    st.builds(
        Act,
        st.sampled_from(["say", "begin", "go on", "end", "hear", "send", "receive", "work", "wait"]),
        st.integers(1, 8),
    ),
    max_size=60,
)


@dataclass
class Play:
    """Carries out acts, and counts what was said. After `patience_s` without it, the server goes on by one step, whatever the acts are."""

    table: RulesTable
    patience_s: float
    speaking: bool = False
    stepped_s: float = field(init=False)
    said: Counter[int] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.stepped_s = self.table.now_s

    def act(self, act: Act) -> None:
        self._carry_out(act)
        if self.table.now_s > self.stepped_s + self.patience_s:
            self.table.begin_response(1)
            self.stepped_s = self.table.now_s

    def _carry_out(self, act: Act) -> None:
        table, amount = self.table, act.amount
        match act.kind:
            case "say" if not self.speaking:
                table.said(amount, 200 * (1 + amount % 3))
            case "begin" if not self.speaking:
                table.began()
                self.speaking = True
            case "go on":
                table.hear(amount if self.speaking else 0, 60 * amount)
            case "end":
                table.ended()
                self.speaking = False
            case "hear":
                table.hear(0, 100 * amount)
            case "send":
                table.send()
            case "receive":
                table.receive(amount)
            case "work":
                for _ in range(amount):
                    table.server.work()
            case "wait":
                table.now_s += amount / 4
                table.take(table.rules.tick(table.now_s))
            case _:
                pass


def reported(table: RulesTable) -> int:
    """How many sentences were said to have had no translation, or none that is whole."""
    count = 0
    for note in table.notes:
        number = re.match(r"(A|\d+) (?:sentences?|translation) (?:was|were|broke)", note)
        if number is not None and ("not translated" in note or "broke off" in note):
            count += 1 if number[1] == "A" else int(number[1])
    merged = max(1, *map(len, [[], *table.server.asked, *table.server.committed]))
    return count * merged + sum(merged for drift in table.drifts if not drift.again)


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(SCRIPTS, ACTS, st.sampled_from(["start", "whole"]), st.integers(0, 2))
def test_whatever_happens_each_sentence_is_translated_or_reported(
    script: Script, acts: list[Act], hold: str, context: int
) -> None:
    table = RulesTable(script, ConversationOptions(hold="whole" if hold == "whole" else "start", context=context))
    play = Play(table, SILENT_S / 3)
    for act in acts:
        play.act(act)
    if play.speaking:
        table.ended()
    table.finish()
    server = table.server

    assert table.end is not None
    assert table.updates[-1] is table.end, "nothing comes after the end"
    assert table.end.flushed, table.end.why
    assert server.faults == [], (
        "never two responses at once, an empty commit, an event of another dialect, an item deleted twice"
    )
    assert server.items == {} or script.forgets_deletions, "the conversation keeps nothing"

    committed = Counter(mark for marks in server.committed for mark in marks)
    answered = Counter(mark for marks in server.answered for mark in marks)
    missing = committed - answered
    assert len(missing) <= reported(table), f"{missing} were neither translated nor reported"
    times = 1 + sum(drift.again for drift in table.drifts)
    assert all(answered[mark] <= times * committed[mark] for mark in answered), "no sentence is translated twice"


SENTENCES = 12


@settings(max_examples=150, deadline=None)
@given(ACTS, st.sampled_from(["ga", "beta"]), st.booleans())
def test_from_a_good_server_all_is_played_once_in_the_order_of_the_speech(
    acts: list[Act], dialect: str, audio_first: bool
) -> None:
    script = Script("beta" if dialect == "beta" else "ga", audio_first=audio_first)
    table = RulesTable(script)
    play = Play(table, TRANSCRIPT_WAIT_S / 3)
    # More speech than two minutes may not wait: the oldest would be given up.
    spoken = 0
    for act in acts:
        spoken += act.kind in ("say", "begin", "go on")
        if spoken <= SENTENCES:
            play.act(act)
    table.finish()
    server = table.server
    order = [mark for marks in server.committed for mark in marks]
    assert [mark for marks in server.answered for mark in marks] == order
    answered = list(filter(None, server.answered))
    assert list(filter(None, server.asked)) == answered, "each is asked for once"
    assert table.text == [" ".join(SAID[mark] for mark in marks) for marks in answered]
    assert table.source == [" ".join(HEARD[mark] for mark in marks) for marks in server.committed if marks]
    assert "".join(update.text for update in table.of(TargetText)) == "".join(table.text)
    until = [update.until_ms or 0.0 for update in table.of(TargetAudio)]
    assert until == sorted(until)
    assert not all(server.asked) or sum(len(update.audio) for update in table.of(TargetAudio)) == server.samples_sent
    shown = [update.unstable for update in table.of(SourceText)]
    assert not shown or not shown[-1]
    assert "response.cancel" not in server.kinds() or not all(server.asked), "only what answers a noise is cancelled"
