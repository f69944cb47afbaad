"""Moshi and PersonaPlex servers: full-duplex speech models of Kyutai and NVIDIA, by their WebSocket protocol.

Laws:
- The model takes its turns itself; the session in front of it decides when the user's is over. A turn's audio is sent, then silence, and
  what the model says is the answer (see `moshi_answer`), until it pauses.
- The model computes one frame of 80 ms for each that it is given, so that its time is ours: it is fed as fast as it answers, with
  `AHEAD_FRAMES` on their way, and never slower than in real time. Between turns it is given nothing: it stands still, remembers, and costs
  nothing. Feeding it silence would make it talk to nobody.
- An answer that is closed closes its connection: what the model was still to say cannot be taken back, only cut off. The next turn begins
  a new conversation, which knows of the old one what `history_chars` puts into its prompt.
- Two sessions never share a connection. Most servers hold one conversation at a time, hence `max_sessions` 1: others wait their turn,
  and the connection of a session that pauses gives way.
- No tools: a reply that requires one is refused; tools that a reply may use are left out, which is logged.
- Errors name the server and the remedy; neither keys nor what was said is part of them, nor logged.

The protocol, as it was found in the public sources (kyutai-labs/moshi: `rust/protocol.md`, `rust/moshi-backend`, `moshi/moshi/server.py`,
`client/src`; NVIDIA/personaplex: `moshi/moshi/server.py`; livekit/agents: the plugin `nvidia.experimental.realtime`):
- A WebSocket at `/api/chat`, port 8998. Each message is binary; its first byte is its kind (`moshi_protocol.MessageKind`), the rest its
  payload. Unknown kinds are to be left out.
- The server begins with a handshake: the byte 0, in Rust with eight bytes behind it and after metadata. The servers in Python hold one
  conversation at a time: they take a second connection and keep it waiting for its handshake. PersonaPlex reads its prompts first, which
  takes seconds, and drops audio that comes before it is done.
- Audio goes both ways as one Ogg stream of Opus each, mono, 24 kHz, cut into messages anywhere. A frame of the model is 1,920 samples; its
  first answer comes two to four frames late.
- Text comes as UTF-8, a token or a part of a word each, with its space before it; the servers in Python send SentencePiece's pieces, bytes
  (`<0xE2>`) among them.
- PersonaPlex must be given `voice_prompt` (a file of its folder of voices) and `text_prompt`, which may be empty; it fails on `seed`. The
  server in Rust takes `text_temperature`, `text_topk`, `audio_temperature`, `audio_topk`, `text_seed`, `audio_seed` and others, and ends a
  conversation after 360 s; Kyutai's in Python takes none.
- There is no way to send text in a conversation, to stop the model, or to ask it for an answer.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import numpy as np

from parley.engines.ports import (
    ChatEnd,
    DialogueEvent,
    DialogueRequest,
    EngineError,
    EngineInfo,
    EngineRefused,
    EngineUnavailable,
)
from parley.engines.speech import moshi_opus
from parley.engines.speech.moshi_config import MoshiConfig, read_config
from parley.engines.speech.moshi_errors import MoshiFaults, MoshiLinkLost, prompt_too_long, tools_unsupported
from parley.engines.speech.moshi_link import MoshiLink, connect
from parley.engines.speech.moshi_links import MoshiLinks
from parley.engines.speech.moshi_opus import RATE
from parley.engines.speech.moshi_prompt import opening_prompt, standing_prompt
from parley.engines.speech.moshi_protocol import Query, address
from parley.engines.speech.moshi_talk import finder_for, talk
from parley.text.language_tags import primary_tag

if TYPE_CHECKING:
    import ssl

CHECK_S: Final = 5.0
"""How long `open()` waits for a handshake."""

logger = logging.getLogger(__name__)


def create(model: str, options: Mapping[str, object]) -> MoshiSpeechModel:
    """`moshi` for Kyutai's servers, `moshi:personaplex` for NVIDIA's; `moshi_config.read_config` has the options."""
    return MoshiSpeechModel(read_config(model, options))


class MoshiSpeechModel:
    """A `SpeechModel`: one server, shared by all sessions."""

    def __init__(self, config: MoshiConfig) -> None:
        self._config = config
        self._faults = MoshiFaults(config.endpoint)
        self._tls: ssl.SSLContext | None = None
        self._links: MoshiLinks | None = None
        self._warned: set[str] = set()

    @property
    def info(self) -> EngineInfo:
        config = self._config
        title = "PersonaPlex" if config.flavour == "personaplex" else "Moshi"
        return EngineInfo(
            stage="speech",
            name="moshi",
            summary=f"A full-duplex speech model: {title} at {self._faults.where}.",
            needs=("websockets", "av"),
            sample_rate=RATE,
            languages=config.languages,
            voices=tuple(config.voices),
        )

    async def open(self) -> None:
        """Begin a conversation and end it again. A server that is busy with another one is there, and will do.

        Raises `EngineUnavailable` with the remedy: the URL, the key, the certificate, the voice.
        """
        if self._links is not None:
            return
        config = self._config
        self._tls = await asyncio.to_thread(self._load)
        query = self._query(config.voice, standing_prompt((), config.prompt))
        try:
            link = await connect(self._faults, query, min(CHECK_S, config.handshake_s), self._tls)
        except EngineError as error:
            if error.code != "server_busy":
                raise EngineUnavailable.of(error) from None
            logger.warning("%s", error.message)
        except ValueError:
            raise EngineUnavailable.of(prompt_too_long()) from None
        else:
            await link.leave()
        self._links = MoshiLinks(self._connect, self._faults, config.max_sessions, config.keep_s, config.handshake_s)

    async def close(self) -> None:
        """End every conversation; idempotent."""
        links, self._links = self._links, None
        if links is not None:
            await links.close()

    def resolve_voice(self, voice: str, language: str = "") -> str | None:
        """The name of one of `info.voices`."""
        config = self._config
        if language and primary_tag(language) not in map(primary_tag, config.languages):
            return None
        name = voice or config.voice
        return name if name in config.voices else None

    async def reply(self, request: DialogueRequest) -> AsyncGenerator[DialogueEvent, None]:
        """See the port and the laws above. Raises `EngineError`: `server_busy`, `connection_lost`, `no_answer` and others
        (`moshi_errors`)."""
        links = self._links
        if links is None:
            raise self._faults.closed()
        voice = self._check(request)
        config = self._config
        query = self._query(voice, standing_prompt(request.messages, config.prompt))
        prompt, anew = opening_prompt(
            request, config.prompt, config.history_chars, reads=config.flavour == "personaplex"
        )
        begin = self._query(voice, prompt)
        try:
            address(config.endpoint.base_url, begin)
        except ValueError:
            raise prompt_too_long() from None
        if anew:
            links.forget(request.share)
        again = True
        while again:
            given = again = False
            async with links.lease(request.share, query, begin) as lease:
                finder = finder_for(lease.link, request.audio, config.limits)
                try:
                    said = talk(lease.link, request.audio, finder, self._faults, config.timeout_s)
                    async with aclosing(said):
                        async for piece in said:
                            given = True
                            yield piece
                except MoshiLinkLost as error:
                    if links.closed:
                        raise self._faults.closed() from None
                    if given or not lease.kept:
                        raise
                    again = True
                    logger.warning("%s A new conversation begins.", error.message)
                    continue
                if finder.state == "nothing":
                    raise self._faults.no_answer(config.limits.within_s)
                lease.keep = finder.state == "done"
                yield ChatEnd("length" if finder.state == "cut" else "stop")

    def _check(self, request: DialogueRequest) -> str:
        """The voice, once the request is one that can be served."""
        voice = self.resolve_voice(request.voice, request.language)
        if voice is None:
            voices = ", ".join(self._config.voices)
            spoken = f" in {request.language!r}" if request.language else ""
            raise EngineRefused(
                f"The Moshi server has no voice {request.voice!r}{spoken}.",
                f"It has {voices}; the option voices names others.",
                code="unknown_voice",
            )
        if request.tool_choice not in ("auto", "none"):
            raise tools_unsupported()
        if request.tools and request.tool_choice == "auto":
            self._warn("tools", "A Moshi model cannot call tools: the session's are left out.")
        if self._config.flavour == "moshi" and any(message.role == "system" for message in request.messages):
            self._warn(
                "instructions",
                "A Moshi server takes no instructions: the session's are left out. PersonaPlex takes them.",
            )
        if not np.isfinite(request.audio).all():
            raise EngineRefused("The audio holds NaN or infinite values.", "Send finite samples.", code="invalid_audio")
        return voice

    def _warn(self, what: str, message: str) -> None:
        if what not in self._warned:
            self._warned.add(what)
            logger.warning("%s", message)

    def _query(self, voice: str, prompt: str) -> Query:
        if self._config.flavour == "moshi":
            return self._config.sampling
        file = self._config.voices[voice]
        return (("voice_prompt", file if "." in file else f"{file}.pt"), ("text_prompt", prompt))

    async def _connect(self, query: Query) -> MoshiLink:
        return await connect(self._faults, query, self._config.handshake_s, self._tls)

    def _load(self) -> ssl.SSLContext | None:
        import ssl

        import websockets.asyncio.client  # noqa: F401 - here, in a thread, it holds nobody up

        moshi_opus.load()
        if urlsplit(self._config.endpoint.base_url).scheme not in ("https", "wss"):
            return None
        try:
            return ssl.create_default_context(cafile=self._config.ca_file or None)
        except (OSError, ssl.SSLError) as error:
            raise EngineUnavailable(
                f"The certificate {self._config.ca_file!r} cannot be read ({error}).",
                "Correct speech_options.ca_file: a file in PEM format.",
                code="invalid_certificate",
            ) from None
