"""Draws the page's icons as PNG and ICO from the bars of `src/parley/web/icon.svg`: `python scripts/icons.py`.

Run it after the SVG has changed; the files it writes are committed.
"""

from __future__ import annotations

import re
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

WEB = Path(__file__).parent.parent / "src" / "parley" / "web"
VIEW = 32.0
"""The side of the SVG's view box."""
PAPER = (0xF3, 0xF5, 0xF1)
BAR = re.compile(r'<rect x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="([\d.]+)" rx="([\d.]+)"/>')
FINE = 4
"""Samples along each side of a pixel, for smooth edges."""

Pixels = NDArray[np.uint8]


def bars() -> list[tuple[tuple[float, ...], tuple[int, int, int]]]:
    """Each bar as (x, y, width, height, radius) and its colour in the light scheme."""
    svg = (WEB / "icon.svg").read_text("utf-8")
    found = []
    for group, body in re.findall(r'<g class="(\w)">(.*?)</g>', svg):
        colour = re.search(rf"\.{group}{{fill:#(\w\w)(\w\w)(\w\w)}}", svg)
        assert colour is not None, f"icon.svg has no colour for the group {group}"
        red, green, blue = (int(part, 16) for part in colour.groups())
        found += [(tuple(map(float, bar)), (red, green, blue)) for bar in BAR.findall(body)]
    return found


def drawn(side: int, share: float) -> Pixels:
    """A square of `side` pixels on paper, [side, side, 3]; the bars take `share` of its width."""
    fine = side * FINE
    place = (np.arange(fine) + 0.5) / fine
    # From the picture's unit square to the view box, around the middle.
    x, y = np.meshgrid(*([((place - 0.5) / share + 0.5) * VIEW] * 2))
    picture = np.full((fine, fine, 3), PAPER, np.float64)
    for (left, top, width, height, radius), colour in bars():
        across = np.abs(x - left - width / 2) - (width / 2 - radius)
        down = np.abs(y - top - height / 2) - (height / 2 - radius)
        picture[np.hypot(np.maximum(across, 0), np.maximum(down, 0)) <= radius] = colour
    smooth: Pixels = np.rint(picture.reshape(side, FINE, side, FINE, 3).mean((1, 3))).astype(np.uint8)
    return smooth


def png(pixels: Pixels) -> bytes:
    """The pixels as a PNG of 8 bits per channel."""
    side = len(pixels)

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")


def ico(picture: bytes, side: int) -> bytes:
    """A PNG of at most 255 pixels as an ICO."""
    return struct.pack("<HHHBBBBHHII", 0, 1, 1, side, side, 0, 0, 1, 24, len(picture), 22) + picture


def main() -> None:
    folder = WEB / "icons"
    folder.mkdir(exist_ok=True)
    # A maskable icon may be cut to a circle of 80 % of its side; a phone rounds the corners of the others.
    for name, side, share in (
        ("icon-192", 192, 0.86),
        ("icon-512", 512, 0.86),
        ("maskable-512", 512, 0.62),
        ("apple-touch-icon", 180, 0.76),
    ):
        (folder / f"{name}.png").write_bytes(png(drawn(side, share)))
    (folder / "favicon.ico").write_bytes(ico(png(drawn(32, 1.0)), 32))


if __name__ == "__main__":
    main()
