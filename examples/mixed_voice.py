"""Speaks a sentence in two voices of Kokoro and in mixes of them, each into a WAV.

parley models pull kokoro:v1.0
python examples/mixed_voice.py out af_bella af_sky
"""

import argparse
from pathlib import Path

import numpy as np

import parley

SENTENCE = "The same words, in a voice that nobody has."


def main(folder: str, one: str, other: str, engine: str) -> None:
    Path(folder).mkdir(parents=True, exist_ok=True)
    for weight in (0, 1, 2, 3, 4):
        voice = {0: other, 4: one}.get(weight, f"{one}({weight})+{other}({4 - weight})")
        audio = np.concatenate([spoken.samples for spoken in parley.synthesize(SENTENCE, tts=engine, voice=voice)])
        path = Path(folder) / f"{weight * 25:03}.wav"
        parley.write_audio(path, audio)
        print(f"{path.name}  {len(audio) / 24_000:.2f} s  {voice}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("folder", "one", "other"):
        parser.add_argument(name)
    parser.add_argument("engine", nargs="?", default="kokoro")
    try:
        main(**vars(parser.parse_args()))
    except (OSError, parley.ParleyError) as error:
        parser.error(str(error))
