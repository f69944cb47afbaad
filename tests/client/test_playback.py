"""What the loudspeaker plays, sample by sample."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from parley.client.playback import (
    BACKLOG_S,
    BLOCK_MS,
    BLOCKS,
    FADE_MS,
    WIRE_RATE,
    BacklogFull,
    ClientPlayback,
    PlayedSpan,
)

RATE = 48_000
CALLBACK = 960
LARGEST_STEP = 2500
"""The steepest that a 440 Hz tone of this loudness rises in one sample at 48 kHz is 1,150; a torn wave jumps by up to 40,000."""


def tone(seconds: float, start: int = 0) -> NDArray[np.int16]:
    """440 Hz at 24 kHz."""
    at = np.arange(start, start + round(seconds * WIRE_RATE))
    return (20_000 * np.sin(2 * np.pi * 440 * at / WIRE_RATE)).astype(np.int16)


def played(playback: ClientPlayback, seconds: float) -> NDArray[np.int16]:
    """What the device takes in that time, with a producer that always keeps up."""
    taken = []
    for _ in range(round(seconds * RATE / CALLBACK)):
        taken.append(playback.take(CALLBACK))
        playback.produce()
    return np.concatenate(taken)


def steepest(audio: NDArray[np.int16]) -> int:
    return int(np.abs(np.diff(audio.astype(np.int32))).max())


def test_the_first_sound_is_played_as_soon_as_a_little_of_it_is_there() -> None:
    playback = ClientPlayback(RATE)
    # Enough for the resampler to give something, far less than a block.
    playback.push("item", 0, tone(0.04))
    playback.produce()
    assert np.abs(playback.take(CALLBACK)).max() > 1000


def test_everything_is_played_to_the_last_sample_and_once() -> None:
    playback = ClientPlayback(RATE)
    whole = tone(3.21)
    for at in range(0, len(whole), 777):
        playback.push("item", 0, whole[at : at + 777])
    playback.end("item")
    playback.produce()
    audio = played(playback, 4.0)
    loud = np.flatnonzero(np.abs(audio) > 100)
    assert abs(loud[-1] - loud[0] - 2 * len(whole)) < RATE // 440
    assert abs(int(np.abs(audio.astype(np.int64)).sum()) / (2 * int(np.abs(whole.astype(np.int64)).sum())) - 1) < 0.01
    assert not playback.audible
    assert playback.underruns == 0


def test_a_last_word_shorter_than_a_callback_is_heard() -> None:
    playback = ClientPlayback(RATE)
    playback.push("item", 0, tone(0.009))
    playback.end("item")
    playback.produce()
    audio = played(playback, 0.2)
    assert 400 < np.count_nonzero(np.abs(audio) > 100) < 500
    assert not playback.audible


def test_replies_follow_each_other_in_order_and_each_ends_by_itself() -> None:
    firsts: list[str] = []
    playback = ClientPlayback(RATE, on_first=lambda item_id, offset: firsts.append(item_id))
    playback.push("first", 0, tone(0.5))
    playback.push("second", 0, tone(0.5))
    playback.end("second")
    playback.produce()
    audio = played(playback, 1.2)
    assert firsts == ["first", "second"]
    assert np.count_nonzero(np.abs(audio) > 100) > 0.95 * RATE
    assert not playback.audible


def test_a_callback_reports_the_offset_of_an_items_first_sample() -> None:
    firsts: list[tuple[str, int]] = []
    playback = ClientPlayback(RATE, on_first=lambda item_id, offset: firsts.append((item_id, offset)))
    playback.push("first", 0, tone(0.1))
    playback.push("second", 0, tone(0.1))
    playback.end("second")
    playback.produce()
    played(playback, 0.5)
    (_, zero), (_, offset) = firsts
    assert zero == 0
    # The first item is 4,800 samples long, which is five callbacks, give or take what the filter rounds.
    assert min(offset, CALLBACK - offset) <= 2


@pytest.mark.parametrize("after_callbacks", [1, 7, 25, 49])
def test_an_interruption_silences_within_a_block_and_knows_the_milliseconds_that_were_heard(
    after_callbacks: int,
) -> None:
    playback = ClientPlayback(RATE)
    playback.push("item", 0, tone(5.0))
    playback.produce()
    before = played(playback, after_callbacks * CALLBACK / RATE)
    heard = playback.interrupt()
    after = played(playback, 1.0)
    assert heard == [PlayedSpan("item", 0, len(before) * 1000 // RATE + FADE_MS, 5000)]
    last = int(np.flatnonzero(after)[-1])
    assert last < FADE_MS * RATE // 1000 < BLOCK_MS * RATE // 1000
    assert steepest(np.concatenate([before, after])) < LARGEST_STEP
    assert not playback.audible


def test_what_was_not_begun_counts_as_unheard_and_what_was_heard_out_is_not_mentioned() -> None:
    playback = ClientPlayback(RATE)
    for item in ("heard out", "playing", "waiting"):
        playback.push(item, 0, tone(0.5))
    playback.produce()
    played(playback, 0.7)
    heard = playback.interrupt()
    assert [(cut.item_id, cut.heard_ms) for cut in heard] == [("playing", 200 + FADE_MS), ("waiting", 0)]


def test_audio_that_comes_late_for_an_interrupted_reply_is_not_played() -> None:
    playback = ClientPlayback(RATE)
    playback.push("item", 0, tone(1.0))
    playback.produce()
    played(playback, 0.3)
    playback.interrupt()
    played(playback, 0.1)
    assert playback.push("item", 0, tone(1.0)) is False
    playback.produce()
    assert not played(playback, 0.5).any()
    assert playback.push("next", 0, tone(1.0)) is True
    playback.produce()
    assert played(playback, 0.5).any()


def test_an_interruption_of_silence_says_nothing() -> None:
    assert ClientPlayback(RATE).interrupt() == []


@pytest.mark.parametrize("gap_after_s", [0.1, 0.5, 0.513])
def test_an_underrun_is_counted_once_and_does_not_click(gap_after_s: float) -> None:
    playback = ClientPlayback(RATE)
    playback.push("item", 0, tone(gap_after_s))
    playback.produce()
    audio = [played(playback, gap_after_s + 0.5)]
    assert playback.underruns == 1
    assert playback.missing_samples > 0.4 * RATE
    playback.push("item", 0, tone(0.5, start=round(gap_after_s * WIRE_RATE)))
    playback.end("item")
    playback.produce()
    audio.append(played(playback, 1.0))
    whole = np.concatenate(audio)
    # The end of the tone itself, which is torn off, is not faded.
    assert steepest(whole[: np.flatnonzero(whole)[-1] - 50]) < LARGEST_STEP
    assert playback.underruns == 1
    assert np.count_nonzero(np.abs(whole) > 100) > 0.93 * (gap_after_s + 0.5) * RATE


def test_silence_before_and_after_a_reply_is_no_underrun() -> None:
    playback = ClientPlayback(RATE)
    played(playback, 0.5)
    playback.push("item", 0, tone(0.5))
    playback.end("item")
    playback.produce()
    played(playback, 2.0)
    assert playback.underruns == 0


def test_no_more_than_a_few_blocks_are_made_ahead() -> None:
    playback = ClientPlayback(RATE)
    playback.push("item", 0, tone(60.0))
    playback.produce()
    ahead = 0
    while playback.take(CALLBACK).any():
        ahead += CALLBACK
    assert ahead <= (BLOCKS + 1) * BLOCK_MS * RATE // 1000
    assert playback.wants_more


def test_a_server_that_never_stops_sending_is_an_error_and_not_memory() -> None:
    playback = ClientPlayback(RATE)
    minute = np.zeros(60 * WIRE_RATE, dtype=np.int16)
    for _ in range(BACKLOG_S // 60):
        playback.push("item", 0, minute)
    with pytest.raises(BacklogFull):
        playback.push("item", 0, minute)
