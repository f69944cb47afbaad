"""A direction that falls far behind its speaker says so once, and once that it has caught up."""

from __future__ import annotations

from parley.interpret.speaker_lag import CAUGHT_UP_S, FAR_S, SpeakerLag


def test_falling_behind_and_catching_up_are_told_once_each() -> None:
    lag = SpeakerLag()
    said = [
        (lag.played(100.0 + behind_s, 100.0), lag.far)
        for behind_s in (3.0, FAR_S, FAR_S + 2, FAR_S + 9, FAR_S - 1, CAUGHT_UP_S, CAUGHT_UP_S - 1, 2.0, FAR_S + 1)
    ]
    assert [far for _, far in said] == [False, False, True, True, True, True, False, False, True]
    assert ["12 s behind" in note or "caught up" in note or "11 s behind" in note for note, _ in said] == [
        False, False, True, False, False, False, True, False, True,
    ]  # fmt: skip


def test_a_piece_whose_source_is_not_known_says_nothing() -> None:
    lag = SpeakerLag()
    lag.played(100.0, 80.0)
    assert lag.far
    assert lag.played(101.0, None) == ""
    assert lag.far
