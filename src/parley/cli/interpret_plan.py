"""What the settings of `parley interpret` mean: which directions, through which devices, by which sessions.

Laws: builds values; opens nothing.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from parley.audio.types import Int16
    from parley.client.connection import Server
    from parley.config.values import InterpretConfig
    from parley.engines.ports import VoiceConverter
    from parley.interpret.call import CallPlan
    from parley.interpret.direction import DirectionPlan
    from parley.interpret.ports import TranslationRoute
    from parley.interpret.updates import DirectionName

FORWARD, REVERSE = "forward", "reverse"

HOSTED_MODEL = {"translation": "gpt-realtime-translate", "conversation": "gpt-realtime"}


def wanted_directions(settings: InterpretConfig) -> tuple[str, ...]:
    """By the mode, whatever cables there are."""
    return {"both": (FORWARD, REVERSE), "forward": (FORWARD,), "listen": (REVERSE,), "captions": (REVERSE,)}[
        settings.mode
    ]


def route_to(server: Server, settings: InterpretConfig, name: str, *, is_parley: bool = False) -> TranslationRoute:
    """The way to that server's sessions; a Parley reports its clauses, and has a pipeline for each direction where the settings name one.
    Raises `PromptInvalid`."""
    from parley.interpret.routes.conversation import ConversationRoute
    from parley.interpret.routes.prompt import read_prompt
    from parley.interpret.routes.translating_session import ConversationOptions
    from parley.interpret.translation_route import TranslationSessions, translation_server

    own = not settings.url
    if settings.route == "conversation":
        options = (
            ConversationOptions() if settings.prompt is None else ConversationOptions(read_prompt(settings.prompt))
        )
        return ConversationRoute(server, options, beta=settings.beta)
    chosen = settings.pipeline_forward if name == FORWARD else settings.pipeline_reverse
    model = name if own else chosen or settings.model or HOSTED_MODEL["translation"]
    return TranslationSessions(translation_server(server, model), own=own or is_parley, name=f"{server.name}, {model}")


_INSTALLED = {
    "darwin": {"to call": "BlackHole 2ch", "from call": "BlackHole 16ch"},
    "win32": {"to call": "CABLE Input", "from call": "CABLE-A Output"},
}
"""The cables that docs/cables.md has installed where Parley makes none."""


def default_cable(use: str) -> str:
    """The name of the cable for that use: our own, as the sound server has it, or what is installed elsewhere."""
    from parley.cables.own import CALL, MICROPHONE

    own = {"to call": MICROPHONE.playback, "from call": CALL.capture}
    return _INSTALLED.get(sys.platform, own)[use]


def call_plan(
    settings: InterpretConfig,
    server: Server,
    converter: VoiceConverter | None,
    notice: Int16 | None,
    *,
    is_parley: bool,
) -> CallPlan:
    """The call. `notice` is what the other party hears first, int16 `[n]` at 24 kHz; `is_parley`: the server is a Parley."""
    from parley.interpret.call import CallPlan
    from parley.interpret.consent import RECORDED, SHOWN
    from parley.interpret.desk import (
        CableOutput,
        ForwardDevices,
        HeadphonesOutput,
        MicrophoneInput,
        ReverseDevices,
    )
    from parley.interpret.direction import DirectionPlan
    from parley.interpret.ports import RouteWishes
    from parley.interpret.sound import MixedOriginal

    def direction(name: DirectionName, source: str, target: str, voice: str, original: float | None) -> DirectionPlan:
        return DirectionPlan(
            name,
            route_to(server, settings, name, is_parley=is_parley),
            RouteWishes(source, target, voice),
            spoken=settings.mode != "captions",
            mix=MixedOriginal() if original is None else MixedOriginal(full=1.0, ducked=original),
            converter=converter if name == "forward" else None,
        )

    wanted = wanted_directions(settings)
    forward = reverse = None
    if FORWARD in wanted:
        forward = (
            direction("forward", settings.mine, settings.theirs, settings.voice_forward, settings.original_forward),
            ForwardDevices(
                MicrophoneInput(settings.microphone), CableOutput(settings.to_call or default_cable("to call"))
            ),
        )
    if REVERSE in wanted:
        reverse = (
            direction("reverse", settings.theirs, settings.mine, settings.voice_reverse, settings.original_reverse),
            ReverseDevices(
                reverse_input(settings), HeadphonesOutput(None if settings.mode == "captions" else settings.headphones)
            ),
        )
    consent = "" if settings.consent == "off" else SHOWN + (RECORDED if settings.record is not None else "")
    return CallPlan(
        forward,
        reverse,
        settings.record,
        settings.price_per_minute,
        settings.cost_cap,
        settings.push_to_talk,
        consent,
        notice,
    )


def reverse_input(settings: InterpretConfig) -> Any:
    """What the other party is heard through: the cable; without one, the microphone."""
    from parley.interpret.desk import CableInput, MicrophoneInput

    if settings.from_call:
        return CableInput(settings.from_call)
    return CableInput(default_cable("from call")) if cable_present() else MicrophoneInput(settings.microphone)


def cable_present() -> bool:
    """Whether our own cable from the call is there."""
    from parley.cables.own import CALL
    from parley.cables.pulse import read_sound_server
    from parley.cables.sound_server import SoundServerUnavailable

    try:
        return read_sound_server().device(CALL.capture) is not None
    except SoundServerUnavailable:
        return False
