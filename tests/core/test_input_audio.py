from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from parley.core.input_audio import InputAudio
from parley.core.settings import AudioFormat


@given(st.lists(st.binary(max_size=50)), st.sampled_from(AudioFormat))
def test_any_splitting_of_the_stream_gives_the_same_audio_and_positions(
    chunks: list[bytes], format: AudioFormat
) -> None:
    buffer = InputAudio(format)
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
    buffer = InputAudio(AudioFormat.PCM16)
    buffer.append(bytes(range(200)))
    assert buffer.commit(10, 60) == bytes(range(20, 120))
    assert buffer.begins == 60
    assert buffer.span(0, 100) == bytes(range(120, 200))


def test_positions_go_on_after_a_clear_and_a_change_of_format() -> None:
    buffer = InputAudio(AudioFormat.PCM16)
    buffer.append(bytes(481))
    buffer.clear()
    assert (buffer.begins, buffer.received, buffer.buffered) == (240, 240, 0)
    buffer.change_format(AudioFormat.PCMU)
    assert buffer.append(bytes(10)) == (240, bytes(10))
    assert buffer.received == 270
    assert buffer.span(240, 270) == bytes(10)
