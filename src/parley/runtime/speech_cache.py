"""Synthesizers that keep what they have said: the same clause in the same voice is played from a file.

Laws:
- Only speech that would be made again exactly so is kept: that of engines that are `deterministic` (or that the owner names), which say
  what their sound depends on (`Fingerprinted`), and which do not speak by the conversation (`conversational`).
- Sessions that want the same clause at once share one synthesis (`SharedSpeech`). Of processes that share the folder, one prepares a
  clause and the others wait for its file, `CLAIM_WAIT_S` at most and only while they speak for no session. What a session wants waits for
  no other process: its own engine is heard before another's file is whole.
- The cache is never the reason that a reply fails: where the folder fails, a warning is logged and the engine speaks, and the folder is
  tried again later.
- What is prepared before anyone wants it (`PREPARING`) waits for a moment in which nothing is spoken.

Keys are digests of the text as the engine is given it (numbers in words already, where it needs that), its language and speed, the engine
with its options and Parley's version, and the engine's fingerprint.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar, cast

from parley import __version__
from parley.engines.ports import (
    ClonesVoices,
    EngineError,
    EngineSpec,
    Fingerprinted,
    NeedsConsent,
    ReadsVoices,
    SpeechChunk,
    SpeechRequest,
    SpeechSynthesizer,
    VoiceDescription,
    VoiceSample,
    VoicesByLanguage,
    VoiceTensor,
    describe_voice,
)
from parley.errors import ParleyError
from parley.runtime.engine_front import EngineFront
from parley.runtime.engine_results import checked_chunk
from parley.runtime.faults import named
from parley.runtime.generation.streams import closing
from parley.runtime.shared_speech import SharedSpeech
from parley.runtime.speaking_now import SpeakingNow
from parley.runtime.speech_claims import SpeechClaim
from parley.runtime.speech_files import FolderUsage, SpeechFiles, StoredSpeech, joined

logger = logging.getLogger(__name__)

T = TypeVar("T")

PREPARING: Final = object()
"""`SpeechRequest.share` of speech that nobody waits for."""

DISK_WAIT_S: Final = 0.5
"""A folder that answers no sooner is slower than most engines."""

REST_S: Final = 60.0
"""How long a folder that has failed is left alone."""

CLAIM_WAIT_S: Final = 30.0
"""How long preparing a clause waits for another process that speaks it: longer than a clause takes on a busy machine; one that takes
longer hangs."""

CLAIM_CHECK_S: Final = 0.05
"""How often it looks whether the other process is done."""

MAX_STORING: Final = 32
"""Clauses that wait for a slow disk; further ones are not kept."""

MAX_FINGERPRINTS: Final = 512
"""Voices are named by clients, mixes among them."""


@dataclass(slots=True)
class SpeechCacheCounts:
    """Clauses that came from a file, from another session's synthesis, and from the engine; failures of the folder; files removed to make
    room."""

    hits: int = 0
    shared: int = 0
    misses: int = 0
    failures: int = 0
    removed: int = 0


class SpeechCache:
    """One folder of speech for all synthesizers of a server. Call `open()`, wrap each synthesizer with `cached()`, end with `close()`.

    `varying` names engines whose speech is kept although it differs each time.
    """

    def __init__(
        self, files: SpeechFiles, varying: Collection[str] = (), clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.counts = SpeechCacheCounts()
        self.usage = FolderUsage(0, 0)
        self.quiet = SpeakingNow()
        self.varying = frozenset(varying)
        self.shared: dict[str, SharedSpeech] = {}
        """What is being spoken, by key."""
        self._files = files
        self._clock = clock
        self._threads = ThreadPoolExecutor(2, "speech-cache")
        self._storing: set[asyncio.Task[None]] = set()
        self.closed = False
        self._opened = False
        self._rests_until = 0.0
        self._warned = False

    async def open(self) -> None:
        """Prepare the folder; one that cannot be used is warned of."""
        await self._asked(self._files.trim, limit_s=None)

    def cached(self, engine: SpeechSynthesizer, spec: EngineSpec) -> CachedSynthesizer:
        """The synthesizer, with the cache in front of it. `spec` is what it was made of."""
        return CachedSynthesizer(engine, spec, self)

    async def take(self, key: str) -> StoredSpeech | SpeechClaim | None:
        """The kept speech, or else the claim to speak it; None where the folder is not used. Give claims to `store()` or `release()`.

        Waits while another process speaks it, and this one speaks for no session.
        """
        until = self._clock() + CLAIM_WAIT_S
        while True:
            found = await self._asked(partial(self._files.take, key))
            elsewhere = isinstance(found, SpeechClaim) and found.elsewhere
            if not elsewhere or self._clock() >= until or self.quiet.speaking:
                return found
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLAIM_CHECK_S):
                    await self.quiet.busy.wait()

    def store(self, key: str, chunks: list[SpeechChunk], claim: SpeechClaim | None) -> asyncio.Task[None] | None:
        """Keep what was spoken and release its claim, beside everything else; None where it is not kept, and the claim not released."""
        rates = {chunk.sample_rate for chunk in chunks}
        if len(rates) != 1 or len(self._storing) >= MAX_STORING:
            return None
        task = asyncio.create_task(self._store(key, chunks, rates.pop(), claim))
        self._storing.add(task)
        task.add_done_callback(self._storing.discard)
        return task

    async def _store(self, key: str, chunks: list[SpeechChunk], rate: int, claim: SpeechClaim | None) -> None:
        speech = StoredSpeech(joined([chunk.audio for chunk in chunks]), rate, chunks[-1].words)
        try:
            usage = await self._asked(partial(self._files.store, key, speech), limit_s=None)
        finally:
            await self.release(claim)
        if usage is not None:
            self.usage = usage
            self.counts.removed += usage.removed

    async def release(self, claim: SpeechClaim | None) -> None:
        """Let other processes speak the clause."""
        if claim is not None and not self.closed:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(DISK_WAIT_S):
                    await self._in_thread(claim.release)

    async def _asked(self, call: Callable[[], T], limit_s: float | None = DISK_WAIT_S) -> T | None:
        """What the folder answers; None where it fails, or rests after that."""
        if self.closed or self._clock() < self._rests_until:
            return None
        try:
            async with asyncio.timeout(limit_s):
                if not self._opened:
                    await self._in_thread(self._files.open)
                    self._opened = True
                answer = await self._in_thread(call)
        except (OSError, ParleyError) as error:  # a TimeoutError is an OSError
            self._failed(error)
            return None
        if isinstance(answer, FolderUsage):
            self.usage, self._warned = answer, False
        return answer

    def _failed(self, error: Exception) -> None:
        self._opened = False  # it is looked at anew before it is used again
        self._rests_until = self._clock() + REST_S
        self.counts.failures += 1
        if not self._warned:
            self._warned = True
            why = str(error) or f"it did not answer within {DISK_WAIT_S:g} s"
            logger.warning(
                "The speech cache cannot use %s: %s. Everything is spoken without it; it is tried again every %g s.",
                self._files.folder,
                why.rstrip("."),
                REST_S,
            )

    async def _in_thread(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    async def settled(self, limit_s: float) -> None:
        """Wait until what was spoken is stored, at most so long."""
        if self._storing:
            await asyncio.wait(self._storing, timeout=limit_s)

    async def close(self) -> None:
        """Store what is still to be stored; nothing is kept or found from now on."""
        await self.settled(DISK_WAIT_S)
        self.closed = True
        self._threads.shutdown(wait=False, cancel_futures=True)


class CachedSynthesizer(EngineFront[SpeechSynthesizer]):
    """A `SpeechSynthesizer` with a cache in front of it."""

    def __init__(self, engine: SpeechSynthesizer, spec: EngineSpec, cache: SpeechCache) -> None:
        super().__init__(engine)
        self._cache = cache
        self._name = f"{spec.name}:{spec.model}" if spec.model else spec.name
        self._identity = f"{__version__}\n{self._name}\n{spec.options!r}"
        self._varies = spec.name not in cache.varying
        self._fingerprints: dict[tuple[str, str], str] = {}

    def why_not(self) -> str:
        """Why nothing of this engine is kept, as the end of a sentence; "" where it is."""
        info = self.engine.info
        if info.conversational:
            return "it speaks by what was said before"
        if not isinstance(self.engine, Fingerprinted):
            return "it does not say what its sound depends on"
        if not info.deterministic and self._varies:
            return "it may speak differently each time; name it in speech_cache.varying to keep it nevertheless"
        return ""

    async def open(self) -> None:
        await super().open()
        if why := self.why_not():
            logger.info("Speech cache: nothing of the engine %s is kept: %s.", self._name, why)
        else:
            await self._fingerprint("", "")

    async def close(self) -> None:
        self._fingerprints.clear()
        await super().close()

    def resolve_voice(self, voice: str, language: str = "") -> str | None:
        return self.engine.resolve_voice(voice, language)

    def voice_in(self, voice: str, language: str) -> str | None:
        if isinstance(self.engine, VoicesByLanguage):
            return self.engine.voice_in(voice, language)
        return voice if self.engine.resolve_voice(voice, language) is not None else None

    def describe_voice(self, voice: str) -> VoiceDescription:
        return describe_voice(self.engine, voice)

    # --- the user's own voices: the engine's names of them hold their digests

    @property
    def clones(self) -> bool:
        return isinstance(self.engine, ClonesVoices) and self.engine.clones

    @property
    def needs_consent(self) -> bool:
        return isinstance(self.engine, NeedsConsent) and self.engine.needs_consent

    @property
    def needs_text(self) -> bool:
        return isinstance(self.engine, ClonesVoices) and self.engine.needs_text

    async def clone_voice(self, sample: VoiceSample) -> str:
        return await cast(ClonesVoices, self.engine).clone_voice(sample)

    @property
    def reads_tensors(self) -> bool:
        return isinstance(self.engine, ReadsVoices) and self.engine.reads_tensors

    def tensor_language(self, name: str) -> str:
        return cast(ReadsVoices, self.engine).tensor_language(name)

    async def read_voice(self, tensor: VoiceTensor) -> str:
        return await cast(ReadsVoices, self.engine).read_voice(tensor)

    async def speak(self, request: SpeechRequest) -> AsyncIterator[SpeechChunk]:
        """Stream the clause: from its file, with whoever is being told the same, or as the engine speaks it (see the port)."""
        quiet = self._cache.quiet if request.share is not PREPARING else None
        if quiet is not None:
            quiet.began()
        key, shared = "", None
        try:
            key = await self._key(request)
            if key:
                shared = self._shared(key, request)
            async with closing(self.engine.speak(request) if shared is None else shared.listen()) as chunks:
                async for chunk in chunks:
                    yield chunk
        finally:
            if shared is not None and shared.abandoned:
                self._forget(key, shared)
            if quiet is not None:
                quiet.ended()

    async def _key(self, request: SpeechRequest) -> str:
        """The digest of what the sound of this request depends on; "" where it is not kept."""
        if not request.text.strip() or self._cache.closed or self.why_not():
            return ""
        fingerprint = await self._fingerprint(request.voice, request.language)
        if fingerprint is None:
            return ""
        parts = [self._identity, fingerprint, request.text, request.language, repr(float(request.speed))]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    async def _fingerprint(self, voice: str, language: str) -> str | None:
        """None where the engine refuses the voice, which it then says itself, or a file cannot be read."""
        found = self._fingerprints.get((voice, language))
        if found is not None or not isinstance(self.engine, Fingerprinted):
            return found
        try:
            found = await asyncio.to_thread(self.engine.fingerprint, voice, language)
        except EngineError:
            return None
        except OSError as error:
            logger.warning("Speech cache: %s cannot be kept: %s", self._name, error)
            return None
        if len(self._fingerprints) >= MAX_FINGERPRINTS:
            self._fingerprints.clear()
        self._fingerprints[voice, language] = found
        return found

    def _shared(self, key: str, request: SpeechRequest) -> SharedSpeech:
        shared = self._cache.shared
        there = shared.get(key)
        if there is not None and not there.abandoned:
            self._cache.counts.shared += 1
            return there
        made = shared[key] = SharedSpeech(self._kept_or_spoken(key, request))
        return made

    async def _kept_or_spoken(self, key: str, request: SpeechRequest) -> AsyncGenerator[SpeechChunk, None]:
        cache, mine = self._cache, self._cache.shared[key]
        claim = storing = None
        try:
            found = await cache.take(key)
            if isinstance(found, StoredSpeech):
                cache.counts.hits += 1
                for chunk in found.pieces():
                    yield chunk
                return
            claim = found
            cache.counts.misses += 1
            who = named("The speech synthesizer", self.engine)
            async with closing(self.engine.speak(request)) as chunks:
                async for given in chunks:
                    yield checked_chunk(given, who)
            storing = cache.store(key, mine.chunks, claim)
        finally:
            if storing is None:
                self._forget(key, mine)
                await cache.release(claim)
            else:
                storing.add_done_callback(lambda _: self._forget(key, mine))

    def _forget(self, key: str, mine: SharedSpeech) -> None:
        if self._cache.shared.get(key) is mine:
            del self._cache.shared[key]


async def spoken(engine: SpeechSynthesizer, request: SpeechRequest) -> None:
    """Have it spoken for nobody."""
    async with closing(engine.speak(request)) as chunks:
        async for _ in chunks:
            pass
