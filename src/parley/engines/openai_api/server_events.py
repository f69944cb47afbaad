"""Reads server-sent events out of the bytes of a reply, however they are cut into pieces.

Laws:
- Pure, one object for one reply. What is kept of an unfinished event is bounded by `MAX_EVENT_BYTES`, lines included.
- Follows the grammar of the HTML standard (chapter 9.2): LF, CR and CRLF end lines, comments are ignored, several `data` lines
  make one event, a byte order mark is skipped, bytes that are not UTF-8 become U+FFFD. Beyond it, the end of the stream ends an event.
- A line that is no field of the grammar is given out as an event named `UNKNOWN` instead of being dropped: some servers report their
  failures that way.

Own code, because no library does this within bounds: httpx2's `EventSource` bounds an event, but refuses other content types, drops
unknown lines, and parses up to 1 MiB at a time; the readers of `openai` and `httpx-sse` hold a line of any length.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from parley.errors import ParleyError

MAX_EVENT_BYTES: Final = 256 * 1024
"""One event: a reply of some 60,000 tokens sent whole. Its JSON takes 16 ms to read at the worst, which is not noticed."""

UNKNOWN: Final = "?"
"""The name of an event that is made of one line outside the grammar."""

_LINE_END: Final = re.compile(rb"\r\n|\n|\r")
_BOM: Final = b"\xef\xbb\xbf"


class EventTooLarge(ParleyError):
    """An event, or a line without an end, is larger than `MAX_EVENT_BYTES`."""


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """One event: its name ("" for most) and its data, the lines joined."""

    name: str
    data: str


class EventReader:
    """Feed it the bytes as they come; `end()` gives the event that the stream ended in."""

    def __init__(self) -> None:
        self._line = bytearray()
        self._began = False
        self._skip_lf = False
        self._name = ""
        self._data: list[str] = []
        self._size = 0  # bytes of the event's lines so far

    def feed(self, piece: bytes) -> list[ServerEvent]:
        """The events that are complete by now. Raises `EventTooLarge`."""
        events: list[ServerEvent] = []
        if self._skip_lf and piece:
            self._skip_lf = False
            piece = piece.removeprefix(b"\n")
        self._skip_lf = piece.endswith(b"\r")
        start = 0
        for match in _LINE_END.finditer(piece):
            self._line += piece[start : match.start()]
            start = match.end()
            self._end_line(events)
        self._line += piece[start:]
        self._check_size()
        return events

    def end(self) -> list[ServerEvent]:
        """What the end of the stream completes."""
        events: list[ServerEvent] = []
        if self._line:
            self._end_line(events)
        self._dispatch(events)
        return events

    def _check_size(self) -> None:
        if self._size + len(self._line) > MAX_EVENT_BYTES:
            raise EventTooLarge(f"A server-sent event has more than {MAX_EVENT_BYTES} bytes.")

    def _end_line(self, events: list[ServerEvent]) -> None:
        self._check_size()
        raw = bytes(self._line)
        self._line.clear()
        if not self._began:
            self._began = True
            raw = raw.removeprefix(_BOM)
        if not raw:
            self._dispatch(events)
            return
        if raw.startswith(b":"):
            return
        self._size += len(raw)
        line = raw.decode("utf-8", "replace")
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match field:
            case "data":
                self._data.append(value)
            case "event":
                self._name = value
            case "id" | "retry":
                pass
            case "error":  # (llama.cpp, once)
                events.append(ServerEvent("error", value))
            case _:
                events.append(ServerEvent(UNKNOWN, line))

    def _dispatch(self, events: list[ServerEvent]) -> None:
        data = "\n".join(self._data)
        if data.strip():  # an empty event is a sign of life
            events.append(ServerEvent(self._name, data))
        self._name, self._size = "", 0
        self._data.clear()
