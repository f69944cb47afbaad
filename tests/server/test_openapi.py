"""The OpenAPI document: valid, written down, and kept to by the server. That it has every route: test_every_route.py."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from parley.server.openapi.document import Undescribed, document
from parley.server.openapi.operation import described, json_answer
from tests.server.search_api import search

WRITTEN = Path(__file__).resolve().parents[2] / "docs" / "openapi.json"


def test_the_document_is_valid() -> None:
    found: dict[str, Any] = json.loads(WRITTEN.read_text(encoding="utf-8"))
    assert not list(OpenAPIV31SpecValidator(found).iter_errors())
    names = [operation["operationId"] for path in found["paths"].values() for operation in path.values()]
    assert len(names) == len(set(names))


async def _undescribed(request: Request) -> Response:
    return Response()


@described("A test", demand="audio", answers={200: json_answer("It.", "NoSuchSchema")})
async def _unknown(request: Request) -> Response:
    return Response()


@pytest.mark.parametrize(("endpoint", "said"), [(_undescribed, "@described"), (_unknown, "NoSuchSchema")])
def test_a_route_without_a_description_is_named_with_what_to_do(endpoint: Any, said: str) -> None:
    with pytest.raises(Undescribed, match=r"/v1/new|NoSuchSchema") as caught:
        document([Route("/v1/new", endpoint)])
    assert said in str(caught.value)


@pytest.mark.timeout(300)  # two processes start, and a busy machine takes long over it
def test_the_server_keeps_to_its_document_whatever_is_sent() -> None:
    found = search("--phases", "fuzzing", "--max-examples", "3", "--seed", "1")
    assert found.returncode == 0, found.stdout[-6000:]
    assert int(re.findall(r"(\d+) generated", found.stdout)[-1]) > 100, found.stdout[-2000:]
