"""A Realtime server with conversation sessions that is not Parley's, GA or beta: slow, failing, forgetting, chatting, as its script says.

Speech is told apart by its samples: all samples of sentence k are k, and so are those of its translation. Every client event must be one
that the `openai` package's types have, with known members only; what breaks a rule of the protocol is in `faults`.
"""

from __future__ import annotations

import base64
import json
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import asyncio
import numpy as np
from openai.types.beta.realtime import realtime_client_event_param as beta_events
from openai.types.realtime import RealtimeClientEventParam
from openai.types.realtime.response_create_event_with_references_param import ResponseCreateEventWithReferencesParam
from pydantic import TypeAdapter
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from tests.wire.surface import client_events

Dialect = Literal["ga", "beta"]

HEARD = {
    1: "Buenos días, ¿puede usted ayudarme con esta cuenta?",
    2: "Quisiera hablar mañana por la tarde con el director del banco.",
    3: "No me gusta nada el color de la puerta principal.",
    4: "Vivimos en esta casa desde hace mucho tiempo.",
    5: "Mi hermano trabaja en el hospital de la ciudad.",
    6: "El tren sale muy temprano por la mañana.",
    7: "Necesito comprar pan y leche en la tienda.",
    8: "La reunión fue larga y bastante aburrida.",
}
SAID = {
    1: "Good morning, can you help me with this account?",
    2: "I would like to speak to the director of the bank tomorrow afternoon.",
    3: "I do not like the color of the front door at all.",
    4: "We have lived in this house for a long time.",
    5: "My brother works at the hospital in the city.",
    6: "The train leaves very early in the morning.",
    7: "I need to buy bread and milk at the shop.",
    8: "The meeting was long and rather boring.",
}
CHAT = "Of course! I would be happy to help you. What would you like to know about it today?"
IN_SPANISH = "Claro que sí, con mucho gusto le ayudo ahora mismo con todo lo que necesite."

_EVENTS: dict[str, dict[str, list[TypeAdapter[Any]]]] = {"ga": {}, "beta": {}}
for _dialect, _models in (
    ("ga", (*get_args(RealtimeClientEventParam), ResponseCreateEventWithReferencesParam)),
    ("beta", get_args(beta_events.RealtimeClientEventParam)),
):
    for _model in _models:
        _name = get_args(_model.__annotations__["type"].__forward_arg__ and __import__("typing").get_type_hints(_model)["type"])
        _EVENTS[_dialect].setdefault(_name[0], []).append(TypeAdapter(_model))
_OPTIONS = {dialect: client_events(dialect) for dialect in ("ga", "beta")}
