"""Finds a checkpoint of Phonon or Pocket TTS on this machine: a folder, or a repository in the Hub's cache.

Laws: nothing is asked of the network. No source publishes the hashes of these weights, so the catalogue has none: what is missing is named
as a repository of the Hub (`hub:owner/name`), whose bytes are what the Hub says.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Final

from parley.engines.hub_weights import HubWeights

NEEDED: Final = ("config.json", "tokenizer.json")

EXAMPLE: Final = "gradium/phonon-31m-en"

_LICENCES: Final = (
    (r"phonon-31m", "Apache-2.0"),
    (r"phonon-40m", "CC-BY-NC-4.0 (not for commercial use)"),
    (r"pocket-tts", "CC-BY-4.0"),
)
"""Of the published weights, by what stands in the name of their folder or repository."""


_WEIGHTS: Final = HubWeights("a checkpoint of Phonon", NEEDED, f"phonon:{EXAMPLE} (English, Apache-2.0)")

locate = _WEIGHTS.locate
missing = _WEIGHTS.missing


def licence_of(model: str) -> str:
    """The licence of published weights, by the name of their folder or repository; "" where it does not tell."""
    name = Path(model).name.lower()
    return next((licence for pattern, licence in _LICENCES if re.search(pattern, name)), "")


def languages_of(model: str) -> tuple[str, ...]:
    """The languages that the configuration of a checkpoint names, without loading it; () where it cannot be read."""
    try:
        folder = _WEIGHTS.here(model) or Path(model)
        named = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("languages")
    except (OSError, ValueError, AttributeError):
        return ()
    return tuple(one for one in named if isinstance(one, str)) if isinstance(named, list) else ()
