"""A session's ears: voice activity, the recogniser's streams, the turn judge.

Laws:
- The recogniser hears the exact input, resampled well (HQ holds back 20 ms, which is flushed at the end of the turn);
  only the voice model hears the quick version (`voice_worker.py`).
- Every flush and every finish is answered once, until the turn is dropped. A recogniser that fails says so at once, and
  again to whoever asks that turn later.
- A turn judge that fails is logged once per session and not answered for: the core waits no longer than its longest pause.

Does not know: when a turn begins or ends, and how long anybody waits; timeouts are the core's.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

import msgspec

from parley.audio.resampling import Resampler, resample
from parley.core.effects import (
    DropTranscription,
    FinishTranscription,
    FlushTranscription,
    JudgePause,
    OpenTranscription,
    Transcribe,
)
from parley.core.errors import Fault
from parley.core.events import (
    Event,
    PartialTranscribed,
    PauseJudged,
    Transcribed,
    TranscribedWord,
    TranscriptionFailed,
)
from parley.core.ids import FlushId, TurnId
from parley.engines.ports import (
    Partial,
    PauseContext,
    RecognitionSpec,
    RecognizerStream,
    Samples,
    SpeechRecognizer,
    TokenLogprob,
    TurnJudge,
)
from parley.runtime.faults import fault_of
from parley.runtime.sound import PCM_SCALE, decode
from parley.runtime.voice_worker import VoiceStream

logger = logging.getLogger(__name__)

FEED_MS = 96
"""Audio that a recogniser is given at a time: three frames of the voice model. Each piece costs it a hop to its own
thread; a partial transcript does not come noticeably later."""

JUDGE_RATE = 16_000
"""What `PauseContext` is made of."""

Post = Callable[[Event], None]


class _Turn:
    """One turn on its way through the recogniser: open until it is answered for the last time, or dropped."""

    __slots__ = (
        "_fault",
        "_forget",
        "_format",
        "_logprobs",
        "_post",
        "_resampler",
        "_stream",
        "_tasks",
        "_waiting",
        "id",
        "over",
    )

    def __init__(
        self,
        effect: OpenTranscription,
        recognizer: SpeechRecognizer,
        language: str,
        post: Post,
        forget: Callable[[TurnId], None],
    ) -> None:
        self.id = effect.turn
        self.over = False
        self._post = post
        self._forget = forget
        self._format = effect.format
        self._logprobs = effect.logprobs
        self._fault: Fault | None = None
        self._stream: RecognizerStream | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiting = b""
        self._resampler = Resampler(effect.format.rate, recognizer.info.sample_rate, "HQ")
        usual = "" if effect.languages else language
        spec = RecognitionSpec(
            effect.language or usual, effect.prompt, effect.keywords, effect.logprobs, effect.languages
        )
        try:
            self._stream = recognizer.open_stream(spec, self._hear_partial)
        except Exception as error:  # noqa: BLE001 - the engine boundary
            self._fail(error)

    def _hear_partial(self, partial: Partial) -> None:
        if not self.over and self._fault is None:
            self._post(PartialTranscribed(self.id, partial.text, partial.stable))

    def feed(self, audio: bytes) -> None:
        self._waiting += audio
        if len(self._waiting) >= FEED_MS * self._format.bytes_per_ms:
            self._feed_waiting()

    def _feed_waiting(self) -> None:
        audio, self._waiting = self._waiting, b""
        self._feed(self._resampler.push(decode(audio, self._format)))

    def _feed(self, samples: Samples) -> None:
        if self._stream is None or not len(samples):
            return
        try:
            self._stream.feed(samples * PCM_SCALE)
        except Exception as error:  # noqa: BLE001 - the engine boundary
            self._fail(error)

    def flush(self, flush: FlushId) -> None:
        # What the resampler still holds back lies in the pause that caused the flush.
        self._feed_waiting()
        self._ask(flush)

    def finish(self) -> None:
        self._feed_waiting()
        self._feed(self._resampler.finish())
        self._ask(None)

    def _ask(self, flush: FlushId | None) -> None:
        if self._stream is None:
            assert self._fault is not None
            self._post(TranscriptionFailed(self.id, self._fault))
            if flush is None:
                self._end()
            return
        task = asyncio.get_running_loop().create_task(self._answer(self._stream, flush))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, stream: RecognizerStream, flush: FlushId | None) -> None:
        try:
            heard = await (stream.finish() if flush is None else stream.flush())
        except Exception as error:  # noqa: BLE001 - the engine boundary
            self._fail(error)
        else:
            if not self.over:
                words = tuple(TranscribedWord(word.text, word.start_ms, word.end_ms) for word in heard.words)
                # An engine may give them unasked; they are for who asked.
                logprobs = logprobs_json(heard.logprobs) if self._logprobs else ""
                self._post(Transcribed(self.id, heard.text, flush, heard.language, logprobs, words, heard.confidence))
        if flush is None:
            self._end()

    def _end(self) -> None:
        self.over = True
        self._forget(self.id)

    def _fail(self, error: Exception) -> None:
        """Tell, once, that there will be no transcript; whoever asks later is told again."""
        if self.over or self._fault is not None:
            return
        self._fault = fault_of(error, "The speech recogniser")
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()
        self._post(TranscriptionFailed(self.id, self._fault))

    @property
    def tasks(self) -> set[asyncio.Task[None]]:
        return self._tasks

    def drop(self) -> None:
        """Abandon the turn: nothing is posted any more."""
        self.over = True
        for task in self._tasks:
            task.cancel()
        if self._stream is not None:
            self._stream.close()


class Listening:
    """What one session hears with. `voice` takes `ScoreVoice`; the rest has a method for each effect."""

    __slots__ = ("_judge", "_judge_failed", "_judging", "_language", "_post", "_recognizer", "_turns", "voice")

    def __init__(
        self, voice: VoiceStream, judge: TurnJudge | None, recognizer: SpeechRecognizer, language: str, post: Post
    ) -> None:
        self.voice = voice
        self._judge = judge
        self._recognizer = recognizer
        self._language = language
        self._post = post
        self._turns: dict[TurnId, _Turn] = {}
        self._judging: asyncio.Task[None] | None = None
        self._judge_failed = False

    def open(self, effect: OpenTranscription) -> None:
        self._turns[effect.turn] = _Turn(effect, self._recognizer, self._language, self._post, self._forget)

    def _forget(self, turn: TurnId) -> None:
        self._turns.pop(turn, None)

    def transcribe(self, effect: Transcribe) -> None:
        self._turns[effect.turn].feed(effect.audio)

    def flush(self, effect: FlushTranscription) -> None:
        self._turns[effect.turn].flush(effect.flush)

    def finish(self, effect: FinishTranscription) -> None:
        self._turns[effect.turn].finish()

    def drop(self, effect: DropTranscription) -> None:
        turn = self._turns.pop(effect.turn, None)
        if turn is not None:
            turn.drop()

    def judge(self, effect: JudgePause) -> None:
        """Ask the turn judge; a question still open is about a pause that has grown or passed, and is given up."""
        if self._judge is None:
            return
        if self._judging is not None:
            self._judging.cancel()
        self._judging = asyncio.get_running_loop().create_task(self._ask_judge(self._judge, effect))

    async def _ask_judge(self, judge: TurnJudge, effect: JudgePause) -> None:
        try:
            # LQ is enough for pitch and energy, and takes 0.1 ms for each second.
            audio = resample(decode(effect.audio, effect.format), effect.format.rate, JUDGE_RATE, "LQ") * PCM_SCALE
            language = effect.language or self._language
            finished = await judge.judge(PauseContext(effect.text, audio, language, effect.confidence))
        except Exception:
            if not self._judge_failed:
                logger.exception("the turn judge failed; turns of this session end after the longest pause")
            self._judge_failed = True
            return
        self._post(PauseJudged(effect.turn, effect.judgement, finished))

    def tasks(self) -> set[asyncio.Task[None]]:
        """The questions that are open: transcripts asked for, and the judgement of a pause."""
        judging = () if self._judging is None else (self._judging,)
        answers = (task for turn in self._turns.values() for task in turn.tasks)
        return {task for task in (*judging, *answers) if not task.done()}

    def release(self) -> None:
        self.voice.release()
        if self._judging is not None:
            self._judging.cancel()
        for turn in self._turns.values():
            turn.drop()
        self._turns.clear()


def logprobs_json(logprobs: Sequence[TokenLogprob]) -> str:
    """The protocol's `logprobs` array as JSON text, "" for none."""
    if not logprobs:
        return ""
    rows = [{"token": one.token, "logprob": one.logprob, "bytes": list(one.token.encode())} for one in logprobs]
    return msgspec.json.encode(rows).decode()
