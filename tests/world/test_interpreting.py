"""Translation sessions on invented time: random speakers, recognisers, translators and links, and the laws that hold for all of them."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

import pytest

from parley.core.session import Session
from parley.core.spec import PlaybackKind, SessionSpec
from parley.core.words.effects import (
    CancelGeneration,
    DropTranscription,
    Effect,
    FinishTranscription,
    FlushTranscription,
    OpenTranscription,
    Play,
    ScoreVoice,
    StartGeneration,
    Tell,
    Transcribe,
)
from parley.core.words.errors import Fault
from parley.core.words.events import (
    AudioArrived,
    AudioPlayed,
    ClauseStarted,
    Event,
    GenerationFailed,
    GenerationFinished,
    PartialTranscribed,
    SessionCloseRequested,
    SessionUpdateRequested,
    SpeechGenerated,
    TimePassed,
    Transcribed,
    TranscriptionFailed,
    VoiceScored,
)
from parley.core.words.ids import AttemptId, FlushId, ItemId, ResponseId, TurnId
from parley.core.words.interpreting import LAGS, Interpreting
from parley.core.words.notices import (
    ClauseTranslated,
    ErrorRaised,
    InputSpeechStopped,
    Notice,
    OutputAudioDelta,
    OutputTranscriptDelta,
    PartAt,
    TranscriptionDelta,
    TranslationClosed,
)
from parley.core.words.settings import (
    CLAUSES,
    UNSTABLE_WORDS,
    Capabilities,
    OwnerSettings,
    ServerVad,
    Settings,
    Transcription,
)
from parley.core.words.translation_notices import UnstableWordsChanged
from parley.core.words.work import Translation
from parley.runtime.original_mix import MOST, OriginalMix

MS = 1_000_000
FRAME_MS = 32
FRAME = 768
"""Samples of one voice score."""
SEEDS = range(150)


@dataclass
class Spoken:
    """A word of the script, and when its sound begins and ends, in milliseconds of the speaker's audio."""

    text: str
    start_ms: int
    end_ms: int


def script(chance: random.Random, words_per_minute: int, length_ms: int, pause: float) -> list[Spoken]:
    """Numbered words, with marks at random, and pauses of up to 30 s."""
    words: list[Spoken] = []
    at, each = 500, 60_000 // words_per_minute
    while at < length_ms:
        mark = chance.choices(["", ",", ".", "?"], [8, 1, 2, 0.5])[0]
        words.append(Spoken(f"w{len(words)}{mark}", at, at + each - 40))
        at += each
        if mark in (".", "?") and chance.random() < pause:
            at += chance.choice([300, 600, 1_500, 30_000])
    return words


@dataclass
class Ring:
    """A timer that was set."""

    callback: Callable[[], object]
    cancelled: bool = False

    def cancel(self) -> None:
        self.cancelled = True


@dataclass
class World:
    """One session, its speaker, its engines and its listener."""

    chance: random.Random
    words: list[Spoken]
    lag: str = "normal"
    promises: bool = True
    failing: float = 0.0
    voice_ms: int = 300
    slow_ms: int = 0
    revises: bool = False
    deaf: float = 0.0
    """How often the recogniser fails."""
    now: int = 0
    sent_ms: int = 0
    queue: list[tuple[int, int, Event | Ring]] = field(default_factory=list)
    fed: dict[TurnId, tuple[int, int]] = field(default_factory=dict)
    notices: list[tuple[int, Notice]] = field(default_factory=list)
    translated: list[Translation] = field(default_factory=list)
    generating: int = 0
    count: int = 0
    lanes: dict[str, int] = field(default_factory=dict)
    shown_of: dict[AttemptId, str] = field(default_factory=dict)
    mixed: bool = False
    """Whether the listener hears the speaker too."""
    following: list[Event] = field(default_factory=list)
    made: int = 0
    """Samples of translations that were made, of those that were heard, and of all that was heard."""
    played: int = 0
    heard: int = 0
    left_out: int = 0
    """Samples of a message that was too long to be passed on whole."""

    def __post_init__(self) -> None:
        lag = LAGS[self.lag]
        settings = Settings(
            kind="translation",
            model="m",
            target_language="pt",
            turn_detection=ServerVad(silence_duration_ms=lag.pause_ms, interrupt_response=False),
            transcription=Transcription(),
            include=(CLAUSES, UNSTABLE_WORDS),
        )
        owner = OwnerSettings(language="en", interpreting=Interpreting(lag))
        self.mix = OriginalMix(0.15, self) if self.mixed else None
        if self.mix is not None:
            self.mix.connect(self.hears, self.hears_translation)
        playback: PlaybackKind = "paced" if self.mixed else "remote"
        self.session = Session(
            SessionSpec(b"world", settings, owner, Capabilities(targets=("pt", "es")), playback, self.now)
        )
        self.perform(self.session.start())

    # --- time ---

    def later(self, ms: float, event: Event, lane: str = "") -> None:
        """Post the event then; events of one lane (an engine's stream) stay in their order."""
        due = max(self.now + int(ms * MS), self.lanes.get(lane, 0) if lane else 0)
        self.lanes[lane] = due
        self.count += 1
        heapq.heappush(self.queue, (due, self.count, event))

    def post(self, event: Event) -> None:
        self.following.append(event)
        self.follow()

    def follow(self) -> None:
        while self.following and not self.session.closed:
            happens = self.following.pop(0)
            effects = self.session.handle(happens, self.now)
            if self.mix is not None:
                self.mix.on_step(happens, self.now, effects)
            self.perform(effects)

    def time(self) -> float:
        return self.now / 1e9

    def call_later(self, delay: float, callback: Callable[[], object], /) -> Ring:
        ring = Ring(callback)
        self.count += 1
        heapq.heappush(self.queue, (self.now + int(delay * 1e9), self.count, ring))
        return ring

    # --- the listener, who hears the speaker too ---

    def hears(self, audio: bytes, elapsed_ms: int | None) -> None:
        at = PartAt(ResponseId(""), ItemId(""), 0, 0, elapsed_ms)
        self.heard += len(audio) // 2
        self.notices.append((self.now, OutputAudioDelta(at, audio)))

    def hears_translation(self, samples: int) -> None:
        self.played += samples
        self.following.append(AudioPlayed(samples))

    def run_to(self, end: int) -> None:
        """Engines answer and deadlines pass, in order, until then."""
        while True:
            due = self.queue[0] if self.queue else None
            deadline = self.session.next_deadline()
            if due is not None and due[0] <= end and (deadline is None or due[0] <= deadline):
                heapq.heappop(self.queue)
                self.now = max(self.now, due[0])
                if not isinstance(due[2], Ring):
                    self.post(due[2])
                elif not due[2].cancelled:
                    due[2].callback()
                    self.follow()
            elif deadline is not None and deadline <= end:
                self.now = max(self.now, deadline)
                self.post(TimePassed())
                if self.session.next_deadline() == deadline:
                    break
            else:
                break
        self.now = max(self.now, end)

    # --- the speaker ---

    def burst(self, until_ms: int) -> None:
        """Send all audio up to there at once."""
        sound = range(self.sent_ms, until_ms)
        self.left_out += max(0, 24 * len(sound) - MOST)
        self.sent_ms = until_ms
        self.post(AudioArrived(b"".join(ms.to_bytes(4, "little") + bytes(44) for ms in sound)))

    def speak(self, until_ms: int) -> None:
        """Send the audio up to there, in real time. Each millisecond begins with its number."""
        while self.sent_ms < until_ms and not self.session.closed:
            self.sent_ms += FRAME_MS
            self.run_to(self.now + FRAME_MS * MS)
            sound = range(self.sent_ms - FRAME_MS, self.sent_ms)
            self.post(AudioArrived(b"".join(ms.to_bytes(4, "little") + bytes(44) for ms in sound)))

    def voiced(self, end_ms: int) -> bool:
        """Whether a frame that ends there has a voice."""
        return any(word.start_ms < end_ms <= word.end_ms + FRAME_MS + 40 for word in self.near(end_ms))

    def near(self, at_ms: int) -> list[Spoken]:
        return [word for word in self.words if abs(word.start_ms - at_ms) < 3_000]

    def between(self, start_ms: int, end_ms: int) -> str:
        """The words whose middle lies there."""
        return " ".join(one.text for one in self.words if start_ms <= (one.start_ms + one.end_ms) / 2 < end_ms)

    # --- the engines ---

    def perform(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Tell(notice):
                    self.notices.append((self.now, notice))
                case ScoreVoice(start, audio, format):
                    last = start + format.samples(len(audio))
                    for end in range(start - start % FRAME + FRAME, last + 1, FRAME):
                        probability = 0.9 if self.voiced(end // 24) else 0.05
                        self.later(self.chance.choice([0, 5, 20]), VoiceScored(end, probability), "voice")
                case OpenTranscription():
                    self.fed[effect.turn] = (-1, -1)
                case Transcribe(turn, audio):
                    self.hear(turn, audio)
                case FlushTranscription(turn, flush):
                    self.answer(turn, flush)
                case FinishTranscription(turn):
                    self.answer(turn, None)
                case DropTranscription(turn):
                    self.fed.pop(turn, None)
                case StartGeneration():
                    self.generate(effect)
                case Play():
                    assert self.mix is not None
                    self.made += len(effect.audio) // 2
                    self.mix.play(effect)
                case CancelGeneration():
                    self.generating -= 1
                case _:
                    pass

    def hear(self, turn: TurnId, audio: bytes) -> None:
        if turn not in self.fed:
            return
        start, end = self.fed[turn]
        first = int.from_bytes(audio[:4], "little")
        assert end in (-1, first), "a recogniser is given every sample of its turn once"
        start, end = (first if start < 0 else start), first + len(audio) // 48
        self.fed[turn] = (start, end)
        if self.promises and self.chance.random() < 0.15:
            text = self.between(start, end - 200)
            stable = self.between(start, end - 700)
            self.later(self.chance.choice([50, 200, 400]), PartialTranscribed(turn, text, stable), f"turn {turn}")

    def answer(self, turn: TurnId, flush: FlushId | None) -> None:
        if turn not in self.fed:
            return
        lane, delay = f"turn {turn}", self.chance.choice([30, 150, 500])
        if self.chance.random() < self.deaf:
            self.later(delay, TranscriptionFailed(turn, Fault("engine_error", "It broke.")), lane)
            return
        text = self.between(*self.fed[turn])
        if self.revises and self.chance.random() < 0.5:
            text = text.upper().replace(" ", "   ")  # it writes its words otherwise than it promised them
        self.later(delay, Transcribed(turn, text, flush), lane)

    def generate(self, effect: StartGeneration) -> None:
        work = effect.work
        assert isinstance(work, Translation)
        assert effect.response is not None
        self.generating += 1
        assert self.generating == 1, "one translation is generated at a time"
        self.translated.append(work)
        attempt, delay = effect.attempt, self.chance.choice([10, 40, 300]) + self.slow_ms
        if self.chance.random() < self.failing:
            self.later(delay, GenerationFailed(attempt, Fault("engine_error", "It broke.")))
            return
        text = " ".join(f"t{word}" for word in work.text.split())
        self.later(delay, ClauseStarted(attempt, text))
        ms = int(len(work.text.split()) * self.voice_ms / effect.speed)
        for piece in range(0, ms, 1_000):
            self.later(delay + 40 + piece // 20, SpeechGenerated(attempt, bytes(48 * min(1_000, ms - piece))))
        self.later(delay + 60 + ms // 20, GenerationFinished(attempt))

    def ended(self) -> None:
        self.generating = 0

    # --- the laws ---

    def told(self, kind: type[Notice]) -> list[Notice]:
        return [one for _, one in self.notices if isinstance(one, kind)]

    def check(self) -> None:
        assert self.session.closed, "session.close ends the session"
        assert len(self.told(TranslationClosed)) == 1
        assert isinstance(self.notices[-1][1], TranslationClosed), "nothing follows the end"
        said = [word.text for word in self.words if word.end_ms <= self.sent_ms - 100]
        heard = " ".join(work.text for work in self.translated).lower().split()
        if self.deaf:
            places = [int(word.strip("w.,?")) for word in heard]
            assert places == sorted(set(places)), "no word twice, and all in order"
        else:
            assert heard[: len(said)] == said, "each word is in exactly one clause, in order"
        shown = "".join(one.delta for _, one in self.notices if isinstance(one, TranscriptionDelta))
        assert shown.lower().split() == heard, "what was shown of the speaker is what was translated"
        spoken = [one for _, one in self.notices if isinstance(one, TranscriptionDelta | UnstableWordsChanged)]
        assert not spoken or not isinstance(spoken[-1], UnstableWordsChanged) or not spoken[-1].text, "none is left"
        changes = [one.text if isinstance(one, UnstableWordsChanged) else "" for one in spoken]
        repeated = [one for before, one in pairwise(changes) if one and one == before]
        assert not repeated, "only what has changed is sent"
        records = [one for _, one in self.notices if isinstance(one, ClauseTranslated)]
        assert " ".join(one.source for one in records).lower().split() == heard
        numbers = [one.clause for one in records]
        assert all(one < other for one, other in pairwise(numbers))
        assert sum(one.clauses for one in records) == (numbers[-1] if numbers else 0)
        output = "".join(one.delta for _, one in self.notices if isinstance(one, OutputTranscriptDelta))
        expected = [
            one.source if one.outcome == "shown" else " ".join(f"t{word}" for word in one.source.split())
            for one in records
        ]
        assert output.split() == " ".join(expected).split(), "the output is the translations, in order"
        audio = [one.at.elapsed_ms for _, one in self.notices if isinstance(one, OutputAudioDelta)]
        positions = [at for at in audio if at is not None]
        assert self.mixed or positions == audio
        assert positions == sorted(positions), "audio comes in the order of the speech"
        assert self.played == self.made, "the translations are heard whole"
        assert self.heard >= self.mixed * (self.sent_ms * 24 - self.left_out), "and so is the speaker"
        if not self.failing and not self.deaf:
            assert not self.told(ErrorRaised)


def close(world: World) -> None:
    world.post(SessionCloseRequested())
    world.run_to(world.now + 120_000 * MS)


class Settled(World):
    """A world that notices the end of each generation."""

    def post(self, event: Event) -> None:
        if isinstance(event, GenerationFinished | GenerationFailed):
            self.ended()
        super().post(event)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_word_is_translated_once_in_order_and_nothing_follows_the_close(seed: int) -> None:
    chance = random.Random(seed)
    words = script(chance, chance.choice([90, 150, 180]), chance.choice([4_000, 20_000, 60_000]), chance.random())
    world = Settled(
        chance,
        words,
        lag=chance.choice(["low", "normal", "careful"]),
        promises=chance.random() < 0.8,
        failing=chance.choice([0.0, 0.0, 0.2]),
        voice_ms=chance.choice([200, 350, 500]),
        slow_ms=chance.choice([0, 0, 3_000]),
        revises=chance.random() < 0.3,
        deaf=chance.choice([0.0, 0.0, 0.3]),
        mixed=chance.random() < 0.4,
    )
    end = chance.choice([words[-1].end_ms + 1_000, words[len(words) // 2].end_ms + 60])
    stop = chance.randrange(end)
    world.speak(stop)
    if chance.random() < 0.5:
        world.run_to(world.now + 200 * MS)
        turns = len(world.told(InputSpeechStopped))
        world.run_to(world.now + 20_000 * MS)
        assert len(world.told(InputSpeechStopped)) == turns, "a client that stops sending has not paused"
    if chance.random() < 0.3:
        world.post(SessionUpdateRequested({"target_language": "es"}))
    world.speak(end - chance.choice([0, 0, 3_000]))
    world.burst(end)
    close(world)
    world.check()


def test_clauses_that_are_late_are_merged_and_none_is_lost() -> None:
    chance = random.Random(3)
    words = script(chance, 180, 60_000, 0.0)
    world = Settled(chance, words, slow_ms=8_000)
    world.speak(words[-1].end_ms + 1_000)
    close(world)
    world.check()
    records = [one for _, one in world.notices if isinstance(one, ClauseTranslated)]
    assert max(one.clauses for one in records) > 1
    assert len(records) < records[-1].clause


def test_the_tenth_minute_of_a_fast_speaker_is_as_late_as_the_first() -> None:
    chance = random.Random(1)
    words = script(chance, 180, 600_000, 0.0)
    world = Settled(chance, words, voice_ms=60_000 // 180)
    began = world.now
    world.speak(words[-1].end_ms + 1_000)
    lags: dict[int, list[float]] = {}
    heard_to = began
    for now, notice in world.notices:
        if isinstance(notice, OutputAudioDelta):
            begins = max(heard_to, now)
            heard_to = begins + len(notice.audio) * MS // 48
            assert notice.at.elapsed_ms is not None
            lags.setdefault(notice.at.elapsed_ms // 60_000, []).append((begins - began) / MS - notice.at.elapsed_ms)
    first, last = (max(sorted(lags[minute])[len(lags[minute]) // 2], 0) for minute in (0, 8))
    assert last <= first + 1_000
    close(world)
    world.check()
