"""The models behind one port for each stage.

ONNX Runtime 1.32 reports its use to its maker unless this variable forbids it. Parley reports nothing to anybody, so it is set before any
engine imports that library; a value that is set already stays.
"""

from __future__ import annotations

import os

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
