"""What the server prints as it starts: engines loading, where it listens, how to talk to it. All on stderr.

Laws: a terminal shows one line while engines load, then one block that begins with the address; a log has a line for each engine besides.
Colours only where they are wanted (`NO_COLOR` and pipes are respected by `rich`); no secret is shown. A failure of the pipeline that must
be served is not printed here: it ends the start, and the program that started the server reports it.
"""

from __future__ import annotations

import socket
import threading
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.status import Status
from rich.table import Table

from parley import __version__
from parley.config import Config
from parley.engines.ports import LLM, MT, SPEECH, STT, TTS, VC, EngineInfo, EngineSpec, Stage
from parley.runtime.engine_opening import EngineReport
from parley.runtime.engines import LoadedEngines
from parley.runtime.pipeline import LoadedPipeline
from parley.server.access.access import Access
from parley.server.access.origins import OriginRule
from parley.server.address_code import address_code
from parley.server.reach import HTTPS, Place, how_to_admit, own_url, places

PARTS: Final[tuple[tuple[Stage[Any], str], ...]] = (
    (STT, "hears"),
    (SPEECH, "talks"),
    (LLM, "answers"),
    (TTS, "speaks"),
    (VC, "voice"),
)
"""What a person wants to know of a pipeline. A translator is named where it has something to say."""

LABEL: Final = 10
"""Characters of the labels of the block."""


class Startup:
    """One start. `warn`, `loading` around the engines' reports, `announce` once connections are taken, `farewell` at the end.

    `open_page`: show the page in this machine's browser, too.
    """

    def __init__(self, config: Config, *, open_page: bool = False) -> None:
        self._config = config
        self._open_page = open_page
        self._console = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)
        self._reports: dict[tuple[Stage[Any], str], EngineReport] = {}
        self._status: Status | None = None

    def warn(self, *further: str) -> None:
        """Print the warnings of the configuration, and `further` ones that are not empty."""
        for warning in filter(None, (*self._config.warnings, *further)):
            self._explain(f"[yellow]{escape(warning)}[/]", indent=0)

    @contextmanager
    def loading(self) -> Iterator[None]:
        """While engines are opened: a terminal shows which of them are still waited for."""
        if not self._console.is_terminal:
            self._console.print(f"Parley {__version__} is loading its engines.")
            yield
            return
        with self._console.status(f"Parley {__version__} is loading its engines") as self._status:
            yield
        self._status = None

    def report(self, report: EngineReport) -> None:
        """For `LoadedEngines.open_all`."""
        self._reports[report.stage, report.name] = report
        if not (self._console.is_terminal or self._is_only_measuring(report)):
            self._log(report)
        if self._status is not None:
            waited = [one for one in self._reports.values() if one.state == "opening"]
            names = ", ".join(escape(f"{one.stage} {one.name}") for one in waited if not self._is_only_measuring(one))
            self._status.update(f"Parley {__version__} is loading {names or 'its engines'}")

    def _log(self, report: EngineReport) -> None:
        name = f"{report.stage.name:<10} {escape(report.name)}"
        if report.state == "ready":
            self._console.print(f"  [green]ready[/]   {name}  [dim]{report.seconds:.1f} s[/]")
        elif report.state == "failed" and not self._is_required(report):
            self._failed(report)

    def _failed(self, report: EngineReport) -> None:
        self._explain(
            f"[red]failed[/]  {report.stage.name:<10} {escape(report.name)}: {escape(report.message)}", indent=2
        )
        if report.remedy:
            self._explain(escape(report.remedy))

    def _is_required(self, report: EngineReport) -> bool:
        return self._config.default_pipeline in report.pipelines

    def _is_only_measuring(self, report: EngineReport) -> bool:
        """Whether it is an engine of the pipeline for benchmarks, which nobody chose."""
        return report.pipelines == ("bench",) and not self._is_required(report) and report.state != "failed"

    def _explain(self, text: str, indent: int = LABEL + 2) -> None:
        """A sentence or more: on a terminal broken between words, in a log one line."""
        if self._console.is_terminal:
            self._console.print(Padding.indent(text, indent), soft_wrap=False)
        else:
            self._console.print(" " * indent + text)

    def announce(self, listener: socket.socket, engines: LoadedEngines, access: Access, origins: OriginRule) -> None:
        """The address first, then what hears, answers and speaks there, how other machines and other programs reach it."""
        port = listener.getsockname()[1]
        url = own_url(self._config.server, port)
        page = self._config.server.public_url or url
        reached = places(self._config.server, origins, port)
        self._show_code(reached)
        self._console.print(f"\nParley listens on [bold]{url}[/]")
        self._say("open", f"[bold]{escape(page)}[/] in a browser, and talk")
        for name, pipeline in engines.pipelines.items():
            if name == self._config.default_pipeline:
                self._tell_parts(pipeline)
        self._tell_other_pipelines(engines)
        self._tell_reach(reached, key_required=not access.open)
        self._tell_links()
        key = "none" if access.open else "KEY"
        client = f'openai.OpenAI(base_url="{url}/v1", api_key="{key}")'
        self._say("programs", f"{escape(client)}, model {escape(repr(self._config.default_pipeline))}")
        self._say("", f"[dim]{self._about_secrets()}[/]")
        self._console.print("Ctrl-C stops it.\n")
        if self._open_page:  # a browser may take its time
            threading.Thread(target=self._show_page, args=(page,), daemon=True).start()

    def _show_page(self, url: str) -> None:
        try:
            shown = webbrowser.open(url)
        except (webbrowser.Error, OSError):
            shown = False
        if not shown:
            self._console.print(f"[yellow]No browser was found on this machine: open {escape(url)} yourself.[/]")

    def _say(self, label: str, text: str) -> None:
        """A line of the block; on a terminal broken between words, under itself."""
        if not self._console.is_terminal:
            self._console.print(f"  {label:<{LABEL}} {text}")
            return
        line = Table.grid(padding=(0, 1))
        line.add_column(width=LABEL, style="cyan", no_wrap=True)
        line.add_column(overflow="fold")
        line.add_row(label, text)
        self._console.print(Padding.indent(line, 2), soft_wrap=False)

    def _tell_parts(self, pipeline: LoadedPipeline) -> None:
        for stage, label in PARTS:
            engine = pipeline.engines.find(stage)
            if engine is None:
                continue
            report = self._report_of(stage, pipeline.name)
            colour = "yellow" if report is not None and report.makeshift else "default"
            said = (
                report.message
                if report is not None and report.message
                else _described(engine.info, pipeline.config.engines.get(stage))
            )
            self._say(label, f"[{colour}]{escape(said)}[/]")
        translator = self._report_of(MT, pipeline.name)
        if translator is not None and translator.message:
            self._say("translates", escape(translator.message))

    def _report_of(self, stage: Stage[Any], pipeline: str) -> EngineReport | None:
        return next((one for one in self._reports.values() if one.stage is stage and pipeline in one.pipelines), None)

    def _tell_other_pipelines(self, engines: LoadedEngines) -> None:
        default = self._config.default_pipeline
        chosen = {name: one for name, one in engines.pipelines.items() if name not in (default, "bench")}
        for name, pipeline in chosen.items():
            self._say("pipeline", f"[bold]{escape(name)}[/]: {escape(_chain(pipeline))}")
        if "bench" in engines.pipelines and default != "bench":
            self._say("also", "[dim]bench, a pipeline without models, for measuring[/]")
        for name, failures in engines.failures.items():
            if name == "bench" and not failures:
                continue
            self._say("pipeline", f"[red]{escape(name)} is not served: an engine of it could not be loaded[/]")
            if self._console.is_terminal:
                for failure in failures:
                    self._failed(failure)

    def _tell_reach(self, reached: list[Place], *, key_required: bool) -> None:
        """What people at other machines open, and what is in their way."""
        for place in reached:
            said = f"[bold]{escape(place.url)}[/]"
            self._say("elsewhere", said if place.admitted else f"{said} [yellow](its page is refused to browsers)[/]")
        if not reached:
            return
        admitted = [place for place in reached if place.admitted]
        if not key_required:
            who = (
                "Browsers elsewhere may talk, too."
                if admitted
                else "Programs elsewhere may talk; browsers elsewhere may not."
            )
            self._say("", f"[red]No key is required.[/] {who}")
        if not admitted:
            self._say("", escape(how_to_admit(reached[0], key_required=key_required)))
        elif not any(place.microphone for place in admitted):
            self._say("", f"[yellow]Phones need https for the microphone[/]: set server.tls_cert and tls_key; {HTTPS}.")

    def _show_code(self, reached: list[Place]) -> None:
        """The address for a phone's camera, above the block, on a terminal that is wide enough and has colours: cameras look for dark on
        light."""
        admitted = [place for place in reached if place.admitted]
        coloured = not self._console.no_color and self._console.color_system is not None
        if not (admitted and self._console.is_terminal and coloured):
            return
        place = next((place for place in admitted if place.microphone), admitted[0])
        code = address_code(place.url)
        indent = LABEL + 3
        if len(code.plain.partition("\n")[0]) + indent <= self._console.width:
            self._console.print(Padding.indent(code, indent), soft_wrap=False)
            self._console.print(" " * indent + f"for a phone's camera: {escape(place.url)}")

    def _tell_links(self) -> None:
        if self._config.telephony.audiosocket is not None:
            host, port = self._config.telephony.audiosocket
            self._say("Asterisk", f"calls (AudioSocket) come to [bold]{escape(host)}:{port}[/]")
        if self._config.server.text_api:
            self._say(
                "text",
                "Chat completions and responses are handed on to these language models, and use their tokens (server.text_api).",
            )

    def _about_secrets(self) -> str:
        server = self._config.server
        if server.client_secret_single_use:
            return "Client secrets open one session each, and end with this process (server.client_secret_single_use)."
        if server.secret_key:
            return "Client secrets are encrypted with server.secret_key."
        return "Client secrets are valid until this process ends. To keep them valid longer, set server.secret_key (PARLEY_SECRET_KEY)."

    def farewell(self) -> None:
        self._console.print("Parley has stopped.")


def _described(info: EngineInfo, configured: EngineSpec | None) -> str:
    """An engine that has nothing to say: its name, its model as it says itself or as it is `configured`, and few languages."""
    few = f" ({', '.join(info.languages)})" if 0 < len(info.languages) <= 3 else ""
    model = info.model or (configured.model if configured is not None else "")
    return f"{info.name}{f':{model}' if model and model not in info.name else ''}{few}"


def _chain(pipeline: LoadedPipeline) -> str:
    return " > ".join(engine.info.name for stage, engine in pipeline.engines.items() if stage.summary)
