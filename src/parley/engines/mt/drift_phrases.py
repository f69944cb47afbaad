"""How language models speak when they do not translate: refusals, apologies, offers of help, labels. English, Spanish, Portuguese, German,
French and Italian.

Law: a refusal counts only where the source has no negation, an apology only where it regrets nothing (`drift.py`), so that "I cannot help
you with that", said by a person, is translated.
"""

from __future__ import annotations

import re
from typing import Final

WITH_PHRASES: Final = frozenset({"en", "es", "pt", "de", "fr", "it"})
"""Languages of a source in which the phrases are looked for."""


def _any(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.IGNORECASE)


ASSISTANT: Final = _any(
    r"\bas an? (?:ai|language model|assistant)\b",
    r"\bi(?:'|’)?a?m (?:an? |just an? )?(?:ai|language model|virtual assistant)\b",
    r"\b(?:how|what) (?:can|may) i (?:help|assist|do for) you\b",
    r"\bi(?:'|’)?m here to (?:help|assist)\b",
    r"\blanguage model\b",
    r"\bmodelo de (?:lenguaje|linguagem)\b",
    r"\b(?:como|soy|sou) (?:una?|uma?) (?:ia|asistente|assistente) (?:de ia|virtual)?",
    r"\ben qu[eé] (?:puedo|te puedo|le puedo) ayudar",
    r"\b(?:c[oó]mo|como) (?:puedo ayudar|posso (?:te |lhe )?ajudar)",
    r"\bem que posso (?:te |lhe )?ajudar",
    r"\bsprachmodell\b",
    r"\bals (?:ki|assistent)\b",
    r"\bwie kann ich (?:ihnen|dir|euch) (?:\w+ )?(?:helfen|behilflich sein)\b",
    r"\bmod[eè]le de langage\b",
    r"\ben tant qu['’]ia\b",
    r"\bcomment puis-je vous aider\b",
    r"\bmodello linguistico\b",
    r"\bcome posso aiutar(?:ti|la)\b",
)
"""Words of an assistant about itself and what it offers."""

REFUSALS: Final = _any(
    r"\bi(?: am|'m|’m) (?:not able|unable|not allowed|not permitted) to\b",
    r"\bi (?:cannot|can(?:'|’)?t|can not|could not|couldn(?:'|’)?t|won(?:'|’)?t|will not|do not|don(?:'|’)?t) "
    r"(?:\w+ )?(?:help|assist|do that|comply|fulfil|fulfill|provide|answer|translate|tell|share|ignore|follow|engage|say|access|have)\b",
    r"\bno (?:te |le |os |les )?(?:puedo|podr[ií]a|pude) (?:\w+ )?"
    r"(?:ayudar|hacer|cumplir|proporcionar|responder|contestar|traducir|decir|compartir|ignorar|seguir)",
    r"\bno (?:estoy|soy) (?:autorizado|capaz)\b",
    r"\bn[aã]o (?:te |lhe )?(?:posso|consigo|pude) (?:\w+ )?"
    r"(?:ajudar|fazer|atender|cumprir|fornecer|responder|traduzir|dizer|compartilhar|ignorar|seguir)",
    r"\bich (?:kann|darf|werde) (?:\w+ ){0,4}(?:nicht|keine?n?) (?:\w+ ){0,4}"
    r"(?:helfen|tun|erf[uü]llen|beantworten|antworten|[uü]bersetzen|sagen|teilen|ignorieren|geben)\b",
    r"\bje ne (?:peux|puis|suis) pas (?:\w+ )?(?:\w*aider|faire|r[eé]pondre|traduire|fournir|dire|ignorer|autoris\w+|capable)",
    r"\bnon (?:posso|sono in grado di|riesco a) (?:\w+ )?(?:aiutar\w*|fare|rispondere|tradurre|fornire|dire|ignorare)",
)
"""First-person refusals."""

APOLOGIES: Final = _any(
    r"\bsorry\b",
    r"\bi apologi[sz]e\b",
    r"\bmy apologies\b",
    r"\blo siento\b",
    r"\blo lamento\b",
    r"\blamento (?:mucho|que|no)\b",
    r"\bdisculpas\b",
    r"\bdesculp[ea]\w*",
    r"\bsinto muito\b",
    r"\blamento (?:muito|n[aã]o)\b",
    r"\bentschuldigung\b",
    r"\btut mir (?:\w+ )?leid\b",
    r"\bje suis d[eé]sol[eé]e?\b",
    r"\bmi dispiace\b",
)
"""Apologies."""

REGRETS: Final = _any(
    r"\b(?:sorry|apolog\w+|pardon\w*|excus\w+|forgiv\w+|regret\w*|pity|afraid|unfortunately|shame)\b",
    r"\b(?:siento|sentimos|lament\w+|disc[uú]lp\w*|perd[oó]n\w*|pena|l[aá]stima|desgraciad\w+|permiso)\b",
    r"\b(?:desculp\w*|sinto|sentimos|perd[aã]o|perdo\w+|infelizmente|licen[cç]a)\b",
    r"\b(?:entschuldig\w*|verzeih\w*|leid|leider|bedau\w+|schade)\b",
    r"\b(?:d[eé]sol\w+|pardon\w*|regrett\w*|malheureusement|dommage)\b",
    r"\b(?:dispiace|dispiaciut\w+|scus\w+|perdon\w*|purtroppo|peccato)\b",
)
"""Words with which a person regrets: the translation may apologise."""

NEGATIONS: Final = _any(
    r"\b(?:no|not|never|cannot|unable|nor|refuse\w*)\b",
    r"n['’]t\b",
    r"\b(?:nunca|jam[aá]s|ni|tampoco|n[aã]o|nem|nicht|nichts|nie|keine?\w?|ne|pas|jamais|non|mai|imposs\w+|unm[oö]glich)\b",
    r"\bn['’]",
)
"""Words of a person who says no: the translation may refuse."""

LABELS: Final = re.compile(
    r"\s*(?:\W{0,3}(?:(?:the )?translat(?:ion|ed)(?: \w+){0,3}"
    r"|traducci[oó]n|tradu[cç][aã]o|[uü]bersetzung|traduction|traduzione|note|nota|hinweis"
    r"|english|spanish|portuguese|german|french|italian|español|português|deutsch)\W{0,3}[:：]"
    r"|(?:sure|certainly|of course)[,!.]? (?:here|i)\b"
    r"|here(?:'|’)?s? (?:is )?(?:the|your|a) \w+(?: \w+){0,4}[:：]"
    r"|aquí (?:está|tienes)[^.]{0,30}:"
    r"|aqui está[^.]{0,30}:|hier ist[^.]{0,30}:|voici[^.]{0,30}:|ecco[^.]{0,30}:)",
    re.IGNORECASE,
)
"""What stands before a translation that is explained."""

AGREEMENTS: Final = _any(
    r"\A\W*(?:sure|certainly|of course|absolutely|claro(?: que s[ií])?|por supuesto|desde luego|com certeza|[eé] claro|nat[uü]rlich|klar"
    r"|selbstverst[aä]ndlich|bien s[uû]r|certainement|certo|certamente|volentieri|gerne?"
    r"|con (?:mucho )?gusto|com prazer|avec plaisir)\s*[,!.:]",
)
"""How an assistant begins to do what it was asked for."""

AGREED: Final = _any(
    r"\b(?:sure|certain\w*|course|absolute\w*|yes|ok|okay|gladly|pleasure|claro|supuesto|luego|segur\w*|ciert\w+|s[ií]|vale|gusto|sim|certeza"
    r"|prazer|nat[uü]rlich|klar|selbstverst\w+|sicher|ja|gern\w?|s[uû]r|oui|certain\w*|plaisir|certo|cert\w+|s[iì]|volentieri|piacere"
    r"|fine|alright|right|well|bueno|bien|acuerdo|bom|bem|gut|d['’]accord|bene)\b",
)
"""Words of a person who agrees: the translation may."""

PROMISES: Final = _any(
    r"\bi(?:['’]ll| will| can|['’]d be (?:happy|glad) to|['’]m (?:happy|glad) to) (?:just |gladly )?"
    r"(?:tell|give|show|write|help|explain|provide|answer|translate|do my best)\b",
    r"\b(?:te|le|os|les) (?:dir[eé]|dar[eé]|contar[eé]|mostrar[eé]|explicar[eé]|escribir[eé]|ayudar[eé])\b",
    r"\b(?:vou|posso) (?:te |lhe )?(?:dizer|dar|contar|mostrar|explicar|escrever|ajudar)\b",
)
"""What an assistant says that it will do."""

FIRST_PERSON: Final = _any(
    r"\b(?:i|i['’]\w+|me|my|we|us|let|yo|voy|vamos|puedo|podemos|quiero|eu|vou|posso|quero|podemos|ich|wir|je|nous|io|noi)\b|\bj['’]",
    r"\b\w+(?:ré|remos|rei|rò)\b|\b(?:te|le|les|os|se|lhe|lo|la)\s\w+o\b",
)
"""How a person speaks of what he or she does or will do, with the endings of languages that leave the pronoun out."""

QUESTION_BEGINS: Final = {
    language: re.compile(rf"(?:\w+\s+)?(?:{words})\b", re.IGNORECASE)
    for language, words in {
        "en": r"who|what|when|where|why|which|whose|how|is|are|am|was|were|do|does|did|can|could|will|would|shall|should|may|might|must"
        r"|have|has|had|isn't|aren't|don't|doesn't|didn't|won't|right|okay|eh|no|yes",
        "es": r"qu[eé]|qui[eé]n(?:es)?|cu[aá]l(?:es)?|cu[aá]nd[oa]s?|cu[aá]nt[oa]s?|c[oó]mo|d[oó]nde|ad[oó]nde|por qu[eé]|puedes?|pod[eé]is"
        r"|puedo|podr[ií]a|podemos|quieres?|tienes?|hay|es|est[aá]s?|sabes?|verdad|no|s[ií]",
        "pt": r"que|quem|qual|quais|quando|quant[oa]s?|como|onde|porqu[eê]|por que|pode|podes|posso|poderia|podemos|quer|queres|tem|tens"
        r"|h[aá]|[eé]|est[aá]s?|sabes?|n[aã]o|sim",
    }.items()
}
"""How a question begins whose mark a recogniser may have left out, after one word at most; other languages are not judged by it."""
