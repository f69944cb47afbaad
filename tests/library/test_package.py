"""What `import parley` costs and offers."""

from __future__ import annotations

import subprocess
import sys

import pytest

import parley
import parley.library

LOADED = """
import sys, parley
heavy = {"numpy", "soxr", "asyncio", "pydantic", "onnxruntime", "pocketsphinx", "click", "msgspec"}
print(sorted(heavy & set(sys.modules)))
parley.Pipeline
print(sorted({"onnxruntime", "pocketsphinx", "faster_whisper", "av", "openai", "espeakng_loader"} & set(sys.modules)))
"""


def test_importing_the_package_loads_nothing_heavy_and_naming_a_pipeline_loads_no_engine() -> None:
    done = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[]", "[]"]


def test_the_package_has_every_name_of_the_library_and_no_other() -> None:
    assert set(parley.library.__all__) <= set(dir(parley))
    for name in parley.library.__all__:
        assert getattr(parley, name) is getattr(parley.library, name)
    with pytest.raises(AttributeError, match="no attribute 'Pipelines'"):
        parley.Pipelines  # noqa: B018
