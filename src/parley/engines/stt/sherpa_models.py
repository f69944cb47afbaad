"""Which recogniser a folder of files is: one table, from the networks and their metadata to the constructor of sherpa-onnx.

Laws: the first row that fits counts. Nothing is loaded here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from parley.engines.ports import EngineUnavailable
from parley.engines.sherpa import folder
from parley.engines.sherpa.folder import ModelFolder

SAMPLE_RATE: Final = 16_000
_FRAME: Final = SAMPLE_RATE // 100

PARTS: Final = (
    ("", r"vad|punct|speaker"),
    ("uncached_decoder", r"uncached_decode"),
    ("cached_decoder", r"cached_decode"),
    ("preprocessor", r"preprocess"),
    ("merged_decoder", r"decoder_model_merged"),
    ("conv_frontend", r"conv_frontend"),
    ("joiner", r"joiner"),
    ("decoder", r"decoder"),
    ("encoder", r"encode"),
    ("model", r""),
)
"""Part of a recogniser, and how its file is named; "" is for files that have other tasks."""

_LANGUAGE_TOKEN: Final = re.compile(r"^<\|([a-z]{2,3})\|>\s", re.MULTILINE)
_CJK: Final = re.compile("^[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]", re.MULTILINE)

Metadata = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Kind:
    """One row. `graphs` are the parts that it is made of, `fits` whether the metadata of the first one is its own.

    `factory` is the constructor's name, `arguments` what it calls the parts where that is another name, `fixed` what it always gets.
    `language` says where a turn's language goes: to the stream by its tag (`stream`), by its English name (`name`) or as two options
    (`canary`), to the recogniser (`config`), or nowhere ("").
    """

    name: str
    streaming: bool
    graphs: tuple[str, ...]
    factory: str
    fits: Callable[[Metadata], bool] = lambda told: True
    arguments: Mapping[str, str] | None = None
    fixed: Mapping[str, object] | None = None
    vocabulary: str = "tokens"
    language: str = ""
    logprobs: bool = False
    beam: bool = False
    """Whether it has `modified_beam_search`, and with it hotwords."""
    samples: bool = True
    """Whether the constructor takes the rate and the number of features."""


def _has(*keys: str) -> Callable[[Metadata], bool]:
    return lambda told: all(key in told for key in keys)


def _typed(*names: str) -> Callable[[Metadata], bool]:
    return lambda told: any(name in told.get("model_type", "") for name in names)


_TRANSDUCER: Final = ("encoder", "decoder", "joiner")
_SEQUENCE: Final = ("encoder", "decoder")

KINDS: Final = (
    Kind(
        "streaming NeMo transducer",
        True,
        _TRANSDUCER,
        "from_transducer",
        _has("cache_last_channel_dim1"),
        language="stream",
        logprobs=True,
        beam=True,
    ),
    Kind(
        "streaming transducer",
        True,
        _TRANSDUCER,
        "from_transducer",
        _has("decode_chunk_len"),
        logprobs=True,
        beam=True,
        fixed={"temperature_scale": 1.0},
    ),
    Kind(
        "unified Parakeet",
        True,
        _TRANSDUCER,
        "from_transducer",
        _has("streaming_model_type"),
        logprobs=True,
    ),
    Kind(
        "NeMo transducer",
        False,
        _TRANSDUCER,
        "from_transducer",
        _has("pred_rnn_layers"),
        fixed={"model_type": "nemo_transducer"},
        logprobs=True,
        beam=True,
    ),
    Kind("transducer", False, _TRANSDUCER, "from_transducer", logprobs=True, beam=True),
    Kind(
        "Moonshine",
        False,
        ("preprocessor", "encoder", "uncached_decoder", "cached_decoder"),
        "from_moonshine",
        samples=False,
    ),
    Kind(
        "Moonshine 2",
        False,
        ("encoder", "merged_decoder"),
        "from_moonshine_v2",
        arguments={"merged_decoder": "decoder"},
        samples=False,
    ),
    Kind(
        "Qwen3-ASR",
        False,
        ("conv_frontend", "encoder", "decoder"),
        "from_qwen3_asr",
        vocabulary="tokenizer",
        language="name",
        samples=False,
    ),
    Kind("Whisper", False, _SEQUENCE, "from_whisper", _has("n_text_ctx"), language="config", samples=False),
    Kind(
        "Canary",
        False,
        _SEQUENCE,
        "from_nemo_canary",
        _typed("EncDecMultiTaskModel"),
        language="canary",
        samples=False,
    ),
    Kind(
        "Cohere Transcribe",
        False,
        _SEQUENCE,
        "from_cohere_transcribe",
        _typed("cohere-transcribe"),
        language="stream",
        samples=False,
    ),
    Kind("streaming Paraformer", True, _SEQUENCE, "from_paraformer", _has("lfr_window_size")),
    Kind("FireRedASR", False, _SEQUENCE, "from_fire_red_asr", _has("cmvn_mean"), samples=False),
    Kind("streaming Zipformer CTC", True, ("model",), "from_zipformer2_ctc", _has("decode_chunk_len")),
    Kind("streaming NeMo CTC", True, ("model",), "from_nemo_ctc", _has("cache_last_channel_dim1")),
    Kind("SenseVoice", False, ("model",), "from_sense_voice", _typed("sense_voice"), fixed={"use_itn": True}),
    Kind("NeMo CTC", False, ("model",), "from_nemo_ctc", _typed("EncDecCTC", "EncDecHybridRNNTCTC")),
    Kind("Zipformer CTC", False, ("model",), "from_zipformer_ctc", _typed("zipformer2_ctc")),
    Kind("Omnilingual CTC", False, ("model",), "from_omnilingual_asr_ctc", _typed("omnilingual"), samples=False),
    Kind("FireRedASR CTC", False, ("model",), "from_fire_red_asr_ctc", _has("cmvn_mean"), samples=False),
    Kind("Dolphin CTC", False, ("model",), "from_dolphin_ctc", _has("invstd")),
    Kind(
        "Paraformer",
        False,
        ("model",),
        "from_paraformer",
        _has("lfr_window_size"),
        arguments={"model": "paraformer"},
    ),
)


@dataclass(frozen=True)
class SherpaModel:
    """A folder that fits a row of the table."""

    kind: Kind
    folder: ModelFolder
    vocabulary: Path
    languages: tuple[str, ...]
    """Tags that its files name; () where they say nothing."""

    @property
    def pad_samples(self) -> int:
        """Silence behind which all audio before it has its text: the window of a streaming model, and a few frames."""
        told = self.folder.metadata[self.kind.graphs[0]]
        decoder = self.folder.metadata.get("decoder", {})
        unified = sum(int(decoder.get(f"{part}_feature_frames", 0)) for part in ("chunk", "right"))
        frames = int(told.get("window_size") or told.get("T") or unified or 80)
        return (frames + 8) * _FRAME

    @property
    def modeling_unit(self) -> str:
        """How hotwords are cut into tokens; "" where the folder has not what is needed."""
        if not self.kind.beam:
            return ""
        characters = bool(_CJK.search(self.vocabulary.read_text(encoding="utf-8", errors="replace")))
        pieces = self.folder.file("bpe.vocab") is not None
        return "+".join(unit for unit, there in (("cjkchar", characters), ("bpe", pieces)) if there)


def identify(path: Path, precision: str) -> SherpaModel:
    """The row that a folder fits. Raises `EngineUnavailable` that names the files which are missing."""
    found = folder.read(path, PARTS, precision)
    kind = next((kind for kind in KINDS if _fits(kind, found)), None)
    if kind is None:
        raise _unknown(found)
    vocabulary = _vocabulary(kind, found)
    return SherpaModel(kind, found, vocabulary, _languages(kind, found, vocabulary))


def recipe(
    model: SherpaModel, *, threads: int, provider: str, decoding: str, language: str, hotwords_score: float
) -> dict[str, Any]:
    """What `sherpa_library.build()` makes the recogniser from, as JSON holds it."""
    kind = model.kind
    named = kind.arguments or {}
    arguments: dict[str, Any] = {named.get(part, part): str(model.folder.graphs[part]) for part in kind.graphs}
    arguments |= {
        kind.vocabulary: str(model.vocabulary),
        "num_threads": threads,
        "provider": provider,
        "decoding_method": decoding,
        **(kind.fixed or {}),
    }
    if kind.samples and (features := model.folder.told("feat_dim")).isdigit() and int(features) > 0:
        arguments["feature_dim"] = int(features)
    if model.modeling_unit and decoding == "modified_beam_search":
        arguments |= {"modeling_unit": model.modeling_unit, "hotwords_score": hotwords_score}
        if (pieces := model.folder.file("bpe.vocab")) is not None:
            arguments["bpe_vocab"] = str(pieces)
    if kind.name == "Whisper":
        arguments["language"] = language
    elif kind.name in ("SenseVoice", "Cohere Transcribe"):
        arguments["language"] = language or ("" if kind.name == "SenseVoice" else "en")
    elif kind.language == "canary":
        arguments |= {"src_lang": language or "en", "tgt_lang": language or "en"}
    return {"streaming": kind.streaming, "factory": kind.factory, "arguments": arguments}


def _fits(kind: Kind, found: ModelFolder) -> bool:
    if not set(kind.graphs) <= set(found.graphs):
        return False
    first, last = found.metadata[kind.graphs[0]], found.metadata[kind.graphs[-1]]
    decoder = found.metadata.get("decoder", {})
    return kind.fits(first) or kind.fits(last) or kind.fits(decoder)


def _vocabulary(kind: Kind, found: ModelFolder) -> Path:
    patterns = ("tokenizer", "*tokenizer*") if kind.vocabulary == "tokenizer" else ("tokens.txt", "*tokens.txt")
    file = found.file(*patterns)
    if file is None:
        raise EngineUnavailable(
            f"{found.path} holds a {kind.name} model without its {patterns[0]}.",
            f"Put {patterns[0]} of the same model beside it.",
            code="missing_weights",
        )
    return file


def _unknown(found: ModelFolder) -> EngineUnavailable:
    there = set(found.graphs)
    names = ", ".join(sorted(file.name for file in found.graphs.values()))

    def likeness(kind: Kind) -> tuple[bool, int, int]:
        told = found.metadata.get(kind.graphs[0], {})
        return bool(told) and kind.fits(told), len(there & set(kind.graphs)), -len(set(kind.graphs) - there)

    nearest = max(KINDS, key=likeness)
    missing = [part.replace("_", " ") for part in nearest.graphs if part not in there]
    if not there:
        what = f"{found.path} holds no .onnx file."
    elif there & set(nearest.graphs) and missing:
        what = f"{found.path} holds {names}, but no {' and no '.join(missing)}: is it a {nearest.name}?"
    else:
        what = f"{found.path} holds {names}, whose metadata name no recogniser that Parley knows."
    return EngineUnavailable(
        what,
        "Unpack the whole archive of a model; docs/sherpa.md names the files of each kind.",
        code="missing_weights",
    )


def _languages(kind: Kind, found: ModelFolder, vocabulary: Path) -> tuple[str, ...]:
    if kind.name == "Whisper":
        if found.told("is_multilingual") == "1":
            return tuple(dict.fromkeys(code for code in found.told("all_language_codes").split(",") if code))
        return ("en",)
    if kind.name == "SenseVoice":
        return ("zh", "en", "ja", "ko", "yue")
    if kind.name == "Cohere Transcribe":
        return ("ar", "de", "el", "en", "es", "fr", "it", "ja", "ko", "nl", "pl", "pt", "vi", "zh")
    if kind.name == "Canary":
        return tuple(sorted(set(_LANGUAGE_TOKEN.findall(vocabulary.read_text(encoding="utf-8", errors="replace")))))
    if prompts := found.told("prompt_dictionary"):
        tags = (str(tag).replace("_", "-").partition("-")[0].lower() for tag in _dictionary(prompts))
        return tuple(sorted(set(tags) - {"auto", ""}))
    return ()


def _dictionary(text: str) -> Mapping[str, object]:
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
