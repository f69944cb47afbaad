"""OpenAI's GA Realtime protocol."""
