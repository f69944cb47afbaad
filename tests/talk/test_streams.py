"""Streams of a sound library that end, and one that never does: the library is a stand-in, which waits as PortAudio was seen to wait."""

from __future__ import annotations

import atexit
import threading
from collections.abc import Iterator

import pytest

from parley.talk import streams
from parley.talk.streams import end_streams, list_devices_again


class Stream:
    def __init__(self, ends: threading.Event | None = None) -> None:
        self._ends = ends
        self.closed = threading.Event()

    def abort(self, *, ignore_errors: bool) -> None:
        if self._ends is not None:
            self._ends.wait()

    def close(self, *, ignore_errors: bool) -> None:
        self.closed.set()


class Library:
    """What of `sounddevice` is used."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        atexit.register(self._exit_handler)

    def _exit_handler(self) -> None:
        self.calls.append("exit")

    def _terminate(self) -> None:
        self.calls.append("terminate")

    def _initialize(self) -> None:
        self.calls.append("initialize")


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Iterator[Library]:
    monkeypatch.setattr(streams, "_left", [])
    monkeypatch.setattr(streams, "CLOSING_S", 0.1)
    library = Library()
    yield library
    atexit.unregister(library._exit_handler)


def test_streams_that_end_are_closed_and_devices_are_listed_again(library: Library) -> None:
    both = [Stream(), Stream()]
    end_streams(library, both)
    assert all(stream.closed.is_set() for stream in both)
    list_devices_again(library)
    assert library.calls == ["terminate", "initialize"]


def test_a_stream_that_does_not_end_is_left_and_the_library_is_never_ended(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    unregistered: list[object] = []
    monkeypatch.setattr(atexit, "unregister", unregistered.append)
    ends = threading.Event()
    stuck = Stream(ends)
    end_streams(library, [stuck])
    assert not stuck.closed.is_set()
    assert streams._left == [stuck], "PortAudio's thread may still call it"
    assert unregistered == [library._exit_handler], "the exit would wait for it"
    list_devices_again(library)
    assert library.calls == []
    # Others end as before.
    other = Stream()
    end_streams(library, [other])
    assert other.closed.is_set()
    ends.set()
    assert stuck.closed.wait(5)
