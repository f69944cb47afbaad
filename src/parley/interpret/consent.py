"""What the two parties are told of the interpreter: the user on the screen, the other party by a voice, in their own language.

Laws: values only.
"""

from __future__ import annotations

from typing import Final

from parley.text.language_tags import primary_tag

SHOWN: Final = "The other party is heard by a machine, and hears one. Say so and ask whether they agree: in many places the law demands it."
RECORDED: Final = " This call is being recorded."

SPOKEN: Final = {
    "ar": "مرحبا. أتحدث عبر مترجم آلي يسمع ما تقوله ويترجمه. إذا كنت لا توافق، فقل ذلك الآن.",
    "ca": "Hola. Parlo a través d'un intèrpret automàtic, que sent i tradueix el que dius. Si no hi estàs d'acord, digues-ho ara.",
    "de": "Guten Tag. Ich spreche durch einen automatischen Dolmetscher. Er hört und übersetzt, was Sie sagen. Wenn Sie nicht "
    "einverstanden sind, sagen Sie es bitte jetzt.",
    "en": "Hello. I am speaking through an automatic interpreter, which hears and translates what you say. If you do not agree, please say "
    "so now.",
    "es": "Hola. Hablo a través de un intérprete automático, que oye y traduce lo que usted dice. Si no está de acuerdo, dígalo ahora.",
    "fr": "Bonjour. Je parle par l'intermédiaire d'un interprète automatique, qui entend et traduit ce que vous dites. Si vous n'êtes pas "
    "d'accord, dites-le maintenant.",
    "it": "Buongiorno. Parlo tramite un interprete automatico, che sente e traduce quello che dice. Se non è d'accordo, lo dica adesso.",
    "ja": "こんにちは。自動通訳を通して話しています。通訳はあなたの話を聞いて訳します。同意されない場合は、今お知らせください。",
    "nl": "Hallo. Ik spreek via een automatische tolk, die hoort en vertaalt wat u zegt. Als u het niet goed vindt, zeg het dan nu.",
    "pl": "Dzień dobry. Mówię przez automatycznego tłumacza, który słyszy i tłumaczy to, co Pani lub Pan mówi. Jeśli nie ma zgody, proszę "
    "powiedzieć to teraz.",
    "pt": "Olá. Falo através de um intérprete automático, que ouve e traduz o que você diz. Se não concordar, diga agora, por favor.",
    "ru": "Здравствуйте. Я говорю через автоматический переводчик, который слышит и переводит ваши слова. Если вы не согласны, скажите "
    "об этом сейчас.",
    "zh": "您好。我正在通过自动口译与您交谈，它会听取并翻译您所说的话。如果您不同意，请现在告诉我。",
}
"""By language: that a machine listens and translates, and how to object."""


def spoken_notice(language: str) -> str | None:
    """The notice in that language; None where there is none."""
    return SPOKEN.get(primary_tag(language))
