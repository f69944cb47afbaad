"""Names that have another form in another language, and words that are written with a capital and are no names.

Laws: data only, without accents and in small letters (`folding`). A group holds the forms of one name in English, Spanish, Portuguese,
French, German, Italian and Dutch; forms that begin alike need no group. A group is no translation of its own: any form of it will do.
"""

from __future__ import annotations

from typing import Final

_PLACES: Final = """
germany alemania alemanha allemagne deutschland germania duitsland
england inglaterra angleterre inghilterra
spain espana espanha espagne spanien spagna spanje
france francia franca frankreich frankrijk
wales gales galles
scotland escocia schottland ecosse scozia schotland
ireland irlanda irlande irland ierland
switzerland suiza suica suisse schweiz svizzera zwitserland
sweden suecia suede schweden svezia zweden
denmark dinamarca danemark danimarca denemarken
norway noruega norvege norwegen norvegia noorwegen
austria osterreich autriche oostenrijk
hungary hungria hongrie ungarn ungheria hongarije
greece grecia grece griechenland griekenland
croatia croacia croatie kroatien croazia kroatie
czechia chequia tschechien tchequie cechia tsjechie
turkey turquia turquie turkei turchia turkije
lebanon libano liban libanon
egypt egipto egito egypte agypten egitto
japan japon japao giappone
china chine cina
india inde indien
netherlands low_countries holland holanda paises_bajos paises_baixos pays-bas niederlande paesi_bassi nederland hollande olanda
united_states usa estados_unidos etats-unis vereinigte_staaten stati_uniti verenigde_staten eeuu ee.uu. eua
united_kingdom uk reino_unido royaume-uni vereinigtes_konigreich regno_unito verenigd_koninkrijk
britain bretana bretanha bretagne grossbritannien britannien
jordan jordania jordanie jordanien giordania
london londres londra londen
lisbon lisboa lisbonne lissabon lisbona
munich munchen monaco
cologne colonia koln keulen
vienna viena vienne wien wenen
geneva ginebra genebra geneve genf ginevra
seville sevilla sevilha siviglia
saragossa zaragoza saragoca
florence florencia florenca firenze florenz
venice venecia veneza venise venedig venezia
milan milano mailand milaan
naples napoles neapel napoli napels
turin torino turim
rome roma rom
genoa genova genes genua
leghorn livorno
moscow moscu moscou moskau mosca moskou
warsaw varsovia varsovie warschau varsavia warschau
prague praga prag praag
athens atenas athenes athen atene athene
brussels bruselas bruxelas bruxelles brussel
antwerp amberes antuerpia anvers antwerpen anversa
bruges brujas brugge
ghent gante gand gent
hague haya haia haye haag l'aia
copenhagen copenhague kopenhagen copenaghen
edinburgh edimburgo edimbourg
cairo caire kairo
jerusalem jerusalen gerusalemme
cordova cordoba cordova cordoue
corunna coruna
beijing pequim pekin peking pechino
tokyo tokio toquio
istanbul estambul istambul
aachen aquisgran aix-la-chapelle aquisgrana aken
mainz maguncia mayence magonza
regensburg ratisbona ratisbonne
thames tamesis tamisa tamise themse tamigi theems
danube danubio danubio donau
rhine rin reno rhin rhein rijn
alps alpes alpen alpi
pyrenees pirineos pireneus pyrenaen pirenei
mediterranean mediterraneo mediterranee mittelmeer middellandse_zee
baltic baltico baltique ostsee oostzee
vistula weichsel vistola
sardinia cerdena sardenha sardaigne sardinien sardegna
burgundy borgona borgonha bourgogne burgund borgogna
bavaria baviera baviere bayern beieren
saxony sajonia saxonia saxe sachsen sassonia
flanders flandes flandern vlaanderen flandres fiandre
apulia puglia pouilles apulien
cyprus chipre chypre zypern cipro
latvia letonia lettland lettonie lettonia letland
lithuania lituania litauen lituanie litouwen
belarus bielorrusia bielorrussia bielorussie weissrussland bielorussia
morocco marruecos marrocos maroc marokko marocco
tunisia tunez tunisie tunesien tunesie
hungary hungria
myanmar burma birmania birmanie birma
iceland islandia islande island islanda ijsland
cinderella cenicienta cinderela cendrillon aschenputtel cenerentola assepoester
ivory_coast costa_de_marfil costa_do_marfim cote_d'ivoire
new_york nueva_york nova_york nova_iorque
new_zealand nueva_zelanda nova_zelandia nouvelle-zelande neuseeland
cape_town ciudad_del_cabo cidade_do_cabo kapstadt kaapstad
"""

_PEOPLE: Final = """
john juan joao jean johannes johann giovanni jan
james jaime santiago diego tiago jacques jakob giacomo jacobo
peter pedro pierre petrus pietro
paul pablo paulo paolo
joseph jose josef giuseppe jozef pepe
charles carlos karl carlo karel
william guillermo guilherme guillaume wilhelm guglielmo willem
henry enrique henrique henri heinrich enrico hendrik
george jorge georges georg giorgio joris
lewis louis luis luiz ludwig luigi lodewijk
stephen esteban estevao etienne stephan stefano
elizabeth isabel elisabeth elisabetta
helen elena helena helene
philip felipe filipe philippe philipp filippo
matthew mateo mateus matthieu matthaus matteo
john_paul juan_pablo joao_paulo
joan juana joana jeanne johanna giovanna
jane juana jeanne giovanna
catherine catalina catarina caterina katharina
anne ana anna ann
mary maria marie
andrew andres andre andreas andrea
anthony antonio anton antoine
francis francisco francois franz francesco
christopher cristobal cristovao christophe christoph cristoforo
ferdinand fernando hernando
xavier javier
lucy lucia luzia lucie
jesus gesu jezus
moses moises moise mose mozes
noah noe
luke lucas luc luca lukas
mark marcos marc marco markus
"""

_GROUPS: Final = tuple(
    frozenset(form.replace("_", " ") for form in line.split())
    for line in (_PLACES + _PEOPLE).splitlines()
    if line.strip()
)

FORMS: Final[dict[str, frozenset[str]]] = {}
"""All forms of a name, by each of its forms."""
for _group in _GROUPS:
    for _form in _group:
        FORMS[_form] = FORMS.get(_form, frozenset()) | _group

LONG_FORMS: Final = tuple(sorted((form for form in FORMS if " " in form), key=len, reverse=True))
"""Those of several words."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


TITLES: Final = _words(
    """
mr mrs ms miss mister sir madam dr doctor professor prof lord lady king queen prince princess president minister captain general colonel
major sergeant judge senator governor mayor pope bishop father mother sister brother coach chef nurse officer inspector sr sra srta
senor senora senorita senhor senhora don dona doctora doutor doutora profesor profesora professora rey reina monsieur madame
mademoiselle mme mlle herr frau signor signora signore dottor dottore uncle aunt auntie grandpa grandma tio tia
"""
)
"""What stands before the name of a person."""

NO_NAMES: Final = TITLES | _words(
    """
i i'm i'd i'll i've o oh ok okay x-ray tv dvd pc id am pm hello hi goodbye bye yes no thanks please sorry welcome saint st dom rei usted
ustedes ud uds vd vds voce voces seu lei sie ihr ihnen ihre u uw mom mum mommy mummy mama dad daddy papa granny grandfather grandmother
god allah dios deus dieu gott dio bible biblia heaven hell devil virgin christmas eve good ash palm boxing easter halloween thanksgiving
xmas new ramadan navidad natal noel pascoa pascua paques pasqua ostern weihnachten natale passover carnival earth moon sun mars venus
mercury jupiter saturn universe tierra luna sol terra lua terre lune soleil internet web email wifi google north south east west
northern southern eastern western middle norte sur sul este oeste nord sud est ouest ovest street avenue road square lane drive bridge
lake river mount mountain mountains island islands sea ocean bay beach valley desert forest church school university college hospital
station airport park tower castle palace museum house hall bank court council office ministry department state states city town village
county republic kingdom empire union nations nation party board committee company army navy police government parliament congress senate
library theatre theater hotel market garden gardens falls fall torre tour turm pais hill hills creek port fort old great grand little
big upper lower central national international royal red black white green blue grey gray golden day year week world war cup games
league club century age revolution independence guerra mundial cruz roja rojo vermelha vermelho blanca blanco branca branco negra negro
segunda primera primeira peace paz calle plaza avenida rio sierra san santa santo universidad ministerio ciudad estado estados isla
islas mar lago puente iglesia catedral colegio museo banco gobierno congreso senado republica reino rua praca ponte igreja cidade ilha
ilhas universidade museu english spanish portuguese french german italian dutch russian chinese japanese korean arabic turkish greek
polish swedish danish norwegian finnish hungarian czech romanian bulgarian ukrainian irish scottish welsh british american canadian
mexican brazilian argentine argentinian chilean colombian peruvian cuban african asian european australian indian pakistani iranian
iraqi israeli egyptian moroccan icelandic latvian lithuanian estonian serbian croatian slovak slovenian slovene albanian macedonian
bosnian armenian georgian mongolian kazakh uzbek persian farsi urdu bengali punjabi tamil telugu gujarati marathi nepali burmese khmer
lao malay tagalog filipino swahili yoruba zulu afrikaans maltese breton flemish esperanto sanskrit aramaic cantonese mandarin taiwanese
tibetan afghan syrian lebanese swiss belgian austrian thai vietnamese indonesian latin hebrew hindi catalan basque galician roman
scandinavian englishman englishwoman englishmen frenchman frenchwoman frenchmen irishman dutchman welshman scotsman spaniard spaniards
portugueses germans italians russians americans canadians mexicans brazilians africans asians europeans australians indians egyptians
greeks turks turk poles pole swedes swede danes dane finns finn scots scot britons brits brit arabs arab jew jews jewish muslim muslims
islam islamic christian christians christianity catholic catholics protestant protestants buddhist buddhists hindu hindus kurds kurdish
gypsy gypsies romans vikings nazi nazis communist communists democrat democrats republican republicans anglais espagnol espagnols
allemand allemands francais italien italiens europeen europeens americain americains inglese spagnolo tedesco francese italiani monday
tuesday wednesday thursday friday saturday sunday january february march april may june july august september october november december
"""
)
"""Titles, languages, peoples, feasts, stars, and the words that names of things are made of, which are translated by other words."""
