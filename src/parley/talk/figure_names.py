"""The figures of a turn: what each is called, where it is compared and where it is read, and what it measures.

Laws: values only.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FigureName:
    """`name` can be compared with other assistants' and stands in recordings; people read `label`, and `meaning` where they ask."""

    name: str
    label: str
    meaning: str


ANSWER = FigureName(
    "QUESTION-TO-RESPONSE_MS",
    "answer",
    "your wait: from the end of your speech, or from your message, to the first sound of the answer (where you read it: its first words)",
)
WORDS = FigureName(
    "STT_MS", "words", "from the end of your turn, which is speech and the silence after it, until your words are known"
)
FIRST_WORDS = FigureName("STT-TTF_MS", "first words", "from the beginning of your speech to the first words shown")
ALL_WORDS = FigureName("STT-TOTAL_MS", "words, with pause", "from the end of your speech until your words are known")
MODEL = FigureName("LLM-TTF_MS", "model", "from the request to the language model to its first word")
WHOLE_MODEL = FigureName("LLM-TOTAL_MS", "model, to its end", "from that request to the model's last word")
VOICE = FigureName("TTS-TTF_MS", "voice", "from the model's first word to the first sound of the voice")
WHOLE_VOICE = FigureName("TTS-TOTAL_MS", "voice, to its end", "from the model's first word to the last sound received")

FIGURES = (ANSWER, WORDS, FIRST_WORDS, ALL_WORDS, MODEL, WHOLE_MODEL, VOICE, WHOLE_VOICE)

AT_A_GLANCE = (ANSWER, WORDS, MODEL, VOICE)
"""How long the user waited, and for what."""

NAMES = tuple(each.name for each in FIGURES)
