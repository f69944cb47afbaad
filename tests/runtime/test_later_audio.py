"""Audio that waits behind a buffer comes into it in order, and is copied a slice at a time."""

from __future__ import annotations

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from parley.runtime.later_audio import SLICE_BYTES, LaterAudio

sizes = st.one_of(st.integers(0, 2_000), st.integers(SLICE_BYTES - 1, 3 * SLICE_BYTES))
steps = st.lists(st.tuples(st.sampled_from(["append", "move", "use", "clear"]), sizes), max_size=30)


@given(steps)
def test_audio_comes_into_the_buffer_in_order(steps: list[tuple[str, int]]) -> None:
    later, buffer, expected, written = LaterAudio(), bytearray(), b"", 0
    for step, size in steps:
        match step:
            case "append":
                audio = bytes([written % 251]) * size
                written += 1
                later.append(audio)
                expected += audio
            case "move":
                later.move(buffer, size)
                assert len(buffer) >= min(size, len(expected))
            case "use":
                del buffer[:size]
                expected = bytes(buffer) + expected[len(expected) - later.size :]
            case _:
                later.clear()
                expected = bytes(buffer)
        assert later.size == len(expected) - len(buffer)
    later.move(buffer, len(expected))
    assert (bytes(buffer), later.size) == (expected, 0)


def test_a_long_piece_is_copied_a_slice_at_a_time() -> None:
    later, buffer, audio = LaterAudio(), bytearray(), bytes(4 << 20)
    tracemalloc.start()
    try:
        later.append(audio)
        while later.size:
            later.move(buffer, 1_000)
            buffer.clear()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * SLICE_BYTES
