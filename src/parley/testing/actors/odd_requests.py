"""What clients do besides talking: settings, items, side responses, cancelling, and requests that make no sense."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from parley.core.words.events import (
    CancelRequested,
    ClearRequested,
    ClientErred,
    ClientEvent,
    CommitRequested,
    ItemCreateRequested,
    ItemDeleteRequested,
    ItemRetrieveRequested,
    ItemTruncateRequested,
    OutputClearRequested,
    ResponseRequested,
    SessionUpdateRequested,
)
from parley.core.words.ids import CallId, ItemId, ResponseId
from parley.core.words.items import (
    FunctionCallOutput,
    InputAudio,
    InputImage,
    InputText,
    Item,
    ItemReference,
    McpApprovalRequest,
    McpApprovalResponse,
    Message,
    OutputText,
)
from parley.core.words.settings import AudioFormat, FunctionTool, SemanticVad, ServerVad, SettingsPatch, Transcription
from parley.core.words.work import ResponseParams
from parley.testing.actors.pipelines import PIPELINES
from parley.testing.actors.tool_servers import LIBRARY, OPEN_LIBRARY
from parley.testing.actors.world import piece

if TYPE_CHECKING:
    from parley.testing.actors.simulated_user import Person

WEATHER = FunctionTool("weather", "The weather somewhere", '{"type":"object"}')
CLOCK = FunctionTool("clock", "The time somewhere", '{"type":"object"}')


def whim(person: Person) -> None:
    """Do one thing that comes to mind."""
    rng = person.world.rng
    person.world.counts["whims"] += 1
    if rng.random() < 0.2:
        person.cancel()
        return
    for event in _requests(person, rng):
        person.send(event)
        if isinstance(event, ResponseRequested) and rng.random() < 0.4:
            person.world.at(100 + rng.random() * 600, person.cancel)


def _requests(person: Person, rng: random.Random) -> list[ClientEvent]:
    known = rng.choice(person.items) if person.items else ItemId("item_unknown")
    draw = rng.randrange(12)
    match draw:
        case 0:
            return [SessionUpdateRequested(patch(rng))]
        case 1:
            return [ItemRetrieveRequested(known)]
        case 2:
            return [ItemDeleteRequested(known)]
        case 3:
            return [ItemTruncateRequested(known, 0, rng.choice([0, 300, 1_000, 60_000]))]
        case 4:
            place = rng.choice([None, "root", known, "item_unknown"])
            return [ItemCreateRequested(new_item(rng, known), place)]
        case 5 | 6:
            return [ResponseRequested(side(rng, known)) for _ in range(rng.randint(1, 2))]
        case 7:
            return [ResponseRequested(), CancelRequested()]
        case 8:
            return [CommitRequested()]
        case 9:
            return [ClearRequested()]
        case 10:
            return [OutputClearRequested()]
        case _:
            return [nonsense(rng)]


def nonsense(rng: random.Random) -> ClientEvent:
    """A request that cannot be honoured."""
    requests: list[ClientEvent] = [
        CancelRequested(ResponseId("resp_unknown")),
        ItemRetrieveRequested(ItemId("item_unknown")),
        ItemDeleteRequested(ItemId("item_unknown")),
        ItemTruncateRequested(ItemId("item_unknown"), 0, 10),
        ClientErred("invalid_json", "That is no JSON."),
        ResponseRequested(ResponseParams(input=(ItemReference(ItemId("item_unknown")),))),
        ResponseRequested(ResponseParams(tool_choice="required", tools=())),
        SessionUpdateRequested({"voice": "nobody"}),
    ]
    return rng.choice(requests)


def new_item(rng: random.Random, known: ItemId) -> Item:
    """An item a client may bring, good or bad."""
    name = ItemId(rng.choice(["", "", f"client_{rng.randrange(1_000_000)}", known]))
    items: list[Item] = [
        Message(name, "user", (InputText("something written"),)),
        Message(name, "system", (InputText("be brief"),)),
        Message(name, "assistant", (OutputText("something I said before"),)),
        Message(name, "user", (InputAudio("something said before"),)),
        Message(name, "user", (InputAudio(None, piece(3, 1_000 * rng.randrange(1_000), 9_600)),)),
        Message(name, "user", (InputImage("data:image/png;base64,AAAA"),)),
        FunctionCallOutput(name, CallId("call_unknown"), "{}"),
        McpApprovalResponse(name, known, True),
        McpApprovalRequest(name, "library", "lend", "{}"),
    ]
    return rng.choice(items)


def side(rng: random.Random, known: ItemId) -> ResponseParams:
    """An out-of-band response, or one in the conversation with an input of its own."""
    given = rng.choice(
        [None, (), (ItemReference(known),), (Message(ItemId(""), "user", (InputText("a question aside"),)),)]
    )
    return ResponseParams(
        in_conversation=rng.random() < 0.2,
        input=given,
        instructions=rng.choice([None, "Classify this."]),
        modality=rng.choice([None, "text", "audio"]),
        metadata=(("topic", "aside"),),
    )


def patch(rng: random.Random) -> SettingsPatch:
    """A change of settings."""
    patches: list[SettingsPatch] = [
        {"instructions": "Speak like a pirate."},
        {"modality": rng.choice(["audio", "text"])},
        {"speed": rng.choice([0.8, 1.0, 1.3])},
        {"tools": rng.choice([(), (WEATHER,), (WEATHER, CLOCK), (LIBRARY,), (OPEN_LIBRARY, CLOCK)])},
        {"turn_detection": None},
        {"turn_detection": ServerVad(silence_duration_ms=rng.choice([200, 500]), create_response=rng.random() < 0.7)},
        {"turn_detection": ServerVad(interrupt_response=rng.random() < 0.5)},
        {"turn_detection": SemanticVad("high")},
        {"transcription": rng.choice([None, Transcription("whisper")])},
        {"output_format": rng.choice([AudioFormat.PCM16, AudioFormat.PCMU])},
        {"kind": "realtime"},
        another_pipeline(rng),
    ]
    return rng.choice(patches)


def another_pipeline(rng: random.Random) -> SettingsPatch:
    """A change of the pipeline, alone or with what the new one may not have."""
    model = rng.choice([*PIPELINES, "nowhere"])
    patches: list[SettingsPatch] = [{"model": model}, {"model": model, "voice": "marin"}, {"model": model, "tools": ()}]
    return rng.choice(patches)
