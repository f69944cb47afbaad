"""Measures, module by module of the core, how much of it the module's own test file covers.

The tests of `src/parley/core/**/NAME.py` are `tests/core/test_NAME.py`, and beside it `tests/core/test_NAME_ASPECT.py` where one file would
be too long. Names are unique in the core, whatever package a module is in; a file belongs to the longest name that fits, so that
`test_tool_checks.py` is not an aspect of a module `tool`. They run in one process for each module, and only the lines and branches of that
module are counted: it is covered by the tests that describe it, and not by accident. Other files in `tests/core` count for no module.

    scripts/module_coverage.py                    every module
    scripts/module_coverage.py playback turns     these two
    scripts/module_coverage.py --json             for a program

What does not count as missed is named in pyproject.toml, `tool.coverage`. Exit status: 0 every line and branch is covered, 1 something is
missed, a test fails or a test file is missing, 2 usage.
"""

from __future__ import annotations

import argparse
import ast
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path

from coverage import Coverage
from rich.console import Console
from rich.progress import Progress

ROOT = Path(__file__).resolve().parents[1]
PROCESSES = 2
LIMIT_S = 120
"""A test file that takes longer than this hangs: the slowest one takes seconds."""


@dataclass(frozen=True, slots=True)
class Module:
    """A module, by its name below the package (`regions.playback`), and the files that have to cover it, its main one first."""

    name: str
    source: Path
    tests: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Covered:
    """What the module's own tests cover. `fault`: why nothing could be counted, "" where it could."""

    module: str
    tests: tuple[str, ...]
    lines: int = 0
    lines_missed: tuple[int, ...] = ()
    branches: int = 0
    branches_missed: tuple[tuple[int, int], ...] = ()
    fault: str = ""

    @property
    def complete(self) -> bool:
        return not (self.fault or self.lines_missed or self.branches_missed)


def modules(source: Path, tests: Path) -> list[Module]:
    """Every module below `source` that holds a statement. Raises `ValueError` where two of them share a name."""
    found = [path for path in sorted(source.rglob("*.py")) if path.stem != "__init__" and _holds_statements(path)]
    names = [path.stem for path in found]
    if shared := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"modules share a name, and would share a test file: {', '.join(shared)}")
    owners = {test: _owner(test, names) for test in sorted(tests.glob("test_*.py"))}
    return [
        Module(
            ".".join(path.relative_to(source).with_suffix("").parts),
            path,
            tuple(test for test, owner in owners.items() if owner == path.stem),
        )
        for path in found
    ]


def _owner(test: Path, names: Sequence[str]) -> str | None:
    """The module that a test file is about."""
    subject = test.stem.removeprefix("test_")
    return max((name for name in names if subject == name or subject.startswith(f"{name}_")), key=len, default=None)


def _holds_statements(path: Path) -> bool:
    """Whether there is anything but a docstring."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return any(not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)) for node in body)


def measure(module: Module, root: Path) -> Covered:
    """Run the module's tests and count what they miss of it."""
    own = f"test_{module.source.stem}.py"
    files = tuple(str(path.relative_to(root)) for path in module.tests)
    if own not in (path.name for path in module.tests):
        return Covered(module.name, files, fault=f"there is no {own}")
    with tempfile.TemporaryDirectory() as folder:
        data, report = Path(folder, "data"), Path(folder, "report.json")
        options = ["--branch", f"--include={module.source}", f"--data-file={data}"]
        tests = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:parley", "--hypothesis-seed=0", *files]
        command = [sys.executable, "-m", "coverage", "run", *options, "-m", "pytest", *tests]
        try:
            run = subprocess.run(command, cwd=root, capture_output=True, encoding="utf-8", timeout=LIMIT_S)
        except subprocess.TimeoutExpired:
            return Covered(module.name, files, fault=f"its tests did not end within {LIMIT_S} s")
        if run.returncode:
            last = (run.stdout.strip() or run.stderr.strip()).splitlines()[-1:]
            return Covered(module.name, files, fault=f"its tests fail: {' '.join(last)}")
        counted = Coverage(data_file=str(data), config_file=str(root / "pyproject.toml"), messages=False)
        counted.load()
        counted.json_report(morfs=[str(module.source)], outfile=str(report))
        (found,) = json.loads(report.read_text(encoding="utf-8"))["files"].values()
    return Covered(
        module.name,
        files,
        lines=found["summary"]["num_statements"],
        lines_missed=tuple(found["missing_lines"]),
        branches=found["summary"]["num_branches"],
        branches_missed=tuple((start, end) for start, end in found["missing_branches"]),
    )


def measured(chosen: Sequence[Module], root: Path) -> list[Covered]:
    """All of them, a few at a time, in the order of `chosen`; a terminal shows how far it is."""
    console = Console(stderr=True)
    with (
        Progress(console=console, transient=True, disable=not console.is_terminal) as progress,
        ThreadPoolExecutor(PROCESSES) as pool,
    ):
        task = progress.add_task("measuring", total=len(chosen))
        waiting = {pool.submit(measure, module, root): module.name for module in chosen}
        for done in as_completed(waiting):
            progress.update(task, advance=1, description=waiting[done])
        return [future.result() for future in waiting]


def missed(covered: Covered) -> str:
    """What is missed, in words; "" where nothing is."""
    if covered.fault:
        return covered.fault
    lines = f"lines {', '.join(_runs(covered.lines_missed))}" if covered.lines_missed else ""
    jumps = [f"{start}->{'exit' if end < 0 else end}" for start, end in covered.branches_missed]
    return "; ".join(part for part in (lines, f"branches {', '.join(jumps)}" if jumps else "") if part)


def _runs(numbers: Iterable[int]) -> Iterator[str]:
    """Lines that follow each other as one range: "3-5"."""
    run: list[int] = []
    for number in numbers:
        if run and number != run[-1] + 1:
            yield _run(run)
            run = []
        run.append(number)
    if run:
        yield _run(run)


def _run(run: Sequence[int]) -> str:
    return str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}"


def print_table(results: Sequence[Covered]) -> None:
    print(f"{'module':28}{'lines':>6}{'missed':>7}{'branches':>10}{'missed':>7}")
    for one in results:
        numbers = f"{one.lines:6}{len(one.lines_missed):7}{one.branches:10}{len(one.branches_missed):7}"
        print(f"{one.module:28}{numbers}  {missed(one)}".rstrip())
    whole = sum(one.complete for one in results)
    print(f"{whole} of {len(results)} modules are covered whole by their own tests")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="How much of each module of the core its own test file covers.")
    parser.add_argument("names", nargs="*", metavar="MODULE", help="only these, as `playback` or `regions.playback`")
    parser.add_argument("--json", action="store_true", help="one JSON object for each module, in an array")
    parser.add_argument("--root", type=Path, default=ROOT, help="another checkout than the one this script is in")
    given = parser.parse_args(arguments)
    root = given.root.resolve()
    try:
        every = modules(root / "src/parley/core", root / "tests/core")
    except ValueError as error:
        parser.error(str(error))
    if unknown := sorted(set(given.names) - {name for module in every for name in (module.name, module.source.stem)}):
        parser.error(f"the core has no module {', '.join(unknown)}")
    chosen = [module for module in every if not given.names or {module.name, module.source.stem} & set(given.names)]
    if not chosen:
        parser.error(f"{root / 'src/parley/core'} holds no module")
    results = measured(chosen, root)
    if given.json:
        print(json.dumps([asdict(one) | {"complete": one.complete} for one in results], indent=1))
    else:
        print_table(results)
    return 0 if all(one.complete for one in results) else 1


if __name__ == "__main__":
    sys.exit(main())
