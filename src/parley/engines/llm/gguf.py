"""Reads the head of a GGUF file: what a model says of itself, before llama.cpp is asked to load it.

Laws:
- Trusts nothing in the file: every length is bounded by `MAX_*`, and every read by the file's end. Tensors are not read.
- Every refusal is an `EngineUnavailable` that names the file and what to do.

Source: the specification of GGUF (ggml/docs/gguf.md), versions 2 and 3.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from parley.engines.ports import EngineUnavailable

Fact = int | float | bool | str

MAX_FACTS: Final = 100_000
MAX_ITEMS: Final = 10_000_000
"""Of one array: a vocabulary has some 260,000."""

MAX_TEXT_BYTES: Final = 16 << 20
"""A chat template has some 10 KiB."""

_FORMATS: Final = ("<B", "<b", "<H", "<h", "<I", "<i", "<f", "<?", "", "", "<Q", "<q", "<d")
"""By the number of a value's type; 8 is a text, 9 an array."""

_TEXT, _ARRAY = 8, 9


@dataclass(frozen=True, slots=True)
class Head:
    """The facts of a file that are no lists, by their keys."""

    facts: Mapping[str, Fact]

    @property
    def architecture(self) -> str:
        return str(self.facts.get("general.architecture", ""))

    @property
    def context_length(self) -> int | None:
        """The tokens that the model was trained for."""
        length = self.facts.get(f"{self.architecture}.context_length")
        return length if isinstance(length, int) and length > 0 else None

    @property
    def template(self) -> str:
        """The chat template, in Jinja; "" where there is none."""
        return str(self.facts.get("tokenizer.chat_template", ""))

    @property
    def sees(self) -> bool:
        """Whether a projector (`mmproj`) has an encoder of images."""
        return bool(self.facts.get("clip.has_vision_encoder"))

    @property
    def hears(self) -> bool:
        """Whether a projector (`mmproj`) has an encoder of audio."""
        return bool(self.facts.get("clip.has_audio_encoder"))


def read_head(path: Path) -> Head:
    """Blocks. Raises `EngineUnavailable` (`missing_weights`, `invalid_weights`)."""
    try:
        with path.open("rb") as stream:
            return _Reader(stream, path.stat().st_size).head()
    except ValueError as error:
        raise EngineUnavailable(
            f"{path} cannot be loaded: {error}.", "Fetch the file again, as a GGUF.", code="invalid_weights"
        ) from None
    except FileNotFoundError:
        raise EngineUnavailable(
            f"There is no file {path}.", "Name a GGUF file: --llm llama:PATH.gguf", code="missing_weights"
        ) from None
    except OSError as error:
        raise EngineUnavailable(f"{path} cannot be read: {error.strerror}.", code="missing_weights") from None


class _Reader:
    def __init__(self, stream: BinaryIO, size: int) -> None:
        self._stream = stream
        self._left = size

    def head(self) -> Head:
        if self._take(4) != b"GGUF":
            raise ValueError("it is no GGUF file")
        version = self._number("<I")
        if version not in (2, 3):
            raise ValueError(f"its version of GGUF is {version}, and 2 and 3 are known")
        self._number("<Q")  # tensors
        count = self._number("<Q")
        if count > MAX_FACTS:
            raise ValueError(f"it announces {count} facts")
        facts: dict[str, Fact] = {}
        for _ in range(int(count)):
            key = self._text()
            value = self._value(int(self._number("<I")))
            if value is not None:
                facts[key] = value
        return Head(facts)

    def _value(self, kind: int) -> Fact | None:
        """A value; None for an array, which is passed over."""
        if kind == _TEXT:
            return self._text()
        if kind == _ARRAY:
            self._pass_array(int(self._number("<I")), int(self._number("<Q")))
            return None
        return self._number(self._format(kind))

    def _pass_array(self, kind: int, count: int) -> None:
        if count > MAX_ITEMS:
            raise ValueError(f"it announces a list of {count} items")
        if kind != _TEXT:
            self._pass(count * struct.calcsize(self._format(kind)))
            return
        for _ in range(count):
            self._pass(int(self._number("<Q")))

    @staticmethod
    def _format(kind: int) -> str:
        form = _FORMATS[kind] if kind < len(_FORMATS) else ""
        if not form:
            raise ValueError(f"it has a value of the unknown type {kind}")
        return form

    def _number(self, form: str) -> int | float | bool:
        value: int | float | bool = struct.unpack(form, self._take(struct.calcsize(form)))[0]
        return value

    def _text(self) -> str:
        size = int(self._number("<Q"))
        if size > MAX_TEXT_BYTES:
            raise ValueError(f"it announces a text of {size} bytes")
        return self._take(size).decode("utf-8", "replace")

    def _take(self, size: int) -> bytes:
        self._check(size)
        return self._stream.read(size)

    def _pass(self, size: int) -> None:
        self._check(size)
        self._stream.seek(size, 1)

    def _check(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise ValueError("it ends too early, as a broken download does")
