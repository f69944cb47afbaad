// What a visitor may try first: sentences that show what a conversation here is for.
//
// Laws: only what comes out well with what is connected: rules answer no story, and what nobody speaks is not offered. Pure.

import { languageName } from "./languages.js";

const STORIES = {
  ar: "احكِ لي قصة قصيرة من فضلك.",
  cs: "Vyprávěj mi krátký příběh, prosím.",
  da: "Fortæl mig en kort historie, tak.",
  de: "Erzähl mir bitte eine kurze Geschichte.",
  el: "Πες μου μια μικρή ιστορία, παρακαλώ.",
  es: "Cuéntame un cuento corto, por favor.",
  fi: "Kerro minulle lyhyt tarina, kiitos.",
  fr: "Raconte-moi une courte histoire, s'il te plaît.",
  hi: "कृपया मुझे एक छोटी कहानी सुनाइए।",
  hu: "Mesélj nekem egy rövid történetet, kérlek!",
  it: "Raccontami una breve storia, per favore.",
  ja: "短いお話を聞かせてください。",
  ko: "짧은 이야기를 들려주세요.",
  nb: "Fortell meg en kort historie, takk.",
  nl: "Vertel me alsjeblieft een kort verhaal.",
  pl: "Opowiedz mi, proszę, krótką historię.",
  pt: "Conte-me uma história curta, por favor.",
  ro: "Spune-mi, te rog, o poveste scurtă.",
  ru: "Расскажи мне, пожалуйста, короткую историю.",
  sv: "Berätta en kort historia för mig, tack.",
  tr: "Bana kısa bir hikâye anlatır mısın?",
  uk: "Розкажи мені, будь ласка, коротку історію.",
  vi: "Hãy kể cho tôi nghe một câu chuyện ngắn.",
  zh: "请给我讲一个小故事。",
};
const FAMILIAR = ["es", "fr", "de", "zh", "ja", "pt", "it"]; // Tried first where the visitor reads none of the others.

/**
 * [{label, say, talkOver, voice, language}|{label, view, target}]: what a press says, or the view that it opens. `talkOver`: the reply is there
 * to be cut off; `voice`: what speaks it, where that is not the session's; `language`: what it is said in, where that is not English.
 */
export function starters({ answers, speaks, engines, language = "", voices = [] }, { tools, interpreted = [], wanted = navigator.languages } = {}) {
  const offered = [];
  const english = speaks.length === 0 || speaks.includes("en");
  if (answers.by === "model" && english) {
    offered.push({ label: "Tell me a story, then interrupt me", say: "Tell me a story.", talkOver: true });
    if (tools && !engines.speech) offered.push({ label: "Roll two dice", say: "Roll two dice, please." });
    offered.push({ label: "What happened on this day in history?", say: "What happened on this day in history?" });
  }
  if (answers.by === "rules" && english) {
    offered.push({ label: "How do I connect a language model?", say: "How do I connect a language model?", talkOver: true });
    if (tools) offered.push({ label: "Roll the dice", say: "Roll the dice, please." }, { label: "Make this page dark", say: "Set the theme to dark, please." });
  }
  if (answers.by === "model" && !language) offered.push(...abroad(speaks, voices, wanted));
  const target = preferred(interpreted, wanted);
  if (target) offered.push({ label: `Be heard in ${languageName(target)}`, view: "interpreter", target });
  return offered;
}

/**
 * A story in another language that has a voice here, if there is one. Without words that it has heard the server does not know what a reply is in:
 * the voice is named.
 */
function abroad(speaks, voices, wanted) {
  const speakers = voices.filter(({ of }) => of === "engine").map(({ name, language }) => ({ name, language: shared(language) }));
  const known = [...new Set([...speakers.map(({ language }) => language), ...speaks.map(shared)])];
  const told = [...FAMILIAR, ...Object.keys(STORIES)].filter((tag) => known.includes(tag));
  const chosen = preferred(told, wanted);
  if (!chosen) return [];
  const voice = speakers.find(({ language }) => language === chosen)?.name ?? "";
  return [{ label: `Hear a story in ${languageName(chosen)}`, say: STORIES[chosen], talkOver: true, voice, language: chosen }];
}

/** Mandarin and Norwegian have two tags each. */
function shared(tag) {
  const primary = tag.split("-")[0];
  return { cmn: "zh", no: "nb" }[primary] ?? primary;
}

/** A language that the visitor reads, else the first. */
function preferred(tags, wanted) {
  const own = wanted.map((tag) => tag.split("-")[0]);
  return own.find((tag) => tag !== "en" && tags.includes(tag)) ?? tags[0];
}
