"""Three-letter codes of languages (ISO 639-3), as Apertium and NLLB name them, as the tags of BCP 47. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

_SHORT: Final = """
af afr, am amh, an arg, ar ara arb, as asm, az aze azj, ba bak, be bel, bg bul, bn ben, bo bod, br bre, bs bos, ca cat, cs ces, cy cym,
da dan, de deu, el ell, en eng, eo epo, es spa, et est ekk, eu eus, fa fas pes, fi fin, fo fao, fr fra, ga gle, gd gla, gl glg, gn grn,
gu guj, ha hau, he heb, hi hin, hr hrv, ht hat, hu hun, hy hye, id ind, ig ibo, is isl, it ita, ja jpn, jv jav, ka kat, kk kaz, km khm,
kn kan, ko kor, ks kas, ku kmr, ky kir, lb ltz, lg lug, ln lin, lo lao, lt lit, lv lvs lav, mg mlg plt, mi mri, mk mkd, ml mal, mn khk,
mr mar, ms msa zsm zlm, mt mlt, my mya, nb nob, ne npi nep, nl nld, nn nno, no nor, ny nya, oc oci, om gaz, or ory, pa pan, pl pol,
ps pbt, pt por, qu quy, ro ron, ru rus, rw kin, sa san, sc srd, sd snd, sg sag, sh hbs, si sin, sk slk, sl slv, sm smo, sn sna, so som,
sq als sqi, sr srp, ss ssw, st sot, su sun, sv swe, sw swh swa, ta tam, te tel, tg tgk, th tha, ti tir, tk tuk, tl tgl, tn tsn, tr tur,
ts tso, tt tat, ug uig, uk ukr, ur urd, uz uzn uzb, vi vie, wo wol, xh xho, yi ydd yid, yo yor, yue yue, zh zho cmn, zu zul
"""

_TAGS: Final = {
    code: short for short, *codes in (entry.split() for entry in _SHORT.strip().split(",")) for code in codes
}

_USUAL_SCRIPT: Final = {
    "zho": "Hans",
    "arb": "Arab",
    "kas": "Arab",
    "min": "Latn",
    "bjn": "Latn",
    "ace": "Latn",
    "taq": "Latn",
}
"""Of languages that NLLB has in two scripts, the one that the bare tag means."""

_NLLB: Final = re.compile(r"^([a-z]{3})_([A-Z][a-z]{3})$")
_M2M: Final = re.compile(r"^__([a-z]{2,3})__$")


def short_tag(code: str) -> str:
    """The tag of a code of two or three letters: "en" for "eng", and the code itself where it has no shorter one."""
    return _TAGS.get(code, code)


def tags_of_tokens(tokens: Iterable[str]) -> dict[str, str]:
    """The languages of a model's vocabulary: the token of each (`spa_Latn`, `__es__`), by its tag. Empty for a model of one pair."""
    found: dict[str, str] = {}
    for token in tokens:
        if match := _M2M.match(token):
            found.setdefault(short_tag(match[1]), token)
        elif match := _NLLB.match(token):
            language = short_tag(match[1])
            usual = _USUAL_SCRIPT.get(match[1], match[2]) == match[2]
            found.setdefault(language if usual and language not in found else f"{language}-{match[2]}", token)
    return found
