"""The policies and rules of a session: what a turn causes, and where it begins and ends."""
