"""Fetches the models that engines need before they open, if the user agrees.

Laws:
- `models.pull` decides: `ask` puts one question for all of them on a terminal, and fetches nothing where there is none; `always` fetches;
  `never` does not. Where nothing is fetched the one command that does it is printed, and the engines say what they lack.
- A licence that restricts use is accepted by name with `parley models pull NAME --accept`, never here.
- A download that is interrupted leaves nothing that an engine could find, and goes on where it stopped the next time.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from parley.invocation import command
from parley.models import store
from parley.models.catalogue import ModelEntry, ModelError, find, megabytes
from parley.models.hub_repository import PREFIX, HubFacts, HubRepository

if TYPE_CHECKING:
    from parley.config import Config
    from parley.engines.ports import EngineSpec, Stage


@dataclass(frozen=True, slots=True)
class Wanted:
    """A model to fetch: of the catalogue, or a repository of the Hub, of which `facts` are known once the Hub was asked."""

    model: ModelEntry | HubRepository
    facts: HubFacts | None = None

    @property
    def name(self) -> str:
        return self.model.name

    @property
    def use(self) -> str:
        return self.model.use if isinstance(self.model, ModelEntry) else ""

    @property
    def size(self) -> int:
        """Bytes; 0 where that is not known."""
        if isinstance(self.model, ModelEntry):
            return self.model.size
        return self.facts.size if self.facts else 0

    @property
    def needs_acceptance(self) -> bool:
        if isinstance(self.model, ModelEntry):
            return self.model.accept
        return self.facts is not None and self.facts.restricts

    def folder(self) -> Path | None:
        """Where it is; None where it is not on this machine."""
        if isinstance(self.model, ModelEntry):
            return store.installed(self.model.name)
        return self.model.cached()

    def described(self, mirror: str) -> str:
        """Name, size, licence and the source that is asked first, for a person."""
        if isinstance(self.model, ModelEntry):
            licence, source = self.model.licence, mirror or str(self.model.sources[0])
        else:
            licence, source = (self.facts.licence if self.facts else "") or "licence not named", "the Hub"
        size = megabytes(self.size) if self.size else "size not known"
        return f"{self.name}  {size}, {licence}, from {source}"


def wanted_model(name: str) -> Wanted:
    """The model of this name. Raises `ModelError`."""
    if name.startswith(PREFIX):
        return Wanted(HubRepository(name.removeprefix(PREFIX)))
    return Wanted(find(name))


def provide_models(config: Config, engines: Iterable[tuple[Stage[Any], EngineSpec]]) -> None:
    """Fetch the models that these engines need and lack, or say how. A download that fails is reported, and the next one tried."""
    wanted = [wanted_model(name) for name in _missing(engines)]
    if not wanted:
        return
    if config.models.pull == "always" or _can_ask(config):
        wanted = [_asked(one) for one in wanted]
    restricted = [one for one in wanted if one.needs_acceptance]
    free = [one for one in wanted if not one.needs_acceptance]
    for one in restricted:
        click.echo(
            f"{one.described(config.models.mirror)}: its licence restricts use. Read it, and if you may use it:",
            err=True,
        )
        click.echo(f"  {command('models', 'pull', one.name, '--accept')}", err=True)
    if not free:
        return
    if not _agreed(config, free):
        click.echo("Models that are not on this machine can be fetched with:", err=True)
        click.echo(f"  {command('models', 'pull', *(one.name for one in free))}", err=True)
        return
    for one in free:
        try:
            fetch(one, mirror=config.models.mirror)
        except ModelError as error:
            # The engine says what it lacks; other engines, and other pipelines, do without.
            click.echo(f"parley: {error.message}\n  {error.remedy}", err=True)


def _missing(engines: Iterable[tuple[Stage[Any], EngineSpec]]) -> list[str]:
    """What the engines lack, each name once. An engine that cannot be made says so when it is opened."""
    from parley.engines import registry
    from parley.engines.ports import EngineUnavailable, NeedsModels

    names: dict[str, None] = {}
    for stage, spec in engines:
        try:
            engine = registry.create(stage, spec)
        except EngineUnavailable:
            continue
        if isinstance(engine, NeedsModels):
            names |= dict.fromkeys(engine.missing_models())
    return list(names)


def _agreed(config: Config, wanted: list[Wanted]) -> bool:
    if config.models.pull == "always":
        return True
    if not _can_ask(config):
        return False
    click.echo("These models are not on this machine:", err=True)
    for one in wanted:
        click.echo(f"  {one.described(config.models.mirror)}", err=True)
    return click.confirm("Fetch them now?" if len(wanted) > 1 else "Fetch it now?", default=True, err=True)


def _can_ask(config: Config) -> bool:
    return config.models.pull == "ask" and sys.stdin.isatty() and sys.stderr.isatty()


def _asked(one: Wanted) -> Wanted:
    """With what the Hub says of a repository, where it answers."""
    if isinstance(one.model, ModelEntry):
        return one
    try:
        return Wanted(one.model, one.model.facts())
    except ModelError:
        return one


def fetch(wanted: Wanted, *, mirror: str = "", accept: bool = False) -> Path:
    """The folder of the model, fetched with a bar on standard error. Raises `ModelError`."""
    from parley.models.pull import pull

    with _progress(wanted) as (on_source, on_bytes):
        if isinstance(wanted.model, HubRepository):
            on_source("the Hub")
            return wanted.model.pull(accept, on_bytes)
        return pull(wanted.model, accept=accept, mirror=mirror, on_source=on_source, on_bytes=on_bytes)


@contextmanager
def _progress(wanted: Wanted) -> Iterator[tuple[Callable[[str], None], Callable[[int], None]]]:
    """A bar on standard error; yields what is told of sources, and of bytes that have come."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    console = Console(stderr=True, emoji=False)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    total = wanted.size or None
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(wanted.name, total=total)

        def on_source(source: str) -> None:
            progress.reset(task, total=total, description=f"{wanted.name} from {source}")
            if not console.is_terminal:
                size = f"{megabytes(wanted.size)} " if wanted.size else ""
                console.print(f"{wanted.name}: {size}from {source}", soft_wrap=True)

        yield on_source, lambda count: progress.advance(task, count)
