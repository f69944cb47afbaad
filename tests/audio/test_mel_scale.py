"""The mel scales: known points, ways back, bands of unit area."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from parley.audio.mel_scale import Floats, htk_of, hz_of_htk, hz_of_slaney, slaney_filters, slaney_of


@pytest.mark.parametrize(("to", "back"), [(slaney_of, hz_of_slaney), (htk_of, hz_of_htk)])
def test_each_scale_rises_and_has_a_way_back(to: Callable[[Floats], Floats], back: Callable[[Floats], Floats]) -> None:
    hz = np.linspace(0, 12_000, 500)
    assert (np.diff(to(hz)) > 0).all()
    np.testing.assert_allclose(back(to(hz)), hz, atol=1e-6)


def test_known_points() -> None:
    np.testing.assert_allclose(slaney_of(np.array([0.0, 200, 1000, 6400])), [0, 3, 15, 42])
    np.testing.assert_allclose(htk_of(np.array([0.0, 700, 1000])), [0, 781.17, 999.99], atol=0.01)


def test_bands_have_unit_area_and_meet() -> None:
    filters = slaney_filters(16_000, 4_096, 40)
    assert filters.shape == (2_049, 40)
    np.testing.assert_allclose(filters.sum(axis=0) * 16_000 / 4_096, 1, rtol=0.01)
    assert (filters[1:-1].sum(axis=1) > 0).all()
