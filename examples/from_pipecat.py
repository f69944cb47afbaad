"""An agent of Pipecat's or LiveKit's kind, moved to Parley: asynchronous parts, a tool, and rules for turns, between two queues.

python examples/from_pipecat.py weather_question.wav

transport.input(), transport.output()       two queues: live(incoming, outgoing)
VADParams(stop_secs=...), a turn analyzer   endpointing=: a function; it is given the audio where it asks
MinWordsInterruptionStrategy(3)             barge_in=: a function of the words
llm.register_function, @function_tool       tools=[...]: functions with type hints
LLMRunFrame, generate_reply(), interrupt()  session.reply(), session.interrupt()
BotStartedSpeakingFrame, metrics frames     on_first_play=, turn.figures
context.messages, session.history           session.history: what was heard, not what was written
"""

import argparse
import asyncio
from collections.abc import AsyncIterator
from typing import Any

import numpy as np

import parley


async def get_weather(city: str) -> str:
    """The present weather of a city."""
    return f"It is 21 degrees in {city}."


async def model(messages: list[dict[str, Any]]) -> AsyncIterator[str | parley.CallFunction]:
    """Stands for a hosted model: llm="openai:gpt-5-mini"."""
    if messages[-1]["role"] == "tool":
        yield messages[-1]["content"]
    else:
        yield "Let me see. "
        yield parley.CallFunction("get_weather", {"city": "Paris"})


def turn_is_over(pause: parley.PauseSeen, audio: np.ndarray) -> bool:
    """Stands for a turn model: the last 8 seconds of the turn, float32 [n] at 16 kHz."""
    still = float(np.abs(audio[-3_200:]).max()) < 0.2
    return pause.pause_ms >= (300 if still and len(pause.text.split()) > 2 else 800)


async def main(path: str) -> None:
    recording = parley.read_audio(path)
    incoming: asyncio.Queue[Any] = asyncio.Queue()
    outgoing: asyncio.Queue[Any] = asyncio.Queue()
    for frame in [*parley.frames(recording, 20), None]:  # a transport puts them as they come, and None at the end
        incoming.put_nowait(frame)
    async with parley.Pipeline(llm=model) as pipeline:
        session = parley.VoiceSession(
            pipeline,
            sample_rate=recording.sample_rate,
            tools=[get_weather],
            endpointing=turn_is_over,
            barge_in=lambda words, voice_ms: len(words.split()) >= 3,
            on_first_play=lambda turn: print("speaks, to:", turn.heard),
        )
        async for event in session.live(incoming, outgoing):
            if isinstance(event, parley.ToolEnded):
                print("tool:", event.output)
    print("heard:", session.history[-1]["content"], "in", outgoing.qsize(), "pieces")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recording")
    try:
        asyncio.run(main(parser.parse_args().recording))
    except (OSError, parley.ParleyError) as error:
        parser.error(str(error))
