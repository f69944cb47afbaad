"""A recording that is decoded while it is used: whatever happens to its request, nothing of it goes on."""

from __future__ import annotations

import asyncio
import io
import os
import tempfile
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, suppress
from pathlib import Path

import numpy as np
import pytest

from parley.audio import decoding_worker
from parley.server.incoming_audio import UploadedAudio, incoming_audio
from parley.server.refusals import Refused
from tests.audio.containers import container
from tests.runtime.rig import settled
from tests.server.recordings import wav

MINUTE = container(np.zeros(24_000 * 60, np.int16), 24_000, "flac", "flac")


def coming(data: bytes) -> AbstractAsyncContextManager[UploadedAudio]:
    return incoming_audio(io.BytesIO(data), max_seconds=90, max_rate=24_000)


def decoding() -> Iterator[int]:
    """The processes of ours that decode."""
    if not Path("/proc/self/task").exists():
        pytest.skip("there is no /proc here")
    for thread in os.listdir("/proc/self/task"):
        with suppress(OSError):
            for child in Path(f"/proc/self/task/{thread}/children").read_text().split():
                with suppress(OSError):
                    if decoding_worker.__name__.encode() in Path(f"/proc/{child}/cmdline").read_bytes():
                        yield int(child)


async def test_a_recording_that_is_left_in_its_middle_is_decoded_no_further() -> None:
    async with coming(MINUTE) as audio:
        pieces = audio.pieces()
        assert len(await anext(pieces)) == 12_000
        assert audio.seconds == 0.5
        assert len(list(decoding())) == 1
        await pieces.aclose()
    assert not list(decoding())


@pytest.mark.parametrize("turns", [1, 5, 500])
async def test_a_request_that_is_cancelled_while_its_file_is_opened_leaves_no_process(turns: int) -> None:
    async def use() -> None:
        async with coming(MINUTE) as audio:
            async for _ in audio.pieces():
                await asyncio.Event().wait()

    using = asyncio.create_task(use())
    for _ in range(turns):
        await asyncio.sleep(0)
    using.cancel()
    with suppress(asyncio.CancelledError):
        await using
    await settled(lambda: not list(decoding()))


async def test_a_request_that_is_cancelled_while_a_piece_is_decoded_ends_at_once() -> None:
    async with coming(MINUTE) as audio:

        async def use() -> int:
            return len([piece async for piece in audio.pieces()])

        using = asyncio.create_task(use())
        await asyncio.sleep(0)
        using.cancel()
        await asyncio.gather(using, return_exceptions=True)
    assert not list(decoding())


async def test_a_disk_that_takes_no_file_is_said_to_be_the_servers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    with pytest.raises(Refused) as refused:
        async with coming(MINUTE):
            pass
    assert (refused.value.refusal.status, refused.value.refusal.code) == (503, "decoding_failed")
    async with coming(wav()) as audio:
        assert (await anext(audio.pieces())).any() or audio.seconds > 0, "a plain WAV needs none"
