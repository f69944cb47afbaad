"""The session that a seed stands for: its settings, the owner's settings, and the traits of its user and its engines.

Laws: drawn from the seed's generator alone; rare kinds (failing engines, paced playback, transcription) are frequent enough that a
thousand seeds contain dozens of each.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Literal

from parley.core.words.filler_phrases import FillerPhrases, Fillers
from parley.core.words.settings import (
    UNSTABLE_WORDS,
    AudioFormat,
    Capabilities,
    OwnerSettings,
    SemanticVad,
    ServerVad,
    Settings,
    Transcription,
    TurnDetection,
)
from parley.testing.actors.odd_requests import CLOCK, WEATHER
from parley.testing.actors.reply_engines import ReplyEngineTraits
from parley.testing.actors.simulated_user import UserTraits
from parley.testing.actors.speech_engines import SpeechEngineTraits
from parley.testing.actors.tool_servers import ANSWERING, LIBRARY, OPEN_LIBRARY, ToolServerTraits

FILLERS = Fillers((FillerPhrases("", ("One moment, please.", "I am looking.")),), 300, 700, 3)
"""For sessions whose engines are slow."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """A session before it begins, with its surroundings. `ends` says how it ends."""

    settings: Settings
    owner: OwnerSettings
    capabilities: Capabilities
    playback: Literal["remote", "paced"]
    speech_engines: SpeechEngineTraits
    reply_engines: ReplyEngineTraits
    user: UserTraits
    tools: ToolServerTraits = ANSWERING
    ends: Literal["quiet", "hangs_up", "winds_down"] = "quiet"

    @classmethod
    def drawn(cls, rng: random.Random) -> Scenario:
        """Draw a scenario at random."""
        faults = rng.choice([0.0, 0.0, 0.15])
        scenario = cls(
            settings=_settings(rng),
            owner=OwnerSettings(
                speculation=rng.random() < 0.5,
                speculate_after_ms=rng.choice([100, 200, 350]),
                barge_in=rng.choice(["immediate", "immediate", "confirmed"]),
                resume_false_stops=rng.random() < 0.7,
                context_tokens=(context := rng.choice([32_000, 32_000, 200, 120])),
                compaction=context == 120,
                responses_per_minute=rng.choice([600, 600, None, 4]),
                session_ms=8_000 if rng.random() < 0.03 else 3_600_000,
            ),
            capabilities=Capabilities(
                images=(rich := rng.random() < 0.5),
                conversational=rich,
                voices=("alloy", "marin"),
                models=("parley",),
                tool_server_urls=("*",),
            ),
            playback="paced" if rng.random() < 0.3 else "remote",
            speech_engines=_speech_engines(rng, faults),
            reply_engines=_reply_engines(rng, faults),
            user=_user(rng),
            tools=_tool_servers(rng, faults),
            ends=rng.choice(["quiet", "quiet", "quiet", "hangs_up", "winds_down"]),
        )
        if scenario.reply_engines.first_delay_ms > 500 or scenario.speech_engines.transcript_delay_ms > 500:
            # No draw: a seed's other scenarios stay what they were.
            scenario = replace(scenario, owner=replace(scenario.owner, fillers=FILLERS))
        if scenario.speech_engines.partials > 0.4:
            scenario = replace(scenario, settings=replace(scenario.settings, include=(UNSTABLE_WORDS,)))
        if not scenario.owner.compaction:
            return scenario
        # Only a long conversation is summed up, and only one with deletions shows whether its summary goes with them.
        user = replace(scenario.user, acts=scenario.user.acts + 4, types=0.4, odd_requests=0.5)
        return replace(scenario, user=user)

    def clean(self) -> Scenario:
        """The same without faults, noise and odd requests, so that every word must arrive."""
        return replace(
            self,
            speech_engines=replace(self.speech_engines, failing=0.0, silent=0.0, misbehaving=0.0, vad_error=0.0),
            tools=ANSWERING,
            reply_engines=replace(self.reply_engines, failing=0.0, silent=0.0, misbehaving=0.0, cut_short=0.0),
            user=replace(self.user, odd_requests=0.0, stalls=0.0, truncates_wrongly=0.0),
        )


def _settings(rng: random.Random) -> Settings:
    detection: TurnDetection | None = rng.choice(
        [
            ServerVad(silence_duration_ms=rng.choice([200, 350, 500])),
            ServerVad(silence_duration_ms=500, idle_timeout_ms=rng.choice([None, None, 5_000])),
            SemanticVad(rng.choice(["low", "high", "auto"])),
            ServerVad(interrupt_response=False, create_response=rng.random() < 0.8),
            None,
        ]
    )
    format = rng.choice([AudioFormat.PCM16, AudioFormat.PCM16, AudioFormat.PCMU])
    return Settings(
        kind="transcription" if rng.random() < 0.1 else "realtime",
        model="parley",
        instructions="Be kind.",
        modality="text" if rng.random() < 0.15 else "audio",
        voice="alloy",
        input_format=format,
        output_format=format if rng.random() < 0.8 else AudioFormat.PCMA,
        turn_detection=detection,
        transcription=Transcription("whisper") if rng.random() < 0.6 else None,
        tools=rng.choice([(), (), (WEATHER,), (WEATHER, CLOCK), (LIBRARY,), (WEATHER, OPEN_LIBRARY)]),
        parallel_tool_calls=rng.choice([None, None, False]),
    )


def _speech_engines(rng: random.Random, faults: float) -> SpeechEngineTraits:
    return SpeechEngineTraits(
        vad_delay_ms=rng.choice([5, 12, 30]),
        vad_error=rng.choice([0.0, 0.01, 0.05]),
        transcript_delay_ms=rng.choice([20, 120, 700]),
        partials=rng.random(),
        failing=faults,
        silent=faults * 0.3,
        misbehaving=faults * 2,
        judge_delay_ms=rng.choice([15, 80, 400]),
        judge_silent=faults,
        hears_endings=rng.choice([0.0, 0.0, 0.7]),
    )


def _reply_engines(rng: random.Random, faults: float) -> ReplyEngineTraits:
    return ReplyEngineTraits(
        first_delay_ms=rng.choice([30, 200, 900]),
        clauses=rng.randint(1, 4),
        real_time_factor=rng.choice([0.05, 0.4, 1.3]),
        chunk_ms=rng.choice([60, 120, 400]),
        timed_words=rng.random() < 0.5,
        tools=0.4,
        failing=faults,
        silent=faults * 0.3,
        cut_short=faults,
        misbehaving=faults * 2,
    )


def _tool_servers(rng: random.Random, faults: float) -> ToolServerTraits:
    return ToolServerTraits(
        delay_ms=rng.choice([20, 300, 2_000]), failing=faults * 2, silent=faults * 0.3, misbehaving=faults * 2
    )


def _user(rng: random.Random) -> UserTraits:
    return UserTraits(
        acts=rng.randint(1, 7),
        chunk_ms=rng.choice([100, 100, 200, 20]),
        odd_chunks=rng.random() < 0.1,
        hesitates=rng.random() * 0.6,
        coughs=rng.choice([0.0, 0.1]),
        backchannels=rng.choice([0.0, 0.15]),
        interrupts=rng.random(),
        types=rng.choice([0.0, 0.2]),
        odd_requests=rng.choice([0.0, 0.2, 0.5]),
        truncates=rng.choice([0.0, 0.8]),
        truncates_wrongly=rng.choice([0.0, 0.3]),
        stalls=rng.choice([0.0, 0.1]),
        changes_pipeline=0.2,
        asks=rng.choice([0.0, 0.0, 0.5]),
    )
