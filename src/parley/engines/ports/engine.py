"""What every engine has, whatever its stage: a description, a loader, an end, and its errors.

Errors:

    EngineError                 something an engine could not do; `code` is stable, `remedy` says how to put it right
      EngineUnavailable         the engine cannot be opened (package, weights, endpoint, key)
      EngineRefused             this one request cannot be served (bad voice, image to a blind model, context too long)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from parley.errors import ParleyError

Samples = NDArray[np.float32]
"""Mono audio, shape `[n]`, float32 in [-1, 1]."""


@dataclass(frozen=True, slots=True)
class Word:
    """One word and where it lies, in milliseconds from the start of its audio."""

    text: str
    start_ms: float
    end_ms: float


class EngineError(ParleyError):
    """Something an engine could not do.

    `code` is a short stable identifier (`invalid_api_key`, `timeout`, `model_not_found`...), `message` one sentence
    for a person, `remedy` the command or setting that puts it right (may be empty).
    """

    def __init__(self, message: str, remedy: str = "", *, code: str = "engine_error") -> None:
        super().__init__(message, remedy)
        self.code = code


class EngineUnavailable(EngineError):
    """The engine cannot be opened: a missing package, missing weights, a refused download, an unreachable endpoint."""

    @classmethod
    def of(cls, error: EngineError) -> EngineUnavailable:
        """For `open()`: what went wrong, whatever kind of error it was."""
        return cls(error.message, error.remedy, code=error.code)


class EngineRefused(EngineError):
    """This one request cannot be served; the engine itself is well."""


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What an engine declares about itself.

    `stage` is the name of its stage. `sample_rate` is in Hz (what it wants, for vad, stt, speech; what it yields, for tts; both, for vc;
    0 where audio plays no part).
    `languages` are BCP-47 primary tags, empty when it does not matter. `voices` are the engine's own voice names.
    `batch` is how many sessions one call may serve. `images`, `audio`, `logprobs` and `glossary` say whether a language model sees and
    hears, a recogniser scores its tokens, a translator honours terms; `promises` whether a recogniser makes words stable while the speaker
    goes on (`Partial.stable`), not in a pause or after a long stretch only; `prompts`, `keywords` and `temperature` whether a recogniser
    uses these fields of `RecognitionSpec`; `timings` whether a recogniser times the words that it hears,
    and a synthesizer every word that it speaks; `normalizes` whether a synthesizer reads numbers, dates and symbols aloud by itself;
    `mixes` whether it takes mixes of its voices (`parley.text.voice_mix`); `conversational` whether it uses what was heard before
    (`SpeechRequest.context`). `tools` False: a language model that calls none, and refuses a request that has some. `model` is the
    model's name, as its server or file has it, where the engine has a choice of models;
    `scripted` says that a language model answers by fixed rules, with no model behind it. `deterministic`: the same request gives the
    same result, alone and among others (audio and probabilities to 1e-4). `measuring`: it has no model and takes a fixed time, for
    benchmarks; it is never chosen for a person. The contract suite
    (`parley.testing.contracts`) holds an engine to its declarations.
    """

    stage: str
    name: str
    summary: str
    model: str = ""
    needs: tuple[str, ...] = ()
    sample_rate: int = 0
    languages: tuple[str, ...] = ()
    voices: tuple[str, ...] = ()
    streams: bool = True
    batch: int = 1
    licence: str = ""
    images: bool = False
    audio: bool = False
    tools: bool = True
    logprobs: bool = False
    glossary: bool = False
    promises: bool = False
    prompts: bool = False
    keywords: bool = False
    temperature: bool = False
    timings: bool = False
    normalizes: bool = False
    mixes: bool = False
    conversational: bool = False
    deterministic: bool = False
    measuring: bool = False
    scripted: bool = False


@runtime_checkable
class Engine(Protocol):
    """What every engine has: a description that is valid before `open()`, a loader, and an end."""

    @property
    def info(self) -> EngineInfo: ...

    async def open(self) -> None:
        """Load the model and warm it up. Raises `EngineUnavailable` with a remedy. Must not block the event loop."""
        ...

    async def close(self) -> None:
        """Let go of the model; idempotent."""
        ...


@runtime_checkable
class Supervised(Protocol):
    """An engine whose model can fail while it is open, and that knows it: a child process, a library that can hang."""

    @property
    def fault(self) -> EngineError | None:
        """Why the engine cannot work at this moment; None while it can. `/health` reports it."""
        ...


@runtime_checkable
class Makeshift(Protocol):
    """An engine that may stand in for something better that is not here, and says in `notice` what that is and how to get it."""

    @property
    def makeshift(self) -> bool:
        """Whether it does, once it is open."""
        ...

    @property
    def notice(self) -> str:
        """What a user should know about it; "" when there is nothing to say."""
        ...


@runtime_checkable
class NeedsModels(Protocol):
    """An engine whose weights are models of the catalogue, or repositories of the Hub."""

    def missing_models(self) -> tuple[str, ...]:
        """The names of those that `open()` needs and that are not on this machine (see `models.catalogue.find`). Valid before `open()`;
        reads folders, asks nothing of the network. They are fetched before engines open, where the user agrees."""
        ...


@dataclass(frozen=True, slots=True)
class ChainCount:
    """How often one engine of a chain began an answer, and failed, since it was created."""

    answers: int
    failures: int


@runtime_checkable
class Chained(Protocol):
    """An engine that stands for several of its stage, and asks one of them at a time."""

    def counts(self) -> Mapping[str, ChainCount]:
        """By `engine:model`, in their order."""
        ...


EngineFactory = Callable[[str, Mapping[str, object]], Engine]
"""What an entry point of the group `parley.engines` names (`stage.name`): (model, options) -> engine.

`model` is what follows the colon in `engine:model` ("" when absent); unknown options raise `ValueError` naming the
option."""


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """`name:model` with the options of its configuration table."""

    name: str
    model: str = ""
    options: Mapping[str, object] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str, options: Mapping[str, object] | None = None) -> EngineSpec:
        name, _, model = text.partition(":")
        return cls(name.strip(), model.strip(), dict(options or {}))
