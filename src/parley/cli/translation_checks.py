"""What `parley doctor` says of translation sessions: the routes of each pipeline's translator, and what a listener will miss.

Laws: a pipeline without translation is served all the same, so nothing here is required; what is said of a pipeline holds for engines that
opened, and a pipeline one of whose engines did not open is passed over, because the line of that engine says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from parley.cli.checks import Check
from parley.cli.languages import lack_of, some

if TYPE_CHECKING:
    from parley.engines.ports import EngineInfo, Translator


def check_translation(
    name: str, language: str, stt: EngineInfo, translator: Translator, tts: EngineInfo | None
) -> Iterator[Check]:
    """The pipeline of that name and language, whose translator is open; `stt` and `tts` as they were when they were open."""
    from parley.runtime.language_chain import LanguageChain

    chain = LanguageChain.of(stt, translator, tts, language)
    label = f"translation ({name})"
    lack = lack_of(chain)
    if lack is not None:
        yield Check(label, False, lack.message, lack.remedy, required=False)
        return
    yield Check(label, True, f"{routes(translator)}; it speaks {some(chain.targets())}")
    if not stt.promises:
        yield Check(
            f"clauses ({name})",
            False,
            f"{stt.name} promises no words while it listens: a translation begins at a pause of the speaker, not before",
            "A recogniser that does: --stt moonshine:tiny-v1 for English, or whisper:base (docs/translation-sessions.md).",
            required=False,
        )
    if tts is not None and (unspoken := chain.unspoken()):
        yield Check(
            f"voices ({name})",
            False,
            f"the translator gives {some(unspoken)}, which the voice {tts.name} does not speak",
            "A voice for about 100 languages: --tts espeak, or --tts auto beside an English one.",
            required=False,
        )


def routes(translator: Translator) -> str:
    """How many pairs it has, and through which engines: "6 pairs through apertium (4), bergamot (2)"."""
    from parley.engines.mt.auto import AutoTranslator
    from parley.engines.ports import ListsPairs

    if isinstance(translator, AutoTranslator):
        through = Counter(route.engine for route in translator.routes())
        engines = ", ".join(f"{engine} ({count})" for engine, count in through.most_common())
        others = f"other pairs through {translator.last}" if translator.last else ""
        return ", ".join(filter(None, (f"{_pairs(through.total())} through {engines}" if through else "", others)))
    listing: object = translator
    if isinstance(listing, ListsPairs):
        return f"{_pairs(len(listing.pairs()))} through {translator.info.name}"
    return f"{len(translator.info.languages)} languages through {translator.info.name}"


def _pairs(count: int) -> str:
    return f"{count} pair{'' if count == 1 else 's'}"
