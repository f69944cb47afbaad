"""Loads CSM's network and tokenizer from a checked folder, and puts the network on a device."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from parley.engines.ports import EngineUnavailable
from parley.engines.tts.csm import libraries


def choose_device(device: str, graphs: bool | None) -> tuple[Any, bool]:
    """The device of that name, and whether CUDA graphs are used on it. Raises `EngineUnavailable` (`no_device`)."""
    torch = libraries.torch()
    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    kind, _, number = device.partition(":")
    if kind == "auto":
        kind = "cuda" if there else "cpu"
    if kind not in ("cpu", "cuda") or (number and not (kind == "cuda" and number.isdecimal())):
        raise EngineUnavailable(
            f"CSM knows no device {device!r}.", "It is auto, cpu, cuda, or cuda:N for one of several.", code="no_device"
        )
    if kind == "cuda" and int(number or 0) >= there:
        raise EngineUnavailable(
            f"There is no CUDA device for {device!r}: torch {torch.__version__} finds {there or 'none'}.",
            "Install a driver and a build of torch for CUDA, or set the device to auto or cpu.",
            code="no_device",
        )
    if graphs and kind == "cpu":
        raise EngineUnavailable("CUDA graphs need a CUDA device.", "Leave `graphs` out.", code="no_device")
    if kind == "cpu":
        return torch.device("cpu"), False
    return torch.device("cuda", int(number or 0)), graphs is not False


def choose_dtype(dtype: str, device: Any) -> Any:
    """The type of the language model's weights. Raises `EngineUnavailable` (`invalid_dtype`)."""
    torch = libraries.torch()
    if dtype == "auto":
        dtype = "bfloat16" if device.type == "cuda" else "float32"
    if dtype not in ("float32", "bfloat16"):
        raise EngineUnavailable(
            f"CSM cannot compute in {dtype!r}.", "The type is auto, float32 or bfloat16.", code="invalid_dtype"
        )
    return getattr(torch, dtype)


def load_network(folder: Path, device: Any, dtype: Any) -> Any:
    """`CsmForConditionalGeneration`, whose codec stays float32. Raises `EngineUnavailable` (`invalid_weights`)."""
    transformers = libraries.transformers()
    bars = libraries.transformers("utils.logging")
    shown = bars.is_progress_bar_enabled()
    bars.disable_progress_bar()
    try:
        model, report = transformers.CsmForConditionalGeneration.from_pretrained(
            str(folder),
            dtype=libraries.torch().float32,
            local_files_only=True,
            use_safetensors=True,
            output_loading_info=True,
        )
    except Exception as error:  # whatever damaged files make the libraries raise
        raise EngineUnavailable(
            f"The weights in {folder} cannot be loaded ({(str(error) or repr(error)).splitlines()[0]}).",
            "Fetch the files again.",
            code="invalid_weights",
        ) from error
    finally:
        if shown:
            bars.enable_progress_bar()
    if lacking := sorted(report["missing_keys"]):
        raise EngineUnavailable(
            f"The weights in {folder} lack {len(lacking)} of CSM's tensors, {lacking[0]} among them.",
            "Fetch the checkpoint in the format of transformers; the original's `ckpt.pt` and `model.safetensors` are another one.",
            code="invalid_weights",
        )
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(False)
        # The buffers stay float32: rotary frequencies lose too much.
        parameter.data = parameter.data.to(device, None if name.startswith("codec_model.") else dtype)
    return model.to(device)


def check_shape(model: Any, folder: Path, frame_samples: int, sample_rate: int) -> None:
    """Raises `EngineUnavailable` (`wrong_architecture`) where the network is not of the shape that the loop has."""
    config, codec = model.config, model.config.codec_config
    product = 1
    for ratio in codec.upsampling_ratios:
        product *= ratio
    half = model.codec_model.decoder if hasattr(model.codec_model.decoder, "upsample") else model.codec_model
    steps = half.upsample.conv.stride[0] if half.upsample is not None else 0
    needed: dict[str, tuple[object, object]] = {
        "codec_config.sampling_rate": (codec.sampling_rate, sample_rate),
        "the codec's samples in a frame": (product * steps, frame_samples),
        "codec_config.num_quantizers": (codec.num_quantizers, config.num_codebooks),
        "depth_decoder_config.num_codebooks": (config.depth_decoder_config.num_codebooks, config.num_codebooks),
        "codebook_eos_token_id": (config.codebook_eos_token_id, 0),
    }
    for name, (found, wanted) in needed.items():
        if found != wanted:
            raise EngineUnavailable(
                f"{folder}: {name} is {found}, not {wanted}.",
                "Use a checkpoint of CSM-1B's layout.",
                code="wrong_architecture",
            )


class Tokenizer:
    """A text in a speaker's mouth as CSM was trained on it. Raises `EngineUnavailable` (`invalid_weights`)."""

    def __init__(self, file: Path, vocabulary: int) -> None:
        try:
            self._tokenizer = libraries.tokenizers().Tokenizer.from_file(str(file))
        except EngineUnavailable:
            raise
        except Exception as error:  # the library raises plain exceptions
            raise EngineUnavailable(
                f"{file} cannot be read ({error}).", "Fetch the file again.", code="invalid_weights"
            ) from error
        # What looks like a mark in a text is text.
        self._tokenizer.encode_special_tokens = True
        begin, end = (self._tokenizer.token_to_id(mark) for mark in ("<|begin_of_text|>", "<|end_of_text|>"))
        size = self._tokenizer.get_vocab_size(with_added_tokens=True)
        if begin is None or end is None or size > vocabulary:
            raise EngineUnavailable(
                f"{file} is not the tokenizer of this checkpoint: it has {size} tokens of {vocabulary}, and "
                f"{'not ' if begin is None or end is None else ''}the marks of a text's begin and end.",
                "Fetch config.json and tokenizer.json of one checkpoint.",
                code="invalid_weights",
            )
        self._begin: int = begin
        self._end: int = end

    def encode(self, text: str, speaker: int) -> list[int]:
        encoded = self._tokenizer.encode(f"[{speaker}]{text}", add_special_tokens=False)
        return [self._begin, *encoded.ids, self._end]
