"""What a language tag (BCP 47) says, in the ways in which clients, settings and models write them. Pure."""

from __future__ import annotations


def primary_tag(language: str) -> str:
    """The language of a tag, without its region and script: "en" for "en-US" and "EN_us". A private tag ("x-...") stays whole."""
    tag = language.strip().lower().replace("_", "-")
    return tag if tag.startswith("x-") else tag.partition("-")[0]
