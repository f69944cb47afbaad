"""What stands around the directions, as lines of text: the head, the alarm, the notes, the keys, the help.

Laws: pure; no line is wider than asked for; words and signs say all that colour says.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

from rich.text import Text

from parley.interpret.ports import CallNote, CostShown, InterpreterShown
from parley.interpret.screen.panel import SPEAKERS
from parley.talk.tui.cells import cut_to, ends, fitted, harmless, steady, width_of, wrapped
from parley.talk.tui.drawing import Glyphs
from parley.talk.tui.keys import KeyShown, explained

NOTE_STYLES: Final = {"note": "", "warning": "bold yellow", "error": "bold red"}

NOTES_READ: Final = 300
"""Notes that may be looked at for one drawing: repeated ones become one line."""

SHORT_OF_CAP: Final = 0.8
"""From this share of the cap on, the cost is shown as near it."""

ALARM: Final = "RAW VOICE: they hear you untranslated. P or F8 ends it."

_ALARMS: Final = (f"!!! {ALARM}", "!!! RAW VOICE: they hear you. P ends it.", "RAW VOICE: P ends it.", "RAW VOICE")


def head(title: str, shown: InterpreterShown, elapsed_s: float, leaving: bool, width: int, glyphs: Glyphs) -> Text:
    """The first line: what runs, for how long, what it costs, whether it is recorded."""
    right = Text()
    for piece in _pieces(shown, elapsed_s, leaving, glyphs, width):
        wanted = piece.cell_len + (2 if right.plain else 0)
        if right.cell_len + wanted <= width - 2:
            if right.plain:
                right.append("  ")
            right.append_text(piece)
    right.append(" ")
    room = width - right.cell_len - 1
    title = harmless(title, glyphs)
    for name in (title, title.partition(":")[0], title.partition(" ")[0]):
        if width_of(name) < room:
            return ends(Text(f" {name}"), right, width, glyphs)
    return ends(Text(), right, width, glyphs)


def _pieces(shown: InterpreterShown, elapsed_s: float, leaving: bool, glyphs: Glyphs, width: int) -> Iterator[Text]:
    """From the one that must be seen to the one that may be left out."""
    if leaving:
        yield Text("leaving", "bold yellow")
    if shown.recording is not None:
        yield Text(recorded(shown.recording, max(12, width // 3), glyphs), "bold red")
    if shown.push_to_talk:
        yield Text("key down" if shown.talking else "key up", "bold green" if shown.talking else "bold yellow")
    if money := cost(shown.cost):
        yield Text(money, "bold red" if _capped(shown.cost) else "bold yellow" if _near(shown.cost) else "")
    yield Text(clock(elapsed_s))


def recorded(folder: Path, width: int, glyphs: Glyphs) -> str:
    """That the call is recorded, and where: the end of the path, which tells folders apart."""
    sign = f"{glyphs.dot} REC "
    name = harmless(str(folder), glyphs)
    room = width - width_of(sign)
    if width_of(name) > room:
        name = fitted(harmless(folder.name, glyphs), room, glyphs)
    return sign + name


def cost(shown: CostShown) -> str:
    """What the call costs so far, and its cap; "" where it costs nothing."""
    if shown.spent is None:
        return ""
    said = f"{shown.spent:.2f}"
    if shown.cap is None:
        return f"cost {said} {shown.currency}"
    if _capped(shown):
        return f"cost {said}: cap of {shown.cap:.2f} {shown.currency} reached"
    return f"cost {said} of {shown.cap:.2f} {shown.currency}{', near the cap' if _near(shown) else ''}"


def _capped(shown: CostShown) -> bool:
    return shown.spent is not None and shown.cap is not None and shown.spent >= shown.cap


def _near(shown: CostShown) -> bool:
    return shown.spent is not None and shown.cap is not None and shown.spent >= SHORT_OF_CAP * shown.cap


def clock(elapsed_s: float) -> str:
    """Minutes and seconds, with hours where there are any."""
    minutes, seconds = divmod(int(max(0.0, elapsed_s)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes:02}:{seconds:02}"


def alarm(width: int, glyphs: Glyphs) -> Text:
    """The line that is there while the user's raw voice goes to the call."""
    text = next((f" {text}" for text in _ALARMS if len(text) < width), fitted("RAW VOICE", width, glyphs))
    return Text(text + " " * (width - width_of(text)), "bold red reverse", no_wrap=True)


# --- notes ------------------------------------------------------------------------------------------------------------------


def notes(shown: Sequence[CallNote], began_s: float, width: int, rows: int, glyphs: Glyphs) -> list[Text]:
    """The last notes that fit, whole, the newest at the bottom; one that was repeated stands once, with its count."""
    found: list[Text] = []
    for note, count in _grouped(shown):
        lines = _note_lines(note, count, began_s, width, glyphs)
        room = rows - len(found)
        if len(lines) > room:
            if not found:
                lines = lines[:room]
                if lines:
                    _continued(lines[-1], width, glyphs)
                found = lines
            break
        found[:0] = lines
    return found


def _grouped(shown: Sequence[CallNote]) -> Iterator[tuple[CallNote, int]]:
    """Newest first; notes in a row that say the same are one."""
    current: CallNote | None = None
    count = 0
    for note in islice(reversed(shown), NOTES_READ):
        if current is not None and (note.level, note.message, note.direction) == (
            current.level,
            current.message,
            current.direction,
        ):
            count += 1
            continue
        if current is not None:
            yield current, count
        current, count = note, 1
    if current is not None:
        yield current, count


def _note_lines(note: CallNote, count: int, began_s: float, width: int, glyphs: Glyphs) -> list[Text]:
    stamp = f"{clock(note.at_s - began_s)} "
    text = Text(note_words(note, glyphs), NOTE_STYLES[note.level])
    if count > 1:
        text.append(f" ({count} times)")
    lines = []
    for number, line in enumerate(wrapped(text, max(1, width - len(stamp)))):
        whole = Text(stamp if not number else " " * len(stamp), "dim", no_wrap=True)
        whole.append_text(line)
        cut_to(whole, width, glyphs)
        lines.append(steady(whole))
    return lines


def note_words(note: CallNote, glyphs: Glyphs) -> str:
    """The level, the direction that it concerns, and the message."""
    whose = f", {SPEAKERS[note.direction]}" if note.direction is not None else ""
    return f"{note.level}{whose}: {harmless(note.message, glyphs).strip()}"


def _continued(line: Text, width: int, glyphs: Glyphs) -> None:
    """Says that the line's text goes on."""
    room = max(0, width - width_of(glyphs.more))
    while line.plain and line.cell_len > room:
        line.right_crop(1)
    line.append(glyphs.more)
    cut_to(line, width, glyphs)


# --- keys -------------------------------------------------------------------------------------------------------------------


def keys(shown: InterpreterShown) -> list[KeyShown]:
    """The keys that do something now."""
    forward, reverse = shown.directions.get("forward"), shown.directions.get("reverse")
    found: list[KeyShown] = []
    if shown.push_to_talk and forward is not None:
        does = "stop" if shown.talking else "talk"
        found.append(KeyShown("Space", does, 3, does))
    if forward is not None:
        found.append(KeyShown("M", "unmute me" if forward.muted else "mute me", 2))
    if reverse is not None:
        muted = reverse.muted
        found.append(KeyShown("T", "unmute them" if muted else "mute them", 4, "unmute" if muted else "them"))
    found += [KeyShown("L", "languages", 6, "lang"), KeyShown("V", "voice", 8)]
    if forward is not None:
        held = shown.push_to_talk
        found.append(KeyShown("K", "hands-free" if held else "push-to-talk", 7, "key off" if held else "talk key"))
        found.append(
            KeyShown("P", "end raw voice" if shown.panic else "raw voice", 0, "end raw" if shown.panic else "")
        )
    return [*found, KeyShown("?", "help", 1), KeyShown("Q", "leave", 5)]


ASKING_KEYS: Final = (KeyShown("Enter", "change", 0), KeyShown("Esc", "back", 1), KeyShown("F8", "raw voice", 2))


KEYS_HELP: Final = (
    ("M", "mute or unmute you: they hear no translation of you"),
    ("T", "mute or unmute them: you hear no translation of them"),
    ("L", "change the languages in the middle of the call: es en"),
    ("V, Shift+V", "the voice in which they hear you, in which you hear them"),
    ("K", "push-to-talk on or off"),
    ("Space", "with push-to-talk: talk while held, or from press to press"),
    ("P, F8", "panic: your raw voice goes to the call until the next press"),
    ("?, Esc", "this help; back"),
    ("Q, Ctrl-C", "leave; a second time: at once"),
)

SIGNS_HELP: Final = (
    ("[words", "these words may still change"),
    ("(! check: 25)", "what the translation lacks, or why it is not one"),
    ("pause to", "from the end of speech: words understood, first translated"),
    ("", "text, its audio, audio heard; p50 and p95 are of audio heard"),
    ("ear-voice span", "how far behind the speaker the translation is that is heard"),
    ("queue", "translated audio that waits to be heard"),
    ("drops", "audio that was too old to be sent or heard"),
    ("drifts", "times the model did something else than translate"),
    ("conversion", "RTF: share of real time that it needs; below 1 it keeps up"),
    ("clocks", "how far the two devices' clocks are apart, in millionths"),
)


def help_lines(width: int, glyphs: Glyphs) -> list[Text]:
    """All keys, and what the signs and figures mean."""
    signs = [(f"{name}{glyphs.more}]" if name.startswith("[") else name, meaning) for name, meaning in SIGNS_HELP]
    return explained((KEYS_HELP, signs), min(16, width // 3), width, glyphs)
