"""The items that clients of the GA dialect create."""

from __future__ import annotations

import re
from functools import partial
from typing import Literal

from parley.core.words.items import InputImage
from parley.core.words.limits import MAX_IMAGE_BYTES
from parley.wire import limits
from parley.wire.ga import mcp_schema
from parley.wire.items_schema import ItemReader, input_audio, input_text, output_audio, output_text
from parley.wire.schema import Fields, Reader, invalid, one_of, shown, text

_DETAIL: Reader[Literal["auto", "low", "high"]] = one_of("auto", "low", "high")
_IMAGE_DATA = re.compile(r"data:image/(png|jpe?g|webp|gif);base64,")


def _input_image(members: Fields) -> InputImage:
    detail = members.find("detail", _DETAIL) or "auto"
    return InputImage(members.take("image_url", _image_url), detail)


def _image_url(value: object, path: str) -> str:
    url = text(MAX_IMAGE_BYTES, 1)(value, path)
    if _IMAGE_DATA.match(url):
        return url
    if not url.startswith("https://"):
        raise invalid(
            path,
            f"Invalid '{path}': {shown(url)}. Expected 'data:image/png;base64,…' (or jpeg, webp, gif) or an https URL.",
        )
    return text(limits.MAX_IMAGE_LINK)(url, path)


ITEMS = ItemReader(
    {
        "user": {"input_text": input_text, "input_audio": input_audio, "input_image": _input_image},
        "assistant": {"output_text": output_text, "output_audio": output_audio},
        "system": {"input_text": input_text},
    },
    others={named: partial(mcp_schema.mcp_item, named) for named in mcp_schema.ITEM_TYPES},
    foreign=("beta", {"text": "output_text", "audio": "output_audio"}),
)
