"""One turn of a conversation with a full-duplex model: its audio out, then silence, and the answer in.

Laws:
- The model makes one frame for each that it is given. It is fed as fast as it answers, and never slower than in real time; what is on its
  way is bounded.
- Who takes the answer slowly slows the model.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Final

import numpy as np

from parley.audio.types import Samples
from parley.engines.ports import SpokenDelta
from parley.engines.speech.moshi_answer import AnswerFinder, AnswerLimits
from parley.engines.speech.moshi_errors import MoshiFaults
from parley.engines.speech.moshi_link import MoshiLink
from parley.engines.speech.moshi_opus import FRAME, RATE

AHEAD_FRAMES: Final = 8
"""Frames on their way to the model and back while it keeps up: 640 ms, of which its own delay is up to 320 ms."""

MOST_AHEAD_FRAMES: Final = 25
"""While it does not: 2 s, then nothing more is sent until it answers."""

MAX_UNSPOKEN_CHARS: Final = 16 * 1024
"""Of text that comes without audio."""

FRAME_S: Final = FRAME / RATE


def finder_for(link: MoshiLink, audio: Samples, limits: AnswerLimits) -> AnswerFinder:
    """What finds the answer to a turn that is sent next."""
    frames = -(-len(audio) // FRAME)
    start = link.sent - link.lag
    return AnswerFinder(link.got, start, start + frames * FRAME, limits)


async def talk(
    link: MoshiLink, audio: Samples, finder: AnswerFinder, faults: MoshiFaults, timeout_s: float
) -> AsyncGenerator[SpokenDelta, None]:
    """Send the turn, then silence; yield what belongs to the answer until it is over. Raises `EngineError`."""
    loop = asyncio.get_running_loop()
    at, sent_s, heard_s = 0, 0.0, loop.time()
    while not finder.over:
        ahead, now = (link.sent - link.got) // FRAME, loop.time()
        if ahead < AHEAD_FRAMES or (ahead < MOST_AHEAD_FRAMES and now - sent_s >= FRAME_S):
            frame = audio[at : at + FRAME]
            at += len(frame)
            await link.send(np.clip(np.pad(frame, (0, FRAME - len(frame))), -1.0, 1.0))
            sent_s = loop.time()
            await asyncio.sleep(0)  # a frame costs a millisecond: others come in between
            continue
        if now - heard_s >= timeout_s:
            raise faults.stalled(timeout_s)
        until = heard_s + timeout_s if ahead >= MOST_AHEAD_FRAMES else min(sent_s + FRAME_S, heard_s + timeout_s)
        try:
            async with asyncio.timeout_at(until):
                got = await link.receive()
        except TimeoutError:
            continue
        if isinstance(got, str):
            finder.text(got)
            if finder.unspoken > MAX_UNSPOKEN_CHARS:
                raise faults.invalid("much text comes without audio")
        elif len(got):
            heard_s = loop.time()
            if (piece := finder.audio(got)) is not None:
                yield piece
                heard_s = loop.time()  # whoever takes the answer may be slow
