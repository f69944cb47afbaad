"""Finds CSM on this machine: a folder as transformers saves it, or a repository in the Hub's cache.

Laws: nothing is asked of the network. No source publishes the hashes of these weights, so the catalogue has none: what is missing is named
as a repository of the Hub (`hub:owner/name`), whose bytes are what the Hub says.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

from parley.engines.hub_weights import HubWeights

EXAMPLE: Final = "sesame/csm-1b"

NEEDED: Final = ("config.json", "tokenizer.json")
"""Beside the weights, `*.safetensors`."""


_WEIGHTS: Final = HubWeights("the weights of CSM", NEEDED, f"csm:{EXAMPLE}")

locate = _WEIGHTS.locate
missing = _WEIGHTS.missing


def revision_of(folder: Path) -> str:
    """What tells these weights from others: a digest of the configuration and of each weight file's name, size and time."""
    digest = hashlib.sha256((folder / "config.json").read_bytes())
    for file in sorted(folder.glob("*.safetensors")):
        stat = file.stat()
        digest.update(f"{file.name} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()
