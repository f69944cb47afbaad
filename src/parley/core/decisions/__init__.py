"""Everything that a session decides."""
