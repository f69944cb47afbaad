"""What takes the other side of a conversation: recogniser, language model and voice, by name.

Laws: pure; a Parley's own account of its pipelines (`ParleyRest.pipelines`) counts before what its session says, because a session names
a pipeline; "" where nobody says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from parley.client.event_fields import object_of, text_of
from parley.client.updates import SessionStarted


@dataclass(frozen=True, slots=True)
class Partners:
    """Names for people; "" where it is not known, or where one model hears and speaks."""

    recogniser: str = ""
    model: str = ""
    voice: str = ""

    def labelled(self) -> list[tuple[str, str]]:
        """What is known, each with what it is."""
        named = (("recogniser", self.recogniser), ("model", self.model), ("voice", self.voice))
        return [(label, name) for label, name in named if name]


def partners_of(session: SessionStarted, pipelines: Sequence[Mapping[str, Any]]) -> Partners:
    """What this session is held with. The first of a Parley's pipelines is its default, which also serves OpenAI's model names."""
    if not pipelines:
        return Partners(session.transcription, session.model, session.voice)
    pipeline = dict(next((each for each in pipelines if each.get("name") == session.model), pipelines[0]))
    engines = object_of(pipeline, "engines")
    names = {stage: text_of(object_of(engines, stage), "name") for stage in engines}
    model = text_of(object_of(pipeline, "answers"), "model")
    speaks = names.get("tts", "")
    voice = f"{session.voice} ({speaks})" if session.voice and speaks else session.voice or speaks
    return Partners(names.get("stt", ""), model or names.get("llm") or names.get("speech", ""), voice)
