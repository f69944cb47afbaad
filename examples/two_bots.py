"""Two bots talk to each other: what one says is what the other hears, sample by sample. Nobody waits for real time.

python examples/two_bots.py [conversation.wav]
"""

import argparse

import numpy as np

import parley

CHUNK = 768  # 32 ms at 24 kHz
LONGEST_S = 60
TURNS = 3


class Bot:
    """One of them: its ears and its mouth. It says a number, and the next turn the next one."""

    def __init__(self, pipeline: parley.Pipeline, name: str) -> None:
        self.name = name
        self.session = parley.VoiceSession(pipeline, sample_rate=24_000, turn_detection="silence", barge_in="never")
        self.said: list[str] = []

    def hear(self, audio: np.ndarray) -> np.ndarray:
        """Take what the other says in 32 ms; returns what this one says in them."""
        out = np.zeros(CHUNK, np.int16)
        for event in self.session.step(audio):
            if isinstance(event, parley.ReplyAudio):
                out[: len(event.samples)] = event.samples
            elif isinstance(event, parley.ReplyEnded):
                self.said.append(event.turn.answered)
                print(f"{self.name}: {event.turn.answered}   (heard: {event.turn.heard or '-'})")
        return out


def counting(messages: list[dict[str, str]]) -> str:
    turns = sum(message["role"] == "assistant" for message in messages)
    return f"This is my sentence number {turns + 1}."


def main(path: str) -> None:
    with parley.Pipeline(llm=counting, turn=None) as pipeline:
        anna, ben = Bot(pipeline, "Anna"), Bot(pipeline, "Ben")
        anna.session.say("Begin.")
        spoken = np.zeros(CHUNK, np.int16)
        both: list[np.ndarray] = []
        for _ in range(LONGEST_S * 24_000 // CHUNK):
            answer = ben.hear(spoken)
            both.append(spoken + answer)
            spoken = anna.hear(answer)
            if min(len(anna.said), len(ben.said)) >= TURNS:
                break
    parley.write_audio(path, np.concatenate(both))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "conversation", nargs="?", default="conversation.wav", help="what to write [default: conversation.wav]"
    )
    try:
        main(parser.parse_args().conversation)
    except (OSError, parley.ParleyError) as error:
        parser.error(str(error))
