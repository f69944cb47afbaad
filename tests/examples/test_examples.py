"""Every example is run as a reader would run it."""

from __future__ import annotations

import base64
import json
import os
import runpy
import shutil
import socket
import subprocess
import sys
import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soxr
from websockets.sync.client import connect

from parley.library import read_audio, synthesize, write_audio
from tests.conftest import clip_path
from tests.engines import tiny_kokoro
from tests.programs import run_program
from tests.web.server import Server

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
MAX_LINES = 72
"""More is no example. The command line takes some ten."""


def run(name: str, *arguments: object, timeout_s: float = 90) -> str:
    done = run_program(str(EXAMPLES / name), *map(str, arguments), timeout_s=timeout_s)
    assert done.returncode == 0, done.stderr
    assert not done.stderr.strip(), done.stderr
    return done.stdout


def test_every_example_is_run_here_and_is_short() -> None:
    here = Path(__file__).read_text(encoding="utf-8")
    found = sorted(EXAMPLES.glob("*.py"))
    assert len(found) >= 7
    for path in found:
        assert f'"{path.name}"' in here, f"{path.name} is not run by any test"
        assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_LINES


WRONG: dict[str, list[str]] = {
    "command_agent.py": ["missing.wav"],
    "csm_voice.py": ["missing", "missing.wav", "missing.wav", "out.wav"],
    "custom_policy_server.py": ["no-port"],
    "from_a_frame_loop.py": ["missing.wav", "out.wav"],
    "from_pipecat.py": ["missing.wav"],
    "mixed_voice.py": ["out", "af_heart", "af_bella", "no-engine"],
    "own_llm.py": ["missing.wav", "out.wav"],
    "raw_stream.py": ["ws://127.0.0.1:9/v1/audio/stream", "missing.wav", "out.wav"],
    "tool_that_answers.py": ["missing.wav"],
    "transcribe_file.py": ["missing.wav"],
    "two_bots.py": ["one.wav", "two.wav"],
    "wake_word.py": ["hello", "missing.wav"],
    "webrtc_call.py": ["missing.wav", "out.wav", "http://127.0.0.1:9"],
}
"""What each example is called with that cannot be used."""

ALONE = {"custom_policy_server.py", "two_bots.py"}
"""Examples that run without an argument."""


def called(name: str, monkeypatch: pytest.MonkeyPatch, folder: Path, *arguments: str) -> object:
    """The exit code, in this process: what is imported stays imported."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", [name, *arguments])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")
    return ended.value.code


def test_every_example_is_called_wrongly_here() -> None:
    assert set(WRONG) == {path.name for path in EXAMPLES.glob("*.py")}


@pytest.mark.parametrize("name", sorted(set(WRONG) - ALONE))
def test_an_example_without_its_arguments_prints_its_usage(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert called(name, monkeypatch, tmp_path) == 2
    assert capsys.readouterr().err.startswith(f"usage: {name} ")
    assert f"python examples/{name} " in (EXAMPLES / name).read_text(encoding="utf-8"), (
        "its help shows how it is called"
    )


@pytest.mark.parametrize("name", sorted(WRONG))
def test_an_example_that_is_called_wrongly_says_what_is_wrong(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert called(name, monkeypatch, tmp_path, *WRONG[name]) == 2
    assert f"{name}: error: " in capsys.readouterr().err
    assert not list(tmp_path.glob("*.wav")), "nothing is written"


@pytest.mark.slow
def test_two_bots_talk_without_an_argument(tmp_path: Path) -> None:
    done = run_program(str(EXAMPLES / "two_bots.py"), cwd=tmp_path, timeout_s=90)
    assert done.returncode == 0, done.stderr
    with wave.open(str(tmp_path / "conversation.wav")) as file:
        assert any(file.readframes(file.getnframes()))


def test_a_file_is_written_down() -> None:
    lines = run("transcribe_file.py", clip_path("beckett")).splitlines()
    assert len(lines) >= 5
    assert any(line.endswith("try again") for line in lines)


def test_your_own_function_answers(tmp_path: Path) -> None:
    said = run("own_llm.py", clip_path("hello_world"), tmp_path / "answer.wav")
    assert "answered: Backwards, that is: world hello." in said
    assert read_audio(tmp_path / "answer.wav").seconds > 0.5


def test_a_tool_answers() -> None:
    said = run("tool_that_answers.py", clip_path("weather_question"))
    assert "called:   get_weather {'city': 'Paris'}" in said
    assert "answered: It is 21 degrees in Paris." in said


def test_nothing_is_answered_before_the_wake_word() -> None:
    question, hello = clip_path("weather_question"), clip_path("hello_world")
    said = run("wake_word.py", "hello", question, hello, question).splitlines()
    assert [line.split(":")[0] for line in said] == ["heard", "heard", "answered", "heard", "answered"]


def test_a_frame_loop_of_ones_own_parts(tmp_path: Path) -> None:
    said = run("from_a_frame_loop.py", clip_path("hello_world"), tmp_path / "beeps.wav")
    assert said == "hello world: I heard 2 words.\n"
    assert read_audio(tmp_path / "beeps.wav").seconds == pytest.approx(4 * 0.2, abs=0.01)


def test_an_agent_of_pipecats_kind() -> None:
    said = run("from_pipecat.py", clip_path("weather_question")).splitlines()
    # The clip's words are "What's the weather like in Paris?", and how PocketSphinx hears them depends on the voice.
    assert said[0].startswith("speaks, to: what")
    assert said[0].endswith("paris")
    assert said[1] == "tool: It is 21 degrees in Paris."
    assert said[2].startswith("heard: It is 21 degrees in Paris. in ")


def test_a_voice_is_mixed_of_two(tmp_path: Path) -> None:
    engine = f"kokoro:{tiny_kokoro.folder(tmp_path / 'kokoro')}"
    lines = run("mixed_voice.py", tmp_path / "out", "af_heart", "af_bella", engine).splitlines()
    assert [line.split(maxsplit=3)[3] for line in lines] == [
        "af_bella",
        "af_heart(1)+af_bella(3)",
        "af_heart(2)+af_bella(2)",
        "af_heart(3)+af_bella(1)",
        "af_heart",
    ]
    spoken = [read_audio(path).audio.tobytes() for path in sorted((tmp_path / "out").iterdir())]
    assert len(set(spoken)) == 5, "each is a voice of its own"


def test_two_bots_take_turns(tmp_path: Path) -> None:
    said = run("two_bots.py", tmp_path / "both.wav").splitlines()
    assert [line.split(":")[0] for line in said] == ["Anna", "Ben"] * 3
    assert "(heard: -)" not in "".join(said), "each of them heard the other"
    assert read_audio(tmp_path / "both.wav").seconds > 6


def test_commands_are_obeyed(tmp_path: Path) -> None:
    files = []
    for number, command in enumerate(["turn on the radio", "what is on", "turn off the radio", "what is on"]):
        path = tmp_path / f"{number}.wav"
        write_audio(path, np.concatenate([spoken.samples for spoken in synthesize(command, tts="espeak")]))
        files.append(path)
    assert run("command_agent.py", *files).splitlines() == [
        "turn on the radio: The radio is on.",
        "what is on: On: radio.",
        "turn off the radio: The radio is off.",
        "what is on: On: nothing.",
    ]


@pytest.fixture
def policy_server(tmp_path: Path) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, str(EXAMPLES / "custom_policy_server.py"), str(port)],
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env={"PARLEY_LLM": "responder", "PARLEY_STT": "pocketsphinx", "PATH": "", "HOME": str(tmp_path)},
    )
    try:
        assert server.stderr is not None
        for line in server.stderr:
            if f":{port}" in line:
                break
        else:
            pytest.fail("the server did not start")
        yield f"ws://127.0.0.1:{port}/v1/realtime?model=default"
    finally:
        server.terminate()
        server.communicate(timeout=30)


def test_a_server_with_a_policy_answers_only_questions(policy_server: str) -> None:
    question, statement = clip_path("weather_question"), clip_path("hello_world")
    assert _responses(policy_server, question) == 1
    assert _responses(policy_server, statement) == 0


def _responses(url: str, path: Path) -> int:
    """How many responses a recording causes before the turn that follows it (a commit, which never causes one) is there."""
    with wave.open(str(path)) as wav:
        pcm = wav.readframes(wav.getnframes())
    with connect(url) as link:

        def append(audio: bytes) -> None:
            link.send(json.dumps({"type": "input_audio_buffer.append", "audio": base64.b64encode(audio).decode()}))

        def until(kind: str) -> list[str]:
            seen: list[str] = []
            while not seen or seen[-1] != kind:
                seen.append(json.loads(link.recv(timeout=60))["type"])
            return seen

        until("session.created")
        transcription = {"type": "realtime", "audio": {"input": {"transcription": {"model": "default"}}}}
        link.send(json.dumps({"type": "session.update", "session": transcription}))
        append(pcm + bytes(48 * 1000))
        seen = until("conversation.item.input_audio_transcription.completed")
        if "response.created" not in seen:
            link.send(json.dumps({"type": "conversation.item.retrieve", "item_id": "none"}))
            seen += until("error")
        return seen.count("response.created")


def test_a_cloned_voice_answers_in_view_of_the_conversation(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="torch (the extra `csm`) is not installed")
    pytest.importorskip("transformers", reason="transformers (the extra `csm`) is not installed")
    from tests.engines.csm.tiny_csm import csm_folder

    weights = csm_folder(tmp_path / "tiny")
    shutil.copy(clip_path("beckett"), tmp_path / "anna.wav")
    (tmp_path / "anna.txt").write_text("Ever tried. Ever failed. No matter. Try again.", encoding="utf-8")
    files = (tmp_path / "anna.wav", clip_path("hello_world"), tmp_path / "answer.wav")
    command = [sys.executable, str(EXAMPLES / "csm_voice.py"), str(weights), *map(str, files)]
    own = {**os.environ, "XDG_DATA_HOME": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False, env=own)
    assert done.returncode == 0, done.stderr  # on stderr it may say that this machine is too slow
    assert "answered: You said: hello world. And how you said it!" in done.stdout
    assert read_audio(tmp_path / "answer.wav").seconds > 0.5


def test_a_caller_is_answered_over_webrtc(tmp_path: Path) -> None:
    server = Server("--stt", "pocketsphinx", "--llm", "responder", "--tts", "hibari", cwd=tmp_path)
    try:
        you, reply = run(
            "webrtc_call.py", clip_path("weather_question"), tmp_path / "answer.wav", server.url
        ).splitlines()
    finally:
        server.end()
    assert "what" in you
    assert reply.startswith(f"server: I heard: {you.removeprefix('you:    ')}.")
    assert read_audio(tmp_path / "answer.wav").seconds > 3


def test_raw_audio_is_streamed_to_a_server(tmp_path: Path) -> None:
    question = tmp_path / "question.wav"
    recording = read_audio(clip_path("weather_question"))
    audio = np.asarray(soxr.resample(recording.audio.astype(np.float32), recording.sample_rate, 16_000))
    with wave.open(str(question), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes((audio if np.abs(audio).max() > 2 else audio * 32_767).astype("<i2").tobytes())
    server = Server("--pipeline", "bench", cwd=tmp_path)
    try:
        stream = server.url.replace("http", "ws") + "/v1/audio/stream"
        said = run("raw_stream.py", stream, question, tmp_path / "answer.wav").splitlines()
    finally:
        server.end()
    assert said[0] == "you:   bench"
    assert said[1].startswith("agent: ")
    with wave.open(str(tmp_path / "answer.wav")) as answer:
        assert (answer.getframerate(), answer.getnframes() > 0.5 * 16_000) == (16_000, True)
