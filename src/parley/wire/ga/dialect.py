"""The GA dialect, put together from its tables."""

from __future__ import annotations

from parley.wire.codec import Codec
from parley.wire.field_paths import ga_path
from parley.wire.ga.client_events import read_event
from parley.wire.ga.encode_notices import server_event
from parley.wire.ga.encode_session import session_object
from parley.wire.ga.server_events import SERVER_EVENTS
from parley.wire.ga.session_schema import read_session
from parley.wire.ga.write_events import client_event

GA = Codec(
    name="ga",
    read_event=read_event,
    session_reader=read_session,
    session_writer=session_object,
    event_writer=server_event,
    client_writer=client_event,
    audio_delta="response.output_audio.delta",
    server_events=SERVER_EVENTS,
    path=ga_path,
)
