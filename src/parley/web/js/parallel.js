// Draws the interpreter's two columns: a row a clause, what was said beside what was made of it, and the live text below.
//
// Laws: text is only ever set as text, never as markup; the list follows its end unless the reader has scrolled away; what is wrong with a
// translation is said in words, and announced. Translations are not announced: they are heard.

import { heardCharacters } from "./clauses.js";
import { announce, element } from "./dom.js";
import { Follower } from "./follower.js";
import { languageName } from "./languages.js";

export class Parallel {
  constructor({ list, scroll, empty, down, said }) {
    Object.assign(this, { list, empty, said });
    this.nodes = new Map();
    this.live = null;
    this.end = new Follower(scroll, list, down);
  }

  show(row) {
    let node = this.nodes.get(row.id);
    if (!node) {
      node = element("li", { class: row.kind === "note" ? "entry note" : "pair" });
      this.nodes.set(row.id, node);
      if (this.live) this.live.before(node);
      else this.list.append(node);
      this.empty.hidden = true;
      if (row.kind === "note") node.append(element("span", {}, row.text));
      else this.fill(node, row);
    }
    if (row.kind === "note" || draw(node, row)) this.end.follow();
  }

  fill(node, row) {
    const remark = remarkOf(row);
    node.dataset.outcome = row.outcome;
    node.append(cell("source", row.source, row.from, "Said"), cell("target", "", row.to, "Translation"));
    if (!remark) return;
    node.lastChild.append(element("span", { class: "remark", "data-grave": String(row.outcome !== "skipped") }, remark));
    if (row.outcome === "skipped") return;
    announce(this.said, `${remark} ${row.source}`);
  }

  /** The text that belongs to no row yet; `open`: whether more may come. */
  showLive({ source, unstable, text }, { open, to }) {
    if (!open && !source && !text) {
      this.live?.remove();
      this.live = null;
      return;
    }
    if (!this.live) {
      this.live = element("li", { class: "pair live" });
      this.live.append(cell("source", "", "", "Being said"), cell("target", "", to, "Being translated"));
      this.list.append(this.live);
      this.empty.hidden = true;
    }
    const [said, translated] = this.live.children;
    if (to) translated.lang = to;
    const maybe = element("span", { class: "unstable" }, unstable);
    words(said).replaceChildren(element("span", { class: "partial" }, source), maybe, ...(open ? [element("span", { class: "caret", "aria-hidden": "true" })] : []));
    words(translated).replaceChildren(element("span", { class: "ahead" }, text));
    this.end.follow();
  }

  clear() {
    this.list.replaceChildren();
    this.nodes.clear();
    this.live = null;
    this.empty.hidden = false;
  }
}

function cell(side, text, language, label) {
  const made = element("p", { class: side, dir: "auto" });
  if (language) made.lang = language;
  made.append(element("span", { class: "hidden" }, `${label}: `), element("span", { class: "text" }, text));
  return made;
}

function words(place) {
  return place.querySelector(".text");
}

/** Answers whether anything changed. */
function draw(node, row) {
  const heard = heardCharacters(row);
  const drawn = `${row.state} ${heard}`;
  if (node.dataset.drawn === drawn) return false;
  node.dataset.drawn = drawn;
  node.dataset.state = row.state;
  const place = words(node.lastChild);
  place.replaceChildren(element("span", { class: "heard" }, row.text.slice(0, heard)), element("span", { class: "ahead" }, row.text.slice(heard)));
  return true;
}

/** What the reader should know about a translation; "" where nothing. */
function remarkOf({ outcome, differences, to }) {
  if (outcome === "skipped") return "not translated";
  if (outcome === "shown") return `Not translated into ${languageName(to)}; these are the words of the speaker.`;
  if (differences.length === 0) return "";
  return `Check: the translation lacks ${new Intl.ListFormat("en").format(differences.map((part) => `“${part}”`))}.`;
}
