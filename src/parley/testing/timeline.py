"""A session as readable text: one line per event, ids renamed in order of appearance.

Laws: pure; the same steps give the same text. `->` marks client events, `<-` server events, `..` events of the engines and the clock,
`**` effects for the shell. Audio is shown by its length.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import fields, is_dataclass
from typing import Any

from parley.core.words.effects import Effect, JudgePause, Play, ScoreVoice, StartGeneration, Tell, Transcribe
from parley.core.words.events import (
    AudioArrived,
    AudioPlayed,
    ClauseStarted,
    ClientEvent,
    Event,
    SpeechGenerated,
    TimePassed,
    VoiceScored,
)
from parley.core.words.items import (
    FunctionCall,
    FunctionCallOutput,
    InputAudio,
    InputImage,
    InputText,
    Item,
    ItemReference,
    McpApprovalRequest,
    McpApprovalResponse,
    McpCall,
    McpListTools,
    McpTool,
    Message,
    OutputAudio,
)
from parley.core.words.notices import (
    Notice,
    OutputAudioDelta,
    PartAt,
    RateLimit,
    ResponseCreated,
    ResponseView,
    SessionCreated,
    SessionUpdated,
)
from parley.core.words.settings import AudioFormat, FunctionTool, McpServer, Settings
from parley.core.words.work import Reply, ResponseParams
from parley.testing.rules.base import Step

_WIRE_NAMES = {
    "SessionUpdateRequested": "session.update",
    "AudioArrived": "input_audio_buffer.append",
    "CommitRequested": "input_audio_buffer.commit",
    "ClearRequested": "input_audio_buffer.clear",
    "OutputClearRequested": "output_audio_buffer.clear",
    "ItemCreateRequested": "conversation.item.create",
    "ItemRetrieveRequested": "conversation.item.retrieve",
    "ItemDeleteRequested": "conversation.item.delete",
    "ItemTruncateRequested": "conversation.item.truncate",
    "ResponseRequested": "response.create",
    "CancelRequested": "response.cancel",
    "ClientErred": "(unreadable)",
    "SessionCreated": "session.created",
    "SessionUpdated": "session.updated",
    "ConversationCreated": "conversation.created",
    "ErrorRaised": "error",
    "InputSpeechStarted": "input_audio_buffer.speech_started",
    "InputSpeechStopped": "input_audio_buffer.speech_stopped",
    "IdleTimeoutTriggered": "input_audio_buffer.timeout_triggered",
    "InputCommitted": "input_audio_buffer.committed",
    "InputCleared": "input_audio_buffer.cleared",
    "ItemAdded": "conversation.item.added",
    "ItemDone": "conversation.item.done",
    "ItemRetrieved": "conversation.item.retrieved",
    "ItemTruncated": "conversation.item.truncated",
    "ItemDeleted": "conversation.item.deleted",
    "TranscriptionDelta": "conversation.item.input_audio_transcription.delta",
    "TranscriptionCompleted": "conversation.item.input_audio_transcription.completed",
    "TranscriptionFailedNotice": "conversation.item.input_audio_transcription.failed",
    "ResponseCreated": "response.created",
    "ResponseDone": "response.done",
    "OutputItemAdded": "response.output_item.added",
    "OutputItemDone": "response.output_item.done",
    "ContentPartAdded": "response.content_part.added",
    "ContentPartDone": "response.content_part.done",
    "OutputTextDelta": "response.output_text.delta",
    "OutputTextDone": "response.output_text.done",
    "OutputTranscriptDelta": "response.output_audio_transcript.delta",
    "OutputTranscriptDone": "response.output_audio_transcript.done",
    "OutputAudioDelta": "response.output_audio.delta",
    "OutputAudioDone": "response.output_audio.done",
    "FunctionArgumentsDelta": "response.function_call_arguments.delta",
    "FunctionArgumentsDone": "response.function_call_arguments.done",
    "McpArgumentsDelta": "response.mcp_call_arguments.delta",
    "McpArgumentsDone": "response.mcp_call_arguments.done",
    "McpCallProgress": "response.mcp_call",
    "McpListProgress": "mcp_list_tools",
    "OutputBufferStarted": "output_audio_buffer.started",
    "OutputBufferStopped": "output_audio_buffer.stopped",
    "OutputBufferCleared": "output_audio_buffer.cleared",
    "RateLimitsUpdated": "rate_limits.updated",
}
_ID = re.compile(r"\b(sess|conv|item|resp|call)_[A-Za-z0-9]{21}\b")
_QUIET: tuple[type, ...] = (ScoreVoice, Transcribe, VoiceScored)
_SPOKEN = ("delta", "text", "transcript", "arguments")
_EMPTY: tuple[object, ...] = (None, "", (), False)


class Timeline:
    """Writes steps as lines. `inner` also shows the engines' events and the effects for the shell."""

    def __init__(self, start_ns: int, *, inner: bool = True) -> None:
        self._start_ns = start_ns
        self._inner = inner
        self._names: dict[str, str] = {}
        self._format = AudioFormat.PCM16
        self._formats: dict[object, AudioFormat] = {}
        self._appended = 0
        self._appended_ns = 0
        self.lines: list[str] = []

    def add(self, step: Step) -> None:
        """Add one step."""
        event = step.event
        if isinstance(event, AudioArrived) and not any(isinstance(effect, Tell) for effect in step.effects):
            self._appended += len(event.audio)
            self._appended_ns = step.now_ns
            return
        shown = [effect for effect in step.effects if self._shown(effect)]
        if event is not None and self._event_shown(event, bool(shown)):
            self._flush()
            self._line(step.now_ns, "->" if isinstance(event, ClientEvent) else "..", self._words(event))
        if shown:
            self._flush()
        for effect in shown:
            if isinstance(effect, Tell):
                self._line(step.now_ns, "<-", self._words(effect.notice))
            else:
                self._line(step.now_ns, "**", self._words(effect))

    def text(self) -> str:
        """The text of all steps so far."""
        self._flush()
        return "\n".join(self.lines) + "\n"

    def _shown(self, effect: Effect) -> bool:
        return isinstance(effect, Tell) or (self._inner and not isinstance(effect, _QUIET))

    def _event_shown(self, event: Event, caused: bool) -> bool:
        if isinstance(event, ClientEvent):
            return True
        if isinstance(event, TimePassed | VoiceScored | AudioPlayed):
            return self._inner and caused and not isinstance(event, VoiceScored)
        return self._inner

    def _flush(self) -> None:
        if self._appended:
            length = self._appended / self._format.bytes_per_ms
            self._line(self._appended_ns, "->", f"input_audio_buffer.append {length:.0f} ms")
            self._appended = 0

    def _line(self, now_ns: int, arrow: str, words: str) -> None:
        words = _ID.sub(lambda found: self._name(found.group()), words)
        self.lines.append(f"{(now_ns - self._start_ns) / 1e9:8.3f} s  {arrow} {words}".rstrip())

    def _name(self, id: str) -> str:
        if id not in self._names:
            prefix = id.split("_")[0]
            kind = sum(known.startswith(prefix) for known in self._names)
            self._names[id] = f"{prefix}-{_letters(kind)}"
        return self._names[id]

    def _length(self, value: SpeechGenerated | Play | OutputAudioDelta | JudgePause) -> str:
        match value:
            case SpeechGenerated():
                owner: object = value.attempt
            case Play():
                owner = value.response
            case OutputAudioDelta():
                owner = value.at.response_id
            case JudgePause():
                return f"{len(value.audio) / value.format.bytes_per_ms:.0f} ms"
        format = self._formats.get(owner, AudioFormat.PCM16)
        return f"{len(value.audio) / format.bytes_per_ms:.0f} ms"

    def _words(self, value: Event | Notice | Effect) -> str:
        kind = type(value).__name__
        if isinstance(value, SpeechGenerated | Play | OutputAudioDelta | JudgePause):
            return f"{_WIRE_NAMES.get(kind, kind)} {_fields(value, skip=('audio', 'words', 'format'))} {self._length(value)}"
        if isinstance(value, ResponseCreated):
            self._formats[value.response.id] = value.response.output_format
        if isinstance(value, StartGeneration):
            self._formats[value.attempt] = value.format
            if not isinstance(value.work, Reply):
                return (
                    f"{kind} attempt={value.attempt} {value.modality} {type(value.work).__name__}({value.work.text!r})"
                )
            shown = ", ".join(_item(item, ids=False) for item in value.prompt.items)
            return f"{kind} attempt={value.attempt} {value.modality} prompt=[{shown}]"
        if isinstance(value, ClauseStarted):
            return f"{kind} attempt={value.attempt} {value.text!r}"
        settings = getattr(value, "settings", None)
        if isinstance(settings, Settings):
            if isinstance(value, SessionCreated | SessionUpdated):
                self._format = settings.input_format
            return f"{_WIRE_NAMES.get(kind, kind)} {_settings(settings)}"
        return f"{_WIRE_NAMES.get(kind, kind)} {_fields(value)}"


def _letters(index: int) -> str:
    letter = chr(ord("A") + index % 26)
    return letter if index < 26 else _letters(index // 26 - 1) + letter


def _settings(settings: Settings) -> str:
    """The settings that differ between sessions, without defaults."""
    detection = settings.turn_detection
    turns = "manual" if detection is None else _value(detection)
    changed = [
        _field(name, getattr(settings, name))
        for name in ("instructions", "voice", "speed", "transcription", "tools", "max_output_tokens")
        if getattr(settings, name) != getattr(_PLAIN, name)
    ]
    return " ".join([settings.kind, settings.modality, f"turns={turns}", *changed])


_PLAIN = Settings()


def _fields(value: Any, skip: tuple[str, ...] = ()) -> str:
    shown = []
    for field in fields(value):
        part = getattr(value, field.name)
        if field.name in skip or (field.name not in _SPOKEN and (part in _EMPTY or part == field.default)):
            continue
        name = {"response_id": "response", "item_id": "item", "previous_item_id": "after"}.get(field.name, field.name)
        shown.append(_field(name, part))
    return " ".join(filter(None, shown))


def _field(name: str, part: Any) -> str:
    match part:
        case PartAt():
            return f"{part.item_id}"
        case ResponseView():
            return _response(part)
        case ResponseParams():
            return _fields(part)
        case _ if isinstance(part, Item):
            return _item(part)
        case str() if name in _SPOKEN or name in ("message", "instructions"):
            return f"{name}={part!r}"
        case _:
            return f"{name}={_value(part)}"


def _value(part: Any) -> str:
    match part:
        case bytes():
            return f"{len(part)} bytes"
        case float():
            return f"{part:g}"
        case AudioFormat():
            return str(part.value)
        case dict():
            return "{" + ", ".join(_field(name, value) for name, value in part.items()) + "}"
        case tuple():
            return "[" + ", ".join(map(_value, part)) + "]"
        case RateLimit():
            return f"{part.remaining} of {part.limit} {part.name}"
        case FunctionTool():
            return part.name
        case ItemReference():
            return f"reference to {part.id}"
        case _ if isinstance(part, Item):
            return _item(part)
        case McpServer():
            return f"MCP server {part.label}"
        case McpTool():
            return part.name
        case _ if is_dataclass(part):
            inside = _fields(part)
            return f"{type(part).__name__}({inside})" if inside else type(part).__name__
        case _:
            return str(part)


def _response(view: ResponseView) -> str:
    end = "" if view.reason is None else f"/{view.reason}"
    error = "" if view.error is None else f" error={view.error.code}"
    aside = "" if view.conversation_id is not None else " out-of-band"
    metadata = "" if not view.metadata else f" metadata={dict(view.metadata)}"
    output = "" if not view.output else f" output=[{', '.join(_item(item) for item in view.output)}]"
    return f"{view.id} {view.status}{end}{error}{aside}{metadata}{output}"


def _item(item: Item, *, ids: bool = True) -> str:
    name = f"{item.id} " if ids and item.id else ""
    state = "" if item.status == "completed" else f" {item.status}"
    match item:
        case FunctionCall():
            return f"{name}call {item.name}({item.arguments}) {item.call_id}{state}"
        case FunctionCallOutput():
            return f"{name}output {item.output!r} of {item.call_id}{state}"
        case McpListTools():
            return f"{name}tools of {item.server_label} [{', '.join(tool.name for tool in item.tools)}]{state}"
        case McpCall():
            came = f" = {item.output!r}" if item.error is None else f" failed: {item.error.message}"
            ended = "" if item.output is None and item.error is None else came
            asked = "" if item.approval_request_id is None else f" approved by {item.approval_request_id}"
            return f"{name}MCP call {item.server_label}.{item.name}({item.arguments}){ended}{asked}{state}"
        case McpApprovalRequest():
            return f"{name}may I call {item.server_label}.{item.name}({item.arguments})?{state}"
        case McpApprovalResponse():
            return f"{name}{'yes' if item.approve else 'no'} to {item.approval_request_id}{state}"
        case Message():
            return f"{name}{item.role}{state} {' '.join(map(_content, item.content))}".rstrip()


def _content(part: object) -> str:
    match part:
        case InputAudio(transcript=None):
            return "<audio>"
        case InputAudio(transcript=words) | OutputAudio(transcript=words):
            return f"<audio {words!r}>"
        case InputImage():
            return "<image>"
        case InputText(text=text):
            return repr(text)
        case _:
            return repr(getattr(part, "text", ""))


def render(
    steps: Iterable[Step], start_ns: int, *, inner: bool = True, keep: Callable[[Step], bool] = lambda step: True
) -> str:
    """The steps that `keep` accepts, as text."""
    timeline = Timeline(start_ns, inner=inner)
    for step in steps:
        if keep(step):
            timeline.add(step)
    return timeline.text()
