"""How long one step of the event loop takes while a model gives 50,000 characters at once.

    python benchmarks/model_output.py

Prints, for each kind of text and each modality, the longest callback of the loop in milliseconds of CPU time: what every other session
waits at the most. The endpoint's own bounds (256 KiB in one event) are in `tests/engines/test_llm_http.py`.
"""

from __future__ import annotations

import asyncio
import time

from parley.core.words.effects import StartGeneration
from parley.core.words.events import Event, GenerationFailed, GenerationFinished
from parley.core.words.ids import AttemptId
from parley.core.words.settings import AudioFormat, Modality
from parley.core.words.work import Prompt, Reply
from parley.engines.ports import LLM, TTS, ChatEnd, EngineSet
from parley.runtime.generation.attempts import Generations
from parley.testing.fakes import FakeModel, FakeSynthesizer

CHARS = 50_000
MODALITIES: tuple[Modality, ...] = ("text", "audio")
TEXTS = {
    "prose": "and so on, it went. ",
    "no space": "x",
    "a list without spaces": "1,2,",
    "code": "```\nx = 1\n",
    "Chinese": "天气很好，",
    "formulas": "$x_1$ ",
}


class _Steps:
    """The longest callback that the event loop has run, in seconds of this thread's CPU time."""

    def __init__(self) -> None:
        self.longest = 0.0
        run = vars(asyncio.Handle)["_run"]

        def timed(handle: asyncio.Handle) -> None:
            begun = time.thread_time()
            run(handle)
            self.longest = max(self.longest, time.thread_time() - begun)

        setattr(asyncio.Handle, "_run", timed)  # noqa: B010 - it is private, and the one place where every callback passes


async def longest_step_ms(steps: _Steps, text: str, modality: Modality) -> float:
    over = asyncio.Event()

    def post(event: Event) -> None:
        if isinstance(event, GenerationFinished | GenerationFailed):
            over.set()

    generations = Generations(
        EngineSet({LLM: FakeModel([text, ChatEnd("stop")]), TTS: FakeSynthesizer(word_ms=0)}), post
    )
    steps.longest = 0.0
    generations.start(
        StartGeneration(AttemptId(1), Reply(Prompt("", ())), modality, "alloy", 1.0, AudioFormat.PCM16, "")
    )
    await over.wait()
    return steps.longest * 1000


async def main() -> None:
    steps = _Steps()
    for name, unit in TEXTS.items():
        text = (unit * CHARS)[:CHARS]
        figures = [f"{modality} {await longest_step_ms(steps, text, modality):.1f} ms" for modality in MODALITIES]
        print(f"{name}: {', '.join(figures)}")


if __name__ == "__main__":
    asyncio.run(main())
