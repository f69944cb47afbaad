"""pytest's plug-in: `pytest --parley-engine stage.name[:model]` runs the contract suite on an installed engine.

`--parley-option key=value` (again and again) gives the engine's options; the environment variable `PARLEY_ENGINE_OPTIONS` holds further
ones, `key=value` separated by white space and quoted as in a shell, for what should not stand on a command line.
`--parley-report FILE` writes what was found as JSON (`contract_report`).

Every run of pytest in an environment with Parley imports this module: it imports nothing but pytest until an engine is named.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from parley.testing.contract_report import ContractReport

if TYPE_CHECKING:
    from typing import Any

    from parley.engines.ports import EngineSpec, Stage

OPTIONS = "PARLEY_ENGINE_OPTIONS"
INSTALLED = Path(__file__).parent / "contracts" / "installed.py"

pytest.register_assert_rewrite("parley.testing.contracts")


class NamedEngine(NamedTuple):
    stage: Stage[Any]
    spec: EngineSpec


_named: list[NamedEngine] = []


def named_engines() -> tuple[NamedEngine, ...]:
    """The engines of this run."""
    return tuple(_named)


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("parley", "Parley's contract suite for engines")
    group.addoption(
        "--parley-engine",
        action="append",
        default=[],
        metavar="STAGE.NAME[:MODEL]",
        help="run the contract suite of that stage on an installed engine; may be given several times",
    )
    group.addoption(
        "--parley-option",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help=f"an option of the engine; may be given several times. Further ones stand in the environment variable {OPTIONS}",
    )
    group.addoption(
        "--parley-report",
        metavar="FILE",
        type=Path,
        help="write what the contract suite found of each engine to a JSON file",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slow: takes more than a few seconds")
    report: Path | None = config.getoption("--parley-report")
    if report is not None:
        if not report.parent.is_dir():
            raise pytest.UsageError(f"--parley-report: there is no folder {report.parent}")
        config.pluginmanager.register(ContractReport(report.absolute()), "parley-report")
    names: list[str] = config.getoption("--parley-engine")
    given: list[str] = config.getoption("--parley-option")
    if not names:
        if given:
            raise pytest.UsageError("--parley-option needs an engine: --parley-engine STAGE.NAME")
        return
    options = _options([*shlex.split(os.environ.get(OPTIONS, "")), *given])
    _named[:] = [_engine(name, options) for name in names]
    if config.args_source is not pytest.Config.ArgsSource.ARGS:
        config.args.clear()
    if str(INSTALLED) not in config.args:
        config.args.append(str(INSTALLED))


def pytest_unconfigure() -> None:
    _named.clear()


def _options(pairs: Iterable[str]) -> dict[str, object]:
    options: dict[str, object] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not (key and equals):
            raise pytest.UsageError(f"an engine's option is KEY=VALUE, not {pair!r}")
        options[key] = value
    return options


def _engine(name: str, options: dict[str, object]) -> NamedEngine:
    from parley.engines.ports import EngineSpec, stages

    stage_name, _, engine = name.partition(".")
    known = {stage.name: stage for stage in stages()}
    if stage_name not in known or not engine:
        raise pytest.UsageError(
            f"--parley-engine takes STAGE.NAME[:MODEL], such as tts.espeak, not {name!r}; the stages are {', '.join(known)}"
        )
    return NamedEngine(known[stage_name], EngineSpec.parse(engine, options))
