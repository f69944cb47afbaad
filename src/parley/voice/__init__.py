"""Voices that are converted while they are spoken: from a microphone to a loudspeaker, and as a server of its own."""
