"""LaTeX in a reply, as words and signs that a synthesizer can say.

Laws: pure; looks at one clause, so a formula that is cut in two loses its marks all the same. Signs and Greek letters are written as
characters, whose names a synthesizer knows in its own language; every other command is said by its own name.

A library does not serve here: pylatexenc and unicodeit turn documents into symbols for the eye (superscripts, accents), and take half a
formula for an error.
"""

from __future__ import annotations

import re
from typing import Final

_GREEK: Final = dict(
    zip(
        "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau upsilon phi chi psi omega".split(),  # noqa: SIM905
        "αβγδεζηθικλμνξπρστυφχψω",
        strict=True,
    )
)
_SIGNS: Final = {
    **_GREEK,
    **{name.capitalize(): letter.upper() for name, letter in _GREEK.items()},
    "varepsilon": "ε", "varphi": "φ", "times": "×", "cdot": "×", "div": "÷", "pm": "±", "mp": "±", "le": "≤", "leq": "≤", "ge": "≥",
    "geq": "≥", "ne": "≠", "neq": "≠", "approx": "≈", "infty": "∞", "sqrt": "√", "degree": "°", "circ": "°", "to": ",",
    "rightarrow": ",", "Rightarrow": ",", "implies": ",", "dots": "…", "ldots": "…", "cdots": "…", "frac": "", "dfrac": "", "tfrac": "",
    "sum": "sum", "prod": "product", "int": "integral", "partial": "partial", "log": "log", "ln": "ln", "sin": "sin", "cos": "cos",
    "tan": "tan", "lim": "lim", "text": "", "mathrm": "", "mathbf": "", "mathbb": "", "mathcal": "", "textbf": "", "textit": "",
    "operatorname": "", "boxed": "", "left": "", "right": "", "quad": "", "qquad": "", "displaystyle": "", "begin": "", "end": "",
}  # fmt: skip
"""Commands and what is said for them; outside a formula only these are taken for LaTeX."""

_FORMULA: Final = re.compile(
    r"\$\$(.{1,900}?)\$\$|\\\((.{1,900}?)\\\)|\\\[(.{1,900}?)\\\]|(?<![\w$])\$(?=\S)([^$\n]{1,300}?)(?<=\S)\$(?!\w)",
    re.DOTALL,
)
_MARKED: Final = re.compile(r"[\\^_{}=]|^\W*[A-Za-z]\W*$")
"""Distinguishes a formula between single dollars from two prices."""

_DELIMITER: Final = re.compile(r"\\[()\[\]]|\$\$")
_FRACTION: Final = re.compile(r"\\[dt]?frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}")
_ARGUMENT: Final = re.compile(r"(\\(?![dt]?frac\b)[A-Za-z]+|[_^])\s*\{([^{}]*)\}")
_COMMAND: Final = re.compile(r"\\([A-Za-z]+)\*?")
_ESCAPE: Final = re.compile(r"\\([$%#&_{}*`~!.+-])")
_POWERS: Final = {"2": "²", "3": "³", "°": "°"}
_POWER: Final = re.compile(r"\^\s*(?:\{\s*([23°])\s*\}|([23°]))")
_LEFT_OVER: Final = re.compile(r"\\[\\,;:! ]|[{}_^&~]")
_MAX_NESTED: Final = 4
"""Braces within braces; a fraction with deeper ones is said without its bar."""


def without_tex(text: str) -> str:
    """The text with its formulas as words and signs; text without LaTeX comes back as it is."""
    if "\\" not in text and "$" not in text:
        return text
    text = _FORMULA.sub(_formula, text)
    text = _DELIMITER.sub(" ", text)
    text = _FRACTION.sub(r" \1 / \2 ", text)
    text = _COMMAND.sub(lambda found: _command(found, found.group()), text)
    return _ESCAPE.sub(r"\1", text)


def _formula(found: re.Match[str]) -> str:
    single = found.group(4)
    if single is not None and not _MARKED.search(single):
        return found.group()
    tex = next(group for group in found.groups() if group is not None)
    tex = _POWER.sub(_power, tex)
    for _ in range(_MAX_NESTED):
        tex = _FRACTION.sub(r" \1 / \2 ", _ARGUMENT.sub(r"\1 \2 ", tex))
    tex = _COMMAND.sub(lambda command: _command(command, f" {command.group(1)} "), tex)
    tex = _POWER.sub(_power, tex)
    return f" {_LEFT_OVER.sub(' ', tex)} "


def _power(found: re.Match[str]) -> str:
    return _POWERS[found.group(1) or found.group(2)]


def _command(found: re.Match[str], otherwise: str) -> str:
    sign = _SIGNS.get(found.group(1))
    return otherwise if sign is None else f" {sign} "
