"""A tool: a function of yours that the model calls, and whose result it speaks.

    python examples/tool_that_answers.py weather_question.wav

The model here is a function too, so that this runs without any server; give `llm="openai:gpt-5-mini"` instead.
"""

import argparse
import json
from typing import Any

import parley

WEATHER = {"paris": 21, "london": 14}


def get_weather(city: str) -> dict[str, Any]:
    """The present weather of a city.

    Args:
        city: its name, in English
    """
    if city.lower() not in WEATHER:
        raise ValueError(f"no weather station in {city}")
    return {"city": city, "celsius": WEATHER[city.lower()]}


def model(messages: list[dict[str, Any]]) -> str | parley.CallFunction:
    last = messages[-1]
    if last["role"] == "tool":
        found = json.loads(last["content"])
        return found.get("error") or f"It is {found['celsius']} degrees in {found['city']}."
    city = next((city for city in WEATHER if city in last["content"].lower()), None)
    return parley.CallFunction("get_weather", {"city": city.title()}) if city else "Which city do you mean?"


def main(question: str) -> None:
    recording = parley.read_audio(question)
    with parley.Pipeline(llm=model) as pipeline:
        session = parley.VoiceSession(pipeline, sample_rate=recording.sample_rate, tools=[get_weather])
        for event in session.run(parley.frames(recording)):
            match event:
                case parley.ToolCalled(name, arguments):
                    print("called:  ", name, arguments)
                case parley.ToolEnded(_, output):
                    print("returned:", output)
                case parley.ReplyEnded(turn):
                    print("heard:   ", turn.heard)
                    print("answered:", turn.answered)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("question")
    try:
        main(parser.parse_args().question)
    except (OSError, parley.ParleyError) as error:
        parser.error(str(error))
