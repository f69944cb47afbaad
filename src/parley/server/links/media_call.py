"""A session whose audio a link carries as media: its input, its output, and its place among the calls that run.

Laws: the session begins, then the call is found by its id, until the session is over. `end` is the last call, and breaks every reference
between the link, its session and its output.
"""

from __future__ import annotations

from typing import Protocol

from parley.core.words.settings import SettingsPatch, Transcription
from parley.server.calls import Calls, MediaLink, OpenCall
from parley.server.links.link import Link
from parley.server.links.media_format import MediaFormat
from parley.server.links.media_input import MediaInput
from parley.server.links.pacing import PacedOutput
from parley.server.realtime_session import RealtimeSession


class MediaCall:
    """`begin` it once; then `hear` what the link receives, which is written in `form`. `output` is the session's loudspeaker."""

    def __init__(self, calls: Calls, session: RealtimeSession, output: PacedOutput, form: MediaFormat) -> None:
        self.id = calls.new_id()
        self.session = session
        self.output = output
        self._calls = calls
        self._input = MediaInput(session, form)

    def begin(self, link: CallLink, other_id: str = "") -> None:
        """The session begins on `link`; `other_id` as in `OpenCall`."""
        self.session.opened(link)
        self._calls.enter(OpenCall(self.id, self.session, link, other_id))

    def hear(self, audio: bytes) -> None:
        """What the link received; it may begin and end within a sample."""
        self._input.hear(audio)

    def written_in(self, form: MediaFormat) -> None:
        """From now on the link receives and sends audio in this form."""
        self._input = MediaInput(self.session, form)
        self.output.write_in(form)

    def congested(self, waits: bool) -> None:
        """Whether the client has yet to take what was sent."""
        self.output.hold(waits)
        self.session.congested(waits)

    def end(self, how: str) -> None:
        """The link is gone; `how` is for the log."""
        self._calls.leave(self.id)
        self.output.close()
        self.session.lost(how)


class CallLink(Link, MediaLink, Protocol):
    """A link that others may end."""


def media_wishes(form: MediaFormat, voice: str, language: str) -> SettingsPatch:
    """How a session begins whose audio is written in `form`: in its own format where it has that one, and with transcripts. "" is the
    pipeline's voice, or language."""
    wishes = SettingsPatch(transcription=Transcription(language=language))
    if form.native is not None:
        wishes["input_format"] = wishes["output_format"] = form.native
    if voice:
        wishes["voice"] = voice
    return wishes
