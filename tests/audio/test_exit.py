"""A program that ends while resamplers are alive leaves nothing on stderr."""

from __future__ import annotations

import subprocess
import sys

import pytest

STREAM = "import numpy as np; from parley.audio.resampling import Resampler; r = Resampler(24000, 16000); "


@pytest.mark.parametrize(
    "holder",
    [
        "import gc\nclass Holder: pass\nholder = Holder(); holder.ring = holder; holder.stream = r; gc.freeze()",
        "import threading, time\nthreading.Thread(target=lambda stream=r: time.sleep(60), daemon=True).start()",
        "raise KeyboardInterrupt",
    ],
    ids=["an object that is never collected", "a daemon thread", "an interrupted program"],
)
def test_a_program_that_ends_reports_no_leak(holder: str) -> None:
    code = f"{STREAM}r.push(np.zeros(2400, dtype=np.float32))\n{holder}"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert "leaked" not in ended.stderr
