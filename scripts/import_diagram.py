"""Draws into ARCHITECTURE.md which package imports which, from the code itself; `--check` fails when the drawing is out of date."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import grimp

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "ARCHITECTURE.md"
BEGIN = "<!-- drawn by scripts/import_diagram.py -->\n```\n"
END = "```\n<!-- end of drawing -->"


def layers() -> list[list[str]]:
    """The rooms from top to bottom, as the import contract in pyproject.toml orders them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contract = next(
        contract for contract in project["tool"]["importlinter"]["contracts"] if contract["type"] == "layers"
    )
    return [[name.strip() for name in layer.split("|")] for layer in contract["layers"]]


def drawing() -> str:
    """One line for each room: its layer, its name, and the rooms that its files import."""
    graph = grimp.build_graph("parley")
    rooms = [room for layer in layers() for room in layer]
    lines = []
    for depth, layer in enumerate(layers()):
        for room in layer:
            below = [other for other in rooms if other != room and directly(graph, room, other)]
            lines.append(f"{'  ' * depth + room:<22} imports  {', '.join(below) or '-'}")
    return "\n".join(lines) + "\n"


def directly(graph: grimp.ImportGraph, room: str, other: str) -> bool:
    """Whether any file of `room` imports a file of `other` itself."""
    inside = {f"parley.{room}", *graph.find_descendants(f"parley.{room}")}
    there = {f"parley.{other}", *graph.find_descendants(f"parley.{other}")}
    return any(there & graph.find_modules_directly_imported_by(module) for module in inside)


def main() -> int:
    page = PAGE.read_text(encoding="utf-8")
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        print(f"{PAGE.name} has no place for the drawing", file=sys.stderr)
        return 1
    drawn = before + BEGIN + drawing() + END + after
    if "--check" in sys.argv[1:]:
        if drawn != page:
            print(
                f"the import drawing in {PAGE.name} is out of date: python scripts/import_diagram.py", file=sys.stderr
            )
        return int(drawn != page)
    PAGE.write_text(drawn, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
