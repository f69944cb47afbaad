"""Rule-based translation with an installed Apertium: some ms a sentence, a few MB for each pair, good between related languages.

Laws:
- Each direction is a pipeline of processes that stays (`child_process`), started when it is first asked and again when it is lost. Sessions
  take turns, one sentence each; at most `threads` sentences are translated at once.
- What is special in Apertium's stream format is escaped, so that every character of a text is text; a NUL never gets there.
- Words that Apertium does not know stay as they are, without a mark.
"""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from parley.engines.mt.apertium_modes import DIRECTORY, ApertiumMode, modes
from parley.engines.mt.child_process import ChildPipeline
from parley.engines.mt.child_translator import ChildTranslator
from parley.engines.mt.pairs import Pair, find_pair, languages
from parley.engines.options import OptionReader
from parley.engines.ports import EngineInfo, EngineUnavailable, TranslationRequest

INSTALL: Final = "Install it with pairs of languages: apt-get install apertium apertium-eng-spa apertium-es-pt (docs/translation.md)."
_MAX_THREADS: Final = 16
_RESERVED: Final = re.compile(r"[\^$/\[\]{}\\@<>]")
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)
_ENDED: Final = re.compile(r"[.!?…:;,]$")
_OWN_END: Final = ".[]"
"""The end of a sentence that the text lacks: the tagger expects one. The brackets are an empty blank, by which it is found again."""


def create(model: str, options: Mapping[str, object]) -> ApertiumTranslator:
    """`apertium[:PAIR[+PAIR...]]` (`es-pt+pt-es`; all that are installed); options `directory`, `threads` (sentences at once, 2)."""
    reader = OptionReader("mt apertium", options)
    directory = reader.text("directory", DIRECTORY)
    threads = reader.number("threads", 2, 1, _MAX_THREADS)
    reader.close()
    return ApertiumTranslator(Path(directory), tuple(filter(None, map(str.strip, model.split("+")))), round(threads))


class ApertiumTranslator(ChildTranslator):
    """Apertium as a `Translator`. `wanted` are the pairs to use, as FROM-TO with tags or Apertium's names; () for all."""

    _name = "apertium"

    def __init__(self, directory: Path, wanted: tuple[str, ...] = (), threads: int = 2) -> None:
        super().__init__(threads)
        self._directory = directory
        self._wanted = wanted
        self._modes = _chosen(modes(directory), wanted)

    @property
    def info(self) -> EngineInfo:
        return EngineInfo(
            stage="mt",
            name="apertium",
            summary="Apertium, rules: a few ms a sentence, the pairs that are installed. Good between related languages.",
            needs=("apertium (a package of the system)",),
            languages=languages(self._modes),
            licence="GPL-3.0-or-later (processes of their own)",
            glossary=True,
            deterministic=True,
        )

    def pairs(self) -> tuple[Pair, ...]:
        return tuple(sorted(self._modes))

    async def open(self) -> None:
        installed = await asyncio.to_thread(modes, self._directory)
        if not installed:
            raise EngineUnavailable(
                f"There is no pair of languages for Apertium in {self._directory}.", INSTALL, code="missing_package"
            )
        for name in self._wanted:
            if not _chosen(installed, (name,)):
                raise EngineUnavailable(
                    f"Apertium does not translate {name!r}.",
                    f"Pairs have + between them; installed: {', '.join(mode.name for mode in installed)}.",
                    code="missing_weights",
                )
        self._modes = _chosen(installed, self._wanted)
        missing = sorted(
            {stage[0] for mode in self._modes.values() for stage in mode.stages if shutil.which(stage[0]) is None}
        )
        if missing:
            raise EngineUnavailable(
                f"Programs of Apertium are not installed: {', '.join(missing)}.", INSTALL, code="missing_package"
            )
        await self._launch([next(iter(self._modes))], _escaped("a."))

    async def _unit(self, text: str, pair: Pair, request: TranslationRequest) -> str:
        return _plain(await self._ask(_escaped(text), pair, request))

    def _start(self, pair: Pair) -> ChildPipeline:
        mode = self._modes[pair]
        try:
            return ChildPipeline(f"apertium ({mode.name})", mode.stages, {"LC_ALL": "C.UTF-8"})
        except OSError as error:
            raise EngineUnavailable(
                f"apertium ({mode.name}) cannot be started: {error}.", INSTALL, code="worker_failed"
            ) from error


def _chosen(found: tuple[ApertiumMode, ...], wanted: tuple[str, ...]) -> dict[Pair, ApertiumMode]:
    """The directions by their pairs: those that are wanted, or all."""
    by_pair = {mode.pair: mode for mode in found}
    if not wanted:
        return by_pair
    chosen: dict[Pair, ApertiumMode] = {}
    for name in wanted:
        by_name = next((mode.pair for mode in found if mode.name == name), None)
        source, _, target = name.partition("-")
        pair = by_name or find_pair(by_pair, source, target)
        if pair is not None:
            chosen[pair] = by_pair[pair]
    return chosen


def _escaped(text: str) -> str:
    """The text in Apertium's stream format, with an end of sentence and a blank: the last word is held back until one comes."""
    escaped = _RESERVED.sub(lambda match: "\\" + match.group(), " ".join(text.split()))
    return escaped + ("" if _ENDED.search(text) else _OWN_END) + "\n"


def _plain(answer: str) -> str:
    """The text of an answer."""
    return _ESCAPED.sub(r"\1", answer.strip().removesuffix(_OWN_END)).strip()
