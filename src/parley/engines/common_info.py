"""What several engines of one stage declare together. Pure."""

from __future__ import annotations

from dataclasses import replace

from parley.engines.ports import EngineInfo


def common_info(one: EngineInfo, other: EngineInfo) -> EngineInfo:
    """What both can do. No languages means any. Whichever of the two answers, the other would say something else."""
    both = tuple(tag for tag in one.languages if tag in other.languages)
    return replace(
        one,
        needs=tuple(dict.fromkeys((*one.needs, *other.needs))),
        languages=both if one.languages and other.languages else one.languages or other.languages,
        streams=one.streams and other.streams,
        batch=min(one.batch, other.batch),
        licence=" and ".join(dict.fromkeys(filter(None, (one.licence, other.licence)))),
        images=one.images and other.images,
        audio=one.audio or other.audio,  # a model that does not hear reads the words instead
        tools=one.tools and other.tools,
        logprobs=one.logprobs and other.logprobs,
        glossary=one.glossary and other.glossary,
        promises=one.promises and other.promises,
        prompts=one.prompts and other.prompts,
        keywords=one.keywords and other.keywords,
        temperature=one.temperature and other.temperature,
        timings=one.timings and other.timings,
        normalizes=one.normalizes and other.normalizes,
        mixes=one.mixes and other.mixes,
        conversational=one.conversational or other.conversational,  # the other one does not look at it
        deterministic=False,
        scripted=one.scripted and other.scripted,
        measuring=one.measuring or other.measuring,
    )
