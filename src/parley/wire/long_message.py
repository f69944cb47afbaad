"""A client's long message, read piece by piece: what it costs to build is known before a value is built.

Laws:
- `push` looks at each byte once, and at nothing that was pushed before; a message over one of the bounds of `limits` is an error from
  that piece on, and the rest of it is not kept.
- Strings of `LIFTED_BYTES` or more (audio, images) are kept apart; the text for the JSON reader has a short string in place of each.
  A slice at a time, audio among them is decoded and the others are joined.
- The event is the one that `Dialect.decode` gives for the whole message: only errors of JSON may name another position.

Does not know: who runs the slices, or when.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from io import BytesIO

import msgspec

from parley.core.words.events import ClientErred, ClientEvent
from parley.core.words.ids import ClientEventId
from parley.wire import limits
from parley.wire.decoding import ReadEvent, decode_object, read_json

_INSIDE = rb'[^"\\]*+(?:\\.[^"\\]*+)*+'
_REST_OF_STRING = re.compile(_INSIDE, re.DOTALL)
_WHOLE_STRING = re.compile(rb'"' + _INSIDE + rb'"', re.DOTALL)
_WHOLE_STRINGS = re.compile(rb'(?:[^"]*+"' + _INSIDE + rb'")*+[^"]*+', re.DOTALL)
"""From outside of a string: everything up to a string that does not end here, or up to the end."""

_LONG_NUMBER = re.compile(rb"[0-9]{%d}" % limits.MAX_DIGITS)
_EVENT_ID = re.compile(rb'"event_id"\s*:\s*"([^"\\]{1,%d})"' % limits.MAX_EVENT_ID)
_ASCII = bytes(range(128))
_QUOTE = ord('"')
_CONTROL = re.compile(rb"[\x00-\x1f]")
"""Characters that are not allowed in a JSON string: such a string is left to the reader, which reports it."""

_read_base64 = msgspec.json.Decoder(bytes).decode


def structure(data: bytes | bytearray, start: int = 0, end: int | None = None) -> int:
    """The characters of `data` that begin or separate JSON values: at least as many as it has values, strings aside more."""
    stop = len(data) if end is None else end
    return data.count(b",", start, stop) + data.count(b"[", start, stop) + data.count(b"{", start, stop)


class LongMessage:
    """One message. `push()` each piece, then run `decode()` to its end: it yields after each slice of work; `event` is there at last.

    `mark` is unpredictable to clients: followed by a number, it replaces a string that is kept apart. `read_event` is the
    dialect's.
    """

    def __init__(self, mark: str, read_event: ReadEvent) -> None:
        self._mark = mark
        self._read_event = read_event
        self.values = 0
        """JSON values seen so far."""
        self._refusal: ClientErred | None = None
        self._event: ClientEvent | None = None
        self._text: list[bytes] = []
        self._string: list[bytes] | None = None
        self._string_bytes = 0
        self._plain = True
        self._half_escape = False
        self._lifted: list[list[bytes]] = []
        self._outside = self._escapes = self._beyond_ascii = 0

    @property
    def event(self) -> ClientEvent:
        assert self._event is not None, "decode() was not run to its end"
        return self._event

    # --- the pieces -----------------------------------------------------------------------------------------------------------

    def push(self, piece: bytes) -> None:
        """The next bytes of the message."""
        at = 0
        while at < len(piece) and self._refusal is None:
            at = self._between(piece, at) if self._string is None else self._within(piece, at)
        self._check()

    def _between(self, piece: bytes, at: int) -> int:
        """What lies before the next string that does not end in this piece."""
        whole = _WHOLE_STRINGS.match(piece, at)
        assert whole is not None
        end, text = whole.end(), whole.group()
        outside = _WHOLE_STRING.sub(b"", text)
        self.values += structure(outside)
        self._outside += len(outside)
        if len(outside) >= limits.MAX_DIGITS and _LONG_NUMBER.search(outside):
            self._refuse(f"The message has a number of {limits.MAX_DIGITS} digits or more.")
            return end
        self._look_at(text)
        self._text.append(text)
        if end < len(piece):
            self._string, self._string_bytes, self._plain = [], 0, True
        return end + 1

    def _look_at(self, strings: bytes) -> None:
        """Count what makes strings costly, and note whether this one can be kept apart."""
        escapes = strings.count(b"\\")
        self._escapes += escapes
        ascii_only = strings.isascii()
        if not ascii_only:
            self._beyond_ascii += len(strings.translate(None, _ASCII))
        self._plain = self._plain and ascii_only and not escapes and not _CONTROL.search(strings)

    def _within(self, piece: bytes, at: int) -> int:
        """More of a string, up to its end."""
        start, self._half_escape = at + self._half_escape, False
        quote = piece.find(b'"', start)
        end = len(piece) if quote < 0 else quote
        if piece.find(b"\\", start, end) >= 0:
            rest = _REST_OF_STRING.match(piece, start)
            assert rest is not None
            end = rest.end()
            self._half_escape = end < len(piece) and piece[end] != _QUOTE
        part = piece[at : len(piece) if self._half_escape else end]
        self._look_at(part)
        assert self._string is not None
        self._string.append(part)
        self._string_bytes += len(part)
        if end == len(piece) or self._half_escape:
            return len(piece)
        self._close_string()
        return end + 1

    def _close_string(self) -> None:
        assert self._string is not None
        if self._plain and self._string_bytes >= limits.LIFTED_BYTES:
            self._text.append(f'"{self._mark}{len(self._lifted)}"'.encode())
            self._lifted.append(self._string)
        else:
            self._text.append(b'"%b"' % b"".join(self._string))
        self._string = None

    def _check(self) -> None:
        """Refuse what would take too long to build."""
        if self._refusal is not None:
            return
        if self.values > limits.MAX_VALUES:
            self._refuse(f"The message has more than {limits.MAX_VALUES} JSON values.")
        elif self._outside > limits.MAX_OUTSIDE_BYTES:
            self._refuse(f"The message has more than {limits.MAX_OUTSIDE_BYTES} bytes outside of strings.")
        elif self._escapes > limits.MAX_ESCAPES:
            self._refuse(f"The message has more than {limits.MAX_ESCAPES} escapes in its strings.")
        elif self._beyond_ascii > limits.MAX_BEYOND_ASCII_BYTES:
            self._refuse(f"The message has more than {limits.MAX_BEYOND_ASCII_BYTES} bytes of text that is not ASCII.")

    def _refuse(self, why: str) -> None:
        named = _EVENT_ID.search(b"".join(self._text), 0, limits.SALVAGED)
        event_id = None if named is None else ClientEventId(named.group(1).decode("utf-8", "replace"))
        message = f"{why} Send less at once: several events, or shorter ones."
        self._refusal = ClientErred("message_too_large", message, event_id=event_id)
        self._text.clear()
        self._lifted.clear()
        self._string = None

    # --- the event --------------------------------------------------------------------------------------------------------------

    def decode(self) -> Iterator[None]:
        """Find the event; each step is one slice of work, the first of them none."""
        yield
        if self._refusal is not None:
            self._event = self._refusal
            return
        if self._string is not None:  # the message ends within a string: no JSON, which the reader says
            self._text.append(b'"%b' % b"".join(self._string))
        value = read_json(b"".join(self._text))
        yield
        if self._lifted:
            value = yield from self._put_back(value)
        self._event = value if isinstance(value, ClientErred) else decode_object(value, self._read_event)

    def _put_back(self, value: object) -> Generator[None, None, object]:
        """The value with its lifted strings: audio as bytes where it is base64, all others as text."""
        lifted = {f"{self._mark}{number}": pieces for number, pieces in enumerate(self._lifted)}
        self._lifted.clear()
        root = [value]
        holders: list[object] = [root]
        while holders:
            match holders.pop():
                case dict() as members:
                    for name in [name for name in members if name in lifted]:
                        members[(yield from _joined(lifted.pop(name)))] = members.pop(name)
                    for name, member in members.items():
                        if isinstance(member, str) and (pieces := lifted.pop(member, None)) is not None:
                            audio = (yield from _decoded(pieces)) if name == "audio" else None
                            members[name] = (yield from _joined(pieces)) if audio is None else audio
                    holders += [member for member in members.values() if isinstance(member, dict | list)]
                case list() as elements:
                    for index, element in enumerate(elements):
                        if isinstance(element, str) and (pieces := lifted.pop(element, None)) is not None:
                            elements[index] = yield from _joined(pieces)
                    holders += [element for element in elements if isinstance(element, dict | list)]
        return root[0]


def _joined(pieces: list[bytes]) -> Generator[None, None, str]:
    """The text of ASCII pieces, which are given up on the way."""
    text = ""
    slice_pieces = 1 + limits.LIFTED_SLICE // (1 + len(pieces[0]))
    while pieces:
        # A string that nothing else refers to grows in place: one join would copy, and touch, all of its memory at once.
        text += b"".join(pieces[:slice_pieces]).decode("ascii")
        del pieces[:slice_pieces]
        yield
    return text


def _decoded(pieces: list[bytes]) -> Generator[None, None, bytes | None]:
    """The bytes of a text in base64; None where it is none."""
    decoded = BytesIO()
    text = b""
    for number, piece in enumerate(pieces, 1):
        text += piece
        last = number == len(pieces)
        if len(text) < limits.LIFTED_SLICE and not last:
            continue
        end = len(text) if last else len(text) // 4 * 4
        # Padding ends a text: where a slice has some and is not the last, this is no base64.
        if not last and b"=" in text[:end]:
            return None
        try:
            decoded.write(_read_base64(b'"%b"' % text[:end]))
        except msgspec.DecodeError:
            return None
        text = text[end:]
        yield
    return decoded.getvalue()
