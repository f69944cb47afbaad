"""They are frozen values, and part of the closed union of notices."""

from __future__ import annotations

from typing import get_args

from parley.core.words import translation_notices
from parley.core.words.notices import Notice
from tests.core.values import can_change, values_of


def test_every_class_is_a_value_of_the_union() -> None:
    kinds = values_of(translation_notices)
    assert set(kinds) == set(get_args(translation_notices.TranslationNotice)) < set(get_args(Notice))
    assert len(kinds) == 4
    assert [kind for kind in kinds if can_change(kind)] == []
