"""Speech synthesis: one clause of text to audio."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

from parley.engines.ports.engine import Engine, Samples, Word


@dataclass(frozen=True, slots=True)
class SpokenTurn:
    """What somebody said before, as it was heard: a turn of the user's, or one clause of a reply.

    `audio` is float32 `[n]` at `sample_rate` Hz, read-only; `text` are the words heard in it, as they are written. `id` names the sound
    within the requests of one `share`: of two sounds under one id, one is the beginning of the other (the listener heard less). Where it is
    the `SpeechRequest.id` of an earlier request, it is what the engine itself made for that request.
    """

    id: str
    speaker: Literal["user", "assistant"]
    text: str
    audio: Samples = field(repr=False, compare=False)
    sample_rate: int


@dataclass(frozen=True, slots=True)
class SpeechRequest:
    """One clause to be spoken. `voice` is one of `info.voices` or an alias the engine knows; `speed` 0.25..4, 1.0
    is natural. An engine that does not declare `normalizes` gets `text` in words (`parley.text.spoken_form`).
    `share` is an opaque key: requests of different keys take turns (see `RecognitionSpec`).

    An engine that declares `conversational` gets the conversation as it was heard: `context`, the oldest turn first, the earlier clauses
    of this reply last. `id` names this clause in later contexts; "" where there are none.
    """

    text: str
    voice: str = ""
    language: str = ""
    speed: float = 1.0
    share: object = field(default=None, repr=False, compare=False)
    id: str = ""
    context: tuple[SpokenTurn, ...] = ()


@dataclass(frozen=True, slots=True)
class SpeechChunk:
    """Audio at `sample_rate` Hz, and the words that begin in this request so far, timed from the start of the request."""

    audio: Samples
    sample_rate: int
    words: tuple[Word, ...] = ()


@runtime_checkable
class SpeechSynthesizer(Engine, Protocol):
    def speak(self, request: SpeechRequest) -> AsyncIterator[SpeechChunk]:
        """Stream the clause's audio. Closing the iterator stops the synthesis.

        Raises `EngineRefused` for a voice that `resolve_voice()` does not know (`unknown_voice`) or a language that no voice of the engine
        speaks (`unsupported_language`), `EngineError` where the engine fails.
        """
        ...

    def resolve_voice(self, voice: str, language: str = "") -> str | None:
        """The engine's own name of `voice` (its own names and OpenAI's: alloy, ash, ballad, cedar...), or None if it is
        unknown or does not speak `language`. An own name resolves to itself."""
        ...


@runtime_checkable
class Fingerprinted(Protocol):
    """A synthesizer that says what its sound depends on: only the speech of such a one can be kept for later."""

    def fingerprint(self, voice: str, language: str) -> str:
        """What the sound of this voice in this language depends on beside the text, the speed and the engine's options: versions of
        libraries, model files by their hashes, the voice by the hash of its data and not by its name. Valid while open. May read whole
        files. Raises `OSError`, and `EngineRefused` as `speak()` does."""
        ...


@dataclass(frozen=True, slots=True)
class VoiceDescription:
    """What a person who chooses a voice wants to know of it. `language` is the BCP-47 tag of what it speaks by itself, "" where it speaks
    any of the engine's; `sex` is "" where it is not known; `character` is a few words, such as "robotic", or ""."""

    language: str = ""
    sex: Literal["female", "male", ""] = ""
    character: str = ""


@runtime_checkable
class DescribesVoices(Protocol):
    """A synthesizer that knows more of its voices than their names."""

    def describe_voice(self, voice: str) -> VoiceDescription:
        """What is known of one of its own voices (`info.voices`, or a name of `resolve_voice()`); an empty one of any other."""
        ...


def describe_voice(engine: Engine, voice: str) -> VoiceDescription:
    """What an engine says of one of its own voices; where it describes none, only the language, if it has no other."""
    if isinstance(engine, DescribesVoices):
        return engine.describe_voice(voice)
    languages = engine.info.languages
    return VoiceDescription(languages[0] if len(languages) == 1 else "")


@runtime_checkable
class KnowsVoices(Protocol):
    """A synthesizer whose voices are known before `open()`: they lie on this machine."""

    @property
    def knows_voices(self) -> bool:
        """Whether `resolve_voice()` answers before `open()` as it does afterwards: a voice is then refused before anything is loaded."""
        ...


@runtime_checkable
class VoicesByLanguage(Protocol):
    """A synthesizer some of whose voices speak only some of its languages."""

    def voice_in(self, voice: str, language: str) -> str | None:
        """The voice nearest to `voice` that speaks `language` (a BCP-47 tag): `voice` itself where it does, None where no voice does."""
        ...
