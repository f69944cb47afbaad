// A short sentence in many languages, for hearing what a voice sounds like.
//
// Laws: a voice is heard in a language that it speaks; where there is no sentence here, it says the name of its language.

const SENTENCES = {
  ar: "صباح الخير! الشمس مشرقة اليوم.",
  bg: "Добро утро! Днес грее слънце.",
  ca: "Bon dia! Avui fa sol.",
  cmn: "早上好！今天阳光很好。",
  cs: "Dobré ráno! Dnes svítí slunce.",
  cy: "Bore da! Mae'r haul yn tywynnu heddiw.",
  da: "Godmorgen! Solen skinner i dag.",
  de: "Guten Morgen! Heute scheint die Sonne.",
  el: "Καλημέρα! Σήμερα έχει ήλιο.",
  en: "Good morning! The sun is out today.",
  eo: "Bonan matenon! Hodiaŭ la suno brilas.",
  es: "¡Buenos días! Hoy hace sol.",
  et: "Tere hommikust! Täna paistab päike.",
  eu: "Egun on! Gaur eguzkia dago.",
  fa: "صبح بخیر! امروز هوا آفتابی است.",
  fi: "Hyvää huomenta! Tänään aurinko paistaa.",
  fr: "Bonjour ! Il fait beau aujourd'hui.",
  ga: "Maidin mhaith! Tá an ghrian ag taitneamh inniu.",
  he: "בוקר טוב! היום השמש זורחת.",
  hi: "सुप्रभात! आज धूप निकली है।",
  hr: "Dobro jutro! Danas sja sunce.",
  hu: "Jó reggelt! Ma süt a nap.",
  id: "Selamat pagi! Hari ini cerah.",
  is: "Góðan daginn! Sólin skín í dag.",
  it: "Buongiorno! Oggi c'è il sole.",
  ja: "おはようございます。今日はいい天気です。",
  ko: "안녕하세요! 오늘은 날씨가 맑아요.",
  lt: "Labas rytas! Šiandien šviečia saulė.",
  lv: "Labrīt! Šodien spīd saule.",
  nb: "God morgen! Sola skinner i dag.",
  nl: "Goedemorgen! De zon schijnt vandaag.",
  pl: "Dzień dobry! Dzisiaj świeci słońce.",
  pt: "Bom dia! Hoje faz sol.",
  ro: "Bună dimineața! Astăzi e soare.",
  ru: "Доброе утро! Сегодня светит солнце.",
  sk: "Dobré ráno! Dnes svieti slnko.",
  sl: "Dobro jutro! Danes sije sonce.",
  sr: "Добро јутро! Данас сија сунце.",
  sv: "God morgon! Solen skiner i dag.",
  sw: "Habari za asubuhi! Leo kuna jua.",
  th: "สวัสดีตอนเช้า วันนี้แดดออก",
  tr: "Günaydın! Bugün hava güneşli.",
  uk: "Доброго ранку! Сьогодні світить сонце.",
  vi: "Chào buổi sáng! Hôm nay trời nắng.",
};

const ALIASES = { zh: "cmn", no: "nb", nn: "nb" };

/** What a voice of this language (BCP 47; "" where it is not known) says to be heard. */
export function sampleSentence(tag) {
  const primary = tag.split("-")[0].toLowerCase() || "en";
  const sentence = SENTENCES[ALIASES[primary] ?? primary];
  if (sentence) return sentence;
  try {
    return `${new Intl.DisplayNames(tag, { type: "language", fallback: "none" }).of(primary) ?? SENTENCES.en}.`;
  } catch {
    return SENTENCES.en;
  }
}
