// A line of the event drawer: when, which way, what; opened, the event's JSON.
//
// Laws: text is only ever set as text; nothing is shown but through the masks; the JSON is made when it is asked for, and not before.

import { copied } from "./copying.js";
import { element, icon } from "./dom.js";
import { masked, maskedText } from "./event-masks.js";
import { soundLength } from "./event-sound.js";
import { about, clipped } from "./event-words.js";
import { dataBlock } from "./json-block.js";

const AT_ONCE = 10; // events of a line
const LONGEST_TO_READ = 50_000; // characters of an event that is read for what it is about
const COPIED_MS = 1600;
const ARROWS = { sent: "M12 19V5M6.5 10.5 12 5l5.5 5.5", received: "M12 5v14M6.5 13.5 12 19l5.5-5.5" };
const COPY = "M9 9h10v10H9zM15 9V5H5v10h4";
const number = new Intl.NumberFormat("en");

export class EventRow {
  constructor(line) {
    this.line = line;
    this.count = 0;
    if (line.note === undefined) this.make();
    else this.node = element("li", { class: "mark", "data-grave": line.grave }, element("span", {}, sessionWords(line)));
  }

  make() {
    const { line } = this;
    const [stem, last] = cut(line.type);
    this.times = element("span", { class: "times" });
    this.words = element("span", { class: "about" });
    this.summary = element("summary", { tabindex: "-1" },
      element("span", { class: "direction" }, icon(ARROWS[line.direction]), element("span", { class: "hidden" }, line.direction)),
      element("span", { class: "at" }, number.format(Math.round(line.at - line.session.startedAt)), element("span", { class: "hidden" }, " ms")),
      element("span", { class: "type" }, stem, element("b", {}, last), " ", this.times),
      this.words);
    this.details = element("details", {}, this.summary);
    this.details.addEventListener("toggle", () => this.details.open && this.open());
    this.node = element("li", { class: "event", "data-direction": line.direction, "data-grave": line.grave, "data-stream": line.count > 1 || line.sound !== null }, this.details);
  }

  /** Follows its line: more deltas may have come. */
  update() {
    const { line } = this;
    if (line.note !== undefined || this.count === line.count) return;
    this.count = line.count;
    this.node.dataset.stream = line.count > 1 || line.sound !== null;
    this.times.textContent = line.count > 1 ? `× ${number.format(line.count)}` : "";
    this.words.textContent = [line.sound ? soundLength(line.sound.bytes) : this.about(), ...line.ids].filter(Boolean).join(" · ");
  }

  about() {
    const { line } = this;
    if (line.count === 1) return line.kept[0].text.length > LONGEST_TO_READ ? "" : about(masked(line.kept[0].text));
    const last = JSON.parse(line.kept.at(-1).text);
    if (typeof last.text === "string") return about(masked(line.kept.at(-1).text)); // It takes the place of those before.
    const beginning = line.kept.slice(0, 60).map(({ text }) => JSON.parse(text).delta ?? "").join("");
    return beginning && `“${clipped(maskedText(beginning))}”`;
  }

  open() {
    const { line } = this;
    const all = line.kept;
    const body = element("div", { class: "raw" });
    if (line.sound && line.count > 2) body.append(element("p", { class: "note" }, `The first and the last of ${number.format(line.count)}; sound is not kept.`));
    for (const kept of all.slice(0, AT_ONCE)) body.append(this.raw(kept));
    if (all.length > AT_ONCE) {
      const more = element("button", { class: "plain", type: "button" }, `Show all ${number.format(all.length)}`);
      more.addEventListener("click", () => more.replaceWith(...all.slice(AT_ONCE).map((kept) => this.raw(kept))));
      body.append(more);
    }
    this.details.querySelector(".raw")?.remove();
    this.details.append(body);
  }

  /** One event, and the button that copies it. */
  raw({ at, text }) {
    const event = masked(text);
    const button = element("button", { class: "round", type: "button", "aria-label": "Copy this event", title: "Copy this event" }, icon(COPY));
    button.addEventListener("click", async () => {
      button.dataset.done = await copied(JSON.stringify(event, null, 2));
      button.title = button.dataset.done === "true" ? "Copied" : "The browser did not allow it";
      this.node.dispatchEvent(new CustomEvent("copied", { bubbles: true, detail: button.dataset.done === "true" }));
      setTimeout(() => {
        delete button.dataset.done;
        button.title = "Copy this event";
      }, COPIED_MS);
    });
    const when = this.line.count > 1 ? [element("p", { class: "note" }, `${number.format(Math.round(at - this.line.session.startedAt))} ms`)] : [];
    return element("div", { class: "one" }, ...when, button, dataBlock(event));
  }
}

/** A type and its last part, which tells most; what may be broken at its dots and underscores. */
function cut(type) {
  const at = type.lastIndexOf(".") + 1;
  return [type.slice(0, at), type.slice(at)].map((part) => part.replace(/[._]/g, "$&\u200B"));
}

function sessionWords({ note, session: { link } }) {
  return link === "interpreter" ? `Interpreter: ${maskedText(note)}` : maskedText(note);
}
