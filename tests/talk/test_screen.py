"""The screen of `parley talk`, driven by its keys, against a server of our own and devices that are a tape."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from parley.client.connection import Server, ServerUnavailable
from parley.client.session_setup import SessionOptions
from parley.talk.conversation import Talk
from parley.talk.figure_names import FIGURES, NAMES
from parley.talk.figures import WaterfallBar
from parley.talk.ports import Chosen, TalkView
from parley.talk.transcript import TranscriptLine
from parley.talk.tui.drawing import ASCII, Glyphs, glyphs_for, meter, waterfall
from parley.talk.tui.guide import LEAST
from parley.talk.tui.parts import said_words
from parley.talk.tui.plain import PlainView
from parley.talk.tui.screen import TalkScreen
from parley.testing.fakes import FakeModel, FakeRecognizer, FakeSynthesizer, Pause
from tests.server.harness import Engines, Running, running
from tests.talk.tape import TapeDevices
from tests.terminal_keys import keys_need_no_idle_process

pytestmark = pytest.mark.slow

PATIENCE_S = 60.0
LONG = "One two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen."


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    keys_need_no_idle_process(monkeypatch)


@dataclass
class Shown:
    """A running screen."""

    app: TalkScreen
    pilot: Pilot[Any]
    server: Running

    @property
    def talk(self) -> Talk:
        return self.app.talk

    @property
    def tape(self) -> TapeDevices:
        assert isinstance(self.talk.devices, TapeDevices)
        return self.talk.devices

    def text(self) -> str:
        """The whole screen, as it is drawn."""
        strips = self.app.screen._compositor.render_strips()
        return "\n".join("".join(segment.text for segment in strip).rstrip() for strip in strips)

    async def until(self, what: str, condition: Callable[[], bool]) -> None:
        deadline_s = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline_s, f"waited in vain for {what}:\n{self.text()}"
            await self.pilot.pause(0.02)

    async def until_state(self, state: str) -> None:
        await self.until(state, lambda: self.talk.state == state)

    def lines(self, speaker: str) -> list[TranscriptLine]:
        return [line for line in self.talk.transcript.lines.values() if line.speaker == speaker]


def scripted(*heard: str, reply: Sequence[str] = (LONG,)) -> Engines:
    return Engines(stt=FakeRecognizer(*heard), llm=FakeModel(list(reply)), tts=FakeSynthesizer(word_ms=200))


@asynccontextmanager
async def screen(
    engines: Engines,
    size: tuple[int, int] = (80, 24),
    options: SessionOptions | None = None,
    record: Path | None = None,
    glyphs: Glyphs | None = None,
) -> AsyncIterator[Shown]:
    async with running(engines=engines) as server:
        chosen = Chosen(Server.at(server.ws, model="default"), options or SessionOptions(), record=record)

        def make(view: TalkView) -> Talk:
            return Talk(chosen, view, lambda: None, TapeDevices)

        app = TalkScreen(make, glyphs or Glyphs())
        async with app.run_test(size=size) as pilot:
            shown = Shown(app, pilot, server)
            await shown.until("a session", lambda: bool(shown.talk.began.session_id))
            yield shown
            await leave(shown)


async def leave(shown: Shown) -> None:
    if shown.app.is_running:
        await shown.pilot.press("q")
        await shown.until("the end", lambda: not shown.app.is_running or shown.app._exit)


async def test_a_spoken_turn_is_shown_with_both_transcripts_and_every_figure() -> None:
    async with screen(scripted("what is it", reply=["It is one two."])) as shown:
        await shown.until_state("listening")
        shown.tape.speak(0.6)
        await shown.until_state("you speak")
        assert "you speak" in shown.text()
        await shown.until_state("it speaks")
        await shown.until_state("listening")
        turn = shown.talk.figures.last
        assert turn is not None
        await shown.until("the figures of the server", lambda: turn.by_server)
        await shown.pilot.pause()
        text = shown.text()
        assert "you   what is it" in text
        assert "reply It is one two." in text
        figures = turn.figures()
        assert set(figures) == set(NAMES)
        assert f"answer {figures['QUESTION-TO-RESPONSE_MS']} ms" in text
        await shown.pilot.press("f")
        await shown.until("the table", lambda: "played" in shown.text())
        text = shown.text()
        for each in FIGURES:
            assert f"{each.label} " in text
        # Half a second of silence ends a turn; before that no answer can be right.
        assert 500 < figures["QUESTION-TO-RESPONSE_MS"].ms < 3000
        for step in ("turn end", "transcript", "first token", "first audio", "played"):
            assert step in text


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (60, 20), (50, 14), LEAST])
async def test_everything_fits_the_terminal(size: tuple[int, int]) -> None:
    async with screen(scripted(), size) as shown:
        await shown.until_state("listening")
        rows = shown.text().splitlines()
        assert len(rows) <= size[1]
        assert "listening" in rows[0]
        assert rows[-1].startswith(" Space silence")
        assert "? help" in rows[-1]
        assert "Q leave" in rows[-1]


async def test_silencing_a_reply_strikes_out_the_words_that_were_not_heard() -> None:
    async with screen(scripted("count")) as shown:
        await shown.until_state("listening")
        shown.tape.speak(0.5)
        await shown.until_state("it speaks")
        await shown.until(
            "a second of the reply", lambda: sum(np.abs(part).max() > 1000 for part in shown.tape.played) > 50
        )
        await shown.pilot.press("space")
        silenced = len(shown.tape.played)
        await shown.until("the exact words", lambda: any(line.heard_ms and line.exact for line in shown.lines("reply")))
        (line,) = shown.lines("reply")
        assert line.heard_ms is not None
        assert 1000 <= line.heard_ms < 2500
        # 200 ms a word, so the words follow from the milliseconds.
        heard = line.heard_ms // 200
        assert line.text.split() == LONG.split()[:heard]
        assert (line.text + line.unheard).split() == LONG.split()
        assert not any(part.any() for part in shown.tape.played[silenced + 1 :])
        assert f"~{line.unheard.split()[0]} " in shown.text()
        assert shown.talk.figures.interruptions == 1


async def test_speaking_over_a_reply_stops_it_and_the_next_answer_knows_what_was_heard() -> None:
    engines = scripted("count", "stop")
    async with screen(engines) as shown:
        await shown.until_state("listening")
        shown.tape.speak(0.5)
        await shown.until_state("it speaks")
        await shown.until("some of it", lambda: sum(np.abs(part).max() > 1000 for part in shown.tape.played) > 60)
        shown.tape.speak(0.5)
        await shown.until_state("you speak")
        await shown.until("two replies", lambda: len(shown.lines("reply")) == 2)
        cut, _ = shown.lines("reply")
        await shown.until("the second question", lambda: len(engines.llm.requests) == 2)
        assert cut.heard_ms is not None
        assert cut.unheard
        assert "sixteen" not in str(engines.llm.requests[1])


async def test_push_to_talk_begins_and_ends_a_turn_with_the_space_key() -> None:
    async with screen(scripted("hello there", reply=["Hello."]), options=SessionOptions(hands_free=False)) as shown:
        await shown.until_state("press to talk")
        shown.tape.speak(0.4)
        await shown.pilot.pause(0.1)
        assert shown.talk.state == "press to talk", "nothing is heard while the key is up"
        await shown.pilot.press("space")
        await shown.until_state("you speak")
        assert "Space end turn" in shown.text()
        shown.tape.speak(0.5)
        # Longer than a keyboard waits before it repeats a key.
        await shown.pilot.pause(1.0)
        await shown.pilot.press("space")
        await shown.until("the answer", lambda: [line.text for line in shown.lines("reply")] == ["Hello."])
        assert [line.text for line in shown.lines("you")] == ["hello there"]


async def test_a_typed_message_is_answered() -> None:
    async with screen(scripted(reply=["Typed too."])) as shown:
        await shown.until_state("listening")
        await shown.pilot.press("t", *"quick", "space", *"now", "enter")
        await shown.until("the answer", lambda: [line.text for line in shown.lines("reply")] == ["Typed too."])
        assert [line.text for line in shown.lines("you")] == ["quick now"]


WITHOUT_SOUND = SessionOptions(hands_free=False, spoken=False)


@asynccontextmanager
async def typed_screen(engines: Engines, size: tuple[int, int]) -> AsyncIterator[Shown]:
    """The screen where there is neither a microphone nor a loudspeaker, on the real devices' code."""
    async with running(engines=engines) as server:
        chosen = Chosen(Server.at(server.ws, model="default"), WITHOUT_SOUND, input=None, output=None)
        app = TalkScreen(lambda view: Talk(chosen, view, lambda: None), Glyphs())
        async with app.run_test(size=size) as pilot:
            shown = Shown(app, pilot, server)
            await shown.until_state("type a message")
            yield shown
            await pilot.press("ctrl+c")
            await shown.until("the end", lambda: not app.is_running or app._exit)


def _shows(shown: Shown, text: str) -> bool:
    return text in shown.text()


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (60, 20), (50, 14), LEAST])
async def test_without_a_microphone_the_conversation_is_typed_and_read(size: tuple[int, int]) -> None:
    engines = scripted(reply=["It is one two.", "Three four."])
    async with typed_screen(engines, size) as shown:
        assert "type a message" in shown.text()
        if size[1] >= 14:
            assert "Type your messages; Enter sends them" in " ".join(shown.text().split())
        for question, answer in (("quit, mute, hum", "It is one two."), ("and d?", "Three four.")):
            await shown.pilot.press(
                *("space" if letter == " " else letter for letter in question.replace(",", "")), "enter"
            )
            await shown.until("an answer", partial(_shows, shown, answer))
        await shown.until_state("type a message")
        assert [line.text for line in shown.lines("you")] == ["quit mute hum", "and d?"]
        assert not shown.talk.microphone.muted
        text = shown.text()
        assert max(map(len, text.splitlines())) <= size[0]
        assert "Enter send" in text
        assert "Space" not in text
        if size[1] < 32:
            await shown.pilot.press("f3")
        await shown.until("the table", partial(_shows, shown, "words, with pause"))
        text = shown.text()
        assert "from the end of speech" not in text
        if size[0] >= 80:
            assert "turn 2, from the message" in text


async def test_without_a_loudspeaker_the_microphones_level_is_still_shown() -> None:
    async with running(engines=scripted()) as server:
        chosen = Chosen(Server.at(server.ws, model="default"), SessionOptions(spoken=False), output=None)
        app = TalkScreen(lambda view: Talk(chosen, view, lambda: None, TapeDevices), Glyphs())
        async with app.run_test(size=(80, 24)) as pilot:
            shown = Shown(app, pilot, server)
            await shown.until("the level", partial(_shows, shown, "you "))
            assert "underruns" not in shown.text()
            await pilot.press("m")
            await shown.until("that it is muted", partial(_shows, shown, "you muted"))
            await leave(shown)


async def test_without_a_microphone_escape_silences_the_spoken_reply_and_the_message_stays() -> None:
    async with running(engines=scripted(reply=(" ".join([LONG] * 20),))) as server:
        chosen = Chosen(Server.at(server.ws, model="default"), SessionOptions(hands_free=False), input=None)
        app = TalkScreen(lambda view: Talk(chosen, view, lambda: None, TapeDevices), Glyphs())
        async with app.run_test(size=(80, 24)) as pilot:
            shown = Shown(app, pilot, server)
            await shown.until_state("type a message")
            await pilot.press(*"tell", "enter")
            await shown.until_state("it speaks")
            await pilot.press(*"next")
            await pilot.press("escape")
            await shown.until_state("type a message")
            await shown.until("words cut off", lambda: any(line.unheard for line in shown.lines("reply")))
            assert app.query_one("#typed", Input).value == "next"
            assert app.focused is app.query_one("#typed", Input)
            await pilot.press("ctrl+c")
            await shown.until("the end", lambda: not app.is_running or app._exit)


async def test_plain_lines_carry_a_typed_conversation_without_any_sound() -> None:
    lines: list[str] = []
    async with running(engines=scripted(reply=["It is one two."])) as server:
        chosen = Chosen(Server.at(server.ws, model="default"), WITHOUT_SOUND, input=None, output=None)
        view = PlainView(lines.append)
        talk = Talk(chosen, view, lambda: None)
        view.talk = talk
        conversing = asyncio.create_task(talk.run())
        await _until(lambda: talk.state == "type a message", lines)
        talk.press_key()
        talk.toggle_hands_free()
        talk.say("what is it")
        await _until(lambda: any("reply: It is one two." in line for line in lines), lines)
        await _until(lambda: talk.state == "type a message", lines)
        talk.stop()
        await conversing
    assert any("microphone: none; loudspeaker: none. Type your messages" in line for line in lines)
    assert not any("you speak" in line or "press to talk" in line for line in lines)


def test_long_lines_of_a_terminal_break_between_words_and_those_of_a_pipe_do_not_break() -> None:
    notice = "No language model is connected: the built-in responder answers. To connect one, start Ollama."
    narrow: list[str] = []
    PlainView(narrow.append, 40).say(notice)
    assert len(narrow) > 1
    assert max(map(len, narrow)) <= 40
    assert " ".join(" ".join(narrow).split()).endswith(notice)
    whole: list[str] = []
    PlainView(whole.append).say(notice)
    assert len(whole) == 1


async def _until(condition: Callable[[], bool], lines: list[str]) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline_s, "\n".join(lines)
        await asyncio.sleep(0.02)


async def test_mute_hands_free_and_devices_have_a_key_each_and_are_shown_in_words() -> None:
    async with screen(scripted()) as shown:
        await shown.until_state("listening")
        await shown.pilot.press("m")
        await shown.until_state("muted")
        shown.tape.speak(0.5)
        await shown.until("it has been said", lambda: not shown.tape.speaking)
        assert "you muted" in shown.text()
        assert "M unmute" in shown.text()
        await shown.pilot.press("m", "h")
        await shown.until_state("press to talk")
        await shown.pilot.press("h", "d")
        await shown.until("the devices opened anew", lambda: shown.tape.opened == [False, True])
        await shown.until("the news", lambda: "looking for another" in shown.text())
        assert not shown.lines("you")


async def test_a_lost_connection_is_reported_and_restored(tmp_path: Path) -> None:
    async with screen(scripted("again", reply=["Yes."]), record=tmp_path / "kept") as shown:
        await shown.until_state("listening")
        first = shown.talk.began.session_id
        for session in shown.server.app.sessions:
            session.wind_down()
        await shown.until("a new session", lambda: shown.talk.began.session_id not in ("", first))
        assert "The connection is lost" in shown.text()
        shown.tape.speak(0.5)
        await shown.until("an answer", lambda: [line.text for line in shown.lines("reply")] == ["Yes."])
        await shown.until_state("listening")
    assert "reply: Yes." in (tmp_path / "kept/transcript.txt").read_text()


async def test_an_unreachable_server_ends_the_screen_with_the_reason() -> None:
    chosen = Chosen(Server.at("ws://127.0.0.1:9"), SessionOptions())
    app = TalkScreen(lambda view: Talk(chosen, view, lambda: None, TapeDevices), Glyphs())
    async with app.run_test(size=(80, 24)) as pilot:
        deadline_s = time.monotonic() + PATIENCE_S
        while app.return_value is None:
            assert time.monotonic() < deadline_s
            await pilot.pause(0.02)
    assert isinstance(app.return_value, ServerUnavailable)
    assert "cannot be reached" in str(app.return_value)
    assert "parley serve" in str(app.return_value)


class Lines:
    """The lines written so far, and a wait for more."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._more = asyncio.Event()

    def write(self, line: str) -> None:
        self.lines.append(line)
        self._more.set()

    async def until(self, part: str) -> None:
        while not any(part in line for line in self.lines):
            self._more.clear()
            await self._more.wait()


async def test_plain_lines_show_the_same_conversation() -> None:
    engines = Engines(
        stt=FakeRecognizer("what is it"), llm=FakeModel([Pause(0.05), "It is one."]), tts=FakeSynthesizer(word_ms=100)
    )
    lines = Lines()
    async with running(engines=engines) as server:
        view = PlainView(lines.write)
        talk = Talk(Chosen(Server.at(server.ws, model="default"), SessionOptions()), view, lambda: None, TapeDevices)
        view.talk = talk
        conversation = asyncio.create_task(talk.run())
        async with asyncio.timeout(PATIENCE_S):
            await lines.until("state: listening")
            assert isinstance(talk.devices, TapeDevices)
            talk.devices.speak(0.5)
            await lines.until("figures of turn 1")
            talk.stop()
            await conversation
    story = [line.split("] ", 1)[1] for line in lines.lines]
    order = ["state: you speak", "state: thinking", "you: what is it", "reply: It is one.", "state: it speaks"]
    assert [line for line in story if line in order] == order or sorted(
        line for line in story if line in order
    ) == sorted(order)
    (figures,) = [line for line in story if line.startswith("figures of turn 1 in ms: ")]
    assert all(f"{each.label} " in figures for each in FIGURES)


async def test_leaving_in_the_middle_of_a_reply_is_not_counted_as_an_interruption() -> None:
    engines = scripted("count")
    async with running(engines=engines) as server:
        lines = Lines()
        view = PlainView(lines.write)
        talk = Talk(Chosen(Server.at(server.ws, model="default"), SessionOptions()), view, lambda: None, TapeDevices)
        view.talk = talk
        conversation = asyncio.create_task(talk.run())
        async with asyncio.timeout(PATIENCE_S):
            await lines.until("state: listening")
            assert isinstance(talk.devices, TapeDevices)
            talk.devices.speak(0.5)
            await lines.until("state: it speaks")
            talk.stop()
            await conversation
    (line,) = [line for line in talk.transcript.lines.values() if line.speaker == "reply"]
    assert line.unheard
    assert talk.figures.interruptions == 0


def test_nothing_is_drawn_that_the_terminal_cannot_show() -> None:
    assert glyphs_for("UTF-8") == Glyphs()
    assert glyphs_for("ANSI_X3.4-1968") == glyphs_for(None) == ASCII
    line = TranscriptLine(1, "reply", "i", 0.0, text="One", unheard=" two", partial=False, heard_ms=100)
    drawn = [
        meter(-30, 16, ASCII),
        *waterfall([WaterfallBar("turn end", 0, 500), WaterfallBar("played", 500, 501)], 60, ASCII),
    ]
    drawn.append(said_words(line, ASCII).plain)
    assert all(text.isascii() for text in drawn)
    assert drawn[-1] == "One ~two~"
    assert all(len(text) <= 60 for text in drawn)
