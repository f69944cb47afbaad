"""Only a region of the core writes its own fields; checked in the source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

CORE = Path(__file__).resolve().parents[2] / "src/parley/core"
REGIONS = sorted((CORE / "regions").glob("*.py"))
OTHERS = sorted([*(CORE / "decisions").glob("*.py"), *(CORE / "policy").glob("*.py"), CORE / "session.py"])
STATE = {"st", "self.st", "self._st"}


def written(tree: ast.AST) -> Iterator[ast.Attribute]:
    """Every attribute that is assigned to, item by item too, or deleted."""
    for node in ast.walk(tree):
        match node:
            case ast.Assign(targets=targets) | ast.Delete(targets=targets):
                places = targets
            case ast.AugAssign(target=target) | ast.AnnAssign(target=target):
                places = [target]
            case _:
                continue
        for place in places:
            for part in ast.walk(place):
                if isinstance(part, ast.Attribute) and isinstance(part.ctx, ast.Store | ast.Del):
                    yield part
                elif isinstance(part, ast.Subscript) and isinstance(part.value, ast.Attribute):
                    yield part.value


def fields(tree: ast.AST) -> set[str]:
    """The fields of the classes in a file."""
    return {
        node.target.id
        for made in ast.walk(tree)
        if isinstance(made, ast.ClassDef)
        for node in made.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }


@pytest.mark.parametrize("path", OTHERS, ids=lambda path: path.stem)
def test_a_decision_writes_only_its_own_fields_and_the_facts_of_the_state(path: Path) -> None:
    facts = fields(ast.parse((CORE / "state.py").read_text(encoding="utf-8")))
    for place in written(ast.parse(path.read_text(encoding="utf-8"))):
        owner = ast.unparse(place.value)
        assert owner == "self" or (owner in STATE and place.attr in facts), (
            f"{path.name}:{place.lineno} {ast.unparse(place)}"
        )


@pytest.mark.parametrize("path", REGIONS, ids=lambda path: path.stem)
def test_a_region_writes_only_fields_of_its_own_classes(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    own = fields(tree)
    for place in written(tree):
        owner = ast.unparse(place.value)
        assert owner == "self" or place.attr in own, f"{path.name}:{place.lineno} {ast.unparse(place)}"
