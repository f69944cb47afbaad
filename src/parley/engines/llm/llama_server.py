"""llama.cpp in this process, through `xllamacpp`: its settings, its loading, one blocking call for one reply.

Laws:
- Everything here blocks, and is called on threads. `xllamacpp` is imported at the first call.
- What makes llama.cpp abort (a damaged file, a setting, a processor it was not built for) ends a child, not this process: `try_out` loads
  the model there first, and asks for one token.
- llama.cpp's own HTTP server, which the library always starts, is out of reach: on a socket in a private folder, behind a random key.

Run as a module, it is that child: `python -m parley.engines.llm.llama_server` with the settings as JSON on stdin.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import importlib.util
import json
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from parley.engines.ports import EngineRefused, EngineUnavailable
from parley.invocation import install

LOAD_LIMIT_S: Final = 60.0
"""For starting a child and one token. A damaged file can make llama.cpp load for ever."""

SLOWEST_BYTES_PER_S: Final = 20e6
"""Reading the file comes to that: from a slow disk."""

_QUIET: Final = -1
_ERRORS: Final = 2
"""Verbosity: nothing; errors and warnings."""

_MAX_SOCKET_PATH: Final = 100
_MAX_QUOTE_CHARS: Final = 300


@dataclass(frozen=True, slots=True)
class LlamaSettings:
    """How llama.cpp loads the model. `num_ctx` is the tokens of one conversation, of which `parallel` are answered at once;
    `gpu_layers` -1: as many as fit; `cache_mib` is memory for conversations that are not being answered."""

    path: str
    num_ctx: int
    parallel: int = 2
    threads: int = 1
    batch: int = 8
    gpu_layers: int = 0
    cache_mib: int = 256
    mmproj: str = ""
    template: str = ""


class LlamaServer:
    """The loaded model. Raises `EngineUnavailable` (`invalid_weights`) where it cannot be loaded."""

    def __init__(self, settings: LlamaSettings, verbosity: int = _QUIET) -> None:
        # Before libgomp is loaded, which reads it once: threads that spin while they wait for one another make each token 20 times
        # slower as soon as another process, or another engine, wants their processors.
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")
        import xllamacpp

        self._stopped = False
        self._folder = tempfile.TemporaryDirectory(prefix="parley-", ignore_cleanup_errors=True)
        try:
            self._server = xllamacpp.Server(self._parameters(xllamacpp.CommonParams(), settings, verbosity))
        except Exception as error:  # the library's own errors, which it does not document
            self._folder.cleanup()
            raise EngineUnavailable(
                f"llama.cpp cannot load {settings.path} ({_line(error)}).",
                "Fetch the file again; or free memory, or lower num_ctx and parallel in llm_options.",
                code="invalid_weights",
            ) from error

    def _parameters(self, params: Any, settings: LlamaSettings, verbosity: int) -> Any:
        params.model.path = settings.path
        params.mmproj.path = settings.mmproj
        params.chat_template = settings.template
        params.n_ctx = settings.num_ctx * settings.parallel
        params.n_parallel = settings.parallel
        params.n_batch = params.n_ubatch = settings.batch
        params.n_gpu_layers = settings.gpu_layers
        params.cache_ram_mib = settings.cache_mib
        params.verbosity = verbosity
        for pool in (params.cpuparams, params.cpuparams_batch):
            pool.n_threads = settings.threads
            pool.poll = 0  # threads that wait do not spin
        socket = os.path.join(self._folder.name, "llama.sock")
        if os.name == "posix" and len(socket) <= _MAX_SOCKET_PATH:
            params.hostnames = [socket]
        params.api_keys = [secrets.token_urlsafe(32)]
        params.n_threads_http = 1
        params.ui = params.endpoint_slots = False
        return params

    def complete(self, body: Mapping[str, object], on_chunk: Callable[[dict[str, Any]], bool]) -> None:
        """Compute one reply, and give each chunk of it; `on_chunk` returns True to stop. Raises `EngineRefused` for a request that
        the model's template or the library does not take."""

        def stop(chunk: dict[str, Any]) -> bool:
            return self._stopped or on_chunk(chunk)

        try:
            self._server.handle_chat_completions({**body, "stream": True, "return_progress": True}, stop)
        except (RuntimeError, ValueError) as error:
            raise EngineRefused(f"llama.cpp refuses the request: {_line(error)}.", code="invalid_request") from error

    def stop(self) -> None:
        """End all replies that are being computed, after the step they are at. Does not block."""
        self._stopped = True

    def close(self) -> None:
        """Free the model, once no reply is being computed; idempotent."""
        self._server = None
        self._folder.cleanup()


def check_package() -> None:
    """Raises `EngineUnavailable` (`missing_package`) where the library is not installed. Does not import it."""
    if importlib.util.find_spec("xllamacpp") is None:
        raise EngineUnavailable(
            "The engine llama needs the package xllamacpp.",
            f"Install it: {install('llama')}",
            code="missing_package",
        )


async def try_out(settings: LlamaSettings) -> None:
    """Load the model and ask for one token, in a child. Raises `EngineUnavailable` with llama.cpp's own words where that fails."""
    small = dataclasses.replace(settings, num_ctx=min(settings.num_ctx, 256), cache_mib=0)
    limit_s = LOAD_LIMIT_S + os.stat(settings.path).st_size / SLOWEST_BYTES_PER_S
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "parley.engines.llm.llama_server",
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, "GGML_NO_BACKTRACE": "1"},  # (which asks for a debugger)
    )
    try:
        async with asyncio.timeout(limit_s):
            _, errors = await child.communicate(json.dumps(dataclasses.asdict(small)).encode())
    except TimeoutError:
        raise EngineUnavailable(
            f"Loading {settings.path} took more than {limit_s:.0f} s.",
            "Fetch the file again; or use a smaller model, or a faster disk.",
            code="timeout",
        ) from None
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    status = child.returncode or 0
    if status == 0:
        return
    how = f"it died of signal {-status}" if status < 0 else "it failed"
    raise EngineUnavailable(
        f"llama.cpp cannot load {settings.path}: {how} when it was tried out. {_said(errors)}".strip(),
        "Fetch the file again; or use another model: this one may be damaged, or newer than the installed xllamacpp.",
        code="invalid_weights",
    )


def _said(errors: bytes) -> str:
    """The line in which the child says what is wrong: the first that reports an error."""
    lines = [" ".join(line.split()) for line in errors.decode("utf-8", "replace").splitlines()]
    telling = [line for line in lines if "error" in line.lower() or "GGML_ASSERT" in line or "invalid" in line.lower()]
    return (telling or [""])[0][:_MAX_QUOTE_CHARS]


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:_MAX_QUOTE_CHARS].rstrip(".") or type(error).__name__


def _child() -> int:
    """Load the model that stdin describes, and ask for one token; the exit status says whether it answers."""
    try:
        server = LlamaServer(LlamaSettings(**json.load(sys.stdin)), _ERRORS)
        failed: list[object] = []

        def on_chunk(chunk: dict[str, Any]) -> bool:
            if chunk.get("error"):
                failed.append(chunk)
            return False

        server.complete({"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1}, on_chunk)
    except (EngineUnavailable, EngineRefused) as error:
        sys.stderr.write(f"error: {error.message}\n")
        return 1
    if failed:
        sys.stderr.write(f"error: {failed[0]}\n")
        return 1
    with contextlib.suppress(OSError):
        server.close()
    return 0


if __name__ == "__main__":
    sys.exit(_child())
