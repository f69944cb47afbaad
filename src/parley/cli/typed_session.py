"""What `parley ask` and `parley chat` share: the server without ears, and a typed conversation for code without an event loop.

Laws: the conversation is `client/typed_conversation.py`'s, with the server of `parley serve` in this process or any other; its loop runs in
a thread, so that the server's signs of life are answered while a person thinks.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import click

from parley.cli.model_downloads import provide_models
from parley.cli.options import PIPELINE_OPTIONS, load_config, pull_option, warn, with_options
from parley.cli.server_choice import check_server, chosen_server, explicit_options, server_options
from parley.cli.tool_prompt import asked_at_terminal, can_ask
from parley.core.words.limits import MAX_ITEM_TEXT
from parley.text.whole_characters import writable

if TYPE_CHECKING:
    from parley.client.connection import Server
    from parley.client.session_setup import SessionOptions
    from parley.client.typed_conversation import TypedConversation
    from parley.client.updates import ClientUpdate, ConsentAsked, StatusMessage
    from parley.config import PipelineConfig
    from parley.library.loop_thread import LoopThread

P = ParamSpec("P")
R = TypeVar("R")

READS = ("config_path", "pipeline", "llm", "llm_base_url", "speech")
SPEAKS = ("tts", "tts_base_url", "vc", "voice")
"""The flags of what answers, and of what speaks."""

MAX_MESSAGE_CHARS = MAX_ITEM_TEXT
"""A Parley takes no longer text in one message."""


def typed_options(*names: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Adds the flags of these names, `--pull`, `--instructions` and those of a server."""

    def decorated(command: Callable[P, R]) -> Callable[P, R]:
        instructions = click.option(
            "--instructions", metavar="TEXT", help="How it answers, in place of the configured instructions."
        )
        return with_options(
            server_options(command), (*(PIPELINE_OPTIONS[name] for name in names), pull_option, instructions)
        )

    return decorated


@contextmanager
def typed_session(
    config_path: Path | None, flags: dict[str, str | None], *, spoken: bool = False
) -> Iterator[TypedSession]:
    """A session with the server that the flags name, in text, or with sound too (`spoken`)."""
    url, model, key = (flags.pop(name) for name in ("url", "model", "api_key_env"))
    instructions = flags.pop("instructions")
    check_server(url, model, key)
    if url is not None and (given := [name for name, value in flags.items() if value is not None and name != "voice"]):
        raise click.UsageError(
            f"--{given[0].replace('_', '-')} is for a server in this process, and --url names another."
        )
    if not spoken and (silent := [name for name in SPEAKS if flags.get(name) is not None]):
        raise click.UsageError(f"--{silent[0].replace('_', '-')} is for a spoken answer: --aloud, or -o FILE.")
    config = load_config(config_path, flags)
    warn(config)
    options = replace(explicit_options(config, url), hands_free=False, spoken=spoken, hears=False)
    if not spoken:
        options = replace(options, voice=None)
    if instructions is not None:
        options = replace(options, instructions=instructions)
    pipeline = _without_ears(config.pipelines[config.default_pipeline], spoken)
    if url is None:
        provide_models(config, pipeline.engines.items())
    with chosen_server(config, url, model, key, pipelines={pipeline.name: pipeline}) as server:
        session = TypedSession(server, options)
        try:
            session.renew()
            yield session
        finally:
            session.close()


def _without_ears(pipeline: PipelineConfig, spoken: bool) -> PipelineConfig:
    """The pipeline for a session whose turns are typed: what listens is never asked, and need not be loaded."""
    from parley.engines.ports import LLM, SPEECH, STT, TTS, VAD, VC, EngineSpec

    wanted = (VAD, LLM, SPEECH, TTS, VC) if spoken else (VAD, LLM, SPEECH)
    engines = {stage: spec for stage, spec in pipeline.engines.items() if stage in wanted}
    return replace(pipeline, engines={**engines, STT: EngineSpec("bench")})


class TypedSession:
    """`renew()` opens a conversation; then `reply()` to one message after the other; `close()` at the end."""

    def __init__(self, server: Server, options: SessionOptions) -> None:
        from parley.client.tool_consent import ToolConsent
        from parley.library.loop_thread import LoopThread

        self._server = server
        self._consent = ToolConsent()
        self._options = options
        self._thread: LoopThread = LoopThread()
        self._opened: AsyncExitStack | None = None
        self._conversation: TypedConversation | None = None

    def renew(self) -> None:
        """Begin a new conversation; the one before is over. Raises `ServerUnavailable`, also where the server refuses the settings."""
        self._thread.run(self._renew())

    async def _renew(self) -> None:
        from parley.client.typed_conversation import typed_conversation

        await self._leave()
        async with AsyncExitStack() as stack:
            conversation = await stack.enter_async_context(typed_conversation(self._server, self._options))
            for message in await conversation.begin():
                click.echo(f"parley: {message.message}", err=True)
            self._consent.on_update(conversation.began)
            self._opened, self._conversation = stack.pop_all(), conversation

    def reply(self, text: str) -> Generator[ClientUpdate, None, None]:
        """As `TypedConversation.reply()`. Where the caller is interrupted, or takes no more, the reply is stopped. The user is asked for
        consent at the terminal; without one, calls that need it are refused, and a warning says so."""
        from parley.client.updates import ConsentAsked

        if self._conversation is None:
            self.renew()
        conversation = self._conversation
        assert conversation is not None
        updates = conversation.reply(writable(text))
        whole = False
        try:
            while (update := self._thread.run(_next(updates))) is not None:
                # A call that is interrupted ends the generator; what the caller does between two calls does not.
                try:
                    yield update
                except BaseException:
                    self._thread.run(updates.aclose())
                    raise
                if isinstance(update, ConsentAsked) and (refused := self._answer(conversation, update)) is not None:
                    yield refused
            whole = True
        finally:
            if not whole:
                self._thread.run(conversation.stop_reply())

    def _answer(self, conversation: TypedConversation, asked: ConsentAsked) -> StatusMessage | None:
        """Has the user answer; what there is to say where nobody can be asked."""
        from parley.client.tool_consent import REFUSED_UNASKED, refused_unasked
        from parley.client.updates import StatusMessage

        self._consent.take(asked)
        if self._consent.allows(asked):
            self._thread.run(conversation.decide(asked.request_id, True))
            return None
        if not can_ask():
            self._thread.run(conversation.decide(asked.request_id, False, REFUSED_UNASKED))
            return StatusMessage("warning", refused_unasked(asked))
        answer = asked_at_terminal(asked)
        if answer == "always":
            self._consent.allow(asked)
        self._thread.run(conversation.decide(asked.request_id, answer != "no"))
        return None

    def forget(self) -> None:
        """The connection is lost: the next message begins a new conversation."""
        self._thread.run(self._leave())

    async def _leave(self) -> None:
        opened, self._opened, self._conversation = self._opened, None, None
        if opened is not None:
            await opened.aclose()

    def close(self) -> None:
        try:
            self._thread.run(self._leave(), closing=True)
        finally:
            self._thread.stop()


async def _next(updates: AsyncGenerator[ClientUpdate, None]) -> ClientUpdate | None:
    return await anext(updates, None)


class TypedReply:
    """One reply as it comes: `take()` each update, `end()` after the last. `words` are all of it; `failure` is why there is no whole reply,
    "" where there is one."""

    def __init__(self) -> None:
        self.words = ""
        self.failure = ""
        self._shown: dict[str, int] = {}

    def take(self, update: ClientUpdate) -> str:
        """The words that are new."""
        from parley.client.updates import FunctionCalled, ResponseEnded, ResponseText, StatusMessage

        match update:
            case ResponseText(item_id=item_id, text=text):
                return self._new_words(item_id, text)
            case StatusMessage(message=message):
                self.failure = message
            case ResponseEnded(status="incomplete", reason=reason):
                self.failure = f"The reply broke off: {reason or 'the server gave no reason'}"
            case FunctionCalled(name=name):
                self.failure = f"The model calls the function {name}, which this client does not have."
            case _:
                pass
        return ""

    def _new_words(self, item_id: str, text: str) -> str:
        shown = self._shown.get(item_id)
        new = text[shown or 0 :]
        if shown is None and self.words and new:
            new = f"\n{new}"
        self._shown[item_id] = len(text)
        self.words += new
        return new

    def end(self) -> None:
        """No more comes."""
        if not self.words.strip() and not self.failure:
            self.failure = "The answer has no words."
