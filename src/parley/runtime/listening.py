"""A session's input engines: voice activity, the recogniser's streams, the turn judge.

Laws:
- The recogniser hears the exact input, resampled well (HQ holds back 20 ms, which is flushed at the end of the turn);
  only the voice model hears the quick version (`voice_worker.py`).
- The recogniser is fed a second at a time: of audio that comes at once (an item, a long append) the rest follows when the loop
  has served others, one second of the session's in each round. What is asked meanwhile is asked behind the audio before it.
- Every flush and every finish is answered once, until the turn is dropped. A recogniser that fails says so at once, and
  again to each later request for that turn.
- A turn judge that fails is logged once per session and not answered for: the core waits no longer than its longest pause.

Does not know: when a turn begins or ends, and how long a caller waits; timeouts are the core's.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence

import msgspec

from parley.audio.resampling import Resampler, resample
from parley.core.words.effects import (
    DropTranscription,
    FinishTranscription,
    FlushTranscription,
    JudgePause,
    OpenTranscription,
    Transcribe,
)
from parley.core.words.errors import Fault
from parley.core.words.events import (
    Event,
    PartialTranscribed,
    PauseJudged,
    Transcribed,
    TranscribedWord,
    TranscriptionFailed,
)
from parley.core.words.ids import FlushId, TurnId
from parley.engines.ports import (
    EngineError,
    Partial,
    PauseContext,
    RecognitionSpec,
    RecognizerStream,
    Samples,
    SpeechRecognizer,
    TokenLogprob,
    TurnJudge,
)
from parley.runtime.engine_results import checked_ending, checked_judgement, checked_stream, checked_transcript
from parley.runtime.faults import engine_code, fault_of, named
from parley.runtime.later_audio import SLICE_BYTES, LaterAudio
from parley.runtime.loop_slices import slice_turn
from parley.runtime.sound import PCM_SCALE, decode
from parley.runtime.voice_worker import VoiceStream

logger = logging.getLogger(__name__)

FEED_MS = 96
"""Audio that a recogniser is given at a time: three frames of the voice model. Each piece costs it a hop to its own
thread; a partial transcript does not come noticeably later."""

SLICE_MS = 1_000
"""Audio that is resampled in one go: half a millisecond of work. A resampler keeps memory for the longest piece it was ever given."""

JUDGE_RATE = 16_000
"""What `PauseContext` is made of."""

Post = Callable[[Event], None]


class _Turn:
    """One turn on its way through the recogniser: open until it is answered for the last time, or dropped."""

    __slots__ = (
        "_asked",
        "_fault",
        "_fed",
        "_feed_later",
        "_forget",
        "_format",
        "_later",
        "_logprobs",
        "_only",
        "_post",
        "_resampler",
        "_stream",
        "_tasks",
        "_waiting",
        "_who",
        "id",
        "over",
    )

    def __init__(
        self,
        effect: OpenTranscription,
        recognizer: SpeechRecognizer,
        post: Post,
        forget: Callable[[TurnId], None],
        feed_later: Callable[[_Turn], None],
        share: object,
    ) -> None:
        self.id = effect.turn
        self.over = False
        self._post = post
        self._forget = forget
        self._feed_later = feed_later
        self._format = effect.format
        self._logprobs = effect.logprobs
        self._fault: Fault | None = None
        self._who = named("The speech recogniser", recognizer)
        self._stream: RecognizerStream | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiting = bytearray()
        self._later = LaterAudio()
        self._fed = 0
        self._asked: deque[tuple[int, FlushId | None]] = deque()
        """What is to be asked, and behind how many bytes of the turn; None for the final."""
        self._resampler = Resampler(effect.format.rate, recognizer.info.sample_rate, "HQ")
        spec = RecognitionSpec(
            effect.language,
            effect.prompt,
            effect.keywords,
            effect.logprobs,
            effect.languages,
            share,
            effect.live,
            effect.agreement,
        )
        languages = recognizer.info.languages
        self._only = effect.language or (languages[0] if len(languages) == 1 else "")
        """The language of the turn where it is known before anything was heard."""
        try:
            self._stream = checked_stream(recognizer.open_stream(spec, self._hear_partial), self._who)
        except Exception as error:  # noqa: BLE001 - the engine boundary
            self._fail(error)

    def _hear_partial(self, partial: Partial) -> None:
        texts: tuple[object, ...] = (partial.text, partial.stable)
        if not self.over and self._fault is None and all(isinstance(text, str) for text in texts):
            ending = checked_ending(partial.end_of_turn)
            language, certain = partial.language, partial.language_confidence
            if not language and self._only:
                language, certain = self._only, 1.0
            self._post(PartialTranscribed(self.id, partial.text, partial.stable, ending, language, certain))

    def feed(self, audio: bytes) -> None:
        if self._later.size or len(audio) > SLICE_BYTES:
            self._later.append(audio)
            self._go_on()
            return
        self._waiting += audio
        if len(self._waiting) >= FEED_MS * self._format.bytes_per_ms:
            self._go_on()

    def flush(self, flush: FlushId) -> None:
        # What the resampler still holds back lies in the pause that caused the flush.
        self._asked.append((self._fed + len(self._waiting) + self._later.size, flush))
        self._go_on()

    def finish(self) -> None:
        self._asked.append((self._fed + len(self._waiting) + self._later.size, None))
        self._go_on()

    def _go_on(self) -> None:
        """Feed what waits: now if it is at most a second, else in slices."""
        if self._later.size or len(self._waiting) > SLICE_MS * self._format.bytes_per_ms or self.feed_slice():
            self._feed_later(self)

    def feed_slice(self) -> bool:
        """Feed at most a second of what waits, then ask what is to be asked at that point. Returns whether anything is left."""
        size = SLICE_MS * self._format.bytes_per_ms
        if self._later.size:
            self._later.move(self._waiting, size)
        size = min(len(self._waiting), size)
        if self._asked:
            size = min(size, self._asked[0][0] - self._fed)
        audio = bytes(self._waiting[:size])
        del self._waiting[:size]
        self._fed += size
        if audio and self._stream is not None:
            self._feed(self._resampler.push(decode(audio, self._format)))
        while self._asked and self._asked[0][0] == self._fed and not self.over:
            _, flush = self._asked.popleft()
            if flush is None and self._stream is not None:
                self._feed(self._resampler.finish())
            self._ask(flush)
        return not self.over and bool(self._waiting or self._later.size or self._asked)

    def _feed(self, samples: Samples) -> None:
        if self._stream is None or not len(samples):
            return
        try:
            self._stream.feed(samples * PCM_SCALE)
        except Exception as error:  # noqa: BLE001 - the engine boundary
            self._fail(error)

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
            with engine_code():
                heard = checked_transcript(await (stream.finish() if flush is None else stream.flush()), self._who)
        except Exception as error:  # noqa: BLE001 - the engine boundary
            self._fail(error)
        else:
            if not self.over:
                words = tuple(TranscribedWord(word.text, word.start_ms, word.end_ms) for word in heard.words)
                # An engine may give them unasked; they are for who asked.
                logprobs = logprobs_json(heard.logprobs) if self._logprobs else ""
                sure, language_sure = heard.confidence, heard.language_confidence
                self._post(
                    Transcribed(self.id, heard.text, flush, heard.language, logprobs, words, sure, language_sure)
                )
        if flush is None:
            self._end()

    def _end(self) -> None:
        self._leave()
        self._forget(self.id)

    def _fail(self, error: Exception) -> None:
        """Report, once, that there will be no transcript; each later request is answered with the same failure."""
        if self.over or self._fault is not None:
            return
        self._fault = fault_of(error, self._who)
        self._close_stream()
        self._post(TranscriptionFailed(self.id, self._fault))

    @property
    def tasks(self) -> set[asyncio.Task[None]]:
        return self._tasks

    def drop(self) -> None:
        """Abandon the turn: nothing is posted any more."""
        for task in self._tasks:
            task.cancel()
        self._leave()

    def _leave(self) -> None:
        """The turn is over: close its stream, which refers back to the turn."""
        self.over = True
        self._waiting.clear()
        self._later.clear()
        self._asked.clear()
        self._close_stream()

    def _close_stream(self) -> None:
        stream, self._stream = self._stream, None
        if stream is None:
            return
        try:
            stream.close()
        except Exception:
            logger.exception("%s: a stream could not be closed", self._who)


class Listening:
    """What one session hears with. `voice` takes `ScoreVoice`; the rest has a method for each effect."""

    __slots__ = (
        "_behind",
        "_feeding",
        "_judge",
        "_judge_failed",
        "_judging",
        "_post",
        "_recognizer",
        "_share",
        "_turns",
        "voice",
    )

    def __init__(self, voice: VoiceStream, judge: TurnJudge | None, recognizer: SpeechRecognizer, post: Post) -> None:
        self.voice = voice
        self._judge = judge
        self._recognizer = recognizer
        self._post = post
        self._turns: dict[TurnId, _Turn] = {}
        self._share = object()
        """The key by which the recogniser recognises the turns of one session."""
        self._behind: deque[_Turn] = deque()
        """Turns with more audio than is fed at once, each once."""
        self._feeding: asyncio.Task[None] | None = None
        self._judging: asyncio.Task[None] | None = None
        self._judge_failed = False

    def open(self, effect: OpenTranscription) -> None:
        self._turns[effect.turn] = _Turn(
            effect, self._recognizer, self._post, self._forget, self._feed_later, self._share
        )

    def _forget(self, turn: TurnId) -> None:
        self._turns.pop(turn, None)

    def _feed_later(self, turn: _Turn) -> None:
        if turn not in self._behind:
            self._behind.append(turn)
        if self._feeding is None:
            self._feeding = asyncio.get_running_loop().create_task(self._feed_behind())

    async def _feed_behind(self) -> None:
        try:
            while self._behind:
                await slice_turn()
                turn = self._behind.popleft()
                if turn.feed_slice():
                    self._behind.append(turn)
        finally:
            self._feeding = None

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
            pause = PauseContext(effect.text, audio, effect.language, effect.confidence)
            with engine_code():
                finished = checked_judgement(await judge.judge(pause))
        except Exception as error:
            if not self._judge_failed:
                self._judge_failed = True
                code, said = (
                    (error.code, str(error)) if isinstance(error, EngineError) else ("engine_error", repr(error))
                )
                trace = None if isinstance(error, EngineError) else error
                what = "the turn judge failed (%s); pauses that it does not judge last longest: %s"
                logger.error(what, code, said, exc_info=trace)
            return
        self._post(PauseJudged(effect.turn, effect.judgement, finished))

    def tasks(self) -> set[asyncio.Task[None]]:
        """The questions that are open: transcripts asked for or to be asked for, and the judgement of a pause."""
        judging = tuple(task for task in (self._judging, self._feeding) if task is not None)
        answers = (task for turn in self._turns.values() for task in turn.tasks)
        return {task for task in (*judging, *answers) if not task.done()}

    def release(self) -> None:
        self.voice.release()
        if self._judging is not None:
            self._judging.cancel()
            # A cancelled task keeps its traceback, whose frames keep this object.
            self._judging = None
        if self._feeding is not None:
            self._feeding.cancel()
        self._behind.clear()
        for turn in self._turns.values():
            turn.drop()
        self._turns.clear()


def logprobs_json(logprobs: Sequence[TokenLogprob]) -> str:
    """The protocol's `logprobs` array as JSON text, "" for none."""
    if not logprobs:
        return ""
    rows = [{"token": one.token, "logprob": one.logprob, "bytes": list(one.token.encode())} for one in logprobs]
    return msgspec.json.encode(rows).decode()
