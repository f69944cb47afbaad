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


FORGOTTEN = """
import parley
pipeline = parley.Pipeline(llm=lambda messages: "Hi.")
session = parley.VoiceSession(pipeline, sample_rate=16_000)
print(len(session.say("hello")))
"""


@pytest.mark.slow
def test_a_pipeline_that_is_not_closed_ends_silently_with_the_program() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", FORGOTTEN],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    # `-X dev` also has asyncio tell of steps over 100 ms, such as the loading of a model on a busy machine: that is no leak.
    lines = [line for line in done.stderr.splitlines() if not line.startswith("Executing <")]
    assert (done.returncode, done.stdout.strip(), lines) == (0, "1", [])


def test_the_package_has_every_name_of_the_library_and_no_other() -> None:
    assert set(parley.library.__all__) <= set(dir(parley))
    for name in parley.library.__all__:
        assert getattr(parley, name) is getattr(parley.library, name)
    with pytest.raises(AttributeError, match="no attribute 'Pipelines'"):
        parley.Pipelines  # noqa: B018
