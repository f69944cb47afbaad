"""What a terminal shows of a call that is interpreted: a dashboard (Textual), or plain lines."""
