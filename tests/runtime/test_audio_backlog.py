"""The queue of waiting audio gives back what was put in, and copies long pieces a slice at a time."""

from __future__ import annotations

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from parley.runtime.audio_backlog import SLICE_BYTES, AudioBacklog

pieces = st.one_of(st.integers(0, 2_000), st.integers(SLICE_BYTES - 1, 3 * SLICE_BYTES))
steps = st.lists(
    st.one_of(
        st.tuples(st.just("append"), pieces),
        st.tuples(st.just("peek"), pieces),
        st.tuples(st.just("drop"), pieces),
        st.tuples(st.just("clear"), st.just(0)),
    ),
    max_size=30,
)


@given(steps)
def test_what_was_put_in_comes_out_in_order(steps: list[tuple[str, int]]) -> None:
    backlog, expected, written = AudioBacklog(), b"", 0
    for step, size in steps:
        match step:
            case "append":
                audio = bytes((written + index) % 251 for index in range(size))
                written += size
                backlog.append(audio)
                expected += audio
            case "peek":
                assert backlog.peek(size) == expected[:size]
            case "drop":
                backlog.drop(size)
                expected = expected[size:]
            case _:
                backlog.clear()
                expected = b""
        assert len(backlog) == len(expected)
    assert backlog.peek(len(expected)) == expected


def test_a_long_piece_is_copied_a_slice_at_a_time() -> None:
    backlog, audio = AudioBacklog(), bytes(4 << 20)
    tracemalloc.start()
    try:
        backlog.append(audio)
        while len(backlog):
            backlog.peek(1_000)
            backlog.drop(1_000)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * SLICE_BYTES
