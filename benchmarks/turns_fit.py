"""The weights of the turn judge's rules, fitted to labelled pauses: logistic regression with the hand-set weights as its prior.

Laws: only the split `fit` is seen. A weight leaves its hand-set value as far as the corpus gives evidence for it, so a rule that the corpus
hardly ever meets (a comma, a greeting) keeps what the literature says of it. Rules of sound are held more tightly than rules of
words: a voice cut off at a word does not sound like one that hesitates.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from parley.engines.ports import PauseContext
from parley.engines.turn.rules import BASE, RULES, WORD_RULES, weigh

HAND_SET: Final = {
    "answer or greeting": 2.2, "question mark": 2.0, "question": 1.5, "full stop": 0.5, "complete clause": 0.7,
    "hesitation": -3.0, "unfinished clause": -2.6, "open phrase": -2.2, "noun or verb missing": -2.2, "leaning word": -1.1,
    "comma or dash": -1.5, "digits being dictated": -1.7, "a long number": -0.6, "subordinate clause alone": -1.2,
    "one word": -0.5, "falling pitch": 0.8, "high rise": 0.5, "level pitch": -0.7, "slight rise": -0.5, "faded": 0.6,
    "fading": 0.3, "still loud": -0.3, "louder": -0.6, "drawn out": -0.8,
}  # fmt: skip

WORD_SD: Final = 0.5
SOUND_SD: Final = 0.3
"""How far, in log odds, the corpus is expected to move a weight."""

STEPS: Final = 50
"""Of Newton's method; it stands still after about ten."""


def fit(questions: Sequence[tuple[PauseContext, bool]]) -> dict[str, float]:
    """The most probable weights by name; `questions` are pauses and whether the turn ended there."""
    rows = []
    for pause, _ in questions:
        judged = weigh(pause)
        rows.append([_value(rule.name, judged.trust) if rule in judged.rules else 0.0 for rule in RULES])
    features, ends = np.array(rows), np.array([ends for _, ends in questions], dtype=float)
    prior = np.array([HAND_SET[rule.name] for rule in RULES])
    spread = np.array([WORD_SD if rule in WORD_RULES else SOUND_SD for rule in RULES])
    weights = _most_probable(features, ends, prior, spread)
    return dict(zip((rule.name for rule in RULES), np.round(weights, 2).tolist(), strict=True))


def _value(name: str, trust: float) -> float:
    return trust if any(rule.name == name for rule in WORD_RULES) else 1.0


def _most_probable(
    features: NDArray[np.float64], ends: NDArray[np.float64], prior: NDArray[np.float64], spread: NDArray[np.float64]
) -> NDArray[np.float64]:
    weights = prior.copy()
    for _ in range(STEPS):
        probability = 1 / (1 + np.exp(-BASE - features @ weights))
        gradient = features.T @ (ends - probability) - (weights - prior) / spread**2
        curvature = (features.T * (probability * (1 - probability))) @ features + np.diag(1 / spread**2)
        weights = weights + np.linalg.solve(curvature, gradient)
    return weights


def show(questions: Sequence[tuple[PauseContext, bool]]) -> None:
    """Print the fitted weights beside the hand-set ones and the ones in use."""
    fitted = fit(questions)
    table = Table(box=SIMPLE, title=f"Weights from {len(questions)} judgements")
    for title in ("rule", "held", "of them ends", "hand-set", "fitted", "in use"):
        table.add_column(title, justify="left" if title == "rule" else "right")
    for rule in RULES:
        held = [ends for pause, ends in questions if rule in weigh(pause).rules]
        numbers = (len(held), sum(held), HAND_SET[rule.name], fitted[rule.name], rule.weight)
        table.add_row(rule.name, *(str(number) for number in numbers))
    Console(width=100).print(table)
