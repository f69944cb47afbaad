"""Servers that start and speak in no time, for tests of what is neither heard nor spoken: no ears, and a short tone for a voice."""

from __future__ import annotations

from pathlib import Path

from tests.web.server import Server


def quick_pipeline(url: str = "", name: str = "default", *, stt: str = "bench", seconds: float = 0.4) -> str:
    """A pipeline of parley.toml that a model at `url` answers for, or the built-in responder. A sentence sounds for `seconds`."""
    model = f'"openai:scripted"\nllm_options = {{ base_url = "{url}" }}' if url else '"responder"'
    voice = f'"bench"\ntts_options = {{ chunks = {round(seconds * 10)} }}'
    return f'[pipelines.{name}]\nstt = "{stt}"\nllm = {model}\ntts = {voice}\n'


KEY = "sk-open-sesame"


def quick_server(folder: Path, *arguments: str, settings: str = "") -> Server:
    """`settings`: more of parley.toml. The pipeline `slow` is for replies that something happens to meanwhile."""
    (folder / "parley.toml").write_text(quick_pipeline() + quick_pipeline(name="slow", seconds=2) + settings)
    return Server(*arguments, cwd=folder)


class Mortal:
    """A server that tests kill and bring back, with what is in `folder`; its address stays the same. Each test leaves it alive."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._server = Server(cwd=folder)
        self.url = self._server.url

    def kill(self) -> None:
        self._server.end(kill=True)

    def live(self) -> None:
        """A new one, where it was killed."""
        if not self._server.running:
            self._server = Server(cwd=self._folder, port=self._server.port)

    def end(self) -> None:
        self._server.end()
