"""Adds up what mutation testing has found: reads `mutmut results --all true` from standard input, prints the score of each module."""

from __future__ import annotations

import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

RESULT = re.compile(r"^\s*parley\.core\.(?:(?:words|regions|policy|decisions)\.)?(\w+)\.\S+: (\w[\w ]*)$")
NOTICED = ("killed", "timeout", "segfault", "suspicious")


def counted(lines: Iterable[str]) -> Mapping[str, Counter[str]]:
    """By module of the core, how many of its mutants had which outcome (mutmut's words)."""
    modules: dict[str, Counter[str]] = defaultdict(Counter)
    for line in lines:
        if found := RESULT.match(line):
            modules[found[1]][found[2]] += 1
    return modules


def score(outcomes: Counter[str]) -> str:
    """Noticed, missed and untried mutants in words; a mutant that no test reaches is a missed one."""
    untried = outcomes["not checked"]
    tried, noticed = outcomes.total() - untried, sum(outcomes[word] for word in NOTICED)
    if not tried:
        return f"{untried} not tried"
    rest = f", {untried} not tried" if untried else ""
    return f"{noticed} of {tried} noticed ({100 * noticed / tried:.0f} %), {tried - noticed} missed{rest}"


def main() -> int:
    modules = counted(sys.stdin)
    for name, outcomes in sorted(modules.items()):
        print(f"{name:18}{score(outcomes)}")
    print(f"{'all':18}{score(sum(modules.values(), Counter()))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
