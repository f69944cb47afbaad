"""The assistant's policy: a finished turn in which something was said causes a reply."""

from __future__ import annotations

from parley.core.policy.backchannels import is_backchannel


class Assistant:
    """Answers whatever was said; a turn without words (a cough, a door) is not answered."""

    speaks = True

    def wants_reply(self, transcript: str) -> bool:
        return bool(transcript.strip())

    def may_guess(self, transcript: str) -> bool:
        return not is_backchannel(transcript)
