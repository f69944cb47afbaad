"""The limits of a session are consistent."""

from __future__ import annotations

from typing import cast

from parley.core.words import limits
from parley.core.words.limits import (
    AUDIO_DELTA_BYTES,
    CONFIRM_SPEECH_MS,
    FOLLOW_UP_WAIT_NS,
    GENERATION_SILENCE_NS,
    IDLE_MAX_MS,
    IDLE_MIN_MS,
    JUDGE_AFTER_MS,
    KEPT_AUDIO_BYTES,
    MAX_APPEND_BYTES,
    MAX_AUDIO_PARTS,
    MAX_BROUGHT_CHARACTERS,
    MAX_BUFFERED_MS,
    MAX_IMAGE_BYTES,
    MAX_ITEM_TEXT,
    MAX_PENDING_TURNS,
    MAX_RETRIEVED_AUDIO_BYTES,
    MAX_RETRIEVED_CALL_AUDIO_BYTES,
    MAX_TURN_MS,
    MAX_WAITING_MS,
    MIN_COMMIT_MS,
    MIN_SHOWN_CHARACTERS,
    REJECT_PAUSE_MS,
    SAMPLE_RATE,
    SAMPLES_PER_MS,
    STALLED_MICROPHONE_NS,
    TRANSCRIPT_WAIT_NS,
)
from parley.core.words.settings import AudioFormat

PCM = AudioFormat.PCM16


def test_every_limit_is_a_positive_number() -> None:
    named = {name: cast(object, value) for name, value in vars(limits).items() if name.isupper()}
    assert len(named) > 40
    assert [name for name, value in named.items() if not isinstance(value, int | float) or value <= 0] == []


def test_positions_are_samples_of_24_khz() -> None:
    assert SAMPLE_RATE == 1000 * SAMPLES_PER_MS == PCM.rate


def test_the_longest_turn_and_the_longest_append_fit_into_the_buffer() -> None:
    assert MIN_COMMIT_MS < MAX_TURN_MS <= MAX_BUFFERED_MS
    assert PCM.samples(MAX_APPEND_BYTES) <= MAX_BUFFERED_MS * SAMPLES_PER_MS


def test_no_limit_on_bytes_splits_a_sample() -> None:
    for limit in (MAX_RETRIEVED_AUDIO_BYTES, MAX_RETRIEVED_CALL_AUDIO_BYTES, AUDIO_DELTA_BYTES):
        assert limit % PCM.frame_bytes == 0


def test_retrieved_and_sent_events_stay_under_the_message_size_limit_of_clients() -> None:
    encoded = -(-MAX_RETRIEVED_AUDIO_BYTES // 3) * 4
    assert encoded < 1024 * 1024
    assert AUDIO_DELTA_BYTES < MAX_RETRIEVED_AUDIO_BYTES < KEPT_AUDIO_BYTES
    assert -(-MAX_RETRIEVED_CALL_AUDIO_BYTES // 3) * 4 < 240 * 1024, "beside it there is room for a transcript"


def test_the_audio_of_one_item_fits_the_transcription_backlog() -> None:
    assert MAX_AUDIO_PARTS < MAX_PENDING_TURNS
    assert MAX_WAITING_MS * 1_000_000 / TRANSCRIPT_WAIT_NS == 6


def test_the_largest_item_fits_into_a_conversation() -> None:
    assert MAX_ITEM_TEXT + MAX_IMAGE_BYTES < MAX_BROUGHT_CHARACTERS
    assert MIN_SHOWN_CHARACTERS < MAX_ITEM_TEXT


def test_a_backchannel_is_rejected_before_a_voice_of_its_length_takes_the_floor() -> None:
    assert JUDGE_AFTER_MS < REJECT_PAUSE_MS < CONFIRM_SPEECH_MS


def test_the_shortest_idle_timeout_is_longer_than_the_stall_timeout_of_a_microphone() -> None:
    assert STALLED_MICROPHONE_NS < IDLE_MIN_MS * 1_000_000 < IDLE_MAX_MS * 1_000_000


def test_the_delay_for_a_clients_request_is_far_shorter_than_the_model_timeout() -> None:
    assert FOLLOW_UP_WAIT_NS < STALLED_MICROPHONE_NS < GENERATION_SILENCE_NS
