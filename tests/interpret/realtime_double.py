"""A Realtime server with conversation sessions that is not Parley's, GA or beta: slow, failing, forgetting, chatting, as its script says.

Speech is told apart by its samples: all samples of sentence k are k, and so are those of its translation. Every client event must be one
that the `openai` package's types have, with known members only; what breaks a rule of the protocol is in `faults`.
"""

from __future__ import annotations

import asyncio
import base64
import json
import typing
from collections import Counter, deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import numpy as np
from openai.types.beta import realtime as beta
from openai.types.realtime import RealtimeClientEventParam
from openai.types.realtime.response_create_event_with_references_param import ResponseCreateEventWithReferencesParam
from pydantic import TypeAdapter, ValidationError
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from tests.wire.surface import client_events

DialectName = Literal["ga", "beta"]

HEARD: Final = {
    1: "Buenos días, ¿puede usted ayudarme con esta cuenta?",
    2: "Quisiera hablar mañana por la tarde con el director del banco.",
    3: "No me gusta nada el color de la puerta principal.",
    4: "Vivimos en esta casa desde hace mucho tiempo.",
    5: "Mi hermano trabaja en el hospital de la ciudad.",
    6: "El tren sale muy temprano por la mañana.",
    7: "Necesito comprar pan y leche en la tienda.",
    8: "La reunión fue larga y bastante aburrida.",
    9: "",
    10: "El tren número 4711 sale a las 9:35 hacia Zaragoza.",
}
"""What is said in sentence k; 9 is a cough, 10 has numbers and a name."""

SAID: Final = {
    1: "Good morning, can you help me with this account?",
    2: "I would like to speak to the director of the bank tomorrow afternoon.",
    3: "I do not like the color of the front door at all.",
    4: "We have lived in this house for a long time.",
    5: "My brother works at the hospital in the city.",
    6: "The train leaves very early in the morning.",
    7: "I need to buy bread and milk at the shop.",
    8: "The meeting was long and rather boring.",
    9: "Thank you for watching, and do not forget to subscribe to the channel!",
    10: "Train number 4711 leaves at 9:35 for Zaragoza.",
}
CHAT: Final = "Sure! I'd be happy to help you with that. First of all, could you tell me the number of the account?"
IN_SPANISH: Final = "Claro que sí, con mucho gusto le ayudo ahora mismo con todo lo que usted necesite."
WITHOUT_FACTS: Final = "The first of the trains leaves for the north in the morning."
"""No translation of sentence 10, which nothing but the missing numbers and the missing name shows."""
LATE_ANSWER: Final = (
    "It is the best account that there is in the whole of this beautiful country, and everybody who has ever opened it, be it a farmer, a "
    "teacher or a sailor, has said so to anybody who cared to listen, which is the reason why it is so well known everywhere."
)

PIECES: Final = 4
"""A response says its words and its audio in so many pieces."""

PIECE_SAMPLES: Final = 4_800

_GA: Final = (*typing.get_args(RealtimeClientEventParam), ResponseCreateEventWithReferencesParam)
_BETA: Final = typing.get_args(beta.RealtimeClientEventParam)


def _readers(models: tuple[Any, ...]) -> dict[str, list[TypeAdapter[Any]]]:
    found: dict[str, list[TypeAdapter[Any]]] = {}
    for model in models:
        kind = typing.get_args(typing.get_type_hints(model)["type"])[0]
        found.setdefault(kind, []).append(TypeAdapter(model))
    return found


_READERS: Final = {"ga": _readers(_GA), "beta": _readers(_BETA)}
_OPTIONS: Final = {"ga": client_events("ga"), "beta": client_events("beta")}


def paths(value: Any, path: str = "") -> Iterator[str]:
    """The dotted path of each member, `[]` for the elements of an array."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield (inside := f"{path}.{name}" if path else name)
            yield from paths(inner, inside)
    elif isinstance(value, list):
        for inner in value:
            yield from paths(inner, f"{path}[]")


def fault_of(event: dict[str, Any], dialect: DialectName) -> str:
    """Why a stock server would not take the event; "": it is as the `openai` package's types have it."""
    kind = event.get("type", "")
    if dialect == "beta" and event.get("session", {}).get("turn_detection", "") is None:
        session = {name: value for name, value in event["session"].items() if name != "turn_detection"}
        event = {**event, "session": session}  # null switches it off, says the type's docstring, which the type forgot
    if kind not in _READERS[dialect]:
        return f"no event {kind!r} in the {dialect} dialect"
    errors = []
    for reader in _READERS[dialect][kind]:
        try:
            reader.validate_python(event)
            break
        except ValidationError as error:
            errors.append(str(error))
    else:
        return f"{kind}: {errors[0]}"
    known = {*_OPTIONS[dialect][kind], "type"}
    free = ("response.metadata.",)
    unknown = [path for path in paths(event) if path not in known and not path.startswith(free)]
    return f"{kind} has unknown members: {unknown}" if unknown else ""


@dataclass
class Script:
    """What the server does. Sentences are numbers of `HEARD`; `{k: times}` is how often it happens to sentence k before all goes well."""

    dialect: DialectName = "ga"
    out_of_band: Literal["yes", "refuses", "ignores"] = "yes"
    chats: dict[int, list[str]] = field(default_factory=dict)
    """What is said in the place of the translation of a sentence, time after time."""
    fails: dict[int, int] = field(default_factory=dict)
    fails_midway: set[int] = field(default_factory=set)
    rate_limits: dict[int, int] = field(default_factory=dict)
    rate_limited_responses: dict[int, int] = field(default_factory=dict)
    forgets: set[int] = field(default_factory=set)
    """Sentences whose items are gone when they are asked for."""
    forgets_deletions: bool = False
    """Deletions of items answer that the item does not exist."""
    echoes_event_ids: bool = True
    closes_at: int = 0
    """The connection breaks in the middle of the response to this sentence."""
    transcribes: Literal["at once", "late", "never"] = "at once"
    audio_first: bool = False
    names_responses: bool = True
    """Repeats the metadata of a request."""
    expires_in_s: int = 3600
    refuses_session: str = ""
    silent: bool = False
    """Never answers a `response.create`."""
    ends_account: bool = False


class Closed(Exception):
    """The script breaks the connection here."""


class RealtimeDouble:
    """`receive()` the client's messages, `work()` for one more event of the response in progress; `out` are the events to be sent."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.out: deque[str] = deque()
        self.faults: list[str] = []
        self.got: list[dict[str, Any]] = []
        self.buffer = np.zeros(0, np.int16)
        self.items: dict[str, list[int]] = {}
        """The conversation: the sentences in each item; an answer has none."""
        self.answers: set[str] = set()
        self.committed: list[list[int]] = []
        self.answered: list[list[int]] = []
        """The sentences of each response that was completed."""
        self.asked: list[list[int]] = []
        self.running: Iterator[None] | None = None
        self.cancelled = False
        self.instructions: list[str] = []
        self.deleted: list[str] = []
        self.samples_sent = 0
        self._ids = Counter[str]()
        self._late: list[tuple[str, str]] = []
        session = {"id": "sess_1", "object": "realtime.session", "expires_at": 2_000_000_000, "model": "double"}
        self._say("session.created", session={**session, "instructions": "Be helpful.", "voice": "any"})

    # --- what the client sends -----------------------------------------------------------------------------------------

    def receive(self, text: str | bytes) -> None:
        event = json.loads(text)
        self.got.append(event)
        if fault := fault_of(event, self.script.dialect):
            self.faults.append(fault)
        match event["type"]:
            case "session.update":
                self._update(event)
            case "input_audio_buffer.append":
                samples = np.frombuffer(base64.b64decode(event["audio"]), "<i2")
                self.buffer = np.concatenate((self.buffer, samples))
            case "input_audio_buffer.clear":
                self.buffer = self.buffer[:0]
                self._say("input_audio_buffer.cleared")
            case "input_audio_buffer.commit":
                self._commit(event)
            case "response.create":
                self._create(event)
            case "response.cancel":
                self.cancelled = True
            case "conversation.item.delete":
                self._delete(event)

    def _update(self, event: dict[str, Any]) -> None:
        if self.script.refuses_session:
            self._error("invalid_value", self.script.refuses_session, "session.voice", event)
            return
        session = event["session"]
        at = "input_audio_transcription" if self.script.dialect == "beta" else "audio"
        shown: dict[str, Any] = {"id": "sess_1", "expires_at": 2_000_000_000}
        if at in session and self.script.transcribes != "never":
            shown[at] = session[at]
        self._say("session.updated", session=shown)

    def _commit(self, event: dict[str, Any]) -> None:
        if len(self.buffer) < 2_400:
            self.faults.append(f"a commit of {len(self.buffer)} samples")
            self._error("input_audio_buffer_commit_empty", "Error committing: buffer too small.", None, event)
            return
        marks = [int(mark) for mark in dict.fromkeys(self.buffer.tolist()) if mark]
        self.buffer = self.buffer[:0]
        item_id = self._id("item")
        self.items[item_id] = marks
        self.committed.append(marks)
        self._say("input_audio_buffer.committed", item_id=item_id, previous_item_id=None)
        item = {"id": item_id, "type": "message", "role": "user", "status": "completed", "content": []}
        added = "conversation.item.created" if self.script.dialect == "beta" else "conversation.item.added"
        self._say(added, item=item, previous_item_id=None)
        words = " ".join(HEARD[mark] for mark in marks)
        if self.script.transcribes == "at once":
            self._transcribed(item_id, words)
        elif self.script.transcribes == "late":
            self._late.append((item_id, words))

    def _transcribed(self, item_id: str, words: str) -> None:
        kind = "conversation.item.input_audio_transcription."
        half = len(words) // 2
        for piece in (words[:half], words[half:]):
            self._say(kind + "delta", item_id=item_id, content_index=0, delta=piece)
        self._say(kind + "completed", item_id=item_id, content_index=0, transcript=words)

    def _create(self, event: dict[str, Any]) -> None:
        response = event.get("response", {})
        given = response.get("input")
        out_of_band = response.get("conversation") == "none"
        if self.running is not None:
            self.faults.append("two responses at once")
        if self.script.ends_account:
            self._error("insufficient_quota", "You exceeded your current quota.", None, event)
            return
        if out_of_band and self.script.out_of_band == "refuses":
            self._error(
                "unknown_parameter", "Unknown parameter: 'response.conversation'.", "response.conversation", event
            )
            return
        if given is not None and self.script.out_of_band == "yes":
            gone = [one["id"] for one in given if one["id"] not in self.items or self._forgotten(one["id"])]
            if gone:
                self._error("invalid_value", f"Item with id '{gone[0]}' not found.", "response.input[0].id", event)
                return
            marks = [mark for one in given for mark in self.items[one["id"]]]
        else:
            if self.answers & self.items.keys() and self.script.out_of_band != "ignores":
                self.faults.append("an answer is still in the conversation")
            marks = [mark for marks in self.items.values() for mark in marks]
        if self._happens(self.script.rate_limits, marks):
            self._error("rate_limit_exceeded", "Rate limit reached. Please try again in 20ms.", None, event)
            return
        self.asked.append(marks)
        self.instructions.append(response.get("instructions", ""))
        if not self.script.silent:
            metadata = response.get("metadata") if self.script.names_responses else None
            in_conversation = not out_of_band or self.script.out_of_band == "ignores"
            self.cancelled = False
            self.running = self._respond(marks, metadata, in_conversation)

    def _delete(self, event: dict[str, Any]) -> None:
        item_id = event["item_id"]
        if item_id in self.deleted:
            self.faults.append(f"{item_id} is deleted twice")
        self.deleted.append(item_id)
        known = self.items.pop(item_id, None) is not None
        if not known or self.script.forgets_deletions:
            named = f"The item {item_id} does not exist." if self.script.echoes_event_ids else "Item not found."
            self._error("item_not_found", named, "item_id", event)
        else:
            self._say("conversation.item.deleted", item_id=item_id)

    # --- what it says --------------------------------------------------------------------------------------------------

    def work(self) -> bool:
        """One more step of the response in progress; whether there was one."""
        if self.running is None:
            for item_id, words in self._late:
                self._transcribed(item_id, words)
            self._late, late = [], bool(self._late)
            return late
        if next(self.running, self) is self:
            self.running = None
        return True

    def _respond(self, marks: list[int], metadata: dict[str, str] | None, in_conversation: bool) -> Iterator[None]:
        ga = self.script.dialect == "ga"
        response_id, item_id = self._id("resp"), self._id("item")
        response = {"id": response_id, "object": "realtime.response", "metadata": metadata}
        conversation = {"conversation_id": "conv_1" if in_conversation else None} if ga else {}
        self._say("response.created", response={**response, "status": "in_progress", "output": [], **conversation})
        yield
        if self._happens(self.script.fails, marks):
            error = {"type": "server_error", "code": "server_error", "message": "The server had an error."}
            self._done({**response, "status": "failed", "status_details": {"type": "failed", "error": error}})
            return
        if self._happens(self.script.rate_limited_responses, marks):
            error = {"type": "requests", "code": "rate_limit_exceeded", "message": "Slow down, try again in 1s."}
            self._done({**response, "status": "failed", "status_details": {"type": "failed", "error": error}})
            return
        item = {"id": item_id, "type": "message", "role": "assistant", "status": "in_progress", "content": []}
        self._say("response.output_item.added", response_id=response_id, output_index=0, item=item)
        if in_conversation:
            self.items[item_id] = []
            self.answers.add(item_id)
            self._say(
                "conversation.item.added" if ga else "conversation.item.created", item=item, previous_item_id=None
            )
        names = ("output_audio_transcript", "output_audio") if ga else ("audio_transcript", "audio")
        at = {"response_id": response_id, "item_id": item_id, "output_index": 0, "content_index": 0}
        sound = np.full(PIECE_SAMPLES, marks[0] if marks else 0, np.int16).tobytes()
        pieces = self._pieces(marks)
        for number, piece in enumerate(pieces):
            events = [(names[0], piece), (names[1], base64.b64encode(sound).decode())]
            for name, delta in reversed(events) if self.script.audio_first else events:
                if self.cancelled:
                    self._done(
                        {
                            **response,
                            "status": "cancelled",
                            "status_details": {"type": "cancelled", "reason": "client_cancelled"},
                        }
                    )
                    return
                self._say(f"response.{name}.delta", **at, delta=delta)
                self.samples_sent += PIECE_SAMPLES if name == names[1] else 0
                yield
            if number == PIECES // 2 and self.script.closes_at in marks and marks:
                raise Closed
            if number == PIECES // 2 and self.script.fails_midway & set(marks):
                details = {"type": "incomplete", "reason": "max_output_tokens"}
                self._done({**response, "status": "incomplete", "status_details": details})
                return
        self.answered.append(marks)
        self._say(f"response.{names[0]}.done", **at, transcript="".join(pieces))
        self._done({**response, "status": "completed", "output": [{**item, "status": "completed"}]})

    def _pieces(self, marks: list[int]) -> list[str]:
        said = [self.script.chats[mark].pop(0) if self.script.chats.get(mark) else SAID[mark] for mark in marks]
        words = " ".join(said).split(" ")
        size = -(-len(words) // PIECES)
        pieces = [" ".join(words[at : at + size]) for at in range(0, len(words), size)]
        return [piece if number == 0 else f" {piece}" for number, piece in enumerate(pieces)]

    def _done(self, response: dict[str, Any]) -> None:
        """The end of the response: from here on another one may begin."""
        self.running = None
        self._say("response.done", response={"output": [], **response})

    def _forgotten(self, item_id: str) -> bool:
        return bool(set(self.items[item_id]) & self.script.forgets)

    def _happens(self, times: dict[int, int], marks: list[int]) -> bool:
        for mark in marks:
            if times.get(mark, 0):
                times[mark] -= 1
                return True
        return False

    def _error(self, code: str, message: str, param: str | None, event: dict[str, Any]) -> None:
        event_id = event.get("event_id") if self.script.echoes_event_ids else None
        error = {
            "type": "invalid_request_error",
            "code": code,
            "message": message,
            "param": param,
            "event_id": event_id,
        }
        self._say("error", error=error)

    def _say(self, kind: str, **members: Any) -> None:
        self.out.append(json.dumps({"type": kind, "event_id": self._id("event"), **members}))

    def _id(self, kind: str) -> str:
        self._ids[kind] += 1
        return f"{kind}_{self._ids[kind]}"

    # --- for tests -----------------------------------------------------------------------------------------------------

    def kinds(self) -> list[str]:
        """The types of the client's events, without the audio."""
        return [event["type"] for event in self.got if event["type"] != "input_audio_buffer.append"]

    def requests(self) -> list[dict[str, Any]]:
        return [event.get("response", {}) for event in self.got if event["type"] == "response.create"]


@dataclass
class Serving:
    """A double behind a socket. `hold()` has responses stand still until `resume()`; `double` is that of the newest connection."""

    url: str = ""
    double: RealtimeDouble | None = None
    held: bool = False
    more: asyncio.Event = field(default_factory=asyncio.Event)
    beta_headers: list[str | None] = field(default_factory=list)

    @property
    def one(self) -> RealtimeDouble:
        assert self.double is not None, "nobody has connected"
        return self.double

    def hold(self) -> None:
        self.held = True

    def resume(self) -> None:
        self.held = False
        self.more.set()


@asynccontextmanager
async def realtime_double(script: Script) -> AsyncIterator[Serving]:
    """The double on a free port."""
    serving = Serving()

    async def talk(socket: ServerConnection) -> None:
        assert socket.request is not None
        serving.beta_headers.append(socket.request.headers.get("OpenAI-Beta"))
        double = serving.double = RealtimeDouble(script)

        async def speak() -> None:
            while True:
                serving.more.clear()
                while double.out:
                    await socket.send(double.out.popleft())
                if serving.held or not double.work():
                    await serving.more.wait()

        speaker = asyncio.create_task(speak())
        speaker.add_done_callback(lambda _: socket.transport.abort())
        try:
            async for message in socket:
                double.receive(message)
                serving.more.set()
        except ConnectionClosed:
            pass
        finally:
            speaker.cancel()
            await asyncio.gather(speaker, return_exceptions=True)

    async with serve(talk, "127.0.0.1", 0) as server:
        serving.url = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
        yield serving
