"""Whose words and whose sound a response tells: its own attempt's, and nobody else's."""

from __future__ import annotations

from parley.core.words.effects import Play
from parley.core.words.ids import ResponseId
from parley.core.words.items import FunctionCall, McpApprovalRequest, McpCall
from parley.core.words.notices import OutputAudioDelta, OutputTextDelta, OutputTranscriptDelta, ResponseDone
from parley.testing.rules.attempts import AttemptLifecycle, End, StartedAttempt
from parley.testing.rules.base import Hearing, Rule
from parley.testing.rules.response_lifecycle import Ledgers


class OwnWords(Rule):
    """6: a response tells, of words and of sound, exactly what its own living attempt generated, in order and once."""

    law = "6"

    def __init__(self, attempts: AttemptLifecycle, ledgers: Ledgers) -> None:
        self._attempts = attempts
        self._ledgers = ledgers

    def hears(self) -> Hearing:
        return {
            OutputTextDelta: self._words,
            OutputTranscriptDelta: self._words,
            OutputAudioDelta: self._sound,
            Play: self._play,
            ResponseDone: self._done,
        }

    def _attempt(self, response: ResponseId, what: str) -> StartedAttempt:
        attempt = self._attempts.of_response.get(response)
        if attempt is None:
            self.fail(f"{what} of response {response}, for which nothing was generated")
        return attempt

    def _words(self, told: OutputTextDelta | OutputTranscriptDelta) -> None:
        attempt = self._attempt(told.at.response_id, "words")
        generated = attempt.text[attempt.told_chars : attempt.told_chars + len(told.delta)]
        self.require(generated == told.delta, f"told {told.delta!r}, the attempt generated {generated!r}")
        attempt.told_chars += len(told.delta)

    def _sound(self, told: OutputAudioDelta) -> None:
        self._audio(self._attempt(told.at.response_id, "audio"), told.audio)

    def _play(self, effect: Play) -> None:
        attempt = self._attempt(effect.response, "audio")
        self.require(
            effect.format is attempt.started.format, f"played as {effect.format}, made as {attempt.started.format}"
        )
        self._audio(attempt, effect.audio)

    def _audio(self, attempt: StartedAttempt, audio: bytes) -> None:
        generated = attempt.audio[attempt.told_bytes : attempt.told_bytes + len(audio)]
        self.require(generated == audio, f"{len(audio)} bytes told that attempt {attempt.id} did not generate next")
        self.require(attempt.end is not End.CANCELLED, f"audio of attempt {attempt.id} told after it was cancelled")
        attempt.told_bytes += len(audio)

    def _done(self, told: ResponseDone) -> None:
        view = told.response
        attempt = self._attempts.of_response.get(view.id)
        if view.status != "completed":
            return
        if attempt is None:
            self.fail(f"response {view.id} completed, nothing was generated for it")
        self.require(attempt.end is End.FINISHED, f"response {view.id} completed, its attempt {attempt.end.name}")
        self.require(
            attempt.told_chars == len(attempt.text),
            f"response {view.id} withheld {attempt.text[attempt.told_chars :]!r}",
        )
        if any(entry.truncated for entry in self._ledgers.by_id[view.id].items):
            return  # the client has cut it while it was being made; what follows is not played
        withheld = len(attempt.audio) - attempt.told_bytes
        self.require(withheld == 0, f"response {view.id} completed and withheld {withheld} bytes of audio")
        made = [
            (call.call_id, call.name, call.arguments if call.arguments.strip() else "{}")
            for _, call in sorted(attempt.calls.items())
        ]
        if attempt.started.prompt.parallel_tool_calls is False:
            made = made[:1]  # the client wants one call at a time
        calls = [(item.call_id, item.name, item.arguments) for item in view.output if isinstance(item, FunctionCall)]
        mcp = [item for item in view.output if isinstance(item, McpCall | McpApprovalRequest)]
        for item in mcp:
            found = next((one for one in made if one[1:] == (item.name, item.arguments)), None)
            self.require(found is not None, f"response {view.id} holds {item}, generated were {made}")
            if found is not None:
                made.remove(found)
        same = len(calls) == len(made) and all(
            told_call[1:] == made_call[1:] and made_call[0] in ("", told_call[0])
            for told_call, made_call in zip(calls, made, strict=False)
        )
        self.require(same, f"response {view.id} holds the calls {calls}, generated were {made}")
