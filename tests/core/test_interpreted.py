"""Translation sessions are closed by their client, and keep few items."""

from __future__ import annotations

from dataclasses import replace

import pytest

from parley.core.spec import PlaybackKind
from parley.core.words.effects import CloseLink, Play
from parley.core.words.events import (
    AudioArrived,
    AudioPlayed,
    ClauseStarted,
    CommitRequested,
    SessionCloseRequested,
    Transcribed,
    VoiceScored,
    WindDownRequested,
)
from parley.core.words.ids import ClientEventId
from parley.core.words.limits import INTERPRETED_ITEMS
from parley.core.words.notices import (
    ErrorRaised,
    TranslationClosed,
)
from parley.core.words.settings import Settings
from parley.core.words.translation_notices import TranslationPlaying
from tests.core.interpreting import SETTINGS, opened, shown, sources, translates, words
from tests.core.scene import MS, Scene


@pytest.mark.proves("session.close", state="honoured", dialect="translations")
@pytest.mark.proves("session.closed", state="sent", dialect="translations")
def test_closing_in_mid_clause_finishes_it_exactly_once_and_then_ends_the_session() -> None:
    scene = opened()
    scene.hears(640, 0.9)
    words(scene, "We leave at nine. Bring")
    translates(scene, "Saímos às nove.")
    scene.happens(AudioArrived(bytes(1536)), SessionCloseRequested(), SessionCloseRequested())
    assert not scene.notices(TranslationClosed), "the last audio has not been heard yet"
    scene.position += 768
    scene.happens(VoiceScored(scene.position, 0.9))
    scene.happens(AudioArrived(bytes(48), ClientEventId("late")))
    assert [(one.code, one.client_event_id) for one in scene.notices(ErrorRaised)] == [("session_closing", "late")]
    scene.happens(Transcribed(scene.turn(), "We leave at nine. Bring your coat."))
    assert sources(scene) == ["We leave at nine.", "Bring your coat."]
    assert not scene.notices(TranslationClosed)
    translates(scene, "Traga o casaco.")
    assert len(scene.notices(TranslationClosed)) == 1
    assert scene.session.closed
    assert scene.effects[-1] == CloseLink("session_closed") or CloseLink("session_closed") in scene.effects
    assert shown(scene) == "Saímos às nove. Traga o casaco."


def test_closing_an_idle_session_ends_it_at_once_and_other_sessions_are_not_closed_that_way() -> None:
    scene = opened()
    scene.hears(320, 0.0)
    scene.happens(SessionCloseRequested())
    assert len(scene.notices(TranslationClosed)) == 1
    other = Scene()
    other.happens(SessionCloseRequested(ClientEventId("c")))
    (error,) = other.notices(ErrorRaised)
    assert (error.code, error.client_event_id, other.session.closed) == ("invalid_value", "c", False)


def test_where_the_server_plays_the_translation_is_heard_out_before_the_end() -> None:
    scene = opened(playback="paced")
    scene.hears(640, 0.9)
    scene.hears(640, 0.0)
    scene.happens(SessionCloseRequested(), Transcribed(scene.turn(), "We leave at nine."))
    translates(scene, "Saímos às nove.", ms=500)
    (play,) = scene.all(Play)
    assert (len(play.audio), play.elapsed_ms) == (48 * 500, 1_056)
    scene.happens(AudioPlayed(24 * 499))
    assert not scene.session.closed
    scene.happens(AudioPlayed(24))
    assert len(scene.notices(TranslationClosed)) == 1
    assert scene.session.closed


def test_audio_that_is_never_scored_does_not_keep_a_session_from_closing() -> None:
    scene = opened()
    scene.happens(AudioArrived(bytes(48_000)), SessionCloseRequested())
    scene.passes(4_000)
    assert scene.session.closed


def test_a_long_session_keeps_few_items() -> None:
    scene = opened(language="en")
    for number in range(2 * INTERPRETED_ITEMS):
        scene.says(f"This is sentence {number}.")
        translates(scene, f"Frase {number}.", 100)
        scene.passes(200)
    assert len(scene.session.items) <= INTERPRETED_ITEMS + 2
    assert len(sources(scene)) == 2 * INTERPRETED_ITEMS
    assert not scene.notices(ErrorRaised)


def test_a_manual_commit_is_no_part_of_it() -> None:
    scene = opened()
    scene.hears(640, 0.9)
    scene.happens(CommitRequested())
    assert not scene.session.closed
    assert scene.now > 1_000 * MS


def test_a_translation_in_progress_is_not_forgotten() -> None:
    scene = opened(language="en")
    scene.says("Good morning.")
    scene.happens(ClauseStarted(scene.attempt(), "Bom dia."))
    for _ in range(INTERPRETED_ITEMS + 2):
        scene.hears(96, 0.9)
        scene.hears(448, 0.0)
    assert any("in_progress" in repr(item) for item in scene.session.items)


def test_a_server_that_stops_finishes_what_was_said() -> None:
    scene = opened(language="en")
    scene.hears(640, 0.9)
    words(scene, "We leave at nine. Bring")
    scene.happens(WindDownRequested(), WindDownRequested())
    scene.happens(AudioArrived(bytes(1536)))
    translates(scene, "Saímos às nove.")
    scene.happens(Transcribed(scene.turn(), "We leave at nine. Bring your coat."))
    translates(scene, "Traga o casaco.")
    assert shown(scene) == "Saímos às nove. Traga o casaco."
    assert not scene.notices(ErrorRaised)
    assert scene.all(CloseLink) == [CloseLink("server_shutting_down")]


def test_another_session_that_winds_down_is_not_closed_like_one() -> None:
    scene = Scene()
    scene.happens(WindDownRequested())
    assert scene.session.closed
    assert not scene.notices(TranslationClosed)


def test_where_the_server_plays_its_client_is_told_which_clause_is_being_played() -> None:
    scene = opened(playback="paced")
    words(scene, "We leave at nine. Bring")
    first = scene.position // 24
    translates(scene, "Saímos às nove.", ms=500)
    words(scene, "We leave at nine. Bring your coat. And")
    second = scene.position // 24
    translates(scene, "Traga o casaco.", ms=500)
    assert [(one.end_ms, one.input_ms) for one in scene.notices(TranslationPlaying)] == [(first, first)]
    scene.happens(AudioPlayed(24 * 499))
    assert len(scene.notices(TranslationPlaying)) == 1
    scene.happens(AudioPlayed(24 * 20))
    assert [(one.end_ms, one.input_ms) for one in scene.notices(TranslationPlaying)][1:] == [(second, second)]
    scene.happens(AudioPlayed(24 * 481))
    assert scene.notices(TranslationPlaying)[-1].end_ms is None
    assert len(scene.notices(TranslationPlaying)) == 3


@pytest.mark.parametrize(("settings", "playback"), [(SETTINGS, "remote"), (replace(SETTINGS, include=()), "paced")])
def test_a_client_that_plays_by_itself_or_did_not_ask_is_not_told_what_is_being_played(
    settings: Settings, playback: PlaybackKind
) -> None:
    scene = opened(settings, playback=playback)
    words(scene, "We leave at nine. Bring")
    translates(scene, "Saímos às nove.", ms=500)
    scene.happens(AudioPlayed(24 * 500))
    assert scene.notices(TranslationPlaying) == []


def test_a_session_says_when_its_end_was_asked_for() -> None:
    scene = opened()
    scene.hears(640, 0.9)
    before = scene.session.ending
    scene.happens(SessionCloseRequested())
    assert (before, scene.session.ending, scene.session.closed) == (False, True, False)
