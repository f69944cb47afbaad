"""Loads a model in a child process first.

sherpa-onnx ends the whole process (`_Exit`) on a model that it cannot use: missing metadata, a vocabulary of the wrong length, an unknown
option. In a child, that is an error with the library's own words.

Laws:
- What was tried out successfully is not tried again in this process, as long as its files stay the same.
- The child gets the same recipe as the server and loads it with the same code; it also runs the model once.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from parley.engines.ports import EngineError, EngineUnavailable

LIMIT_S: Final = 180.0
"""A model of 600 MB is loaded within seconds; this allows for a cold disk on a busy machine."""

_WITHOUT_PROVIDER: Final = "fallback to cpu"
"""What the library writes where it goes on without the provider that it was given."""

_PASSED: Final[set[str]] = set()


async def try_out(
    function: str, recipe: Mapping[str, Any], model: str, *, key: Mapping[str, Any] | None = None
) -> None:
    """Call `function` (`module:name`) with `recipe` in a child process; `model` names it in messages.

    `key` names the files that the recipe's were made from, where they are made anew each time.

    Raises `EngineUnavailable` (`load_failed`) where the call raises, the child dies, or it takes longer than `LIMIT_S`.
    """
    passed = await asyncio.to_thread(_fingerprint, function, key or recipe)
    if passed in _PASSED:
        return
    command = (sys.executable, "-P", "-m", __name__, function, json.dumps(recipe))
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(LIMIT_S):
            _, output = await process.communicate()
    except TimeoutError as error:
        raise _failed(model, f"loading it takes longer than {LIMIT_S:g} s") from error
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    said = output.decode("utf-8", "replace")
    if process.returncode:
        raise _failed(model, _reason(said, process.returncode))
    if _WITHOUT_PROVIDER in said.lower():
        raise _failed(model, "this build of sherpa-onnx has not the provider that is asked for, and would use the CPU")
    _PASSED.add(passed)


def _reason(output: str, status: int) -> str:
    """The last line that the library wrote, without the place in its source."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    if not lines:
        return f"the library ended with status {status}"
    last = lines[-1]
    place, _, said = last.partition(" ")
    return (said if ".cc:" in place or ".h:" in place else last)[:300].rstrip(".")


def _failed(model: str, why: str) -> EngineUnavailable:
    return EngineUnavailable(
        f"{model} cannot be loaded: {why}.",
        "Download the model again; docs/sherpa.md names the files of each kind. Correct the options of the engine if they are at fault.",
        code="load_failed",
    )


def _fingerprint(function: str, recipe: Mapping[str, Any]) -> str:
    """The recipe, with size and time of each file that it names."""
    stats = []
    for text in _texts(recipe):
        with contextlib.suppress(OSError, ValueError):
            found = Path(text).stat()
            stats.append((text, found.st_size, found.st_mtime_ns))
    return json.dumps([function, recipe, stats], sort_keys=True)


def _texts(value: object) -> list[str]:
    if isinstance(value, str):
        return [value] if len(value) < 4096 else []
    if isinstance(value, Mapping):
        return [text for one in value.values() for text in _texts(one)]
    if isinstance(value, list | tuple):
        return [text for one in value for text in _texts(one)]
    return []


def main(function: str, recipe: str) -> int:
    module, _, name = function.partition(":")
    try:
        getattr(importlib.import_module(module), name)(**json.loads(recipe))
    except EngineError as error:
        sys.stderr.write(f"{error.message}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
