"""Every exception of the packages has one root, and the tree at the head of `parley.errors` is what the code says."""

from __future__ import annotations

import importlib
import pkgutil
import re

import parley
import parley.errors
from parley.core.words.errors import InvariantBroken, PeerError
from parley.errors import ParleyError


def _exceptions() -> set[type[BaseException]]:
    found: set[type[BaseException]] = set()
    for module in pkgutil.walk_packages(parley.__path__, "parley."):
        if module.name.startswith(("parley.testing", "parley.talk.tui")):
            continue
        loaded = importlib.import_module(module.name)
        found |= {
            value
            for value in vars(loaded).values()
            if isinstance(value, type) and issubclass(value, BaseException) and value.__module__ == module.name
        }
    return found


def _drawn() -> dict[str, tuple[str, str]]:
    """Each class of the tree: its parent and its package."""
    drawn: dict[str, tuple[str, str]] = {}
    above: list[str] = []
    for line in (parley.errors.__doc__ or "").split("\n\n")[1].splitlines():
        match = re.fullmatch(r"( *)(\w+)(?:, \w+)? *(?:(\w+): .+)?", line)
        assert match is not None, line
        depth = len(match[1]) // 2
        del above[depth:]
        drawn[match[2]] = (above[-1] if above else "", match[3] or "")
        above.append(match[2])
    return drawn


def test_every_exception_derives_from_the_one_root() -> None:
    assert {error for error in _exceptions() if not issubclass(error, ParleyError)} == {PeerError, InvariantBroken}


def test_the_documented_tree_is_the_real_tree() -> None:
    derived = {error for error in _exceptions() if issubclass(error, ParleyError) and error is not ParleyError}
    actual = {error.__name__: (error.__bases__[0].__name__, error.__module__.split(".")[1]) for error in derived}
    drawn = _drawn()
    assert drawn.pop("ParleyError") == ("", "")
    assert drawn == actual


def test_an_error_prints_as_its_message_and_its_remedy() -> None:
    assert str(ParleyError("The port is taken.", "Choose another.")) == "The port is taken. Choose another."
    assert str(ParleyError("The port is taken.")) == "The port is taken."
