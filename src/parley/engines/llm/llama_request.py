"""A chat request in the words of llama.cpp's chat completions, which are OpenAI's but for some fields.

Laws: pure. What llama.cpp would pass over or fetch by itself is put in its own words (a forced tool), or refused (tools that the
chat template does not read, an image's address).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from parley.engines.llm import openai_request
from parley.engines.llm.gguf import Head
from parley.engines.llm.openai_request import ChatDialect
from parley.engines.ports import ChatRequest, EngineRefused, ForceTool

_NO_EFFORT: Final = frozenset({"none", "minimal"})


def request_body(request: ChatRequest, think: bool, projector: Head, *, reads_tools: bool = True) -> dict[str, object]:
    """The JSON body, without `stream`; `reads_tools`: the chat template has tools. Raises `EngineRefused` for tools that it would
    leave out, for an image that the model cannot see, or that is no `data:` URL."""
    images = [image for message in request.messages for image in message.images]
    if request.tools and request.tool_choice != "none" and not reads_tools:
        raise EngineRefused(
            "The chat template of the model has no tools.",
            "Leave tools out, use a model whose template has them, or name a template of your own: chat_template in llm_options.",
            code="tools_unsupported",
        )
    if images and not projector.sees:
        raise EngineRefused(
            "The model sees no images.",
            "Use one that does, and name its projector: mmproj in llm_options.",
            code="images_unsupported",
        )
    if not all(image.url.startswith("data:") for image in images):
        raise EngineRefused("Images are taken as data: URLs only.", "Send the image itself.", code="invalid_image")
    if isinstance(forced := request.tool_choice, ForceTool):  # llama.cpp reads names of choices only
        named = tuple(tool for tool in request.tools if tool.name == forced.name)
        request = replace(request, tools=named, tool_choice="required")
    effort = request.reasoning_effort
    body = openai_request.request_body(replace(request, reasoning_effort=""), "", ChatDialect(), hears=projector.hears)
    thinks = effort not in _NO_EFFORT if effort else think
    words: dict[str, object] = {"enable_thinking": thinks}
    if thinks and effort:
        words["reasoning_effort"] = effort
    return {**body, "chat_template_kwargs": words, "cache_prompt": True}
