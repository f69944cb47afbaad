"""The call as lines of text, over a call whose data the test sets; and its commands, from a pipe as from a keyboard."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from parley.client.connection import ServerUnavailable
from parley.errors import ParleyError
from parley.interpret.ports import CaptionLine, CostShown, DirectionFigures, PauseStages
from parley.interpret.screen.languages import UnknownLanguage, name_of, pair_typed
from parley.interpret.screen.plain import CAPTIONS_READ, HELP, SETTLED_S, PlainInterpreter, ToldCaptions
from parley.interpret.screen.summary import closing_lines
from parley.interpret.updates import DirectionName
from tests.interpret.scripted_call import MEASURED, ScriptedCall, fill

PATIENCE_S = 30.0


class Printed:
    """A call shown as lines; `lines` are those since the last look, without their times."""

    def __init__(self, *names: DirectionName, width: int | None = None) -> None:
        self.whole: list[str] = []
        self._seen = 0
        self._more = asyncio.Event()
        self.view = PlainInterpreter(lambda view: ScriptedCall(view, *names), self._write, width)

    def _write(self, text: str) -> None:
        self.whole.append(text)
        self._more.set()

    @property
    def call(self) -> ScriptedCall:
        assert isinstance(self.view.interpreter, ScriptedCall)
        return self.view.interpreter

    def lines(self) -> list[str]:
        new = [each.split("] ", 1)[1] for each in self.whole[self._seen :]]
        self._seen = len(self.whole)
        return new

    async def until(self, part: str) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not any(part in each for each in self.whole):
                self._more.clear()
                await self._more.wait()


@asynccontextmanager
async def commands(shown: Printed, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    """The call runs with a pipe as stdin; gives the end to write to."""
    read, write = os.pipe()
    with os.fdopen(read) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        running = asyncio.create_task(shown.view.run())
        await shown.until("Commands: ")
        yield write
        shown.call.stop()
        await running
    os.close(write)


def settled(text: str, at_s: float, marks: tuple[str, ...] = ()) -> CaptionLine:
    return CaptionLine(text, "", at_s, at_s, marks)


def test_a_caption_is_told_once_it_has_settled_and_only_once() -> None:
    told = ToldCaptions()
    now_s = 100.0
    assert told.news([CaptionLine("", "buenos", now_s, now_s)], now_s) == []
    assert told.news([CaptionLine("Buenos días", " amigo", now_s, now_s)], now_s + 60) == [], "it may still change"
    growing = CaptionLine("Buenos días.", "", now_s, now_s)
    assert told.news([growing], now_s + SETTLED_S / 2) == []
    assert told.news([growing], now_s + SETTLED_S) == ["Buenos días."]
    assert told.news([growing], now_s + 60) == []
    more = [replace(growing, text="Buenos días. ¿Qué tal?"), settled("Bien.", now_s + 5)]
    assert told.news(more, now_s + 5) == ["(continued) ¿Qué tal?"]
    more.append(settled("Gracias.", now_s + 6))
    assert told.news(more, now_s + 6) == ["Bien."]
    assert told.news(more, now_s + 60) == ["Gracias."]
    assert told.news([], now_s + 90) == []


def test_somebody_who_says_the_same_again_is_told_again() -> None:
    told = ToldCaptions()
    first, second, third = settled("Yes.", 1.0), settled("Yes.", 11.0), settled("Yes. Of course.", 21.0)
    assert told.news([first], 10.0) == ["Yes."]
    assert told.news([first, second], 20.0) == ["Yes."]
    assert told.news([first, second, third], 60.0) == ["Yes. Of course."]


def test_captions_that_began_at_once_or_left_at_the_front_are_each_told_once() -> None:
    told = ToldCaptions()
    captions = [settled(f"Sentence {number}.", 10.0 + number // 3) for number in range(30)]
    found = [
        text for end in range(1, 31) for text in told.news(captions[max(0, end - 4) : end], captions[end - 1].at_s)
    ]
    found += told.news(captions[-4:], 1000.0)
    assert found == [each.text for each in captions]


def test_a_caption_that_is_parted_after_it_was_told_is_not_told_again() -> None:
    told = ToldCaptions()
    assert told.news([settled("one two three four", 1.0)], 10.0) == ["one two three four"]
    parted = [settled("one two", 1.0), settled("three four five", 11.0), settled("six", 12.0)]
    assert told.news(parted, 12.0) == ["(continued) five"]
    assert told.news(parted, 60.0) == ["six"]


def test_more_captions_than_are_read_at_once_leave_the_last_ones() -> None:
    told = ToldCaptions()
    many = [settled(f"{number}", float(number)) for number in range(CAPTIONS_READ * 3)]
    assert told.news(many, 1e6) == [f"{number}" for number in range(CAPTIONS_READ * 2, CAPTIONS_READ * 3)]


def test_what_the_translation_lacks_is_told_even_when_it_is_found_late() -> None:
    told = ToldCaptions()
    captions = [settled("We are people.", 1.0, ("25",)), settled("Good.", 2.0)]
    assert told.news(captions, 9.0) == ["We are people. (check: 25)", "Good."]
    captions = [replace(captions[0], marks=("25", "Ana")), replace(captions[1], marks=("no",)), settled("End.", 10.0)]
    assert told.news(captions, 10.0) == ["(check: Ana) We are people.", "(check: no)"]
    assert told.news(captions, 90.0) == ["End."]


def test_a_long_call_is_told_in_little_time() -> None:
    told = ToldCaptions()
    captions: Sequence[CaptionLine] = [settled(f"word {number} " * 20, float(number)) for number in range(2000)]
    began_s = time.process_time()
    for number in range(100):
        told.news(captions[: 1900 + number], 0.0)
    assert time.process_time() - began_s < 1.0


def test_lines_show_captions_states_pauses_notes_and_what_is_switched() -> None:
    shown = Printed()
    call = shown.call
    call.view.ticked()
    assert shown.lines() == ["you: listening", "them: listening"]
    long_ago_s = time.monotonic() - 60
    call.scripted["forward"].state = "speaking"
    call.scripted["forward"].source = [settled("Buenos días.", long_ago_s)]
    call.scripted["forward"].target = [settled("Good morning.", long_ago_s, ("25",))]
    call.view.changed("forward")
    assert shown.lines() == [
        "you: speaking",
        "you, Spanish: Buenos días.",
        "you, English: Good morning. (check: 25)",
    ]
    call.scripted["reverse"].figures = DirectionFigures(last=PauseStages(118.0, 341.0, 607.0, None))
    call.view.changed("reverse")
    assert shown.lines() == [], "its audio is not heard yet"
    call.scripted["reverse"].figures = MEASURED
    call.view.changed("reverse")
    call.view.changed("reverse")
    assert shown.lines() == [
        "them, figures: pause to words 118, text 341, audio 607, played 643 ms; pause p50 652, p95 1184 ms; "
        "ear-voice span p50 1910, p90 3240 ms; conversion delay 62 ms; conversion RTF 0.21; drops 1.5 s; reconnects 2; drifts 3"
    ]
    call.scripted["reverse"].figures = DirectionFigures(last=PauseStages(None, 300.0, 500.0, 600.0))
    call.view.changed("reverse")
    assert shown.lines() == ["them, figures: pause to text 300, audio 500, played 600 ms"], (
        "what did not happen is no news"
    )
    call.note("The connection is lost.", "error", "reverse")
    call.note("All is well.")
    assert shown.lines() == ["error, them: The connection is lost.", "note: All is well."]
    call.recording = Path("calls/one")
    call.toggle_panic()
    assert shown.lines() == [
        "you: raw voice",
        "recording in calls/one",
        "RAW VOICE: they hear you untranslated. /p ends it.",
    ]
    call.toggle_panic()
    call.toggle_push_to_talk()
    call.press_key()
    call.toggle_push_to_talk()
    assert shown.lines() == [
        "you: listening",
        "raw voice ended",
        "push-to-talk: Enter to talk",
        "push-to-talk: you talk",
        "push-to-talk is off",
    ]


def test_nothing_that_steers_a_terminal_is_printed() -> None:
    shown = Printed()
    hostile = "a\x1b[2Jb\x1b]0;owned\x07c\rd\ne\x9b31mf\u202eg"
    call = shown.call
    call.scripted["forward"].source = [settled(hostile, 1.0, (hostile,))]
    call.scripted["forward"].wishes.target = hostile
    call.scripted["forward"].voice = hostile
    call.scripted["forward"].devices = (hostile, hostile)
    call.recording = Path("x" + hostile)
    call.note(hostile, "warning")
    call.view.ticked()
    for command in ("/s", "/l " + hostile, "/v you " + hostile, hostile, "/" + hostile):
        shown.view.obey(command)
    assert len(shown.whole) > 8
    for each in shown.whole:
        assert each.isprintable(), repr(each)
        assert "owned" not in each


def test_lines_of_a_terminal_break_between_words() -> None:
    shown = Printed(width=40)
    shown.call.note("The server cannot be reached; the next attempt is in 2 s. Start it: parley serve")
    assert len(shown.whole) > 1
    assert max(map(len, shown.whole)) <= 40


def test_each_command_does_its_one_thing_and_says_so() -> None:
    shown = Printed()
    call = shown.call
    call.view.ticked()
    shown.lines()
    for command, done, said in (
        ("/m", ("mute", "forward"), "you: muted"),
        ("/m", ("mute", "forward"), "you: not muted"),
        ("/t", ("mute", "reverse"), "them: muted"),
        ("/l pt-BR, german", ("languages", "pt-BR", "de"), "you: Brazilian Portuguese -> German"),
        ("/v you nova", ("voice", "forward", "nova"), "you: voice nova"),
        ("/v them  alloy ", ("voice", "reverse", "alloy"), "them: voice alloy"),
        ("/v you", ("voice", "forward", ""), "you: voice of the server"),
        ("/k", ("push-to-talk",), "push-to-talk: Enter to talk"),
        ("", ("key",), "push-to-talk: you talk"),
        ("/p", ("panic",), "you: raw voice"),
        ("/q", ("stop",), ""),
    ):
        shown.view.obey(command)
        assert call.done[-1] == done
        lines = shown.lines()
        assert said in lines if said else lines == []


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("", "Push-to-talk is off; /k turns it on."),
        ("/x", f"There is no command /x. {HELP}"),
        ("hello there", f"There is no command hello. {HELP}"),
        ("/l", "No language is written. Write two: yours, then theirs, such as: es en"),
        ("/l es enlish", "'enlish' is not a language that is known here. Did you mean en (English)?"),
        ("/v coral", "Write whose translation gets which voice: /v you NAME or /v them NAME"),
        ("/?", HELP),
    ],
)
def test_what_cannot_be_done_says_how_it_can(command: str, said: str) -> None:
    shown = Printed()
    shown.view.obey(command)
    assert any(each.startswith(said) for each in shown.lines())
    assert shown.call.done == []


def test_what_the_interpreter_refuses_is_said_and_the_call_goes_on() -> None:
    shown = Printed()
    shown.call.refuses = ParleyError("This server does not speak Faroese.", "Choose one of: en, es.")
    shown.view.obey("/l es fo")
    assert shown.lines() == ["This server does not speak Faroese. Choose one of: en, es."]


def test_where_one_direction_runs_the_commands_of_the_other_say_so() -> None:
    shown = Printed("reverse")
    for command in ("/m", "/k", "/p"):
        shown.view.obey(command)
    shown.view.obey("/v you nova")
    assert shown.call.done == []
    assert shown.lines() == [
        "you: that direction does not run in this call.",
        "Your side is not translated in this call: there is nothing to switch.",
        "Your side is not translated in this call: there is nothing to switch.",
        "Write whose translation gets which voice: /v them NAME",
    ]


def test_the_status_has_languages_devices_figures_and_cost() -> None:
    shown = Printed()
    fill(shown.call)
    shown.lines()
    shown.view.obey("/s")
    lines = shown.lines()
    assert lines[0] == "you: Spanish -> English, voice coral, speaking, Built-in Microphone -> parley_mic_sink"
    assert lines[2] == "them: English -> Spanish, translating, parley_speaker -> Headphones"
    assert lines[1].startswith("you, figures: pause to words 118")
    assert lines[1].endswith("queue 0.4 s; drops 1.5 s; reconnects 2; drifts 3")
    assert lines[4] == "cost 0.42 of 2.00 USD"


async def test_several_commands_in_one_piece_are_all_obeyed_and_the_last_needs_no_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown = Printed()
    async with commands(shown, monkeypatch) as write:
        os.write(write, b"/m\n/t\r\n/l f")
        await shown.until("them: muted")
        os.write(write, b"r de\n\xff\xfe\n")
        await shown.until("There is no command \ufffd\ufffd.")
        assert shown.call.done == [("mute", "forward"), ("mute", "reverse"), ("languages", "fr", "de")]
        os.write(write, b"x" * 60_000)
        os.write(write, b"\n/q\n")
        await shown.until("There is no command xxx")
        async with asyncio.timeout(PATIENCE_S):
            await shown.call.ended.wait()


async def test_a_call_goes_on_when_its_input_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = Printed()
    read, write = os.pipe()
    with os.fdopen(read) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        running = asyncio.create_task(shown.view.run())
        await shown.until("Commands: ")
        os.write(write, b"/m")
        os.close(write)
        await shown.until("you: muted")
        assert not running.done()
        shown.call.stop()
        await running


async def test_a_signal_ends_the_call_in_order_and_its_last_words_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = Printed()
    async with commands(shown, monkeypatch):
        now_s = time.monotonic()
        shown.call.scripted["forward"].target = [CaptionLine("And that is all.", " or no", now_s, now_s)]
        shown.call.view.ticked()
        assert not any("that is all" in each for each in shown.whole)
        os.kill(os.getpid(), signal.SIGTERM)
        await shown.until("And that is all.")
    assert shown.call.done[0] == ("stop",)
    asyncio.get_running_loop().remove_signal_handler(signal.SIGTERM)


async def test_the_lines_end_with_what_ended_the_call() -> None:
    shown = Printed()
    shown.call.fail(ServerUnavailable("The server cannot be reached.", "Start it: parley serve"))
    with pytest.raises(ServerUnavailable):
        await shown.view.run()


def test_the_summary_leaves_out_what_did_not_run_and_was_not_measured() -> None:
    call = Printed("reverse").call
    assert closing_lines(call, 3725.0) == [
        "interpreted for 1:02:05",
        "      clauses  pause p50  p95  span p50  p90  drops  reconnects  drifts",
        "them        -          -    -         -    -  0.0 s           0       0",
    ]
    call.cost = CostShown(1.0)
    assert closing_lines(call, 0.0)[-1] == "cost 1.00 USD"


@pytest.mark.parametrize(
    ("typed", "pair"),
    [
        ("es en", ("es", "en")),
        ("Spanish, English", ("es", "en")),
        ("spanish to portuguese", ("es", "pt")),
        ("pt_BR -> de", ("pt-BR", "de")),
        ("eng SPA", ("en", "es")),
        ("haitian creole, en", ("ht", "en")),
        ("ast x-klingon", ("ast", "x-klingon")),
        ("zh-Hant yue", ("zh-Hant", "yue")),
    ],
)
def test_languages_are_typed_as_tags_or_names(typed: str, pair: tuple[str, str]) -> None:
    assert pair_typed(typed) == pair
    assert all(name_of(tag) for tag in pair)


@pytest.mark.parametrize("typed", ["", "es", "es en fr", "es es", "es es-MX", "es xx", "12 en", "es " + "q" * 9999])
def test_what_is_no_pair_of_languages_is_refused(typed: str) -> None:
    with pytest.raises(UnknownLanguage) as refused:
        pair_typed(typed)
    assert refused.value.remedy
    assert len(str(refused.value)) < 250
