"""A wake word: nothing is answered until somebody says it, and what follows within a minute is answered too.

python examples/wake_word.py hello recording.wav...
"""

import argparse

import parley

AWAKE_TURNS = 3
"""Turns that are answered after the wake word, before it is wanted again."""


class WakeWord(parley.Assistant):
    """A policy: asked of each finished turn what it causes."""

    def __init__(self, word: str) -> None:
        self._word = word
        self._left = 0

    def turn_ended(self, said: parley.Said) -> tuple[parley.Answer, ...]:
        if self._word in said.text.lower().split():
            self._left = AWAKE_TURNS
        if not self._left or not said.text:
            return ()
        self._left -= 1
        return (parley.Answer(),)

    def may_speculate(self, said: parley.Said) -> bool:
        return False


def main(word: str, recordings: list[str]) -> None:
    with parley.Pipeline(llm=lambda messages: f"Yes? You said: {messages[-1]['content']}.") as pipeline:
        session = None
        for path in recordings:
            recording = parley.read_audio(path)
            session = session or parley.VoiceSession(pipeline, sample_rate=recording.sample_rate, policy=WakeWord(word))
            for event in session.run(parley.frames(recording)):
                if isinstance(event, parley.TurnEnded):
                    print("heard:   ", event.turn.heard)
                elif isinstance(event, parley.ReplyEnded):
                    print("answered:", event.turn.answered)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("word")
    parser.add_argument("recordings", nargs="+")
    try:
        main(**vars(parser.parse_args()))
    except (OSError, parley.ParleyError) as error:
        parser.error(str(error))
