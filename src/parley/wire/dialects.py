"""The dialects that Parley speaks, by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from parley.wire.beta.dialect import BETA
from parley.wire.dialect import Dialect
from parley.wire.ga.dialect import GA
from parley.wire.translations.dialect import TRANSLATIONS

DIALECTS: Mapping[str, Dialect] = MappingProxyType({dialect.name: dialect for dialect in (GA, BETA, TRANSLATIONS)})

__all__ = ["BETA", "DIALECTS", "GA", "TRANSLATIONS"]
