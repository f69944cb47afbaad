"""The bytes of a voice server: frames whole however they are split, and nothing kept for a frame that cannot be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley.engines.ports import Samples
from parley.engines.vc.voice_protocol import HEAD, FrameDecoder, FrameInvalid, encode_frame

LONGEST = 24_000

frames = st.lists(st.lists(st.integers(-32_768, 32_767), max_size=40), max_size=10)


def samples(values: list[int]) -> Samples:
    return np.array(values, np.float32) / np.float32(32_768)


@given(frames, st.lists(st.integers(0, 50), max_size=60))
def test_any_split_of_the_bytes_gives_the_same_frames(sent: list[list[int]], sizes: list[int]) -> None:
    data = b"".join(encode_frame(samples(values)) for values in sent)
    decoder = FrameDecoder(LONGEST)
    got: list[Samples] = []
    at = 0
    for size in (*sizes, len(data)):
        got.extend(decoder.push(data[at : at + size]))
        at += size
    assert [list(np.rint(frame * 32_768)) for frame in got] == sent
    assert not decoder.partial


@given(st.integers(0, 2**32 - 1))
def test_a_length_that_cannot_be_is_refused_by_its_head(length: int) -> None:
    decoder = FrameDecoder(LONGEST)
    if length % 2 or length > 2 * LONGEST:
        with pytest.raises(FrameInvalid) as caught:
            list(decoder.push(HEAD.pack(length)))
        assert str(length) in caught.value.message
        assert caught.value.remedy
    else:
        assert len(list(decoder.push(HEAD.pack(length)))) == (length == 0)


@given(st.binary(max_size=300), st.integers(1, 30))
def test_garbage_is_frames_or_refused_and_never_kept(data: bytes, size: int) -> None:
    decoder = FrameDecoder(16)
    try:
        for at in range(0, len(data), size):
            for frame in decoder.push(data[at : at + size]):
                assert len(frame) <= 16
            assert len(decoder._bytes) < HEAD.size + 32
    except FrameInvalid:
        pass


def test_frames_before_an_invalid_one_are_given() -> None:
    decoder = FrameDecoder(LONGEST)
    got = decoder.push(encode_frame(samples([1, 2])) + HEAD.pack(3))
    assert len(next(got)) == 2
    with pytest.raises(FrameInvalid, match="half a sample"):
        next(got)


def test_a_frame_that_has_begun_is_partial() -> None:
    decoder = FrameDecoder(LONGEST)
    list(decoder.push(encode_frame(samples([1, 2]))[:5]))
    assert decoder.partial
