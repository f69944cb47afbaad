"""Opens a graph on ONNX Runtime as every engine here runs one: on the CPU, on threads that do not spin between calls."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from parley.engines.ports import EngineUnavailable


def session_options(threads: int = 1) -> Any:
    """`onnxruntime.SessionOptions` with `threads` for one call. Raises `EngineUnavailable` (`missing_package`) without the library."""
    try:
        import onnxruntime
    except ImportError as error:
        raise EngineUnavailable(
            f"ONNX Runtime cannot be imported: {error}.",
            code="missing_package",
            remedy="Install it: pip install onnxruntime",
        ) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    options.log_severity_level = 3
    return options


def open_session(graph: bytes | Path, threads: int = 1) -> Any:
    """An `onnxruntime.InferenceSession` of a graph, or of its file, with `threads` for one call. Blocks.

    Raises `EngineUnavailable` (`missing_package`) without the library, and whatever the library raises for a graph that it cannot load.
    """
    options = session_options(threads)
    import onnxruntime

    loadable = graph if isinstance(graph, bytes) else str(graph)
    return onnxruntime.InferenceSession(loadable, options, providers=["CPUExecutionProvider"])
