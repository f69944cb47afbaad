"""What a last word says about whether its speaker goes on, in English, German, Spanish and French.

Laws: data only. A word is listed where it nearly always, or usually, has something after it; a word that ends a sentence as often
is left out. Sources of the classes: Sacks, Schegloff & Jefferson 1974 (syntactic completion); Clark & Fox Tree 2002 (hesitations
announce a delay); Ford & Thompson 1996 (complement-taking phrases).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class TurnWords:
    """One language's lists, in lower case.

    `holding`: articles, conjunctions, possessives and prepositions, which are followed by something. `leaning`: auxiliaries and
    others that usually are. `openings`: phrases that ask for a complement ("I would like"). `stranded`:
    prepositions and forms of "to be" that may end a question; `gap_openers`, the question words that leave a preposition without
    its noun ("what are you looking for"), and `pronouns`, one of which is its subject. `attributes`: adjectives that, after a
    `holding` or `leaning` word, have a noun after them ("the next"). `auxiliaries`: after one of these a pronoun waits for its verb in
    a question ("how much does it"). `hesitations`, `answers` (whole turns by themselves), `greetings` (the same), `questions` (first
    words of a question), `subordinators` (first words of a clause that another must follow), `digits` (spoken digits).
    """

    holding: frozenset[str]
    leaning: frozenset[str]
    openings: frozenset[str]
    stranded: frozenset[str]
    gap_openers: frozenset[str]
    pronouns: frozenset[str]
    attributes: frozenset[str]
    auxiliaries: frozenset[str]
    hesitations: frozenset[str]
    answers: frozenset[str]
    greetings: frozenset[str]
    questions: frozenset[str]
    subordinators: frozenset[str]
    digits: frozenset[str]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _phrases(text: str) -> frozenset[str]:
    return frozenset(" ".join(phrase.split()) for phrase in text.split(","))


ENGLISH: Final = TurnWords(
    holding=_words(
        """a an the and or but nor because although though unless until whereas whether if while than as of to with
        from into onto upon via per between among through toward towards during without within against for at by my
        your our their its every very quite rather i we they who's i'm we're they're you're he's she's let's i've
        we've i'd we'd i'll we'll"""
    ),
    leaning=_words(
        """is are was were am be been being has have had do does did will would can could shall should may might must
        then which who whose where when what how in on about like just really also maybe perhaps gonna wanna
        his her this these those some any no don't doesn't didn't can't won't isn't aren't"""
    ),
    openings=_phrases(
        """i want, i need, i would like, i'd like, i think, i believe, i guess, i mean, i wonder, can you, could you,
        would you, can i, could i, do you have, is there, are there, tell me, give me, show me, please tell me, what
        about, how about, there is, there are, it is, it's, you know, looking for, kind of, sort of, such as, as
        well as, going to, have to, want to, need to, used to, think that, believe that, said that, say that, know that,
        sure that, so that, such that, mean that, told me that, the fact that"""
    ),
    stranded=_words(
        """for from to with about of at in on into like as than by against through is are was were do does did"""
    ),
    gap_openers=_words("what what's who who's whom whose which where where's"),
    pronouns=_words("i you it he she we they that this"),
    attributes=_words(
        """next last first second third other same new old own whole big large small little long short good best
        worst better great few several many more most different certain"""
    ),
    auxiliaries=_words("do does did can could will would should shall may have has"),
    hesitations=_words("um uh uhm umm uhh er erm hmm hm mm eh ah well"),
    answers=_phrases(
        """yes, yeah, yep, yup, no, nope, nah, ok, okay, sure, right, alright, all right, exactly, correct, absolutely,
        definitely, of course, fine, good, great, perfect, maybe, not really, i don't know, i do, i don't, no
        thanks, no thank you, yes please, sounds good, that's right, that's all, nothing, stop, cancel, wait, got
        it, i see, never mind, me too, go ahead, continue, repeat, again, next, done, help"""
    ),
    greetings=_phrases(
        """hello, hi, hey, hello there, hi there, good morning, good afternoon, good evening, good night, goodbye, bye,
        bye bye, see you, thanks, thank you, thank you very much, thanks a lot, cheers, you're welcome, sorry,
        excuse me, hello world, how are you, nice to meet you"""
    ),
    questions=_words(
        """what what's where where's when when's who who's whose why why's how how's which is are was were am do does
        did can could will would should shall may have has had isn't aren't don't doesn't didn't can't couldn't
        won't wouldn't"""
    ),
    subordinators=_words("if when while although though unless until because since before after once whenever whereas"),
    digits=_words("zero oh one two three four five six seven eight nine double triple"),
)

GERMAN: Final = TurnWords(
    holding=_words(
        """der die das den dem des ein eine einen einem einer eines und oder aber sondern denn weil dass ob wenn obwohl
        damit sodass während bevor nachdem als wie von zum zur für gegen ohne bei seit vom im
        am ins ans beim mein meine meinen meinem meiner dein deine deinen sein seine ihre ihren unser unsere kein
        keine keinen ich wir sehr jeder jede jedes"""
    ),
    leaning=_words(
        """zu mit nach um durch ist sind war waren bin habe hat haben hatte werde wird werden würde kann können könnte
        muss müssen soll sollte will wollen möchte darf also dann dieser diese dieses wo wer was wann warum welche
        welcher in noch auch nur nicht vielleicht eigentlich"""
    ),
    openings=_phrases(
        """ich möchte, ich will, ich brauche, ich hätte gern, ich würde gern, ich würde gerne, ich denke, ich glaube,
        ich meine, können sie, könnten sie, kannst du, könntest du, gibt es, sagen sie mir, sag mir, zeig mir, es
        gibt, es ist, das ist, ich suche, wie wäre es mit, zum beispiel, haben sie, hast du"""
    ),
    stranded=_words("ist sind war"),
    gap_openers=_words(""),
    pronouns=_words("ich du er es wir ihr man"),
    attributes=_words(
        "nächste nächsten nächster letzte letzten erste ersten zweite zweiten andere anderen neue neuen kleine kleinen große großen"
    ),
    auxiliaries=_words(""),
    hesitations=_words("äh ähm ehm öh öhm hm hmm mh tja naja also halt äähm"),
    answers=_phrases(
        """ja, nein, nee, doch, klar, okay, ok, genau, richtig, stimmt, gut, sehr gut, super, gerne, gern, ja bitte,
        nein danke, ja gerne, natürlich, auf jeden fall, vielleicht, weiß ich nicht, ich weiß nicht, keine ahnung,
        passt, alles klar, stopp, halt, abbrechen, weiter, fertig, nichts, nochmal, in ordnung, einverstanden, das
        war's, das ist alles"""
    ),
    greetings=_phrases(
        """hallo, hi, hey, guten morgen, guten tag, guten abend, gute nacht, servus, moin, grüß gott, tschüss, auf
        wiedersehen, bis bald, bis später, danke, danke schön, dankeschön, vielen dank, danke sehr, bitte, bitte
        schön, entschuldigung, wie geht's, wie geht es dir, wie geht es ihnen"""
    ),
    questions=_words(
        """was wo wann wer wen wem warum wieso weshalb wie welche welcher welches woher wohin ist sind war hat haben
        hast kann kannst können könnten könntest gibt darf soll wird wirst werden möchtest möchten willst wollen"""
    ),
    subordinators=_words("wenn weil obwohl während bevor nachdem sobald falls seit als damit"),
    digits=_words("null eins zwei zwo drei vier fünf sechs sieben acht neun doppel"),
)

SPANISH: Final = TurnWords(
    holding=_words(
        """el la los las un una unos unas y e o u pero sino porque aunque que si cuando mientras de del a al con sin
        para por en entre hasta desde hacia según sobre contra durante mi tu su mis tus sus nuestro nuestra cada muy
        tan más yo cuyo"""
    ),
    leaning=_words(
        """es son era está están estoy soy ser estar ha han he hay había puede puedo pueden podría debe debo quiero
        quiere quisiera voy va vamos como donde este esta estos estas ese esa algún alguna no se lo me te le también
        solo pues entonces"""
    ),
    openings=_phrases(
        """quiero, quisiera, me gustaría, necesito, creo que, pienso que, puedes, puede usted, podrías, podría, dime,
        dame, hay, tengo que, voy a, estoy buscando, busco, es decir, por ejemplo, o sea, qué tal si"""
    ),
    stranded=_words("es son era"),
    gap_openers=_words(""),
    pronouns=_words("tú él ella usted nosotros ellos"),
    attributes=_words(
        "próximo próxima primer primera segundo segunda último última otro otra mismo misma nuevo nueva gran"
    ),
    auxiliaries=_words(""),
    hesitations=_words("eh em este mmm mm hm esto bueno pues ehh emm"),
    answers=_phrases(
        """sí, si, no, vale, ok, okay, claro, claro que sí, por supuesto, exacto, correcto, perfecto, bien, muy bien,
        bueno, de acuerdo, quizás, tal vez, no sé, no lo sé, nada, eso es todo, sí por favor, no gracias, para,
        espera, cancelar, siguiente, otra vez, ya está, listo, adelante"""
    ),
    greetings=_phrases(
        """hola, buenos días, buenas tardes, buenas noches, buenas, adiós, hasta luego, hasta mañana, chao, gracias,
        muchas gracias, de nada, perdón, disculpe, lo siento, mucho gusto, cómo estás, cómo está, qué tal"""
    ),
    questions=_words(
        """qué que quién quiénes cuándo dónde adónde cómo cuál cuáles cuánto cuánta cuántos cuántas por puedes puede
        hay es son era tienes"""
    ),
    subordinators=_words("si cuando mientras aunque porque antes después como"),
    digits=_words("cero uno dos tres cuatro cinco seis siete ocho nueve doble"),
)

FRENCH: Final = TurnWords(
    holding=_words(
        """le la les l un une des du de d à au aux et ou mais donc car parce que qu si quand lorsque puisque avec sans
        pour par dans en sur sous entre vers chez depuis pendant contre selon mon ma mes ton ta tes son sa ses notre
        nos votre vos leur leurs chaque très plus je j nous c'est j'ai qui dont quelques ce cet cette ces"""
    ),
    leaning=_words(
        """est sont était suis es ai as a ont avons avez avait peut peux pouvez pourrais pourrait dois doit faut veux
        veut voudrais vais va allons alors aussi juste seulement comme où comment il elle on ils elles me te se lui
        ne peut-être"""
    ),
    openings=_phrases(
        """je voudrais, j'aimerais, je veux, j'ai besoin, j'ai besoin de, je pense que, je crois que, est-ce que, est
        ce que, pouvez-vous, pouvez vous, peux-tu, peux tu, pourriez-vous, dis-moi, dites-moi, donne-moi, il y a, il
        faut, je cherche, c'est, par exemple, c'est-à-dire, je vais, y a-t-il"""
    ),
    stranded=_words("est sont"),
    gap_openers=_words(""),
    pronouns=_words("je tu il elle on nous vous ils elles"),
    attributes=_words(
        "prochain prochaine premier première deuxième dernière autre même nouveau nouvelle petit petite grand grande"
    ),
    auxiliaries=_words(""),
    hesitations=_words("euh heu hum hm hmm ben bah bon eh mmm"),
    answers=_phrases(
        """oui, ouais, non, si, ok, okay, d'accord, bien sûr, exactement, exact, voilà, parfait, bien, très bien,
        peut-être, je ne sais pas, je sais pas, rien, c'est tout, c'est bon, oui s'il vous plaît, oui s'il te plaît,
        non merci, stop, arrête, attends, annuler, suivant, encore, ça marche, pas vraiment, moi aussi, continue,
        vas-y"""
    ),
    greetings=_phrases(
        """bonjour, salut, bonsoir, bonne nuit, bonne journée, au revoir, à bientôt, à demain, merci, merci beaucoup,
        merci bien, de rien, pardon, excusez-moi, désolé, désolée, enchanté, comment ça va, ça va, comment
        allez-vous"""
    ),
    questions=_words(
        """qui que qu'est-ce quoi où quand comment pourquoi combien quel quelle quels quelles est-ce est sont
        pouvez-vous peux-tu"""
    ),
    subordinators=_words("si quand lorsque parce puisque pendant avant après dès"),
    digits=_words("zéro un deux trois quatre cinq six sept huit neuf double"),
)

LANGUAGES: Final = {"en": ENGLISH, "de": GERMAN, "es": SPANISH, "fr": FRENCH}

SMALL_WORDS: Final = {
    tag: lists.holding.union(
        lists.leaning,
        lists.pronouns,
        lists.questions,
        lists.hesitations,
        *(phrase.split() for phrase in lists.answers | lists.greetings),
    )
    for tag, lists in LANGUAGES.items()
}
"""Words by which the language of a text is recognised."""
