from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from parley.core.regions.playback import Heard, PacedPlayback, Playback, RemotePlayback, Sound
from parley.core.words.effects import Effect, Play, StopPlayback, Tell
from parley.core.words.ids import ItemId, ResponseId
from parley.core.words.notices import (
    InputCleared,
    ItemTruncated,
    OutputBufferCleared,
    OutputBufferStarted,
    OutputBufferStopped,
)
from parley.core.words.settings import AudioFormat

A, B = ItemId("a"), ItemId("b")
R, S = ResponseId("r"), ResponseId("s")
MS = 1_000_000


def test_a_remote_listener_hears_in_real_time_from_the_first_chunk_on() -> None:
    playback = RemotePlayback()
    playback.queue(A, R, 0, 24_000, 0)
    playback.queue(A, R, 24_000, 24_000, 10 * MS)
    assert playback.silent_at(10 * MS) == 2000 * MS
    assert playback.stop(500 * MS) == [Heard(A, 12_000)]
    assert not playback.audible(500 * MS)


def test_a_late_chunk_is_heard_only_after_it_arrived() -> None:
    playback = RemotePlayback()
    playback.queue(A, R, 0, 2400, 0)
    playback.queue(A, R, 2400, 2400, 1000 * MS)  # 900 ms of silence in between
    assert playback.stop(1050 * MS) == [Heard(A, 2400 + 1200)]


def test_stopping_two_replies_gives_the_heard_part_of_each() -> None:
    playback = RemotePlayback()
    playback.queue(A, R, 0, 24_000, 0)
    playback.queue(B, S, 0, 24_000, 0)
    assert playback.plays(S, 0)
    assert playback.stop(1250 * MS) == [Heard(B, 6_000)]
    playback = RemotePlayback()
    playback.queue(A, R, 0, 24_000, 0)
    playback.queue(B, S, 0, 24_000, 0)
    assert playback.stop(250 * MS) == [Heard(A, 6_000), Heard(B, 0)]


def test_an_item_in_two_places_is_cut_at_the_first_unheard_sample() -> None:
    playback = RemotePlayback()
    for item, start in ((A, 0), (B, 0), (A, 2_400)):
        playback.queue(item, R, start, 2_400, 0)
    assert playback.stop(50 * MS) == [Heard(A, 1_200), Heard(B, 0)]


def test_a_fully_heard_item_is_not_cut() -> None:
    playback = RemotePlayback()
    playback.queue(A, R, 0, 2400, 0)
    assert playback.stop(101 * MS) == []


def test_paced_playback_counts_only_reported_audio() -> None:
    playback = PacedPlayback()
    playback.queue(A, R, 0, 4800, 0)
    playback.played(1000)
    assert playback.audible(10**12)
    assert playback.silent_at(0) is None
    assert playback.stop(10**12) == [Heard(A, 1000)]


def test_clearing_one_item_leaves_the_others_playing() -> None:
    playback = RemotePlayback()
    playback.queue(A, R, 0, 24_000, 0)
    playback.queue(B, S, 0, 24_000, 0)
    playback.drop(A, 500 * MS)
    assert not playback.plays(R, 500 * MS)
    assert playback.silent_at(500 * MS) == 1500 * MS


def test_earlier_playback_is_not_counted_with_current_playback() -> None:
    playback = RemotePlayback()
    playback.queue(A, R, 0, 2_400, 0)
    assert not playback.audible(100 * MS)
    assert playback.silent_at(100 * MS) is None
    playback.queue(A, R, 2_400, 2_400, 5_000 * MS)
    assert playback.silent_at(5_000 * MS) == 5_100 * MS
    assert not playback.plays(S, 5_000 * MS)
    assert playback.heard(5_050 * MS) == [Heard(A, 3_600)]


def test_the_last_sample_is_heard_at_its_very_end() -> None:
    playback = RemotePlayback()
    playback.queue(A, R, 0, 24, 0)
    assert playback.audible(MS - 1)
    assert playback.heard(MS - 1) == [Heard(A, 23)]
    assert playback.heard(MS) == []


def test_the_longest_reply_is_counted_to_the_sample_and_the_nanosecond() -> None:
    playback = RemotePlayback()
    half_an_hour = 30 * 60 * 24_000 + 1
    playback.queue(A, R, 0, half_an_hour, 0)
    assert playback.heard(0) == [Heard(A, 0)]
    ends = playback.silent_at(0)
    assert isinstance(ends, int)
    assert ends == half_an_hour * MS // 24
    assert playback.heard(30 * 60 * 1_000 * MS) == [Heard(A, half_an_hour - 1)]


def test_unheard_audio_is_listed_in_playback_order() -> None:
    playback = RemotePlayback()
    playback.queue(A, R, 0, 2_400, 0)
    playback.queue(A, R, 2_400, 2_400, 0)
    playback.queue(B, S, 0, 2_400, 0)
    rest = [(sound.item, sound.start, sound.samples, left) for sound, left in playback.unheard(150 * MS)]
    assert rest == [(A, 0, 4_800, 1_200), (B, 0, 2_400, 2_400)]
    assert [(sound.item, left) for sound, left in playback.unheard(200 * MS)] == [(B, 2_400)]


def test_after_a_stop_nothing_plays_and_new_audio_starts_at_its_beginning() -> None:
    for playback in (RemotePlayback(), PacedPlayback()):
        playback.queue(A, R, 0, 4_800, 0)
        assert playback.stop(0) == [Heard(A, 0)]
        assert not playback.audible(0)
        assert playback.unheard(0) == []
        playback.queue(B, S, 0, 2_400, 0)
        assert [(sound.item, left) for sound, left in playback.unheard(0)] == [(B, 2_400)]


def test_where_the_server_plays_each_item_is_heard_as_far_as_it_was_sent() -> None:
    playback = PacedPlayback()
    playback.queue(A, R, 0, 2_400, 0)
    playback.queue(B, S, 0, 2_400, 0)
    playback.played(3_000)
    assert playback.heard(0) == [Heard(B, 600)]
    playback.played(9_999)
    assert not playback.audible(0)
    playback.queue(A, R, 2_400, 2_400, 0)
    playback.queue(B, S, 2_400, 2_400, 0)
    assert playback.drop(A, 0), "all output stops with it"
    assert not playback.drop(ItemId("unknown"), 0)


@given(st.lists(st.tuples(st.integers(1, 48_000), st.integers(0, 3000)), min_size=1, max_size=10), st.integers(0, 5000))
def test_heard_never_exceeds_the_sent_audio_or_the_elapsed_time(chunks: list[tuple[int, int]], wait_ms: int) -> None:
    playback, now, sent = RemotePlayback(), 0, 0
    for samples, gap_ms in chunks:
        playback.queue(A, R, sent, samples, now)
        sent += samples
        now += gap_ms * MS
    now += wait_ms * MS
    for cut in playback.stop(now):
        assert 0 <= cut.samples < sent
        assert cut.samples <= now * 24 // MS + 1


# --- what is sent and reported ---------------------------------------------------------------------------------------------------

PCM = AudioFormat.PCM16
DELTAS = (InputCleared(),)  # any notice that the client would play


def sends(
    playback: Playback, item: ItemId = A, response: ResponseId = R, *, now: int = 0, heard: bool = True
) -> list[Effect]:
    """Send 100 ms of this item's audio."""
    return playback.send(Sound(item, response, 0, 2_400), bytes(4_800), PCM, DELTAS, now, heard=heard)


def test_where_the_client_plays_it_is_sent_audio_and_no_buffer_notices() -> None:
    playback = RemotePlayback()
    assert sends(playback) == [Tell(InputCleared())]
    assert list(playback.sounding) == [R]
    cuts, effects = playback.silence(50 * MS)
    assert (cuts, effects, playback.cleared(cuts)) == ([Heard(A, 1_200)], [], [])
    assert not playback.sounding
    assert not playback.holds_buffer


def test_where_the_server_plays_the_client_gets_the_buffers_start_and_clear() -> None:
    playback = PacedPlayback()
    assert sends(playback) == [Tell(OutputBufferStarted(R)), Play(R, bytes(4_800), PCM)]
    assert sends(playback, B) == [Play(R, bytes(4_800), PCM)], "it has already started"
    playback.played(1_200)
    cuts, effects = playback.silence(0)
    assert (cuts, effects) == ([Heard(A, 1_200), Heard(B, 0)], [StopPlayback()])
    assert playback.cleared(cuts) == [OutputBufferCleared(R), ItemTruncated(A, 0, 50), ItemTruncated(B, 0, 0)]
    assert playback.silence(0) == ([], []), "nothing plays any more"
    assert playback.holds_buffer


def test_audio_the_client_stopped_is_not_counted_as_heard() -> None:
    remote, paced = RemotePlayback(), PacedPlayback()
    assert sends(remote, heard=False) == [Tell(InputCleared())], "the client is still sent the deltas"
    assert sends(paced, heard=False) == []
    assert not remote.audible(0)
    assert not paced.audible(0)
    assert not remote.sounding
    assert not paced.sounding


def test_an_unfinished_response_is_not_over_when_all_its_audio_was_heard() -> None:
    playback = PacedPlayback()
    assert playback.drain(None, 0) == (False, [])
    sends(playback)
    sends(playback, B, S)
    playback.played(2_400)
    assert playback.drain(R, 0) == (False, [])
    assert playback.drain(S, 0) == (True, [OutputBufferStopped(R)])
    playback.played(2_400)
    assert playback.drain(None, 0) == (True, [OutputBufferStopped(S)])
    assert playback.drain(None, 0) == (False, [])


def test_where_the_client_plays_a_response_is_over_by_the_clock_without_a_notice() -> None:
    playback = RemotePlayback()
    sends(playback)
    playback.played(2_400)  # no such link reports it, and it changes nothing
    assert playback.drain(None, 99 * MS) == (False, [])
    assert playback.drain(None, 100 * MS) == (True, [])


def test_closing_the_session_stops_only_the_servers_playback() -> None:
    remote, paced, silent = RemotePlayback(), PacedPlayback(), PacedPlayback()
    sends(remote)
    sends(paced)
    assert [playback.end(0) for playback in (remote, paced, silent)] == [[], [StopPlayback()], []]
    assert not paced.sounding


def test_where_the_server_plays_a_dropped_item_stops_all_playback_unless_it_was_fully_heard() -> None:
    playback = PacedPlayback()
    sends(playback)
    sends(playback, B)
    assert playback.drop(A, 0)
    playback.played(2_400)
    assert not playback.drop(A, 0)
    assert playback.drop(B, 0)


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 9_600)), max_size=30))
def test_where_the_server_plays_heard_is_at_most_played_and_played_at_most_sent(
    steps: list[tuple[bool, int]],
) -> None:
    playback, sent, played = PacedPlayback(), 0, 0
    for sending, samples in steps:
        if sending:
            playback.queue(A, R, sent, samples, 0)
            sent += samples
        else:
            playback.played(samples)
            played = min(sent, played + samples)
        left = sum(unheard for _, unheard in playback.unheard(0))
        assert left == sent - played
    cut = playback.stop(0)
    assert cut == ([Heard(A, played)] if played < sent else [])
