"""The parts of a message as chat completions, the Responses API, Ollama and llama.cpp are sent them."""

from __future__ import annotations

import base64
import io
import wave
from typing import Any

import pytest

from parley.engines.llm import llama_request, ollama_request, openai_request, responses_request
from parley.engines.llm.gguf import Head
from parley.engines.llm.message_parts import parts_of
from parley.engines.llm.openai_request import ChatDialect
from parley.engines.ports import (
    AudioPart,
    ChatMessage,
    ChatRequest,
    EngineRefused,
    ForceTool,
    ImagePart,
    Tool,
    ToolChoice,
)

PCM = bytes(range(200))
SOUND = AudioPart(PCM, 24_000, 8, 12)
IMAGE = ImagePart("data:image/png;base64,AAAA", at=12)
MESSAGE = ChatMessage("user", "Listen:\nding\nWhat?", audio=(SOUND,))
HEARS = Head({"clip.has_audio_encoder": True})


def test_a_sound_stands_for_its_words() -> None:
    assert list(parts_of(MESSAGE, hears=True)) == ["Listen:", SOUND, "What?"]
    assert list(parts_of(MESSAGE, hears=False)) == ["Listen:\nding\nWhat?"]


def test_sounds_and_images_stand_in_their_order() -> None:
    later = AudioPart(PCM, 8000, 13, 18)
    message = ChatMessage("user", MESSAGE.text, (IMAGE,), audio=(SOUND, later))
    assert list(parts_of(message, hears=True)) == ["Listen:", SOUND, IMAGE, later]
    assert list(parts_of(message, hears=False)) == ["Listen:\nding", IMAGE, "What?"]


def test_a_sound_alone() -> None:
    alone = AudioPart(PCM, 24_000, 0, 4)
    assert list(parts_of(ChatMessage("user", "ding", audio=(alone,)), hears=True)) == [alone]


def content(body: dict[str, object]) -> Any:
    messages: Any = body.get("messages") or body["input"]
    return messages[0]["content"]


def test_chat_completions_have_a_wav() -> None:
    body = openai_request.request_body(ChatRequest((MESSAGE,)), "m", ChatDialect(), hears=True)
    before, sound, after = content(body)
    assert (before, after) == ({"type": "text", "text": "Listen:"}, {"type": "text", "text": "What?"})
    with wave.open(io.BytesIO(base64.b64decode(sound["input_audio"]["data"]))) as wav:
        assert (wav.getframerate(), wav.getsampwidth(), wav.readframes(200)) == (24_000, 2, PCM)


@pytest.mark.parametrize("projector", [HEARS, Head({})])
def test_llama_hears_with_a_projector_that_does(projector: Head) -> None:
    made = content(llama_request.request_body(ChatRequest((MESSAGE,)), False, projector))
    kinds = [part["type"] for part in made] if isinstance(made, list) else made
    assert kinds == (["text", "input_audio", "text"] if projector.hears else MESSAGE.text)


def test_a_projector_for_sound_sees_nothing() -> None:
    request = ChatRequest((ChatMessage("user", "See?", (IMAGE,)),))
    with pytest.raises(EngineRefused) as raised:
        llama_request.request_body(request, False, HEARS)
    assert raised.value.code == "images_unsupported"


TOOL = Tool("count", "Counts.")


@pytest.mark.parametrize("choice", ["auto", "required", ForceTool("count")])
def test_llama_refuses_tools_that_the_chat_template_would_leave_out(choice: ToolChoice) -> None:
    request = ChatRequest((ChatMessage("user", "Count."),), (TOOL,), choice)
    with pytest.raises(EngineRefused, match="chat template of the model has no tools") as raised:
        llama_request.request_body(request, False, Head({}), reads_tools=False)
    assert raised.value.code == "tools_unsupported"
    assert "tools" in llama_request.request_body(request, False, Head({}))


def test_llama_takes_tools_that_are_not_to_be_called() -> None:
    request = ChatRequest((ChatMessage("user", "Count."),), (TOOL,), "none")
    assert llama_request.request_body(request, False, Head({}), reads_tools=False)["messages"]


def test_apis_without_sound_are_sent_the_words() -> None:
    request = ChatRequest((MESSAGE,))
    assert content(responses_request.request_body(request, "m")) == MESSAGE.text
    assert content(ollama_request.request_body(request, "m", ollama_request.ModelTraits(), 4096, False)) == MESSAGE.text
