"""Where a response's text and audio come from: its own attempt and no other."""

from __future__ import annotations

from parley.core.words.effects import Play
from parley.core.words.ids import ResponseId
from parley.core.words.items import FunctionCall, McpApprovalRequest, McpCall
from parley.core.words.notices import OutputAudioDelta, OutputTextDelta, OutputTranscriptDelta, ResponseDone
from parley.testing.rules.attempts import AttemptLifecycle, End, StartedAttempt
from parley.testing.rules.base import Handlers, Rule
from parley.testing.rules.response_lifecycle import ResponseLifecycle


class OwnOutput(Rule):
    """6: a response sends exactly the text and audio that its own running attempt generated, in order and once."""

    law = "6"

    def __init__(self, attempts: AttemptLifecycle, responses: ResponseLifecycle) -> None:
        self._attempts = attempts
        self._responses = responses

    def effect_handlers(self) -> Handlers:
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

    def _words(self, notice: OutputTextDelta | OutputTranscriptDelta) -> None:
        attempt = self._attempt(notice.at.response_id, "words")
        generated = attempt.text[attempt.sent_chars : attempt.sent_chars + len(notice.delta)]
        self.require(generated == notice.delta, f"{notice.delta!r} was sent, the attempt generated {generated!r}")
        attempt.sent_chars += len(notice.delta)

    def _sound(self, notice: OutputAudioDelta) -> None:
        self._audio(self._attempt(notice.at.response_id, "audio"), notice.audio)

    def _play(self, effect: Play) -> None:
        attempt = self._attempt(effect.response, "audio")
        self.require(
            effect.format is attempt.started.format, f"played as {effect.format}, made as {attempt.started.format}"
        )
        self._audio(attempt, effect.audio)

    def _audio(self, attempt: StartedAttempt, audio: bytes) -> None:
        generated = attempt.audio[attempt.sent_bytes : attempt.sent_bytes + len(audio)]
        self.require(generated == audio, f"{len(audio)} bytes sent that attempt {attempt.id} did not generate next")
        self.require(attempt.end is not End.CANCELLED, f"audio of attempt {attempt.id} sent after it was cancelled")
        attempt.sent_bytes += len(audio)

    def _done(self, notice: ResponseDone) -> None:
        view = notice.response
        attempt = self._attempts.of_response.get(view.id)
        if view.status != "completed":
            return
        if attempt is None:
            self.fail(f"response {view.id} completed, and nothing was generated for it")
        self.require(attempt.end is End.FINISHED, f"response {view.id} completed, its attempt {attempt.end.name}")
        self.require(
            attempt.sent_chars == len(attempt.text),
            f"response {view.id} withheld {attempt.text[attempt.sent_chars :]!r}",
        )
        if any(entry.truncated for entry in self._responses.by_id[view.id].items):
            return  # the client truncated it while it was being generated; the rest is not played
        withheld = len(attempt.audio) - attempt.sent_bytes
        self.require(withheld == 0, f"response {view.id} completed and withheld {withheld} bytes of audio")
        if attempt.filler:
            return
        made = [
            (call.call_id, call.name, call.arguments if call.arguments.strip() else "{}")
            for _, call in sorted(attempt.calls.items())
        ]
        if attempt.started.prompt.parallel_tool_calls is False:
            made = made[:1]  # the client allows one call at a time
        calls = [(item.call_id, item.name, item.arguments) for item in view.output if isinstance(item, FunctionCall)]
        mcp = [item for item in view.output if isinstance(item, McpCall | McpApprovalRequest)]
        for item in mcp:
            found = next((one for one in made if one[1:] == (item.name, item.arguments)), None)
            self.require(found is not None, f"response {view.id} holds {item}, generated were {made}")
            if found is not None:
                made.remove(found)
        same = len(calls) == len(made) and all(
            sent_call[1:] == made_call[1:] and made_call[0] in ("", sent_call[0])
            for sent_call, made_call in zip(calls, made, strict=False)
        )
        self.require(same, f"response {view.id} holds the calls {calls}, generated were {made}")
