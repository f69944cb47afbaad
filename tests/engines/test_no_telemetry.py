"""The libraries of the engines report nothing to their makers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

OPEN_ONE = """
import asyncio
from parley.engines.vad.silero import create

async def main():
    engine = create("", {})
    await engine.open()
    await engine.close()

asyncio.run(main())
"""


def test_onnx_runtime_makes_no_identifier_of_this_machine(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("ORT_", "XDG_"))}
    subprocess.run([sys.executable, "-c", OPEN_ONE], check=True, env=environment | {"HOME": str(tmp_path)}, timeout=60)
    assert list(tmp_path.rglob("*")) == []
