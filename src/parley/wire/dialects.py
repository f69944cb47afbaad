"""The dialects that Parley speaks, by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from parley.wire.beta.dialect import BETA
from parley.wire.dialect import Dialect
from parley.wire.ga.dialect import GA

DIALECTS: Mapping[str, Dialect] = MappingProxyType({dialect.name: dialect for dialect in (GA, BETA)})

__all__ = ["BETA", "DIALECTS", "GA"]
