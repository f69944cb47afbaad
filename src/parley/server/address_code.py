"""A QR code of an address in characters, for a phone's camera.

Laws: it holds the address and nothing else; two rows of modules are one row of text, dark on light whatever the terminal's colours are.
"""

from __future__ import annotations

from rich.style import Style
from rich.text import Text

BORDER = 2
"""Light modules around it. The standard asks for four; cameras find it with two, and a small terminal keeps its room."""

_PAINTED = Style(color="#000000", bgcolor="#ffffff")
_HALVES = {(False, False): " ", (True, False): "▀", (False, True): "▄", (True, True): "█"}


def address_code(url: str) -> Text:
    """The code: lines of equal width, each character two modules high."""
    import segno

    code = segno.make(url, error="l", micro=False, boost_error=False)
    rows = [[bool(module) for module in row] for row in code.matrix_iter(border=BORDER)]
    if len(rows) % 2:
        rows.append([False] * len(rows[0]))
    lines = [
        "".join(_HALVES[halves] for halves in zip(*pair, strict=True))
        for pair in zip(rows[::2], rows[1::2], strict=True)
    ]
    return Text("\n").join(Text(line, _PAINTED, no_wrap=True) for line in lines)
