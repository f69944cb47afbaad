"""A real HTTP server that speaks OpenAI's Responses API: its events are built from the types of the package `openai`, and it refuses a
request that the package's parameter types do not allow.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, get_args

from openai.types.responses import (
    Response,
    ResponseCompletedEvent,
    ResponseCreatedEvent,
    ResponseErrorEvent,
    ResponseFailedEvent,
    ResponseFunctionCallArgumentsDeltaEvent,
    ResponseFunctionCallArgumentsDoneEvent,
    ResponseFunctionToolCall,
    ResponseIncompleteEvent,
    ResponseOutputItemAddedEvent,
    ResponseOutputItemDoneEvent,
    ResponseOutputMessage,
    ResponseOutputRefusal,
    ResponseOutputText,
    ResponseReasoningItem,
    ResponseRefusalDeltaEvent,
    ResponseTextDeltaEvent,
    ResponseTextDoneEvent,
    ResponseUsage,
)
from openai.types.responses.response_create_params import ResponseCreateParamsStreaming
from pydantic import BaseModel, TypeAdapter, ValidationError

from tests.engines.chat_server import Answer, ChatServer, Request
from tests.engines.scripted_servers import next_of

_REQUEST = TypeAdapter(ResponseCreateParamsStreaming)


@dataclass
class ResponsesServer(ChatServer):
    """`scripts` answer the requests for a response in turn, the last one goes on."""

    @property
    def bodies(self) -> list[Any]:
        """The bodies of the requests for a response so far."""
        return [request.body for request in self.requests if request.path.endswith("/responses")]

    async def _answer(self, request: Request, answer: Answer) -> None:
        if request.path != f"{self.root}/responses":
            await super()._answer(request, answer)
            return
        try:
            list(_REQUEST.validate_python(request.body).get("tools", ()))  # (an iterable is validated as it is read)
        except ValidationError as error:
            message = f"Invalid request: {error.errors()[0]}"
            await answer.json(400, {"error": {"message": message, "type": "invalid_request_error", "code": None}})
            return
        script = next_of(self.scripts)
        await script(request, answer)


class Stream:
    """Writes the events of one response, numbered."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._number = 0
        self._items: list[Any] = []

    async def send(self, event: type[BaseModel], **fields: Any) -> None:
        """One event; its type is the only one that its class allows."""
        (kind,) = get_args(event.model_fields["type"].annotation)
        made = event(type=kind, sequence_number=self._number, **fields)
        self._number += 1
        await self._answer.raw(f"event: {kind}\ndata: {made.model_dump_json(exclude_none=True)}\n\n".encode())

    async def created(self) -> None:
        await self.send(ResponseCreatedEvent, response=self.response("in_progress"))

    async def text(self, *pieces: str) -> None:
        """A message whole: begun, in pieces, and ended."""
        index = await self.begin_message()
        for piece in pieces:
            await self.delta(piece, index)
        await self.end_message("".join(pieces), index)

    async def begin_message(self) -> int:
        index = len(self._items)
        message = ResponseOutputMessage(
            id=f"msg_{index}", content=[], role="assistant", status="in_progress", type="message"
        )
        await self.send(ResponseOutputItemAddedEvent, item=message, output_index=index)
        self._items.append(message)
        return index

    async def delta(self, piece: str, index: int = 0) -> None:
        where = {"content_index": 0, "item_id": f"msg_{index}", "output_index": index}
        await self.send(ResponseTextDeltaEvent, delta=piece, logprobs=[], **where)

    async def end_message(self, text: str, index: int = 0) -> None:
        where = {"content_index": 0, "item_id": f"msg_{index}", "output_index": index}
        await self.send(ResponseTextDoneEvent, text=text, logprobs=[], **where)
        part = ResponseOutputText(annotations=[], text=text, type="output_text")
        self._items[index] = self._items[index].model_copy(update={"content": [part], "status": "completed"})
        await self.send(ResponseOutputItemDoneEvent, item=self._items[index], output_index=index)

    async def refusal(self, *pieces: str) -> None:
        index = await self.begin_message()
        where = {"content_index": 0, "item_id": f"msg_{index}", "output_index": index}
        for piece in pieces:
            await self.send(ResponseRefusalDeltaEvent, delta=piece, **where)
        part = ResponseOutputRefusal(refusal="".join(pieces), type="refusal")
        self._items[index] = self._items[index].model_copy(update={"content": [part], "status": "completed"})
        await self.send(ResponseOutputItemDoneEvent, item=self._items[index], output_index=index)

    async def reasoning(self) -> None:
        index = len(self._items)
        item = ResponseReasoningItem(id=f"rs_{index}", summary=[], type="reasoning")
        await self.send(ResponseOutputItemAddedEvent, item=item, output_index=index)
        await self.send(ResponseOutputItemDoneEvent, item=item, output_index=index)
        self._items.append(item)

    async def call(self, name: str, *pieces: str, call_id: str = "") -> None:
        index = await self.begin_call(name, call_id)
        for piece in pieces:
            await self.argue(index, piece)
        await self.end_call(index, "".join(pieces))

    async def begin_call(self, name: str, call_id: str = "") -> int:
        index = len(self._items)
        call = ResponseFunctionToolCall(
            id=f"fc_{index}", arguments="", call_id=call_id or f"call_x{index}", name=name, type="function_call"
        )
        self._items.append(call)
        await self.send(ResponseOutputItemAddedEvent, item=call, output_index=index)
        return index

    async def argue(self, index: int, piece: str) -> None:
        where = {"item_id": f"fc_{index}", "output_index": index}
        await self.send(ResponseFunctionCallArgumentsDeltaEvent, delta=piece, **where)

    async def end_call(self, index: int, arguments: str) -> None:
        where = {"item_id": f"fc_{index}", "output_index": index}
        if "name" in ResponseFunctionCallArgumentsDoneEvent.model_fields:  # (until openai 3.5)
            where["name"] = self._items[index].name
        await self.send(ResponseFunctionCallArgumentsDoneEvent, arguments=arguments, **where)
        self._items[index] = self._items[index].model_copy(update={"arguments": arguments, "status": "completed"})
        await self.send(ResponseOutputItemDoneEvent, item=self._items[index], output_index=index)

    async def completed(self, read: int = 12, made: int = 3, cached: int = 0) -> None:
        """The last event, with the counts, and the end of the body."""
        await self.send(ResponseCompletedEvent, response=self.response("completed", usage=counts(read, made, cached)))
        await self._answer.end()

    async def incomplete(self, reason: str) -> None:
        response = self.response("incomplete", incomplete_details={"reason": reason}, usage=counts(12, 3, 0))
        await self.send(ResponseIncompleteEvent, response=response)
        await self._answer.end()

    async def failed(self, code: str, message: str) -> None:
        response = self.response("failed", error={"code": code, "message": message})
        await self.send(ResponseFailedEvent, response=response)
        await self._answer.end()

    async def error(self, code: str, message: str) -> None:
        await self.send(ResponseErrorEvent, code=code, message=message)
        await self._answer.end()

    def response(self, status: str, **fields: Any) -> Response:
        return Response.model_validate(
            {
                "id": "resp_1",
                "created_at": 1,
                "model": "m",
                "object": "response",
                "output": [item.model_dump() for item in self._items],
                "parallel_tool_calls": True,
                "tool_choice": "auto",
                "tools": [],
                "status": status,
                **fields,
            }
        )


def counts(read: int, made: int, cached: int) -> ResponseUsage:
    """The usage of a response, whatever details this version of the package wants."""
    details = dict.fromkeys(_details(), 0) | {"cached_tokens": cached}
    return ResponseUsage.model_validate(
        {
            "input_tokens": read,
            "input_tokens_details": details,
            "output_tokens": made,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": read + made,
        }
    )


def _details() -> list[str]:
    from openai.types.responses.response_usage import InputTokensDetails

    return [name for name, known in InputTokensDetails.model_fields.items() if known.is_required()]


async def text(answer: Answer, *pieces: str) -> None:
    """A whole ordinary reply."""
    stream = Stream(answer)
    await stream.created()
    await stream.text(*pieces)
    await stream.completed()
