"""Several recognisers in order: `stt = ["openai:whisper-1", "whisper:tiny.en", "pocketsphinx"]` (see `engines.fallback`).

Laws:
- A turn keeps its audio until its final is there: where its engine fails, or is too slow while another is ready, the next one hears the
  whole turn, within the turn. Audio over `MAX_TURN_S`, or `MAX_KEPT_S` of all turns, is not kept; a failure is then reported as it is.
- What a client was promised (`Partial.stable`) is not taken back while the turn goes on. The next engine's text goes on behind it where it
  begins with the same words (see `promises`). Where it begins with others, its partials are kept back and its transcript is used as it is.
- The text of a pause (`flush`) is no promise: it is replaced by what the next engine hears.
- A recogniser that does not know the turn's language is passed over, unless none does.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from parley.engines.fair_queue import Backlog
from parley.engines.fallback import ChainMember, Fallback, FallbackLimits, read_members
from parley.engines.ports import STT, EngineInfo, Partial, RecognitionSpec, SpeechRecognizer
from parley.engines.stt.chain_stream import ChainStream
from parley.text.language_tags import primary_tag

MAX_TURN_S: Final = 6 * 60
"""Longer than a turn of a session may last (five minutes)."""

MAX_KEPT_S: Final = 60 * 60
"""Of all turns: 115 MB at 16 kHz."""


def create(model: str, options: Mapping[str, object]) -> RecognizerChain:
    """`model` names the engines, separated by commas; options: see `fallback.read_members`."""
    members, limits = read_members(STT, model, options)
    return RecognizerChain(members, limits)


class RecognizerChain(Fallback[SpeechRecognizer]):
    """A `SpeechRecognizer` whose turns are transcribed by the first engine that can."""

    def __init__(
        self,
        members: list[ChainMember[SpeechRecognizer]],
        limits: FallbackLimits,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(STT, members, limits, clock)
        self._rate = max((member.engine.info.sample_rate for member in members), default=0)
        self._kept = Backlog(MAX_TURN_S * self._rate, MAX_KEPT_S * self._rate)

    @property
    def info(self) -> EngineInfo:
        """What every engine can do, at the highest of their sample rates."""
        return replace(super().info, sample_rate=self._rate)

    def open_stream(self, spec: RecognitionSpec, on_partial: Callable[[Partial], None]) -> ChainStream:
        """Start a turn (see the port)."""
        able = {id(one.engine) for one in self.members if one.is_open and _understands(one.engine, spec)}
        asking = self.asking((lambda engine: id(engine) in able) if able else None)
        return ChainStream(asking, spec, on_partial, self._rate, self._kept)


def _understands(engine: SpeechRecognizer, spec: RecognitionSpec) -> bool:
    """Whether the engine knows the language of a turn, or one of those among which it is to find it out."""
    known = {primary_tag(language) for language in engine.info.languages}
    asked = (spec.language,) if spec.language else spec.languages
    return not known or not asked or any(primary_tag(language) in known for language in asked)
