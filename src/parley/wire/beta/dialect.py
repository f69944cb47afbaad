"""The beta dialect, put together from its tables."""

from __future__ import annotations

from parley.wire.beta.client_events import read_event
from parley.wire.beta.encode_notices import server_event
from parley.wire.beta.encode_session import session_object
from parley.wire.beta.server_events import SERVER_EVENTS
from parley.wire.beta.session_schema import read_session
from parley.wire.beta.write_events import client_event
from parley.wire.codec import Codec
from parley.wire.field_paths import beta_path

BETA = Codec(
    name="beta",
    read_event=read_event,
    session_reader=read_session,
    session_writer=session_object,
    event_writer=server_event,
    client_writer=client_event,
    audio_delta="response.audio.delta",
    server_events=SERVER_EVENTS,
    path=beta_path,
    changes_kind=False,
)
