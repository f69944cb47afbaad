"""The curve of `turn_curve.py` as SVG, without a plotting library.

Laws: pure; the same rows give the same text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

WIDTH, HEIGHT = 760, 440
LEFT, RIGHT, TOP, BOTTOM = 64, 24, 64, 56

STYLES: Final[Mapping[str, tuple[str, str]]] = {
    "fixed": ("#6b7280", "fixed silence"),
    "rules": ("#0369a1", "rules, by eagerness"),
    "smart": ("#b45309", "Smart Turn and rules"),
    "smart threshold": ("#047857", "Smart Turn alone, by threshold"),
}

Row = Mapping[str, Any]


def picture(rows: Sequence[Row]) -> str:
    """Mean wait to the right, false cut-offs upwards, a line for each family of `STYLES`."""
    longest = _above(max(float(row["mean_ms"]) for row in rows), 200)
    most = _above(max(float(row["cuts_percent"]) for row in rows), 20)
    parts = [*_axes(longest, most)]
    for place, (family, (colour, title)) in enumerate(STYLES.items()):
        points = [
            (_x(row["mean_ms"], longest), _y(row["cuts_percent"], most), row["policy"])
            for row in rows
            if row["family"] == family
        ]
        parts += _line(points, colour)
        parts += _legend(place, colour, title)
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        f'font-family="system-ui, sans-serif" font-size="12" role="img">\n'
        f"<title>Mean wait at the end of a turn against pauses in which the turn was ended</title>\n"
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>\n{body}\n</svg>\n'
    )


def _above(value: float, step: int) -> float:
    return float(-(-value // step) * step)


def _x(ms: float, longest: float) -> float:
    return round(LEFT + (WIDTH - LEFT - RIGHT) * ms / longest, 1)


def _y(percent: float, most: float) -> float:
    return round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * percent / most, 1)


def _axes(longest: float, most: float) -> list[str]:
    parts = []
    for ms in range(0, int(longest) + 1, 200):
        x = _x(ms, longest)
        parts.append(f'<line x1="{x}" y1="{TOP}" x2="{x}" y2="{HEIGHT - BOTTOM}" stroke="#e5e7eb"/>')
        parts.append(_text(x, HEIGHT - BOTTOM + 18, str(ms), "middle"))
    for percent in range(0, int(most) + 1, 20):
        y = _y(percent, most)
        parts.append(f'<line x1="{LEFT}" y1="{y}" x2="{WIDTH - RIGHT}" y2="{y}" stroke="#e5e7eb"/>')
        parts.append(_text(LEFT - 8, y + 4, f"{percent} %", "end"))
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 14, "mean wait from the end of the voice, ms", "middle"))
    parts.append(_text(LEFT, TOP - 48, "pauses in which the speaker was cut off", "start"))
    return parts


def _line(points: Sequence[tuple[float, float, str]], colour: str) -> list[str]:
    if not points:
        return []
    path = " ".join(f"{x},{y}" for x, y, _ in points)
    parts = [f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>']
    for x, y, name in points:
        parts.append(f'<circle cx="{x}" cy="{y}" r="4" fill="{colour}"/>')
        parts.append(_text(x + 6, y - 6, name, "start", colour))
    return parts


def _legend(place: int, colour: str, title: str) -> list[str]:
    x = LEFT + place * 160
    return [
        f'<circle cx="{x + 4}" cy="{TOP - 32}" r="4" fill="{colour}"/>',
        _text(x + 14, TOP - 28, title, "start"),
    ]


def _text(x: float, y: float, text: str, anchor: str, colour: str = "#374151") -> str:
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" fill="{colour}">{escape(text)}</text>'
