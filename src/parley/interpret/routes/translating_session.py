"""What a conversation session is asked to be so that it translates: the `session.update`, and the `response.create` of a request.

Laws: pure; written with the events of the core, so that each dialect (GA, beta) has its own form of them. The server ends no turn and
starts no response by itself.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from parley.client.event_fields import Json, object_of, text_of
from parley.core.words.ids import ItemId
from parley.core.words.items import ItemReference
from parley.core.words.settings import AudioFormat, SettingsPatch, Transcription
from parley.core.words.work import ResponseParams
from parley.engines.mt import language_guess
from parley.engines.mt.drift import Guess
from parley.interpret.ports import RouteWishes
from parley.interpret.routes.prompt import BUILT_IN_PROMPT, InterpreterPrompt
from parley.interpret.routes.response_output import Hold
from parley.interpret.routes.sentences import SpokenSentence
from parley.text.language_tags import primary_tag

MAX_CONTEXT: Final = 8


@dataclass(frozen=True, slots=True)
class ConversationOptions:
    """How a conversation session translates. `transcription_model` is asked for where the server transcribes nothing by itself; `context`
    is how many sentences before (0 to 8) stand in the instructions; `hold` is what of an output is judged before it is played."""

    prompt: InterpreterPrompt = BUILT_IN_PROMPT
    transcription_model: str = "gpt-4o-mini-transcribe"
    context: int = 0
    hold: Hold = "start"
    guess: Guess = language_guess.guess

    def __post_init__(self) -> None:
        if not 0 <= self.context <= MAX_CONTEXT:
            raise ValueError(f"context is {self.context}; it is 0 to {MAX_CONTEXT}")


class TranslatingSession:
    """The session and its requests, as its wishes are at the moment. `transcribes`: the server says that it writes down what it hears."""

    def __init__(self, options: ConversationOptions, wishes: RouteWishes) -> None:
        self._options = options
        self.source, self.target, self.voice = wishes.source, wishes.target, wishes.voice
        self._pairs: deque[tuple[str, str]] = deque(maxlen=options.context)
        self.transcribes = True

    def opening(self, session: Json) -> SettingsPatch:
        """What is asked of the session that the server has opened."""
        spoken = primary_tag(self.source)
        model = text_of(_transcription(session), "model") or self._options.transcription_model
        patch: SettingsPatch = {
            "kind": "realtime",
            "modality": "audio",
            "instructions": self._instructions(),
            "input_format": AudioFormat.PCM16,
            "output_format": AudioFormat.PCM16,
            "transcription": Transcription(model, spoken),
            "turn_detection": None,
            "tool_choice": "none",
        }
        if self.voice:
            patch["voice"] = self.voice
        return patch

    def opened(self, session: Json) -> None:
        """The session as the server has it now."""
        self.transcribes = bool(_transcription(session))

    def set_target(self, language: str) -> SettingsPatch:
        """What is asked of the session for another language; earlier sentences are forgotten."""
        self.target = language
        self._pairs.clear()
        return {"kind": "realtime", "instructions": self._instructions()}

    def set_voice(self, voice: str) -> SettingsPatch:
        self.voice = voice
        return {"kind": "realtime", "voice": voice}

    def response(
        self, sentences: Sequence[SpokenSentence], *, strict: bool, metadata: tuple[str, str], out_of_band: bool
    ) -> ResponseParams:
        """The request for the translation of these sentences; the server repeats `metadata`, the sentence and the attempt. In band, the
        conversation holds the sentences and nothing else."""
        named = (("sentence", metadata[0]), ("attempt", metadata[1]))
        instructions = self._instructions(strict=strict)
        if not out_of_band:
            return ResponseParams(instructions=instructions, metadata=named)
        items = tuple(ItemReference(ItemId(sentence.item_id)) for sentence in sentences)
        return ResponseParams(in_conversation=False, input=items, instructions=instructions, metadata=named)

    def translated(self, source: str, words: str, language: str) -> None:
        """A sentence and its translation into a language, for the next instructions; not where they ask for another language by now."""
        if language == self.target:
            self._pairs.append((source, words))

    def _instructions(self, *, strict: bool = False) -> str:
        return self._options.prompt.filled(self.source, self.target, strict=strict, pairs=tuple(self._pairs))


def _transcription(session: Json) -> Json:
    """Of a session object of either dialect."""
    return object_of(object_of(object_of(session, "audio"), "input"), "transcription") or object_of(
        session, "input_audio_transcription"
    )
