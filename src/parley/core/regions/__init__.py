"""The parts of a session's state, each with its own fields and rules."""
