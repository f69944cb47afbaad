"""The judgements that a session asks for: what a turn causes, and where it begins and ends."""
