"""What becomes of a summary of the older part of a conversation.

Laws: those of `events`.
"""

from __future__ import annotations

from dataclasses import dataclass

from parley.core.words.errors import Fault
from parley.core.words.ids import SummaryId


@dataclass(frozen=True, slots=True)
class Summarized:
    """The language model has summed up the older part of the conversation."""

    summary: SummaryId
    text: str


@dataclass(frozen=True, slots=True)
class SummaryFailed:
    summary: SummaryId
    fault: Fault
