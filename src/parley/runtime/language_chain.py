"""Which languages a pipeline takes from speech to speech: understood, translated, spoken. Pure.

Laws:
- One judgement for what a session may ask for (`LoadedPipeline.targets`), for `parley engines --languages` and for `parley doctor`.
- Tags are primary ones. A recogniser that does not say what it understands is asked about as the source "", a voice that does not say
  what it speaks leaves nothing out, and nor does a pipeline without a voice.
- Speech in the target language is not translated: a language is never paired with itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Self

from parley.engines.ports import EngineInfo, ListsPairs, Translator
from parley.text.language_tags import primary_tag

UNKNOWN = ""
"""The source of a recogniser that does not say what it understands."""


@dataclass(frozen=True, slots=True)
class LanguageChain:
    """What is heard, what translates it, and what can be spoken. `translator` None: nothing is translated; `spoken` empty: any language.

    Ask it while the engines are open: some know their languages only then.
    """

    heard: tuple[str, ...]
    translator: Translator | None
    spoken: frozenset[str]

    @classmethod
    def of(cls, stt: EngineInfo, translator: Translator | None, tts: EngineInfo | None, language: str = "") -> Self:
        """The chain of a recogniser, a translator and a voice (None: there is none). `language` is the pipeline's own, "" for any."""
        heard = (language,) if language else stt.languages or (UNKNOWN,)
        spoken = frozenset(map(primary_tag, tts.languages)) if tts is not None else frozenset()
        return cls(tuple(dict.fromkeys(primary_tag(tag) for tag in heard)), translator, spoken)

    def targets(self) -> tuple[str, ...]:
        """What can be spoken: the languages that the voice has, into which the translator translates one that is understood."""
        return self._reached(tag for tag in self._known() if self._speaks(tag))

    def unspoken(self) -> tuple[str, ...]:
        """The languages into which the translator translates one that is understood, and which the voice does not speak."""
        return self._reached(tag for tag in self._known() if not self._speaks(tag))

    def pairs(self) -> tuple[tuple[str, str], ...]:
        """All pairs (understood, spoken), by source."""
        spoken, listed = [tag for tag in self._known() if self._speaks(tag)], self._listed()
        return tuple(
            (source, target) for source in self.heard for target in spoken if self._translates(source, target, listed)
        )

    def _reached(self, tags: Iterable[str]) -> tuple[str, ...]:
        listed = self._listed()
        return tuple(tag for tag in tags if any(self._translates(source, tag, listed) for source in self.heard))

    def _known(self) -> Iterator[str]:
        """The languages of the translator, each once."""
        tags = () if self.translator is None else self.translator.info.languages
        yield from dict.fromkeys(map(primary_tag, tags))

    def _speaks(self, tag: str) -> bool:
        return not self.spoken or tag in self.spoken

    def _listed(self) -> frozenset[tuple[str, str]]:
        """The pairs that the translator lists. One of two hundred languages has forty thousand, too many to ask it about each."""
        translator: object = self.translator
        pairs = translator.pairs() if isinstance(translator, ListsPairs) else ()
        return frozenset((primary_tag(source), primary_tag(target)) for source, target in pairs)

    def _translates(self, source: str, target: str, listed: frozenset[tuple[str, str]]) -> bool:
        if self.translator is None or source == target:
            return False
        return (source, target) in listed or self.translator.translates(source, target)
