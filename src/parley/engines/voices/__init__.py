"""Voices of the user's own for speech synthesis: recordings, tensors of Kokoro, and mixes.

Not to be confused with voice profiles (`engines/vc/profiles.py`), which voice conversion uses.
"""
