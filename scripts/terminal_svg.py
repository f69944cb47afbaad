"""A terminal's screen as a picture: `tmux capture-pane -e -p | python scripts/terminal_svg.py OUT.svg --title parley`."""

from __future__ import annotations

import argparse
import io
import re
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--title", default="")
    parser.add_argument("--width", type=int, default=80, help="columns of the screen [80]")
    asked = parser.parse_args()
    console = Console(
        width=asked.width,
        record=True,
        file=io.StringIO(),
        force_terminal=True,
        color_system="truecolor",
        highlight=False,
    )
    for line in sys.stdin.read().rstrip("\n").split("\n"):
        console.print(Text.from_ansi(line), no_wrap=True, crop=True)
    # Without the fonts that a viewer would have to fetch.
    picture = re.sub(r"@font-face \{.*?\}\s*", "", console.export_svg(title=asked.title), flags=re.DOTALL)
    asked.out.write_text(picture, encoding="utf-8")


if __name__ == "__main__":
    main()
