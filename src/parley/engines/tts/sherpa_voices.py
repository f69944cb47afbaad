"""Which synthesizer a folder of files is: one table, from the networks and their metadata to the configuration of sherpa-onnx.

Laws: the first row that fits counts. Nothing is loaded here. sherpa-onnx 2 has no phonemizer: models of phonemes get them from espeak-ng.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from parley.engines.openai_api.voices import OPENAI_VOICES
from parley.engines.ports import EngineUnavailable
from parley.engines.sherpa import folder
from parley.engines.sherpa.folder import ModelFolder
from parley.engines.sherpa.metadata import entry_bytes
from parley.text.language_tags import primary_tag

PARTS: Final = (
    ("", r"vad|punct"),
    ("duration_predictor", r"duration_predictor"),
    ("text_encoder", r"text_encoder"),
    ("vector_estimator", r"vector_estimator"),
    ("vocoder", r"vocoder|vocos|hifigan"),
    ("model", r""),
)

PHONEMES, TEXT = "phonemes", "text"

_SUPERTONIC: Final = tuple(
    "en ko ja ar bg cs da de el es et fi fr hi hr hu id it lt lv nl pl pt ro ru sk sl sv tr uk vi".split()  # noqa: SIM905
)

_KOKORO: Final = {"a": "en-us", "b": "en-gb", "e": "es", "f": "fr-fr", "h": "hi", "i": "it", "p": "pt-br"}
"""espeak-ng's voice for the first letter of a Kokoro speaker. Japanese and Chinese need a phonemizer that espeak-ng's is not."""

_KINDS: Final = ("kokoro", "kitten-tts", "matcha-tts", "vits")


@dataclass(frozen=True)
class Speaker:
    """A voice: its number in the model, and the espeak-ng voice that reads text for it ("" where the model reads text itself)."""

    name: str
    number: int
    languages: tuple[str, ...]
    phonemizer: str = ""


@dataclass(frozen=True)
class VoiceModel:
    """A folder that fits a row of the table. `front` says whether the model takes phonemes or text."""

    kind: str
    folder: ModelFolder
    speakers: tuple[Speaker, ...]
    sample_rate: int
    front: str
    config: Mapping[str, Any]
    """The configuration of `OfflineTtsModelConfig`, by the name of the family."""
    piper: Path | None = None
    """The description of a voice as Piper publishes it, which sherpa-onnx cannot read yet."""

    @property
    def languages(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(tag for speaker in self.speakers for tag in speaker.languages))

    def resolve(self, voice: str, language: str, default: str) -> Speaker | None:
        """The speaker that `voice` stands for (its name, one of OpenAI's, "" for any, `default` before others), None where none speaks
        `language`."""
        wanted = voice.strip().lower()
        tag = primary_tag(language)
        able = [speaker for speaker in self.speakers if not tag or tag in speaker.languages]
        if not able:
            return None
        if not wanted:
            return next((speaker for speaker in able if speaker.name.lower() == default.lower()), able[0])
        named = next((speaker for speaker in self.speakers if speaker.name.lower() == wanted), None)
        if named is not None:
            return named if named in able else None
        if wanted in OPENAI_VOICES:
            alike = (speaker for speaker in able if speaker.name.lower().endswith(f"_{wanted}"))
            return next(alike, able[OPENAI_VOICES.index(wanted) % len(able)])
        return None


def identify(path: Path, precision: str) -> VoiceModel:
    """The row that a folder fits. Raises `EngineUnavailable` that names the files which are missing."""
    found = folder.read(path, PARTS, precision)
    graphs = found.graphs
    if {"duration_predictor", "vector_estimator"} & set(graphs):
        return _supertonic(found)
    model = graphs.get("model")
    described = Path(f"{model}.json") if model is not None else None
    if described is not None and described.is_file():
        return _piper(found, described)
    told = found.metadata.get("model", {})
    kind = next((kind for kind in _KINDS if told.get("model_type", "") == kind), "")
    if not kind and {"sample_rate", "n_speakers", "language"} <= set(told):
        kind = "vits"  # the first exports had no `model_type`
    if not kind:
        raise _unknown(found)
    return _described(kind, found, told)


def recipe(model: VoiceModel, threads: int, provider: str) -> dict[str, Any]:
    """What `sherpa_speech.build()` makes the synthesizer from, as JSON holds it."""
    rules = "" if model.front == PHONEMES else ",".join(map(str, model.folder.files("*.fst")))
    return {"family": model.kind, "files": dict(model.config), "threads": threads, "provider": provider, "rules": rules}


def convert(model: VoiceModel, into: Path) -> dict[str, Any]:
    """Write a voice as Piper publishes it into the folder `into`, with the metadata and tokens that sherpa-onnx reads; returns its `files`.

    Blocks. Raises `EngineUnavailable` for a description that is not Piper's.
    """
    assert model.piper is not None
    source = model.folder.graphs["model"]
    try:
        told = json.loads(model.piper.read_text(encoding="utf-8"))
        tokens = [f"{symbol} {ids[0]}\n" for symbol, ids in told["phoneme_id_map"].items() if len(symbol) == 1]
        metadata = {
            "model_type": "vits",
            "comment": "piper",
            "language": told.get("language", {}).get("name_english") or told["espeak"]["voice"],
            "voice": told["espeak"]["voice"],
            "n_speakers": str(told.get("num_speakers", 1)),
            "sample_rate": str(told["audio"]["sample_rate"]),
        }
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise _broken(model.piper, error) from error
    graph = into / "model.onnx"
    graph.write_bytes(source.read_bytes() + entry_bytes(metadata))
    (into / "tokens.txt").write_text("".join(tokens), encoding="utf-8")
    scales = told.get("inference", {})
    return {
        "model": str(graph),
        "tokens": str(into / "tokens.txt"),
        "noise_scale": float(scales.get("noise_scale", 0.667)),
        "noise_scale_w": float(scales.get("noise_w", 0.8)),
        "length_scale": float(scales.get("length_scale", 1)),
    }


def _described(kind: str, found: ModelFolder, told: Mapping[str, str]) -> VoiceModel:
    """A model whose metadata say what it is."""
    files: dict[str, Any] = {"tokens": str(_needed(found, kind, "tokens.txt", "*tokens.txt"))}
    lexicon = ",".join(str(file) for file in found.files("lexicon*.txt"))
    phonemes = told.get("has_espeak") == "1" or any(
        word in told.get("comment", "") for word in ("piper", "coqui", "icefall")
    )
    phonemes = phonemes and told.get("has_g2pw") != "1" and not (kind == "vits" and lexicon)
    if kind == "matcha-tts":
        if "vocoder" not in found.graphs:
            raise _lacks(found, kind, "vocoder (vocos-*.onnx or hifigan_*.onnx)")
        files |= {"acoustic_model": str(found.graphs["model"]), "vocoder": str(found.graphs["vocoder"])}
    else:
        files["model"] = str(found.graphs["model"])
    if kind in ("kokoro", "kitten-tts"):
        files["voices"] = str(_needed(found, kind, "voices.bin"))
    if lexicon and not phonemes:
        files["lexicon"] = lexicon
    if not phonemes and not lexicon and told.get("frontend") != "characters":
        raise _lacks(found, kind, "lexicon.txt")
    speakers = _speakers(kind, told, PHONEMES if phonemes else TEXT)
    rate = int(told["sample_rate"]) if told.get("sample_rate", "").isdigit() else 0
    if not rate or not speakers:
        raise _unknown(found)
    family = {"kitten-tts": "kitten", "matcha-tts": "matcha"}.get(kind, kind)
    return VoiceModel(family, found, speakers, rate, PHONEMES if phonemes else TEXT, files)


def _speakers(kind: str, told: Mapping[str, str], front: str) -> tuple[Speaker, ...]:
    count = max(1, int(told["n_speakers"]) if told.get("n_speakers", "").isdigit() else 1)
    names = [name.strip() for name in told.get("speaker_names", "").split(",") if name.strip()]
    if len(names) != count:
        names = [str(number) for number in range(count)]
    voice = told.get("voice", "") if front == PHONEMES else ""
    tag = primary_tag(voice) or _LANGUAGES.get(told.get("language", "").lower(), "")
    speakers = []
    for number, name in enumerate(names):
        reader, tags = voice, (tag,) if tag else ()
        if kind == "kokoro" and front == PHONEMES and re.match(r"^[a-z][fm](_|$)", name):
            if name[0] not in _KOKORO:
                continue
            reader = _KOKORO[name[0]]
            tags = (primary_tag(reader),)
        speakers.append(Speaker(name, number, tags, reader or ("en-us" if front == PHONEMES else "")))
    return tuple(speakers)


_LANGUAGES: Final = {"english": "en", "chinese": "zh", "german": "de", "french": "fr", "spanish": "es", "italian": "it"}


def _piper(found: ModelFolder, described: Path) -> VoiceModel:
    """A voice as Piper publishes it: `NAME.onnx` and `NAME.onnx.json`."""
    try:
        told = json.loads(described.read_text(encoding="utf-8"))
        voice, rate = str(told["espeak"]["voice"]), int(told["audio"]["sample_rate"])
        ids = {str(name): int(number) for name, number in (told.get("speaker_id_map") or {}).items()}
        count = max(1, int(told.get("num_speakers") or 1))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _broken(described, error) from error
    name = str(told.get("dataset") or "0")
    named = ids if len(ids) == count else {name if count == 1 else str(number): number for number in range(count)}
    speakers = tuple(Speaker(name, number, (primary_tag(voice),), voice) for name, number in named.items())
    return VoiceModel("vits", found, speakers, rate, PHONEMES, {"model": str(found.graphs["model"])}, described)


def _supertonic(found: ModelFolder) -> VoiceModel:
    kind = "Supertonic"
    graphs = ("duration_predictor", "text_encoder", "vector_estimator", "vocoder")
    missing = [part for part in graphs if part not in found.graphs]
    if missing:
        raise _lacks(found, kind, f"{missing[0]}.onnx")
    described = _needed(found, kind, "tts.json")
    style = _needed(found, kind, "voice.bin")
    files: dict[str, Any] = {part: str(found.graphs[part]) for part in graphs}
    files["tts_json"] = str(described)
    files["unicode_indexer"] = str(_needed(found, kind, "unicode_indexer.bin"))
    files["voice_style"] = str(style)
    try:
        told = json.loads(described.read_text(encoding="utf-8"))
        rate = int(told["ae"]["sample_rate"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _broken(described, error) from error
    with style.open("rb") as stream:
        count = int.from_bytes(stream.read(8), "little")
    speakers = tuple(Speaker(str(number), number, _SUPERTONIC) for number in range(min(max(1, count), 1_000)))
    return VoiceModel("supertonic", found, speakers, rate, TEXT, files)


def _needed(found: ModelFolder, kind: str, *patterns: str) -> Path:
    file = found.file(*patterns)
    if file is None:
        raise _lacks(found, kind, patterns[0])
    return file


def _lacks(found: ModelFolder, kind: str, file: str) -> EngineUnavailable:
    return EngineUnavailable(
        f"{found.path} holds a {kind} voice without its {file}.",
        "Unpack the whole archive of the voice; docs/sherpa.md names the files of each kind.",
        code="missing_weights",
    )


def _unknown(found: ModelFolder) -> EngineUnavailable:
    names = ", ".join(sorted(file.name for file in found.graphs.values()))
    what = f"holds {names}, whose metadata name no voice that Parley knows" if names else "holds no .onnx file"
    return EngineUnavailable(
        f"{found.path} {what}.",
        "Use a voice of sherpa-onnx or of Piper (NAME.onnx with NAME.onnx.json); docs/sherpa.md names the files of each kind.",
        code="missing_weights",
    )


def _broken(file: Path, error: Exception) -> EngineUnavailable:
    return EngineUnavailable(
        f"{file} does not describe a voice: {type(error).__name__} {error}.", "Download it again.", code="load_failed"
    )
