"""The client of the documentation, run as it stands there."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest

from parley.audio.pcm import to_bytes
from tests.engines.converters import voice

PAGE = Path(__file__).resolve().parents[2] / "docs/voice-conversion.md"


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="there are no Unix sockets")
def test_the_documented_client_converts_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    (client,) = re.findall(r"```python\n(import json, socket.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    spoken, converted = tmp_path / "spoken.wav", tmp_path / "converted.wav"
    with wave.open(str(spoken), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(to_bytes(voice(1.0)[:16_000]))
    subprocess.run([sys.executable, "-c", client, spoken, converted], check=True, timeout=60)
    with wave.open(str(converted), "rb") as file:
        assert file.getframerate() == 16_000
        made = np.frombuffer(file.readframes(file.getnframes()), np.int16)
    assert 16_000 + 320 <= len(made) <= 16_000 + 450
    assert np.abs(made).max() > 5_000
