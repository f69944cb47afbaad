"""The lines of `parley talk --plain`: what was heard of an answer that was interrupted is told once."""

from __future__ import annotations

from dataclasses import replace

from parley.talk.transcript import TranscriptLine
from parley.talk.tui.plain import PlainView

WHOLE = TranscriptLine(1, "reply", "i", 0.0, text="One two three four", partial=False)
ESTIMATED = replace(WHOLE, text="One two three", unheard=" four", heard_ms=900, exact=False, settling=True)
SETTLED = replace(ESTIMATED, text="One two", unheard=" three four", exact=True, settling=False)


class Printed:
    """A view, and what it printed without the times."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.view = PlainView(lambda line: self.lines.append(line.split("] ", 1)[1]))

    def after(self, *lines: TranscriptLine) -> list[str]:
        for line in lines:
            self.view.line_changed(line)
        return self.lines


def test_an_interruption_is_told_once_with_the_servers_words() -> None:
    printed = Printed()
    assert printed.after(WHOLE, ESTIMATED) == ["reply: One two three four"]
    # The last words of the text were under way.
    later = replace(SETTLED, unheard=" three four five")
    assert printed.after(SETTLED, later)[1:] == ["reply cut after 900 ms: heard 'One two', not heard 'three four'"]
    printed.view.finish()
    assert len(printed.lines) == 2


def test_without_the_servers_words_the_estimate_is_told_at_the_next_answer_or_at_the_end() -> None:
    told = "reply cut after 900 ms: heard about 'One two three', not heard 'four'"
    printed = Printed()
    printed.after(WHOLE, ESTIMATED, replace(WHOLE, number=2, text="Next.", item_id="j"))
    assert printed.lines[1:] == [told, "reply: Next."]
    at_the_end = Printed()
    at_the_end.after(WHOLE, ESTIMATED)
    at_the_end.view.finish()
    assert at_the_end.lines[1:] == [told]


def test_a_server_that_is_not_asked_has_its_interruptions_told_at_once() -> None:
    (_, told) = Printed().after(WHOLE, replace(ESTIMATED, settling=False))
    assert told.startswith("reply cut after 900 ms: heard about 'One two three'")


def test_nothing_is_said_of_words_that_there_are_none_of() -> None:
    heard_whole = replace(SETTLED, text="One two three four", unheard="")
    heard_nothing = replace(SETTLED, text="", unheard="One two three four")
    before_any_text = replace(SETTLED, text="", unheard="")
    told = [Printed().after(line)[-1] for line in (heard_whole, heard_nothing, before_any_text)]
    assert told == [
        "reply cut after 900 ms: all its words were heard",
        "reply cut after 900 ms: heard no word of 'One two three four'",
        "reply cut after 900 ms: no words had come",
    ]
