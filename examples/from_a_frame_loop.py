"""The loop with which many begin, moved to Parley: an energy gate, a recogniser of one's own, a beep for each word.

    python examples/from_a_frame_loop.py recording.wav answer.wav

It was, for frames of 32 ms (and was deaf while it answered, could not be interrupted, and lost the beginnings of words):

    for frame in frames:
        if gate(frame):
            speech.append(frame); quiet = 0
        elif speech and (quiet := quiet + 1) > 20:
            play(beeps(answer(recognise(np.concatenate(speech))))); speech = []
"""

import argparse

import numpy as np
from pocketsphinx import Decoder

import parley

decoder = Decoder(loglevel="FATAL")


def gate(frame: np.ndarray) -> bool:
    """One frame: float32 [512] at 16 kHz."""
    return float(np.sqrt(np.mean(frame**2))) > 0.01


def recognise(audio: np.ndarray) -> str:
    """One turn: float32 [n] at 16 kHz."""
    decoder.start_utt()
    decoder.process_raw((audio * 32767).astype(np.int16).tobytes(), full_utt=True)
    decoder.end_utt()
    return decoder.hyp().hypstr if decoder.hyp() else ""


def reply(messages: list[dict[str, str]]) -> str:
    return f"I heard {len(messages[-1]['content'].split())} words."


def beeps(text: str) -> np.ndarray:
    """One clause: int16 [n] at 24 kHz, a beep for each word and a gap after it."""
    times = np.arange(2_400) / 24_000
    beep = np.concatenate([8_000 * np.sin(2 * np.pi * 440 * times), np.zeros(2_400)]).astype(np.int16)
    return np.tile(beep, len(text.split()))


def main(recording: str, answer: str) -> None:
    heard = parley.read_audio(recording)
    spoken: list[parley.VoiceEvent] = []
    with parley.Pipeline(vad=gate, turn=None, stt=recognise, llm=reply, tts=beeps) as pipeline:
        session = parley.VoiceSession(pipeline, sample_rate=heard.sample_rate, endpointing=640)
        for frame in parley.frames(heard, 32):
            spoken += session.step(frame)  # the loop is still yours
        spoken += session.flush()
        for turn in session.turns:
            print(f"{turn.heard}: {turn.answered}")
    parley.write_audio(answer, spoken)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("recording", "answer"):
        parser.add_argument(name)
    try:
        main(**vars(parser.parse_args()))
    except (OSError, parley.ParleyError) as error:
        parser.error(str(error))
