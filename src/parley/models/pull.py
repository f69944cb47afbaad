"""Fetches a model: file by file from the first source that has it, verified, then put in place as a whole.

Laws:
- What arrives counts only if its SHA-256 is the catalogue's: a source is never trusted, and one that gives other bytes is passed over.
- A download that was cut off is resumed; a model is never there by half; two processes do not fetch the same model at once.
- Every refusal says what each source answered.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from parley.models import sources, store
from parley.models.catalogue import HttpSource, ModelEntry, ModelError, ModelFile, licence_refused, megabytes
from parley.models.packages import OnBytes

SPARE_BYTES: Final = 64 << 20
"""Left free on the disk."""

LOCK_WAIT_S: Final = 1.0


def pull(
    model: ModelEntry,
    *,
    accept: bool = False,
    mirror: str = "",
    on_source: Callable[[str], None] = lambda source: None,
    on_bytes: OnBytes = lambda count: None,
) -> Path:
    """The folder of the model, fetched if it is not there. Blocks. `mirror` is the URL of a folder that is asked before the model's own
    sources: it is laid out as the folder of models is, `ENGINE/MODEL/FILE`.

    Raises `ModelError`: a licence that has to be accepted, no room, no source that has it, another process that is fetching it.
    """
    if store.whole(model):
        return store.folder_of(model)
    if model.accept and not accept:
        raise licence_refused(model.name, model.licence)
    import filelock

    unfinished = store.unfinished_folder_of(model)
    try:
        unfinished.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(unfinished.with_name(unfinished.name + ".lock"), timeout=LOCK_WAIT_S):
            if not store.whole(model):
                _check_room(model)
                _fetch(model, mirror, unfinished, on_source, on_bytes)
                _put_in_place(model, unfinished)
    except filelock.Timeout as error:
        raise ModelError(
            f"Another process is fetching {model.name}.", "Wait for it, then start this command again."
        ) from error
    except OSError as error:
        raise _disk_error(model, error) from error
    return store.folder_of(model)


def _check_room(model: ModelEntry) -> None:
    free = shutil.disk_usage(store.root()).free
    if free < model.size + SPARE_BYTES:
        raise ModelError(
            f"{model.name} takes {megabytes(model.size)}, and {store.root()} has {megabytes(free)} left.",
            f"Make room, or name another folder: {store.VARIABLE}=FOLDER",
        )


def _disk_error(model: ModelEntry, error: OSError) -> ModelError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return ModelError(
            f"The disk became full while {model.name} was fetched.",
            f"Make room and start again (what has come is kept), or name another folder: {store.VARIABLE}=FOLDER",
        )
    return ModelError(f"{model.name} cannot be stored: {error}.", f"Name another folder: {store.VARIABLE}=FOLDER")


def _fetch(model: ModelEntry, mirror: str, folder: Path, on_source: Callable[[str], None], on_bytes: OnBytes) -> None:
    """Bring every file into `folder`, from the first source that gives it."""
    answers: list[str] = []
    mirrored = HttpSource(f"{mirror.rstrip('/')}/{model.name.replace(':', '/')}")
    missing = _missing(model, folder)
    for source in (mirrored, *model.sources) if mirror else model.sources:
        wanted = [file for file in missing if fnmatchcase(file.path, source.only)]
        if not wanted:
            continue
        on_source(str(source))
        try:
            sources.fetch(source, wanted, folder, on_bytes)
        except ModelError as error:
            answers.append(f"{source}: {error.message}")
        missing = _missing(model, folder)
    if missing:
        raise ModelError(
            f"{model.name} could not be fetched. " + " ".join(answers),
            "Connect to the internet, set HF_ENDPOINT to a mirror of the Hub or models.mirror to one of your own, or configure pip "
            "for your package index. What has come is kept.",
        )


def _missing(model: ModelEntry, folder: Path) -> list[ModelFile]:
    return [file for file in model.files if store.fault_of(folder / file.path, file)]


def _put_in_place(model: ModelEntry, unfinished: Path) -> None:
    folder = store.folder_of(model)
    if folder.exists():
        shutil.rmtree(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    kept = {Path(file.path).parts[0] for file in model.files}
    for stray in [path for path in unfinished.iterdir() if path.name not in kept]:
        # The Hub's folder, parts of files that came from another source, and what a process that was killed has left.
        shutil.rmtree(stray) if stray.is_dir() else stray.unlink()
    os.replace(unfinished, folder)
