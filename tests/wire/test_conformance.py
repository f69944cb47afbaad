"""docs/conformance.md has a line for everything that the SDK's types name, and the script that writes it notices what is amiss."""

from __future__ import annotations

import re

import pytest

from scripts.conformance import CLIENT_STATES, DIALECTS, PAGE, SERVER_STATES, WHOLE, Ledger, Line, unproved
from tests.wire.surface import client_events, server_events

ROW = re.compile(r"^\| (?:`(?P<name>[^`]+)`|\(the event\)) \| (?P<state>[^|]+) \|", re.MULTILINE)


def sections(dialect: str) -> dict[str, dict[str, str]]:
    """Each section of a dialect's part of the page: its lines and their states."""
    _, *texts = re.split(r"^# The \w+ dialect$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    text = dict(zip(DIALECTS, texts, strict=True))[dialect]
    parts = re.split(r"^##+ `?([^`\n]+)`?$", text, flags=re.MULTILINE)
    return {
        title: {row["name"] or WHOLE: row["state"] for row in ROW.finditer(text)}
        for title, text in zip(parts[1::2], parts[2::2], strict=True)
    }


@pytest.mark.parametrize(
    ("dialect", "event"), [(dialect, event) for dialect in DIALECTS for event in client_events(dialect)]
)
def test_every_option_of_a_client_event_is_in_the_table(dialect: str, event: str) -> None:
    states = sections(dialect)[event]
    assert unproved(event, states, dialect) == []
    assert set(states) - {WHOLE} <= set(client_events(dialect)[event])
    assert set(states.values()) <= set(CLIENT_STATES)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_server_event_is_in_the_table(dialect: str) -> None:
    states = sections(dialect)["Server events"]
    assert set(states) == set(server_events(dialect))
    assert set(states.values()) <= set(SERVER_STATES)


def ledger() -> Ledger:
    options = ("event_id", "response_id", WHOLE)
    return Ledger("ga", {"response.cancel": {option: Line() for option in options}}, {"error": Line()})


def mark(*names: str, state: str, note: str = "") -> pytest.Mark:
    return pytest.mark.proves(*names, state=state, note=note).mark


GOOD = [
    mark("response.cancel", "event_id", "response_id", state="honoured"),
    mark("response.cancel", state="honoured"),
    mark("error", state="sent"),
]


def test_a_ledger_with_a_mark_for_every_option_has_no_complaint() -> None:
    complete = ledger()
    for good in GOOD:
        complete.add(good, "test")
    assert complete.verdicts() == []


@pytest.mark.parametrize(
    ("marks", "complaint"),
    [
        (GOOD[1:], "response.cancel response_id: no test proves it"),
        (GOOD[:2], "error: no test proves whether it is sent"),
        ([*GOOD, mark("response.cancel", "responses", state="honoured")], "no option 'responses'"),
        ([*GOOD, mark("response.cancle", state="honoured")], "no event 'response.cancle'"),
        ([*GOOD, mark("response.cancel", "event_id", state="refused")], "the tests disagree, honoured or refused?"),
        ([*GOOD, mark("response.cancel", "event_id", state="done")], "not 'done'"),
        ([*GOOD, mark("error", "code", state="sent")], "no event 'error' with options"),
    ],
)
def test_missing_misspelt_and_contradicting_members_are_named(marks: list[pytest.Mark], complaint: str) -> None:
    flawed = ledger()
    for each in marks:
        flawed.add(each, "test")
    assert any(complaint in verdict for verdict in flawed.verdicts())


@pytest.mark.parametrize(
    ("dialect", "test", "complaints"),
    [("ga", "wire/test_x.py", 0), ("translations", "wire/test_x.py", 3), ("translations", "server/test_x.py", 0)],
)
def test_lines_of_the_translations_need_a_test_of_their_effect(dialect: str, test: str, complaints: int) -> None:
    event = "session.close" if dialect == "translations" else "input_audio_buffer.clear"
    proved = Ledger(dialect, {event: {option: Line() for option in ("event_id", WHOLE)}}, {"error": Line()})
    for each in (
        mark(event, "event_id", state="honoured"),
        mark(event, state="honoured"),
        mark("error", state="sent"),
    ):
        proved.add(each, "wire/test_read.py")
        proved.add(each, test)
    found = [verdict for verdict in proved.verdicts() if "only the wire's tests prove it" in verdict]
    assert len(found) == complaints
