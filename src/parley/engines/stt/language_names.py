"""The tag of a language that a server names in English, as OpenAI's `verbose_json` does ("english")."""

from __future__ import annotations

import re
from typing import Final

_TAG: Final = re.compile(r"^[a-z]{2,3}([-_][a-z0-9]{2,8})*$", re.IGNORECASE)

_NAMES: Final = """
af afrikaans, am amharic, ar arabic, as assamese, az azerbaijani, ba bashkir, be belarusian, bg bulgarian, bn bengali, bo tibetan,
br breton, bs bosnian, ca catalan, ca valencian, cs czech, cy welsh, da danish, de german, el greek, en english, es spanish,
es castilian, et estonian, eu basque, fa persian, fi finnish, fo faroese, fr french, gl galician, gu gujarati, ha hausa, haw hawaiian,
he hebrew, hi hindi, hr croatian, ht haitian creole, ht haitian, hu hungarian, hy armenian, id indonesian, is icelandic, it italian,
ja japanese, jv javanese, ka georgian, kk kazakh, km khmer, kn kannada, ko korean, la latin, lb luxembourgish, lb letzeburgesch,
ln lingala, lo lao, lt lithuanian, lv latvian, mg malagasy, mi maori, mk macedonian, ml malayalam, mn mongolian, mr marathi, ms malay,
mt maltese, my myanmar, my burmese, ne nepali, nl dutch, nl flemish, nn nynorsk, no norwegian, oc occitan, pa punjabi, pa panjabi,
pl polish, ps pashto, ps pushto, pt portuguese, ro romanian, ro moldavian, ru russian, sa sanskrit, sd sindhi, si sinhala,
si sinhalese, sk slovak, sl slovenian, sn shona, so somali, sq albanian, sr serbian, su sundanese, sv swedish, sw swahili, ta tamil,
te telugu, tg tajik, th thai, tk turkmen, tl tagalog, tr turkish, tt tatar, uk ukrainian, ur urdu, uz uzbek, vi vietnamese,
yi yiddish, yo yoruba, yue cantonese, zh chinese, zh mandarin
"""
"""Tag and name of the languages of Whisper."""

TAGS: Final = {name: tag for tag, name in (entry.split(maxsplit=1) for entry in _NAMES.strip().split(","))}


def tag_of(language: object) -> str:
    """The BCP-47 tag of a language given by its English name or as a tag; "" for anything else."""
    if not isinstance(language, str):
        return ""
    name = " ".join(language.lower().split())
    if name in TAGS:
        return TAGS[name]
    return name.replace("_", "-") if _TAG.match(name) else ""
