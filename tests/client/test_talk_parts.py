"""The figures, the transcript, the talk key and the recording of a conversation."""

from __future__ import annotations

import json
import stat
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from parley.client.updates import (
    TYPED,
    ClientUpdate,
    ResponseAudio,
    ResponseCut,
    ResponseEnded,
    ResponseStarted,
    ResponseText,
    ServerToolCalled,
    SessionStarted,
    UserTranscript,
    UserTurnEnded,
    UserTurnLost,
    UserTurnStarted,
)
from parley.talk.devices import Device, DevicesUnavailable, find_device
from parley.talk.figure_names import NAMES
from parley.talk.figures import TalkFigures, spreads
from parley.talk.recorded_tracks import RATE
from parley.talk.recording import TalkRecording
from parley.talk.status import Status
from parley.talk.talk_key import TalkKey
from parley.talk.transcript import TalkTranscript, TranscriptLine

# --- figures -----------------------------------------------------------------------------------------------------------------


def one_turn(figures: TalkFigures) -> None:
    """Voice until 10.0, turn end 10.5, words 10.9, first token 11.2, first audio 11.5, played 11.6."""
    for at_s, update in (
        (9.0, UserTurnStarted("u", over_reply=True)),
        (9.4, UserTranscript("u", "what", final=False)),
        (10.52, UserTurnEnded("u", 10.0, 10.5)),
        (10.9, UserTranscript("u", "what is it", final=True)),
        (10.95, ResponseStarted("r")),
        (11.2, ResponseText("r", "i", "It", final=False)),
        (11.5, ResponseAudio("r", "i", 0, b"")),
        (11.9, ResponseText("r", "i", "It is", final=False)),
        (12.4, ResponseAudio("r", "i", 0, b"")),
    ):
        figures.on_update(update, at_s)
    figures.played("i", 11.6)
    figures.on_update(ResponseEnded("r", "completed", ""), 12.5)


def test_every_figure_of_a_turn_is_measured_from_the_events() -> None:
    figures = TalkFigures()
    one_turn(figures)
    (turn,) = figures.turns
    measured = {name: (round(figure.ms), figure.estimated) for name, figure in turn.figures().items()}
    assert measured == {
        "QUESTION-TO-RESPONSE_MS": (1600, False),
        "STT_MS": (400, True),
        "STT-TTF_MS": (400, False),
        "STT-TOTAL_MS": (900, True),
        "LLM-TTF_MS": (700, True),
        "LLM-TOTAL_MS": (1400, True),
        "TTS-TTF_MS": (300, True),
        "TTS-TOTAL_MS": (1200, True),
    }
    assert tuple(measured) == NAMES


def test_a_parley_servers_account_replaces_the_estimates() -> None:
    figures = TalkFigures()
    one_turn(figures)
    row = {
        "item_id": "u",
        "response_id": "r",
        "voice_end_at_ms": 9980.0,
        "turn_end_at_ms": 10500.0,
        "transcript_ms": 350.0,
    }
    row |= {"requested_ms": 351.0, "first_token_ms": 551.0, "first_audio_ms": 651.0, "speculation": "won"}
    figures.server_turns([row])
    (turn,) = figures.turns
    measured = turn.figures()
    account = {
        name: (round(measured[name].ms), measured[name].estimated) for name in ("STT_MS", "LLM-TTF_MS", "TTS-TTF_MS")
    }
    assert account == {"STT_MS": (350, False), "LLM-TTF_MS": (200, False), "TTS-TTF_MS": (100, False)}
    assert measured["QUESTION-TO-RESPONSE_MS"].ms == pytest.approx(1620)
    steps = turn.waterfall()
    assert [step.label for step in steps] == ["turn end", "transcript", "first token", "first audio", "played"]
    assert steps[0].end_ms == pytest.approx(520)
    assert steps[-1].end_ms == pytest.approx(1620)


def typed_turn(*, spoken: bool) -> TalkFigures:
    """Sent 10.0, the reply begins 10.1, first token 10.4, first audio 10.6, played 10.7."""
    figures = TalkFigures()
    figures.on_update(UserTurnStarted(f"{TYPED}1", over_reply=True), 10.0)
    figures.on_update(UserTranscript(f"{TYPED}1", "what is it", final=True), 10.0)
    figures.on_update(ResponseStarted("r"), 10.1)
    figures.on_update(ResponseText("r", "i", "It", final=False), 10.4)
    if spoken:
        figures.on_update(ResponseAudio("r", "i", 0, b""), 10.6)
        figures.played("i", 10.7)
    figures.on_update(ResponseEnded("r", "completed", ""), 12.0)
    return figures


def test_a_typed_turn_lasts_from_the_message_and_takes_the_servers_figures() -> None:
    figures = typed_turn(spoken=True)
    (turn,) = figures.turns
    assert {name: (round(each.ms), each.estimated) for name, each in turn.figures().items()} == {
        "QUESTION-TO-RESPONSE_MS": (700, False),
        "LLM-TTF_MS": (300, True),
        "LLM-TOTAL_MS": (300, True),
        "TTS-TTF_MS": (200, True),
        "TTS-TOTAL_MS": (200, True),
    }
    row: dict[str, Any] = {
        "item_id": None,
        "response_id": "r",
        "voice_end_at_ms": None,
        "turn_end_at_ms": None,
        "transcript_ms": None,
    }
    row |= {"requested_ms": 0.0, "first_token_ms": 250.0, "first_audio_ms": 400.0, "speculation": "none"}
    figures.server_turns([row])
    figures.server_turns([row])
    measured = turn.figures()
    assert not any(each.estimated for each in measured.values())
    assert [round(measured[name].ms) for name in ("LLM-TTF_MS", "TTS-TTF_MS")] == [250, 150]
    assert round(measured["QUESTION-TO-RESPONSE_MS"].ms) == 700
    steps = [(step.label, round(step.start_ms), round(step.end_ms)) for step in turn.waterfall()]
    assert steps == [("sent", 0, 100), ("first token", 100, 350), ("first audio", 350, 500), ("played", 500, 700)]


def test_an_answer_that_is_read_begins_with_its_first_words() -> None:
    (turn,) = typed_turn(spoken=False).turns
    assert round(turn.figures()["QUESTION-TO-RESPONSE_MS"].ms) == 400


def test_an_answer_that_was_stopped_before_its_first_sound_was_not_read() -> None:
    figures = TalkFigures()
    figures.on_update(UserTurnStarted(f"{TYPED}1", over_reply=True), 10.0)
    figures.on_update(ResponseStarted("r"), 10.1)
    figures.on_update(ResponseText("r", "i", "It", final=False), 10.4)
    figures.on_update(ResponseEnded("r", "cancelled", "client_cancelled"), 10.5)
    assert "QUESTION-TO-RESPONSE_MS" not in figures.turns[0].figures()


def turn_with_a_tool() -> TalkFigures:
    """Turn end 10.5, the model calls at 11.0, the reply that goes on begins at 13.0, first token 13.2, first audio 13.5, played 13.6."""
    figures = TalkFigures()
    for at_s, update in (
        (9.0, UserTurnStarted("u", over_reply=True)),
        (10.52, UserTurnEnded("u", 10.0, 10.5)),
        (10.9, UserTranscript("u", "what is it", final=True)),
        (10.95, ResponseStarted("r1")),
        (11.0, ServerToolCalled("r1")),
        (11.1, ResponseEnded("r1", "completed", "")),
        (13.0, ResponseStarted("r2")),
        (13.2, ResponseText("r2", "i", "It", final=False)),
        (13.5, ResponseAudio("r2", "i", 0, b"")),
    ):
        figures.on_update(update, at_s)
    figures.played("i", 13.6)
    figures.on_update(ResponseEnded("r2", "completed", ""), 14.0)
    return figures


def test_a_turn_in_which_a_tool_ran_lasts_from_the_users_voice_to_the_reply() -> None:
    figures = turn_with_a_tool()
    (turn,) = figures.turns
    measured = {name: round(figure.ms) for name, figure in turn.figures().items()}
    assert measured["QUESTION-TO-RESPONSE_MS"] == 3600
    assert (measured["LLM-TTF_MS"], measured["TTS-TTF_MS"]) == (200, 300)
    steps = [(step.label, round(step.start_ms), round(step.end_ms)) for step in turn.waterfall()]
    assert steps == [
        ("turn end", 0, 500),
        ("transcript", 500, 900),
        ("tool call", 500, 1000),
        ("tool", 1000, 3000),
        ("first token", 3000, 3200),
        ("first audio", 3200, 3500),
        ("played", 3500, 3600),
    ]
    figures.on_update(UserTurnStarted("v", over_reply=True), 15.0)
    figures.on_update(ResponseStarted("r3"), 16.0)
    assert len(figures.turns) == 2, "what is said next is a turn of its own"


def test_a_parley_servers_account_of_a_turn_with_a_tool_is_joined_reply_by_reply() -> None:
    figures = turn_with_a_tool()
    figures.server_turns(
        [
            {"response_id": "r1", "voice_end_at_ms": 9980.0, "turn_end_at_ms": 10500.0, "requested_ms": 351.0},
            {"response_id": "r2", "requested_ms": 1.0, "first_token_ms": 101.0, "first_audio_ms": 401.0},
        ]
    )
    (turn,) = figures.turns
    measured = {name: round(figure.ms) for name, figure in turn.figures().items()}
    assert (measured["QUESTION-TO-RESPONSE_MS"], measured["LLM-TTF_MS"], measured["TTS-TTF_MS"]) == (3620, 100, 300)
    steps = {step.label: (round(step.start_ms), round(step.end_ms)) for step in turn.waterfall()}
    assert steps["tool call"] == (871, 1020)
    assert steps["tool"] == (1020, 3020)
    assert steps["first token"] == (3021, 3121)


def test_the_summary_gives_median_and_95th_percentile() -> None:
    figures = TalkFigures()
    for number in range(20):
        figures.on_update(UserTurnStarted(f"u{number}", over_reply=False), 0.0)
        figures.on_update(UserTurnEnded(f"u{number}", 1.0, 1.5), 1.5)
        figures.on_update(ResponseStarted(f"r{number}"), 1.6)
        figures.on_update(ResponseAudio(f"r{number}", f"i{number}", 0, b""), 1.7)
        figures.played(f"i{number}", 2.0 + number / 10)
    found = {each.name: each for each in spreads(figures.turns)}
    response = found["QUESTION-TO-RESPONSE_MS"]
    assert (response.count, round(response.p50), round(response.p95)) == (20, 1900, 2800)


def test_a_reply_that_was_cut_counts_as_one_interruption() -> None:
    figures = TalkFigures()
    one_turn(figures)
    figures.on_update(ResponseCut("i", "It", " is", 100, exact=False), 12.6)
    figures.on_update(ResponseCut("i", "It", " is", 100, exact=True), 12.7)
    assert figures.interruptions == 1


def test_a_reply_cut_without_the_user_does_not_count_as_an_interruption() -> None:
    figures = TalkFigures()
    one_turn(figures)
    figures.on_update(ResponseCut("i", "It", " is", 100, exact=False, by_user=False), 12.6)
    assert (figures.interruptions, figures.turns[0].interrupted) == (0, False)


# --- transcript --------------------------------------------------------------------------------------------------------------


def lines_after(*updates: ClientUpdate) -> list[TranscriptLine]:
    transcript = TalkTranscript()
    for update in updates:
        transcript.on_update(update, 1.0)
    return list(transcript.lines.values())


def test_words_that_were_cut_off_stay_apart_from_those_heard() -> None:
    (line,) = lines_after(
        ResponseText("r", "i", "One two three", final=False),
        ResponseCut("i", "One", " two three", 500, exact=False),
        # The server's last delta was under way.
        ResponseText("r", "i", "One two three four", final=True),
    )
    assert (line.text, line.unheard, line.heard_ms) == ("One", " two three four", 500)


def test_a_turn_that_a_key_began_gets_its_words_though_its_item_comes_later() -> None:
    first, reply, second = lines_after(
        UserTurnStarted("", over_reply=True),
        UserTurnEnded("", 1.0, 1.0),
        UserTranscript("u1", "hello", final=True),
        ResponseText("r", "i", "Hi", final=True),
        UserTurnStarted("", over_reply=True),
        UserTranscript("u2", "again", final=True),
    )
    assert (first.text, reply.text, second.text) == ("hello", "Hi", "again")
    assert not first.partial


def test_a_turn_without_words_says_so() -> None:
    (line,) = lines_after(UserTurnStarted("u", over_reply=False), UserTurnLost("u", "nothing was understood"))
    assert (line.text, line.note, line.partial) == ("", "nothing was understood", False)


# --- the talk key ------------------------------------------------------------------------------------------------------------


def test_the_talk_key_toggles() -> None:
    key = TalkKey()
    assert key.pressed(10.0) == "down"
    assert key.deadline is None
    assert key.pressed(12.0) == "up"
    assert not key.down


def test_the_talk_key_held_down_ends_when_its_repeats_cease() -> None:
    key = TalkKey()
    assert key.pressed(10.0) == "down"
    now_s = 10.5
    for _ in range(30):
        assert key.pressed(now_s) is None
        assert key.passed(now_s + 0.02) is None
        now_s += 0.03
    assert key.deadline is not None
    assert key.passed(key.deadline) == "up"


def test_a_quick_second_press_ends_the_turn_too() -> None:
    key = TalkKey()
    key.pressed(10.0)
    assert key.pressed(10.4) is None, "it may be the first repeat of a held key"
    assert key.deadline is not None
    assert key.passed(key.deadline) == "up"


# --- who has the status -------------------------------------------------------------------------------------------------------


def test_the_state_follows_a_turn_from_listening_to_the_reply() -> None:
    status = Status()

    def state(audible: bool = False) -> str:
        return status.state(audible=audible, muted=False, hands_free=True)

    assert state() == "connecting"
    status.on_update(SessionStarted("s", "m", "v"))
    assert state() == "listening"
    status.on_update(UserTurnStarted("u", over_reply=False))
    assert state() == "you speak"
    status.on_update(UserTurnEnded("u", 1.0, 1.0))
    assert state() == "thinking"
    status.on_update(ResponseStarted("r"))
    assert state(audible=True) == "it speaks"
    status.on_update(ResponseEnded("r", "completed", ""))
    assert state(audible=True) == "it speaks", "it is still to be heard"
    assert state() == "listening"
    status.lost()
    assert state() == "reconnecting"


# --- devices -----------------------------------------------------------------------------------------------------------------

DEVICES = [
    Device(0, "USB Audio: #1", "ALSA", 1, 2, default_input=False, default_output=False),
    Device(1, "Built-in Microphone", "ALSA", 2, 0, default_input=True, default_output=False),
    Device(2, "Built-in Speaker", "ALSA", 0, 2, default_input=False, default_output=True),
]


@pytest.mark.parametrize(
    ("wanted", "direction", "index"), [("", "input", 1), ("", "output", 2), ("usb", "input", 0), ("0", "output", 0)]
)
def test_a_device_is_chosen_by_index_or_name(wanted: str, direction: str, index: int) -> None:
    assert find_device(DEVICES, wanted, "input" if direction == "input" else "output").index == index


def test_an_unknown_device_is_refused_with_the_list_of_devices() -> None:
    with pytest.raises(
        DevicesUnavailable, match=r"no output device 'headset'; there are: 0 'USB Audio: #1', 2 'Built-in"
    ):
        find_device(DEVICES, "headset", "output")


def test_what_stands_for_others_is_not_offered_while_there_are_names() -> None:
    stand_in = Device(3, "pulse", "ALSA", 32, 32, default_input=False, default_output=False, aside=True)
    with pytest.raises(DevicesUnavailable) as refused:
        find_device([*DEVICES, stand_in], "headset", "input")
    assert "pulse" not in str(refused.value)
    assert find_device([*DEVICES, stand_in], "pulse", "input") is stand_in
    with pytest.raises(DevicesUnavailable, match="there are: 3 'pulse'"):
        find_device([stand_in], "headset", "input")


# --- recording ---------------------------------------------------------------------------------------------------------------


def test_a_recording_holds_both_sides_in_their_places(tmp_path: Path) -> None:
    recording = TalkRecording(tmp_path / "kept", 100.0, 48_000)
    voice = np.full(RATE, 5000, dtype=np.int16)
    chunk = RATE // 50
    # The user speaks in the second second, the assistant in the fourth; chunks come with jitter.
    for at in range(50):
        jitter_s = 0.03 if at % 2 else 0.0
        recording.tracks.user(voice[:chunk], 101.0 + (at + 1) * 0.02 + jitter_s)
    for at in range(250):
        loud = 150 <= at < 200
        recording.tracks.assistant(np.full(2 * chunk, 7000 if loud else 0, dtype=np.int16), 100.0 + at * 0.02)
    recording.event("sent", json.dumps({"type": "input_audio_buffer.append", "audio": "QUJD" * 100}), 101.0)
    transcript = TalkTranscript()
    transcript.on_update(UserTranscript("u", "hello", final=True), 101.0)
    transcript.on_update(ResponseText("r", "i", "Hi there you", final=True), 103.0)
    transcript.on_update(ResponseCut("i", "Hi there", " you", 800, exact=True), 104.0)
    figures = TalkFigures()
    one_turn(figures)
    recording.finish(transcript.lines.values(), figures.turns)

    kept = tmp_path / "kept"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in kept.iterdir()} == {0o600}, "a recording is its owner's only"
    with wave.open(str(tmp_path / "kept/audio.wav")) as wav:
        tracks = np.frombuffer(wav.readframes(wav.getnframes()), dtype="<i2").reshape(-1, 2)
    assert len(tracks) / RATE == pytest.approx(5.0, abs=0.05)
    for side, begin_s in ((0, 1.0), (1, 3.0)):
        heard = np.flatnonzero(np.abs(tracks[:, side]) > 1000)
        assert heard[0] / RATE == pytest.approx(begin_s, abs=0.06)
        assert (heard[-1] - heard[0]) / RATE == pytest.approx(1.0, abs=0.02)
    assert (tmp_path / "kept/transcript.txt").read_text() == "you: hello\nreply: Hi there [not heard: you]\n"
    document = json.loads((tmp_path / "kept/transcript.json").read_text())
    assert document["lines"][1] == {
        "speaker": "assistant", "at_ms": 3000, "text": "Hi there", "unheard": " you", "heard_ms": 800, "heard_exactly": True
    }  # fmt: skip
    assert set(document["turns"][0]["figures"]) == set(NAMES)
    (row,) = [json.loads(line) for line in (tmp_path / "kept/trace.jsonl").read_text().splitlines()]
    assert row == {
        "at_ms": 1000.0, "what": "sent",
        "event": {"type": "input_audio_buffer.append", "audio": "<300 bytes of audio>"},
    }  # fmt: skip
