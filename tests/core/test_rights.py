"""The owner, attached to a session of its client's, may change what is fixed for the client."""

from __future__ import annotations

from dataclasses import replace

import pytest

from parley.core.words.effects import FindPipeline, UsePipeline
from parley.core.words.errors import Fault
from parley.core.words.events import ItemCreateRequested, ResponseRequested, SessionUpdateRequested
from parley.core.words.ids import ClientEventId, ItemId
from parley.core.words.items import InputText, Message
from parley.core.words.notices import ErrorRaised, ItemDone, ResponseCreated, SessionUpdated
from parley.core.words.pipeline_events import PipelineFound, PipelineNotFound
from parley.core.words.rights import Asker, Rights, rights_of
from parley.core.words.settings import (
    Capabilities,
    Credentials,
    FunctionTool,
    McpServer,
    OwnerSettings,
    PinnedSettings,
    Settings,
    SettingsPatch,
)
from parley.core.words.work import ResponseParams
from tests.core.scene import Scene, notices

EVENT = ClientEventId("event_1")
LOOK_UP = FunctionTool("look_up")
ORDER = FunctionTool("order")
FIXED = PinnedSettings(
    kind="realtime", model="fast", instructions="Be brief.", tools=(LOOK_UP, ORDER), max_output_tokens=200
)
SETTINGS = Settings(model="fast", instructions="Be brief.", tools=(LOOK_UP, ORDER), max_output_tokens=200)
SHOP = McpServer("shop", "https://shop.example/mcp", credentials=Credentials("secret"))
SYSTEM = Message(ItemId("s"), "system", (InputText("The customer is known."),))


def scene(pinned: PinnedSettings = FIXED, settings: Settings = SETTINGS) -> Scene:
    # As the server has it: a client may name servers of tools where its tools are fixed.
    can = Capabilities(models=("fast", "quick"), tool_server_urls=() if pinned.tools is None else ("*",))
    return Scene(settings=settings, owner=OwnerSettings(pinned=pinned, tool_server_urls=("*",)), capabilities=can)


def updated(on: Scene, asker: Asker, **patch: object) -> ErrorRaised | Settings:
    """The answer to an update: the error or the settings."""
    update = SessionUpdateRequested(SettingsPatch(**patch), EVENT, asker)  # type: ignore[typeddict-item]
    (notice,) = [one for one in notices(on.happens(update)) if isinstance(one, ErrorRaised | SessionUpdated)]
    return notice if isinstance(notice, ErrorRaised) else notice.settings


def refused(on: Scene, asker: Asker, **patch: object) -> str | None:
    """The field of the error."""
    error = updated(on, asker, **patch)
    assert isinstance(error, ErrorRaised)
    return error.field


def test_the_rights_of_each() -> None:
    owner, can = OwnerSettings(pinned=FIXED, tool_server_urls=("*",)), Capabilities(tool_server_urls=("https://a",))
    assert rights_of("client", owner, can) == Rights(FIXED, ("https://a",))
    assert rights_of("owner", owner, can) == Rights(PinnedSettings(kind="realtime"), ("*",))


@pytest.mark.parametrize(
    "patch",
    [
        {"instructions": "Be long."},
        {"tools": (FunctionTool("delete"),)},
        {"tools": (SHOP,)},
        {"max_output_tokens": None},
        {"max_output_tokens": 4096},
        {"model": "quick"},
    ],
)
def test_the_owner_may_change_what_is_fixed(patch: dict[str, object]) -> None:
    settings = updated(scene(), "owner", **patch)
    assert isinstance(settings, Settings)
    assert {name: getattr(settings, name) for name in patch} == patch


def test_the_kind_of_a_session_binds_the_owner_too() -> None:
    assert refused(scene(), "owner", kind="transcription") == "session.kind"


def test_what_the_owner_changes_is_fixed_for_the_client_from_then_on() -> None:
    on = scene()
    updated(on, "owner", instructions="Be long.", tools=(ORDER, SHOP), max_output_tokens=500)
    assert refused(on, "client", instructions="Be brief.") == "session.instructions"
    assert refused(on, "client", tools=(LOOK_UP,)) == "session.tools[0]"
    assert refused(on, "client", max_output_tokens=501) == "session.max_output_tokens"
    assert isinstance(updated(on, "client", speed=1.2), Settings), "an update of something else"
    without_secret = replace(SHOP, credentials=Credentials())
    repeated = updated(on, "client", instructions="Be long.", tools=(without_secret,), max_output_tokens=500)
    assert isinstance(repeated, Settings)
    assert repeated.tools == (SHOP,), "with the credentials that only the owner knows"


def test_what_the_client_has_narrowed_stays_its_own_to_widen() -> None:
    on = scene()
    updated(on, "client", tools=(), max_output_tokens=5)
    updated(on, "owner", instructions="Be long.")
    widened = updated(on, "client", tools=(LOOK_UP, ORDER), max_output_tokens=200)
    assert isinstance(widened, Settings)
    assert widened.tools == (LOOK_UP, ORDER)


def test_what_is_not_fixed_belongs_to_both() -> None:
    on = scene(PinnedSettings(kind="realtime"), replace(SETTINGS, tools=()))
    updated(on, "owner", instructions="Be long.", tools=(SHOP,))
    changed = updated(on, "client", instructions="Be brief.")
    assert isinstance(changed, Settings)
    assert changed.tools == (SHOP,), "an update of something else keeps a server that the client may not name"
    assert refused(on, "client", tools=(replace(SHOP, label="other"),)) == "session.tools[0].server_url"
    assert isinstance(updated(on, "client", tools=()), Settings)


def answer(on: Scene, params: ResponseParams, asker: Asker) -> ErrorRaised | ResponseCreated:
    answers = notices(on.happens(ResponseRequested(params, EVENT, asker)))
    (found,) = [one for one in answers if isinstance(one, ErrorRaised | ResponseCreated)]
    return found


@pytest.mark.parametrize(
    "params",
    [
        ResponseParams(instructions="Be long."),
        ResponseParams(tools=(FunctionTool("delete"),)),
        ResponseParams(max_output_tokens=0),
        ResponseParams(input=(SYSTEM,)),
    ],
)
def test_a_response_of_the_owner_may_exceed_what_is_fixed(params: ResponseParams) -> None:
    assert isinstance(answer(scene(), params, "client"), ErrorRaised)
    assert isinstance(answer(scene(), params, "owner"), ResponseCreated)


def test_a_client_may_ask_for_a_response_while_the_owner_has_named_a_tool_server() -> None:
    on = scene(PinnedSettings(), replace(SETTINGS, tools=()))
    updated(on, "owner", tools=(SHOP,))
    assert isinstance(answer(on, ResponseParams(), "client"), ResponseCreated)


def test_a_client_cannot_lift_the_approval_of_the_owners_tool_server_for_a_response() -> None:
    on = scene(PinnedSettings(), replace(SETTINGS, tools=()))
    updated(on, "owner", tools=(SHOP,))
    error = answer(on, ResponseParams(tools=(replace(SHOP, url="", credentials=Credentials()),)), "client")
    assert isinstance(error, ErrorRaised)
    assert error.field == "response.tools[0].server_url"


def test_an_item_of_the_owner_may_instruct() -> None:
    on = scene()
    last = notices(on.happens(ItemCreateRequested(SYSTEM, asker="owner")))[-1]
    assert isinstance(last, ItemDone)


def test_the_owner_may_change_a_fixed_model_and_fixes_the_new_one() -> None:
    on = scene()
    on.happens(SessionUpdateRequested(SettingsPatch(model="slow", instructions="Be long."), EVENT, "owner"))
    assert on.last(FindPipeline).model == "slow"
    found = Settings(model="slow", instructions="Another pipeline's.")
    owner = OwnerSettings(pinned=FIXED, tool_server_urls=("*",))
    on.happens(PipelineFound("slow", found, owner, Capabilities(models=("slow",))))
    assert on.last(UsePipeline).pipeline == "slow"
    settings = on.session.settings
    assert (settings.model, settings.instructions, settings.max_output_tokens) == ("slow", "Be long.", 200)
    assert refused(on, "client", model="fast") == "session.model"
    assert refused(on, "client", instructions="Be brief.") == "session.instructions"
    assert isinstance(updated(on, "client", instructions="Be long."), Settings)


def test_a_pipeline_that_is_not_found_is_an_error_with_the_id_of_its_update() -> None:
    on = scene()
    on.happens(SessionUpdateRequested(SettingsPatch(model="slow"), EVENT, "owner"))
    on.happens(PipelineNotFound(Fault("model_not_found", "There is none.")))
    (error,) = on.notices(ErrorRaised)
    assert (error.client_event_id, error.field) == (EVENT, "session.model")
    assert isinstance(updated(on, "owner", instructions="Be long."), Settings)
