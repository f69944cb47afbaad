"""Reports the largest files and functions, and fails on those far over budget: a file over budget is a missing concept."""

from __future__ import annotations

import ast
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FILE_LINES = 400
CORE_FILE_LINES = 300
FUNCTION_LINES = 50
TOLERANCE = 1.2
"""Budgets are soft by a fifth; a core file may grow to what any file may. Above that the check fails."""


@dataclass(frozen=True, slots=True)
class Size:
    name: str
    lines: int
    budget: int

    @property
    def verdict(self) -> str:
        limit = FILE_LINES if self.budget == CORE_FILE_LINES else self.budget * TOLERANCE
        if self.lines > limit:
            return "too large"
        return "over budget" if self.lines > self.budget else ""


def file_size(path: Path) -> Size:
    budget = CORE_FILE_LINES if "core" in path.relative_to(ROOT).parts else FILE_LINES
    return Size(str(path.relative_to(ROOT)), len(path.read_text(encoding="utf-8").splitlines()), budget)


def function_sizes(path: Path) -> list[Size]:
    """Lines of each function's body: without its signature and its docstring, which may be as long as they must."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    place = path.relative_to(ROOT)
    sizes = []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) is not None else node.body
            lines = (node.end_lineno or node.lineno) - body[0].lineno + 1 if body else 0
            sizes.append(Size(f"{place}:{node.lineno} {node.name}", lines, FUNCTION_LINES))
    return sizes


def main() -> int:
    paths = sorted((ROOT / "src").rglob("*.py"))
    files = [file_size(path) for path in paths]
    functions = [size for path in paths for size in function_sizes(path)]
    print(f"{len(files)} files, {sum(size.lines for size in files)} lines")
    for title, sizes in (("files", files), ("functions", functions)):
        largest = sorted(sizes, key=lambda size: size.lines / size.budget, reverse=True)
        shown = [size for index, size in enumerate(largest) if index < 5 or size.verdict]
        print(f"largest {title}:")
        for size in shown:
            print(f"  {size.lines:4} of {size.budget}  {size.name}  {size.verdict}".rstrip())
    failed = [size for size in (*files, *functions) if size.verdict == "too large"]
    if failed:
        print(f"{len(failed)} too large: split them by concept", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
