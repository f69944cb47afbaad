"""A voice that takes up the tone of the conversation: CSM hears every turn, and speaks in the voice of a recording.

python examples/csm_voice.py sesame/csm-1b anna.wav question.wav answer.wav    # what is said in anna.wav stands in anna.txt
"""

import argparse

import parley


def reply(messages: list[dict[str, str]]) -> str:
    """Your own language model stands here, or `llm="auto"` below."""
    return f"You said: {messages[-1]['content']}. And how you said it!"


def main(weights: str, voice: str, question: str, answer: str) -> None:
    csm = parley.EngineSpec("csm", weights, {"voices": {"mine": voice}, "context_s": 30})
    recording = parley.read_audio(question)
    with parley.Pipeline(llm=reply, tts=csm, voice="mine") as pipeline:
        session = parley.VoiceSession(pipeline, sample_rate=recording.sample_rate)
        events = list(session.run(parley.frames(recording)))
    for event in events:
        if isinstance(event, parley.ReplyEnded):
            print("heard:   ", event.turn.heard)
            print("answered:", event.turn.answered)
    parley.write_audio(answer, events)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("weights", "voice", "question", "answer"):
        parser.add_argument(name)
    try:
        main(**vars(parser.parse_args()))
    except (OSError, parley.ParleyError) as error:
        parser.error(str(error))
