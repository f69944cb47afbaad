"""What both sides said, line by line, as far as it is known and as far as it was heard.

Laws: pure; a line is replaced whole when more is known of it; bounded (`LINES_KEPT`, the oldest go first).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from parley.client.tool_consent import described
from parley.client.updates import (
    ClientUpdate,
    ConsentAsked,
    ConsentSettled,
    FunctionCalled,
    ResponseCut,
    ResponseEnded,
    ResponseStarted,
    ResponseText,
    SessionStarted,
    StatusMessage,
    UserTranscript,
    UserTurnEnded,
    UserTurnLost,
    UserTurnStarted,
)

LINES_KEPT = 2000
"""A day's talk, well under a megabyte."""

Speaker = Literal["you", "reply", "note"]


@dataclass(frozen=True, slots=True)
class TranscriptLine:
    """One turn of one side. `partial`: more may come. `unheard` follows `text` and was never played; `settling`: the server
    is asked which words these are.

    `begun_s` is the caller's monotonic clock; `note` says what became of a line without words.
    """

    number: int
    speaker: Speaker
    item_id: str
    begun_s: float
    text: str = ""
    unheard: str = ""
    partial: bool = True
    heard_ms: int | None = None
    exact: bool = True
    settling: bool = False
    note: str = ""


class TalkTranscript:
    """Call `on_update()` for each update; `changed(line)` is called for each line that is new or different."""

    def __init__(self, changed: Callable[[TranscriptLine], None] = lambda line: None) -> None:
        self.lines: dict[int, TranscriptLine] = {}
        self._by_item: dict[str, int] = {}
        self._count = 0
        self._changed = changed

    def on_update(self, update: ClientUpdate, now_s: float) -> None:
        """One update, at the time it arrived."""
        match update:
            case UserTurnStarted(item_id=item_id):
                self._line("you", item_id, now_s)
            case UserTranscript(item_id=item_id, text=text, final=final):
                self._put(replace(self._line("you", item_id, now_s), text=text, partial=not final, note=""))
            case UserTurnEnded(item_id=item_id):
                self._line("you", item_id, now_s)
            case UserTurnLost(item_id=item_id, reason=reason):
                self._put(replace(self._line("you", item_id, now_s), partial=False, note=reason))
            case ResponseText(item_id=item_id, text=text, final=final):
                self._words(item_id, text, final, now_s)
            case ResponseCut():
                self._cut(update, now_s)
            case ResponseStarted() | ResponseEnded() | SessionStarted():
                pass
            case FunctionCalled(name=name, arguments=arguments):
                self._note(f"the model calls {name}({arguments}), which this client does not have", now_s)
            case ConsentAsked():
                self._note(f"may it call {described(update)}?", now_s)
            case ConsentSettled(approved=approved):
                self._note("the call is allowed" if approved else "the call is refused", now_s)
            case StatusMessage(level=level, message=message):
                self._note(message if level == "note" else f"{level}: {message}", now_s)
            case _:
                pass

    def _words(self, item_id: str, text: str, final: bool, now_s: float) -> None:
        line = self._line("reply", item_id, now_s)
        if line.heard_ms is None:
            self._put(replace(line, text=text, partial=not final))
        else:
            # Cut already: words that come later were not heard.
            self._put(replace(line, unheard=text[len(line.text) :] if text.startswith(line.text) else line.unheard))

    def _cut(self, cut: ResponseCut, now_s: float) -> None:
        line = self._line("reply", cut.item_id, now_s)
        self._put(
            replace(
                line,
                text=cut.heard,
                unheard=cut.unheard,
                partial=False,
                heard_ms=cut.heard_ms,
                exact=cut.exact,
                settling=cut.settling,
            )
        )

    def _note(self, text: str, now_s: float) -> None:
        self._put(replace(self._new("note", "", now_s), text=text, partial=False))

    def _line(self, speaker: Speaker, item_id: str, now_s: float) -> TranscriptLine:
        number = self._by_item.get(item_id)
        if number is None and item_id and speaker == "you":
            # A turn that a key began has no item until the server commits it.
            number = self._by_item.pop("", None)
            if number is not None and number in self.lines:
                self._by_item[item_id] = number
                self._put(replace(self.lines[number], item_id=item_id))
        elif number is not None and not item_id and not self.lines[number].partial:
            number = None
        if number is not None and number in self.lines:
            return self.lines[number]
        line = self._new(speaker, item_id, now_s)
        self._by_item[item_id] = line.number
        self._put(line)
        return line

    def _new(self, speaker: Speaker, item_id: str, now_s: float) -> TranscriptLine:
        self._count += 1
        return TranscriptLine(self._count, speaker, item_id, now_s)

    def _put(self, line: TranscriptLine) -> None:
        self.lines[line.number] = line
        if len(self.lines) > LINES_KEPT:
            gone = self.lines.pop(next(iter(self.lines)))
            if self._by_item.get(gone.item_id) == gone.number:
                del self._by_item[gone.item_id]
        self._changed(line)
