"""The items of a conversation.

Laws: frozen; audio is bytes in the wire format in which it was received or sent; `transcript` is None while it is unknown. What
the listener heard of an assistant's words is already applied in the items that leave the core.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, assert_never

from parley.core.words.ids import CallId, ItemId
from parley.core.words.settings import AudioFormat

ItemStatus = Literal["in_progress", "completed", "incomplete"]


@dataclass(frozen=True, slots=True)
class InputText:
    text: str


@dataclass(frozen=True, slots=True)
class InputAudio:
    """`audio` is None where it is not asked for or no longer kept."""

    transcript: str | None = None
    audio: bytes | None = None
    format: AudioFormat = AudioFormat.PCM16


@dataclass(frozen=True, slots=True)
class InputImage:
    image_url: str
    detail: Literal["auto", "low", "high"] = "auto"


@dataclass(frozen=True, slots=True)
class OutputText:
    text: str


@dataclass(frozen=True, slots=True)
class OutputAudio:
    """`exact` is False where the words kept after a truncation were estimated in proportion to the audio; `heard_ms` is where it was cut
    (None: it was not)."""

    transcript: str
    audio: bytes | None = None
    format: AudioFormat = AudioFormat.PCM16
    exact: bool = True
    heard_ms: int | None = field(default=None, compare=False)


Content = InputText | InputAudio | InputImage | OutputText | OutputAudio


@dataclass(frozen=True, slots=True)
class Message:
    id: ItemId
    role: Literal["user", "assistant", "system"]
    content: tuple[Content, ...]
    status: ItemStatus = "completed"


@dataclass(frozen=True, slots=True)
class FunctionCall:
    """`arguments` is JSON text."""

    id: ItemId
    call_id: CallId
    name: str
    arguments: str
    status: ItemStatus = "completed"


@dataclass(frozen=True, slots=True)
class FunctionCallOutput:
    id: ItemId
    call_id: CallId
    output: str
    status: ItemStatus = "completed"


@dataclass(frozen=True, slots=True)
class McpTool:
    """A tool of an MCP server. `input_schema` and `annotations` are JSON text ("" for no annotations)."""

    name: str
    description: str = ""
    input_schema: str = "{}"
    read_only: bool = False
    annotations: str = ""


@dataclass(frozen=True, slots=True)
class McpListTools:
    """The tools that an MCP server was found to have; none while it is still being asked."""

    id: ItemId
    server_label: str
    tools: tuple[McpTool, ...] = ()
    status: ItemStatus = "completed"


@dataclass(frozen=True, slots=True)
class McpError:
    """Why a call of an MCP tool failed. `code` is HTTP's or JSON-RPC's, 0 where the tool itself failed."""

    type: Literal["protocol_error", "tool_execution_error", "http_error"]
    message: str
    code: int = 0


@dataclass(frozen=True, slots=True)
class McpCall:
    """A call of an MCP server's tool, made by us. `arguments` is JSON text; `output` and `error` None: not answered."""

    id: ItemId
    server_label: str
    name: str
    arguments: str
    output: str | None = None
    error: McpError | None = None
    approval_request_id: ItemId | None = None
    status: ItemStatus = "completed"


@dataclass(frozen=True, slots=True)
class McpApprovalRequest:
    """The model asks for this call; the client answers with an `McpApprovalResponse`."""

    id: ItemId
    server_label: str
    name: str
    arguments: str
    status: ItemStatus = "completed"


@dataclass(frozen=True, slots=True)
class McpApprovalResponse:
    id: ItemId
    approval_request_id: ItemId
    approve: bool
    reason: str = ""
    status: ItemStatus = "completed"


McpItem = McpListTools | McpCall | McpApprovalRequest | McpApprovalResponse
Item = Message | FunctionCall | FunctionCallOutput | McpItem


@dataclass(frozen=True, slots=True)
class ItemReference:
    """Stands, in a response's own input, for an item of the conversation."""

    id: ItemId


def is_empty(item: Item) -> bool:
    """True for an item without content for a model: an unheard answer, a cough, a list of tools."""
    if isinstance(item, McpListTools):
        return True  # the model is offered tools as tools
    if not isinstance(item, Message):
        return False
    return not any(isinstance(part, InputImage) or text_of(part).strip() for part in item.content)


def text_of(part: Content) -> str:
    match part:
        case InputText(text=text) | OutputText(text=text):
            return text
        case InputAudio(transcript=transcript):
            return transcript or ""
        case OutputAudio(transcript=transcript):
            return transcript
        case InputImage():
            return ""
        case _:
            assert_never(part)


def characters_of(item: Item) -> int:
    """The characters of words and images that an item keeps for as long as it exists."""
    match item:
        case Message(content=content):
            return sum(len(part.image_url) if isinstance(part, InputImage) else len(text_of(part)) for part in content)
        case FunctionCall(arguments=text) | FunctionCallOutput(output=text) | McpApprovalRequest(arguments=text):
            return len(text)
        case McpCall(arguments=text, output=output, error=error):
            return len(text) + len(output or "") + (0 if error is None else len(error.message))
        case McpListTools(tools=tools):
            return sum(len(tool.description) + len(tool.input_schema) + len(tool.annotations) for tool in tools)
        case McpApprovalResponse(reason=text):
            return len(text)
        case _:
            assert_never(item)
