"""Neural translation with Firefox's models (Bergamot): 20 to 45 MB and some ms of one core for each sentence and direction.

Laws:
- Each direction has processes of its own (`bergamot_worker` says why), which are started by `open()` and kept; a lost one is started
  again (`child_pool`). Sessions take turns, one sentence each.
- The engine gives fxtranslate sentences, never a longer text: what exceeds a model's window is cut off in silence there.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import sys
from collections.abc import Mapping
from typing import Final

from parley.engines import weights
from parley.engines.mt import bergamot_worker
from parley.engines.mt.bergamot_files import LAYOUT, BergamotFiles, models_in
from parley.engines.mt.child_process import ChildLost, ChildPipeline
from parley.engines.mt.child_translator import ChildTranslator
from parley.engines.mt.pairs import Pair, languages, tag
from parley.engines.options import OptionReader
from parley.engines.ports import EngineError, EngineInfo, EngineUnavailable, TranslationRequest
from parley.invocation import command, install
from parley.models import store

PACKAGE: Final = "fxtranslate"
_START_LIMIT_S: Final = 30.0
_MAX_THREADS: Final = 16


def create(model: str, options: Mapping[str, object]) -> BergamotTranslator:
    """`bergamot[:MODEL[+MODEL...]]`; options `threads` (sentences at once, 2), `from` and `to` for a folder whose names do not say."""
    reader = OptionReader("mt bergamot", options)
    threads = reader.number("threads", 2, 1, _MAX_THREADS)
    source, target = reader.text("from"), reader.text("to")
    reader.close()
    if bool(source) != bool(target):
        raise ValueError("`from` and `to` name a direction together: set both, or neither.")
    pair = (tag(source), tag(target)) if source else None
    return BergamotTranslator(tuple(filter(None, map(str.strip, model.split("+")))), pair, round(threads))


class BergamotTranslator(ChildTranslator):
    """Bergamot's models as a `Translator`. `models` are names of the catalogue or folders; () for those that are on this machine."""

    _name = "bergamot"

    def __init__(self, models: tuple[str, ...] = (), pair: Pair | None = None, threads: int = 2) -> None:
        super().__init__(threads)
        self._models = models
        self._direction = pair
        self._files: dict[Pair, BergamotFiles] = {}

    @property
    def info(self) -> EngineInfo:
        entries = [entry for name in self._models if (entry := weights.entry("bergamot", name)) is not None]
        return EngineInfo(
            stage="mt",
            name="bergamot",
            summary="Firefox's translation models: neural, a few ms a sentence on one core, 20 to 45 MB a direction.",
            needs=(PACKAGE,),
            languages=languages(self.pairs()),
            licence="; ".join(dict.fromkeys(("MPL-2.0", *(f"weights: {entry.licence}" for entry in entries)))),
            glossary=True,
            deterministic=True,
        )

    def missing_models(self) -> tuple[str, ...]:
        return tuple(name for model in self._models for name in weights.missing("bergamot", model))

    def pairs(self) -> tuple[Pair, ...]:
        if self._files:
            return tuple(sorted(self._files))
        if self._direction is not None:
            return (self._direction,)
        found: set[Pair] = set()
        for name in self._named():
            if weights.is_path(name):
                try:
                    found |= {files.pair for files in models_in(weights.locate("bergamot", name))}
                except EngineUnavailable:  # open() raises it
                    continue
            elif "-" in name:
                source, _, target = name.partition("-")
                found.add((tag(source), tag(target)))
        return tuple(sorted(found))

    async def open(self) -> None:
        if importlib.util.find_spec(PACKAGE) is None:
            raise EngineUnavailable(
                "fxtranslate is not installed.", f"Install it: {install('bergamot')}", code="missing_package"
            )
        self._files = await asyncio.to_thread(self._found)
        await self._launch(self._files, "1")

    async def close(self) -> None:
        self._files = {}
        await super().close()

    async def _unit(self, text: str, pair: Pair, request: TranslationRequest) -> str:
        return (await self._ask(text, pair, request)).strip()

    def _named(self) -> tuple[str, ...]:
        """What was named, else what of the catalogue is on this machine."""
        if self._models:
            return self._models
        known = (name.partition(":")[2] for name in store.known("bergamot"))
        return tuple(name for name in known if store.installed(f"bergamot:{name}") is not None)

    def _found(self) -> dict[Pair, BergamotFiles]:
        names = self._named()
        if not names:
            known = ", ".join(store.known("bergamot"))
            raise EngineUnavailable(
                "No Bergamot model is on this machine.",
                f"Fetch one of {known} ({command('models', 'pull', store.known('bergamot')[0])}), or name a folder. {LAYOUT}",
                code="missing_weights",
            )
        found: dict[Pair, BergamotFiles] = {}
        for name in names:
            folder = weights.locate("bergamot", name, LAYOUT)
            pair = self._direction if weights.is_path(name) else None
            for files in models_in(folder, pair or _named_pair(name)):
                if files.pair in found:
                    raise EngineUnavailable(
                        f"Two Bergamot models translate {files.pair[0]} into {files.pair[1]}: "
                        f"{found[files.pair].model} and {files.model}.",
                        "Name one of them.",
                        code="ambiguous_model",
                    )
                found[files.pair] = files
        return found

    def _start(self, pair: Pair) -> _BergamotChild:
        return _BergamotChild(self._files[pair])


def _named_pair(name: str) -> Pair | None:
    """The direction of a name of the catalogue."""
    if weights.is_path(name):
        return None
    source, _, target = name.partition("-")
    return tag(source), tag(target)


class _BergamotChild:
    """One `bergamot_worker`, with its model loaded. Raises `EngineUnavailable` where it cannot be."""

    def __init__(self, files: BergamotFiles) -> None:
        remedy = f"Fetch the model again, or correct the folder {files.model.parent}. {LAYOUT}"
        try:
            self._pipeline = ChildPipeline(
                "bergamot", [(sys.executable, "-P", "-m", bergamot_worker.__name__)], {"RUST_BACKTRACE": "0"}
            )
        except OSError as error:
            raise EngineUnavailable(
                f"A process of bergamot cannot be started: {error}.", code="worker_failed"
            ) from error
        paths = {
            "model": str(files.model),
            "source_vocab": str(files.source_vocab),
            "target_vocab": str(files.target_vocab),
            "shortlist": str(files.shortlist or ""),
        }
        try:
            self.ask(json.dumps(paths), _START_LIMIT_S)
        except ChildLost as error:
            raise EngineUnavailable(error.message, remedy, code="load_failed") from error
        except EngineError as error:
            self.close()
            raise EngineUnavailable(
                f"The Bergamot model {files.model} cannot be loaded ({error.message}).", remedy, code="load_failed"
            ) from error

    @property
    def pids(self) -> tuple[int, ...]:
        return self._pipeline.pids

    def ask(self, text: str, limit_s: float) -> str:
        reply = self._pipeline.ask(text, limit_s)
        if not reply.startswith("="):
            raise EngineError(f"bergamot failed ({reply[1:]}).", "The log has more.", code="translator_failed")
        return reply[1:]

    def close(self) -> None:
        self._pipeline.close()
