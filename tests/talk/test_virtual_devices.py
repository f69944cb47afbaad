"""`parley talk`, the whole of it, on virtual sound devices: what is said into the microphone, what comes out of the loudspeaker."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
import wave
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from parley.talk.figure_names import ANSWER, FIGURES, WORDS, FigureName
from tests.conftest import clip_path
from tests.talk.virtual_room import RATE, Room, Tap, virtual_room

pytestmark = pytest.mark.slow

START_S = 60
PATIENCE_S = 30


class Conversation:
    """`parley talk --plain` in a process; `wait_for` reads its lines, `type` sends it one."""

    def __init__(self, room: Room, folder: Path, *flags: str) -> None:
        command = [sys.executable, "-c", "from parley.cli.main import main; main()", "talk", "--plain"]
        command += ["--stt", "pocketsphinx", "--llm", "responder", "--record", str(folder / "kept"), *flags]
        environment = {name: value for name, value in room.environment.items() if not name.startswith("PARLEY_")}
        self._told = (folder / "stderr").open("w+")
        self._process = subprocess.Popen(
            command,
            env=environment,
            cwd=folder,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._told,
        )
        self.lines: list[str] = []
        self.kept = folder / "kept"

    def wait_for(self, pattern: str, limit_s: float = PATIENCE_S) -> re.Match[str]:
        """Read lines until one matches."""
        assert self._process.stdout is not None
        timer = threading.Timer(limit_s, self._process.kill)
        timer.start()
        try:
            for line in self._process.stdout:
                self.lines.append(line.rstrip())
                if found := re.search(pattern, line):
                    return found
        finally:
            timer.cancel()
        self._told.seek(0)
        pytest.fail(f"no line matches {pattern!r}:\n" + "\n".join(self.lines) + "\n" + self._told.read())

    def type(self, line: str) -> None:
        """A line on its standard input."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def leave(self) -> list[str]:
        """Ctrl-C; the summary's lines."""
        self._process.send_signal(signal.SIGINT)
        rest, _ = self._process.communicate(timeout=PATIENCE_S)
        assert self._process.returncode == 0, rest
        return str(rest).splitlines()

    def end(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._told.close()


@contextmanager
def conversation(room: Room, folder: Path, *flags: str) -> Iterator[Conversation]:
    talk = Conversation(room, folder, *flags)
    try:
        talk.wait_for("state: listening", START_S)
        yield talk
    finally:
        talk.end()


@pytest.fixture
def question() -> Path:
    return clip_path("weather_question")


def test_a_spoken_question_is_answered_through_the_loudspeaker(tmp_path: Path, question: Path) -> None:
    with virtual_room(tmp_path) as room, conversation(room, tmp_path, "--echo-control", "off") as talk:
        with room.tapped() as (microphone, loudspeaker):
            room.play(question)
            said = talk.wait_for(r"\] you: (.*)")[1]
            replied = talk.wait_for(r"\] reply: (.*)")[1]
            talk.wait_for("state: listening")
        summary = talk.leave()
    assert "weather" in said
    assert "paris" in said
    assert said in replied
    (_, asked_until), *_ = microphone.spans(gap_s=1.0)
    # The voice itself pauses between sentences, for a third of a second.
    (answered_from, _), *_ = spans = loudspeaker.spans(gap_s=0.5)
    # Half a second of silence ends the turn, then comes recognition; what the client adds is little.
    told_ms = _figure(summary, ANSWER)
    measured_ms = (answered_from - asked_until) * 1000
    assert measured_ms > 500
    assert abs(told_ms - measured_ms) < 250, "the figure on the screen is not what was heard"
    assert _figure(summary, WORDS) < told_ms
    # No word is lost, and none is torn apart: all that the server sent came out, in one piece.
    sent_s = _reply_seconds(talk.kept)
    assert sum(end - start for start, end in spans) > sent_s - 1.0
    assert spans[-1][1] - spans[0][0] < sent_s + 0.3
    document = json.loads((talk.kept / "transcript.json").read_text(encoding="utf-8"))
    assert [line["speaker"] for line in document["lines"] if line["speaker"] != "note"] == ["user", "assistant"]
    _check_tracks(talk.kept / "audio.wav")


def test_talking_over_the_answer_silences_it_though_the_microphone_hears_the_loudspeaker(
    tmp_path: Path, question: Path
) -> None:
    with virtual_room(tmp_path, echo=0.1) as room, conversation(room, tmp_path) as talk:
        with room.tapped() as (microphone, loudspeaker):
            room.play(question)
            talk.wait_for("state: it speaks")
            talk.wait_for("figures of turn 1")
            assert not any("reply cut" in line for line in talk.lines), "the answer interrupted itself"
            # In the midst of its first sentence, of two seconds.
            threading.Event().wait(0.7)
            room.play(question)
            heard_ms = int(talk.wait_for(r"reply cut after (\d+) ms: heard ['\"]")[1])
            # Whatever was understood, if anything: then it speaks again, and nothing is left to be said when it listens.
            talk.wait_for(r"\] you: ")
            talk.wait_for(r"\] reply: ")
            talk.wait_for("state: listening")
        summary = talk.leave()
    assert any("1 interruption" in line for line in summary), summary
    interrupted_from = _second_question_begins(microphone, question)
    answer_from, answer_until = next(span for span in loudspeaker.spans(gap_s=0.5) if span[1] > interrupted_from)
    assert answer_from < interrupted_from < answer_until, "the answer was over before it was interrupted"
    # Voice activity must be sure of itself before it says so; then one block, and the fade.
    assert answer_until - interrupted_from < 1.0
    first_answer_from = loudspeaker.spans()[0][0]
    assert abs((answer_until - first_answer_from) * 1000 - heard_ms) < 300, (
        "the server has another length than was heard"
    )


INTERRUPTIONS = 6
HEARD_WELL = 4
"""Of `INTERRUPTIONS`, those of which at least `WORDS_HEARD` of the words must be understood: with and without echo control the
recogniser misses one now and then."""

WORDS_HEARD = 0.6

SHORT_QUESTIONS = ("what time is it", "what is the weather today")
"""A second and a second and a half, which the recogniser knows well."""


def test_short_interruptions_stop_the_answer_and_are_understood_where_there_is_no_echo(tmp_path: Path) -> None:
    questions = {text: _spoken(tmp_path / f"{text}.wav", text) for text in SHORT_QUESTIONS}
    heard_well = 0
    with virtual_room(tmp_path) as room, conversation(room, tmp_path, "--echo-control", "on") as talk:
        for number in range(INTERRUPTIONS):
            words, recording = list(questions.items())[number % len(questions)]
            # The responder's longest answer: it would go on for ten seconds.
            talk.type("help")
            talk.wait_for("state: it speaks")
            threading.Event().wait(1.0)
            room.play(recording)
            talk.wait_for(r"reply cut after \d+ ms: heard ['\"]")
            understood = talk.wait_for(r"\] you: (.*)")[1]
            heard_well += _share_of_words(words, understood) >= WORDS_HEARD
            talk.wait_for("state: listening")
        summary = talk.leave()
    assert any(f"{INTERRUPTIONS} interruptions" in line for line in summary), summary
    assert heard_well >= HEARD_WELL, talk.lines


def _spoken(path: Path, text: str) -> Path:
    """A recording of the text by the voice that is installed."""
    command = [sys.executable, "-c", "from parley.cli.main import main; main()", "say", text, "--tts", "hibari"]
    subprocess.run([*command, "-o", str(path)], check=True, capture_output=True, cwd=path.parent)
    with wave.open(str(path)) as wav:
        assert 1.0 <= wav.getnframes() / wav.getframerate() <= 2.0
    return path


def _share_of_words(said: str, understood: str) -> float:
    wanted, found = said.split(), understood.split()
    return sum(word in found for word in wanted) / len(wanted)


def _second_question_begins(microphone: Tap, question: Path) -> float:
    """When, in the microphone's cable, which carries the echo too, the question begins for the second time."""
    begin_s, audio = microphone.sound()
    with wave.open(str(question)) as wav:
        pattern = np.frombuffer(wav.readframes(wav.getnframes()), dtype="<i2").astype(np.float32)
        step = RATE // wav.getframerate()
    found = audio[: len(audio) // step * step].reshape(-1, step).mean(axis=1)
    size = 1 << (len(found) + len(pattern)).bit_length()
    match = np.fft.irfft(np.fft.rfft(found, size) * np.conj(np.fft.rfft(pattern, size)))[: len(found)]
    first = int(np.argmax(match))
    width = len(pattern)
    match[max(0, first - width) : first + width] = 0
    later = max(first, int(np.argmax(match)))
    onset = int(np.flatnonzero(np.abs(pattern) > 300)[0])
    return float(begin_s + (later + onset) * step / RATE)


def _figure(summary: list[str], figure: FigureName) -> float:
    """The median in the summary."""
    row = next(line for line in summary if line.endswith(f" {figure.name}"))
    return float(row.removeprefix(figure.label).split()[1])


def _reply_seconds(kept: Path) -> float:
    sizes = 0
    for line in (kept / "trace.jsonl").read_text(encoding="utf-8").splitlines():
        event = json.loads(line)["event"]
        if isinstance(event, dict) and event.get("type") == "response.output_audio.delta":
            sizes += int(re.sub(r"\D", "", event["delta"]))
    return sizes / 48_000


def _check_tracks(path: Path) -> None:
    """Left the question, right the answer, one after the other."""
    with wave.open(str(path)) as wav:
        assert (wav.getnchannels(), wav.getframerate()) == (2, 24_000)
        tracks = np.frombuffer(wav.readframes(wav.getnframes()), dtype="<i2").reshape(-1, 2)
    user, assistant = (np.flatnonzero(np.abs(tracks[:, side].astype(int)) > 300) for side in (0, 1))
    assert len(user)
    assert len(assistant)
    assert user[-1] < assistant[0]


def test_vanished_devices_are_reported_and_new_ones_are_used(tmp_path: Path, question: Path) -> None:
    with virtual_room(tmp_path) as room, conversation(room, tmp_path, "--echo-control", "off") as talk:
        room.stop()
        talk.wait_for("state: no sound device")
        room.start()
        talk.wait_for("state: listening")
        room.play(question)
        assert "paris" in talk.wait_for(r"\] you: (.*)")[1]
        talk.wait_for(r"\] reply: ")
        assert any("A sound device has vanished" in line for line in talk.lines)


def test_the_devices_of_the_sound_server_are_listed_and_chosen_by_name(tmp_path: Path, question: Path) -> None:
    talk = [sys.executable, "-c", "from parley.cli.main import main; main()", "talk"]
    with virtual_room(tmp_path) as room:

        def run(*flags: str) -> tuple[str, str]:
            done = subprocess.run([*talk, *flags], env=room.environment, cwd=tmp_path, capture_output=True, text=True)
            return done.stdout, done.stderr

        listed, _ = run("--devices")
        assert "Null Output (speakers)" in listed
        assert "Monitor of Null Output (mic_monitor)" in listed
        _, refused = run("--plain", "--output", "nosuch")
        assert "'Null Output (speakers)'" in refused
        assert "'pulse'" not in refused
        flags = ("--input", "mic_monitor", "--output", "Null Output (speakers)", "--echo-control", "off")
        with conversation(room, tmp_path, *flags) as named:
            room.play(question)
            named.wait_for(r"\] reply: ")
            chosen = "microphone: Monitor of Null Output (mic_monitor); loudspeaker: Null Output (speakers)"
            assert any(chosen in line for line in named.lines)
            named.leave()


def test_the_screen_shows_the_conversation_in_tmux_at_80_by_24(tmp_path: Path, question: Path) -> None:
    if shutil.which("tmux") is None:
        pytest.skip("tmux is not installed")
    pytest.importorskip("textual", reason="the screen needs textual (the extra `talk`)")
    with virtual_room(tmp_path) as room:
        command = [sys.executable, "-c", "from parley.cli.main import main; main()", "talk"]
        command += ["--stt", "pocketsphinx", "--llm", "responder", "--echo-control", "off"]
        with tmux(room, tmp_path, f"{shlex.join(command)}; sleep {START_S}") as (look, press):
            # Typed while everything is loaded: it is not meant for the screen.
            until(look, "loading", START_S)
            press("q")
            until(look, "listening", START_S)
            room.play(question)
            until(look, "it speaks")
            until(look, "listening")
            seen = until(look, "answer ")
            press("f")
            table = until(look, "played")
            press("q")
            left = until(look, "1 turn, 1 reply, 0 interruptions")
    rows = seen.splitlines()
    assert len(rows) == 24
    assert max(map(len, rows)) <= 80
    assert rows[0].startswith(" parley talk: pocketsphinx, responder, ")
    assert rows[-1].startswith(" Space silence")
    assert " Speak, or press T to type. " in seen
    assert "you   " in seen
    assert "paris" in seen
    assert "reply I heard: " in seen
    assert all(f" {each.label} " in table for each in FIGURES)
    assert re.search(r"answer +1 .* QUESTION-TO-RESPONSE_MS", left)


TMUX = ["tmux", "-L", "parley-test", "-f", "/dev/null", "-u"]


@contextmanager
def tmux(room: Room, folder: Path, command: str) -> Iterator[tuple[Callable[[], str], Callable[[str], None]]]:
    """A terminal of 80x24 in which the command runs: what looks at it, and what presses a key."""
    environment = {**room.environment, "TERM": "screen-256color", "LC_ALL": "C.UTF-8"}
    new = [*TMUX, "new-session", "-d", "-x", "80", "-y", "24", "-c", str(folder), command]
    subprocess.run(new, env=environment, check=True)

    def look() -> str:
        done = subprocess.run(
            [*TMUX, "capture-pane", "-p"], env=environment, check=True, capture_output=True, text=True
        )
        return done.stdout.rstrip("\n")

    def press(key: str) -> None:
        subprocess.run([*TMUX, "send-keys", key], env=environment, check=True)

    try:
        yield look, press
    finally:
        subprocess.run([*TMUX, "kill-server"], env=environment, check=False)


def until(look: Callable[[], str], part: str, limit_s: float = PATIENCE_S) -> str:
    """Look until `part` is to be seen; the whole terminal then."""
    deadline_s = time.monotonic() + limit_s
    while part not in (seen := look()):
        assert time.monotonic() < deadline_s, f"{part!r} was never to be seen:\n{seen}"
        threading.Event().wait(0.1)
    return seen
