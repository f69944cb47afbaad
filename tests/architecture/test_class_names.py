"""Two modules of the package never define a public class of one name: a name in a traceback, a trace or a page means one thing."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2] / "src"


def public_classes(text: str) -> set[str]:
    """The names of the public classes that a module defines, at any depth."""
    return {
        node.name
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    }


def shared_names(modules: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Each class name that several of these modules (name, source) define, with the modules that define it."""
    defined: dict[str, list[str]] = defaultdict(list)
    for module, text in modules:
        for name in public_classes(text):
            defined[name].append(module)
    return {name: found for name, found in defined.items() if len(found) > 1}


def test_each_public_class_name_is_defined_in_one_module() -> None:
    files = sorted((SOURCE / "parley").rglob("*.py"))
    assert len(files) > 200
    assert shared_names((str(file.relative_to(SOURCE)), file.read_text(encoding="utf-8")) for file in files) == {}


def test_a_name_in_two_modules_is_found_also_inside_a_class_and_private_names_are_free() -> None:
    first = "class Turn:\n    class Pause: ...\nclass _Link: ...\n"
    second = "class Pause: ...\nclass _Link: ...\ndef f():\n    class Word: ...\n"
    assert shared_names([("a.py", first), ("b.py", second)]) == {"Pause": ["a.py", "b.py"]}
    assert shared_names([("a.py", second), ("b.py", "class Word: ...")]) == {"Word": ["a.py", "b.py"]}
