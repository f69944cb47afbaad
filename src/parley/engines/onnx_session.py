"""Opens a graph on ONNX Runtime as every engine here runs one: on threads that do not spin between calls, on the CPU unless told otherwise.

Law: a graph runs on the device that was asked for, or it is not opened. The library itself would go over to the CPU with a warning.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from parley.engines.ports import EngineUnavailable

DEVICES: Final = ("cpu", "cuda", "auto")
"""Values of an engine's option `device`. `auto` is the first of `GPU_PROVIDERS` that the installed library has, else the CPU."""

GPU_PROVIDERS: Final = (
    "CUDAExecutionProvider",
    "MIGraphXExecutionProvider",
    "ROCMExecutionProvider",
    "DmlExecutionProvider",
)

_CPU: Final = "CPUExecutionProvider"
_INSTALL: Final = "Install it: pip install onnxruntime"


def session_options(threads: int = 1) -> Any:
    """`onnxruntime.SessionOptions` with `threads` for one call. Raises `EngineUnavailable` (`missing_package`) without the library."""
    onnxruntime = _library()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    options.log_severity_level = 3
    return options


def open_session(graph: bytes | Path, threads: int = 1, device: str = "cpu") -> Any:
    """An `onnxruntime.InferenceSession` of a graph, or of its file, with `threads` for one call, on one of `DEVICES`. Blocks.

    Raises `EngineUnavailable`: `missing_package` without the library, `missing_device` where it cannot run graphs on `device`; and
    whatever the library raises for a graph that it cannot load.
    """
    options = session_options(threads)
    provider = provider_of(device)
    providers = [provider] if provider == _CPU else [provider, _CPU]
    loadable = graph if isinstance(graph, bytes) else str(graph)
    session = _library().InferenceSession(loadable, options, providers=providers)
    if provider not in session.get_providers():
        raise EngineUnavailable(
            f"ONNX Runtime has {provider} and could not start it.",
            "Its log names the library or the driver that is missing. device = 'cpu' does without it.",
            code="missing_device",
        )
    return session


def provider_of(device: str) -> str:
    """The execution provider for one of `DEVICES`. Raises `EngineUnavailable` as `open_session()` does."""
    if device == "cpu":
        return _CPU
    available = _library().get_available_providers()
    wanted = GPU_PROVIDERS[:1] if device == "cuda" else GPU_PROVIDERS
    found = next((name for name in wanted if name in available), None)
    if found is None and device == "cuda":
        raise EngineUnavailable(
            f"device is 'cuda', and this ONNX Runtime runs graphs on {', '.join(available)} only.",
            "Install one with CUDA (pip uninstall onnxruntime, then pip install onnxruntime-gpu), or set device = 'cpu'.",
            code="missing_device",
        )
    return found or _CPU


def _library() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise EngineUnavailable(
            f"ONNX Runtime cannot be imported: {error}.", code="missing_package", remedy=_INSTALL
        ) from error
    return onnxruntime
