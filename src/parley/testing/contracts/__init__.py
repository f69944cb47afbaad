"""The contract suite: what an engine of each stage promises, as test classes that a package runs on its own engine.

Subclass the contract of the stage in a test module and give it the fixture `make_engine`, a function that makes an engine:

    class TestBeeps(SynthesizerContract):
        @pytest.fixture
        def make_engine(self):
            return lambda: create_synthesizer("", {})

or run it on an installed engine: `pytest --parley-engine tts.beeps`.

Laws:
- What an engine can do is read from its `EngineInfo`, never from the test class.
- A test of a contract that is overridden or removed fails the class, unless it carries `xfail(reason=...)`.
- The tests are plain functions: they need pytest and no plug-in for asyncio.

Only pytest imports this package.
"""

from __future__ import annotations

from typing import Any

from parley.engines.ports import Stage
from parley.testing.contracts.base import EngineContract, Subject
from parley.testing.contracts.llm import LanguageModelContract
from parley.testing.contracts.moderation import ModeratorContract
from parley.testing.contracts.mt import TranslatorContract
from parley.testing.contracts.speech import SpeechModelContract
from parley.testing.contracts.stt import RecognizerContract
from parley.testing.contracts.tts import SynthesizerContract
from parley.testing.contracts.turn import TurnJudgeContract
from parley.testing.contracts.vad import VoiceActivityContract
from parley.testing.contracts.vc import ConverterContract

CONTRACTS: dict[Stage[Any], type[EngineContract[Any, Any]]] = {
    contract.stage: contract
    for contract in (
        VoiceActivityContract,
        TurnJudgeContract,
        RecognizerContract,
        LanguageModelContract,
        SynthesizerContract,
        TranslatorContract,
        ConverterContract,
        SpeechModelContract,
        ModeratorContract,
    )
}
"""The contract of each built-in stage."""

__all__ = [
    "CONTRACTS",
    "ConverterContract",
    "EngineContract",
    "LanguageModelContract",
    "ModeratorContract",
    "RecognizerContract",
    "SpeechModelContract",
    "Subject",
    "SynthesizerContract",
    "TranslatorContract",
    "TurnJudgeContract",
    "VoiceActivityContract",
]
