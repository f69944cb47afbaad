"""What the browser page is told of a pipeline: what answers, hears and speaks, in which languages, with which voices.

Laws: everything comes from what the engines declare; nothing is asked of them, and neither paths nor addresses nor keys are shown.
"""

from __future__ import annotations

from parley.engines.openai_api.voices import OPENAI_VOICES
from parley.engines.ports import LLM, SPEECH, TTS, ClonesVoices, VoiceDescription, describe_voice
from parley.engines.voices.answering import OwnVoiceModel
from parley.engines.voices.speaking import WHAT, OwnVoiceSynthesizer
from parley.runtime.pipeline import LoadedPipeline
from parley.text.language_tags import primary_tag


def described_for_page(pipeline: LoadedPipeline) -> dict[str, object]:
    """What the page shows of a pipeline, and offers in its settings."""
    config, engines = pipeline.config, pipeline.engines
    can = pipeline.capabilities()
    return {
        "name": pipeline.name,
        "engines": {
            stage.name: {"name": engine.info.name, "summary": engine.info.summary}
            for stage, engine in engines.items()
            if stage.summary
        },
        "measures": pipeline.measures,
        "answers": _answers(pipeline),
        "voice": config.voice,
        "voices": _voices(pipeline, can.voices),
        "previews": TTS in engines,
        "clones": _clones(engines.find(TTS)) or _clones(engines.find(SPEECH)),
        "instructions": config.instructions,
        "language": config.language,
        "understands": list(can.languages),
        "speaks": _spoken(pipeline),
        "translates_into": list(can.targets),
        "hears": pipeline.hears,
        "tools": _calls_tools(pipeline),
        "speculation": config.speculation,
        "barge_in": config.barge_in,
    }


def _answers(pipeline: LoadedPipeline) -> dict[str, str]:
    """What answers: `by` a "model", by "rules" without one, or "" where nothing does; the engine, and the model's name where it has one."""
    answering = pipeline.engines.find(SPEECH) or pipeline.engines.find(LLM)
    if answering is None:
        return {"by": "", "engine": "", "model": ""}
    info = answering.info
    return {"by": "rules" if info.scripted or info.measuring else "model", "engine": info.name, "model": info.model}


def _calls_tools(pipeline: LoadedPipeline) -> bool:
    """Whether what answers calls tools; what calls none may refuse every reply of a session that has some."""
    answering = pipeline.engines.find(SPEECH) or pipeline.engines.find(LLM)
    return answering is not None and answering.info.tools


def _spoken(pipeline: LoadedPipeline) -> list[str]:
    """The primary tags of the languages it speaks; empty: any, or not known."""
    speaker = pipeline.engines.find(TTS) or pipeline.engines.find(SPEECH)
    return [] if speaker is None else list(dict.fromkeys(map(primary_tag, speaker.info.languages)))


def _voices(pipeline: LoadedPipeline, names: tuple[str, ...]) -> list[dict[str, str]]:
    """Each voice that a session may name: whose it is (`of`: "engine", "openai" for a name of OpenAI's that the engine answers to, "user"),
    what is known of it, and the engine's voice that it `sounds_as`."""
    speaking = pipeline.speaking()
    tts, model = pipeline.engines.find(TTS), pipeline.engines.find(SPEECH)
    own = {
        voice.name: WHAT[voice.kind]
        for engine in (speaking.find(SPEECH), speaking.find(TTS))
        if isinstance(engine, OwnVoiceSynthesizer | OwnVoiceModel)
        for voice in engine.spoken
    }
    named = set(() if model is None else model.info.voices)
    described = []
    for name in names:
        about, of, sounds_as = VoiceDescription(), "engine", ""
        if name in own:
            about, of = VoiceDescription(character=own[name]), "user"
        elif model is not None:
            of = "openai" if name in OPENAI_VOICES and name not in named else "engine"
        elif tts is not None:
            resolved = tts.resolve_voice(name) or name
            about = describe_voice(tts, resolved)
            if name in OPENAI_VOICES and name not in tts.info.voices:
                of, sounds_as = "openai", resolved if resolved != name else ""
        described.append(
            {
                "name": name,
                "of": of,
                "language": about.language,
                "sex": about.sex,
                "character": about.character,
                "sounds_as": sounds_as,
            }
        )
    return described


def _clones(engine: object) -> bool:
    return isinstance(engine, ClonesVoices) and engine.clones
