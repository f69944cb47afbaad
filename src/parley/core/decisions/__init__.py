"""The decisions of a session."""
