"""The streams of one streaming recogniser of sherpa-onnx, decoded together."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from parley.engines.ports import RecognitionSpec, Samples
from parley.engines.stt import sherpa_library, sherpa_models
from parley.engines.stt.sherpa_batch import Batches
from parley.engines.stt.sherpa_library import Decoded, StreamingModel
from parley.engines.stt.sherpa_stream import SherpaStream
from parley.engines.stt.turn_stream import new_backlog
from tests.engines.test_stt_sherpa import needs_sherpa, utterance
from tests.engines.tiny_sherpa import streaming_folder


@needs_sherpa
async def test_streams_that_wait_are_decoded_in_one_call_and_get_what_each_gets_alone(tmp_path: Path) -> None:
    folder = streaming_folder(tmp_path)
    model = sherpa_models.identify(folder, "int8")
    recipe = sherpa_models.recipe(
        model, threads=1, provider="cpu", decoding="greedy_search", language="", hotwords_score=1
    )
    counting = _Counting(sherpa_library.build(**recipe), model.pad_samples)
    batches = Batches(counting, "tiny", size=8)
    turns = [utterance(number) for number in range(8)]

    def opened_stream() -> SherpaStream:
        return SherpaStream(
            RecognitionSpec(share=object()),
            lambda partial: None,
            counting,
            batches,
            new_backlog(),
            lambda stream: None,
            greedy=True,
            known_language="",
        )

    async def turn(audio: Samples) -> str:
        stream = opened_stream()
        stream.feed(audio)
        return (await stream.finish()).text

    alone = [await turn(audio) for audio in turns]
    assert max(counting.sizes) == 1
    counting.sizes.clear()
    assert await asyncio.gather(*map(turn, turns)) == alone
    assert max(counting.sizes) > 1
    assert max(counting.sizes) <= 8
    await batches.stop()


class _Counting(StreamingModel):
    """Keeps how many streams each call had."""

    def __init__(self, recognizer: object, pad_samples: int) -> None:
        super().__init__(recognizer, pad_samples)
        self.sizes: list[int] = []

    def advance(self, pieces: Sequence[tuple[object, Samples, bool]]) -> list[Decoded]:
        self.sizes.append(len(pieces))
        return super().advance(pieces)
