"""A seeded world on fake time: a session, everybody around it, and the checker that watches.

Laws: a seed names one course of events, byte for byte; the shell is simulated faithfully (events in order, one timer that honours
`next_deadline`, every effect performed); a failure names its seed and shows what happened.

Use: `simulate(seed)` in a test, `python -m parley.testing.simulator --seeds 0:100000 --jobs 2` by hand, `--seeds 17:18 --show` to read one.
"""

from __future__ import annotations

import heapq
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from typing import assert_never

from parley.core.session import Session
from parley.core.spec import SessionSpec
from parley.core.words.effects import (
    AbandonCall,
    AbandonListing,
    CallTool,
    CancelGeneration,
    CloseLink,
    DropTranscription,
    Effect,
    FindPipeline,
    FinishTranscription,
    FlushTranscription,
    JudgePause,
    ListTools,
    OpenTranscription,
    Play,
    ReleaseGeneration,
    ReleaseServer,
    ScoreVoice,
    StartGeneration,
    StopPlayback,
    Tell,
    Transcribe,
    UsePipeline,
)
from parley.core.words.errors import InvariantBroken
from parley.core.words.events import Event, LinkClosed, TimePassed, WindDownRequested
from parley.testing.actors.pipelines import SimulatedPipelines
from parley.testing.actors.reply_engines import Model, SimulatedLoudspeaker
from parley.testing.actors.simulated_user import Person
from parley.testing.actors.speech_engines import Judge, Recogniser, VoiceDetector
from parley.testing.actors.tool_servers import ToolServer
from parley.testing.actors.world import MicrophoneSound
from parley.testing.both_dialects import BothDialects
from parley.testing.checker import Checker, CheckFailed
from parley.testing.rules.base import Step
from parley.testing.scenarios import Scenario
from parley.testing.timeline import render

START_NS = 1_000_000_000_000
"""When every world begins: not at zero, so that a forgotten clock shows."""

LONGEST_NS = 15 * 60 * 1_000_000_000
"""No session here is alive for longer; one that is has no end."""

MOST_TIMERS_AT_ONCE = 20
"""So often may the timer ring at one moment; more often means that it never gets its work done."""


class WorldFailed(AssertionError):
    """A seed under which a law was broken, with the law and the course of events."""

    def __init__(self, seed: int, law: str, what: str, timeline: str) -> None:
        super().__init__(
            f"seed {seed}: {what}\n(read it: python -m parley.testing.simulator --seeds {seed}:{seed + 1} --show)\n\n{timeline}"
        )
        self.seed = seed
        self.law = law
        self.what = what


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a seed."""

    seed: int
    scenario: Scenario
    steps: tuple[Step, ...]
    counts: Counter[str]
    simulated_s: float

    @property
    def digest(self) -> str:
        """Names the whole course of events and effects: two runs of one seed have the same."""
        digest = blake2b(digest_size=16)
        for step in self.steps:
            digest.update(repr(step).encode())
        return digest.hexdigest()

    def timeline(self, *, inner: bool = True) -> str:
        """The course of events as text."""
        return render(self.steps, START_NS, inner=inner)


class World:
    """One session and its surroundings. Call `run` once."""

    def __init__(self, seed: int, scenario: Scenario | None = None) -> None:
        self.seed = seed
        self.rng = random.Random(seed)
        self.scenario = scenario or Scenario.drawn(self.rng)
        self.now_ns = START_NS
        self.counts: Counter[str] = Counter()
        self.steps: list[Step] = []
        made = self.scenario
        self.session = new_session(seed, made)
        self.checker = Checker(made.settings, made.owner, made.capabilities, made.playback)
        self._dialects = BothDialects()
        self._due: list[tuple[int, int, Callable[[], None]]] = []
        self._count = 0
        self._armed: int | None = None
        self._rung = 0
        self._rung_ns = 0
        self.sound = sound = MicrophoneSound()
        self.person = Person(self, sound, made.person, made.settings)
        self._voice = VoiceDetector(self, sound, made.ears)
        self._recogniser = Recogniser(self, sound, made.ears)
        self._judge = Judge(self, made.ears)
        self._model = Model(self, made.mouth)
        self._tools = ToolServer(self, made.tools)
        self._pipelines = SimulatedPipelines(self, made.settings, made.owner, made.capabilities)
        self._loudspeaker = SimulatedLoudspeaker(self)

    # --- what actors use

    def at(self, delay_ms: float, act: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._due, (self.now_ns + int(delay_ms * 1e6), self._count, act))

    def post(self, event: Event) -> None:
        if self.session.closed and not isinstance(event, LinkClosed):
            self.counts["after the end"] += 1
        self._took(event, self.session.handle(event, self.now_ns))

    # --- the course of things

    def run(self) -> Outcome:
        """Live through the seed. Raises `WorldFailed`."""
        try:
            self._live()
        except (CheckFailed, InvariantBroken) as error:
            law = error.law if isinstance(error, CheckFailed) else "inside"
            raise WorldFailed(self.seed, law, str(error), self._tail()) from error
        self.counts.update(self.checker.attempts.seen)
        return Outcome(self.seed, self.scenario, tuple(self.steps), self.counts, (self.now_ns - START_NS) / 1e9)

    def _live(self) -> None:
        self._took(None, self.session.start())
        self.person.begin()
        if self.scenario.ends != "quiet":
            self.at(self.rng.random() * 12_000, self._leave)
        self._until_quiet()
        if self.session.closed:
            self.checker.finish(quiet=False)
            return
        self._check_rest()
        self.checker.finish(quiet=True)
        self.person.hang_up()
        self.post(LinkClosed("the end"))
        self.post(TimePassed())
        self.checker.finish(quiet=False)

    def _leave(self) -> None:
        if self.scenario.ends == "winds_down":
            self.post(WindDownRequested())
            return
        self.person.hang_up()
        self.post(LinkClosed("the client is gone"))

    def _until_quiet(self) -> None:
        while self._due or not self._resting():
            due_ns = self._due[0][0] if self._due else START_NS + 2 * LONGEST_NS
            if self._armed is not None and self._armed <= due_ns:
                self._ring(self._armed)
                continue
            self.now_ns = max(self.now_ns, due_ns)
            heapq.heappop(self._due)[2]()

    def _resting(self) -> bool:
        """Only the session's own end, or another idle prompt, is still to come."""
        expiry = START_NS + self.scenario.owner.session_ms * 1_000_000
        if self._armed is None or (self._armed == expiry and expiry > START_NS + LONGEST_NS):
            return True
        return not self.checker.busy and (self._armed == expiry or self._idles())

    def _idles(self) -> bool:
        detection = self.session.settings.turn_detection
        return getattr(detection, "idle_timeout_ms", None) is not None

    def _ring(self, due_ns: int) -> None:
        self.now_ns = max(self.now_ns, due_ns)
        self._rung = self._rung + 1 if self._rung_ns == self.now_ns else 0
        self._rung_ns = self.now_ns
        self.counts["timers"] += 1
        if self._rung > MOST_TIMERS_AT_ONCE:
            raise CheckFailed(
                "liveness",
                f"the timer rings on and on at {(self.now_ns - START_NS) / 1e9:.3f} s and nothing comes of it",
            )
        if self.now_ns - START_NS > LONGEST_NS:
            raise CheckFailed("liveness", "the session never comes to rest")
        self._armed = None
        self.post(TimePassed())

    def _check_rest(self) -> None:
        deadline = self.session.next_deadline()
        expiry = START_NS + self.scenario.owner.session_ms * 1_000_000
        if deadline not in (None, expiry) and not self._idles():
            raise CheckFailed("liveness", f"all is quiet, and yet the session waits for {deadline}")

    # --- the shell

    def _took(self, event: Event | None, effects: list[Effect]) -> None:
        self.steps.append(Step(event, self.now_ns, tuple(effects)))
        self.checker.saw(event, self.now_ns, effects)
        self._dialects.saw(event, effects)
        for effect in effects:
            self._perform(effect)
        self._armed = self.session.next_deadline()

    def _perform(self, effect: Effect) -> None:
        match effect:
            case Tell(notice=notice):
                self.person.told(notice)
            case ScoreVoice():
                self._voice.score(effect)
            case OpenTranscription():
                self._recogniser.open(effect)
            case Transcribe():
                self._recogniser.feed(effect)
            case FlushTranscription():
                self._recogniser.flush(effect)
            case FinishTranscription():
                self._recogniser.finish(effect)
            case DropTranscription():
                self._recogniser.drop(effect)
            case JudgePause():
                self._judge.judge(effect)
            case StartGeneration():
                self._model.start(effect)
            case ReleaseGeneration():
                self.counts["speculative attempts released"] += 1
            case CancelGeneration(attempt=attempt):
                self._model.cancel(attempt)
            case ListTools():
                self._tools.list_tools(effect)
            case CallTool():
                self._tools.call(effect)
            case AbandonListing() | AbandonCall():
                self.counts["MCP questions abandoned"] += 1
            case ReleaseServer():
                self.counts["MCP servers let go"] += 1
            case FindPipeline():
                self._pipelines.find(effect)
            case UsePipeline():
                self.counts["pipelines changed"] += 1
            case Play():
                self._loudspeaker.play(effect)
            case StopPlayback():
                self._loudspeaker.stop()
            case CloseLink():
                self.person.hang_up()
                self.counts["closed by the server"] += 1
            case _:
                assert_never(effect)

    def _tail(self) -> str:
        lines = render(self.steps, START_NS).splitlines()
        return "\n".join(["..."] * (len(lines) > 60) + lines[-60:])


def new_session(seed: int, scenario: Scenario) -> Session:
    """The session a scenario begins with."""
    spec = SessionSpec(
        seed=seed.to_bytes(8, "big", signed=True),
        settings=scenario.settings,
        owner=scenario.owner,
        capabilities=scenario.capabilities,
        playback=scenario.playback,
        now_ns=START_NS,
    )
    return Session(spec)


def simulate(seed: int, scenario: Scenario | None = None) -> Outcome:
    """Live through one seed under the checker. Raises `WorldFailed` with the seed and what happened."""
    return World(seed, scenario).run()


def replayed(outcome: Outcome) -> tuple[Step, ...]:
    """The same events at the same times through a fresh session: the steps must be the same, byte for byte (14)."""
    session = new_session(outcome.seed, outcome.scenario)
    steps: list[Step] = []
    for step in outcome.steps:
        effects = session.start() if step.event is None else session.handle(step.event, step.now_ns)
        steps.append(Step(step.event, step.now_ns, tuple(effects)))
    return tuple(steps)


if __name__ == "__main__":
    from parley.testing.simulate_cli import main

    main()
