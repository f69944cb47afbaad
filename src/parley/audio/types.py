"""The array types that audio travels in. All audio is mono: shape `[n]`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]
"""float32 in [-1, 1]."""

Int16 = NDArray[np.int16]
"""Linear 16-bit PCM."""

Codes = NDArray[np.uint8]
"""One G.711 code per sample."""
