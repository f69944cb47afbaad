// The first screen, before anything was said: what answers, hears and speaks here, and what one may try.
//
// Laws: it tells what the server tells of its pipeline; where no language model is connected it says so, and how to connect one.

import { byId, element } from "./dom.js";
import { languageName } from "./languages.js";
import { prefer, preferences } from "./preferences.js";
import { starters } from "./starters.js";

const NAMED = 2; // Languages that are named before the others are counted.

export class FirstVisit {
  /** `page` says what is pressed, and has the talk and the alerts. */
  constructor(page) {
    this.page = page;
    this.talkOver = false; // whether the reply that comes is to be cut off
    page.talk.addEventListener("phase", ({ detail }) => this.follow(detail));
  }

  show() {
    const { settings, interpreter } = this.page;
    const { pipeline } = settings;
    if (!pipeline) return;
    const { by } = pipeline.answers;
    byId("powers").replaceChildren(...facts(pipeline).flatMap(([title, text]) => element("div", {}, element("dt", {}, title), element("dd", {}, text))));
    byId("connect-model").hidden = by !== "rules" || pipeline.measures;
    const interpreted = interpreter.pipeline?.translates_into ?? [];
    const offered = starters(pipeline, { tools: preferences.tools && pipeline.tools, interpreted });
    byId("tries").replaceChildren(...offered.map((starter) => element("li", {}, this.button(starter))));
    byId("first-facts").hidden = false;
  }

  button(starter) {
    const button = element("button", { class: "try", type: "button" }, starter.label);
    button.addEventListener("click", () => this.begin(starter));
    return button;
  }

  begin({ say, talkOver = false, voice = "", view, target }) {
    if (view) {
      prefer({ target });
      this.page.interpreter.draw();
      location.hash = view;
      return;
    }
    this.talkOver = talkOver;
    this.page.say(say, { voice });
  }

  /** While the reply sounds that is there to be cut off, a line says so. */
  follow(phase) {
    const { alerts, talk } = this.page;
    if (phase === "speaking" && this.talkOver) {
      this.talkOver = false;
      this.told = true;
      const how = talk.listening ? "Just speak" : "Press Start and speak";
      alerts.show("hint", { title: "Now talk over it", text: `${how}: it stops at once, and remembers only what you heard.` });
    } else if (phase !== "speaking" && this.told) {
      this.told = false;
      alerts.clear("hint");
    }
  }
}

/** [[title, text]]: what answers, what is heard and what is spoken, each with the engine that does it. */
export function facts({ answers, engines, hears, language, measures, speaks, understands }) {
  const named = (name) => ` (${name.replaceAll("+", ", ")})`;
  const spokenBy = engines.tts ?? engines.speech;
  const told = [];
  if (measures) told.push(["Answers", "nothing: this pipeline is for benchmarks"]);
  else if (answers.by === "rules") told.push(["Answers", "built-in rules, as no language model is connected"]);
  else if (answers.by === "model") told.push(["Answers", answers.model ? answers.model + named(answers.engine) : answers.engine]);
  if (hears) told.push(["Hears", languages(understands, language) + named(engines.stt.name)]);
  if (spokenBy && !measures) told.push(["Speaks", languages(speaks, language) + named(spokenBy.name)]);
  return told;
}

/** "English", "English and German", "English and 115 more languages"; where the engine does not say, "any language". */
function languages(tags, usual) {
  if (tags.length === 0) return usual ? languageName(usual) : "any language";
  const first = [usual, "en"].find((tag) => tags.includes(tag)) ?? tags[0];
  const ordered = [first, ...tags.filter((tag) => tag !== first)];
  if (ordered.length <= NAMED) return ordered.map(languageName).join(" and ");
  return `${languageName(first)} and ${ordered.length - 1} more languages`;
}
