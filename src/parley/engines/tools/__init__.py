"""Servers of tools that a session may call: what one is, and how it is reached."""
