"""Noise reduction over a real socket: how the audio was cut into messages changes nothing, and nothing of it overtakes anything."""

from __future__ import annotations

import base64

import numpy as np

from tests.server.harness import Talk, running, talking
from tests.server.test_conversation import configure, push

NOISE = np.random.default_rng(1).normal(0, 3_000, 5 * 24_000).astype("<i2").tobytes()


async def kept(talk: Talk, *, at_once: bool) -> bytes:
    """What the session keeps of the noise, sent in one message or in frames of 20 ms, and committed right after it."""
    await configure(talk, audio={"input": {"noise_reduction": {"type": "near_field"}, "turn_detection": None}})
    if at_once:
        await talk.send(type="input_audio_buffer.append", audio=base64.b64encode(NOISE).decode())
    else:
        await push(talk, NOISE)
    await talk.send(type="input_audio_buffer.commit")
    item = (await talk.until("input_audio_buffer.committed")).item_id
    await talk.send(type="conversation.item.retrieve", item_id=item)
    return base64.b64decode((await talk.until("conversation.item.retrieved")).item.content[0].audio)


async def test_a_long_append_is_cleaned_whole_before_the_commit_that_follows_it() -> None:
    async with running() as server:
        async with talking(server) as talk:
            long = await kept(talk, at_once=True)
        async with talking(server) as talk:
            short = await kept(talk, at_once=False)
    assert len(long) == len(NOISE)
    assert long == short
    assert long != NOISE
