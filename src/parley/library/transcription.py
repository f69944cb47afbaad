"""Recordings to text, turn by turn.

Laws: the audio is cut at pauses, by the session core of conversations; a segment comes as soon as it is finished;
the longer a segment already is, the shorter the pause that ends it, so that hours of talk are cut into pieces a recogniser can take.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Callable, Generator, Iterable
from dataclasses import dataclass

from parley.core.policy.transcriber import Transcriber
from parley.core.policy.turn_rules import PauseSeen
from parley.core.words.settings import ServerVad, Transcription
from parley.engines.ports import EngineError, EngineSpec, SpeechRecognizer, VoiceActivityModel
from parley.library.events import Failed, HeardToken, PartialTranscript, TurnEnded
from parley.library.frame_reader import Frame
from parley.library.function_recognizers import SttFunction, VadFunction
from parley.library.pipeline import Pipeline
from parley.library.recordings import AudioInput, each, frames_of_audio
from parley.library.session import VoiceSession

PAUSE_MS = 500
"""The silence that ends a segment at first."""

LONG_SEGMENT_MS = 12_000
"""From here on a shorter pause ends a segment."""

SHORT_PAUSE_MS = 200
BREATH_MS = 96
"""After twice that long, a breath."""


@dataclass(frozen=True, slots=True)
class HearingOptions:
    """How a recording is heard. `transcription` is what the recogniser is told of it; `logprobs` asks for the tokens of each segment;
    `detection` says what is voice, and which silence (`silence_duration_ms`) ends a segment at first."""

    transcription: Transcription = Transcription()  # noqa: RUF009 - frozen
    logprobs: bool = False
    detection: ServerVad = ServerVad(silence_duration_ms=PAUSE_MS)  # noqa: RUF009 - frozen


AS_USUAL = HearingOptions()


@dataclass(frozen=True, slots=True)
class SegmentWord:
    """A word and its place in the recording, in seconds."""

    text: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of speech: its text, its place in the recording (seconds, without the silence that ended it), its words where the
    recogniser times them, its `confidence` (0..1) and `tokens` as `Turn` has them."""

    text: str
    start_s: float
    end_s: float
    words: tuple[SegmentWord, ...] = ()
    language: str = ""
    confidence: float | None = None
    tokens: tuple[HeardToken, ...] = ()


@dataclass(frozen=True, slots=True)
class SegmentPauses:
    """The silence that ends a segment, by its length: `pause_ms` at first."""

    pause_ms: int = PAUSE_MS

    def __call__(self, pause: PauseSeen) -> int:
        if pause.turn_ms < LONG_SEGMENT_MS:
            return self.pause_ms
        return min(self.pause_ms, SHORT_PAUSE_MS if pause.turn_ms < 2 * LONG_SEGMENT_MS else BREATH_MS)


def transcribe(
    audio: AudioInput,
    *,
    sample_rate: int | None = None,
    stt: str | EngineSpec | SpeechRecognizer | SttFunction = "pocketsphinx",
    vad: str | EngineSpec | VoiceActivityModel | VadFunction = "silero",
    language: str = "",
    pipeline: Pipeline | None = None,
    on_partial: Callable[[str], None] | None = None,
) -> Generator[Segment, None, None]:
    """The segments of a file, a recording, or frames at `sample_rate`, as they are finished.

    `pipeline` saves loading the engines again (its own `stt`, `vad` and `language` count then). `on_partial` hears of words that are not
    final yet. Raises `EngineUnavailable`, `EngineError` where the recogniser fails, `AudioFileError` and `OSError` for a file.
    """
    audio, sample_rate = frames_of_audio(audio, sample_rate, "transcribe")
    if pipeline is not None:
        yield from _segments(pipeline, audio, sample_rate, on_partial)
        return
    with Pipeline(vad=vad, turn=None, stt=stt, llm=None, tts=None, language=language) as opened:
        yield from _segments(opened, audio, sample_rate, on_partial)


def _segments(
    pipeline: Pipeline, audio: Iterable[Frame], rate: int, on_partial: Callable[[str], None] | None
) -> Generator[Segment, None, None]:
    session = transcriber(pipeline, rate)
    try:
        for event in session.run(audio):
            match event:
                case PartialTranscript(text) if on_partial is not None:
                    on_partial(text)
                case _:
                    if (segment := _segment_in(event, rate)) is not None:
                        yield segment
    finally:
        session.close()


async def atranscribed(
    pipeline: Pipeline, pieces: Iterable[Frame] | AsyncIterable[Frame], rate: int, listening: HearingOptions = AS_USUAL
) -> AsyncGenerator[Segment, None]:
    """The segments of frames at `rate`, on the loop where the pipeline is open. Raises as `transcribe()`."""
    session = transcriber(pipeline, rate, listening)
    try:
        async for piece in each(pieces):
            for event in await session.astep(piece):
                if (segment := _segment_in(event, rate)) is not None:
                    yield segment
        for event in await session.aflush():
            if (segment := _segment_in(event, rate)) is not None:
                yield segment
    finally:
        await session.aclose()


def _segment_in(event: object, rate: int) -> Segment | None:
    match event:
        case TurnEnded():
            segment = segment_of(event, rate)
            return segment if segment.text else None
        case Failed(code, message):
            raise EngineError(message, code=code) from event.error
        case _:
            return None


def transcriber(pipeline: Pipeline, sample_rate: int, listening: HearingOptions = AS_USUAL) -> VoiceSession:
    """A session that only transcribes, cut as `transcribe()` cuts."""
    return VoiceSession(
        pipeline,
        sample_rate=sample_rate,
        turn_detection=listening.detection,
        endpointing=SegmentPauses(listening.detection.silence_duration_ms),
        modality="text",
        policy=Transcriber(),
        transcription=listening.transcription,
        logprobs=listening.logprobs,
    )


def segment_of(event: TurnEnded, sample_rate: int) -> Segment:
    """A session's turn as a segment, in seconds."""
    turn = event.turn
    words = tuple(
        SegmentWord(word.text, word.start_sample / sample_rate, word.end_sample / sample_rate) for word in turn.words
    )
    start = turn.start_sample / sample_rate
    end = max(start, turn.end_sample / sample_rate - (turn.figures.pause_ms or 0.0) / 1000)
    return Segment(turn.heard, start, end, words, turn.language, turn.confidence, turn.tokens)
