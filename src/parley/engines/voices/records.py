"""What is kept of a voice of the user's own, and of a consent: the records, their ids, and which names are possible.

Laws: pure; a name is for people and may stand for the voice, an id is the server's and never changes. No name looks like an id or a mix.
"""

from __future__ import annotations

import secrets
import unicodedata
from typing import Final, Literal

import msgspec

from parley.engines.openai_api.voices import OPENAI_VOICES
from parley.engines.ports import EngineRefused

VoiceKind = Literal["clip", "tensor", "mix"]

VOICE_PREFIX: Final = "voice_"
CONSENT_PREFIX: Final = "cons_"
ID_BYTES: Final = 12

MAX_NAME: Final = 64
MAX_TEXT: Final = 1_000
"""Characters of what is said in a recording: thirty seconds hold half of it."""


class VoiceRefused(EngineRefused):
    """What was asked of the own voices is not possible. `field` is what it was wrong with: name, clip, text, mix, consent or id."""

    def __init__(self, message: str, remedy: str = "", *, code: str, field: str) -> None:
        super().__init__(message, remedy, code=code)
        self.field = field


class OwnVoice(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A voice. `added_ns` is in Unix nanoseconds; `sha256` that of the file of a clip or tensor. A clip has `seconds`, and `text` where it
    is known what is said in it: `text_heard` where a recogniser has found that, and nobody has read it. `consent` is the id of a consent,
    "" where the owner of this machine has added the voice. `mix` is as it was written."""

    id: str
    name: str
    kind: VoiceKind
    added_ns: int
    sha256: str = ""
    seconds: float = 0.0
    text: str = ""
    text_heard: bool = False
    mix: str = ""
    consent: str = ""

    @property
    def created_at(self) -> int:
        """In Unix seconds."""
        return self.added_ns // 10**9

    @property
    def key(self) -> str:
        """Two names with the same key are the same name."""
        return key_of(self.name)


class OwnConsent(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A person's consent that was read aloud: `language` is the tag of the phrase, `sha256` that of the recording."""

    id: str
    name: str
    language: str
    added_ns: int
    sha256: str
    seconds: float

    @property
    def created_at(self) -> int:
        """In Unix seconds."""
        return self.added_ns // 10**9


def new_id(prefix: str) -> str:
    """An id that nobody has."""
    return prefix + secrets.token_hex(ID_BYTES)


def is_id(text: str, prefix: str) -> bool:
    """Whether it has the shape of an id, and so may name a file."""
    rest = text.removeprefix(prefix)
    return text.startswith(prefix) and len(rest) == 2 * ID_BYTES and set(rest) <= set("0123456789abcdef")


def key_of(name: str) -> str:
    """What is compared of a name."""
    return unicodedata.normalize("NFC", name).casefold()


def checked_name(name: str) -> str:
    """The name as it is kept. Raises `VoiceRefused` (`invalid_name`, `voice_reserved`)."""
    kept = checked_label(name)
    if set(kept) & set("()+,") or kept.startswith((VOICE_PREFIX, CONSENT_PREFIX)):
        raise VoiceRefused(
            f"{kept!r} cannot name a voice.",
            f"A name has no comma, + or brackets, and does not begin with {VOICE_PREFIX} or {CONSENT_PREFIX}.",
            code="invalid_name",
            field="name",
        )
    if key_of(kept) in OPENAI_VOICES:
        raise VoiceRefused(
            f"{kept!r} is a voice of OpenAI's, which every engine has.",
            "Choose another name.",
            code="voice_reserved",
            field="name",
        )
    return kept


def checked_label(name: str) -> str:
    """A name that only people read. Raises `VoiceRefused` (`invalid_name`)."""
    kept = unicodedata.normalize("NFC", name).strip()
    if not 0 < len(kept) <= MAX_NAME or not kept.isprintable():
        raise VoiceRefused(
            f"{kept[:MAX_NAME]!r} cannot be a name.",
            f"A name has 1 to {MAX_NAME} characters that can be printed.",
            code="invalid_name",
            field="name",
        )
    return kept


def checked_text(text: str) -> str:
    """What is said in a recording. Raises `VoiceRefused` (`invalid_text`)."""
    kept = " ".join(text.split())
    if len(kept) > MAX_TEXT or not kept.isprintable():
        raise VoiceRefused(
            f"The text has {len(kept)} characters, or some that cannot be printed.",
            f"Give the words that are said in the recording, at most {MAX_TEXT} characters.",
            code="invalid_text",
            field="text",
        )
    return kept
