"""What one kind of engine asks of an OpenAI-compatible server, as its messages and settings name it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Service:
    """The words for one stage's endpoint.

    `title` begins sentences ("The language model"), `api` is what the server must have ("chat-completions API"), `answer` what it sends
    ("reply"), `input` what it is sent ("conversation"). `first` is what `timeout_s` waits for, `idle_option` the option for the time
    between pieces. `too_long` is the remedy for an input beyond the model's limit. `engine` is the
    engine's name in a pipeline.
    """

    stage: str
    title: str
    api: str
    answer: str
    input: str
    first: str
    idle_option: str
    example_url: str
    too_long: str = ""
    engine: str = "openai"
    flags: bool = True
    """Whether the command line has flags for it; messages name the settings of the pipeline otherwise."""

    @property
    def base_url_flag(self) -> str:
        return f"--{self.stage}-base-url" if self.flags else f"{self.stage}_options.base_url"

    @property
    def model_flag(self) -> str:
        return f"--{self.stage} {self.engine}:MODEL" if self.flags else f'{self.stage} = "{self.engine}:MODEL"'
