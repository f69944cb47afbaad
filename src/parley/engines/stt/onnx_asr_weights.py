"""Finds the weights of a model of the package `onnx-asr`: a folder, the folder of models, or the Hub's local cache.

Laws:
- Nothing is asked of the network. The library would download by itself; it is always told not to.
- Every refusal says how to have the weights.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from parley.engines import weights
from parley.engines.ports import EngineUnavailable
from parley.models import store
from parley.models.hub_repository import HubRepository

EUROPEAN: Final = (
    "bg",
    "cs",
    "da",
    "de",
    "el",
    "en",
    "es",
    "et",
    "fi",
    "fr",
    "hr",
    "hu",
    "it",
    "lt",
    "lv",
    "mt",
    "nl",
    "pl",
    "pt",
    "ro",
    "ru",
    "sk",
    "sl",
    "sv",
    "uk",
)
"""The 25 languages of Parakeet TDT v3 and Canary v2."""

_LANGUAGES: Final = (
    (r"parakeet-tdt-0\.6b-v3|canary-1b-v2", EUROPEAN),
    (r"parakeet-(tdt|ctc|rnnt)-(0\.6b|1\.1b)", ("en",)),
    (r"canary-(180m|1b)-flash", ("de", "en", "es", "fr")),
    (r"gigaam-v[23]|fastconformer-ru|stt_ru_fastconformer|t-one|vosk-model-(small-)?ru", ("ru",)),
)
"""By what stands in the name of the model or of its folder; the first that fits."""

_LICENCES: Final = (
    (r"parakeet|canary|fastconformer", "CC-BY-4.0"),
    (r"gigaam|whisper", "MIT"),
    (r"t-one|vosk", "Apache-2.0"),
)

_REPOSITORIES: Final = {
    "nemo-parakeet-tdt-0.6b-v2": "istupakov/parakeet-tdt-0.6b-v2-onnx",
    "nemo-parakeet-tdt-0.6b-v3": "istupakov/parakeet-tdt-0.6b-v3-onnx",
    "nemo-parakeet-ctc-0.6b": "istupakov/parakeet-ctc-0.6b-onnx",
    "nemo-parakeet-rnnt-0.6b": "istupakov/parakeet-rnnt-0.6b-onnx",
    "nemo-canary-1b-v2": "istupakov/canary-1b-v2-onnx",
    "nemo-fastconformer-ru-ctc": "istupakov/stt_ru_fastconformer_hybrid_large_pc_onnx",
    "nemo-fastconformer-ru-rnnt": "istupakov/stt_ru_fastconformer_hybrid_large_pc_onnx",
    "gigaam-v2-ctc": "istupakov/gigaam-v2-onnx",
    "gigaam-v2-rnnt": "istupakov/gigaam-v2-onnx",
    "gigaam-v3-ctc": "istupakov/gigaam-v3-onnx",
    "gigaam-v3-rnnt": "istupakov/gigaam-v3-onnx",
    "gigaam-v3-e2e-ctc": "istupakov/gigaam-v3-onnx",
    "gigaam-v3-e2e-rnnt": "istupakov/gigaam-v3-onnx",
    "whisper-base": "istupakov/whisper-base-onnx",
}
"""The library's name of a model, and where the Hub has it; `nemo-` may be left out."""


@dataclass(frozen=True, slots=True)
class Found:
    """What the library is given: the name or type of a model (None: as `config.json` says), and its folder (None: in the Hub's cache)."""

    model: str | None
    folder: Path | None


def locate(model: str, kind: str) -> Found:
    """Where `model` is: a folder, a name of the library or `owner/repository`. `kind` is the library's type of a folder, "" as
    `config.json` says. Raises `EngineUnavailable`.
    """
    folder = Path(model).expanduser()
    if model and folder.is_dir():
        return Found(kind or None, folder)
    if not model or model.startswith((".", "/", "~")):
        where = f"There is no folder {model}" if model else "onnx-asr needs the folder of a model"
        raise EngineUnavailable(
            f"{where}.",
            "Name a folder that has the files of one model: onnx-asr:FOLDER, or a model of which the Hub's cache has the files: "
            "onnx-asr:parakeet-tdt-0.6b-v3.",
            code="missing_weights",
        )
    if (installed := store.installed(_catalogue_name(model))) is not None:
        return Found(kind or None, installed)
    name = library_name(model)
    if name in _REPOSITORIES or "/" in model:
        return Found(name, None)
    if store.is_known(_catalogue_name(model)):
        raise weights.not_here(_catalogue_name(model))
    close = difflib.get_close_matches(model, known_names(), n=1)
    meant = f"Did you mean onnx-asr:{close[0]}? " if close else ""
    raise EngineUnavailable(
        f"onnx-asr has no model named {model!r}.",
        f"{meant}Use a folder, an owner/repository of the Hub, or one of {', '.join(known_names())}.",
        code="model_not_found",
    )


def missing(model: str) -> tuple[str, ...]:
    """The model of the catalogue that is named, where neither the folder of models nor the Hub's cache has it."""
    name = _catalogue_name(model)
    if weights.is_path(model) or not store.is_known(name) or store.installed(name) is not None:
        return ()
    repository = _REPOSITORIES.get(library_name(model))
    return () if repository and HubRepository(repository).cached() is not None else (name,)


def known_names() -> tuple[str, ...]:
    """Of the library and of the catalogue, as the configuration takes them."""
    library = {name.removeprefix("nemo-") for name in _REPOSITORIES}
    return tuple(sorted(library | {name.partition(":")[2] for name in store.known("onnx-asr")}))


def library_name(model: str) -> str:
    """What the library calls it."""
    return f"nemo-{model}" if f"nemo-{model}" in _REPOSITORIES else model


def absent(model: str, why: str) -> EngineUnavailable:
    """The error of a model of which files are missing."""
    if store.is_known(_catalogue_name(model)) and not weights.is_path(model):
        return weights.not_here(_catalogue_name(model))
    if Path(model).expanduser().is_dir():
        remedy = "Copy all files of its repository there; the option `quantization` chooses among several sizes."
    else:
        repository = _REPOSITORIES.get(library_name(model), model)
        remedy = (
            f"Fetch them with `hf download {repository}`, which puts them into the Hub's cache, or elsewhere with "
            f"`hf download {repository} --local-dir FOLDER` and use onnx-asr:FOLDER."
        )
    return EngineUnavailable(
        f"The weights of onnx-asr:{model} are not on this machine ({why}).", remedy, code="missing_weights"
    )


def languages_of(model: str) -> tuple[str, ...]:
    """The primary tags that a published model knows, by its name or that of its folder; () where the name does not tell."""
    return next((tags for pattern, tags in _LANGUAGES if re.search(pattern, _plain(model))), ())


def licence_of(model: str) -> str:
    """The licence of a published model's weights, by its name or that of its folder; "" where the name does not tell."""
    return next((licence for pattern, licence in _LICENCES if re.search(pattern, _plain(model))), "")


def _catalogue_name(model: str) -> str:
    return f"onnx-asr:{model.removeprefix('nemo-')}"


def _plain(model: str) -> str:
    return Path(model).name.lower()
