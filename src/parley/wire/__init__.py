"""Pure codecs between the session's events and notices and the JSON of a dialect. They hold no state of a session."""
