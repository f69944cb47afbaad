"""A named set of loaded engines, and its description for the core.

Laws: frozen; the engines are open and shared by all sessions; what a session learns here is fixed while it lives.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass, field
from typing import Any

from parley.audio import processing
from parley.config.values import HOSTED_MODEL_PREFIXES, FillersConfig, PipelineConfig
from parley.core.words.filler_phrases import FillerPhrases, Fillers
from parley.core.words.interpreting import LAGS, Interpreting
from parley.core.words.settings import Capabilities, OwnerSettings, ServerVad, SessionKind, Settings, Transcription
from parley.engines.openai_api.voices import OPENAI_VOICES
from parley.engines.ports import LLM, MT, SPEECH, STT, TTS, VC, Engine, EngineSet, Stage
from parley.engines.voices.answering import OwnVoiceModel
from parley.engines.voices.shelf import VoiceShelf
from parley.engines.voices.speaking import OwnVoiceSynthesizer
from parley.runtime.language_chain import LanguageChain
from parley.runtime.voice_worker import VoiceWorker
from parley.text.clauses import ClauseCutter, Cutter
from parley.text.language_tags import primary_tag

"""The names that stock clients ask for."""

OPENAI_RECOGNIZERS = (
    "whisper-1",
    "gpt-4o-transcribe*",
    "gpt-4o-mini-transcribe*",
    "gpt-realtime-whisper*",
    "gpt-transcribe*",
    "gpt-live-transcribe*",
)
"""What stock clients send as `transcription.model`: it stands for the pipeline's recogniser, whichever that is (`*`: any ending)."""


@dataclass(frozen=True, slots=True)
class LoadedPipeline:
    """Everything that one kind of session needs. Without a turn judge, pauses are judged by their length alone; without a language
    model, a synthesizer or a translator, work for it fails, except that a speech model answers in place of the first two. `voice` scores
    the frames of all its sessions with the pipeline's vad engine.

    `cutter` makes, for the language of a reply ("" unknown), what cuts it into clauses. `own` are the user's own voices.
    """

    name: str
    engines: EngineSet
    voice: VoiceWorker
    config: PipelineConfig
    cutter: Callable[[str], Cutter] = ClauseCutter
    own: VoiceShelf | None = None
    targets: tuple[str, ...] = field(init=False)
    """The languages (primary tags) that a translation session can speak: the translator translates into them from one that the
    recogniser understands, and the synthesizer has a voice for them. Found once, when the engines are open: a model of two hundred
    languages has forty thousand pairs."""

    def __post_init__(self) -> None:
        voiceless = SPEECH in self.engines and TTS not in self.engines
        object.__setattr__(self, "targets", () if voiceless else self.languages.targets())

    @property
    def hears(self) -> bool:
        """Whether its recogniser hears what is said; one that measures does not."""
        return not self.engines[STT].info.measuring

    @property
    def measures(self) -> bool:
        """Whether it is made for benchmarks: whatever hears, answers and speaks in it has no model and takes a fixed time."""
        return all(engine.info.measuring for stage, engine in self.engines.items() if stage in (STT, LLM, TTS, SPEECH))

    @property
    def languages(self) -> LanguageChain:
        """The languages of its recogniser, its translator and its voice."""
        tts = self.engines.find(TTS)
        voice = None if tts is None else tts.info
        return LanguageChain.of(self.engines[STT].info, self.engines.find(MT), voice, self.config.language)

    def speaking(self) -> EngineSet:
        """The engines of one session: the synthesizer and the speech model know the user's own voices, as they are now."""
        tts, model = self.engines.find(TTS), self.engines.find(SPEECH)
        if self.own is None:
            return self.engines
        voiced: dict[Stage[Any], Engine] = {} if tts is None else {TTS: self.own.around(tts)}
        if model is not None:
            voiced[SPEECH] = self.own.around_model(model)
        return self.engines.replaced(voiced)

    def capabilities(self) -> Capabilities:
        """What a session of this pipeline can ask for. Own voices are those of this moment."""
        speaking = self.speaking()
        tts, llm, model = speaking.find(TTS), self.engines.find(LLM), speaking.find(SPEECH)
        own = [one for one in (model, tts) if isinstance(one, OwnVoiceSynthesizer | OwnVoiceModel)]
        known = [] if tts is None else [voice for voice in OPENAI_VOICES if tts.resolve_voice(voice) is not None]
        if model is not None:  # (for a name that it does not have, it speaks with its own voice)
            known = list(OPENAI_VOICES)
        speakers = [one for one in (model, self.engines.find(TTS), self.engines.find(VC)) if one is not None]
        engines_voices = [voice for engine in speakers for voice in engine.info.voices]
        users = {voice.id: voice.name for one in own for voice in one.spoken}
        voices = dict.fromkeys((self.config.voice, *users.values(), *known, *engines_voices))
        mixed = self.engines[TTS].info if tts is not None else None
        mixable = dict.fromkeys((*known, *mixed.voices)) if mixed is not None and mixed.mixes else {}
        heard_by, spec = self.engines[STT].info, self.config.engines[STT]
        names = (heard_by.name, spec.name, f"{spec.name}:{spec.model}", self.name)
        recognizers = dict.fromkeys((*names, *OPENAI_RECOGNIZERS))
        return Capabilities(
            voices=tuple(voice for voice in voices if voice),
            mixable=(*mixable, *(tts.mixable if isinstance(tts, OwnVoiceSynthesizer) else ())),
            voice_ids=tuple(users),
            unspoken=() if self.own is None else _unspoken(self.own, own, users),
            models=(self.name, *(f"{prefix}*" for prefix in HOSTED_MODEL_PREFIXES)),
            images=llm is not None and llm.info.images,
            audio=model is not None or (llm is not None and llm.info.audio),
            conversational=tts is not None and tts.info.conversational,
            logprobs=heard_by.logprobs,
            noise_reduction=processing.available(),
            recognizer=heard_by.name,
            recognizers=tuple(recognizers),
            prompts=heard_by.prompts,
            keywords=heard_by.keywords,
            languages=tuple(map(primary_tag, heard_by.languages)),
            targets=self.targets,
        )

    def default_settings(self, kind: SessionKind, model: str) -> Settings:
        """What a session is before its client changes anything."""
        if kind == "transcription":
            return Settings(kind=kind, model=model, transcription=Transcription(model=self.engines[STT].info.name))
        config = self.config
        if kind == "translation":
            pause_ms = LAGS[config.lag].pause_ms
            return Settings(
                kind=kind,
                model=model,
                voice=config.voice,
                turn_detection=ServerVad(silence_duration_ms=pause_ms, interrupt_response=False),
                target_language=self._first_target(),
            )
        return Settings(kind=kind, model=model, instructions=config.instructions, voice=config.voice)

    def _first_target(self) -> str:
        """What a translation session speaks before its client says: English where that is not all that can be heard."""
        targets = self.targets
        heard = set(map(primary_tag, self.engines[STT].info.languages)) - {"en"}
        return "en" if "en" in targets and heard else next(iter(targets), "")

    def owner_settings(self) -> OwnerSettings:
        """How the owner wants these sessions to behave; limits of the whole server are added by the caller."""
        config = self.config
        return OwnerSettings(
            speculation=config.speculation,
            speculate_after_ms=config.speculate_after_ms,
            barge_in=config.barge_in,
            context_tokens=config.context_tokens,
            compaction=config.compaction,
            interpreting=Interpreting(LAGS[config.lag], config.same_language, config.terms),
            language=config.language,
            fillers=_fillers(config.fillers),
        )


def _unspoken(
    shelf: VoiceShelf, own: Iterable[OwnVoiceSynthesizer | OwnVoiceModel], spoken: Container[str]
) -> tuple[tuple[str, str], ...]:
    """The user's voices that none of these engines can speak with, by name and by id, each with the reason and the remedy."""
    refused = {
        named: why
        for engine in own
        for voice, why in shelf.refusals(engine)
        if voice.id not in spoken
        for named in (voice.name, voice.id)
    }
    return tuple(refused.items())


def _fillers(config: FillersConfig) -> Fillers:
    phrases = [FillerPhrases(language, said) for language, said in config.languages]
    if config.phrases:
        phrases.append(FillerPhrases("", config.phrases))
    return Fillers(tuple(phrases), config.after_ms, config.interval_ms, config.most)
