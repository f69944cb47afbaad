"""What the screen of `parley talk` shows in windows of each size, and what it says of itself: greeting, title, help, figures."""

from __future__ import annotations

import os
import signal
from functools import partial
from typing import Any

import pytest
from textual.widgets import Input, Static

from parley.client.updates import SessionStarted
from parley.talk.figure_names import FIGURES
from parley.talk.partners import Partners, partners_of
from parley.talk.tui.drawing import ASCII, Glyphs
from parley.talk.tui.guide import LEAST, Mode, greeting, help_lines, title
from tests.talk.test_screen import LONG, Shown, screen, scripted, typed_screen
from tests.terminal_keys import keys_need_no_idle_process

pytestmark = pytest.mark.slow

SMALL = (50, 14)
BIG = (120, 40)


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    keys_need_no_idle_process(monkeypatch)


def _shows(shown: Shown, text: str) -> bool:
    return text in " ".join(shown.text().split())


def _glance(shown: Shown) -> str:
    return str(shown.app.query_one("#glance", Static).render()).strip()


def _conversation_rows(shown: Shown) -> int:
    return int(shown.app.query_one("#said").size.height)


async def test_at_80_by_24_the_conversation_has_the_room_until_the_table_is_asked_for() -> None:
    async with screen(scripted("what is it", reply=["It is one two."])) as shown:
        await shown.until(
            "the greeting", partial(_shows, shown, "Speak, or press T to type. Cut in whenever you like.")
        )
        assert _conversation_rows(shown) == 20
        shown.tape.speak(0.6)
        await shown.until("the figures in one line", partial(_shows, shown, "answer "))
        assert _conversation_rows(shown) == 20
        await shown.pilot.press("f")
        await shown.until("the table", partial(_shows, shown, "words, with pause"))
        assert _conversation_rows(shown) == 11
        await shown.pilot.press("F")
        await shown.until("the room again", lambda: _conversation_rows(shown) == 20)


async def test_a_large_window_shows_the_table_and_the_user_may_hide_it() -> None:
    async with screen(scripted(), BIG) as shown:
        await shown.until("the table", partial(_shows, shown, "words, with pause"))
        assert _conversation_rows(shown) == 40 - 10 - 3
        await shown.pilot.press("f")
        await shown.until("the conversation", lambda: _conversation_rows(shown) == 40 - 4)


@pytest.mark.parametrize("size", [SMALL, LEAST])
async def test_in_a_small_window_what_is_typed_the_state_and_the_keys_can_be_read(size: tuple[int, int]) -> None:
    async with screen(scripted("count", reply=[LONG]), size) as shown:
        await shown.until_state("listening")
        await shown.pilot.press("t", *"hello", "space", *"there")
        await shown.until("what is typed", partial(_shows, shown, "hello there"))
        rows = shown.text().splitlines()
        assert rows[0].endswith("listening")
        assert "Enter send" in rows[-1]
        assert "Esc back" in rows[-1]
        assert max(map(len, rows)) <= size[0]
        assert len(rows) == size[1]
        assert _conversation_rows(shown) >= 5
        await shown.pilot.press("enter")
        await shown.until("the figures", partial(_shows, shown, "answer "))
        await shown.pilot.press("f")
        await shown.until("the table in the place of the conversation", partial(_shows, shown, "last median"))
        assert "model" in shown.text()
        assert shown.text().splitlines()[-1].startswith(" Space silence")


async def test_the_line_of_figures_is_as_long_as_a_window_that_changes_allows() -> None:
    async with screen(scripted("what is it", reply=["It is one two."])) as shown:
        await shown.until("listening", partial(_shows, shown, "listening"))
        shown.tape.speak(0.6)
        await shown.until("every figure", lambda: {"answer", "voice"} <= set(_glance(shown).split()))
        await shown.pilot.resize_terminal(30, 8)
        await shown.until("a shorter line", lambda: 0 < len(_glance(shown)) <= 28)
        await shown.pilot.resize_terminal(80, 24)
        await shown.until("the whole line", lambda: {"answer", "voice"} <= set(_glance(shown).split()))


async def test_a_terminal_that_is_closed_ends_the_conversation_in_order() -> None:
    async with screen(scripted()) as shown:
        await shown.until("listening", partial(_shows, shown, "listening"))
        os.kill(os.getpid(), signal.SIGHUP)
        await shown.until("the end", lambda: shown.app._exit)
    assert shown.app.return_value is None


async def test_a_window_that_is_too_small_says_so_and_one_that_grows_shows_the_conversation_again() -> None:
    async with screen(scripted("what is it"), (LEAST[0] - 1, LEAST[1])) as shown:
        await shown.until("a clear word", partial(_shows, shown, "This window is too small for the conversation"))
        assert _shows(shown, f"at least {LEAST[0]} x {LEAST[1]} characters, and it has {LEAST[0] - 1} x {LEAST[1]}")
        assert "listening" not in shown.text()
        await shown.pilot.press("m", "h")
        assert not shown.talk.microphone.muted, "nobody sees what a key does"
        assert shown.talk.hands_free
        await shown.pilot.resize_terminal(*SMALL)
        await shown.until("the conversation", partial(_shows, shown, "listening"))
        assert not _shows(shown, "too small")
        await shown.pilot.resize_terminal(30, 5)
        await shown.until("the word again", partial(_shows, shown, "it has 30 x 5"))


async def test_the_newest_words_stay_in_sight_when_the_window_shrinks_unless_the_user_reads_older_ones() -> None:
    async with screen(scripted(reply=["The newest words."]), (80, 24)) as shown:
        await shown.until_state("listening")
        for number in range(4):
            shown.talk.say(f"Question {number}, which is long enough to need a second line in the small window.")
            await shown.until("the answer", lambda: len(shown.lines("reply")) == number + 1)  # noqa: B023
            await shown.until_state("listening")
        await shown.pilot.resize_terminal(*SMALL)
        await shown.until("the newest words", lambda: "The newest words." in shown.text().splitlines()[-4])
        await shown.pilot.press("up", "up", "up")
        await shown.until("older words", partial(_shows, shown, "Question 0"))
        shown.talk.say("And now?")
        await shown.until("another answer", lambda: len(shown.lines("reply")) == 5)
        await shown.pilot.resize_terminal(SMALL[0] - 2, SMALL[1])
        await shown.pilot.pause(0.2)
        assert not _shows(shown, "And now?")


async def test_the_waterfall_is_drawn_as_soon_as_the_table_is_shown() -> None:
    async with screen(scripted(reply=["Typed too."])) as shown:
        await shown.until_state("listening")
        shown.talk.say("quick")
        await shown.until(
            "the figures", lambda: bool(shown.talk.figures.turns) and shown.talk.figures.turns[-1].by_server
        )
        await shown.until("the end of the answer", lambda: shown.talk.state == "listening")
        await shown.pilot.resize_terminal(*BIG)
        await shown.until("the waterfall", partial(_shows, shown, "turn 1, from the message"))


async def test_what_is_typed_survives_a_window_that_was_too_small() -> None:
    async with typed_screen(scripted(reply=["Yes."]), SMALL) as shown:
        await shown.pilot.press(*"quick")
        await shown.pilot.resize_terminal(20, 4)
        await shown.until("a clear word", partial(_shows, shown, "too small"))
        await shown.pilot.press("q", "m")
        assert shown.app.is_running
        await shown.pilot.resize_terminal(*SMALL)
        typed = shown.app.query_one("#typed", Input)
        await shown.until("the message", lambda: typed.value == "quick" and shown.app.focused is typed)
        await shown.pilot.press("enter")
        await shown.until("the answer", partial(_shows, shown, "reply Yes."))


async def test_the_title_names_recogniser_model_and_voice_and_the_help_explains_keys_and_figures() -> None:
    async with screen(scripted(), (100, 24)) as shown:
        await shown.until("the title", lambda: bool(shown.talk.partners.model))
        await shown.until_state("listening")
        partners = shown.talk.partners
        head = shown.text().splitlines()[0]
        assert all(name in head for _, name in partners.labelled())
        assert len(partners.labelled()) == 3
        await shown.pilot.press("?")
        await shown.until("the help", partial(_shows, shown, "silences the answer"))
        seen = shown.text()
        for _ in range(8):
            await shown.pilot.press("pagedown")
            await shown.pilot.pause(0.05)
            seen += shown.text()
        for each in FIGURES:
            assert each.label in seen
            assert each.name in seen
        assert "estimated here" in seen
        await shown.pilot.press("escape")
        await shown.until("the conversation", partial(_shows, shown, "Speak, or press T to type."))


async def test_typed_turns_have_the_servers_figures_and_say_how_long_the_answer_took() -> None:
    async with screen(scripted(reply=["Typed too."])) as shown:
        await shown.until_state("listening")
        await shown.pilot.press("t", *"quick", "enter")
        await shown.until(
            "the server's figures",
            lambda: shown.talk.figures.turns[-1:] != [] and shown.talk.figures.turns[-1].by_server,
        )
        await shown.until("the end of the answer", lambda: shown.talk.state == "listening")
        (turn,) = shown.talk.figures.turns
        measured = turn.figures()
        assert set(measured) == {"QUESTION-TO-RESPONSE_MS", "LLM-TTF_MS", "LLM-TOTAL_MS", "TTS-TTF_MS", "TTS-TOTAL_MS"}
        assert not any(figure.estimated for figure in measured.values())
        await shown.until("the line", partial(_shows, shown, f"answer {measured['QUESTION-TO-RESPONSE_MS']} ms model"))
        assert [step.label for step in turn.waterfall()] == ["sent", "first token", "first audio", "played"]


def test_every_line_of_the_help_fits_and_no_key_is_named_that_does_nothing() -> None:
    partners = Partners("whisper:tiny.en", "ollama:qwen3", "heart (kokoro)")
    for glyphs in (Glyphs(), ASCII):
        for width in (37, 47, 77, 117):
            for typed in (False, True):
                lines = help_lines(Mode(typed=typed), partners, "here", width, glyphs)
                assert max(line.cell_len for line in lines) <= width
                text = "\n".join(line.plain for line in lines)
                assert ("Space" in text) is not typed
                assert all(name in text for _, name in partners.labelled())
                assert text.isascii() or glyphs.unicode


def test_the_greeting_says_what_to_do_in_each_mode() -> None:
    assert greeting(Mode()).startswith("Speak, or press T to type. Cut in whenever you like.")
    assert "Press Space, speak" in greeting(Mode(hands_free=False))
    assert "Speak" not in greeting(Mode(typed=True))


@pytest.mark.parametrize("width", [12, 30, 60, 100])
def test_the_title_is_as_full_as_the_width_allows(width: int) -> None:
    shown = title(Partners("whisper", "qwen3", "heart"), "here", width, ASCII)
    assert len(shown) <= width
    assert shown.startswith("whisper") if width < 34 else "parley talk: " in shown
    assert ("recogniser whisper, model qwen3" in shown) is (width >= 60)
    assert title(Partners(), "192.168.1.5:8765", 60, ASCII) == "parley talk: 192.168.1.5:8765"


def test_the_names_are_those_of_the_pipeline_or_where_there_is_none_of_the_session() -> None:
    session = SessionStarted("s", "fast", "alloy", "gpt-4o-mini-transcribe")
    assert partners_of(session, []) == Partners("gpt-4o-mini-transcribe", "fast", "alloy")
    pipelines: list[dict[str, Any]] = [
        {
            "name": "default",
            "engines": {"stt": {"name": "whisper"}, "llm": {"name": "ollama"}, "tts": {"name": "kokoro"}},
            "answers": {"by": "model", "engine": "ollama", "model": "qwen3"},
        },
        {"name": "fast", "engines": {"stt": {"name": "moonshine"}, "speech": {"name": "moshi"}}},
    ]
    assert partners_of(session, pipelines) == Partners("moonshine", "moshi", "alloy")
    hosted = SessionStarted("s", "gpt-realtime", "", "whisper-1")
    assert partners_of(hosted, pipelines) == Partners("whisper", "qwen3", "kokoro")
