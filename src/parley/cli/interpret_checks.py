"""What `parley interpret` looks at before it starts: server and languages, cables, devices, headphones.

Laws: silent where all is well; each problem has a remedy. What the call cannot do without is `required`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from parley.cli.checks import Check

if TYPE_CHECKING:
    from parley.cables.sound_server import SoundDevice, SoundServer
    from parley.client.connection import Server
    from parley.config.values import InterpretConfig
    from parley.talk.devices import DevicesUnavailable

_SOME = 8


async def check_server(server: Server, settings: InterpretConfig) -> list[Check]:
    """Whether the server is there, and whether a Parley's pipelines cover the languages."""
    from parley.cli.interpret_plan import wanted_directions
    from parley.client.parley_rest import ParleyRest

    if settings.url:
        return [await _check_link(server, settings)]
    rest = ParleyRest(server)
    if not await rest.ask():
        return [Check("server", False, f"{server.name} does not answer", "Start it again.")]
    pairs = {"forward": (settings.mine, settings.theirs), "reverse": (settings.theirs, settings.mine)}
    served = {str(pipeline.get("name")): pipeline for pipeline in await rest.pipelines()}
    return [
        _check_languages(served[name], *pairs[name]) if name in served else _not_served(*pairs[name])
        for name in wanted_directions(settings)
    ]


async def _check_link(server: Server, settings: InterpretConfig) -> Check:
    """Opens a session and closes it again: the address, the key and the model are then known to be right."""
    from parley.cli.interpret_plan import route_to
    from parley.client.connection import ServerUnavailable
    from parley.interpret.ports import RouteWishes

    name = f"server {server.name}"
    try:
        async with route_to(server, settings, "forward").open(RouteWishes(settings.mine, settings.theirs)):
            return Check(name, True, "opens a session")
    except ServerUnavailable as error:
        return Check(name, False, error.message, error.remedy)


def _not_served(source: str, target: str) -> Check:
    """The engines said why as they were loaded."""
    return Check(
        f"{source} to {target}",
        False,
        "its engines cannot be used, as said above",
        "`parley doctor` checks each engine.",
    )


def _check_languages(pipeline: dict[str, Any], source: str, target: str) -> Check:
    from parley.text.language_tags import primary_tag

    name = f"{source} to {target}"
    understood = [str(each) for each in pipeline.get("understands") or ()]
    targets = [str(each) for each in pipeline.get("translates_into") or ()]
    engines = ", ".join(each["name"] for each in (pipeline.get("engines") or {}).values())
    if understood and primary_tag(source) not in {primary_tag(each) for each in understood}:
        return Check(
            name,
            False,
            f"the recogniser does not understand {source!r}; it understands {_some(understood)}",
            "Name another for it: --stt whisper:base, or a pipeline of its own for this direction (interpret.pipeline_forward, "
            "interpret.pipeline_reverse).",
        )
    if primary_tag(target) not in {primary_tag(each) for each in targets}:
        return Check(
            name,
            False,
            f"the translator does not reach {target!r} from there; it reaches {_some(targets) or 'no language'}",
            "`parley doctor` names the pairs that are installed; docs/translation.md says how to add one.",
        )
    return Check(name, True, engines)


def _some(tags: list[str]) -> str:
    more = f" and {len(tags) - _SOME} more" if len(tags) > _SOME else ""
    return ", ".join(tags[:_SOME]) + more


async def check_devices(settings: InterpretConfig) -> list[Check]:
    """The devices that the mode needs, by name."""
    return await asyncio.to_thread(lambda: list(_devices(settings)))


def _devices(settings: InterpretConfig) -> Iterator[Check]:
    from parley.cli.interpret_plan import default_cable, reverse_input, wanted_directions
    from parley.interpret.desk import CableInput
    from parley.interpret.device_names import found_now, names_now
    from parley.talk.devices import DevicesUnavailable, sounddevice_library

    try:
        names, server = names_now()
        sounddevice_library()
    except DevicesUnavailable as error:
        yield Check("sound", False, error.message, error.remedy)
        return
    wanted = wanted_directions(settings)
    source = reverse_input(settings)
    uses: list[tuple[str, Any, str]] = []
    if "forward" in wanted:
        uses.append(("microphone", "microphone", settings.microphone))
        uses.append(("cable into the call", "to call", settings.to_call or default_cable("to call")))
    if "reverse" in wanted:
        cable = isinstance(source, CableInput)
        uses.append(
            ("cable from the call" if cable else "microphone", "from call" if cable else "microphone", source.name)
        )
        if settings.mode != "captions":
            uses.append(("headphones", "headphones", settings.headphones))
    for label, use, name in dict.fromkeys(uses):
        try:
            found = found_now(names, name, use)
        except DevicesUnavailable as error:
            yield _unresolved(label, use, error, settings)
            continue
        device = None if server is None else server.device(found.at_server)
        yield Check(label, True, f"{found.name or 'the default one'}{f', {found.rate} Hz' if found.rate else ''}")
        if device is not None:
            yield from _costs(label, use, device, server)


def _unresolved(label: str, use: str, error: DevicesUnavailable, settings: InterpretConfig) -> Check:
    """Without a cable of its own into the call, the mode `both` is the mode `listen`."""
    if use == "to call" and settings.mode == "both" and not settings.to_call:
        return Check(label, False, f"{error.message} You hear them, they do not hear you", error.remedy, required=False)
    return Check(label, False, error.message, error.remedy)


def _costs(label: str, use: str, device: SoundDevice, server: SoundServer | None) -> Iterator[Check]:
    """What a device costs that works."""
    if use == "microphone" and device.bluetooth:
        built_in = (
            next(
                (
                    each.description
                    for each in server.devices
                    if each.direction == "input" and not each.bluetooth and not each.monitor_of and not each.cable
                ),
                "the built-in one",
            )
            if server is not None
            else "the built-in one"
        )
        yield Check(
            "Bluetooth microphone",
            False,
            f"{device.description} brings the headset down to the sound of a telephone, {device.rate} Hz, in both directions",
            f"Use another microphone and keep the headset for listening: --microphone {built_in!r}.",
            required=False,
        )
    if use == "headphones" and not device.headphones:
        yield Check(
            "loudspeaker",
            False,
            f"{device.description} may be a loudspeaker: your microphone would hear the translation",
            "Wear headphones. A loop is noticed, and closes the microphone while the translation sounds.",
            required=False,
        )
