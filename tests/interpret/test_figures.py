"""How late a direction is: pauses are charged with their own translations, also those that were heard before the pause was known."""

from __future__ import annotations

import pytest

from parley.interpret.figures import FORGOTTEN_S, KEPT, DirectionAccount


def test_a_translation_heard_before_the_pause_is_known_counts_from_the_pause() -> None:
    account = DirectionAccount()
    account.speech_began(0.0)
    account.played(2.2, 2.0)
    # The voice activity detection tells a pause 0.4 s late.
    account.speech_ended(2.0)
    figures = account.figures()
    assert round(figures.pause_p50_ms or 0) == 200
    assert figures.last is not None
    assert figures.last.words_ms is None


def test_the_first_piece_that_reaches_the_pause_counts_and_not_a_later_one() -> None:
    account = DirectionAccount()
    account.speech_began(0.0)
    account.played(1.0, 0.8)
    account.played(2.1, 1.9)
    account.played(2.3, 2.0)
    account.speech_ended(2.0)
    assert round(account.figures().pause_p50_ms or 0) == 100


def test_without_positions_the_first_audio_after_the_pause_counts_also_when_the_pause_is_known_later() -> None:
    account = DirectionAccount()
    account.played(1.5, None)
    account.played(2.3, None)
    account.speech_ended(2.0)
    assert round(account.figures().pause_p50_ms or 0) == 300
    account.played(9.0, None)
    assert round(account.figures().pause_p95_ms or 0) == 300


def test_one_piece_without_a_position_answers_one_pause() -> None:
    account = DirectionAccount()
    account.speech_ended(1.0)
    account.speech_ended(2.0)
    account.played(3.0, None)
    assert account.figures().pause_p95_ms == 2_000
    account.played(3.5, None)
    assert account.figures().pause_p50_ms == 1_750


def test_a_piece_that_translates_two_sentences_answers_both_pauses() -> None:
    account = DirectionAccount()
    account.speech_ended(1.0)
    account.speech_ended(2.0)
    account.played(3.0, 2.0)
    assert account.figures().pause_p50_ms == 1_500


def test_a_cough_that_is_never_translated_is_forgotten() -> None:
    account = DirectionAccount()
    account.speech_ended(1.0)
    account.played(1.0 + FORGOTTEN_S + 1, None)
    assert account.figures().pause_p50_ms is None


def test_only_the_last_measurements_count_and_percentiles_are_of_them() -> None:
    account = DirectionAccount()
    for number in range(KEPT + 100):
        began_s = 10.0 * number
        account.speech_began(began_s)
        account.speech_ended(began_s + 2)
        account.played(began_s + 2 + (50 if number < 100 else 1), began_s + 2)
    figures = account.figures()
    assert figures.pause_p50_ms == figures.pause_p95_ms == 1_000
    assert figures.span_p50_ms == figures.span_p90_ms == 3_000


def test_a_pause_whose_translation_was_never_played_is_charged_to_no_other() -> None:
    account = DirectionAccount()
    account.speech_ended(1.0)
    account.target_audio(1.5, 1.0)
    account.speech_ended(20.0)
    account.unheard(2.0)
    account.target_audio(20.5, 20.0)
    account.played(20.6, 20.0)
    figures = account.figures()
    assert figures.pause_p50_ms == figures.pause_p95_ms == pytest.approx(600)
    assert figures.dropped_s == 2.0


def test_nothing_measured_is_no_figure_and_counts_add_up() -> None:
    account = DirectionAccount()
    empty = account.figures()
    assert (empty.pause_p50_ms, empty.span_p90_ms, empty.clauses, empty.conversion_rtf) == (None, None, None, None)
    account.dropped(1.5)
    account.dropped(0.5)
    account.reconnected()
    account.drifted()
    account.clause()
    account.converted(2.0, 0.5)
    figures = account.figures()
    assert (figures.dropped_s, figures.reconnects, figures.drifts, figures.clauses) == (2.0, 1, 1, 1)
    assert figures.conversion_rtf == 0.25
