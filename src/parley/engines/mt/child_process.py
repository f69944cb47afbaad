"""A child process, or a pipeline of several, that answers texts: one line of bytes up to a NUL in, one out. Blocking.

Laws:
- A child that has ended, or does not answer within the limit, raises `ChildLost` and is gone: all its processes are killed, since late
  output could not be told from the answer to the next text.
- An answer counts only if every process is there when it has come: behind one that ended, the next ones may finish what they were given
  as if it were a text. A process that ends closes its output first, and the end of an output is what the next one finishes at; so that is
  what is looked at. To see it, this process keeps each output open.
- The processes end when their standard input does, so they never outlive the server. They are in a session of their own: Ctrl-C in the
  server's terminal is the server's alone.
- Not for two threads at once; `kill()` is for any thread at any time.
"""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import threading
from collections.abc import Mapping, Sequence
from typing import Final

from parley.engines.ports import EngineError

MAX_ANSWER: Final = 1 << 20
"""Bytes. An answer to at most some hundred characters; what exceeds it is running in circles."""

END_LIMIT_S: Final = 2.0


class ChildLost(EngineError):
    """The child process ended, or was ended because it did not answer."""

    def __init__(self, title: str, how: str) -> None:
        super().__init__(
            f"A process of {title} {how}; it is started again.",
            "If it happens again, look at the server's standard error and at the free memory.",
            code="translator_crashed",
        )


class ChildPipeline:
    """The processes of `stages`, each one's output the next one's input. Started when it is made: raises `OSError`."""

    def __init__(
        self, title: str, stages: Sequence[Sequence[str]], environment: Mapping[str, str] | None = None
    ) -> None:
        self._title = title
        self._processes: list[subprocess.Popen[bytes]] = []
        own = {**os.environ, **(environment or {})}
        try:
            for stage in stages:
                before = self._processes[-1].stdout if self._processes else None
                self._processes.append(
                    subprocess.Popen(
                        list(stage),
                        stdin=before or subprocess.PIPE,
                        stdout=subprocess.PIPE,
                        env=own,
                        start_new_session=True,
                    )
                )
        except BaseException:
            self.close()
            raise

    @property
    def pids(self) -> tuple[int, ...]:
        """Process ids, in the order of the stages."""
        return tuple(process.pid for process in self._processes)

    def ask(self, text: str, limit_s: float) -> str:
        """The answer to `text`, which holds no NUL. Raises `ChildLost`."""
        late = threading.Event()

        def give_up() -> None:
            late.set()
            self.kill()

        timer = threading.Timer(limit_s, give_up)
        timer.daemon = True
        timer.start()
        try:
            return self._exchange(text.encode() + b"\0").decode(errors="replace")
        except (OSError, ValueError, EOFError) as error:
            self.close()
            how = f"did not answer within {limit_s:g} s and was ended" if late.is_set() else "ended unexpectedly"
            raise ChildLost(self._title, how) from error
        finally:
            timer.cancel()
            timer.join()

    def _exchange(self, request: bytes) -> bytes:
        requests, answers = self._processes[0].stdin, self._processes[-1].stdout
        assert requests is not None
        assert answers is not None
        requests.write(request)
        requests.flush()
        answer = b""
        while not answer.endswith(b"\0"):
            block = os.read(answers.fileno(), 65_536)
            if not block or len(answer) > MAX_ANSWER:
                raise EOFError
            answer += block
        if any(process.poll() is not None for process in self._processes) or self._interrupted():
            raise EOFError
        return answer[:-1]

    def _interrupted(self) -> bool:
        """Whether the output of a process that another one reads has ended."""
        if not hasattr(select, "poll"):  # Windows
            return False
        outputs = select.poll()
        for process in self._processes[:-1]:
            assert process.stdout is not None
            outputs.register(process.stdout, 0)  # an end is always told
        return bool(outputs.poll(0))

    def kill(self) -> None:
        """End the processes now. Does not wait for them: `close()` does."""
        for process in self._processes:
            with contextlib.suppress(OSError):
                process.kill()

    def close(self) -> None:
        """End the processes and wait for them; idempotent."""
        self.kill()
        for process in self._processes:
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(END_LIMIT_S)
