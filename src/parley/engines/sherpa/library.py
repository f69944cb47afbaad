"""The sherpa-onnx package, imported when it is needed."""

from __future__ import annotations

from typing import Any

from parley.engines.ports import EngineUnavailable
from parley.invocation import install


def load() -> Any:
    """The package. Raises `EngineUnavailable` (`missing_package`)."""
    try:
        import sherpa_onnx
    except (ImportError, OSError) as error:
        raise EngineUnavailable(
            f"sherpa-onnx cannot be imported: {error}.",
            f"Install it: {install('sherpa')}",
            code="missing_package",
        ) from error
    return sherpa_onnx
