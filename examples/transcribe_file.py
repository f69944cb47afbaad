"""Writes down what is said in a recording, each stretch as soon as it is finished.

python examples/transcribe_file.py interview.mp3
"""

import argparse

import parley


def main(recording: str) -> None:
    for segment in parley.transcribe(recording, stt="pocketsphinx"):
        print(f"{segment.start_s:7.2f} - {segment.end_s:7.2f}  {segment.text}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recording")
    try:
        main(parser.parse_args().recording)
    except (OSError, parley.ParleyError) as error:
        parser.error(str(error))
