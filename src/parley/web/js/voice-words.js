// What the page says of voices: their groups by language, and a few words on each.
//
// Laws: everything comes from what the server tells of a voice ({name, of, language, sex, character, sounds_as}); pure.

import { languageName } from "./languages.js";

const WIDE = 3; // Groups that are shown at once; those of further languages are folded away.

/** The primary tag, "" for none. */
function primary(tag) {
  return tag.split("-")[0].toLowerCase();
}

/** What a voice is called: one that is named after its language only, by the language's name. */
export function voiceName({ name, language }) {
  return language && name.toLowerCase() === language.toLowerCase() ? varietyName(language) : name;
}

/** "American English (nyc)" for "en-us-nyc": what no standard names stays as it is, in brackets. */
function varietyName(tag) {
  const parts = tag.split("-");
  for (let length = parts.length; length > 0; length -= 1) {
    const known = parts.slice(0, length).join("-");
    const name = languageName(known);
    const rest = parts.slice(length).filter((part) => part.length > 1).join(" ");
    if (name !== known) return rest ? `${name} (${rest})` : name;
  }
  return tag;
}

/** A few words on a voice; "" where nothing is known of it. */
export function voiceWords(voice) {
  const { language, sex, character, of, sounds_as: as } = voice;
  if (of === "openai") return as ? `sounds as ${as}` : "as the model has it";
  const variety = language && voiceName(voice) === voice.name ? varietyName(language) : "";
  return [variety, sex, character].filter(Boolean).join(", ");
}

/** The voice in one line: "heart: American English, female". */
export function voiceLine(voice) {
  const words = voiceWords(voice);
  return words ? `${voiceName(voice)}: ${words}` : voiceName(voice);
}

/**
 * [{title, note, voices, wide}]: the user's own voices, then those of each language, those that the listener most likely wants first, and
 * OpenAI's names. `wide` groups are shown at once; of voices that are `alike` the note says it all.
 */
export function voiceGroups({ voices, voice: usual, language }, wanted = navigator.languages) {
  const of = (kind) => voices.filter((voice) => voice.of === kind);
  const groups = [];
  if (of("user").length > 0) groups.push({ title: "Your own", note: "", voices: of("user"), wide: true });
  const byLanguage = byPrimary(of("engine"));
  const first = [primary(voices.find(({ name }) => name === usual)?.language ?? ""), primary(language), ...wanted.map(primary)];
  const place = (tag) => (first.includes(tag) ? first.indexOf(tag) : first.length);
  const tags = [...byLanguage.keys()].sort((a, b) => place(a) - place(b) || title(a).localeCompare(title(b), "en"));
  const spoken = tags.map((tag) => ({ title: title(tag), note: "", voices: byLanguage.get(tag), wide: tags.length <= WIDE || first.includes(tag) }));
  const openai = of("openai");
  return [
    ...groups,
    ...spoken.filter(({ wide }) => wide),
    ...(openai.length > 0 ? [{ title: "OpenAI's names", note: openaiNote(openai), voices: openai, wide: true, alike: alike(openai) }] : []),
    ...spoken.filter(({ wide }) => !wide),
  ];
}

function byPrimary(voices) {
  const map = new Map();
  for (const voice of voices) {
    const tag = primary(voice.language);
    if (!map.has(tag)) map.set(tag, []);
    map.get(tag).push(voice);
  }
  return map;
}

function title(tag) {
  return tag ? languageName(tag) : "Voices";
}

function openaiNote(voices) {
  if (alike(voices)) return `Clients written for OpenAI ask for these. All of them sound as ${voices[0].sounds_as} here.`;
  return "Clients written for OpenAI ask for these. The voices above answer to them.";
}

/** Whether all of them are one voice of the engine's. */
function alike(voices) {
  return voices[0].sounds_as !== "" && voices.every(({ sounds_as: as }) => as === voices[0].sounds_as);
}
