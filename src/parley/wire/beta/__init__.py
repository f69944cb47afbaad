"""OpenAI's beta Realtime protocol of 2024 and 2025."""
