"""Parts of fingerprints: what the result of an engine depends on (`ports.Fingerprinted`).

Laws: a file is known by its SHA-256, which is computed again when its size or its time of change differs.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
from pathlib import Path


def file_digest(path: Path) -> str:
    """The SHA-256 of a file. Blocks the first time. Raises `OSError`."""
    found = path.stat()
    return _digest(str(path), found.st_size, found.st_mtime_ns)


@functools.lru_cache(maxsize=256)
def _digest(path: str, size: int, changed_ns: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def versions(*packages: str) -> str:
    """The versions of installed packages, in this order; those that are missing are left out."""
    return " ".join(f"{name}=={version}" for name in packages if (version := _version(name)))


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""
