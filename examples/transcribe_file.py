"""Writes down what is said in a recording, each stretch as soon as it is finished.

python examples/transcribe_file.py interview.mp3
"""

import sys

import parley

for segment in parley.transcribe(sys.argv[1], stt="pocketsphinx"):
    print(f"{segment.start_s:7.2f} - {segment.end_s:7.2f}  {segment.text}")
