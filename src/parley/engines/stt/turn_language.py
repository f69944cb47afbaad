"""Which language a turn is recognised in: what the session asks for, among what a model knows."""

from __future__ import annotations

from parley.engines.ports import EngineRefused, RecognitionSpec
from parley.text.language_tags import primary_tag


def turn_language(
    spec: RecognitionSpec, known: tuple[str, ...], default: str, *, model: str, remedy: str
) -> tuple[str, tuple[str, ...]]:
    """The language of a turn, or "" and those among which it is to be found out (() for all).

    `known` are the primary tags that the model knows, () where nobody can tell: then it is given what is asked. `default` is for sessions
    that name none, "" for none. Raises `EngineRefused` (`unsupported_language`), with `remedy`, where the model knows nothing of what is
    asked.
    """
    asked = (spec.language,) if spec.language else spec.languages
    allowed = tuple(map(primary_tag, asked or (default,)))
    understood = tuple(language for language in allowed if language in known or not known)
    if any(allowed) and not understood:
        raise EngineRefused(
            f"{model} does not understand {', '.join(map(repr, asked or (default,)))}.",
            remedy,
            code="unsupported_language",
        )
    return (understood[0], ()) if len(understood) == 1 else ("", understood)
