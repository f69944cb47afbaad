"""Files of a plain HTTP folder: a mirror of your own, or the assets of a release.

Laws:
- The folder is not trusted: a file counts only if its size and SHA-256 are the catalogue's.
- What has come of a file is kept beside it as `NAME.part`, and the next attempt asks for the rest; a server that ignores the range sends
  the file anew.
- A server that is silent for `READ_TIMEOUT_S`, or breaks off `ATTEMPTS` times in a row without a further byte, is given up.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from parley.models import store
from parley.models.catalogue import ModelError, ModelFile

if TYPE_CHECKING:
    import httpx2

CONNECT_TIMEOUT_S = 4.0
READ_TIMEOUT_S = 20.0
ATTEMPTS: Final = 3
PART: Final = ".part"


def fetch(base_url: str, files: list[ModelFile], folder: Path, on_bytes: Callable[[int], None]) -> None:
    """Bring `BASE_URL/PATH` of each file into `folder`, verified. Blocks. Raises `ModelError`."""
    import httpx2

    timeout = httpx2.Timeout(READ_TIMEOUT_S, connect=CONNECT_TIMEOUT_S)
    with httpx2.Client(timeout=timeout, follow_redirects=True) as client:
        for file in files:
            _fetch_file(client, f"{base_url.rstrip('/')}/{quote(file.path)}", file, folder / file.path, on_bytes)


def _fetch_file(
    client: httpx2.Client, url: str, file: ModelFile, target: Path, on_bytes: Callable[[int], None]
) -> None:
    import httpx2

    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + PART)
    on_bytes(size_of(part))
    failures = 0
    while (had := size_of(part)) < file.size:
        try:
            _continue(client, url, file, part, on_bytes)
            problem = "it broke off"
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            problem = _reason(error)
        failures = failures + 1 if size_of(part) <= had else 0
        if failures >= ATTEMPTS or (failures and had == 0):
            raise ModelError(f"{problem}.")
    if fault := store.fault_of(part, file):
        part.unlink()
        raise ModelError(f"what it gave is not the model: {fault}")
    os.replace(part, target)


def _continue(client: httpx2.Client, url: str, file: ModelFile, part: Path, on_bytes: Callable[[int], None]) -> None:
    """Append what the server sends from the first missing byte on; returns where it ends, or at the file's size."""
    had = size_of(part)
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={had}-"} if had else {})
    with client.stream("GET", url, headers=headers) as answer:
        if answer.status_code not in (200, 206):
            raise ModelError(f"it answered {answer.status_code} for {file.path}.")
        if had and answer.status_code == 200:  # the range was ignored
            part.unlink()
            on_bytes(-had)
            had = 0
        with part.open("ab") as stream:
            for block in answer.iter_raw():
                stream.write(block[: file.size + 1 - had])  # a byte too many shows that it is another file
                had += len(block)
                on_bytes(len(block))
                if had > file.size:
                    return


def size_of(path: Path) -> int:
    """Bytes of a file; 0 where there is none."""
    return path.stat().st_size if path.is_file() else 0


def _reason(error: Exception) -> str:
    text = (str(error).strip() or type(error).__name__).splitlines()[0][:200].rstrip(".")
    return f"it cannot be reached ({text})"
