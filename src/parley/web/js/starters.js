// What a visitor may try first: sentences that show what a conversation here is for.
//
// Laws: only what comes out well with what is connected: rules answer no story, and what nobody speaks is not offered. Pure.

import { languageName } from "./languages.js";

/** [{label, say, talkOver}|{label, view, target}]: what a press says, or the view that it opens. `talkOver`: the reply is there to be cut off. */
export function starters({ answers, speaks, engines }, { tools, interpreted = [], wanted = navigator.languages } = {}) {
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
  const target = preferred(interpreted, wanted);
  if (target) offered.push({ label: `Be heard in ${languageName(target)}`, view: "interpreter", target });
  return offered;
}

/** A language that the visitor reads, else the first. */
function preferred(tags, wanted) {
  const own = wanted.map((tag) => tag.split("-")[0]);
  return own.find((tag) => tag !== "en" && tags.includes(tag)) ?? tags[0];
}
