from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley.core.regions import input_audio
from parley.core.regions.input_audio import InputBuffer
from parley.core.words.settings import AudioFormat


@given(st.lists(st.binary(max_size=50)), st.sampled_from(AudioFormat))
def test_any_splitting_of_the_stream_gives_the_same_audio_and_positions(
    chunks: list[bytes], format: AudioFormat
) -> None:
    buffer = InputBuffer(format)
    pieces = [buffer.append(chunk) for chunk in chunks]
    whole = b"".join(chunks)
    whole = whole[: len(whole) - len(whole) % format.frame_bytes]
    assert b"".join(piece for _, piece in pieces) == whole
    assert buffer.received == format.samples(len(whole))
    assert buffer.span(0, buffer.received) == whole
    position = 0
    for start, piece in pieces:
        assert start == position
        position += format.samples(len(piece))


def test_a_sample_is_committed_once_and_later_audio_stays() -> None:
    buffer = InputBuffer(AudioFormat.PCM16)
    buffer.append(bytes(range(200)))
    assert buffer.commit(10, 60) == bytes(range(20, 120))
    assert buffer.begins == 60
    assert buffer.span(0, 100) == bytes(range(120, 200))


def test_positions_go_on_after_a_clear_and_a_change_of_format() -> None:
    buffer = InputBuffer(AudioFormat.PCM16)
    buffer.append(bytes(481))
    buffer.clear()
    assert (buffer.begins, buffer.received, buffer.buffered) == (240, 240, 0)
    buffer.change_format(AudioFormat.PCMU)
    assert buffer.append(bytes(10)) == (240, bytes(10))
    assert buffer.received == 270
    assert buffer.span(240, 270) == bytes(10)


moves = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(0, 60), st.just(0)),
        st.tuples(st.sampled_from(["commit", "span"]), st.integers(0, 90), st.integers(0, 90)),
        st.tuples(st.just("trim"), st.integers(0, 90), st.just(0)),
    ),
    max_size=30,
)


@given(moves, st.sampled_from([1, 8, 1_000]))
def test_long_appends_are_kept_as_short_ones_are(moves: list[tuple[str, int, int]], long: int) -> None:
    """Against one array of everything that was appended; a sample of G.711 is one byte, and three positions."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(input_audio, "LONG_BYTES", long)
        buffer, whole, begins = InputBuffer(AudioFormat.PCMU), b"", 0
        for move, first, second in moves:
            if move == "append":
                audio = bytes((len(whole) + index) % 251 for index in range(first))
                assert buffer.append(audio) == (len(whole) * 3, audio)
                whole += audio
                continue
            start, end = begins + first, begins + first + second
            if move == "trim":
                buffer.trim(start * 3)
                begins = min(start, len(whole))
            elif move == "span":
                assert buffer.span(start * 3, end * 3) == whole[start:end]
            else:
                assert buffer.commit(start * 3, end * 3) == whole[start:end]
                begins = max(begins, min(end, len(whole)))
            assert (buffer.begins, buffer.buffered) == (begins * 3, (len(whole) - begins) * 3)
            assert buffer.span(0, len(whole) * 3) == whole[begins:]


def test_a_long_append_that_is_committed_whole_is_not_copied() -> None:
    buffer, audio = InputBuffer(AudioFormat.PCM16), bytes(input_audio.LONG_BYTES)
    buffer.append(bytes(100))
    buffer.append(audio)
    assert buffer.commit(50, buffer.received) is audio
    assert buffer.buffered == 0


def test_the_memory_of_a_long_append_is_given_back_before_all_of_it_is_used() -> None:
    tracemalloc.start()
    try:
        buffer, audio = InputBuffer(AudioFormat.PCM16), bytes(16 * input_audio.LONG_BYTES)
        buffer.append(audio)
        del audio
        buffer.trim(buffer.received - 1_000)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < input_audio.LONG_BYTES


@pytest.mark.parametrize("format", list(AudioFormat))
@given(before=st.lists(st.binary(max_size=7), max_size=6), audio=st.binary(max_size=9))
def test_how_much_an_append_would_fill_the_buffer_is_known_before(
    format: AudioFormat, before: list[bytes], audio: bytes
) -> None:
    buffer = InputBuffer(format)
    for piece in before:
        buffer.append(piece)
    expected = buffer.buffered_with(audio)
    buffer.append(audio)
    assert buffer.buffered == expected
