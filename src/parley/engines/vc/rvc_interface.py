"""What an ONNX graph takes and gives, read without its weights.

Laws:
- Of a file, only the names and shapes of inputs and outputs, the kinds of its nodes and its metadata are read; weights are skipped over.
  So a folder of voices is told apart in milliseconds.
- A file that is no graph is an `EngineUnavailable` (`invalid_weights`) that names it.

Source: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto (numbers of the fields).
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO, Final

from parley.engines.ports import EngineUnavailable

_MODEL_GRAPH, _MODEL_METADATA = 7, 14
_GRAPH_NODE, _GRAPH_INPUT, _GRAPH_OUTPUT = 1, 11, 12

_RANDOM: Final = (b"RandomNormal", b"RandomUniform", b"Bernoulli", b"Multinomial")
"""How the names of nodes begin whose values no seed of ours decides."""

MAX_SMALL_BYTES: Final = 1 << 20
"""Descriptions and nodes are smaller; a node may hold a constant, and one beyond this is not looked into."""


@dataclass(frozen=True, slots=True)
class GraphValue:
    """An input or an output: `type` as NumPy calls it ("float32", "" where NumPy has none); a length of `shape` may be None: any."""

    name: str
    type: str
    shape: tuple[int | None, ...]

    def __str__(self) -> str:
        lengths = ", ".join("?" if length is None else str(length) for length in self.shape)
        return f"{self.name} {self.type} [{lengths}]"


@dataclass(frozen=True, slots=True)
class GraphInterface:
    """`random`: whether it draws numbers inside, so that the same input gives another output."""

    path: Path
    inputs: tuple[GraphValue, ...]
    outputs: tuple[GraphValue, ...]
    metadata: Mapping[str, str]
    random: bool

    @property
    def input_names(self) -> frozenset[str]:
        return frozenset(value.name for value in self.inputs)

    def input(self, name: str) -> GraphValue:
        """Raises `KeyError`."""
        return {value.name: value for value in self.inputs}[name]

    def __str__(self) -> str:
        taken, given = ("; ".join(map(str, values)) for values in (self.inputs, self.outputs))
        return f"it takes {taken or 'nothing'} and gives {given or 'nothing'}"


def read_interface(path: Path) -> GraphInterface:
    """Read the file's description. Blocks. Raises `EngineUnavailable` (`invalid_weights`)."""
    import onnx
    from google.protobuf.message import DecodeError

    inputs: list[GraphValue] = []
    outputs: list[GraphValue] = []
    metadata: dict[str, str] = {}
    random = False
    try:
        with path.open("rb") as file:
            end = file.seek(0, io.SEEK_END)
            file.seek(0)
            for where, small in _parts(file, end):
                if where == (_MODEL_METADATA,):
                    pair = onnx.StringStringEntryProto.FromString(small)
                    metadata[pair.key] = pair.value
                elif where == (_MODEL_GRAPH, _GRAPH_INPUT):
                    inputs.append(_value(onnx, small))
                elif where == (_MODEL_GRAPH, _GRAPH_OUTPUT):
                    outputs.append(_value(onnx, small))
                elif where == (_MODEL_GRAPH, _GRAPH_NODE):
                    random = random or any(name in small for name in _RANDOM)
    except (OSError, ValueError, DecodeError) as error:
        raise _no_graph(path, str(error) or type(error).__name__) from error
    if not inputs or not outputs:
        raise _no_graph(path, "it has no inputs or no outputs")
    return GraphInterface(path, tuple(inputs), tuple(outputs), MappingProxyType(metadata), random)


def _parts(file: BinaryIO, end: int) -> Iterator[tuple[tuple[int, ...], bytes]]:
    """The parts of the model that matter, each with its field numbers from the top. Raises `ValueError`."""
    for number, size in _fields(file, end):
        stop = file.tell() + size
        if number == _MODEL_GRAPH:
            for inner, length in _fields(file, stop):
                if inner in (_GRAPH_NODE, _GRAPH_INPUT, _GRAPH_OUTPUT):
                    yield (number, inner), _small(file, length)
                else:
                    file.seek(length, io.SEEK_CUR)
        elif number == _MODEL_METADATA:
            yield (number,), _small(file, size)
        else:
            file.seek(stop)


def _small(file: BinaryIO, size: int) -> bytes:
    if size > MAX_SMALL_BYTES:
        file.seek(size, io.SEEK_CUR)
        return b""
    return file.read(size)


def _fields(file: BinaryIO, end: int) -> Iterator[tuple[int, int]]:
    """Number and length of each field with a length; the file stands at its content, and must stand behind it for the next one."""
    while file.tell() < end:
        tag = _varint(file)
        number, wire = tag >> 3, tag & 7
        if wire == 2:
            size = _varint(file)
            if size > end - file.tell():
                raise ValueError("it is cut short")
            yield number, size
        elif wire == 0:
            _varint(file)
        elif wire in (1, 5):
            file.seek(8 if wire == 1 else 4, io.SEEK_CUR)
        else:
            raise ValueError("it is no protocol buffer")


def _varint(file: BinaryIO) -> int:
    value = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)
        if not byte:
            raise ValueError("it is cut short")
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
    raise ValueError("it is no protocol buffer")


def _value(onnx: Any, data: bytes) -> GraphValue:
    value = onnx.ValueInfoProto.FromString(data)
    tensor = value.type.tensor_type
    try:
        kind = str(onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type))
    except KeyError:
        kind = ""
    shape = tuple(
        one.dim_value if one.HasField("dim_value") and one.dim_value > 0 else None for one in tensor.shape.dim
    )
    return GraphValue(value.name, kind, shape)


def _no_graph(path: Path, why: str) -> EngineUnavailable:
    return EngineUnavailable(
        f"{path} cannot be read as an ONNX graph: {why}.", "Copy or export the file again.", code="invalid_weights"
    )
