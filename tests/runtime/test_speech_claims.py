"""Processes that share a folder of speech prepare each clause once, and no listener waits for another process."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from parley.engines.kept_files import STALE_S
from parley.engines.ports import EngineSpec, SpeechRequest
from parley.runtime.generation.streams import closing
from parley.runtime.speech_cache import CLAIM_WAIT_S, PREPARING, CachedSynthesizer, SpeechCache, spoken
from parley.runtime.speech_claims import SpeechClaim, claim
from parley.runtime.speech_files import LOCK, SpeechFiles, StoredSpeech
from tests.runtime.rig import WAIT_S
from tests.runtime.test_speech_cache import Kitchen, Voice, kitchen, stored

__all__ = ["kitchen"]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="without flock every process speaks for itself")

PHRASE = SpeechRequest("Good morning to you", "alloy", "en", share=PREPARING)
PROCESS_S = 30.0
"""For a process to start on a busy machine."""


class Process:
    """A process of `tests.runtime.speech_owner`."""

    def __init__(self, running: asyncio.subprocess.Process) -> None:
        self.running = running
        assert running.stdin is not None
        assert running.stdout is not None
        self._stdin, self._stdout = running.stdin, running.stdout

    async def line(self) -> str:
        return (await asyncio.wait_for(self._stdout.readline(), PROCESS_S)).decode().strip()

    def go_on(self) -> None:
        self._stdin.write(b"\n")


@asynccontextmanager
async def process(mode: str, folder: Path, *phrases: str) -> AsyncIterator[Process]:
    pipe = asyncio.subprocess.PIPE
    running = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.runtime.speech_owner", mode, str(folder), *phrases, stdin=pipe, stdout=pipe
    )
    try:
        yield Process(running)
    finally:
        with suppress(ProcessLookupError):
            running.kill()
        await running.wait()


@asynccontextmanager
async def owner(tmp_path: Path) -> AsyncIterator[Process]:
    """A process in the middle of speaking `PHRASE`."""
    async with process("hold", tmp_path, PHRASE.text) as other:
        assert await other.line() == "speaking"
        yield other


class WatchedFiles(SpeechFiles):
    """The folder; `refused` is set once a claim was another process's."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, 1 << 24)
        self.refused = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def take(self, key: str) -> StoredSpeech | SpeechClaim:
        found = super().take(key)
        if isinstance(found, SpeechClaim) and found.elsewhere:
            self._loop.call_soon_threadsafe(self.refused.set)
        return found


async def waiter(kitchen: Kitchen, voice: Voice) -> tuple[SpeechCache, CachedSynthesizer, asyncio.Task[None]]:
    """A process (this one) that prepares what the owner speaks, and has found that it is spoken."""
    files = WatchedFiles(kitchen.folder)
    cache = SpeechCache(files, (), kitchen.clock)
    await cache.open()
    kitchen.open.append(cache)
    engine = cache.cached(voice, EngineSpec("fake"))
    await engine.open()
    preparing = asyncio.create_task(spoken(engine, PHRASE))
    await asyncio.wait_for(files.refused.wait(), WAIT_S)
    return cache, engine, preparing


async def test_what_another_process_prepares_is_waited_for_and_not_spoken_twice(
    kitchen: Kitchen, tmp_path: Path
) -> None:
    voice = Voice()
    async with owner(tmp_path) as other:
        cache, _, preparing = await waiter(kitchen, voice)
        other.go_on()
        await asyncio.wait_for(preparing, WAIT_S)
        assert await other.line() == "kept"
    assert not voice.requests
    assert cache.counts.hits == 1
    assert [path.suffix for path in kitchen.folder.iterdir()] == [".speech"]


async def test_a_listener_never_waits_for_another_process(kitchen: Kitchen, tmp_path: Path) -> None:
    voice = Voice()
    async with owner(tmp_path):
        cache, engine = await kitchen.voice(voice)
        await asyncio.wait_for(spoken(engine, replace(PHRASE, share=None)), WAIT_S)
        await stored(cache)
    assert len(voice.requests) == 1
    assert cache.counts.failures == 0


async def test_a_session_that_wants_what_is_waited_for_hears_it_at_once(kitchen: Kitchen, tmp_path: Path) -> None:
    voice = Voice()
    async with owner(tmp_path):
        _, engine, preparing = await waiter(kitchen, voice)
        await asyncio.wait_for(spoken(engine, replace(PHRASE, share=None)), WAIT_S)
        await asyncio.wait_for(preparing, WAIT_S)
    assert len(voice.requests) == 1


async def test_what_a_killed_process_was_speaking_is_spoken_by_the_one_that_waits(
    kitchen: Kitchen, tmp_path: Path
) -> None:
    voice = Voice()
    async with owner(tmp_path) as other:
        cache, _, preparing = await waiter(kitchen, voice)
        other.running.kill()
        await asyncio.wait_for(preparing, WAIT_S)
    assert len(voice.requests) == 1
    await stored(cache)
    assert [path.suffix for path in kitchen.folder.iterdir()] == [".speech"]


async def test_a_process_that_hangs_is_waited_for_so_long_and_no_longer(kitchen: Kitchen, tmp_path: Path) -> None:
    voice = Voice()
    async with owner(tmp_path):
        _, _, preparing = await waiter(kitchen, voice)
        assert not voice.requests
        kitchen.clock.now += CLAIM_WAIT_S
        await asyncio.wait_for(preparing, WAIT_S)
    assert len(voice.requests) == 1


async def test_processes_that_start_together_prepare_every_clause_once(tmp_path: Path) -> None:
    phrases = [f"Phrase number {number} is here." for number in range(20)]
    async with (
        process("prewarm", tmp_path, *phrases) as one,
        process("prewarm", tmp_path, *phrases) as two,
        process("prewarm", tmp_path, *phrases) as three,
    ):
        every = (one, two, three)
        assert [await other.line() for other in every] == ["ready"] * 3
        for other in every:
            other.go_on()
        spoken_by = [int(await other.line()) for other in every]
    assert sum(spoken_by) == len(phrases), spoken_by
    assert sorted(path.suffix for path in (tmp_path / "speech").iterdir()) == [".speech"] * len(phrases)


async def test_a_clause_that_nobody_wants_any_more_is_free_for_others(kitchen: Kitchen) -> None:
    _, engine = await kitchen.voice(Voice())
    async with closing(engine.speak(PHRASE)) as chunks:
        await anext(aiter(chunks))
        (lock,) = kitchen.folder.iterdir()
        assert claim(lock).elsewhere
    assert not any(kitchen.folder.iterdir())


def test_a_claim_is_one_processs_until_it_is_released_or_dropped(tmp_path: Path) -> None:
    path = tmp_path / f"{0:064x}{LOCK}"
    first = claim(path)
    assert (first.elsewhere, claim(path).elsewhere) == (False, True)
    first.release()
    first.release()
    assert not path.exists()
    assert not claim(path).elsewhere  # dropped
    assert not claim(path).elsewhere


def test_a_lock_file_that_its_owner_removed_meanwhile_is_not_taken_for_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between opening and locking it: whoever comes next would make another file, and have the claim too."""
    import fcntl

    path, lock = tmp_path / f"{5:064x}{LOCK}", fcntl.flock
    removed: list[Path] = []

    def removed_first(descriptor: int, operation: int) -> None:
        if not removed:
            removed.append(path)
            path.unlink()
        lock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", removed_first)
    mine = claim(path)
    assert not mine.elsewhere
    assert path.exists()
    assert claim(path).elsewhere
    mine.release()


def test_a_clause_that_was_kept_while_it_was_claimed_is_taken_from_its_file(tmp_path: Path) -> None:
    """Between looking for the file and having the claim, another process may have kept the clause."""
    key = f"{1:064x}"

    class Late(SpeechFiles):
        looked = 0

        def load(self, key: str) -> StoredSpeech | None:
            self.looked += 1
            found = super().load(key)
            if self.looked == 1:
                self.store(key, StoredSpeech(np.zeros(240, np.float32), 24_000))
            return found

    files = Late(tmp_path / "speech", 1 << 20)
    files.open()
    assert isinstance(files.take(key), StoredSpeech)
    assert [path.suffix for path in files.folder.iterdir()] == [".speech"]


def test_lock_files_of_processes_that_ended_are_removed_and_count_as_nothing(tmp_path: Path) -> None:
    files = SpeechFiles(tmp_path / "speech", 1 << 20)
    files.open()
    left = files.folder / f"{2:064x}{LOCK}"
    left.touch(mode=0o600)
    assert files.trim().files == files.usage().files == 0
    assert left.exists()
    old = time.time() - STALE_S - 1
    os.utime(left, (old, old))
    files.trim()
    assert not left.exists()
    left.touch(mode=0o600)
    assert files.clear().removed == 0
    assert not left.exists()


def test_where_no_lock_can_be_made_everyone_has_the_claim(tmp_path: Path) -> None:
    folder = tmp_path / f"{4:064x}{LOCK}"
    folder.mkdir()  # no file: opening it for writing fails
    assert not claim(folder).elsewhere
    assert folder.is_dir()
