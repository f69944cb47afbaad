"""Reads Kokoro's voices from files of anybody: `.pt` and `.pth` (torch), `.bin`, `.npz` and `.npy` (numpy).

A voice is a tensor `[510, 256]`: row n-1 is the style of a text of n phonemes. Files hold it in this shape or as `[510, 1, 256]`.

Laws:
- Nothing in a file is executed. A torch file is a zip archive with a pickle: its operations are listed (`pickletools.genops`), and the
  dozen that describe one tensor of float32 are interpreted here; any other is refused, before anything of it has an effect.
- Sizes are bounded before bytes are read: of files, of what an archive unpacks to, of pickles, of tensors.
- A tensor of another shape, with NaN, or with a value above `MAX_VALUE` is refused: the model would give noise.

Sources: torch's serialization format (a zip archive with `data.pkl`, `data/KEY`, `byteorder`), numpy's NEP 1 (`.npy`).
"""

from __future__ import annotations

import io
import pickletools
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from parley.errors import ParleyError

Style = NDArray[np.float32]
"""`[510, 256]`, read-only."""

ROWS: Final = 510
WIDTH: Final = 256
SHAPES: Final = ((ROWS, 1, WIDTH), (ROWS, WIDTH))
MAX_VALUE: Final = 10.0
"""The published voices stay below 3."""

SUFFIXES: Final = (".bin", ".npy", ".npz", ".pt", ".pth")

_BYTES: Final = ROWS * WIDTH * 4
_MAX_TENSOR_BYTES: Final = 4 * _BYTES
"""Of one member of an archive: a tensor in double precision, or a view of a larger storage."""

_MAX_FILE_BYTES: Final = 256 << 20
"""A few hundred voices in one archive."""

_MAX_MEMBERS: Final = 1024
_MAX_PICKLE_BYTES: Final = 4096
"""That of one tensor has some 300."""

_MAX_NPY_HEADER: Final = 1024


class InvalidVoice(ParleyError):
    """The file holds no voice; the message says why."""


def names(path: Path) -> tuple[str, ...]:
    """The voices in a file: its own name, or those of the members of a numpy archive with several. Reads the archive's directory only.

    Raises `InvalidVoice`.
    """
    if not _is_archive(path) or path.suffix.lower() in (".pt", ".pth"):
        return (path.stem,)
    with _opened(path) as archive:
        members = [info.filename.removesuffix(".npy") for info in archive.infolist()]
    return (path.stem,) if len(members) == 1 else tuple(members)


def read(path: Path, name: str) -> Style:
    """The voice `name` (one of `names()`) of a file. Blocks. Raises `InvalidVoice`, or `OSError` where the file cannot be read."""
    try:
        return _checked(_tensor(path, name))
    except (InvalidVoice, OSError):
        raise
    except Exception as error:  # what zipfile, pickletools and numpy raise on damaged bytes is not listed anywhere
        raise InvalidVoice(f"it cannot be read ({type(error).__name__}).") from error


def _tensor(path: Path, name: str) -> NDArray[Any]:
    suffix = path.suffix.lower()
    if not _is_archive(path):
        if suffix in (".pt", ".pth"):
            raise InvalidVoice("it is not of the format that torch writes since version 1.6.")
        data = _bytes_of(path)
        if suffix == ".npy":
            return _npy(data)
        if suffix == ".bin":
            if len(data) != _BYTES:
                raise InvalidVoice(f"it has {len(data)} bytes instead of {_BYTES}.")
            return np.frombuffer(data, "<f4").reshape(ROWS, WIDTH)
        raise InvalidVoice("it is no archive.")
    with _opened(path) as archive:
        if suffix in (".pt", ".pth"):
            return _torch(archive)
        members = [info.filename for info in archive.infolist()]
        member = members[0] if len(members) == 1 else f"{name}.npy"
        return _npy(_member(archive, member, _MAX_TENSOR_BYTES))


def _checked(tensor: NDArray[Any]) -> Style:
    if tensor.shape not in SHAPES:
        raise InvalidVoice(f"its shape is {list(tensor.shape)} instead of {list(SHAPES[0])}.")
    style = np.array(tensor, np.float32).reshape(ROWS, WIDTH)
    if not np.isfinite(style).all():
        raise InvalidVoice("it holds values that are not numbers.")
    if (largest := float(np.abs(style).max())) > MAX_VALUE:
        raise InvalidVoice(f"it holds the value {largest:.3g}; a voice stays within {MAX_VALUE:g}.")
    style.setflags(write=False)
    return style


def _is_archive(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"PK\x03\x04"


def _bytes_of(path: Path) -> bytes:
    with path.open("rb") as file:
        data = file.read(_MAX_TENSOR_BYTES + 1)
    if len(data) > _MAX_TENSOR_BYTES:
        raise InvalidVoice(f"it is larger than {_MAX_TENSOR_BYTES >> 20} MiB.")
    return data


def _opened(path: Path) -> zipfile.ZipFile:
    if path.stat().st_size > _MAX_FILE_BYTES:
        raise InvalidVoice(f"it is larger than {_MAX_FILE_BYTES >> 20} MiB.")
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise InvalidVoice("it is a damaged archive.") from error
    if not 0 < len(archive.infolist()) <= _MAX_MEMBERS:
        archive.close()
        raise InvalidVoice("it is an archive of another kind.")
    return archive


def _member(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    """One member, unpacked to at most `most` bytes, whatever the archive says of its size."""
    if archive.getinfo(name).compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise InvalidVoice("it is packed in a way that numpy and torch do not use.")
    with archive.open(name) as member:
        data = member.read(most + 1)
    if len(data) > most:
        raise InvalidVoice(f"{name} in it is larger than {most} bytes.")
    return data


def _npy(data: bytes) -> NDArray[Any]:
    file = io.BytesIO(data)
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise InvalidVoice("it is of a version of numpy's format that is not known here.")
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = header(file, max_header_size=_MAX_NPY_HEADER)
    if dtype.kind != "f" or dtype.itemsize not in (2, 4, 8):
        raise InvalidVoice(f"it holds {dtype}, not floating-point numbers.")
    if shape not in SHAPES:
        raise InvalidVoice(f"its shape is {list(shape)} instead of {list(SHAPES[0])}.")
    tensor = np.frombuffer(data, dtype, count=ROWS * WIDTH, offset=file.tell())
    return tensor.reshape(shape, order="F" if fortran else "C")


# --- torch ---


class _Reference:
    """What a pickle names and does not make: a function, a class, a storage."""

    __slots__ = ("name",)

    def __init__(self, name: object) -> None:
        self.name = name


_MARK: Final = _Reference("mark")
_TENSOR: Final = "torch._utils _rebuild_tensor_v2"
_FLOATS: Final = "torch FloatStorage"
_ORDERED: Final = "collections OrderedDict"
_CONSTANTS: Final = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_PLAIN: Final = frozenset({"BININT", "BININT1", "BININT2", "BINUNICODE"})
"""Operations that push their argument, by their names in `pickletools`."""


def _torch(archive: zipfile.ZipFile) -> NDArray[Any]:
    pickles = [info.filename for info in archive.infolist() if info.filename.rpartition("/")[2] == "data.pkl"]
    if len(pickles) != 1:
        raise InvalidVoice("it is not an archive of torch.")
    folder = pickles[0].removesuffix("data.pkl")
    storage, offset, size, stride = _described(_member(archive, pickles[0], _MAX_PICKLE_BYTES))
    if size not in SHAPES:
        raise InvalidVoice(f"its shape is {list(size)} instead of {list(SHAPES[0])}.")
    order = (
        ">"
        if f"{folder}byteorder" in archive.namelist() and _member(archive, f"{folder}byteorder", 16) == b"big"
        else "<"
    )
    values = np.frombuffer(_member(archive, f"{folder}data/{storage}", _MAX_TENSOR_BYTES), f"{order}f4")
    last = offset + sum((count - 1) * step for count, step in zip(size, stride, strict=True))
    if offset < 0 or min(stride) < 0 or last >= len(values):
        raise InvalidVoice("its tensor is larger than the numbers that it holds.")
    return np.lib.stride_tricks.as_strided(values[offset:], size, [4 * step for step in stride], writeable=False)


def _described(pickle: bytes) -> tuple[str, int, tuple[int, ...], tuple[int, ...]]:
    """The one tensor of float32 that a pickle describes: the key of its numbers, its offset, its size and its strides.

    Raises `InvalidVoice` at the first operation that belongs to nothing of the kind.
    """
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    argument: Any
    for operation, argument, _ in pickletools.genops(pickle):
        name = operation.name
        if name == "STOP":
            break
        if name == "PROTO":
            continue
        if name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in _PLAIN:
            stack.append(argument)
        elif name in ("BINPUT", "LONG_BINPUT"):
            memo[argument] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(memo[argument])
        elif name in _ACTS:
            _ACTS[name](stack, argument)
        else:
            raise InvalidVoice(f"its pickle does more than describe a tensor ({name}).")
    if len(stack) != 1 or not isinstance(stack[0], _Reference) or not isinstance(stack[0].name, tuple):
        raise InvalidVoice("its pickle describes something else than a tensor.")
    storage, offset, size, stride = stack[0].name
    return storage, offset, size, stride


def _global(stack: list[Any], argument: Any) -> None:
    if argument not in (_TENSOR, _FLOATS, _ORDERED):
        raise InvalidVoice(f"its pickle names {argument!r}, and not a tensor of float32.")
    stack.append(_Reference(argument))


def _tuple(stack: list[Any], argument: Any) -> None:
    items: list[Any] = []
    while (item := stack.pop()) is not _MARK:
        items.insert(0, item)
    stack.append(tuple(items))


def _storage(stack: list[Any], argument: Any) -> None:
    match stack.pop():
        case ("storage", _Reference(name=name), str(key), str(), int()) if name == _FLOATS and key.isalnum():
            stack.append(_Reference(key))
        case _:
            raise InvalidVoice("its pickle refers to something else than numbers of float32.")


def _call(stack: list[Any], argument: Any) -> None:
    given, called = stack.pop(), stack.pop()
    match called, given:
        case _Reference(name=name), () if name == _ORDERED:
            stack.append(None)  # the hooks of a tensor: none
        case _Reference(name=name), (
            _Reference(name=str(key)),
            int(offset),
            tuple(size),
            tuple(stride),
            bool(),
            *_,
        ) if name == _TENSOR and len(size) == len(stride) <= 3 and all(type(one) is int for one in (*size, *stride)):
            stack.append(_Reference((key, offset, size, stride)))
        case _:
            raise InvalidVoice("its pickle calls something else than what makes a tensor.")


_ACTS: Final[dict[str, Callable[[list[Any], Any], None]]] = {
    "GLOBAL": _global,
    "MARK": lambda stack, _: stack.append(_MARK),
    "TUPLE": _tuple,
    "TUPLE1": lambda stack, _: stack.append((stack.pop(),)),
    "TUPLE2": lambda stack, _: stack.append((stack.pop(-2), stack.pop())),
    "TUPLE3": lambda stack, _: stack.append((stack.pop(-3), stack.pop(-2), stack.pop())),
    "BINPERSID": _storage,
    "REDUCE": _call,
}
