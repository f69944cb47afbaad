"""Files of models out of a tar archive over HTTP, such as an asset of a release that packs a whole model.

Laws:
- The archive is verified by its size and SHA-256 before any of it is unpacked. What has come of it is kept until then, and the next
  attempt asks for the rest.
- Only regular members with the names and sizes of the catalogue's files are written, to the paths of the catalogue: paths, links, devices
  and modes of an archive are never followed. Each file counts only if its hash is the catalogue's.
- No more is decompressed than the files have, and `MAX_EXPANSION` times the archive's size beside them.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import shutil
import tarfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Final

from parley.models import http_source, store
from parley.models.catalogue import ArchiveSource, ModelError, ModelFile, megabytes
from parley.models.packages import UNREADABLE, OnBytes, check_unpacked, write_member

FOLDER: Final = ".archive"

MAX_EXPANSION: Final = 4
"""Weights hardly compress: archives of sherpa-onnx unpack to less than twice their size."""

_HEADERS: Final = 1 << 20
"""Bytes for the names of members, and what fills their blocks up."""

_COMPRESSED: Final[Mapping[str, Callable[[Path], io.BufferedIOBase]]] = {
    ".bz2": bz2.BZ2File,
    ".gz": gzip.GzipFile,
    ".xz": lzma.LZMAFile,
}


def fetch(source: ArchiveSource, files: Sequence[ModelFile], folder: Path, on_bytes: OnBytes) -> None:
    """Bring `files` into `folder`. Blocks. Raises `ModelError`, and `OSError` where the disk is full."""
    base_url, _, name = source.url.rpartition("/")
    archive = ModelFile(name, source.size, source.sha256)
    shelf = folder / FOLDER
    wanted = sum(file.size for file in files)
    _check_room(source, shelf, wanted)
    told = _in_proportion(on_bytes, wanted, source.size + wanted)  # unpacking takes its time as well
    if store.fault_of(shelf / name, archive):
        http_source.fetch(base_url, [archive], shelf, told)
    else:  # whole already, when the disk became full while it was unpacked
        told(source.size)
    try:
        _unpack(shelf / name, source, files, folder, told)
        check_unpacked(files, folder)
    except ModelError:
        shutil.rmtree(shelf)
        raise
    shutil.rmtree(shelf)


def _check_room(source: ArchiveSource, shelf: Path, wanted: int) -> None:
    """The archive needs room beside the files that are unpacked from it."""
    come = sum(path.stat().st_size for path in shelf.iterdir()) if shelf.is_dir() else 0
    free = shutil.disk_usage(shelf.parent).free
    if free < source.size - come + wanted:
        raise ModelError(f"it takes {megabytes(source.size + wanted)} to unpack, and {megabytes(free)} are left.")


def _unpack(archive: Path, source: ArchiveSource, files: Sequence[ModelFile], folder: Path, on_bytes: OnBytes) -> None:
    wanted = {str(PurePosixPath(source.folder, file.path)): file for file in files}
    limit = sum(file.size for file in files) + source.size * MAX_EXPANSION + _HEADERS
    try:
        with (
            _COMPRESSED[archive.suffix](archive) as packed,
            tarfile.open(fileobj=_Bounded(packed, limit), mode="r|") as members,
        ):
            for member in members:
                file = wanted.get(member.name.removeprefix("./"))
                if file is None or not member.isreg() or member.issparse() or member.size != file.size:
                    continue
                content = members.extractfile(member)
                assert content is not None, "a regular member has content"
                write_member(folder / file.path, content, file.size, on_bytes)
                del wanted[member.name.removeprefix("./")]
                if not wanted:
                    return
    except UNREADABLE as error:
        raise ModelError(f"it cannot be unpacked: {error}.") from error
    except OSError as error:
        if error.errno is not None:  # of the disk, not of the archive
            raise
        raise ModelError(f"it cannot be unpacked: {error}.") from error
    raise ModelError(f"it does not hold {', '.join(wanted)} as the catalogue describes it.")


class _Bounded(io.RawIOBase):
    """What `packed` decompresses to, up to `limit` bytes."""

    def __init__(self, packed: io.BufferedIOBase, limit: int) -> None:
        self._packed = packed
        self._left = limit

    def read(self, size: int = -1) -> bytes:
        block = self._packed.read(size)
        self._left -= len(block)
        if self._left < 0:
            raise ModelError("it unpacks to far more than the model.")
        return block


def _in_proportion(on_bytes: OnBytes, whole: int, of: int) -> OnBytes:
    """A function that is told of `of` bytes and passes on `whole` in all."""
    came = told = 0

    def tell(count: int) -> None:
        nonlocal came, told
        came += count
        now = came * whole // of
        on_bytes(now - told)
        told = now

    return tell
