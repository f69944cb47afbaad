"""What happened to a session: a ring of its last steps, or a recording of all of them that can be replayed.

Laws:
- Without a folder only the ring is kept (`RING_STEPS`, `RING_BYTES`), audio as counts; a broken session writes it to the log.
- With a folder the whole session goes into one file, `SESSION.trace`: JSON lines, a header and then each event in full
  with its clock reading and the effects (audio in them by digest). It ends at `RECORDING_BYTES`. Only this user may read it.
- Recording changes nothing of what the session does.
"""

from __future__ import annotations

import contextlib
import logging
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from parley import __version__
from parley.audio.private_files import make_private_folder, private_opener
from parley.core.session import Session
from parley.core.spec import SessionSpec
from parley.core.words.effects import Effect, Play, ScoreVoice, Tell, Transcribe
from parley.core.words.events import AudioArrived, AudioPlayed, Event, SpeechGenerated, VoiceScored
from parley.core.words.notices import OutputAudioDelta
from parley.runtime.trace_answers import AnswerLog, AnswerReplay, own_rules
from parley.runtime.trace_format import from_plain, to_plain

logger = logging.getLogger(__name__)

RING_STEPS = 200
"""Steps in the ring: two or three turns with everything that led to them, as runs of audio count as one."""

RING_BYTES = 128 * 1024
"""What the events in the ring may keep alive (an append or an item may be of 15 MiB): a session must stay small. Of an event that holds
more, only the name is kept, and of effects always."""

RECORDING_BYTES = 1024 * 1024 * 1024
"""One file at the most: an hour of talk is 350 MB."""

BUFFER_BYTES = 256 * 1024

FORMAT = 3

RECORDED = tuple(name for name in SessionSpec.__slots__ if name not in ("policy", "rules"))
"""Of a session's spec, what its header holds. A policy and rules of the owner's own are code: what they answered is recorded instead."""

_QUIET_EVENTS = frozenset({AudioArrived, VoiceScored, SpeechGenerated, AudioPlayed})
_QUIET_EFFECTS = frozenset({ScoreVoice, Transcribe, Play})


@dataclass(slots=True)
class _Run:
    """Steps of nothing but audio in a row, folded: how many of each kind."""

    first_ns: int
    last_ns: int
    counts: dict[type, int]
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class _Step:
    """`event` is its name where it holds too much, None for the spec; `effects` are their names."""

    at_ns: int
    event: Event | str | None
    effects: str
    raised: str
    bytes: int


class Trace:
    """One session's trace. The driver calls `on_step()` for each step, `dump()` if the session breaks, `close()` at its end.

    With `folder`, everything is recorded into a file there; a file that cannot be written is logged, and the session goes on. `answers`
    are those of the session's own policy and rules: see `traced()`.
    """

    def __init__(
        self, spec: SessionSpec, session_id: str, folder: Path | None = None, answers: AnswerLog | None = None
    ) -> None:
        self._id = session_id
        self._answers = answers
        self._ring: deque[_Run | _Step] = deque(maxlen=RING_STEPS)
        self._ring_bytes = 0
        self._file: BinaryIO | None = None
        self._written = 0
        self.path: Path | None = None
        if folder is not None:
            self._open(folder, spec)

    def on_step(self, event: Event | None, now_ns: int, effects: Sequence[Effect], raised: str = "") -> None:
        """One step: what came in (None: the start), when, and what came of it. `raised`: the fault that came instead."""
        if self._file is not None:
            self._record(event, now_ns, effects, raised)
        elif type(event) not in _QUIET_EVENTS or raised or not _is_quiet(effects):
            self._keep(event, now_ns, effects, raised)
        else:
            self._fold(event, now_ns)

    def dump(self, fault: str) -> Path | None:
        """The session broke: make its trace safe. Returns the file, or None where the ring went to the log."""
        self._write({"fault": fault}, safe=True)
        if self._file is not None:
            logger.error("the trace of %s is in %s; `parley replay` runs it again", self._id, self.path)
            return self.path
        logger.error("the last steps of %s, which broke (%s):\n%s", self._id, fault, "\n".join(self.recent()))
        return None

    def close(self) -> None:
        """The session is over; idempotent."""
        self._ring.clear()
        self._shut()

    def recent(self) -> list[str]:
        """The ring, a line for each step, times in milliseconds before the last."""
        end_ns = max((one.last_ns if isinstance(one, _Run) else one.at_ns for one in self._ring), default=0)
        return [_line(one, end_ns) for one in self._ring]

    # --- the ring ---

    def _keep(self, event: Event | None, now_ns: int, effects: Sequence[Effect], raised: str) -> None:
        names, size = ", ".join(map(_name, effects)), _held_bytes(event)
        if size > RING_BYTES:
            step = _Step(now_ns, f"{size} bytes of {type(event).__name__}", names, raised, 0)
        else:
            step = _Step(now_ns, event, names, raised, size)
        self._ring_bytes += step.bytes
        self._add(step)
        while self._ring_bytes > RING_BYTES and len(self._ring) > 1:
            self._forget(self._ring.popleft())

    def _fold(self, event: Event | None, now_ns: int) -> None:
        run = self._ring[-1] if self._ring else None
        if type(run) is not _Run:
            run = _Run(now_ns, now_ns, {})
            self._add(run)
        kind, counts = type(event), run.counts
        counts[kind] = counts.get(kind, 0) + 1
        run.last_ns = now_ns
        if kind is AudioArrived or kind is SpeechGenerated:
            run.bytes += len(event.audio)  # type: ignore[union-attr]

    def _add(self, one: _Run | _Step) -> None:
        if len(self._ring) == RING_STEPS:
            self._forget(self._ring.popleft())
        self._ring.append(one)

    def _forget(self, one: _Run | _Step) -> None:
        if isinstance(one, _Step):
            self._ring_bytes -= one.bytes

    # --- the recording ---

    def _open(self, folder: Path, spec: SessionSpec) -> None:
        path = folder / f"{self._id}.trace"
        try:
            make_private_folder(folder)
            self._file = open(path, "wb", buffering=BUFFER_BYTES, opener=private_opener)  # noqa: SIM115
        except OSError as error:
            logger.error("%s is not traced: %s. Check server.trace_dir.", self._id, error)
            return
        self.path = path
        header: dict[str, Any] = {name: to_plain(getattr(spec, name)) for name in RECORDED}
        header["speaks"] = None if spec.policy is None else spec.policy.speaks
        header["own_rules"] = own_rules(spec.rules)
        self._write({"parley": __version__, "trace": FORMAT, **header})

    def _record(self, event: Event | None, now_ns: int, effects: Sequence[Effect], raised: str) -> None:
        line = {"at": now_ns, "event": to_plain(event), "effects": [to_plain(one, summary=True) for one in effects]}
        if self._answers is not None and (answers := self._answers.take()):
            line["answers"] = to_plain(answers)
        if raised:
            line["raised"] = raised
        self._write(line)
        if self._written > RECORDING_BYTES:
            logger.warning("the trace of %s has reached %d bytes and ends here", self._id, self._written)
            self._shut()

    def _write(self, line: dict[str, Any], *, safe: bool = False) -> None:
        """Write to the file, if there is one, and `safe`ly past its buffer."""
        if self._file is None:
            return
        data = msgspec.json.encode(line)
        try:
            self._file.write(data)
            self._file.write(b"\n")
            if safe:
                self._file.flush()
        except OSError as error:
            self._lose(error)
        self._written += len(data) + 1

    def _shut(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            try:
                file.close()
            except OSError as error:
                self._lose(error)

    def _lose(self, error: OSError) -> None:
        """Report, once, that the file takes no more."""
        logger.error("the trace of %s is incomplete: %s", self._id, error)
        file, self._file = self._file, None
        if file is not None:
            with contextlib.suppress(OSError):  # its buffer cannot be written either
                file.close()


def traced(spec: SessionSpec, folder: Path | None = None) -> tuple[Session, Trace]:
    """A session made from this spec, and its trace. With `folder`, its own policy and rules are recorded with everything else."""
    answers = AnswerLog() if folder is not None else None
    session = Session(spec if answers is None else answers.watched(spec))
    return session, Trace(spec, session.id, folder, answers)


def _is_quiet(effects: Sequence[Effect]) -> bool:
    """Whether nothing but audio goes on."""
    for effect in effects:
        if type(effect) not in _QUIET_EFFECTS and not (
            isinstance(effect, Tell) and type(effect.notice) is OutputAudioDelta
        ):
            return False
    return True


def _held_bytes(value: object) -> int:
    """Text and audio that an event keeps alive."""
    match value:
        case bytes() | str():
            return len(value)
        case tuple() | list():
            return sum(map(_held_bytes, value))
        case Mapping():
            return sum(map(_held_bytes, value.values()))
    return sum(_held_bytes(getattr(value, field.name)) for field in fields(value)) if is_dataclass(value) else 0


def _line(one: _Run | _Step, end_ns: int) -> str:
    if isinstance(one, _Run):
        ms = (end_ns - one.first_ns) / 1e6
        kinds = ", ".join(f"{count} x {kind.__name__}" for kind, count in one.counts.items())
        return f"-{ms:9.1f} ms  {kinds}, {one.bytes} bytes, until -{(end_ns - one.last_ns) / 1e6:.1f} ms"
    event = one.event
    shown = event if isinstance(event, str) else msgspec.json.encode(to_plain(event, summary=True)).decode()
    return f"-{(end_ns - one.at_ns) / 1e6:9.1f} ms  {shown} -> [{one.effects}] {one.raised}".rstrip()


def _name(effect: Effect) -> str:
    return f"Tell({type(effect.notice).__name__})" if isinstance(effect, Tell) else type(effect).__name__


# --- replay ---


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """`mismatch` None: all effects were the same. Else the first step at which they were not, and how."""

    events: int
    effects: int
    mismatch: str | None


def replay(path: Path) -> ReplayResult:
    """Run a recording through a fresh session and compare its effects, byte for byte.

    Raises `ValueError` for a file that is no trace of this version, `OSError` for one that cannot be read.
    """
    events = effects = 0
    with path.open("rb") as file:
        answers = AnswerReplay()
        session = Session(_spec(file.readline(), answers))
        for number, text in enumerate(file, start=2):
            line = _decoded(text, number)
            if "fault" in line:
                break
            try:
                event = from_plain(line["event"])
                at_ns, expected = line["at"], line["effects"]
            except (KeyError, ValueError) as error:
                raise ValueError(f"line {number}: {error}") from error
            answers.load(from_plain(line.get("answers", [])))
            raised = ""
            again: list[Effect] = []
            try:
                again = session.start() if event is None else session.handle(event, at_ns)
            except Exception as error:  # noqa: BLE001 - the session boundary
                raised = repr(error)
            events += 1
            effects += len(again)
            found = [to_plain(one, summary=True) for one in again]
            if raised != line.get("raised", "") or msgspec.json.encode(found) != msgspec.json.encode(expected):
                return ReplayResult(events, effects, _difference(number, line, found, raised))
            if answers.left:
                return ReplayResult(
                    events, effects, f"Line {number}: {answers.left} recorded judgements were not asked for."
                )
    return ReplayResult(events, effects, None)


def _decoded(text: bytes, number: int) -> dict[str, Any]:
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise ValueError(f"line {number} is not readable: {error}") from error


def _spec(text: bytes, answers: AnswerReplay) -> SessionSpec:
    line = _decoded(text, 1)
    if line.get("trace") != FORMAT:
        raise ValueError(f"line 1 is not the header of a trace of format {FORMAT}")
    try:
        spec = SessionSpec(**{name: from_plain(line[name]) for name in RECORDED})
        return answers.watched(spec, line["speaks"], line["own_rules"])
    except KeyError as error:
        raise ValueError(f"its header has no {error}") from error


def _difference(number: int, line: dict[str, Any], found: list[Any], raised: str) -> str:
    expected = line["effects"]
    where = f"Line {number}, event {(line['event'] or {}).get('$', 'start')}"
    if raised != line.get("raised", ""):
        return f"{where}: raised {raised or 'nothing'}, recorded {line.get('raised') or 'nothing'}."
    for index, (one, other) in enumerate(zip(found, expected, strict=False)):
        if msgspec.json.encode(one) != msgspec.json.encode(other):
            return f"{where}, effect {index}: {_short(one)}, recorded {_short(other)}."
    return f"{where}: {len(found)} effects, recorded {len(expected)}."


def _short(plain: object) -> str:
    text = msgspec.json.encode(plain).decode()
    return text if len(text) <= 300 else text[:300] + "..."
