"""What the screen of `parley talk` says of itself: the greeting, the keys, the help, the title.

Laws: pure; no line is wider than asked for; words say all that colour says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rich.text import Text

from parley.talk.figure_names import FIGURES
from parley.talk.partners import Partners
from parley.talk.tui.cells import fitted, harmless, width_of, wrapped
from parley.talk.tui.drawing import NAME_WIDTH, Glyphs
from parley.talk.tui.keys import KeyShown, explained

LEAST: Final = (40, 10)
"""Columns and rows in which a line of what is said, of what is typed and of the keys can still be read."""


@dataclass(frozen=True, slots=True)
class Mode:
    """How the user talks now. `typed`: without a microphone; `speaking`: the user has the floor; `asked`: a tool waits for consent."""

    typed: bool = False
    hands_free: bool = True
    muted: bool = False
    speaking: bool = False
    asked: bool = False


def greeting(mode: Mode) -> str:
    """The first line of a conversation: what to do now."""
    if mode.typed:
        return "You may send the next message before an answer is over: it stops. F2 explains keys and figures."
    begin = "Speak, or press T to type." if mode.hands_free else "Press Space, speak, press Space again; or T to type."
    return f"{begin} Cut in whenever you like. ? explains keys and figures."


def too_small(width: int, height: int, *, typed: bool) -> str:
    """What a window says that is smaller than `LEAST`."""
    leave = "Ctrl-C" if typed else "Q"
    return (
        f"This window is too small for the conversation: at least {LEAST[0]} x {LEAST[1]} characters, and it has {width} x {height}. "
        f"Make it larger; {leave} leaves."
    )


def title(partners: Partners, server: str, width: int, glyphs: Glyphs) -> str:
    """Recogniser, model and voice, as fully as `width` allows; before they are known, the server."""
    named = [(label, harmless(name, glyphs)) for label, name in partners.labelled()]
    if not named:
        return fitted(f"parley talk: {harmless(server, glyphs)}", width, glyphs)
    labelled, short = ", ".join(f"{label} {name}" for label, name in named), ", ".join(name for _, name in named)
    forms = (f"parley talk: {labelled}", labelled, f"parley talk: {short}", short)
    return next((form for form in forms if width_of(form) <= width), fitted(short, width, glyphs))


# --- keys -------------------------------------------------------------------------------------------------------------------


TYPING_KEYS: Final = (
    KeyShown("Enter", "send", 0),
    KeyShown("Esc", "back", 1),
    KeyShown("F2", "help", 2),
    KeyShown("F3", "figures", 3),
)

TYPED_KEYS: Final = (
    KeyShown("Enter", "send", 0),
    KeyShown("Esc", "silence", 3),
    KeyShown("F2", "help", 2),
    KeyShown("F3", "figures", 4),
    KeyShown("Ctrl-C", "leave", 1),
)
"""Without a microphone every letter belongs to the message."""

CONSENT_KEYS: Final = (
    KeyShown("F7", "allow", 0),
    KeyShown("F8", "refuse", 1),
    KeyShown("F9", "allow for this conversation", 2, "always"),
    KeyShown("F2", "help", 3),
)
"""Function keys: no letter that is meant for a message, and no key that is held to talk, answers."""


def keys(mode: Mode) -> list[KeyShown]:
    """The keys of the conversation, with what they do now."""
    space = "silence" if mode.hands_free else "end turn" if mode.speaking else "talk"
    return [
        KeyShown("Space", space, 0),
        KeyShown("T", "type", 3),
        KeyShown("M", "unmute" if mode.muted else "mute", 4),
        KeyShown("H", "use key" if mode.hands_free else "hands-free", 5, "key" if mode.hands_free else "free"),
        KeyShown("F", "figures", 6),
        KeyShown("D", "devices", 7),
        KeyShown("?", "help", 1),
        KeyShown("Q", "leave", 2),
    ]


# --- help -------------------------------------------------------------------------------------------------------------------


_TALKING: Final = (
    ("(speak)", "at any time; over an answer too: it stops, and only what you heard stays in the conversation"),
    ("Space", "silences the answer; with push-to-talk: begins your turn and ends it, or hold it"),
    ("I, Esc", "silences the answer"),
    ("T", "type a message instead"),
    ("M", "mutes the microphone, and again: no longer"),
    ("H", "changes between hands-free and push-to-talk"),
    ("F7, F8", "allow or refuse the tool that waits for you; F9 allows it until the conversation ends"),
    ("F, F3", "shows or hides the table of figures"),
    ("D", "looks for sound devices again, after plugging one in"),
    ("Up, Down", "scroll the conversation"),
    ("?, F2", "this help; Esc goes back"),
    ("Q, Ctrl-C", "leave, with a summary; a second time: at once"),
)

_TYPING: Final = (
    ("Enter", "sends the message"),
    ("Esc", "silences the answer"),
    ("F7, F8", "allow or refuse the tool that waits for you; F9 allows it until the conversation ends"),
    ("F3", "shows or hides the table of figures"),
    ("Up, Down", "scroll the conversation"),
    ("F2", "this help; Esc goes back"),
    ("Ctrl-C", "leave, with a summary; a second time: at once"),
)


def help_lines(mode: Mode, partners: Partners, server: str, width: int, glyphs: Glyphs) -> list[Text]:
    """With whom one talks, all keys, and what the signs and figures mean."""
    signs = [
        (f"words {glyphs.more}", "these words may still change"),
        (f"{glyphs.cut}words{glyphs.cut}", "words of an answer that you did not hear, because it was stopped"),
        ("you, reply", "how loud your microphone and the answer are"),
        ("underruns", "gaps in an answer, because its sound came too late"),
    ]
    figures = [(each.label, f"{each.meaning} ({each.name})") for each in FIGURES]
    figures += [
        ("median", "half of the turns so far took less"),
        ("~", "before a figure: estimated here, from when the server's messages arrive; without it, measured"),
    ]
    with_whom = [(label, harmless(name, glyphs)) for label, name in partners.labelled()]
    with_whom.append(("server", harmless(server, glyphs)))
    label = min(NAME_WIDTH + 1, width // 3)
    lines = explained((_TYPING if mode.typed else _TALKING, with_whom, signs), label, width, glyphs)
    lines += [Text(), *_heading("The figures are milliseconds, of the last turn and the median of all:", width)]
    return lines + explained((figures,), label, width, glyphs)


def _heading(text: str, width: int) -> Sequence[Text]:
    return wrapped(Text(text, "bold"), width)
