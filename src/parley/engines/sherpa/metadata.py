"""The key-value metadata of an ONNX file, without its weights: the graph is skipped, not read.

Source: `onnx.proto3` (`ModelProto.metadata_props` is field 14, `StringStringEntryProto`: key 1, value 2) and the protobuf wire format.
"""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Final

_METADATA_PROPS: Final = 14
_MAX_ENTRY_BYTES: Final = 4 << 20
"""The longest real entries, tables of feature means, take some KB."""

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5


def read_metadata(path: Path) -> dict[str, str]:
    """The metadata of a model; empty for an `.ort` file, which is another format. Raises `OSError`, or `ValueError` for no ONNX file."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        if stream.read(8)[4:] == b"ORTM":
            return {}
        stream.seek(0)
        found = {}
        for field, length in _fields(stream):
            if stream.tell() + length > size:
                raise ValueError(f"{path.name} ends too early")
            if field == _METADATA_PROPS and length <= _MAX_ENTRY_BYTES:
                key, value = _entry(stream.read(length))
                found[key] = value
            else:
                stream.seek(length, 1)
        return found


def entry_bytes(metadata: dict[str, str]) -> bytes:
    """Metadata as bytes which, appended to an ONNX file, are part of its model: a repeated field may come in pieces."""
    encoded = bytearray()
    for key, value in metadata.items():
        entry = b"".join(
            bytes([number << 3 | _LENGTH]) + _varint_bytes(len(text)) + text
            for number, text in ((1, key.encode()), (2, value.encode()))
        )
        encoded += bytes([_METADATA_PROPS << 3 | _LENGTH]) + _varint_bytes(len(entry)) + entry
    return bytes(encoded)


def _fields(stream: BinaryIO) -> Iterator[tuple[int, int]]:
    """Number and length of each field, with the stream at its value; whoever iterates moves it behind the value."""
    while (tag := _varint(stream)) is not None:
        number, kind = tag >> 3, tag & 7
        if kind == _VARINT:
            _varint(stream)
            yield number, 0
        elif kind == _LENGTH:
            yield number, _varint(stream) or 0
        elif kind in (_FIXED64, _FIXED32):
            yield number, 8 if kind == _FIXED64 else 4
        else:
            raise ValueError("it is no protobuf message")


def _entry(data: bytes) -> tuple[str, str]:
    stream, parts = BytesIO(data), {1: "", 2: ""}
    for number, length in _fields(stream):
        parts[number] = stream.read(length).decode("utf-8", "replace")
    return parts[1], parts[2]


def _varint(stream: BinaryIO) -> int | None:
    """The next number; None at the end of the stream."""
    value = 0
    for shift in range(0, 64, 7):
        byte = stream.read(1)
        if not byte:
            if shift:
                raise ValueError("it ends within a number")
            return None
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
    raise ValueError("it is no protobuf message")


def _varint_bytes(value: int) -> bytes:
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])
