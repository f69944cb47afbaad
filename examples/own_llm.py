"""A language model of your own: any function from the messages so far to words. Here it turns them around.

python examples/own_llm.py question.wav answer.wav
"""

import argparse
from collections.abc import Iterator

import parley


def reply(messages: list[dict[str, str]]) -> Iterator[str]:
    """Each piece is spoken as soon as it makes a clause; `messages` are those of any chat API."""
    yield "Backwards, that is: "
    yield " ".join(reversed(messages[-1]["content"].split())) + "."


def main(question: str, answer: str) -> None:
    recording = parley.read_audio(question)
    with parley.Pipeline(llm=reply) as pipeline:
        session = parley.VoiceSession(pipeline, sample_rate=recording.sample_rate)
        events = list(session.run(parley.frames(recording)))
    for event in events:
        if isinstance(event, parley.ReplyEnded):
            print("heard:   ", event.turn.heard)
            print("answered:", event.turn.answered)
    parley.write_audio(answer, events)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("question", "answer"):
        parser.add_argument(name)
    try:
        main(**vars(parser.parse_args()))
    except (OSError, parley.ParleyError) as error:
        parser.error(str(error))
