"""An agent that understands a few commands, exactly: a grammar instead of free speech, a table instead of a language model.

python examples/command_agent.py command.wav...
"""

import argparse
import tempfile
from pathlib import Path

import parley

GRAMMAR = """#JSGF V1.0;
grammar commands;
public <command> = turn (on | off) the (light | heater | radio) | what is on;
"""


class House:
    """What the commands change."""

    def __init__(self) -> None:
        self.on: set[str] = set()

    def obey(self, messages: list[dict[str, str]]) -> str:
        match messages[-1]["content"].split():
            case ["turn", "on", "the", device]:
                self.on.add(device)
                return f"The {device} is on."
            case ["turn", "off", "the", device]:
                self.on.discard(device)
                return f"The {device} is off."
            case ["what", "is", "on"]:
                return f"On: {', '.join(sorted(self.on)) or 'nothing'}."
        return "I did not understand that."


def main(paths: list[str]) -> None:
    house = House()
    with tempfile.TemporaryDirectory() as folder:
        grammar = Path(folder, "commands.jsgf")
        grammar.write_text(GRAMMAR)
        ears = parley.EngineSpec("pocketsphinx", options={"grammar": str(grammar)})
        with parley.Pipeline(stt=ears, llm=house.obey, turn=None) as pipeline:
            for path in paths:
                recording = parley.read_audio(path)
                session = parley.VoiceSession(pipeline, sample_rate=recording.sample_rate, endpointing=700)
                for event in session.run(parley.frames(recording)):
                    if isinstance(event, parley.ReplyEnded):
                        print(f"{event.turn.heard}: {event.turn.answered}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recordings", nargs="+")
    try:
        main(parser.parse_args().recordings)
    except (OSError, parley.ParleyError) as error:
        parser.error(str(error))
