"""The events of a response: its open items and parts, and exactly one terminal.

Laws: every *added* gets its *done*; the deltas of a part join to its done text; nothing is sent after the terminal.
Records what was sent; returns notices and decides nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from parley.core.regions.entry import Entry
from parley.core.regions.speech import Speech
from parley.core.regions.tool_offer import OfferedTool
from parley.core.words.errors import InvariantBroken
from parley.core.words.ids import CallId, ConversationId, ItemId, ResponseId
from parley.core.words.items import (
    FunctionCall,
    ItemStatus,
    McpApprovalRequest,
    McpCall,
    Message,
    OutputAudio,
    OutputText,
)
from parley.core.words.limits import AUDIO_DELTA_BYTES
from parley.core.words.notices import (
    ContentPartAdded,
    ContentPartDone,
    FunctionArgumentsDelta,
    FunctionArgumentsDone,
    ItemAdded,
    ItemDone,
    McpArgumentsDelta,
    McpArgumentsDone,
    Notice,
    OutputAudioDelta,
    OutputAudioDone,
    OutputItemAdded,
    OutputItemDone,
    OutputTextDelta,
    OutputTextDone,
    OutputTranscriptDelta,
    OutputTranscriptDone,
    PartAt,
    ResponseCreated,
    ResponseDone,
    ResponseError,
    ResponseStatus,
    ResponseView,
    StatusReason,
    Usage,
)
from parley.core.words.settings import AudioFormat, Modality, Settings
from parley.core.words.work import AS_THE_SESSION, ResponseParams


@dataclass(slots=True)
class Output:
    """One item of a response: what was sent of it so far. `running`: an MCP server has been called and has not answered."""

    entry: Entry
    index: int
    previous: ItemId | None
    call: int | None = None
    sent: list[str] = field(default_factory=list)
    closed: bool = False
    argued: bool = False
    running: bool = False

    @property
    def text(self) -> str:
        return "".join(self.sent)

    @property
    def is_ours_to_run(self) -> bool:
        """Whether the session itself has this tool called, once the model has finished."""
        return isinstance(self.entry.item, McpCall)

    def run(self) -> None:
        """An MCP server has been called."""
        self.running = True


@dataclass(slots=True)
class Response:
    """A response from `response.created` to `response.done`.

    `asking` are the approval requests that the model is still writing; nothing is sent of them before they are whole.
    """

    id: ResponseId
    conversation_id: ConversationId | None
    modality: Modality
    voice: str
    format: AudioFormat
    max_output_tokens: int | None
    metadata: tuple[tuple[str, str], ...] | None
    parallel_calls: bool = True
    outputs: list[Output] = field(default_factory=list)
    asking: list[Output] = field(default_factory=list)
    done: bool = False
    text_length: int = 0
    audio_samples: int = 0
    temperature: float | None = None
    end_ms: int = 0
    """As `PartAt.elapsed_ms`."""
    heard: bool = True
    """Whether its audio is played to the listener: that of a client's out-of-band response is the client's alone."""

    @classmethod
    def begin(
        cls,
        id: ResponseId,
        conversation_id: ConversationId | None,
        settings: Settings,
        params: ResponseParams = AS_THE_SESSION,
        format: AudioFormat | None = None,
        end_ms: int = 0,
        *,
        heard: bool = False,
    ) -> Response:
        """What `params` ask for goes over the session's settings; `format` over both. One in the conversation is heard in any case."""
        limit = settings.max_output_tokens if params.max_output_tokens is None else params.max_output_tokens or None
        parallel = settings.parallel_tool_calls if params.parallel_tool_calls is None else params.parallel_tool_calls
        return cls(
            id,
            conversation_id,
            params.modality or settings.modality,
            params.voice or settings.voice,
            format or params.output_format or settings.output_format,
            limit,
            params.metadata,
            parallel is not False,
            temperature=settings.temperature if params.temperature is None else params.temperature,
            end_ms=end_ms,
            heard=heard or conversation_id is not None,
        )

    # --- what has been sent ------------------------------------------------------------------------------------------------

    def created(self) -> Notice:
        return ResponseCreated(self._view("in_progress"))

    def finish(
        self,
        status: ResponseStatus,
        *,
        reason: StatusReason | None = None,
        error: ResponseError | None = None,
        usage: Usage | None = None,
    ) -> list[Notice]:
        """Close everything that is open and return the terminal."""
        if self.done:
            raise InvariantBroken(f"2: response {self.id} got a second terminal")
        item_status: ItemStatus = "completed" if status == "completed" else "incomplete"
        whole = status in ("completed", "incomplete")
        notices = [
            notice
            for output in self.outputs
            if not output.closed
            for notice in self.close(output, item_status, whole=whole)
        ]
        self.done = True
        output = tuple(output.entry.view() for output in self.outputs)
        notices.append(
            ResponseDone(replace(self._view(status), output=output, reason=reason, error=error, usage=usage or Usage()))
        )
        return notices

    def _view(self, status: ResponseStatus) -> ResponseView:
        return ResponseView(
            self.id,
            status,
            self.conversation_id,
            self.modality,
            self.voice,
            self.format,
            self.max_output_tokens,
            self.metadata,
            temperature=self.temperature,
        )

    # --- a message -----------------------------------------------------------------------------------------------------------

    def message(self) -> Output | None:
        """The message now open."""
        if self.outputs and not self.outputs[-1].closed and self.outputs[-1].call is None:
            return self.outputs[-1]
        return None

    def new_message(self, item_id: ItemId) -> Entry:
        """An entry for the next message, empty as it is announced."""
        speech = Speech(self.format) if self.modality == "audio" else None
        return Entry(Message(item_id, "assistant", (), "in_progress"), speech)

    def open(self, entry: Entry, previous: ItemId | None, call: int | None = None) -> list[Notice]:
        """Announce the next item; `previous` is the one before it in the conversation."""
        output = Output(entry, len(self.outputs), previous, call)
        self.outputs.append(output)
        notices: list[Notice] = [OutputItemAdded(self.id, output.index, entry.item)]
        if self.conversation_id is not None:
            notices.append(ItemAdded(entry.item, previous))
        if call is None:
            notices.append(ContentPartAdded(self._at(output), self.modality))
        return notices

    def say(self, output: Output, text: str) -> list[Notice]:
        """More of the message's words."""
        if not text:
            return []
        output.sent.append(text)
        self.text_length += len(text)
        delta = OutputTranscriptDelta if self.modality == "audio" else OutputTextDelta
        return [delta(self._at(output), text)]

    def sound(self, output: Output, audio: bytes) -> list[Notice]:
        """More of the message's audio, in pieces every client can receive."""
        self.audio_samples += self.format.samples(len(audio))
        at = self._at(output)
        if len(audio) <= AUDIO_DELTA_BYTES:
            return [OutputAudioDelta(at, audio)]
        return [OutputAudioDelta(at, audio[i : i + AUDIO_DELTA_BYTES]) for i in range(0, len(audio), AUDIO_DELTA_BYTES)]

    # --- a function call -------------------------------------------------------------------------------------------------------

    def call(self, index: int) -> Output | None:
        """The open call the model numbers `index`."""
        calls = (*self.outputs, *self.asking)
        return next((output for output in calls if output.call == index and not output.closed), None)

    def calls(self) -> int:
        return sum(output.call is not None for output in self.outputs) + len(self.asking)

    def argue(self, output: Output, arguments: str) -> list[Notice]:
        """More of the call's arguments (JSON text)."""
        if not arguments:
            return []
        output.sent.append(arguments)
        self.text_length += len(arguments)
        match output.entry.item:
            case FunctionCall() as item:
                return [FunctionArgumentsDelta(self.id, item.id, output.index, item.call_id, arguments)]
            case McpCall() as item:
                return [McpArgumentsDelta(self.id, item.id, output.index, arguments)]
            case _:
                return []

    # --- MCP servers' tools ------------------------------------------------------------------------------------------------------

    def ask(self, entry: Entry, call: int) -> None:
        """The model begins a call that needs approval."""
        self.asking.append(Output(entry, -1, None, call))

    def announce_asked(self, asked: Output, previous: ItemId | None) -> list[Notice]:
        """An approval request is whole: it is added and done at once."""
        notices = self.open(asked.entry, previous, asked.call)
        opened = self.outputs[-1]
        opened.sent = asked.sent
        return [*notices, *self.close(opened, "completed")]

    def take_asked(self) -> list[Output]:
        """The approval requests that the model has written."""
        asking, self.asking = self.asking, []
        return asking

    def argued(self, output: Output, *, whole: bool = True) -> list[Notice]:
        """The model has written all the arguments of an MCP call, or (not `whole`) was stopped."""
        item = output.entry.item
        if output.argued or not isinstance(item, McpCall):
            return []
        output.argued = True
        notices = self._without_arguments(output) if whole else []
        output.entry.become(replace(item, arguments=output.text))
        return [*notices, McpArgumentsDone(self.id, item.id, output.index, output.text)]

    def _without_arguments(self, output: Output) -> list[Notice]:
        """A call that was made without arguments has an empty object of them: clients read JSON."""
        return [] if output.text.strip() else self.argue(output, "{}")

    def answered(self, index: int) -> list[Notice]:
        """The MCP call at `index` has its outcome."""
        output = self.outputs[index]
        output.running = False
        return self.close(output, "completed")

    # --- the end of an item ------------------------------------------------------------------------------------------------------

    def close(self, output: Output, status: ItemStatus, *, whole: bool = True) -> list[Notice]:
        """The done of everything that was added for this item, then the item's own; not `whole`: its last clause lacks audio."""
        output.closed = True
        entry, made = output.entry, status == "completed"
        notices: list[Notice] = []
        if made and isinstance(entry.item, FunctionCall | McpApprovalRequest):
            notices += self._without_arguments(output)
        text = output.text
        match entry.item:
            case FunctionCall() as item:
                entry.become(replace(item, arguments=text, status=status))
                notices.append(FunctionArgumentsDone(self.id, item.id, output.index, item.call_id, item.name, text))
            case McpCall():
                notices += self.argued(output, whole=made)
                entry.become(replace(entry.item, status=status))
            case McpApprovalRequest() as item:
                entry.become(replace(item, arguments=text, status=status))
            case Message() as item:
                at = self._at(output)
                if entry.speech is not None:
                    if whole:
                        entry.speech.end()
                    notices += [OutputAudioDone(at), OutputTranscriptDone(at, text)]
                    entry.become(replace(item, content=(OutputAudio(text),), status=status))
                else:
                    notices.append(OutputTextDone(at, text))
                    entry.become(replace(item, content=(OutputText(text),), status=status))
                notices.append(ContentPartDone(at, self.modality, text))
            case _:
                raise InvariantBroken(f"3: {entry.item.id} is no item a response can make")
        view = entry.view()
        if self.conversation_id is not None and not entry.deleted and not output.running:
            notices.append(ItemDone(view, output.previous))
        notices.append(OutputItemDone(self.id, output.index, view))
        return notices

    def _at(self, output: Output) -> PartAt:
        return PartAt(self.id, output.entry.item.id, output.index, 0, self.end_ms)


def new_call(item_id: ItemId, call_id: CallId, name: str) -> Entry:
    """An entry for a function call, as it is announced."""
    return Entry(FunctionCall(item_id, call_id, name, "", "in_progress"))


def new_mcp_call(item_id: ItemId, offered: OfferedTool) -> Entry:
    """An entry for a call of an MCP server's tool, as it is announced."""
    return Entry(McpCall(item_id, offered.server.label, offered.tool.name, "", status="in_progress"))


def new_approval_request(item_id: ItemId, offered: OfferedTool) -> Entry:
    """An entry for such a call that the client must approve first."""
    return Entry(McpApprovalRequest(item_id, offered.server.label, offered.tool.name, "", "in_progress"))
