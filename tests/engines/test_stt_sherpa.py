"""`stt.sherpa`: which recogniser a folder is, and what a turn gets from the real library on models of random weights."""

from __future__ import annotations

import asyncio
import importlib.util
import json
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from parley.engines.ports import EngineRefused, EngineUnavailable, Partial, RecognitionSpec, Samples, Transcript
from parley.engines.sherpa import folder, metadata
from parley.engines.stt import sherpa_models
from parley.engines.stt.sherpa import SherpaRecognizer, create
from parley.engines.stt.sherpa_library import Decoded
from parley.engines.stt.turn_audio import SAMPLE_RATE
from parley.models.catalogue import catalogue
from parley.testing.contracts.material import SENTENCES, silence, speech
from tests.engines.installed_models import as_model
from tests.engines.opening import while_open
from tests.engines.tiny_sherpa import PIECES, offline_folder, streaming_folder

needs_sherpa = pytest.mark.skipif(
    importlib.util.find_spec("sherpa_onnx") is None, reason="sherpa-onnx (the extra `sherpa`) has no wheel here"
)


def utterance(number: int = 1) -> Samples:
    return speech(SENTENCES[number], SAMPLE_RATE)


def empty_graph(path: Path, told: Mapping[str, str]) -> None:
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, (1,))
    other = helper.make_tensor_value_info("y", TensorProto.FLOAT, (1,))
    model = helper.make_model(helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", [value], [other]))
    helper.set_model_props(model, dict(told))
    onnx.save(model, str(path))


def opened(folder: Path, **options: object) -> AbstractAsyncContextManager[SherpaRecognizer]:
    return while_open(create(str(folder), {"threads": 1, **options}))


async def transcribe(
    engine: SherpaRecognizer, audio: Samples, spec: RecognitionSpec | None = None, partials: list[Partial] | None = None
) -> Transcript:
    stream = engine.open_stream(spec or RecognitionSpec(), ([] if partials is None else partials).append)
    for start in range(0, len(audio), 1_600):
        stream.feed(audio[start : start + 1_600])
        await asyncio.sleep(0)
    return await stream.finish()


# --- what a folder is ---

CACHE = {"cache_last_channel_dim1": "1"}
ROWS: list[tuple[str, dict[str, dict[str, str]], str]] = [
    ("streaming NeMo transducer", {"encoder.int8": CACHE, "decoder.int8": {}, "joiner.int8": {}}, "tokens.txt"),
    (
        "streaming transducer",
        {
            "encoder-epoch-99-avg-1-chunk-16-left-128": {"decode_chunk_len": "32", "model_type": "zipformer2"},
            "decoder-epoch-99-avg-1-chunk-16-left-128": {},
            "joiner-epoch-99-avg-1-chunk-16-left-128": {},
        },
        "tokens.txt",
    ),
    (
        "unified Parakeet",
        {"encoder": {"pred_rnn_layers": "2"}, "decoder": {"streaming_model_type": "x"}, "joiner": {}},
        "tokens.txt",
    ),
    ("NeMo transducer", {"encoder": {"pred_rnn_layers": "2"}, "decoder": {}, "joiner": {}}, "tokens.txt"),
    ("transducer", {"encoder": {"model_type": "zipformer2"}, "decoder": {}, "joiner": {}}, "tokens.txt"),
    (
        "Moonshine",
        {"preprocess": {}, "encode.int8": {}, "uncached_decode.int8": {}, "cached_decode.int8": {}},
        "tokens.txt",
    ),
    ("Moonshine 2", {"encoder_model": {}, "decoder_model_merged": {}}, "tokens.txt"),
    ("Qwen3-ASR", {"conv_frontend": {}, "encoder.int8": {}, "decoder.int8": {}}, "tokenizer"),
    (
        "Whisper",
        {"tiny.en-encoder.int8": {"n_text_ctx": "448"}, "tiny.en-decoder.int8": {}},
        "tiny.en-tokens.txt",
    ),
    ("Canary", {"encoder": {"model_type": "EncDecMultiTaskModel"}, "decoder": {}}, "tokens.txt"),
    ("Cohere Transcribe", {"encoder": {"model_type": "cohere-transcribe-1"}, "decoder": {}}, "tokens.txt"),
    ("streaming Paraformer", {"encoder": {"lfr_window_size": "7"}, "decoder": {}}, "tokens.txt"),
    ("FireRedASR", {"encoder": {"cmvn_mean": "1"}, "decoder": {}}, "tokens.txt"),
    ("streaming Zipformer CTC", {"ctc-epoch-20": {"decode_chunk_len": "32"}}, "tokens.txt"),
    ("streaming NeMo CTC", {"model": CACHE}, "tokens.txt"),
    ("SenseVoice", {"model.int8": {"model_type": "sense_voice_ctc", "lfr_window_size": "7"}}, "tokens.txt"),
    ("NeMo CTC", {"model": {"model_type": "EncDecCTCModelBPE"}}, "tokens.txt"),
    ("Zipformer CTC", {"model": {"model_type": "zipformer2_ctc"}}, "tokens.txt"),
    ("Omnilingual CTC", {"model.int8": {"model_type": "omnilingual-asr"}}, "tokens.txt"),
    ("FireRedASR CTC", {"model": {"model_type": "x", "cmvn_mean": "1"}}, "tokens.txt"),
    ("Dolphin CTC", {"model": {"invstd": "1"}}, "tokens.txt"),
    ("Paraformer", {"model": {"model_type": "paraformer", "lfr_window_size": "7"}}, "tokens.txt"),
]


@pytest.mark.parametrize(("kind", "graphs", "vocabulary"), ROWS, ids=[row[0] for row in ROWS])
def test_a_folder_is_known_by_its_files_and_their_metadata(
    tmp_path: Path, kind: str, graphs: Mapping[str, Mapping[str, str]], vocabulary: str
) -> None:
    for name, told in graphs.items():
        empty_graph(tmp_path / f"{name}.onnx", told)
    (tmp_path / vocabulary).write_text("a 0\n<|de|> 1\n")
    model = sherpa_models.identify(tmp_path, "int8")
    assert model.kind.name == kind
    recipe = sherpa_models.recipe(
        model, threads=1, provider="cpu", decoding="greedy_search", language="", hotwords_score=1
    )
    assert set(map(str, model.folder.graphs.values())) <= set(map(str, recipe["arguments"].values()))
    (tmp_path / vocabulary).unlink()
    with pytest.raises(EngineUnavailable, match="without its token"):
        sherpa_models.identify(tmp_path, "int8")


def test_every_row_of_the_table_is_tried_here() -> None:
    assert [kind.name for kind in sherpa_models.KINDS] == [name for name, _, _ in ROWS]


@needs_sherpa
def test_every_constructor_has_the_arguments_that_it_is_given(tmp_path: Path) -> None:
    import inspect

    import sherpa_onnx

    for number, (_, graphs, vocabulary) in enumerate(ROWS):
        folder = tmp_path / str(number)
        folder.mkdir()
        for name, told in graphs.items():
            empty_graph(folder / f"{name}.onnx", told)
        (folder / vocabulary).write_text("a 0\n")
        (folder / "bpe.vocab").write_text("a\t0\n")
        model = sherpa_models.identify(folder, "int8")
        decoding = "modified_beam_search" if model.kind.beam else "greedy_search"
        recipe = sherpa_models.recipe(
            model, threads=1, provider="cpu", decoding=decoding, language="de", hotwords_score=1
        )
        recognizers = sherpa_onnx.OnlineRecognizer if recipe["streaming"] else sherpa_onnx.OfflineRecognizer
        inspect.signature(getattr(recognizers, recipe["factory"])).bind(**recipe["arguments"])


def test_the_int8_file_is_taken_unless_another_precision_is_asked_for(tmp_path: Path) -> None:
    for suffix in (".int8", ""):
        streaming_folder(tmp_path, suffix=suffix)
    assert sherpa_models.identify(tmp_path, "int8").folder.graphs["encoder"].name == "encoder.int8.onnx"
    assert sherpa_models.identify(tmp_path, "fp32").folder.graphs["encoder"].name == "encoder.onnx"


@pytest.mark.parametrize(
    ("missing", "code", "said"),
    [
        ("joiner.int8.onnx", "missing_weights", "but no joiner"),
        ("tokens.txt", "missing_weights", "without its tokens.txt"),
        ("", "missing_weights", "no .onnx file"),
    ],
)
async def test_an_incomplete_folder_is_refused_with_the_name_of_what_is_missing(
    tmp_path: Path, missing: str, code: str, said: str
) -> None:
    if missing:
        (streaming_folder(tmp_path) / missing).unlink()
    with pytest.raises(EngineUnavailable, match=said) as refused:
        await create(str(tmp_path), {}).open()
    assert refused.value.code == code
    assert refused.value.remedy


async def test_two_files_for_one_part_are_not_chosen_between(tmp_path: Path) -> None:
    streaming_folder(tmp_path)
    (tmp_path / "encoder-2.int8.onnx").write_bytes((tmp_path / "encoder.int8.onnx").read_bytes())
    with pytest.raises(EngineUnavailable, match=r"encoder-2\.int8\.onnx, encoder\.int8\.onnx") as refused:
        await create(str(tmp_path), {}).open()
    assert refused.value.code == "ambiguous_model"


async def test_a_folder_that_is_not_there_is_refused() -> None:
    for model in ("", "/no/such/folder"):
        with pytest.raises(EngineUnavailable) as refused:
            await create(model, {}).open()
        assert refused.value.code == "missing_weights"


def test_a_wrong_option_is_named() -> None:
    with pytest.raises(ValueError, match="decoding must be one of greedy_search, modified_beam_search"):
        create("x", {"decoding": "beam"})
    with pytest.raises(ValueError, match="Did you mean 'threads'"):
        create("x", {"thread": 2})


def test_metadata_are_read_without_the_graph_and_may_be_appended(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    empty_graph(path, {"model_type": "x", "long": "y" * 300})
    assert metadata.read_metadata(path) == {"model_type": "x", "long": "y" * 300}
    path.write_bytes(path.read_bytes() + metadata.entry_bytes({"added": "ä" * 200}))
    assert metadata.read_metadata(path)["added"] == "ä" * 200
    assert {each.key for each in onnx.load(str(path)).metadata_props} == {"model_type", "long", "added"}
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(ValueError, match="ends"):
        metadata.read_metadata(path)


# --- what the library makes of it ---


@needs_sherpa
async def test_a_model_on_which_the_library_ends_its_process_is_an_error(tmp_path: Path) -> None:
    """sherpa-onnx calls `_Exit`: it happens in a child process, and its reason is told."""
    streaming_folder(tmp_path)
    (tmp_path / "tokens.txt").write_text("a 0\n")
    with pytest.raises(EngineUnavailable, match="<blk>") as refused:
        await create(str(tmp_path), {}).open()
    assert refused.value.code == "load_failed"
    streaming_folder(tmp_path)
    async with opened(tmp_path) as engine:
        assert (await transcribe(engine, utterance())).text


@needs_sherpa
async def test_text_comes_while_the_audio_does_and_what_was_promised_stays(tmp_path: Path) -> None:
    audio, came = utterance(), asyncio.Event()
    partials: list[Partial] = []

    def listen(partial: Partial) -> None:
        partials.append(partial)
        came.set()

    async with opened(streaming_folder(tmp_path)) as engine:
        assert engine.info.promises
        stream = engine.open_stream(RecognitionSpec(), listen)
        stream.feed(audio[: 3 * SAMPLE_RATE // 2])
        await came.wait()
        stream.feed(audio[3 * SAMPLE_RATE // 2 :])
        final = await stream.finish()
    assert len(partials) > 1
    promises = [partial.stable for partial in partials]
    assert promises == sorted(promises, key=len)
    assert all(final.text.startswith(promise) for promise in promises)
    assert any(0 < len(promise) < len(final.text) for promise in promises)
    assert all(partial.end_of_turn is None for partial in partials)


@needs_sherpa
async def test_a_provider_that_the_build_has_not_is_refused_and_not_replaced(tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable, match="has not the provider") as refused:
        await create(str(streaming_folder(tmp_path)), {"provider": "cuda"}).open()
    assert refused.value.code == "load_failed"


@needs_sherpa
async def test_words_lie_in_the_turn_though_silence_is_put_into_pauses(tmp_path: Path) -> None:
    audio = utterance(0)
    async with opened(streaming_folder(tmp_path)) as engine:
        stream = engine.open_stream(RecognitionSpec(), lambda partial: None)
        stream.feed(audio)
        first = await stream.flush()
        assert await stream.flush() == first, "nothing was said in between"
        stream.feed(silence(1, SAMPLE_RATE))
        stream.feed(audio)
        final = await stream.finish()
    before = len(first.words)
    assert before
    assert final.words[: before - 1] == first.words[:-1], "the last one may go on"
    second_begins_ms = 1_000 * len(audio) / SAMPLE_RATE + 1_000
    assert all(word.start_ms >= second_begins_ms - 400 for word in final.words[before:])
    assert final.words[-1].end_ms <= second_begins_ms + 1_000 * len(audio) / SAMPLE_RATE


@needs_sherpa
async def test_the_language_of_a_turn_goes_into_its_decoding(tmp_path: Path) -> None:
    async with opened(streaming_folder(tmp_path, multilingual=True)) as engine:
        assert engine.info.languages == ("de", "en")
        texts = {tag: (await transcribe(engine, utterance(), RecognitionSpec(tag))).text for tag in ("", "de", "en-GB")}
        assert len(set(texts.values())) == 3
        again = await asyncio.gather(
            *(transcribe(engine, utterance(), RecognitionSpec(tag)) for tag in ("de", "", "en-GB", "de"))
        )
        assert [each.text for each in again] == [texts["de"], texts[""], texts["en-GB"], texts["de"]]
        assert [each.language for each in again] == ["de", "", "en", "de"]
        with pytest.raises(EngineRefused, match="'fr'") as refused:
            engine.open_stream(RecognitionSpec("fr"), lambda partial: None)
        assert refused.value.code == "unsupported_language"


@needs_sherpa
async def test_languages_may_be_declared_where_the_files_name_none(tmp_path: Path) -> None:
    folder = offline_folder(tmp_path)
    async with opened(folder, languages="en") as engine:
        assert not engine.info.promises, "a model that hears whole segments takes its words back"
        assert (await transcribe(engine, utterance(), RecognitionSpec("en"))).language == "en"
        with pytest.raises(EngineRefused):
            engine.open_stream(RecognitionSpec("de"), lambda partial: None)
    with pytest.raises(EngineUnavailable) as refused:
        await create(str(folder), {"languages": "en", "language": "de"}).open()
    assert refused.value.code == "unsupported_language"


@needs_sherpa
@pytest.mark.parametrize("make", [streaming_folder, offline_folder])
async def test_keywords_draw_a_beam_search_to_them_and_nothing_is_promised(tmp_path: Path, make: object) -> None:
    assert callable(make)
    folder = make(tmp_path)
    (folder / "bpe.vocab").write_text("".join(f"{token}\t{-i}\n" for i, token in enumerate(["<unk>", *PIECES])))
    async with opened(folder, decoding="modified_beam_search", hotwords_score=8) as engine:
        assert not engine.info.logprobs
        assert not engine.info.promises
        partials: list[Partial] = []
        plain = await transcribe(engine, utterance(), partials=partials)
        drawn = await transcribe(engine, utterance(), RecognitionSpec(keywords=("kaka",)))
    assert drawn.text.count("kaka") > plain.text.count("kaka")
    assert plain.confidence is None
    assert all(partial.stable == "" for partial in partials)


@needs_sherpa
async def test_a_beam_that_the_model_has_not_is_refused(tmp_path: Path) -> None:
    empty_graph(tmp_path / "model.onnx", {"model_type": "EncDecCTCModelBPE"})
    (tmp_path / "tokens.txt").write_text("a 0\n")
    with pytest.raises(EngineUnavailable, match="modified_beam_search"):
        await create(str(tmp_path), {"decoding": "modified_beam_search"}).open()


def test_tokens_become_words_with_their_times_and_probabilities() -> None:
    heard = Decoded("hello wor ld", (" hel", "lo", " wor", " ld"), (0, 80, 400, 640), (), (-0.1, -0.2, -0.3, -0.4))
    assert [(word.text, word.start_ms, word.end_ms) for word in heard.words()] == [
        ("hello", 0, 160),
        ("wor", 400, 480),
        ("ld", 640, 720),
    ]
    assert [one.token for one in heard.token_logprobs()] == [" hel", "lo", " wor", " ld"]
    unspaced = Decoded("你好world", ("你", "好", "wor", "ld"), (0, 80, 160, 240))
    assert [word.text for word in unspaced.words()] == ["你", "好", "world"]
    bytes_of_a_character = Decoded("世", ("<0xE4>", "<0xB8>", "<0x96>"), (0, 80, 160), (), (-1, -1, -1))
    assert bytes_of_a_character.words() == ()
    assert [(one.token, one.logprob) for one in bytes_of_a_character.token_logprobs()] == [("世", -3)]


async def test_a_prompt_dictionary_that_is_none_names_no_language(tmp_path: Path) -> None:
    for name in ("encoder", "decoder", "joiner"):
        empty_graph(tmp_path / f"{name}.onnx", {**CACHE, "prompt_dictionary": "{"} if name == "encoder" else {})
    (tmp_path / "tokens.txt").write_text("a 0\n")
    assert create(str(tmp_path), {}).info.languages == ()
    empty_graph(tmp_path / "encoder.onnx", {**CACHE, "prompt_dictionary": json.dumps({"fr-FR": 1, "auto": 0})})
    assert create(str(tmp_path), {}).info.languages == ("fr",)


# --- models of the catalogue ---


def catalogued(stage: str) -> list[str]:
    return [model.name for model in catalogue().values() if model.use.startswith(f'{stage} = "sherpa:')]


@pytest.mark.parametrize("name", catalogued("stt"))
def test_the_files_of_the_catalogues_models_play_their_parts(tmp_path: Path, name: str) -> None:
    for file in catalogue()[name].files:
        if file.path.endswith(".onnx"):
            empty_graph(tmp_path / file.path, {})
        else:
            (tmp_path / file.path).write_text("a 0\n")
    found = folder.read(tmp_path, sherpa_models.PARTS, "int8")
    assert set(found.graphs) in ({"encoder", "decoder", "joiner"}, {"model"})
    assert found.file("tokens.txt") is not None


@needs_sherpa
async def test_a_model_of_the_catalogue_is_found_by_its_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    made = streaming_folder(tmp_path / "made")
    install = as_model(monkeypatch, tmp_path / "models", "sherpa:nemotron-en", made)
    engine = create("nemotron-en", {"threads": 1})
    assert engine.missing_models() == ("sherpa:nemotron-en",)
    with pytest.raises(EngineUnavailable, match="not on this machine") as refused:
        await engine.open()
    assert "parley models pull sherpa:nemotron-en" in refused.value.remedy
    install()
    assert engine.missing_models() == ()
    await engine.open()
    assert engine.info.languages == ("en",)
    assert engine.info.licence == "NVIDIA Open Model License"
    assert (await transcribe(engine, utterance())).language == "en"
    await engine.close()
