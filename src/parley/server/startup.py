"""What the server prints as it starts: engines loading, where it listens, how to talk to it. All on stderr.

Laws: colours and a spinner only on a terminal that wants them (`NO_COLOR` and pipes are respected by `rich`); no secret is shown.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.status import Status

from parley import __version__
from parley.config import Config
from parley.engines.ports import Stage
from parley.runtime.engines import EngineReport, LoadedEngines
from parley.runtime.pipeline import LoadedPipeline

EVERYWHERE = ("0.0.0.0", "::", "")


class Startup:
    """One start. `warn`, `loading` around the engines' reports, `announce` once connections are taken, `farewell` at the end."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._console = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)
        self._pending: dict[tuple[Stage[Any], str], EngineReport] = {}
        self._status: Status | None = None

    def warn(self, *further: str) -> None:
        """Print the warnings of the configuration, and `further` ones that are not empty."""
        for warning in filter(None, (*self._config.warnings, *further)):
            self._explain(f"[yellow]{escape(warning)}[/]", indent=0)

    @contextmanager
    def loading(self) -> Iterator[None]:
        """While engines are opened: a terminal shows which of them are still waited for."""
        self._console.print(f"Parley {__version__} is loading its engines.")
        if not self._console.is_terminal:
            yield
            return
        with self._console.status("loading") as self._status:
            yield
        self._status = None

    def report(self, report: EngineReport) -> None:
        """For `LoadedEngines.open_all`."""
        key = (report.stage, report.name)
        match report.state:
            case "opening":
                self._pending[key] = report
            case "ready":
                self._pending.pop(key, None)
                self._console.print(
                    f"  [green]ready[/]   {report.stage.name:<10} {escape(report.name)}  [dim]{report.seconds:.1f} s[/]"
                )
                if report.message:
                    self._explain(f"[yellow]{escape(report.message)}[/]")
            case "failed":
                self._pending.pop(key, None)
                self._explain(
                    f"[red]failed[/]  {report.stage.name:<10} {escape(report.name)}: {escape(report.message)}", indent=2
                )
                if report.remedy:
                    self._explain(escape(report.remedy))
        if self._status is not None:
            self._status.update("loading " + ", ".join(escape(f"{stage} {name}") for stage, name in self._pending))

    def _explain(self, text: str, indent: int = 10) -> None:
        """A sentence or more: on a terminal broken between words, in a log one line."""
        if self._console.is_terminal:
            self._console.print(Padding.indent(text, indent), soft_wrap=False)
        else:
            self._console.print(" " * indent + text)

    def reasons(self, engines: LoadedEngines) -> str:
        """Why the default pipeline is not served."""
        failures = engines.failures[self._config.default_pipeline]
        return " ".join(f"{failure.stage} {failure.name}: {failure.message}" for failure in failures)

    def announce(self, listener: socket.socket, engines: LoadedEngines, *, key_required: bool) -> None:
        """Where the server listens, what it serves, how to talk to it."""
        say = self._console.print
        url = self._url(listener)
        say(f"\nParley listens on [bold]{url}[/]" + self._reach(key_required))
        for name, pipeline in engines.pipelines.items():
            default = " [dim](default)[/]" if name == self._config.default_pipeline else ""
            say(f"  [bold]{escape(name)}[/]{default}  {escape(_chain(pipeline))}")
        for name in engines.failures:
            say(f"  [red]{escape(name)} is not served: an engine could not be loaded, see above[/]")
        if self._config.telephony.audiosocket is not None:
            host, port = self._config.telephony.audiosocket
            say(f"\nAsterisk's calls (AudioSocket) come to [bold]{escape(host)}:{port}[/].")
        if self._config.server.text_api:
            say(
                "Chat completions and responses are handed on to these language models, and use their tokens (server.text_api)."
            )
        key = "KEY" if key_required else "none"
        say(f"\nOpen [bold]{escape(self._config.server.public_url) or url}[/] in a browser and talk.")
        say("Or talk to it with any OpenAI Realtime client, such as openai for Python:")
        say(f'  client = openai.OpenAI(base_url="{url}/v1", api_key="{key}")', markup=False)
        say(f'  with client.realtime.connect(model="{self._config.default_pipeline}") as connection: ...', markup=False)
        say(f"[dim]{self._about_secrets()}[/]")
        say("Ctrl-C stops it.\n")

    def _url(self, listener: socket.socket) -> str:
        server = self._config.server
        scheme = "http" if server.tls_cert is None else "https"
        host, port = server.host.strip("[]"), listener.getsockname()[1]
        if host in EVERYWHERE:
            host = "127.0.0.1"
        return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"

    def _reach(self, key_required: bool) -> str:
        if self._config.server.host in EVERYWHERE:
            return " and this machine's other addresses" + ("" if key_required else " [red](no key is required)[/]")
        return ""

    def _about_secrets(self) -> str:
        server = self._config.server
        if server.client_secret_single_use:
            return "Client secrets open one session each, and end with this process (server.client_secret_single_use)."
        if server.secret_key:
            return "Client secrets are encrypted with server.secret_key."
        return "Client secrets are valid until this process ends. To keep them valid longer, set server.secret_key (PARLEY_SECRET_KEY)."

    def farewell(self) -> None:
        self._console.print("Parley has stopped.")


class QuietStartup(Startup):
    """A start that nobody watches: it prints what the engines want said, and no progress."""

    @contextmanager
    def loading(self) -> Iterator[None]:
        yield

    def report(self, report: EngineReport) -> None:
        if report.state == "ready" and report.message:
            self._explain(f"[dim]{escape(report.message)}[/]", indent=0)

    def reasons(self, engines: LoadedEngines) -> str:
        failures = engines.failures[self._config.default_pipeline]
        return " ".join(f"{one.stage} {one.name}: {one.message} {one.remedy}".strip() for one in failures)


def _chain(pipeline: LoadedPipeline) -> str:
    return " > ".join(engine.info.name for stage, engine in pipeline.engines.items() if stage.summary)
