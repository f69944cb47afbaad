"""The contract suite on every engine of this repository: real weights where the installation has them, else a model that the test makes.

A deliberate exception is an override with its reason, as in the package of anybody else.
"""

from __future__ import annotations

import importlib.util
import shutil
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from parley.config import Config, load
from parley.engines.mt.apertium import ApertiumTranslator
from parley.engines.mt.apertium_modes import DIRECTORY
from parley.engines.ports import (
    LLM,
    MODERATION,
    MT,
    SPEECH,
    STT,
    TTS,
    TURN,
    VAD,
    VC,
    Engine,
    EngineSpec,
    LanguageModel,
    SpeechRecognizer,
    SpeechSynthesizer,
    Stage,
    Translator,
)
from parley.engines.registry import create
from parley.runtime.engines import LoadedEngines
from parley.testing.contracts import (
    ConverterContract,
    LanguageModelContract,
    ModeratorContract,
    RecognizerContract,
    SpeechModelContract,
    Subject,
    SynthesizerContract,
    TranslatorContract,
    TurnJudgeContract,
    VoiceActivityContract,
)
from tests.engines import tiny_kokoro
from tests.engines.bursts import BurstRecognizer
from tests.engines.tiny_ctranslate import NLLB, ctranslate_folder
from tests.engines.tiny_models import whisper_folder
from tests.engines.tiny_moonshine import moonshine_folder
from tests.engines.tiny_moonshine_whole import whole_moonshine_folder
from tests.engines.tiny_onnx_asr import tdt_folder
from tests.engines.tiny_phonon import phonon_folder
from tests.engines.tiny_rvc import voice_folder as rvc_folder
from tests.engines.tiny_sherpa import offline_folder, streaming_folder, voice_folder
from tests.server.harness import running_in_thread

Make = Callable[[], Any]
needs_sherpa = pytest.mark.skipif(
    importlib.util.find_spec("sherpa_onnx") is None, reason="sherpa-onnx (the extra `sherpa`) has no wheel here"
)
FIXED = "a benchmark's stand-in: the same answer whatever it is given"


def made(stage: Stage[Any], name: str, **options: object) -> Callable[[], Engine]:
    return partial(create, stage, EngineSpec.parse(name, options))


class TestSilero(VoiceActivityContract):
    @pytest.fixture
    def make_engine(self) -> Make:
        return made(VAD, "silero")


class TestRules(TurnJudgeContract):
    @pytest.fixture
    def make_engine(self) -> Make:
        return made(TURN, "rules")


class TestEspeak(SynthesizerContract):
    @pytest.fixture
    def make_engine(self) -> Make:
        return made(TTS, "espeak")


class TestHibari(SynthesizerContract):
    @pytest.fixture
    def make_engine(self) -> Make:
        return made(TTS, "hibari")


@pytest.fixture(scope="session")
def kokoro_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_kokoro.folder(tmp_path_factory.mktemp("kokoro") / "tiny")


class TestKokoro(SynthesizerContract):
    """The real readers, loading and mixing on a graph of the real interface."""

    @pytest.fixture
    def make_engine(self, kokoro_folder: Path) -> Make:
        return made(TTS, f"kokoro:{kokoro_folder}")


@pytest.fixture(scope="session")
def phonon_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return phonon_folder(tmp_path_factory.mktemp("phonon"))


class TestPhonon(SynthesizerContract):
    """The real loading and synthesis code on random weights."""

    @pytest.fixture
    def make_engine(self, phonon_weights: Path) -> Make:
        return made(TTS, f"phonon:{phonon_weights}", threads=1)


class TestAutoSynthesizer(SynthesizerContract):
    @pytest.fixture
    def make_engine(self) -> Make:
        return made(TTS, "auto")


class TestPocketsphinx(RecognizerContract):
    @pytest.fixture
    def make_engine(self) -> Make:
        return made(STT, "pocketsphinx", threads=1)


@pytest.fixture(scope="session")
def whisper_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return whisper_folder(tmp_path_factory.mktemp("whisper") / "tiny")


class TestWhisper(RecognizerContract):
    """The real loading and decoding code on random weights."""

    @pytest.fixture
    def make_engine(self, whisper_weights: Path) -> Make:
        return made(STT, f"whisper:{whisper_weights}", device="cpu", threads=1)


@pytest.fixture(scope="session")
def onnx_asr_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tdt_folder(tmp_path_factory.mktemp("onnx_asr") / "tdt")


class TestOnnxAsr(RecognizerContract):
    """The real loading and decoding code on random weights, in the layout of Parakeet TDT."""

    @pytest.fixture
    def make_engine(self, onnx_asr_weights: Path) -> Make:
        return made(STT, f"onnx-asr:{onnx_asr_weights}", languages=("en", "de"), threads=1)


@pytest.fixture(scope="session")
def sherpa_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sherpa")
    streaming_folder(folder / "streaming")
    offline_folder(folder / "offline")
    voice_folder(folder / "voice")
    return folder


@needs_sherpa
class TestSherpaStreaming(RecognizerContract):
    """sherpa-onnx on a streaming transducer of random weights, several streams in each batch."""

    @pytest.fixture
    def make_engine(self, sherpa_models: Path) -> Make:
        return made(STT, f"sherpa:{sherpa_models / 'streaming'}", threads=1)


@needs_sherpa
class TestSherpaOffline(RecognizerContract):
    """sherpa-onnx on an offline transducer of random weights."""

    @pytest.fixture
    def make_engine(self, sherpa_models: Path) -> Make:
        return made(STT, f"sherpa:{sherpa_models / 'offline'}", threads=1)


@needs_sherpa
class TestSherpaVoice(SynthesizerContract):
    """sherpa-onnx on a voice of tones, with the phonemes of espeak-ng."""

    @pytest.fixture
    def make_engine(self, sherpa_models: Path) -> Make:
        return made(TTS, f"sherpa:{sherpa_models / 'voice'}", threads=1)


@pytest.fixture(scope="session")
def moonshine_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("moonshine_voice", reason="moonshine-voice has no wheel here", exc_type=ImportError)
    return moonshine_folder(tmp_path_factory.mktemp("moonshine"))


class TestMoonshine(RecognizerContract):
    """The real library on graphs with random weights."""

    @pytest.fixture
    def make_engine(self, moonshine_weights: Path) -> Make:
        return made(STT, f"moonshine:{moonshine_weights}")


class TestMoonshineOfTheFirstGeneration(RecognizerContract):
    """The real library on graphs with random weights, each stretch of audio as a whole."""

    @pytest.fixture
    def make_engine(self, tmp_path_factory: pytest.TempPathFactory) -> Make:
        pytest.importorskip("moonshine_voice", reason="moonshine-voice has no wheel here", exc_type=ImportError)
        return made(STT, f"moonshine:{whole_moonshine_folder(tmp_path_factory.mktemp('moonshine-v1'))}")


class TestBursts(RecognizerContract):
    """The smallest recogniser on `OfflineTurns`."""

    @pytest.fixture
    def make_engine(self) -> Make:
        return BurstRecognizer


class TestResponder(LanguageModelContract):
    @pytest.fixture
    def make_engine(self) -> Make:
        return made(LLM, "responder")


class TestBenchModel(LanguageModelContract):
    @pytest.fixture
    def make_engine(self) -> Make:
        return made(LLM, "bench", first_token_ms=5, token_ms=1)

    @pytest.mark.xfail(reason=FIXED)
    def test_another_input_gives_another_output(self, subject: Subject[LanguageModel]) -> None:
        super().test_another_input_gives_another_output(subject)


class TestBenchRecognizer(RecognizerContract):
    @pytest.fixture
    def make_engine(self) -> Make:
        return made(STT, "bench", final_ms=5)

    @pytest.mark.xfail(reason=FIXED)
    def test_another_input_gives_another_output(self, subject: Subject[SpeechRecognizer]) -> None:
        super().test_another_input_gives_another_output(subject)

    @pytest.mark.xfail(reason=FIXED)
    def test_a_turn_without_sound_has_no_words(self, subject: Subject[SpeechRecognizer]) -> None:
        super().test_a_turn_without_sound_has_no_words(subject)

    @pytest.mark.slow
    @pytest.mark.xfail(reason=FIXED)
    def test_promises_are_kept_over_pauses(self, subject: Subject[SpeechRecognizer]) -> None:
        super().test_promises_are_kept_over_pauses(subject)


class TestBenchSynthesizer(SynthesizerContract):
    @pytest.fixture
    def make_engine(self) -> Make:
        return made(TTS, "bench", first_audio_ms=5, pace=200)

    @pytest.mark.xfail(reason=FIXED)
    def test_another_input_gives_another_output(self, subject: Subject[SpeechSynthesizer]) -> None:
        super().test_another_input_gives_another_output(subject)

    @pytest.mark.xfail(reason=FIXED)
    def test_faster_speech_is_shorter(self, subject: Subject[SpeechSynthesizer]) -> None:
        super().test_faster_speech_is_shorter(subject)

    @pytest.mark.xfail(reason="every voice is the tone: a benchmark's clients name any")
    def test_an_unknown_voice_is_refused_by_name(self, subject: Subject[SpeechSynthesizer]) -> None:
        super().test_an_unknown_voice_is_refused_by_name(subject)


class TestBenchTranslator(TranslatorContract):
    @pytest.fixture
    def make_engine(self) -> Make:
        return made(MT, "bench", first_word_ms=5)


needs_apertium = pytest.mark.skipif(
    shutil.which("apertium") is None or not ApertiumTranslator(Path(DIRECTORY)).pairs(),
    reason="Apertium is not installed (Debian: apt-get install apertium apertium-eng-spa apertium-es-pt)",
)


@needs_apertium
class TestApertium(TranslatorContract):
    @pytest.fixture
    def make_engine(self) -> Make:
        return made(MT, "apertium")


@needs_apertium
class TestPivot(TranslatorContract):
    """Two installations of Apertium in a row: English to Portuguese through Spanish."""

    @pytest.fixture
    def make_engine(self) -> Make:
        return made(MT, "pivot:apertium:eng-spa+spa-eng,apertium:es-pt+pt-es")


@needs_apertium
class TestAutoTranslator(TranslatorContract):
    @pytest.fixture
    def make_engine(self) -> Make:
        return made(MT, "auto")


@pytest.fixture(scope="session")
def ctranslate_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("sentencepiece", reason="the extra ctranslate2 (sentencepiece) is not installed")
    folder = tmp_path_factory.mktemp("ctranslate")
    ctranslate_folder(folder / "opus-mt-en-de")
    ctranslate_folder(folder / "nllb", NLLB)
    return folder


RANDOM_LENGTH = "random weights stop where they like: a short sentence may have a long translation"


class TestCTranslate(TranslatorContract):
    """The real loading and decoding code on random weights, in the layout of Opus-MT."""

    @pytest.fixture
    def make_engine(self, ctranslate_weights: Path) -> Make:
        return made(MT, f"ctranslate2:{ctranslate_weights / 'opus-mt-en-de'}", threads=1)

    @pytest.mark.xfail(reason=RANDOM_LENGTH, strict=False)
    def test_context_is_not_translated_again(self, subject: Subject[Translator]) -> None:
        super().test_context_is_not_translated_again(subject)


class TestCTranslateManyLanguages(TranslatorContract):
    """The real loading and decoding code on random weights, in the layout of NLLB."""

    @pytest.fixture
    def make_engine(self, ctranslate_weights: Path) -> Make:
        return made(MT, f"ctranslate2:{ctranslate_weights / 'nllb'}", threads=1)

    @pytest.mark.xfail(reason=RANDOM_LENGTH, strict=False)
    def test_context_is_not_translated_again(self, subject: Subject[Translator]) -> None:
        super().test_context_is_not_translated_again(subject)


class TestBenchConverter(ConverterContract):
    @pytest.fixture
    def make_engine(self) -> Make:
        return made(VC, "bench")


class TestVocoder(ConverterContract):
    @pytest.fixture
    def make_engine(self) -> Make:
        return made(VC, "vocoder")


@pytest.fixture(scope="session")
def rvc_voice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return rvc_folder(tmp_path_factory.mktemp("rvc") / "voice")


class TestRvc(ConverterContract):
    """The real loading, streaming and pitch on small graphs of the real interfaces."""

    @pytest.fixture
    def make_engine(self, rvc_voice: Path) -> Make:
        return made(VC, f"rvc:{rvc_voice}", block_ms=200, threads=1)


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="a converter's process is reached by a Unix socket")
class TestConverterProcess(ConverterContract):
    @pytest.fixture
    def make_engine(self) -> Make:
        return made(VC, "process:bench", latency_ms=30)


class TestWordList(ModeratorContract):
    refused = "holy cow"

    @pytest.fixture
    def make_engine(self) -> Make:
        return made(MODERATION, "words", words=["holy cow"])


class TestBenchSpeechModel(SpeechModelContract):
    @pytest.fixture
    def make_engine(self) -> Make:
        return made(SPEECH, "bench", first_audio_ms=5, word_ms=20)


@pytest.fixture(scope="session")
def another_parley(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The base URL of a Parley that answers with tones as loud as the user."""
    file = tmp_path_factory.mktemp("upstream") / "parley.toml"
    file.write_text(
        '[pipelines.default]\nstt = "bench"\nspeech = "bench"\nspeculation = "off"\n'
        "[pipelines.default.stt_options]\nfinal_ms = 1\n"
        "[pipelines.default.speech_options]\nfirst_audio_ms = 5\nword_ms = 20\n"
    )
    config = load(file, {"port": 0}, {})
    config = replace(config, server=replace(config.server, responses_per_minute=10_000))

    async def opened(config: Config) -> LoadedEngines:
        engines = await LoadedEngines.open_all([config.pipelines["default"]])
        assert not engines.failures, engines.failures
        return engines

    with running_in_thread(config, opened) as server:
        yield f"{server.http}/v1"


class TestRealtimeSpeechModel(SpeechModelContract):
    """Over real sockets, from another Parley."""

    @pytest.fixture
    def make_engine(self, another_parley: str) -> Make:
        return made(SPEECH, "realtime:default", base_url=another_parley, dialect="parley")
