"""Writes docs/conformance.md from the tests that prove it; `--check` fails when the page is out of date.

Every test says with `@pytest.mark.proves(event, *options, state=..., note=..., dialect=...)` which lines of the table it proves
(tests/README.md; the dialect is "ga" where the mark does not say it); what there is to prove is what the `openai` package's types name.
A line without a test, a mark for something that doesn't exist, and two tests that disagree about a state are errors; so is a line of the
translations dialect that only the wire's tests prove.
"""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

PAGE = ROOT / "docs" / "conformance.md"
CLIENT_STATES = ("honoured", "accepted and echoed", "refused")
SERVER_STATES = ("sent", "not sent")
WHOLE = "(the event)"
OUTSIDE = "core, runtime or server"
INTRODUCTION = """# Conformance

Every event and option of OpenAI's Realtime protocol, as the types of the `openai` package name them, and what Parley does: first the GA
protocol, then the [beta](#the-beta-dialect) of 2024 and 2025, then
[translation sessions](#the-translations-dialect). This page is written by
`scripts/conformance.py` from the tests in its last column; `make check` fails when it is out of date.

- **honoured**: it does what the protocol says.
- **accepted and echoed**: it is checked, kept and shown back, and has no other effect.
- **refused**: an `error` event names it in `param`. Any member that is not in these tables is refused as well
  (`unknown_parameter`), unless it is null.
- **sent** / **not sent**: server events. Each one sent is read back with the `openai` package's own types, strictly.

`wire` proves that an option is read, checked and shown; `core` and the others prove what it does. Where `wire` stands alone,
no test has said yet that it shows the effect.

# The GA dialect
"""
BETA_INTRODUCTION = """# The beta dialect

For clients that ask for it with the header `OpenAI-Beta: realtime=v1` or the subprotocol `openai-beta.realtime-v1`. It is a codec: the
session behind it is the same, so what the core does with an option is proved by the tests of the GA table. Left out, as the beta has
no names for them: MCP servers, images, idle timeouts, truncation, reasoning, stored prompts. A client that sends one of the GA's names
gets an error with the beta's. Beyond the types, as on the real wire: `transcription_session.created` is the first event of a
transcription session, a `tool_choice` may be an object that names a function, `max_output_tokens` is an older name of
`max_response_output_tokens` in `response.create`, and `include` may stand in any session.
"""
TRANSLATIONS_INTRODUCTION = """# The translations dialect

For clients of `/v1/realtime/translations` ([translation-sessions.md](translation-sessions.md)). Its own beyond the types: `include` with
`parley.clauses` and `parley.unstable_words`, `audio.input.transcription.language`,
`audio.output.voice`, and for a client that asked for them the events `parley.translation.clause`,
`parley.translation.playing` and `parley.input_transcript.unstable`. Each line is proved by a test of what it does.
"""
EFFECTS = frozenset({"translations"})
"""Dialects of which each line needs a test of what it does, beside the wire's tests of how it is read and shown."""
DIALECTS = {"ga": INTRODUCTION, "beta": BETA_INTRODUCTION, "translations": TRANSLATIONS_INTRODUCTION}


@dataclass(slots=True)
class Line:
    """One line of the table: what its tests say of an event or option."""

    states: dict[str, None] = field(default_factory=dict)
    notes: dict[str, None] = field(default_factory=dict)
    proofs: dict[str, None] = field(default_factory=dict)


@dataclass(slots=True)
class Ledger:
    """All lines of a dialect, by event and option (WHOLE for the event itself), and what is wrong with the marks."""

    dialect: str
    client: dict[str, dict[str, Line]]
    server: dict[str, Line]
    faults: dict[str, None] = field(default_factory=dict)

    def add(self, mark: pytest.Mark, test: str) -> None:
        event, *options = mark.args
        state, note = mark.kwargs.get("state", ""), mark.kwargs.get("note", "")
        if event in self.server and not options:
            self._line(self.server[event], SERVER_STATES, state, note, test)
        elif event in self.client:
            for option in options or (WHOLE,):
                if option in self.client[event]:
                    self._line(self.client[event][option], CLIENT_STATES, state, note, test)
                else:
                    self.faults[f"{test}: {event} has no option {option!r}"] = None
        else:
            self.faults[f"{test}: there is no event {event!r}" + (" with options" if options else "")] = None

    def _line(self, line: Line, allowed: tuple[str, ...], state: str, note: str, test: str) -> None:
        if state not in allowed:
            self.faults[f"{test}: the state is one of {', '.join(allowed)}, not {state!r}"] = None
        line.states[state] = None
        line.proofs[test] = None
        if note:
            line.notes[note] = None

    def verdicts(self) -> list[str]:
        """What keeps the page from being written."""
        found = list(self.faults)
        lines = [(event, WHOLE, line) for event, line in self.server.items()]
        lines += [(event, option, line) for event, options in self.client.items() for option, line in options.items()]
        for event, option, line in lines:
            if len(line.states) > 1:
                found.append(
                    f"{event} {option}: the tests disagree, {' or '.join(line.states)}? ({', '.join(line.proofs)})"
                )
        found += [
            f"{event}: no test proves whether it is sent" for event, line in self.server.items() if not line.states
        ]
        for event, options in self.client.items():
            states = {option: next(iter(line.states)) for option, line in options.items() if line.states}
            found += [f"{event} {option}: no test proves it" for option in unproved(event, states, self.dialect)]
        if self.dialect in EFFECTS:
            found += [
                f"{event} {option}: only the wire's tests prove it; mark one of {OUTSIDE} that shows its effect"
                for event, option, line in lines
                if line.proofs and all(proof.startswith("wire/") for proof in line.proofs)
            ]
        return [f"{self.dialect}: {verdict}" for verdict in found]


def client_events(dialect: str) -> dict[str, tuple[str, ...]]:
    """What there is to prove of the client's events. Imported late: pytest wants to load what the SDK loads first."""
    from tests.wire import surface

    return surface.client_events(dialect)


def server_events(dialect: str) -> tuple[str, ...]:
    from tests.wire import surface

    return tuple(surface.server_events(dialect))


def unproved(event: str, states: dict[str, str], dialect: str) -> list[str]:
    """Options of the SDK's types that neither stand in `states`, nor inside a refused one, nor consist of ones that stand."""
    surface = client_events(dialect)[event]

    def covered(option: str) -> bool:
        inner = [other for other in surface if parent(other) == option]
        outer = parent(option)
        while outer:
            if states.get(outer) == "refused":
                return True
            outer = parent(outer)
        return option in states or (bool(inner) and all(covered(other) for other in inner))

    return [option for option in surface if not covered(option)]


def parent(option: str) -> str:
    """`a.b[].c` is a member of `a.b`; a member of nothing has ""."""
    return option.rpartition(".")[0].removesuffix("[]")


class Collector:
    """A pytest plugin that reads the marks and runs nothing."""

    def __init__(self) -> None:
        self.marks: list[tuple[pytest.Mark, str]] = []

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        for item in session.items:
            test = item.nodeid.partition("::")[0].removeprefix("tests/")
            self.marks += [(mark, test) for mark in item.iter_markers("proves")]


def collected() -> dict[str, Ledger]:
    """The ledger of each dialect, from all tests; SystemExit when they can't be collected."""
    collector, output = Collector(), io.StringIO()
    arguments = [
        "--collect-only",
        "-q",
        "--rootdir",
        str(ROOT),
        "-p",
        "no:cacheprovider",
        "--ignore=tests/clients",
        "tests",
    ]
    sys.path.insert(0, str(ROOT))
    with contextlib.redirect_stdout(output), contextlib.chdir(ROOT):
        code = pytest.main(arguments, plugins=[collector])
    if code is not pytest.ExitCode.OK:
        sys.exit(f"{output.getvalue()}\nThe tests cannot be collected; see above.")
    ledgers = {dialect: blank(dialect) for dialect in DIALECTS}
    for mark, test in collector.marks:
        ledgers[mark.kwargs.get("dialect", "ga")].add(mark, test)
    return ledgers


def blank(dialect: str) -> Ledger:
    """A ledger in which nothing is proved."""
    events = client_events(dialect).items()
    return Ledger(
        dialect,
        {event: {option: Line() for option in (WHOLE, *options)} for event, options in events},
        {event: Line() for event in server_events(dialect)},
    )


def page(ledgers: dict[str, Ledger]) -> str:
    """The whole page."""
    return "\n".join(tables(ledger, DIALECTS[dialect]) for dialect, ledger in ledgers.items())


def tables(ledger: Ledger, introduction: str) -> str:
    """The part of the page about one dialect."""
    parts = [introduction, "## Client events\n"]
    for event in sorted(ledger.client):
        options = ledger.client[event]
        rows = [(option if option == WHOLE else f"`{option}`", line) for option, line in options.items() if line.states]
        parts.append(f"### `{event}`\n\n" + table("option", rows))
    parts.append(
        "## Server events\n\n"
        + table("event", [(f"`{event}`", ledger.server[event]) for event in sorted(ledger.server)])
    )
    return "\n".join(parts)


def table(first: str, rows: Iterable[tuple[str, Line]]) -> str:
    lines = [f"| {first} | state | note | proved in |", "|---|---|---|---|"]
    for name, line in rows:
        proofs = ", ".join(f"`{proof.removesuffix('.py')}`" for proof in sorted(line.proofs))
        lines.append(f"| {name} | {next(iter(line.states))} | {'; '.join(line.notes)} | {proofs} |")
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> int:
    ledgers = collected()
    if faults := [verdict for ledger in ledgers.values() for verdict in ledger.verdicts()]:
        print("\n".join(faults), file=sys.stderr)
        return 1
    text = page(ledgers)
    if "--check" not in arguments:
        PAGE.write_text(text, encoding="utf-8")
        lines = [
            line for options in ledgers["ga"].client.values() for line in options.values() if "honoured" in line.states
        ]
        alone = sum(all(proof.startswith("wire/") for proof in line.proofs) for line in lines)
        print(
            f"wrote {PAGE.relative_to(ROOT)}: {alone} of {len(lines)} honoured lines of the GA dialect are proved by the wire's tests alone"
        )
    elif not PAGE.exists() or PAGE.read_text(encoding="utf-8") != text:
        print(f"{PAGE.relative_to(ROOT)} is out of date; run: .venv/bin/python scripts/conformance.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
