"""What a terminal shows of a conversation: a full screen (Textual), or plain lines."""
