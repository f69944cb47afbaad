"""What the model raises, as errors of the requests that it fails.

Laws: an `EngineError` stays what it is. Memory that has run out has a code of its own, because it has a remedy of its own, and the model
still works for smaller requests.
"""

from __future__ import annotations

from parley.engines.ports import EngineError


def error_of(error: BaseException, model: str) -> EngineError:
    """The error of a request whose call of the model raised `error`."""
    if isinstance(error, EngineError):
        return error
    if is_out_of_memory(error):
        return EngineError(
            f"{model} ran out of memory.",
            "Set a lower `sessions`, `batch` or `context_s` for it, or leave more of the GPU's memory free.",
            code="out_of_memory",
        )
    what = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
    return EngineError(f"{model} failed ({what}).", "The log has the traceback.", code="engine_error")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out: of the CPU, or of a device (`torch.OutOfMemoryError`, told by its name, because torch is not loaded here)."""
    return isinstance(error, MemoryError) or any(one.__name__ == "OutOfMemoryError" for one in type(error).__mro__)
