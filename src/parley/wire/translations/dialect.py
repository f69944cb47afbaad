"""The dialect of translation sessions, put together from its tables."""

from __future__ import annotations

from parley.wire.codec import Codec
from parley.wire.decoding import TRANSLATION
from parley.wire.field_paths import translation_path
from parley.wire.translations.client_events import read_event
from parley.wire.translations.encode_notices import OUTPUT_AUDIO, audio_members, server_event
from parley.wire.translations.encode_session import session_object
from parley.wire.translations.server_events import SERVER_EVENTS
from parley.wire.translations.session_schema import read_session
from parley.wire.translations.write_events import client_event

TRANSLATIONS = Codec(
    name="translations",
    read_event=read_event,
    session_reader=read_session,
    session_writer=session_object,
    event_writer=server_event,
    client_writer=client_event,
    audio_delta=OUTPUT_AUDIO,
    server_events=SERVER_EVENTS,
    path=translation_path,
    changes_kind=False,
    kinds=("translation",),
    fast=TRANSLATION,
    audio_members=audio_members,
)
