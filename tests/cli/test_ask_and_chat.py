"""`parley ask` and `parley chat`: a language model over HTTP on one side, a shell's pipe or a terminal on the other."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import subprocess
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from parley.cli.main import run
from parley.core.words.limits import MAX_ITEM_TEXT
from parley.library import read_audio
from tests.engines.chat_server import Answer, ChatServer, Request, Script
from tests.programs import Program, run_program, run_program_in_bytes, start_at_terminal
from tests.server.harness import configured, running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

MAIN = ["-c", "from parley.cli.main import main; main()"]
PATIENCE_S = 120.0
"""A busy machine loads the server in tens of seconds."""


def says(*pieces: str) -> Script:
    async def script(request: Request, answer: Answer) -> None:
        await answer.text(*pieces)

    return script


async def refuses(request: Request, answer: Answer) -> None:
    await answer.json(400, {"error": {"message": "The model is out of tokens.", "code": "insufficient_quota"}})


def environment(folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PARLEY_")}
    return {**kept, "XDG_CONFIG_HOME": str(folder), "NO_COLOR": "1"}


async def parley(folder: Path, *arguments: str, stdin: bytes = b"") -> tuple[int, str, str]:
    done = await asyncio.to_thread(
        run_program, *MAIN, *arguments, cwd=folder, env=environment(folder), stdin=stdin, timeout_s=PATIENCE_S
    )
    return done.returncode, done.stdout, done.stderr


def model_at(server: ChatServer) -> tuple[str, ...]:
    return "--llm", "openai:m", "--llm-base-url", server.url


def model(*scripts: Script) -> ChatServer:
    """A language model that answers so; the first request is the engine's, which sees whether it works."""
    return ChatServer([says("Hello."), *scripts])


def asked(server: ChatServer) -> list[list[str]]:
    """The messages of each request but the first, without the instructions."""
    return [
        [message["content"] for message in body["messages"] if message["role"] != "system"]
        for body in server.bodies[1:]
    ]


# --- ask --------------------------------------------------------------------------------------------------------------


async def test_a_question_is_answered_in_text_and_the_instructions_are_given(tmp_path: Path) -> None:
    async with model(says("It is ", "Paris.")).running() as server:
        code, out, _ = await parley(
            tmp_path, "ask", "What is the", "capital?", *model_at(server), "--instructions", "Be brief."
        )
    assert (code, out) == (0, "It is Paris.\n")
    assert asked(server) == [["What is the capital?"]]
    assert "Be brief." in json.dumps(server.bodies[1]["messages"][0])


async def test_a_question_comes_through_a_pipe_and_goes_on_as_json(tmp_path: Path) -> None:
    async with model(says("Two.")).running() as server:
        for arguments in (["ask", "--json"], ["ask", "-", "--json"]):
            code, out, _ = await parley(tmp_path, *arguments, *model_at(server), stdin=b"one and\none?\n")
            told: dict[str, Any] = json.loads(out)
            assert (code, told["question"], told["answer"], told["error"]) == (0, "one and\none?", "Two.", None)
            assert 0 < told["first_word_s"] <= told["seconds"]


async def test_an_answer_that_fails_is_told_and_makes_exit_code_1(tmp_path: Path) -> None:
    async with model(refuses).running() as server:
        code, out, err = await parley(tmp_path, "ask", "one", "--json", *model_at(server))
    told = json.loads(out)
    assert (code, told["answer"], told["first_word_s"]) == (1, "", None)
    assert "out of tokens" in told["error"]
    assert "out of tokens" in err


async def test_an_answer_without_words_is_a_failure(tmp_path: Path) -> None:
    async with model(says()).running() as server:
        code, out, err = await parley(tmp_path, "ask", "one", *model_at(server))
        assert (code, out) == (1, "")
        assert "The answer has no words." in err
        code, out, err = await parley(tmp_path, "chat", *model_at(server), stdin=b"one\n")
        assert (code, out) == (1, "")
        assert "The answer has no words." in err


async def test_bytes_that_are_no_text_and_text_without_end_make_no_traceback(tmp_path: Path) -> None:
    async with model(says("Yes.")).running() as server:
        for command in ("ask", "chat"):
            code, out, err = await parley(tmp_path, command, *model_at(server), stdin=b"\xff hello\n")
            assert (code, out) == (0, "Yes.\n"), err
            code, out, err = await parley(tmp_path, command, *model_at(server), stdin=b"a" * (MAX_ITEM_TEXT + 1))
            assert (code, out) == (2, "")
            assert f"longer than {MAX_ITEM_TEXT} characters" in err
            assert "Traceback" not in err
    said = [words for words in asked(server) if "hello" in str(words)]
    assert said == [["\ufffd hello"], ["\ufffd hello"]]


async def test_a_server_that_refuses_the_settings_gives_no_answer_in_other_ones(tmp_path: Path) -> None:
    wanted = ("-o", "a.wav", "--voice", "nobody", "--instructions", "Be brief.")
    async with running(configured()) as server:
        code, out, err = await parley(tmp_path, "ask", "Hello?", "--url", server.ws, *wanted)
    assert (code, out) == (2, "")
    assert "refuses the settings of the session: Unknown voice 'nobody'" in err
    assert not (tmp_path / "a.wav").exists()


async def test_the_answer_is_spoken_into_a_file_and_into_a_pipe(tmp_path: Path) -> None:
    async with model(says("The book is on the table.")).running() as server:
        spoken = (*model_at(server), "--tts", "hibari")
        code, out, err = await parley(tmp_path, "ask", "Where is it?", "-o", "new/answer.wav", *spoken)
        assert (code, out) == (0, "The book is on the table.\n"), err
        command = (*MAIN, "ask", "Where?", "-o", "-", *spoken)
        piped = await asyncio.to_thread(
            run_program_in_bytes, *command, cwd=tmp_path, env=environment(tmp_path), timeout_s=PATIENCE_S
        )
    recording = read_audio(tmp_path / "new/answer.wav")
    assert 1.0 < recording.seconds < 4.0
    assert np.abs(recording.audio).max() > 0.05
    assert piped.stdout[:4] == b"RIFF"
    assert len(piped.stdout) > 24_000 * 2
    assert "The book is on the table." in piped.stderr.decode()


async def test_a_server_answers_that_runs_elsewhere(tmp_path: Path) -> None:
    async with running(configured()) as server:
        code, out, err = await parley(tmp_path, "ask", "Hello?", "--url", server.ws)
    assert (code, out) == (0, "All right.\n"), err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ask", ""], "There is nothing to ask"),
        (["ask", "hello", "-o", "x.doc"], "The ending of x.doc names no format"),
        (["ask", "hello", "-o", "x.wav", "--aloud"], "choose one"),
        (["ask", "hello", "--output-device", "x"], "--output-device is for --aloud"),
        (["ask", "hello", "--model", "x"], "--model belongs to --url"),
        (["ask", "hello", "--voice", "alloy"], "--voice is for a spoken answer"),
        (["ask", "hello", "--tts-base-url", "http://127.0.0.1:9"], "--tts-base-url is for a spoken answer"),
        (["ask", "hello", "--url", "ws://127.0.0.1:9", "--llm", "auto"], "--llm is for a server in this process"),
        (["ask", "hello", "--url", "ws://127.0.0.1:9"], "127.0.0.1:9 cannot be reached"),
        (["chat", "--url", "ws://127.0.0.1:9", "--api-key-env", "NO_SUCH_KEY"], "NO_SUCH_KEY"),
        (["chat", "--llm", "nosuch"], "nosuch"),
    ],
)
def test_an_expected_error_is_one_line(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert run(arguments) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert "Traceback" not in captured.err
    assert captured.out == ""


# --- chat -------------------------------------------------------------------------------------------------------------


async def test_each_line_of_a_pipe_is_a_turn_of_one_conversation_which_ends_with_it(tmp_path: Path) -> None:
    async with model(says("Hello, Ana."), says("Ana."), says("I do not know.")).running() as server:
        code, out, err = await parley(
            tmp_path, "chat", *model_at(server), stdin=b"My name is Ana.\n\nWhat is my name?\n/new\nWho am I?"
        )
    assert (code, out) == (0, "Hello, Ana.\nAna.\nI do not know.\n"), err
    assert asked(server) == [
        ["My name is Ana."],
        ["My name is Ana.", "Hello, Ana.", "What is my name?"],
        ["Who am I?"],
    ]


async def test_an_answer_that_fails_is_reported_and_the_next_line_is_answered(tmp_path: Path) -> None:
    async with model(refuses, says("Yes.")).running() as server:
        code, out, err = await parley(tmp_path, "chat", *model_at(server), stdin=b"one\ntwo\n")
    assert (code, out) == (1, "Yes.\n")
    assert "out of tokens" in err


async def test_a_server_that_is_lost_is_reported(tmp_path: Path) -> None:
    async with running(configured()) as server:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *MAIN,
            "chat",
            "--url",
            server.ws,
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            cwd=tmp_path,
            env=environment(tmp_path),
        )
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"one\n")
        assert await asyncio.wait_for(process.stdout.readline(), PATIENCE_S) == b"All right.\n"
    out, err = await asyncio.wait_for(process.communicate(b"two\nthree\n"), PATIENCE_S)
    assert out == b""
    assert b"The connection is lost" in err
    assert b"cannot be reached" in err
    assert process.returncode == 1


class Terminal:
    """`parley chat` at a terminal; `shown` is all that it has printed."""

    def __init__(self, descriptor: int, program: Program | subprocess.Popen[bytes]) -> None:
        self._program = program
        self.shown = ""
        self._descriptor = descriptor
        self._arrived = asyncio.Event()
        asyncio.get_running_loop().add_reader(descriptor, self._read)

    def _read(self) -> None:
        try:
            self.shown += os.read(self._descriptor, 4096).decode()
        except OSError:
            asyncio.get_running_loop().remove_reader(self._descriptor)
        self._arrived.set()

    def type(self, text: str) -> None:
        os.write(self._descriptor, text.encode())

    async def until(self, text: str, times: int = 1) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                while self.shown.count(text) < times:
                    self._arrived.clear()
                    await self._arrived.wait()
        except TimeoutError:
            raise AssertionError(f"{text!r} never came:\n{self.shown}") from None

    async def end(self) -> int:
        code = await asyncio.wait_for(asyncio.to_thread(self._program.wait), PATIENCE_S)
        asyncio.get_running_loop().remove_reader(self._descriptor)
        return code


@asynccontextmanager
async def terminal(folder: Path, *arguments: str, **set_to: str) -> AsyncIterator[Terminal]:
    """`set_to` are environment variables."""
    master, slave = pty.openpty()
    set_to = environment(folder) | {"TERM": "dumb"} | set_to
    program = start_at_terminal(*MAIN, *arguments, cwd=folder, env=set_to, terminal=slave)
    os.close(slave)
    try:
        yield Terminal(master, program)
    finally:
        if program.returncode is None:
            program.kill()
            await asyncio.to_thread(program.wait)
        os.close(master)


async def test_ctrl_c_stops_an_answer_and_twice_it_leaves(tmp_path: Path) -> None:
    async def endless(request: Request, answer: Answer) -> None:
        await answer.delta(content="One, two, ")
        await answer.until_client_leaves()

    async with (
        model(endless, says("Here I am.")).running() as server,
        terminal(tmp_path, "chat", *model_at(server)) as shown,
    ):
        await shown.until("/new begins")
        await shown.until("> ")
        shown.type("Count.\n")
        await shown.until("One, two, ")
        shown.type("\x03")
        await asyncio.wait_for(server.client_left.wait(), PATIENCE_S)
        await shown.until("> ", 2)
        shown.type("Are you there?\n")
        await shown.until("Here I am.")
        await shown.until("> ", 3)
        shown.type("/help\n")
        await shown.until("/new begins", 2)
        await shown.until("> ", 4)
        # readline shows its prompt before it waits for keys, and misses a signal between the two.
        await asyncio.sleep(0.3)
        shown.type("\x03")
        await shown.until("once more leaves")
        await shown.until("> ", 5)
        shown.type("\x03")
        assert await shown.end() == 0
    assert "Traceback" not in shown.shown
    assert asked(server)[1][-1] == "Are you there?"


async def test_a_terminal_is_sent_no_control_characters_and_long_messages_break_between_words(tmp_path: Path) -> None:
    async with (
        model(says("It is \x1b[31mred\x07.")).running() as server,
        terminal(tmp_path, "chat", *model_at(server)) as shown,
    ):
        await shown.until("> ")
        lines = shown.shown.partition("A line of text")[2].partition("> ")[0].splitlines()
        assert len(lines) > 1
        assert all(line.startswith("  ") for line in lines[1:] if line)
        shown.type("What?\n")
        await shown.until("It is [31mred.")
        await shown.until("> ", 2)
        shown.type("\x04")
        assert await shown.end() == 0
    assert "\x07" not in shown.shown.partition("What?")[2]


async def test_the_end_of_the_input_leaves(tmp_path: Path) -> None:
    async with model(says("Yes.")).running() as server, terminal(tmp_path, "chat", *model_at(server)) as shown:
        await shown.until("> ")
        shown.type("\x04")
        assert await shown.end() == 0
    assert "Traceback" not in shown.shown
