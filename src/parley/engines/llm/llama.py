"""A language model in this process: a GGUF file, run by llama.cpp.

Laws:
- The event loop never waits for llama.cpp: each reply is computed on a thread (`ModelWorker`), at most `parallel` at once; the rest wait.
- Closing the iterator of `reply()` (or cancelling its task) stops the computation after the token or the `batch` of prompt tokens it is at.
- What a reply's thread hands over is bounded by `num_ctx`: a chunk for each token of prompt and reply at most.
- A model is tried out in a child before it is loaded here.
- Thinking is off unless it is asked for, and never yielded.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, aclosing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from typing import Any, Final

from parley.engines import weights
from parley.engines.llm import llama_server
from parley.engines.llm.gguf import Head, read_head
from parley.engines.llm.llama_files import locate, read_template, shown_name
from parley.engines.llm.llama_forwarding import ChatForwarding, answered, forward_error
from parley.engines.llm.llama_request import request_body
from parley.engines.llm.llama_server import LlamaServer, LlamaSettings
from parley.engines.llm.openai_stream import StreamReader
from parley.engines.llm.reply_stream import TimeLimits, read_reply
from parley.engines.model_worker import ModelWorker
from parley.engines.openai_api.errors import NothingMoreCame, StreamError
from parley.engines.openai_api.forwarding import WHOLE_S
from parley.engines.options import OptionReader
from parley.engines.ports import (
    ChatEvent,
    ChatRequest,
    EngineError,
    EngineInfo,
    EngineRefused,
    EngineUnavailable,
    ForwardedHead,
    ForwardRequest,
    TextApi,
)

DEFAULT_NUM_CTX: Final = 8192
"""The pipeline's default `context_tokens`."""

CPU_BATCH, GPU_BATCH = 8, 512
"""Tokens of a prompt computed in one step, which is not interrupted: on a CPU, larger steps are a fifth faster at most."""

MOST_THREADS: Final = 8
"""More gain little: writing a reply is bound by memory."""

Chunk = dict[str, Any]


@dataclass(frozen=True, slots=True)
class LlamaConfig:
    """`num_ctx` None: `DEFAULT_NUM_CTX`, or less where the model was made for less."""

    model: str
    num_ctx: int | None = None
    parallel: int = 2
    threads: int = 1
    gpu_layers: int = 0
    batch: int = CPU_BATCH
    cache_mib: int = 256
    mmproj: str = ""
    chat_template: str = ""
    think: bool = False
    temperature: float | None = None
    timeout_s: float = 60.0
    token_timeout_s: float = 20.0
    extra_body: Mapping[str, object] = field(default_factory=dict)


def create(model: str, options: Mapping[str, object]) -> LlamaModel:
    """`llama:PATH.gguf` or `llama:NAME` of the catalogue; options: see `read_config`."""
    reader = OptionReader("llm llama", options)
    config = read_config(model, reader)
    reader.close()
    return LlamaModel(config)


def read_config(model: str, reader: OptionReader) -> LlamaConfig:
    """Options `num_ctx` (tokens of prompt and reply together, for each conversation), `parallel` (replies computed at once), `threads`,
    `gpu_layers` (-1: as many as fit), `batch` (prompt tokens in one step), `cache_mib` (memory for conversations that wait), `mmproj` (the
    GGUF of a projector, for images and audio), `chat_template` (the file of a Jinja template), `think`, `temperature`, `timeout_s` (to
    the first token), `token_timeout_s` (between tokens), `extra_body` (more fields of llama.cpp's chat completions)."""
    num_ctx = reader.optional_number("num_ctx", 256, 1_000_000)
    gpu_layers = int(reader.number("gpu_layers", 0, -1, 10_000))
    return LlamaConfig(
        model=model,
        num_ctx=None if num_ctx is None else int(num_ctx),
        parallel=int(reader.number("parallel", 2, 1, 64)),
        threads=int(reader.number("threads", _threads(), 1, 512)),
        gpu_layers=gpu_layers,
        batch=int(reader.number("batch", GPU_BATCH if gpu_layers else CPU_BATCH, 8, 8192)),
        cache_mib=int(reader.number("cache_mib", 256, 0, 1_000_000)),
        mmproj=reader.text("mmproj"),
        chat_template=reader.text("chat_template"),
        think=reader.flag("think", False),
        temperature=reader.optional_number("temperature", 0, 5),
        timeout_s=reader.number("timeout_s", 60, 0.01, 3600),
        token_timeout_s=reader.number("token_timeout_s", 20, 0.01, 3600),
        extra_body=reader.table("extra_body"),
    )


def _threads() -> int:
    """The processors that this process may use, one left for everything else where there are more than two."""
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(MOST_THREADS, processors - 1 if processors > 2 else processors))


class LlamaModel:
    """One model, shared by all sessions."""

    def __init__(self, config: LlamaConfig) -> None:
        self._config = config
        self._shown = shown_name(config.model)
        self._num_ctx = config.num_ctx or DEFAULT_NUM_CTX
        self._projector = Head({})
        self._forwarding: ChatForwarding | None = None
        self._forwards = asyncio.Semaphore(max(1, config.parallel - 1))
        """Requests of clients leave one of the replies at once to conversations."""
        self._server: LlamaServer | None = None
        self._worker: ModelWorker | None = None
        self._reads_tools = True
        """Whether the chat template has tools, as far as is known."""
        self.notice = ""
        """What the owner should know once the engine is open."""

    @property
    def info(self) -> EngineInfo:
        return EngineInfo(
            stage="llm",
            model=PurePath(self._config.model).name,
            name="llama",
            summary=f"llama.cpp in this process: {self._config.model or 'a GGUF file'}.",
            needs=("xllamacpp",),
            images=self._projector.sees,
            audio=self._projector.hears,
            tools=self._reads_tools,
        )

    @property
    def model(self) -> str:
        return self._config.model

    @property
    def num_ctx(self) -> int:
        """Tokens of the prompt and the reply together."""
        return self._num_ctx

    @property
    def fault(self) -> EngineError | None:
        """Why nothing can be computed at this moment; None while something can."""
        return self._worker.fault if self._worker is not None else None

    def missing_models(self) -> tuple[str, ...]:
        """The model of the catalogue that is named, where it is not on this machine."""
        return weights.missing("llama", self._config.model)

    async def open(self) -> None:
        """Check the file, try it out in a child, load it, and compute one token. Raises `EngineUnavailable` with
        the remedy."""
        if self._server is not None:
            return
        await asyncio.to_thread(llama_server.check_package)
        settings = await asyncio.to_thread(self._prepare)
        await llama_server.try_out(settings)
        server = await asyncio.to_thread(LlamaServer, settings)
        self._server = server
        self._worker = ModelWorker(
            f"llama:{self._shown}",
            title="The language model",
            code_prefix="language_model",
            threads=self._config.parallel,
            limit_s=max(self._config.timeout_s, self._config.token_timeout_s),
        )
        try:
            await self._worker.call(lambda: server.complete(_WARM_UP, lambda chunk: False))
        except BaseException as error:
            await self.close()
            if isinstance(error, EngineError):
                raise EngineUnavailable.of(error) from error
            raise

    async def close(self) -> None:
        server, self._server = self._server, None
        worker, self._worker = self._worker, None
        if server is not None and worker is not None:
            server.stop()
            await worker.close()
            await asyncio.to_thread(server.close)

    async def reply(self, request: ChatRequest) -> AsyncIterator[ChatEvent]:
        """Stream one reply (see the port). Raises `EngineError`s: those of the port, `images_unsupported`, `tools_unsupported`,
        `invalid_request`."""
        with self._failures():
            async with aclosing(self._stream(request)) as events:
                async for event in events:
                    yield event

    @property
    def apis(self) -> frozenset[TextApi]:
        """Chat completions; llama.cpp has responses in its HTTP server only, which is out of reach (see `llama_server`)."""
        return frozenset({"chat"})

    async def forward(self, request: ForwardRequest) -> AsyncIterator[ForwardedHead | bytes]:
        """Answer a request (see `ForwardsRequests`), behind conversations. What llama.cpp would pass over is refused by name."""
        asked, config = self._forwarding, self._config
        if asked is None or request.api not in self.apis:
            raise EngineUnavailable("The language model is not open, or has not this API.", code="not_open")
        body = asked.body(request)
        limits = TimeLimits(config.timeout_s if request.stream else WHOLE_S, config.token_timeout_s)
        try:
            with self._failures(limits.first_s):
                async with asyncio.timeout(limits.first_s):
                    await self._forwards.acquire()
                try:
                    chunks = self._chunks(body, share=self._forwards, live=False)
                    async with aclosing(answered(chunks, asked.shown_model, request.stream, limits)) as pieces:
                        async for piece in pieces:
                            yield piece
                finally:
                    self._forwards.release()
        except EngineError as error:
            raise forward_error(error) from error

    def _stream(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        config = self._config
        if request.temperature is None and config.temperature is not None:
            request = replace(request, temperature=config.temperature)
        asked = request_body(request, config.think, self._projector, reads_tools=self._reads_tools)
        body = {**asked, **config.extra_body}

        async def begin(stack: AsyncExitStack) -> AsyncGenerator[Chunk, None]:
            return await stack.enter_async_context(aclosing(self._chunks(body)))

        limits = TimeLimits(config.timeout_s, config.token_timeout_s)
        return read_reply(begin, _ChunkReader(request), limits)

    def _chunks(
        self, body: Mapping[str, object], share: object = None, *, live: bool = True
    ) -> AsyncGenerator[Chunk, None]:
        """What llama.cpp answers, piece by piece; closing the iterator stops it. Raises `EngineUnavailable`."""
        server, worker = self._server, self._worker
        if server is None or worker is None:
            raise EngineUnavailable("The language model is not open.", code="not_open")

        def compute(emit: Callable[[Chunk], bool]) -> None:
            server.complete(body, lambda chunk: not emit(chunk))

        return worker.stream(compute, share, live=live)

    @contextmanager
    def _failures(self, first_s: float | None = None) -> Iterator[None]:
        """What goes wrong with one answer, as `EngineError`; `first_s` is how long its first piece may take."""
        try:
            yield
        except StreamError as error:
            raise self._failure(error.body) from None
        except NothingMoreCame as error:
            raise EngineError(
                f"The language model wrote nothing more for {error.seconds:g} s.",
                "The option token_timeout_s sets how long it may pause.",
                code="timeout",
            ) from None
        except TimeoutError:
            raise EngineError(
                f"The language model gave no answer within {first_s or self._config.timeout_s:g} s.",
                "Use a smaller model, or set timeout_s in llm_options.",
                code="timeout",
            ) from None

    def _failure(self, body: object) -> EngineError:
        """The error of a chunk that reports one."""
        error = body.get("error") if isinstance(body, dict) else None
        facts = error if isinstance(error, dict) else {}
        said = " ".join(str(facts.get("message") or body).split())[:300].rstrip(".")
        if facts.get("type") == "exceed_context_size_error":
            return EngineRefused(
                f"The conversation is too long for {self._shown!r}: it has {facts.get('n_prompt_tokens')} tokens, and num_ctx is "
                f"{self._num_ctx}.",
                "Raise num_ctx in llm_options, or lower the pipeline's context_tokens.",
                code="context_length_exceeded",
            )
        if facts.get("code") == 400:
            return EngineRefused(f"llama.cpp refuses the request: {said}.", code="invalid_request")
        return EngineError(f"llama.cpp failed: {said}.", code="server_error")

    # --- opening ---

    def _prepare(self) -> LlamaSettings:
        """Look at the files; how to load them. Blocks."""
        config = self._config
        path = locate(config.model)
        head = read_head(path)
        most = head.context_length
        if most is None:
            raise EngineUnavailable(
                f"{path} is no language model (general.architecture is {head.architecture[:40]!r}).",
                "Name the model's own GGUF; a projector belongs into the option mmproj.",
                code="invalid_weights",
            )
        if config.num_ctx is not None and config.num_ctx > most:
            raise EngineUnavailable(
                f"The model {config.model!r} takes {most} tokens, and num_ctx is {config.num_ctx}.",
                f"Set num_ctx to at most {most}.",
                code="invalid_engine_option",
            )
        if not head.template and not config.chat_template:
            raise EngineUnavailable(
                f"{path} has no chat template, so that it is not known how it is to be asked.",
                "Use an instruct model, or name a Jinja file: chat_template in llm_options.",
                code="no_chat_template",
            )
        self._num_ctx = config.num_ctx or min(DEFAULT_NUM_CTX, most)
        self._projector = read_head(Path(config.mmproj).expanduser()) if config.mmproj else Head({})
        template = read_template(config.chat_template)
        self._reads_tools = "tools" in (template or head.template)
        self._forwarding = ChatForwarding(
            self._shown,
            config.think,
            config.extra_body,
            reads_tools=self._reads_tools,
        )
        self.notice = (
            f"The language model is {config.model}, in this process: {config.parallel} replies at once on {config.threads} threads, "
            f"{self._num_ctx} tokens for each conversation."
        )
        return LlamaSettings(
            path=str(path),
            num_ctx=self._num_ctx,
            parallel=config.parallel,
            threads=config.threads,
            batch=max(config.batch, 2 * config.parallel),  # a step holds a token of each reply at least
            gpu_layers=config.gpu_layers,
            cache_mib=config.cache_mib,
            mmproj=str(Path(config.mmproj).expanduser()) if config.mmproj else "",
            template=template,
        )


_WARM_UP: Final[Mapping[str, object]] = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1}


class _ChunkReader:
    """Reads the chunks of one reply: a `ReplyReader`."""

    def __init__(self, request: ChatRequest) -> None:
        self._reader = StreamReader(request)
        self.done = False

    @property
    def progress(self) -> int:
        return self._reader.progress

    @property
    def finished(self) -> bool:
        return self._reader.finished

    def read(self, piece: Chunk) -> list[ChatEvent]:
        return self._reader.read_chunk(piece)

    def end(self) -> list[ChatEvent]:
        return self._reader.end()
