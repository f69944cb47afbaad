"""The contract of every engine that `--parley-engine` names, as test classes. The plug-in adds this file to what pytest collects."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from parley.engines.ports import Engine, EngineSpec, EngineUnavailable, Stage
from parley.engines.registry import create
from parley.testing import pytest_plugin
from parley.testing.contracts import CONTRACTS, EngineContract


def contract_class(stage: Stage[Any], spec: EngineSpec) -> type[EngineContract[Any, Any]]:
    """The test class of one engine. Raises `EngineUnavailable` where there is none of that name, or it cannot be made."""
    create(stage, spec)

    def make_engine(self: object) -> Callable[[], Engine]:
        return partial(create, stage, spec)

    words = "".join(part.capitalize() for part in (stage.name, *spec.name.split("_")))
    name = f"{stage.name}.{spec.name}" + (f":{spec.model}" if spec.model else "")
    made = {"make_engine": pytest.fixture(make_engine), "engine_name": name, "__module__": __name__}
    return type(f"Test{words}", (CONTRACTS[stage],), made)


for _named in pytest_plugin.named_engines():
    try:
        _made = contract_class(_named.stage, _named.spec)
    except EngineUnavailable as error:
        raise pytest.UsageError(str(error)) from error
    globals()[_made.__name__] = _made
