"""What the built-in server prints while it loads: one line, and what the engines want the user to know.

Laws: all on stderr; on a terminal the line is redrawn in place until everything is loaded, elsewhere it is printed once, at the end.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.status import Status

from parley.config import Config
from parley.engines.ports import Stage
from parley.runtime.engine_opening import EngineReport
from parley.server.startup import Startup

KNOWN_AS: Final = {"stt": "recogniser", "llm": "language model", "tts": "voice", "mt": "translator"}
"""What users call these stages; others are called by their titles."""


class BriefStartup(Startup):
    """A `Startup` for a server that somebody waits for in order to talk."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self._terminal = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)
        self._waiting: list[str] = []
        self._loaded = 0
        self._usable = True
        """Whether all that the server must have was opened."""
        self._line: Status | None = None

    @contextmanager
    def loading(self) -> Iterator[None]:
        """A `Startup`'s."""
        began_s = time.monotonic()
        if self._terminal.is_terminal:
            with self._terminal.status("loading") as self._line:
                yield
            self._line = None
        else:
            yield
        if self._usable:
            self._terminal.print(f"Loaded in {time.monotonic() - began_s:.1f} s.")

    def report(self, report: EngineReport) -> None:
        """A `Startup`'s."""
        name = _known_as(report.stage)
        if report.state == "opening":
            self._waiting.append(name)
        elif name in self._waiting:
            self._waiting.remove(name)
            self._loaded += 1
        if report.state == "failed" and self._is_required(report):
            self._usable = False
            return  # the error that ends the start says it
        if report.state == "failed":
            self._explain_to_user(
                f"[red]The {name} ({escape(report.name)}) cannot be used: {escape(report.message)}[/]"
            )
            self._explain_to_user(escape(report.remedy))
        elif report.message:
            self._explain_to_user(f"[yellow]{escape(report.message)}[/]")
        if self._line is not None:
            all_of_them = self._loaded + len(self._waiting)
            self._line.update(f"loading, {self._loaded} of {all_of_them} ready; waiting for {', '.join(self._waiting)}")

    def _explain_to_user(self, text: str) -> None:
        if text:
            wraps = self._terminal.is_terminal
            self._terminal.print(Padding.indent(text, 0) if wraps else text, soft_wrap=not wraps)


def _known_as(stage: Stage[Any]) -> str:
    return KNOWN_AS.get(stage.name, stage.title)
