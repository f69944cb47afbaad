"""What a client asks of the server when a session begins: the difference between its options and what the server offers.

Laws: pure. Session objects are read and written as the GA dialect has them. The server's turn detection is kept as the server sent it,
with members that only that server knows, so that it can be switched off and restored.
"""

from __future__ import annotations

from dataclasses import dataclass

from parley.client.event_fields import Json, object_of, text_of

UNSTABLE_WORDS = "parley.unstable_words"
"""In `session.include`; other servers refuse it."""


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """What the client asks of the server; None keeps the server's own. `transcription_model` is asked for only where the
    server transcribes nothing by itself. `hands_free` False: the user ends turns with a key. `spoken` False: replies are text. `hears`
    False: no audio will be sent, and nothing is asked for its transcription."""

    hands_free: bool = True
    voice: str | None = None
    instructions: str | None = None
    language: str | None = None
    turn_detection: str | None = None
    transcription_model: str = "gpt-4o-mini-transcribe"
    spoken: bool = True
    hears: bool = True


class SessionSetup:
    """Call `read()` with each session object of the server; `changes()` once, when the session begins.

    `silence_ms` is the silence after which the server ends a turn (0: unknown), `interrupts` whether speech stops a reply.
    """

    def __init__(self, options: SessionOptions) -> None:
        self._options = options
        self._detection: Json = {}
        self.silence_ms = 0.0
        self.interrupts = True

    def read(self, session: Json) -> None:
        """The session as the server has it now. Switched-off turn detection leaves the one known before."""
        detection = object_of(object_of(session, "audio"), "input").get("turn_detection")
        if isinstance(detection, dict):
            silence_ms = detection.get("silence_duration_ms")
            self.silence_ms = float(silence_ms) if isinstance(silence_ms, int | float) else 0.0
            self.interrupts = detection.get("interrupt_response") is not False
            self._detection = {name: value for name, value in detection.items() if value is not None}

    def changes(self, session: Json, *, hands_free: bool, unstable_words: bool = False) -> Json:
        """The `session.update` that makes the server's new session the one that the options ask for; {} if it is that already.
        `unstable_words`: it is asked for the words that may still change, which a Parley has."""
        options = self._options
        if options.turn_detection is not None:
            self._detection = {"type": options.turn_detection}
        elif not self._detection:
            self._detection = {"type": "server_vad"}
        changed: Json = {"include": [UNSTABLE_WORDS]} if unstable_words else {}
        if options.instructions is not None:
            changed["instructions"] = options.instructions
        if not options.spoken:
            changed["output_modalities"] = ["text"]
        audio: Json = {}
        if listening := self._input_changes(session, hands_free=hands_free):
            audio["input"] = listening
        if options.voice is not None:
            audio["output"] = {"voice": options.voice}
        if audio:
            changed["audio"] = audio
        return changed

    def _input_changes(self, session: Json, *, hands_free: bool) -> Json:
        options = self._options
        changed: Json = {}
        if not hands_free:
            changed["turn_detection"] = None
        elif options.turn_detection is not None:
            changed["turn_detection"] = self._detection
        if options.hears and not object_of(object_of(session, "audio"), "input").get("transcription"):
            changed["transcription"] = {"model": options.transcription_model}
            if options.language:
                changed["transcription"]["language"] = options.language
        return changed

    def detection(self, *, hands_free: bool) -> Json:
        """The `session.update` that has the server end turns, or the user's key."""
        return {"audio": {"input": {"turn_detection": self._detection if hands_free else None}}}

    def transcription(self, session: Json) -> str:
        """The model that transcribes the user, as the server has it, or as it is asked for."""
        listening = object_of(object_of(session, "audio"), "input")
        return text_of(object_of(listening, "transcription"), "model") or self._options.transcription_model

    def voice(self, session: Json) -> str:
        """The voice of the replies, as asked for or as the server has it; "" if neither says."""
        return self._options.voice or text_of(object_of(object_of(session, "audio"), "output"), "voice")
