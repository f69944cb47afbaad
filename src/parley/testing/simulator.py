"""A seeded simulation on fake time: a session, its user and engines, and the checker.

Laws: a seed gives one sequence of events, byte for byte; the shell is simulated faithfully (events in order, one timer that honours
`next_deadline`, every effect performed); a failure names its seed and shows the timeline.

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
    AbandonSummary,
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
    Summarize,
    Tell,
    Transcribe,
    UsePipeline,
)
from parley.core.words.errors import InvariantBroken
from parley.core.words.events import Event, LinkClosed, TimePassed, WindDownRequested
from parley.testing.actors.pipelines import SimulatedPipelines
from parley.testing.actors.reply_engines import Model, SimulatedLoudspeaker
from parley.testing.actors.simulated_user import SimulatedUser
from parley.testing.actors.speech_engines import Judge, Recogniser, VoiceDetector
from parley.testing.actors.tool_servers import ToolServer
from parley.testing.actors.world import MicrophoneSound
from parley.testing.both_dialects import BothDialects
from parley.testing.checker import Checker, CheckFailed
from parley.testing.rules.base import Step
from parley.testing.scenarios import Scenario
from parley.testing.timeline import render

START_NS = 1_000_000_000_000
"""The time at which every simulation starts; not zero, so that a time taken from elsewhere is noticed."""

LONGEST_NS = 15 * 60 * 1_000_000_000
"""The longest simulated session; one that lasts longer has no end."""

MOST_TIMERS_AT_ONCE = 20
"""The most timers at one moment; more mean that the timer never makes progress."""


class SimulationFailed(AssertionError):
    """A seed with which a law was broken, with the law and the timeline."""

    def __init__(self, seed: int, law: str, what: str, timeline: str) -> None:
        super().__init__(
            f"seed {seed}: {what}\n(read it: python -m parley.testing.simulator --seeds {seed}:{seed + 1} --show)\n\n{timeline}"
        )
        self.seed = seed
        self.law = law
        self.what = what


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a seed."""

    seed: int
    scenario: Scenario
    steps: tuple[Step, ...]
    counts: Counter[str]
    simulated_s: float

    @property
    def digest(self) -> str:
        """A hash of all events and effects: two runs of one seed have the same."""
        digest = blake2b(digest_size=16)
        for step in self.steps:
            digest.update(repr(step).encode())
        return digest.hexdigest()

    def timeline(self, *, inner: bool = True) -> str:
        """The events and effects as text."""
        return render(self.steps, START_NS, inner=inner)


class Simulation:
    """One session with its user and its engines. Call `run` once."""

    def __init__(self, seed: int, scenario: Scenario | None = None) -> None:
        self.seed = seed
        self.rng = random.Random(seed)
        self.scenario = scenario = scenario or Scenario.drawn(self.rng)
        self.now_ns = START_NS
        self.counts: Counter[str] = Counter()
        self.steps: list[Step] = []
        self.session = new_session(seed, scenario)
        self.checker = Checker(scenario.settings, scenario.owner, scenario.capabilities, scenario.playback)
        self._dialects = BothDialects()
        self._due: list[tuple[int, int, Callable[[], None]]] = []
        self._count = 0
        self._armed: int | None = None
        self._timer_count = 0
        self._timer_ns = 0
        self.sound = sound = MicrophoneSound()
        self.user = SimulatedUser(self, sound, scenario.user, scenario.settings)
        self._voice = VoiceDetector(self, sound, scenario.speech_engines)
        self._recogniser = Recogniser(self, sound, scenario.speech_engines)
        self._judge = Judge(self, scenario.speech_engines)
        self._model = Model(self, scenario.reply_engines)
        self._tools = ToolServer(self, scenario.tools)
        self._pipelines = SimulatedPipelines(self, scenario.settings, scenario.owner, scenario.capabilities)
        self._loudspeaker = SimulatedLoudspeaker(self)

    # --- what actors use

    def at(self, delay_ms: float, act: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._due, (self.now_ns + int(delay_ms * 1e6), self._count, act))

    def post(self, event: Event) -> None:
        if self.session.closed and not isinstance(event, LinkClosed):
            self.counts["after the end"] += 1
        self._step(event, self.session.handle(event, self.now_ns))

    # --- the run

    def run(self) -> Outcome:
        """Simulate the session to its end. Raises `SimulationFailed`."""
        try:
            self._simulate()
        except (CheckFailed, InvariantBroken) as error:
            law = error.law if isinstance(error, CheckFailed) else "inside"
            raise SimulationFailed(self.seed, law, str(error), self._tail()) from error
        except Exception as error:
            raise SimulationFailed(self.seed, "raised", f"{type(error).__name__}: {error}", self._tail()) from error
        self.counts.update(self.checker.attempts.seen)
        return Outcome(self.seed, self.scenario, tuple(self.steps), self.counts, (self.now_ns - START_NS) / 1e9)

    def _simulate(self) -> None:
        self._step(None, self.session.start())
        self.user.begin()
        if self.scenario.ends != "quiet":
            self.at(self.rng.random() * 12_000, self._end_session)
        self._run_until_quiet()
        if self.session.closed:
            self.checker.finish(quiet=False)
            return
        self._check_quiet()
        self.checker.finish(quiet=True)
        self.user.disconnect()
        self.post(LinkClosed("the end"))
        self.post(TimePassed())
        self.checker.finish(quiet=False)

    def _end_session(self) -> None:
        if self.scenario.ends == "winds_down":
            self.post(WindDownRequested())
            return
        self.user.disconnect()
        self.post(LinkClosed("the client is gone"))

    def _run_until_quiet(self) -> None:
        while self._due or not self._quiet():
            due_ns = self._due[0][0] if self._due else START_NS + 2 * LONGEST_NS
            if self._armed is not None and self._armed <= due_ns:
                self._fire_timer(self._armed)
                continue
            self.now_ns = max(self.now_ns, due_ns)
            heapq.heappop(self._due)[2]()

    def _quiet(self) -> bool:
        """Whether only the session's expiry, or another idle timeout, is left."""
        expiry = START_NS + self.scenario.owner.session_ms * 1_000_000
        if self._armed is None or (self._armed == expiry and expiry > START_NS + LONGEST_NS):
            return True
        return not self.checker.busy and (self._armed == expiry or self._has_idle_timeout())

    def _has_idle_timeout(self) -> bool:
        detection = self.session.settings.turn_detection
        return getattr(detection, "idle_timeout_ms", None) is not None

    def _fire_timer(self, due_ns: int) -> None:
        self.now_ns = max(self.now_ns, due_ns)
        self._timer_count = self._timer_count + 1 if self._timer_ns == self.now_ns else 0
        self._timer_ns = self.now_ns
        self.counts["timers"] += 1
        if self._timer_count > MOST_TIMERS_AT_ONCE:
            raise CheckFailed(
                "liveness",
                f"the timer fires again and again at {(self.now_ns - START_NS) / 1e9:.3f} s without progress",
            )
        if self.now_ns - START_NS > LONGEST_NS:
            raise CheckFailed("liveness", "the session never becomes idle")
        self._armed = None
        self.post(TimePassed())

    def _check_quiet(self) -> None:
        deadline = self.session.next_deadline()
        expiry = START_NS + self.scenario.owner.session_ms * 1_000_000
        if deadline not in (None, expiry) and not self._has_idle_timeout():
            raise CheckFailed("liveness", f"nothing is running, and the session still waits for {deadline}")

    # --- the shell

    def _step(self, event: Event | None, effects: list[Effect]) -> None:
        self.steps.append(Step(event, self.now_ns, tuple(effects)))
        self.checker.on_step(event, self.now_ns, effects)
        self._dialects.on_step(event, effects)
        for effect in effects:
            self._perform(effect)
        self._armed = self.session.next_deadline()

    def _perform(self, effect: Effect) -> None:
        match effect:
            case Tell(notice=notice):
                self.user.receive(notice)
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
            case Summarize():
                self._model.summarize(effect)
            case AbandonSummary(summary=summary):
                self._model.abandon(summary)
            case ListTools():
                self._tools.list_tools(effect)
            case CallTool():
                self._tools.call(effect)
            case AbandonListing() | AbandonCall():
                self.counts["MCP requests abandoned"] += 1
            case ReleaseServer():
                self.counts["MCP servers released"] += 1
            case FindPipeline():
                self._pipelines.find(effect)
            case UsePipeline():
                self.counts["pipelines changed"] += 1
            case Play():
                self._loudspeaker.play(effect)
            case StopPlayback():
                self._loudspeaker.stop()
            case CloseLink():
                self.user.disconnect()
                self.counts["closed by the server"] += 1
            case _:
                assert_never(effect)

    def _tail(self) -> str:
        lines = render(self.steps, START_NS).splitlines()
        return "\n".join(["..."] * (len(lines) > 60) + lines[-60:])


def new_session(seed: int, scenario: Scenario) -> Session:
    """The session of a scenario."""
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
    """Simulate one seed under the checker. Raises `SimulationFailed` with the seed and the timeline."""
    return Simulation(seed, scenario).run()


def replayed(outcome: Outcome) -> tuple[Step, ...]:
    """The steps of a fresh session that gets the same events at the same times; they must be equal, byte for byte (14)."""
    session = new_session(outcome.seed, outcome.scenario)
    steps: list[Step] = []
    for step in outcome.steps:
        effects = session.start() if step.event is None else session.handle(step.event, step.now_ns)
        steps.append(Step(step.event, step.now_ns, tuple(effects)))
    return tuple(steps)


if __name__ == "__main__":
    from parley.testing.simulate_cli import main

    main()
