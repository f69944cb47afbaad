// Draws the transcript as a list of entries, touching only what has changed.
//
// Laws: text is only ever set as text (markup.js shows what a model marked); the list follows its end unless the reader has scrolled away; a screen reader
// announces whole sentences once, not every word.

import { approvalSentence, drawApproval } from "./approval-card.js";
import { announce, element } from "./dom.js";
import { Follower } from "./follower.js";
import { plain, rendered } from "./markup.js";
import { brief, drawTool } from "./tool-line.js";
import { heardLength, heardText, textOf } from "./transcript.js";
import { drawTrouble } from "./trouble.js";
import { strip, waterfall } from "./waterfall.js";

export class Captions {
  constructor({ list, scroll, empty, down, said }) {
    Object.assign(this, { list, empty, said });
    this.nodes = new Map();
    this.announced = new Set();
    this.end = new Follower(scroll, list, down);
  }

  show(entry) {
    let node = this.nodes.get(entry.id);
    if (!node) {
      node = element("li", { class: `entry ${entry.kind}` });
      this.nodes.set(entry.id, node);
      this.list.append(node);
      this.empty.hidden = true;
    }
    DRAW[entry.kind](node, entry);
    if (entry.kind !== "note") drawTrouble(node, entry);
    if (!entry.restored) this.announce(entry);
    this.end.follow();
  }

  remove(entry) {
    this.nodes.get(entry.id)?.remove();
    this.nodes.delete(entry.id);
    for (const known of this.announced) if (known.startsWith(entry.id)) this.announced.delete(known);
    this.empty.hidden = this.nodes.size > 0;
  }

  /** The figures of a reply, below it: `entry` is the last of its entries. */
  figures(entry, turn) {
    const node = this.nodes.get(entry.id);
    if (!node) return;
    const open = node.querySelector("details.figures")?.open ?? false;
    node.querySelector("details.figures")?.remove();
    const details = element("details", { class: "figures" });
    details.open = open;
    details.append(strip(turn), waterfall(turn));
    node.append(details);
    this.end.follow();
  }

  withoutFigures(entry) {
    this.nodes.get(entry.id)?.querySelector("details.figures")?.remove();
  }

  announce(entry) {
    const sentence = ANNOUNCE[entry.kind](entry);
    if (!sentence || this.announced.has(entry.id + sentence)) return;
    this.announced.add(entry.id + sentence);
    announce(this.said, sentence);
  }
}

const ANNOUNCE = {
  user: (entry) => (entry.partial ? "" : entry.typed ? entry.failed : `You: ${entry.text || entry.failed || "no words were recognised"}`),
  assistant(entry) {
    if (entry.failed) return `Parley: ${heardText(entry)} ${entry.failed}`;
    if (entry.state === "streaming" || (entry.state === "cut" && entry.kept === null)) return "";
    if (entry.state === "cut") return entry.kept ? `Parley, cut off after: ${plain(entry.kept)}` : "Parley was cut off.";
    return `Parley: ${plain(textOf(entry))}`;
  },
  tool: (entry) => (entry.state === "done" || entry.state === "failed" ? `Tool ${entry.name}: ${brief(entry)}` : ""),
  listing: (entry) => (entry.state === "running" ? "" : `Tools of ${entry.label}: ${brief(entry)}`),
  approval: approvalSentence,
  note: (entry) => entry.text,
};

const DRAW = {
  user(node, entry) {
    const words = part(node, "You", entry.typed ? "typed" : "");
    node.dataset.sending = entry.sending;
    if (entry.partial) {
      const text = entry.text.trimStart();
      const unstable = text ? entry.unstable : entry.unstable?.trimStart();
      const heard = element("span", { class: "partial" }, text, ...(unstable ? [element("span", { class: "unstable" }, unstable)] : []));
      if (text || unstable) words.replaceChildren(heard, element("span", { class: "caret", "aria-hidden": "true" }));
      else words.replaceChildren(element("span", { class: "writing" }, "writing down"));
    } else if (entry.text) words.replaceChildren(entry.text);
    else words.replaceChildren(element("span", { class: "nothing" }, entry.failed ? "Speech that was not recognised." : "No words were recognised."));
    node.dataset.state = entry.partial ? "partial" : "final";
  },

  assistant(node, entry) {
    const text = textOf(entry);
    const heard = heardLength(entry);
    const drawn = `${entry.state} ${heard} ${text.length}`;
    node.dataset.state = entry.state;
    node.dataset.withdrawn = entry.withdrawn;
    node.dataset.heard = heard;
    if (node.dataset.drawn === drawn) return;
    node.dataset.drawn = drawn;
    const words = part(node, "Parley");
    const before = (nodes) => element("span", { class: "heard" }, ...nodes);
    const ahead = (nodes) => element("span", { class: "ahead" }, ...nodes);
    const struck = (nodes) => element("del", { title: "Not heard, and so not remembered" }, ...nodes);
    if (entry.state === "cut" && !text.trim()) words.replaceChildren(...(entry.failed ? [] : [element("span", { class: "nothing" }, "Cut off before the first word.")]));
    else words.replaceChildren(...rendered(text, heard, { before, after: entry.state === "cut" ? struck : ahead }));
  },

  tool(node, entry) {
    node.dataset.state = entry.state;
    drawTool(part(node, "Tool"), entry);
  },

  listing(node, entry) {
    node.dataset.state = entry.state;
    drawTool(part(node, "Tools"), entry);
  },

  approval: (node, entry) => drawApproval(node, part(node, "Tool"), entry),

  note(node, entry) {
    node.replaceChildren(element("span", {}, entry.text));
  },
};

/** The place for an entry's words, beside the name of who said them. */
function part(node, who, remark = "") {
  let words = node.querySelector(".words");
  if (!words) {
    const name = element("span", { class: "who" }, who);
    if (remark) name.append(" ", element("span", { class: "typed" }, remark, element("span", { class: "unsent" }, ", not sent yet")));
    words = element("div", { class: "words" });
    node.prepend(name, words);
  }
  return words;
}
