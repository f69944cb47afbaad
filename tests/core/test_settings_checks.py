"""Session updates that a pipeline supports, and the errors for the others."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from parley.core.decisions.settings_checks import SHOWN_NAMES, answers_to, check_change_of_pipeline
from parley.core.words.errors import PeerError
from parley.core.words.events import AudioArrived, ItemCreateRequested, ResponseRequested, SessionUpdateRequested
from parley.core.words.ids import ClientEventId, ItemId
from parley.core.words.items import InputImage, InputText, Message
from parley.core.words.notices import ErrorRaised, SessionUpdated
from parley.core.words.settings import (
    LOGPROBS,
    AudioFormat,
    Capabilities,
    McpServer,
    NoiseReduction,
    OwnerSettings,
    Settings,
    SettingsPatch,
    Transcription,
)
from parley.text.language_tags import primary_tag
from tests.core.scene import Scene, kinds, notices


def refusal(can: Capabilities, patch: SettingsPatch) -> ErrorRaised:
    (error,) = notices(Scene(capabilities=can).happens(SessionUpdateRequested(patch, ClientEventId("update"))))
    assert isinstance(error, ErrorRaised)
    assert (error.code, error.kind, error.client_event_id) == ("invalid_value", "invalid_request_error", "update")
    return error


@pytest.mark.parametrize(
    ("names", "name", "answers"),
    [
        ((), "anything", True),
        (("parley",), "parley", True),
        (("parley",), "parley-2", False),
        (("parley",), "parlex", False),
        (("parley",), "parle", False),
        (("gpt-*",), "gpt-realtime", True),
        (("gpt-*",), "gpt-", True),
        (("gpt-*",), "gpt", False),
        (("gpt-*",), "gptx", False),
        (("parley", "gpt-*"), "gpt-realtime", True),
    ],
)
def test_a_name_with_a_star_matches_any_ending_and_another_only_itself(
    names: tuple[str, ...], name: str, answers: bool
) -> None:
    assert answers_to(names, name) is answers


def test_an_unknown_voice_is_answered_with_the_available_voices() -> None:
    error = refusal(Capabilities(voices=("alloy", "marin")), {"voice": "coral"})
    assert error.field == "session.voice"
    assert error.message == "Unknown voice 'coral'; this pipeline has alloy, marin."


@pytest.mark.parametrize(
    ("voice", "why"),
    [
        ("marin(2)+cedar", "Unknown voice 'marin(2)+cedar'; this pipeline has alloy, marin. Voices can be mixed: "
         "af_bella(2)+af_sky(1). There is no voice 'cedar' to mix."),
        ("marin(0)+alloy", "Invalid mix of voices 'marin(0)+alloy': the weight of 'marin' must be above 0 and at most 100."),
        ("coral", "Unknown voice 'coral'; this pipeline has alloy, marin. Voices can be mixed: af_bella(2)+af_sky(1)."),
    ],
)  # fmt: skip
def test_a_mix_is_refused_if_it_is_malformed_or_names_an_unknown_voice(voice: str, why: str) -> None:
    can = Capabilities(voices=("alloy", "marin"), mixable=("alloy", "marin"))
    error = refusal(can, {"voice": voice})
    assert (error.field, error.message) == ("session.voice", why)


def test_a_voice_of_the_users_is_accepted_by_name_and_id_and_only_its_name_is_listed() -> None:
    can = Capabilities(voices=("alloy", "carol"), voice_ids=("voice_1",))
    for named in ("carol", "voice_1"):
        assert kinds(Scene(capabilities=can).happens(SessionUpdateRequested({"voice": named}))) == ["SessionUpdated"]
    assert refusal(can, {"voice": "voice_2"}).message == "Unknown voice 'voice_2'; this pipeline has alloy, carol."


@pytest.mark.parametrize("voices", [("alloy",), ()])
def test_a_voice_that_this_pipeline_cannot_speak_with_is_refused_with_the_reason(voices: tuple[str, ...]) -> None:
    can = Capabilities(voices=voices, unspoken=(("carol", "It cannot clone."), ("voice_1", "It cannot clone.")))
    for named in ("carol", "voice_1"):
        error = refusal(can, {"voice": named})
        assert (error.field, error.code, error.message) == ("session.voice", "invalid_value", "It cannot clone.")


def test_a_mix_is_a_voice_where_voices_can_be_mixed() -> None:
    mix = "marin(2)+alloy(1)"
    scene = Scene(capabilities=Capabilities(voices=("alloy", "marin"), mixable=("alloy", "marin")))
    assert kinds(scene.happens(SessionUpdateRequested({"voice": mix}))) == ["SessionUpdated"]
    assert scene.session.settings.voice == mix
    assert refusal(Capabilities(voices=("alloy", "marin")), {"voice": mix}).field == "session.voice"


def test_a_listed_voice_is_accepted_and_without_a_list_any_voice() -> None:
    for can in (Capabilities(voices=("alloy", "marin")), Capabilities()):
        scene = Scene(capabilities=can)
        assert kinds(scene.happens(SessionUpdateRequested({"voice": "marin"}))) == ["SessionUpdated"]
        assert scene.session.settings.voice == "marin"


@pytest.mark.parametrize(("count", "more"), [(SHOWN_NAMES, False), (SHOWN_NAMES + 1, True)])
def test_a_long_list_of_voices_is_cut_and_says_so(count: int, more: bool) -> None:
    voices = tuple(f"v{index}" for index in range(count))
    shown = ", ".join(voices[:SHOWN_NAMES]) + (", ..." if more else "") + "."
    assert refusal(Capabilities(voices=voices), {"voice": "coral"}).message.endswith(f" has {shown}")


def test_an_unknown_recogniser_or_language_is_answered_with_the_available_ones() -> None:
    can = Capabilities(recognizer="whisper", recognizers=("whisper", "whisper-1"), languages=("en", "de"))
    error = refusal(can, {"transcription": Transcription("nova-3")})
    assert error.field == "session.transcription.model"
    assert "'nova-3'" in error.message
    assert "'whisper', 'whisper-1'" in error.message
    error = refusal(can, {"transcription": Transcription(languages=("pt", "es"))})
    assert error.field == "session.transcription.languages"
    assert "'pt', 'es'" in error.message
    assert "'en', 'de'" in error.message


@pytest.mark.parametrize("language", ["en", "en-US", "EN_us", "en_GB"])
def test_a_language_may_be_written_with_its_region_in_either_way(language: str) -> None:
    assert primary_tag(language) == "en"
    update = SessionUpdateRequested({"transcription": Transcription(language=language)})
    assert kinds(Scene(capabilities=Capabilities(languages=("en",))).happens(update)) == ["SessionUpdated"]


def speaking(scene: Scene) -> None:
    scene.says("hello")
    scene.answers(("Good morning to you.", 2_000), finish=False)


def listening(scene: Scene) -> None:
    scene.hears(320, 0.9)


def buffering(scene: Scene) -> None:
    scene.happens(SessionUpdateRequested({"turn_detection": None}), AudioArrived(bytes(9_600)))


@pytest.mark.parametrize(
    ("before", "patch", "code", "param", "words"),
    [
        (speaking, {"voice": "marin"}, "cannot_update_voice", "session.voice", "assistant audio is"),
        (speaking, {"speed": 1.25}, "invalid_value", "session.speed", "between turns"),
        (listening, {"input_format": AudioFormat.PCMU}, "invalid_value", "session.input_format", "commit or"),
        (buffering, {"input_format": AudioFormat.PCMU}, "invalid_value", "session.input_format", "commit or"),
    ],
)
def test_a_setting_that_cannot_change_now_is_refused_by_name_and_stays(
    before: Callable[[Scene], None], patch: SettingsPatch, code: str, param: str, words: str
) -> None:
    scene = Scene()
    before(scene)
    (error,) = notices(scene.happens(SessionUpdateRequested(patch, ClientEventId("update"))))
    assert isinstance(error, ErrorRaised)
    assert (error.code, error.field, error.client_event_id) == (code, param, "update")
    assert words in error.message
    (shown,) = notices(scene.happens(SessionUpdateRequested({"instructions": "Be brief."})))
    assert isinstance(shown, SessionUpdated)
    assert (shown.settings.voice, shown.settings.speed) == (Settings().voice, 1.0)
    assert shown.settings.input_format is AudioFormat.PCM16


@pytest.mark.parametrize(
    ("can", "patch", "field"),
    [
        (Capabilities(), {"noise_reduction": NoiseReduction("near_field")}, "session.noise_reduction"),
        (Capabilities(), {"include": (LOGPROBS,)}, "session.include"),
        (Capabilities(reasoning=False), {"reasoning_effort": "low"}, "session.reasoning_effort"),
        (
            Capabilities(prompts=False),
            {"transcription": Transcription(prompt="Rivers.")},
            "session.transcription.prompt",
        ),
        (
            Capabilities(keywords=False),
            {"transcription": Transcription(keywords=("Tejo",))},
            "session.transcription.keywords",
        ),
    ],
)
def test_a_setting_that_the_pipeline_does_not_support_is_refused_by_name(
    can: Capabilities, patch: SettingsPatch, field: str
) -> None:
    assert refusal(can, patch).field == field
    able = Capabilities(noise_reduction=True, logprobs=True, reasoning=True)
    assert kinds(Scene(capabilities=able).happens(SessionUpdateRequested(patch))) == ["SessionUpdated"]


# --- another pipeline ----------------------------------------------------------------------------------------------------------

PHOTO = Message(ItemId("photo"), "user", (InputImage("data:image/png;base64,AAAA"), InputText("what is this")))


def obstacle(scene: Scene, *, images: bool = False) -> str:
    """Why the session cannot change to a pipeline of these capabilities; "" if it can."""
    try:
        check_change_of_pipeline(scene.session._st, "large", Capabilities(images=images))
    except PeerError as error:
        return f"{error.field}: {error.message}"
    return ""


def test_after_any_audio_the_pipeline_cannot_be_changed() -> None:
    scene = Scene(Settings(model="small"))
    assert obstacle(scene) == ""
    scene.happens(AudioArrived(bytes(480)))
    assert obstacle(scene).startswith("session.model: ")
    assert "goes on with 'small'" in obstacle(scene)
    assert "?model=large" in obstacle(scene)


def test_during_a_response_the_pipeline_cannot_be_changed() -> None:
    scene = Scene(Settings(modality="text"))
    scene.happens(ResponseRequested())
    assert "in progress" in obstacle(scene)
    scene.answers()
    assert obstacle(scene) == ""


def test_images_need_a_model_that_supports_them() -> None:
    scene = Scene(capabilities=Capabilities(images=True))
    scene.happens(ItemCreateRequested(PHOTO))
    assert "'large' cannot see the images" in obstacle(scene)
    assert obstacle(scene, images=True) == ""


def test_tools_are_checked_by_the_rights_of_who_asks() -> None:
    shop = McpServer("shop", "https://shop.example/mcp")
    owner = OwnerSettings(tool_server_urls=("*",))
    answers = [
        notices(Scene(owner=owner).happens(SessionUpdateRequested({"tools": (shop,)}, asker=asker)))[0]
        for asker in ("client", "owner")
    ]
    assert isinstance(answers[0], ErrorRaised)
    assert answers[0].field == "session.tools[0].server_url"
    assert isinstance(answers[1], SessionUpdated)
