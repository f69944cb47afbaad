"""The dashboard of `parley interpret`, driven by its keys, over a call whose data the test sets."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from rich.text import Text
from textual.pilot import Pilot
from textual.widgets import Input

from parley.client.connection import ServerUnavailable
from parley.errors import ParleyError
from parley.interpret.ports import CostShown, DirectionFigures, PauseStages, RouteWishes
from parley.interpret.screen.dashboard import DrawnWidget, InterpretScreen
from parley.interpret.screen.summary import closing_lines
from parley.interpret.updates import DirectionName
from parley.talk.tui.drawing import ASCII, Glyphs
from tests.interpret.scripted_call import MEASURED, ScriptedCall, fill, line
from tests.terminal_keys import keys_need_no_idle_process

PATIENCE_S = 30.0
SIZES = [(80, 24), (120, 40), (60, 24), (40, 15), (200, 60), (71, 18)]
HOSTILE = "\x1b[2J\x1b]0;owned\x07\x1bPq#0\x1b\\\x9b31mred\x00\x08\r\n\tend\u202e\u2066"


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    keys_need_no_idle_process(monkeypatch)


@dataclass
class Dashboard:
    """A running screen."""

    app: InterpretScreen
    pilot: Pilot[Any]

    @property
    def call(self) -> ScriptedCall:
        assert isinstance(self.app.interpreter, ScriptedCall)
        return self.app.interpreter

    def rows(self) -> list[str]:
        """The whole screen, as it is drawn."""
        strips = self.app.screen._compositor.render_strips()
        return ["".join(segment.text for segment in strip).rstrip() for strip in strips]

    def text(self) -> str:
        return "\n".join(self.rows())

    def styles(self) -> dict[str, str]:
        """The style of each stretch of text that has one."""
        strips = self.app.screen._compositor.render_strips()
        return {segment.text.strip(): str(segment.style) for strip in strips for segment in strip}

    async def until(self, what: str, condition: Callable[[], bool]) -> None:
        deadline_s = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline_s, f"waited in vain for {what}:\n{self.text()}"
            await self.pilot.pause(0.01)

    async def until_shown(self, *parts: str) -> None:
        await self.until(f"{parts}", lambda: all(part in self.text() for part in parts))

    async def until_gone(self, part: str) -> None:
        await self.until(f"the end of {part}", lambda: part not in self.text())

    async def asks(self, key: str) -> None:
        await self.pilot.press(key)
        await self.until("the question", lambda: isinstance(self.app.focused, Input))

    async def answer(self, text: str) -> None:
        self.app.query_one("#typed", Input).value = text
        await self.pilot.press("enter")


@asynccontextmanager
async def dashboard(
    size: tuple[int, int] = (80, 24),
    *names: DirectionName,
    prepare: Callable[[ScriptedCall], None] | None = None,
    glyphs: Glyphs | None = None,
) -> AsyncIterator[Dashboard]:
    app = InterpretScreen(lambda view: ScriptedCall(view, *names), "parley interpret: our server", glyphs or Glyphs())
    async with app.run_test(size=size) as pilot:
        shown = Dashboard(app, pilot)
        if prepare is not None:
            prepare(shown.call)
        shown.call.view.ticked()
        await shown.until_shown("?" if size[0] >= 30 else "")
        await pilot.pause(0.1)
        yield shown
        if app.is_running and ("stop",) not in shown.call.done:
            await pilot.press("ctrl+c")
            await shown.until("the end", lambda: not app.is_running or app._exit)


async def test_drawing_goes_on_where_a_late_program_loses_single_timers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Textual drops a timer that is to fire once, where another thread holds up the program for longer than it should have waited."""
    async with dashboard() as shown:
        monkeypatch.setattr(InterpretScreen, "set_timer", lambda *_, **__: None)
        shown.call.note("The first.")
        await shown.until_shown("The first.")
        shown.call.note("The second.")
        await shown.until_shown("The second.")


def fits(rows: list[str], size: tuple[int, int]) -> None:
    assert len(rows) <= size[1]
    for row in rows:
        assert cell_len(row) <= size[0], row


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_both_directions_stand_side_by_side_with_captions_and_every_figure(size: tuple[int, int]) -> None:
    async with dashboard(size, prepare=fill) as shown:
        await shown.until_shown("people. (! check: 25)")
        rows = shown.rows()
        fits(rows, size)
        assert rows[0].startswith(" parley interpret")
        assert "● REC calls/2026-11-29  cost 0.42 of 2.00 USD  00:0" in rows[0]
        assert rows[1].startswith("you: Spanish -> English ")
        assert " ● speaking │ them: English -> Spanish " in rows[1]
        assert rows[1].endswith("● translating")
        assert rows[2].startswith("Built-in Microphone -> parley_mic_sink")
        assert "│ parley_speaker -> Headphones" in rows[2]
        walls = {row.index("│") for row in rows if "│" in row}
        assert len(walls) == 1, "the columns are aligned"
        (wall,) = walls
        left = "\n".join(row[:wall].rstrip() for row in rows if "│" in row)
        right = "\n".join(row[wall + 2 :] for row in rows if "│" in row)
        assert "Nos vemos [a las nueve en…]" in left
        assert "\n── English, voice coral ──" in left
        assert "How many boxes do you need, [and when…]" in right
        assert right.index("Yes, very well.") < right.index("── Spanish ──") < right.index("¿Cuántas cajas")
        for side in (left, right):
            for figures in (
                "pause to, ms  words  text audio played",
                "last            118   341   607    643",
                "p50 / p95                   652 / 1184",
                "ear-voice span    p50 1.9 s  p90 3.2 s",
                "drops 1.5 s  reconnects 2  drifts 3",
                "conversion RTF 0.21, 62 ms late",
                "queue 0.4 s",
            ):
                assert figures in side
            assert ("clocks -37 ppm" in side) == (size[0] == 120)
            assert ("643 ms" in side) == (size[1] == 40), "the last pause as bars, where there is room"
        assert any("note: The call uses parley_mic as its microphone." in row for row in rows)
        assert any(row.endswith("warning, them: Audio of 1.5 s was too old and is not translated.") for row in rows)
        assert any(row.endswith("error, you: The connection is lost; the next attempt is in 2 s.") for row in rows)
        assert rows[-1].startswith("M mute me")
        assert rows[-1].endswith("? help  Q leave")


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("names", [("forward", "reverse"), ("forward",), ("reverse",)])
async def test_state_and_words_fit_every_terminal(size: tuple[int, int], names: tuple[DirectionName, ...]) -> None:
    def prepare(call: ScriptedCall) -> None:
        for one in call.scripted.values():
            one.figures = MEASURED
            one.source = [line("uno dos tres"), line("", "cuatro")]
            one.target = [line("one two three")]

    async with dashboard(size, *names, prepare=prepare) as shown:
        await shown.until_shown("one two three", "[cuatro…]")
        rows = shown.rows()
        fits(rows, size)
        text = "\n".join(rows)
        assert text.count("● listening") == len(names)
        # A column of 34 cells has room for the tags beside the state, not for the names.
        named = size[0] != 71 or len(names) == 1
        assert (("you: Spanish -> English" if named else "you: es -> en ") in text) == ("forward" in names)
        assert (("them: English -> Spanish" if named else "them: en -> es ") in text) == ("reverse" in names)
        assert ("│" in text) == (len(names) == 2 and size[0] >= 70)
        assert ("raw voice" in rows[-1]) == ("forward" in names), "what a direction that does not run has no key"


@pytest.mark.parametrize("size", [(71, 18), (60, 26), (46, 30)])
async def test_where_the_table_of_figures_has_no_room_they_stand_in_short_lines(size: tuple[int, int]) -> None:
    async with dashboard(size, prepare=fill) as shown:
        await shown.until_shown("pause p50 0.7 s p95 1.2 s", "span p50 1.9 s p90 3.2 s", "drops 1.5 s, reconnects 2")
        fits(shown.rows(), size)


async def test_where_there_is_no_room_for_a_rule_a_sign_tells_the_translation_apart() -> None:
    async with dashboard((40, 15), prepare=fill) as shown:
        await shown.until_shown("\nNos vemos [a las nueve en…]\n> Tuesday's", "\n> people. (! check: 25)\n")
        assert "── English" not in shown.text()


@pytest.mark.parametrize(
    ("width", "said"),
    [
        (80, "untranslated. P or F8 ends it."),
        (44, "RAW VOICE: they hear you. P ends it."),
        (20, "RAW VOICE"),
        (5, "RAW"),
    ],
)
async def test_raw_voice_is_said_in_any_width(width: int, said: str) -> None:
    async with dashboard((width, 12), prepare=lambda call: call.toggle_panic()) as shown:
        await shown.until_shown(said)


async def test_a_screen_that_is_resized_is_drawn_anew() -> None:
    async with dashboard(prepare=fill) as shown:
        await shown.until_shown("│", "(! check: 25)")
        for size in [(50, 20), (120, 40), (40, 15), (10, 4), (1, 1), (80, 24)]:
            await shown.pilot.resize_terminal(*size)
            await shown.pilot.pause(0.1)
            fits(shown.rows(), size)
        await shown.until_shown("│", "(! check: 25)", "conversion RTF 0.21")


async def test_nothing_is_drawn_that_an_ascii_terminal_cannot_show() -> None:
    def prepare(call: ScriptedCall) -> None:
        fill(call)
        call.toggle_panic()
        call.scripted["reverse"].target = [line("¿Qué «tal»? 25 € — こんにちは")]

    async with dashboard(prepare=prepare, glyphs=ASCII) as shown:
        await shown.until_shown("RAW VOICE", "* REC calls/2026-11-29", "Nos vemos [a las nueve en...]")
        text = shown.text()
        assert text.isascii(), [letter for letter in text if not letter.isascii()]
        assert '?Que "tal"? 25 EUR - ?????' in text
        fits(shown.rows(), (80, 24))
        await shown.pilot.press("question_mark")
        await shown.until_shown("[words...]")
        assert shown.text().isascii()


@pytest.mark.slow
@pytest.mark.parametrize("size", [(80, 24), (40, 15)])
@pytest.mark.parametrize(
    "text",
    [
        "word " * 40_000,
        "x" * 100_000,
        "これは漢字です。" * 3_000,
        "שלום עולם 25 " * 2_000,
        "مرحبا بالعالم، كيف حالك؟ " * 2_000,
        "e" + "\u0301" * 5_000,
        "👩‍👩‍👧‍👦🏳️‍🌈 " * 500,
        "[red]not markup[/red] \\[ [@click=app.quit]",
        HOSTILE * 50,
        "\ud83d broken",
    ],
)
async def test_any_text_stays_in_its_column(text: str, size: tuple[int, int]) -> None:
    def prepare(call: ScriptedCall) -> None:
        for one in call.scripted.values():
            one.source = [line(text), line("first ", text)]
            one.target = [line(text), line("last", marks=(text,) * 20)]
            one.wishes = RouteWishes("es", "en", text[:300])
            one.devices = (text[:300], text[:300])
        call.note(text, "error", "forward")

    began_s = time.monotonic()
    async with dashboard(size, prepare=prepare) as shown:
        await shown.until(
            "the call and its note",
            lambda: shown.text().count("● listening") == 2 and "error, you:" in shown.text(),
        )
        rows = shown.rows()
        fits(rows, size)
        assert not any(ord(letter) < 32 or 0x7F <= ord(letter) < 0xA0 for row in rows for letter in row)
        assert not any(letter in "\u202e\u2066" for row in rows for letter in row)
    assert time.monotonic() - began_s < PATIENCE_S


async def test_what_a_terminal_would_obey_is_taken_out_of_captions_notes_and_names() -> None:
    def prepare(call: ScriptedCall) -> None:
        call.scripted["forward"].source = [line(f"before{HOSTILE} after")]
        call.scripted["forward"].devices = (f"mic{HOSTILE}", "cable")
        call.recording = Path(f"calls{HOSTILE.replace(chr(0), '')}")
        call.note(f"note{HOSTILE}")

    async with dashboard((120, 40), prepare=prepare) as shown:
        await shown.until_shown("before")
        text = shown.text()
        assert "before red end after" in " ".join(text.split())
        assert "owned" not in text
        assert "31m" not in text
        assert "q#0" not in text


async def test_what_is_urgent_stands_out_by_more_than_colour() -> None:
    async with dashboard(prepare=fill) as shown:
        await shown.pilot.press("p")
        await shown.until_shown("RAW VOICE")
        styles = shown.styles()
        assert "bold" in styles["!!! RAW VOICE: they hear you untranslated. P or F8 ends it."]
        assert "reverse" in styles["!!! RAW VOICE: they hear you untranslated. P or F8 ends it."]
        assert "italic" in styles["[a las nueve en…]"]
        assert "bold" in styles["(! check: 25)"]
        assert "bold" in styles["● REC calls/2026-11-29"]
        assert "bold" in styles["error, you: The connection is lost; the next attempt is in 2 s."]


async def test_thousands_of_notes_leave_the_last_ones_and_repeated_ones_are_counted() -> None:
    async with dashboard(prepare=fill) as shown:
        for number in range(5000):
            shown.call.note(f"number {number}")
        for _ in range(7):
            shown.call.note("Audio of 1.0 s was too old.", "warning")
        await shown.until_shown("warning: Audio of 1.0 s was too old. (7 times)", "note: number 4999")
        fits(shown.rows(), (80, 24))
        assert "number 4996" not in shown.text()


async def test_a_note_that_fits_whole_is_shown_whole_and_none_is_cut_in_the_middle() -> None:
    long = " ".join(f"word{number}" for number in range(25))
    async with dashboard(prepare=lambda call: call.note("short")) as shown:
        shown.call.note(long, "error")
        await shown.until_shown("word24")
        text = " ".join(shown.text().split())
        assert long in text
        assert "note: short" not in text, "there is no room for it beside the newer one"
        shown.call.note(" ".join(f"more{number}" for number in range(99)))
        await shown.until_shown("note: more0")
        assert next(row for row in reversed(shown.rows()[:-1]) if "more" in row).endswith("…")


async def test_every_key_does_its_one_thing() -> None:
    async with dashboard(prepare=fill) as shown:
        await shown.pilot.press("m")
        await shown.until_shown("● muted", "M unmute me")
        await shown.pilot.press("m", "t")
        await shown.until_shown("M mute me", "T unmute")
        await shown.pilot.press("t", "k")
        await shown.until_shown("Space talk", "key up")
        await shown.pilot.press("space")
        await shown.until_shown("Space stop", "key down")
        await shown.pilot.press("space", "k")
        await shown.until_gone("Space")
        await shown.pilot.press("space")
        await shown.pilot.press("p")
        await shown.until_shown("RAW VOICE: they hear you untranslated. P or F8 ends it.", "● raw voice")
        await shown.pilot.press("f8")
        await shown.until_gone("RAW VOICE")
        assert shown.call.done == [
            ("mute", "forward"),
            ("mute", "forward"),
            ("mute", "reverse"),
            ("mute", "reverse"),
            ("push-to-talk",),
            ("key",),
            ("key",),
            ("push-to-talk",),
            ("panic",),
            ("panic",),
        ]


async def test_with_caps_lock_the_same_side_is_muted() -> None:
    async with dashboard(prepare=fill) as shown:
        await shown.pilot.press("M", "T", "K", "P")
        await shown.until_shown("RAW VOICE")
        assert shown.call.done == [("mute", "forward"), ("mute", "reverse"), ("push-to-talk",), ("panic",)]


async def test_languages_change_while_the_call_goes_on() -> None:
    async with dashboard(prepare=fill) as shown:
        await shown.asks("l")
        await shown.until_shown("Your language, then theirs", "es en", "Esc back")
        await shown.answer("pt-BR, german")
        await shown.until_shown("you: pt-BR -> de ", "them: de -> pt-BR ", "── Brazilian Portuguese ──")
        assert shown.call.done == [("languages", "pt-BR", "de")]
        assert "Your language" not in shown.text()
        assert shown.app.focused is None


@pytest.mark.parametrize(
    ("typed", "message", "fix"),
    [
        ("es enlish", "'enlish' is not a language that is known here.", "Did you mean en (English)?"),
        ("es xx", "'xx' is not a language", "Write a tag such as es, en or pt-BR"),
        ("es", "One language is written.", "yours, then theirs, such as: es en"),
        ("", "No language is written.", "such as: es en"),
        ("es en fr", "3 languages are written.", "such as: es en"),
        ("es es-MX", "Both languages are Spanish.", "such as: es en"),
        ("es \x1b[31m", "is not a language", "Write a tag such as es, en or pt-BR"),
    ],
)
async def test_a_language_that_is_not_known_is_refused_with_the_way_to_write_it(
    typed: str, message: str, fix: str
) -> None:
    async with dashboard(prepare=fill) as shown:
        await shown.asks("l")
        await shown.answer(typed)
        await shown.until("the message", lambda: message in " ".join(shown.text().split()))
        assert fix in " ".join(shown.text().split())
        assert not shown.call.done
        assert isinstance(shown.app.focused, Input), "it can be corrected"
        await shown.answer("fr en")
        await shown.until_shown("you: French -> English")


async def test_languages_that_the_interpreter_refuses_are_reported_and_nothing_changes() -> None:
    async with dashboard(prepare=fill) as shown:
        shown.call.refuses = ParleyError("This server does not speak Faroese.", "Choose one of: en, es.")
        await shown.asks("l")
        await shown.answer("es fo")
        await shown.until_shown("This server does not speak Faroese. Choose one of: en, es.")
        await shown.pilot.press("escape")
        await shown.until_gone("Faroese")
        assert "you: Spanish -> English" in shown.text()


async def test_each_direction_has_a_voice_of_its_own() -> None:
    async with dashboard(prepare=fill) as shown:
        await shown.asks("v")
        await shown.until_shown("The voice in which they hear you", "coral")
        await shown.answer(" nova ")
        await shown.until_shown("── English, voice nova ──")
        await shown.asks("V")
        await shown.until_shown("The voice in which you hear them")
        await shown.answer("alloy")
        await shown.until_shown("── Spanish, voice alloy ──")
        await shown.asks("v")
        await shown.answer("")
        await shown.until_gone("voice nova")
        assert shown.call.done == [
            ("voice", "forward", "nova"),
            ("voice", "reverse", "alloy"),
            ("voice", "forward", ""),
        ]


async def test_letters_of_an_answer_steer_nothing_and_the_panic_key_still_does() -> None:
    async with dashboard(prepare=fill) as shown:
        await shown.asks("v")
        await shown.pilot.press(*"mtkpql", "space", "question_mark")
        assert not shown.call.done
        assert shown.app.query_one("#typed", Input).value.endswith("mtkpql ?")
        await shown.pilot.press("f8")
        await shown.until_shown("RAW VOICE")
        assert shown.call.done == [("panic",)]
        await shown.pilot.press("escape", "m")
        await shown.until("the mute", lambda: ("mute", "forward") in shown.call.done)


async def test_where_one_direction_runs_the_keys_of_the_other_do_nothing() -> None:
    async with dashboard((80, 24), "reverse") as shown:
        await shown.pilot.press("m", "k", "p", "f8", "space")
        assert shown.call.done == []
        await shown.asks("v")
        await shown.until_shown("The voice in which you hear them")
        await shown.answer("nova")
        await shown.until("the voice", lambda: shown.call.done == [("voice", "reverse", "nova")])
        await shown.asks("l")
        assert shown.app.query_one("#typed", Input).value == "es en", "yours first, though it is what you hear"
        await shown.pilot.press("escape")


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (40, 15)])
async def test_the_help_says_what_each_key_and_figure_is(size: tuple[int, int]) -> None:
    async with dashboard(size, prepare=fill) as shown:
        await shown.pilot.press("question_mark")
        await shown.until_shown("mute or unmute you", "Esc back")
        fits(shown.rows(), size)
        if size[1] >= 24:
            for part in ("P, F8", "Q, Ctrl-C", "ear-voice span", "drops", "drifts", "conversion", "clocks"):
                assert part in shown.text()
        else:
            await shown.pilot.press("down", "down", "down", "down", "down", "down", "down")
            await shown.until_shown("clocks")
        await shown.pilot.press("p")
        await shown.until_shown("RAW VOICE")
        await shown.pilot.press("escape")
        await shown.until_shown("● raw voice")
        assert "mute or unmute you" not in shown.text()


async def test_the_cost_is_shown_with_its_cap_until_it_is_reached() -> None:
    async with dashboard() as shown:
        assert "cost" not in shown.text()
        for cost, said in (
            (CostShown(0.5), "cost 0.50 USD"),
            (CostShown(0.5, 2.0), "cost 0.50 of 2.00 USD"),
            (CostShown(1.7, 2.0, "EUR"), "cost 1.70 of 2.00 EUR, near the cap"),
            (CostShown(2.01, 2.0), "cost 2.01: cap of 2.00 USD reached"),
        ):
            shown.call.cost = cost
            shown.call.view.ticked()
            await shown.until_shown(said)


async def test_what_was_not_measured_has_no_figure_and_what_went_wrong_has_a_word() -> None:
    async with dashboard() as shown:
        text = shown.text()
        assert "p50 / p95                        - / -" in text
        assert "ear-voice span" + " " * 12 + "p50 -  p90 - │" in text
        assert "voice conversion: none" in text
        huge = DirectionFigures(
            last=PauseStages(None, 1_234_567.0, None, 99_999.0),
            pause_p50_ms=123_456.0,
            pause_p95_ms=9_999_999.0,
            span_p50_ms=600_000.0,
            span_p90_ms=700_000.0,
            queue_ms=3_600_000.0,
            dropped_s=12_345.6,
            reconnects=1234,
            drifts=5678,
            conversion_rtf=12.34,
            conversion_ms=12_345.0,
            clocks_ppm=-499.0,
        )
        shown.call.set("forward", lambda one: setattr(one, "figures", huge))
        shown.call.set("reverse", lambda one: setattr(one, "figures", replace(MEASURED, conversion_rtf=1.2)))
        await shown.until_shown("123s / 10000s", "conversion RTF 1.20, 62 ms, too slow")
        fits(shown.rows(), (80, 24))


async def test_a_burst_of_changes_is_drawn_once() -> None:
    async with dashboard(prepare=fill) as shown:
        drawn: list[int] = []
        panel = shown.app.query_one("#forward", DrawnWidget)
        draw = panel._draw

        def counted(width: int, height: int) -> list[Text]:
            drawn.append(1)
            return draw(width, height)

        panel._draw = counted
        for number in range(2000):
            shown.call.set("forward", partial(_say, number))
        await shown.until_shown("word 1999")
        # Once, and perhaps a second time for the last of the changes.
        assert 1 <= len(drawn) <= 4


def _say(number: int, one: Any) -> None:
    one.target = [line(f"word {number}")]


async def test_the_screen_ends_with_what_ended_the_call() -> None:
    failure = ServerUnavailable("The server cannot be reached.", "Start it: parley serve")
    async with dashboard() as shown:
        shown.call.fail(failure)
        await shown.until("the end", lambda: shown.app._exit)
    assert shown.app.return_value is failure


async def test_a_signal_ends_the_call_in_order() -> None:
    async with dashboard() as shown:
        os.kill(os.getpid(), signal.SIGTERM)
        await shown.until("the end", lambda: shown.app._exit)
        assert shown.call.done == [("stop",)]


@pytest.mark.parametrize("key", ["q", "Q", "ctrl+c", "ctrl+q"])
async def test_leaving_ends_the_call_in_order(key: str) -> None:
    async with dashboard() as shown:
        await shown.pilot.press(key)
        await shown.until("the end", lambda: shown.app._exit)
        assert shown.call.done == [("stop",)]
    assert shown.app.return_value is None


async def test_a_call_that_does_not_end_is_left_at_the_second_time() -> None:
    async with dashboard() as shown:
        shown.call.stubborn = True
        await shown.pilot.press("q")
        await shown.until_shown("leaving")
        assert not shown.app._exit
        await shown.pilot.press("q")
        await shown.until("the end", lambda: shown.app._exit)
        assert shown.call.done == [("stop",)]
    assert shown.app.return_value is None


async def test_the_summary_has_the_figures_of_both_directions_and_the_cost() -> None:
    async with dashboard(prepare=fill) as shown:
        lines = closing_lines(shown.call, 754.0)
    assert lines == [
        "interpreted for 12:34",
        "      clauses  pause p50    p95  span p50    p90  drops  reconnects  drifts",
        "you        41      0.7 s  1.2 s     1.9 s  3.2 s  1.5 s           2       3",
        "them       41      0.7 s  1.2 s     1.9 s  3.2 s  1.5 s           2       3",
        "you: conversion RTF 0.21, 62 ms late",
        "them: conversion RTF 0.21, 62 ms late",
        "cost 0.42 of 2.00 USD",
        "recorded in calls/2026-11-29",
    ]
    assert max(map(len, lines)) <= 80


async def test_a_second_of_the_call_costs_little_however_long_it_has_been() -> None:
    def prepare(call: ScriptedCall) -> None:
        fill(call)
        for one in call.scripted.values():
            one.source = [line(f"palabra {number} " * 20) for number in range(2000)]
            one.target = [line(f"word {number} " * 20) for number in range(2000)]
        for number in range(5000):
            call.note(f"number {number}")

    async with dashboard((120, 40), prepare=prepare) as shown:
        app = shown.app
        app._direction("forward", 58, 31)
        began_s = time.process_time()
        for _ in range(20):
            app._direction("forward", 58, 31)
            app._direction("reverse", 58, 31)
            app._notes(120, 6)
        # 20 drawings are a second of a busy call; the share of one core is far below this.
        assert time.process_time() - began_s < 0.5
        await asyncio.sleep(0)
