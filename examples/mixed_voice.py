"""Speaks a sentence in two voices of Kokoro and in mixes of them, each into a WAV.

parley models pull kokoro:v1.0
python examples/mixed_voice.py out af_bella af_sky
"""

import sys
from pathlib import Path

import numpy as np

import parley

SENTENCE = "The same words, in a voice that nobody has."

folder, one, other = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
engine = sys.argv[4] if len(sys.argv) > 4 else "kokoro"
folder.mkdir(parents=True, exist_ok=True)
for weight in (0, 1, 2, 3, 4):
    voice = {0: other, 4: one}.get(weight, f"{one}({weight})+{other}({4 - weight})")
    audio = np.concatenate([spoken.samples for spoken in parley.synthesize(SENTENCE, tts=engine, voice=voice)])
    path = folder / f"{weight * 25:03}.wav"
    parley.write_audio(path, audio)
    print(f"{path.name}  {len(audio) / 24_000:.2f} s  {voice}")
