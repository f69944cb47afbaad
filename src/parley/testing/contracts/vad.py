"""The contract of voice activity models."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from parley.engines.ports import VAD, Samples, VoiceActivityModel
from parley.testing.contracts.base import MANY, EngineContract, Subject
from parley.testing.contracts.material import SENTENCES, noise, odd_audio, silence, speech

Scores = list[float]


class VoiceActivityContract(EngineContract[VoiceActivityModel, Scores]):
    """For a `VoiceActivityModel`. An answer is the scores of one stream's frames."""

    stage = VAD
    audio = True

    def frames(self, engine: VoiceActivityModel, audio: Samples) -> NDArray[np.float32]:
        size = engine.frame_samples
        return audio[: len(audio) // size * size].reshape(-1, size)

    def heard(self, engine: VoiceActivityModel, number: int) -> NDArray[np.float32]:
        rate = engine.info.sample_rate
        audio = (
            speech(SENTENCES[number], rate) if number % 4 else np.concatenate([noise(0.3, rate), silence(0.3, rate)])
        )
        return self.frames(engine, audio)

    def scores(self, engine: VoiceActivityModel, frames: NDArray[np.float32]) -> Scores:
        slot = engine.allocate()
        try:
            return [float(self.scored(engine, [slot], frame[None])[0]) for frame in frames]
        finally:
            engine.release(slot)

    def scored(self, engine: VoiceActivityModel, slots: list[int], frames: NDArray[np.float32]) -> NDArray[np.float32]:
        made = engine.score(slots, frames)
        assert isinstance(made, np.ndarray)
        assert made.dtype == np.float32, f"scores are float32, not {made.dtype}"
        assert made.shape == (len(slots),), f"one score for each slot, not {list(made.shape)}"
        assert np.isfinite(made).all(), "a score is NaN or infinite"
        assert ((made >= 0) & (made <= 1)).all(), "a score is no probability"
        return made

    async def answer(self, engine: VoiceActivityModel, number: int) -> Scores:
        return self.scores(engine, self.heard(engine, number))

    def check(self, engine: VoiceActivityModel, answer: Scores) -> None:
        assert answer

    def same(self, one: Scores, other: Scores) -> bool:
        return len(one) == len(other) and bool(np.allclose(one, other, rtol=0, atol=1e-4))

    def test_speech_scores_higher_than_silence(self, subject: Subject[VoiceActivityModel]) -> None:
        engine = subject.engine
        spoken = self.scores(engine, self.frames(engine, speech(SENTENCES[1], engine.info.sample_rate)))
        quiet = self.scores(engine, self.frames(engine, silence(1, engine.info.sample_rate)))
        assert np.mean(spoken) > np.mean(quiet) + 0.2
        assert max(quiet) < 0.5, "silence is no voice"

    @pytest.mark.parametrize("kind", odd_audio(8_000))
    def test_odd_audio_gets_probabilities(self, subject: Subject[VoiceActivityModel], kind: str) -> None:
        self.scores(subject.engine, self.frames(subject.engine, odd_audio(subject.engine.info.sample_rate)[kind]))

    def test_streams_in_any_mixture_are_scored_as_if_alone(self, subject: Subject[VoiceActivityModel]) -> None:
        """Sessions do not tick together: any of them, in any order, in one batch."""
        engine = subject.engine
        heard = [self.heard(engine, number)[:12] for number in range(MANY)]
        alone = [self.scores(engine, frames) for frames in heard]
        slots = [engine.allocate() for _ in heard]
        assert len(set(slots)) == MANY, "two streams have one slot"
        together: list[Scores] = [[] for _ in heard]
        rng = np.random.default_rng(5)
        while left := [n for n in range(MANY) if len(together[n]) < len(heard[n])]:
            chosen = rng.permutation(left)[: rng.integers(1, len(left) + 1)].tolist()
            batch = np.stack([heard[n][len(together[n])] for n in chosen])
            scores = self.scored(engine, [slots[n] for n in chosen], batch)
            for n, score in zip(chosen, scores, strict=True):
                together[n].append(float(score))
        for slot in slots:
            engine.release(slot)
        if engine.info.deterministic:
            for number, (one, other) in enumerate(zip(alone, together, strict=True)):
                assert self.same(one, other), f"stream {number} is scored otherwise beside others"

    def test_a_slot_that_is_reset_or_reused_remembers_nothing(self, subject: Subject[VoiceActivityModel]) -> None:
        engine = subject.engine
        frames = self.heard(engine, 1)[:12]
        fresh = self.scores(engine, frames)
        slot = engine.allocate()
        for frame in self.heard(engine, 2):
            engine.score([slot], frame[None])
        engine.reset(slot)
        reset = [float(engine.score([slot], frame[None])[0]) for frame in frames]
        engine.release(slot)
        if engine.info.deterministic:
            assert self.same(fresh, reset), "reset() leaves something of the earlier audio"
            assert self.same(fresh, self.scores(engine, frames)), "a slot that was released remembers its stream"

    def test_slots_grow_and_are_given_back(self, subject: Subject[VoiceActivityModel]) -> None:
        engine = subject.engine
        for _ in range(3):
            slots = [engine.allocate() for _ in range(300)]
            assert len(set(slots)) == 300
            frames = np.zeros((300, engine.frame_samples), np.float32)
            self.scored(engine, slots, frames)
            for slot in slots:
                engine.release(slot)

    def test_no_streams_get_no_scores(self, subject: Subject[VoiceActivityModel]) -> None:
        self.scored(subject.engine, [], np.zeros((0, subject.engine.frame_samples), np.float32))
