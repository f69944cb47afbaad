"""Neural translation with CTranslate2: Opus-MT (one direction, 40 to 80 MB in int8) or NLLB and M2M-100 (many languages, 0.6 GB and more).

Laws:
- The library runs on threads of a `ModelWorker`, sessions in turns, one sentence each.
- Of a model of one pair, the names of the folder or the options `from` and `to` say the direction. A model of many languages translates
  between all of them, or those of the option `languages`; what it knows is read when it is opened.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from functools import partial
from itertools import permutations
from pathlib import Path
from typing import Final

from parley.engines import weights
from parley.engines.model_worker import ModelWorker
from parley.engines.mt.ctranslate_model import LAYOUT, CTranslateModel, ModelOptions
from parley.engines.mt.pairs import Pair, find_pair, languages, tag
from parley.engines.mt.sentence_translator import SentenceTranslator
from parley.engines.options import OptionReader
from parley.engines.ports import EngineError, EngineInfo, EngineUnavailable, TranslationRequest
from parley.text.language_tags import primary_tag

_DIRECTION: Final = re.compile(r"(?:^|[-_.])([a-z]{2,3})[-_]([a-z]{2,3})(?:$|[-_.])", re.IGNORECASE)
_DEVICES: Final = ("auto", "cpu", "cuda")


def create(model: str, options: Mapping[str, object]) -> CTranslateTranslator:
    """`ctranslate2:FOLDER`; options `from`, `to`, `languages`, `device`, `compute_type`, `threads` (2), `workers` (1), `beam_size` (2)."""
    reader = OptionReader("mt ctranslate2", options)
    source, target = reader.text("from"), reader.text("to")
    asked = tuple(map(tag, reader.names("languages")))
    how = ModelOptions(
        reader.choice("device", "auto", _DEVICES),
        reader.text("compute_type", "auto"),
        round(reader.number("threads", 2, 1, 64)),
        round(reader.number("workers", 1, 1, 16)),
        round(reader.number("beam_size", 2, 1, 8)),
    )
    reader.close()
    if bool(source) != bool(target):
        raise ValueError("`from` and `to` name a direction together: set both, or neither.")
    return CTranslateTranslator(model, (tag(source), tag(target)) if source else None, asked, how)


class CTranslateTranslator(SentenceTranslator):
    """A model of CTranslate2 as a `Translator`. `folder` is its path, `asked` the languages to use of a model of many."""

    _name = "ctranslate2"

    def __init__(
        self,
        folder: str,
        pair: Pair | None = None,
        asked: tuple[str, ...] = (),
        how: ModelOptions = ModelOptions(),  # noqa: B008 - frozen
    ) -> None:
        super().__init__()
        self._folder = folder
        self._asked = asked
        self._how = how
        self._named = pair or _direction(folder)
        self._tags: tuple[str, ...] = asked
        self._model: CTranslateModel | None = None
        self._worker: ModelWorker | None = None

    @property
    def info(self) -> EngineInfo:
        known = tuple(sorted(set(map(primary_tag, self._tags)))) if self._tags else languages(self.pairs())
        return EngineInfo(
            stage="mt",
            name="ctranslate2",
            summary="CTranslate2: Opus-MT for one direction, NLLB or M2M-100 for many languages; from a folder.",
            needs=("ctranslate2", "sentencepiece"),
            languages=known,
            licence="MIT; the weights have their own",
            glossary=True,
            deterministic=True,
        )

    @property
    def fault(self) -> EngineError | None:
        """Why nothing can be translated at this moment; None while something can."""
        return self._worker.fault if self._worker else None

    def pairs(self) -> tuple[Pair, ...]:
        if self._tags:
            return tuple(
                sorted(pair for pair in permutations(self._tags, 2) if primary_tag(pair[0]) != primary_tag(pair[1]))
            )
        return (self._named,) if self._named else ()

    def _pair(self, from_language: str, to_language: str) -> Pair | None:
        if not self._tags:
            return find_pair(self.pairs(), from_language, to_language)
        source = self._tag_of(from_language or "en")  # of many languages, English is the likeliest
        target = self._tag_of(to_language)
        if source is None or target is None or primary_tag(source) == primary_tag(target):
            return None
        return source, target

    def _tag_of(self, language: str) -> str | None:
        whole = tag(language)
        if whole in self._tags:
            return whole
        return next((known for known in self._tags if primary_tag(known) == primary_tag(whole)), None)

    async def open(self) -> None:
        if not self._folder:
            raise EngineUnavailable(
                'ctranslate2 needs a folder: mt = "ctranslate2:FOLDER".', LAYOUT, code="missing_weights"
            )
        self._model = await asyncio.to_thread(self._load)
        known = tuple(self._model.language_tokens)
        self._tags = tuple(language for language in known if language in self._asked) if self._asked else known
        if (fault := self._wrong_languages(known)) is not None:
            await self.close()
            raise fault
        self._worker = ModelWorker(
            "ctranslate2", title="Translation", code_prefix="translator", threads=self._how.workers
        )

    def _load(self) -> CTranslateModel:
        folder = str(Path(self._folder).expanduser().absolute())
        return CTranslateModel.load(weights.locate("ctranslate2", folder, LAYOUT), self._how)

    def _wrong_languages(self, known: tuple[str, ...]) -> EngineUnavailable | None:
        """What is wrong with the languages that were asked for; None where nothing is. `known` are those of the model's vocabulary."""
        if not known:
            self._tags = ()
            if self._named:
                return None
            return EngineUnavailable(
                f"Nothing says which languages the model in {self._folder} translates.",
                "Set the options `from` and `to`, or call the folder opus-mt-FROM-TO.",
                code="unknown_language",
            )
        unknown = [language for language in self._asked if language not in known]
        if not unknown:
            return None
        return EngineUnavailable(
            f"The model in {self._folder} does not know {', '.join(unknown)}.",
            f"Correct the option `languages`; it knows {', '.join(known[:40])}.",
            code="unknown_language",
        )

    async def close(self) -> None:
        worker, self._worker = self._worker, None
        if worker is not None:
            await worker.close()
        self._model = None
        self._tags = self._asked

    def _check_open(self) -> None:
        if self._worker is None:
            raise EngineUnavailable("ctranslate2 is not open.", code="not_open")

    async def _unit(self, text: str, pair: Pair, request: TranslationRequest) -> str:
        if self._worker is None or self._model is None:
            raise EngineError("ctranslate2 is closed.", code="engine_closed")
        return await self._worker.call(partial(self._model.translate, text, *pair), request.share)


def _direction(folder: str) -> Pair | None:
    """From the folder's name: `opus-mt-en-de`, `en-de`, `opus_mt_tc_big_en_pt`."""
    found = _DIRECTION.findall(
        Path(folder).name.lower().replace("opus-mt-", "").replace("opus_mt_", "").replace("tc-big-", "")
    )
    return (tag(found[-1][0]), tag(found[-1][1])) if found else None
