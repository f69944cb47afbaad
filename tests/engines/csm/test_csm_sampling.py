"""Codes are drawn from the distribution that was asked for, and the draw depends on the seed and the place alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from parley.engines.tts.csm.sampler import MAX_TOP_K, Draw, choose

torch: Any = pytest.importorskip("torch")

ROWS = 40_000


def draw(rows: int, *, temperature: float = 1.0, top_k: int = 0, eos_bias: float = 0.0, seed: int = 1) -> Draw:
    """Each row at another position."""
    return Draw(
        temperature=torch.full((rows,), temperature),
        eos_bias=torch.full((rows,), eos_bias),
        top_k=torch.full((rows,), top_k),
        seed=torch.full((rows,), seed),
        position=torch.arange(rows),
    )


def shares(logits: Any, drawn: Draw, codebook: int = 1) -> Any:
    chosen = choose(torch, logits.expand(len(drawn.position), -1), drawn, codebook)
    return torch.bincount(chosen, minlength=len(logits)) / len(chosen)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_codes_come_as_often_as_they_are_likely(temperature: float) -> None:
    logits = torch.tensor([0.0, 1.0, -1.0, 2.0, 0.5, -3.0, 1.5, 0.1])
    expected = (logits / temperature).softmax(-1)
    assert (shares(logits, draw(ROWS, temperature=temperature)) - expected).abs().max() < 0.012


def test_of_the_likeliest_codes_no_other_is_chosen() -> None:
    logits = torch.linspace(0, 1, 50)
    found = shares(logits, draw(ROWS, temperature=3, top_k=4))
    assert (found[:-4] == 0).all()
    assert (found[-4:] > 0.2).all()


def test_rows_with_different_settings_share_a_batch() -> None:
    logits = torch.randn(4, 300, generator=torch.Generator().manual_seed(1))
    mixed = Draw(
        temperature=torch.tensor([0.0, 1.0, 1.0, 5.0]),
        eos_bias=torch.tensor([0.0, 0.0, 1e9, 0.0]),
        top_k=torch.tensor([0, 1, MAX_TOP_K, 3]),
        seed=torch.tensor([1, 2, 3, 4]),
        position=torch.tensor([9, 8, 7, 6]),
    )
    chosen = choose(torch, logits, mixed, 0).tolist()
    likeliest = logits.argmax(-1).tolist()
    assert chosen[:3] == [likeliest[0], likeliest[1], 0]
    assert chosen[3] in logits[3].topk(3).indices.tolist()


def test_a_bias_makes_the_end_likelier_in_the_first_codebook_only() -> None:
    logits = torch.zeros(4)
    assert abs(float(shares(logits, draw(ROWS, eos_bias=float(np.log(3))), 0)[0]) - 0.5) < 0.012
    assert abs(float(shares(logits, draw(ROWS, eos_bias=float(np.log(3))), 1)[0]) - 0.25) < 0.012


def test_places_seeds_and_codebooks_draw_independently() -> None:
    logits = torch.zeros(ROWS, 2)
    tosses = [
        choose(torch, logits, draw(ROWS, seed=seed), codebook).float() for seed, codebook in [(1, 1), (1, 2), (2, 1)]
    ]
    tosses.append(tosses[0].roll(1))
    correlations = torch.corrcoef(torch.stack(tosses)) - torch.eye(4)
    assert correlations.abs().max() < 0.03


def test_the_same_place_draws_the_same_in_any_batch_and_any_float_type() -> None:
    logits = torch.randn(8, 100, generator=torch.Generator().manual_seed(1)).bfloat16()
    together = choose(torch, logits, draw(8), 5)
    one = draw(8)
    for row in range(8):
        own = Draw(
            *(getattr(one, name)[row : row + 1] for name in ("temperature", "eos_bias", "top_k", "seed", "position"))
        )
        assert choose(torch, logits[row : row + 1].float(), own, 5) == together[row]
