"""The body of a request, read within its endpoint's bound.

Laws: a body is refused as soon as its length, declared or received, is beyond the bound; nothing of a larger one is kept. A client that
goes away raises Starlette's `ClientDisconnect`, which the application answers once (`rest`).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator

from starlette.requests import Request

from parley.server.refusals import Refusal, Refused


def too_large(most: int, param: str | None = None) -> Refusal:
    """The refusal of a body of more than `most` bytes."""
    return Refusal(413, "request_too_large", f"The request is larger than {most} bytes.", param)


async def body_pieces(request: Request, most: int, refusal: Refusal | None = None) -> AsyncGenerator[bytes, None]:
    """The body as it comes, up to `most` bytes. Raises `Refused` (with `refusal`, or `too_large`) beyond them, and `ClientDisconnect`."""
    refusal = refusal or too_large(most)
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and int(declared) > most:
        raise Refused(refusal)
    received = 0
    async for piece in request.stream():
        received += len(piece)
        if received > most:
            raise Refused(refusal)
        yield piece


async def read_body(request: Request, most: int, refusal: Refusal | None = None) -> bytes:
    """The whole body. Raises as `body_pieces` does."""
    return b"".join([piece async for piece in body_pieces(request, most, refusal)])
