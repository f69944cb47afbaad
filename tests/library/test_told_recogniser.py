"""What a session or a recording tells its recogniser of the speech, and what it learns of how sure the recogniser was."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import numpy as np
import pytest

import parley
from parley.engines.ports import STT, TokenLogprob, Transcript
from parley.library.errors import LibraryError
from parley.library.events import TurnEnded
from parley.library.recorded_speech import for_recordings
from parley.library.transcription import HearingOptions, SegmentPauses, atranscribed
from parley.testing.fakes import FakeRecognizer
from tests.library.rig import RATE, cut, of, pipeline, silence, voice

HEARD = Transcript("hello there", confidence=0.75, logprobs=(TokenLogprob("hello", -0.5), TokenLogprob(" there", -1.0)))
TALK = np.concatenate([silence(300), voice(900), silence(900)])
TOLD = parley.Transcription(prompt="Names: Ada.", keywords=("Lovelace",), language="en")


def test_a_session_tells_its_recogniser_and_learns_how_sure_it_was() -> None:
    stt = FakeRecognizer(HEARD, HEARD)
    with pipeline(stt=stt, llm=None, tts=None) as opened:
        for logprobs in (True, False):
            session = parley.VoiceSession(opened, sample_rate=RATE, transcription=TOLD, logprobs=logprobs)
            (ended,) = of(TurnEnded, session.run(TALK))
            assert ended.turn.confidence == 0.75
            tokens = [(token.text, token.logprob) for token in ended.turn.tokens]
            assert tokens == ([("hello", -0.5), (" there", -1.0)] if logprobs else [])
            session.close()
    spec = stt.streams[0].spec
    assert (spec.prompt, spec.keywords, spec.language) == ("Names: Ada.", ("Lovelace",), "en")
    assert [stream.spec.logprobs for stream in stt.streams] == [True, False]


@pytest.mark.parametrize("wrong", [{"transcription": "English"}, {"logprobs": "yes"}])
def test_what_is_no_description_of_speech_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(LibraryError, match=next(iter(wrong))):
        parley.VoiceSession(pipeline(), sample_rate=RATE, **wrong)


async def test_a_recording_may_come_while_it_is_read_and_waits_behind_live_speech() -> None:
    stt = FakeRecognizer(HEARD)

    async def coming() -> AsyncIterator[Any]:
        for piece in cut(TALK, 12_000):
            yield piece

    async with pipeline(stt=stt, llm=None, tts=None) as opened:
        loaded = for_recordings(await opened._here(), "pt")
        around = parley.Pipeline.around(loaded)
        hearing = HearingOptions(TOLD, logprobs=True)
        async with aclosing(atranscribed(around, coming(), RATE, hearing)) as segments:
            (segment,) = [segment async for segment in segments]
        await around.aclose()
        assert not loaded.engines[STT].info.timings
    assert (segment.text, segment.confidence, len(segment.tokens)) == ("hello there", 0.75, 2)
    assert stt.streams[0].spec.live is False
    assert (stt.opened, stt.closed) == (1, 1), "the recogniser is its owner's to close"


def test_the_longer_a_stretch_is_the_shorter_the_pause_that_ends_it() -> None:
    def pauses(rule: SegmentPauses) -> list[int]:
        return [rule(parley.PauseSeen(0, turn_ms, "", None)) for turn_ms in (1_000, 12_000, 24_000)]

    assert pauses(SegmentPauses()) == [500, 200, 96]
    assert pauses(SegmentPauses(150)) == [150, 150, 96]
    assert pauses(SegmentPauses(2_000)) == [2_000, 200, 96]
