"""`parley ask`: one question, and the answer as text; spoken too, if that is wanted."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from parley.cli.failures import CommandFailed, files_checked
from parley.cli.file_inputs import STDIN, text_of_stdin
from parley.cli.file_outputs import STDOUT
from parley.cli.messages import harmless_at, print_error
from parley.cli.sound_devices import output_device_option
from parley.cli.speech_output import DEVICE_RATE, check_speech_output, speech_sink
from parley.cli.typed_session import MAX_MESSAGE_CHARS, READS, SPEAKS, TypedReply, typed_options, typed_session

if TYPE_CHECKING:
    from parley.client.updates import ClientUpdate
    from parley.library.speech import Spoken

RATE = 24_000
"""Of the sound of a Realtime session."""


@click.command(
    epilog="""\b
Examples:
  parley ask "What is the capital of France?"
  parley ask "Tell me a joke." --aloud
  parley ask "Say good night." -o night.mp3
  git diff | parley ask - --instructions "Sum up this change in one sentence." --llm ollama:qwen3
  parley ask "Hello, who are you?" --url ws://192.168.1.5:8765 --api-key-env PARLEY_API_KEY
"""
)
@click.argument("text", nargs=-1, metavar="TEXT|-")
@typed_options(*READS, *SPEAKS)
@click.option("--aloud", is_flag=True, help="Speak the answer through the loudspeaker.")
@output_device_option()
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    help="Write the spoken answer (.wav .flac .ogg .mp3 .m4a), or - for WAV on stdout.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, at the end.")
def ask(
    text: tuple[str, ...],
    config_path: Path | None,
    aloud: bool,
    output_device: str,
    output: str | None,
    as_json: bool,
    **flags: str | None,
) -> None:
    """Ask TEXT and print the answer as it comes. With -, or without TEXT where stdin is a pipe, the question is read from stdin.

    The answer comes from the language model of parley.toml, in this process, or from any Realtime server (--url). A tool of an MCP
    server that needs consent is asked for at the terminal, and refused without one. Exit code 1: it failed, or a tool was refused so.
    """
    if output_device and not aloud:
        raise click.UsageError("--output-device is for --aloud.")
    if aloud and output is not None:
        raise click.UsageError("--aloud and -o are two places for the sound: choose one.")
    check_speech_output(output, "")
    if aloud:
        from parley.talk.devices import find_device, list_devices

        find_device(list_devices(), output_device, "output")
    question = _question(text)
    spoken = aloud or output is not None
    with files_checked(), typed_session(config_path, flags, spoken=spoken) as session:
        answer = _Answer(question, as_json=as_json, beside_sound=output == STDOUT)
        with closing(session.reply(question)) as updates:
            if spoken:
                rate = DEVICE_RATE if aloud else RATE
                speech_sink(output, False, rate, output_device)(answer.spoken(updates, rate))
            else:
                for update in updates:
                    answer.take(update)
        answer.finish()
    if answer.reply.failure:
        raise click.exceptions.Exit(1)


def _question(text: tuple[str, ...]) -> str:
    if text == (STDIN,) or (not text and not sys.stdin.isatty()):
        question = text_of_stdin(MAX_MESSAGE_CHARS)
    elif text:
        question = " ".join(text)
    else:
        raise click.UsageError("Give a question, or - to read it from stdin. `parley chat` holds a conversation.")
    if not question.strip():
        raise CommandFailed("There is nothing to ask.", "Give a text, or - to read it from stdin.")
    return question.strip()


class _Answer:
    """Prints an answer while it comes: `take()` each update, or take the sound from `spoken()`; then `finish()`."""

    def __init__(self, question: str, *, as_json: bool, beside_sound: bool) -> None:
        self.reply = TypedReply()
        self._question = question
        self._as_json = as_json
        self._out = sys.stderr if beside_sound else sys.stdout
        self._began_s = time.monotonic()
        self._first_s: float | None = None

    def take(self, update: ClientUpdate) -> None:
        new = self.reply.take(update)
        if new and self._first_s is None:
            self._first_s = time.monotonic()
        if new and not self._as_json:
            self._out.write(harmless_at(self._out, new))
            self._out.flush()

    def spoken(self, updates: Iterable[ClientUpdate], rate: int) -> Iterator[Spoken]:
        """The sound of the answer at `rate`; its words are printed as they come."""
        from parley.audio import pcm
        from parley.audio.resampling import Resampler
        from parley.client.updates import ResponseAudio
        from parley.library.speech import Spoken

        resampler = Resampler(RATE, rate, "HQ")
        for update in updates:
            self.take(update)
            if isinstance(update, ResponseAudio):
                yield Spoken(pcm.to_int16(resampler.push(pcm.to_float(update.audio))), rate)
        yield Spoken(pcm.to_int16(resampler.finish()), rate)

    def finish(self) -> None:
        """What is left to print."""
        self.reply.end()
        if self._as_json:
            self._out.write(json.dumps(self._json(), ensure_ascii=False) + "\n")
        elif self.reply.words and not self.reply.words.endswith("\n"):
            self._out.write("\n")
        self._out.flush()
        if self.reply.failure:
            print_error(self.reply.failure)

    def _json(self) -> dict[str, object]:
        took_s = time.monotonic() - self._began_s
        return {
            "question": self._question,
            "answer": self.reply.words,
            "first_word_s": None if self._first_s is None else round(self._first_s - self._began_s, 3),
            "seconds": round(took_s, 3),
            "error": self.reply.failure or None,
        }
