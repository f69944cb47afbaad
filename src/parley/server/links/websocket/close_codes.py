"""The WebSocket close code and text of each reason to close (RFC 6455, section 7.4.1; 4000 and above are private to the application).

Stock clients connect again after 1001, 1011 and 1012, and not after 1008 or a code from 4000 on.
"""

from __future__ import annotations

from collections.abc import Mapping

from parley.server.links.link import EndReason

CLOSE_CODES: Mapping[EndReason, tuple[int, str]] = {
    "session_expired": (1001, "session expired"),
    "session_closed": (1000, "session closed"),
    "server_shutting_down": (1001, "the server is shutting down"),
    "internal_error": (1011, "internal error"),
    "voice_detection_failed": (1011, "the voice activity model failed"),
    "dialect_refused": (4000, "beta_api_shape_disabled"),
    "call_ended": (1000, "the call is over"),
    "call_refused": (1008, "the call is refused"),
    "access_ended": (1008, "the key of this session no longer allows it"),
}
