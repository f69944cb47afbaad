"""What each server event of a translation session tells, by its type: the table of clients, the inverse of `encode_notices`."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from parley.core.words import notices as n
from parley.core.words.translation_notices import TranslationPlaying, UnstableWordsChanged
from parley.wire.translations.encode_notices import OUTPUT_AUDIO

SERVER_EVENTS: Mapping[str, type[n.Notice]] = MappingProxyType(
    {
        "error": n.ErrorRaised,
        "session.created": n.SessionCreated,
        "session.updated": n.SessionUpdated,
        "session.closed": n.TranslationClosed,
        "session.input_transcript.delta": n.TranscriptionDelta,
        "session.output_transcript.delta": n.OutputTranscriptDelta,
        OUTPUT_AUDIO: n.OutputAudioDelta,
        "parley.translation.clause": n.ClauseTranslated,
        "parley.translation.playing": TranslationPlaying,
        "parley.input_transcript.unstable": UnstableWordsChanged,
    }
)
