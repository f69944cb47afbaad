// A piece of data, set for reading: JSON a member a line and coloured, anything else as it is; of a long one the beginning, and a button for the rest.
//
// Laws: text is only ever set as text; however much there is, opening it costs little: all of it is shown when it is asked for, in parts that the
// browser lays out when they are seen, as it would work for minutes at a line of a million characters.

import { element } from "./dom.js";

const FIRST = 4000; // characters
const COLOURED = 100_000; // What is longer stays plain: an element for each word of it would take seconds.
const TOKENS = /("(?:[^"\\]|\\.)*")(\s*:)?|\b(?:true|false|null)\b|-?\b\d+(?:\.\d+)?(?:[eE][+-]?\d+)?\b/g;
const number = new Intl.NumberFormat("en");

/** An element that shows `value`, JSON's data. */
export function dataBlock(value) {
  return block(JSON.stringify(value, null, 2), coloured);
}

/** An element that shows a text: as data where it is JSON of an object or a list. */
export function textBlock(text) {
  const data = dataIn(text);
  return data === undefined ? block(text, plain) : dataBlock(data);
}

/** The object or list that a text is, undefined where it is none. */
export function dataIn(text) {
  try {
    const data = JSON.parse(text);
    return data !== null && typeof data === "object" ? data : undefined;
  } catch {
    return undefined;
  }
}

function block(text, set) {
  const shown = element("pre", { class: "data", dir: "auto" });
  if (text.length <= FIRST * 1.25) {
    shown.append(...set(text));
    return shown;
  }
  const more = element("button", { class: "plain", type: "button" }, `Show all ${number.format(text.length)} characters`);
  const [first] = pieces(text);
  shown.append(...set(first), "…");
  more.addEventListener("click", () => {
    const how = text.length <= COLOURED ? set : plain;
    shown.replaceChildren(...[...pieces(text)].map((piece) => element("div", { class: "piece" }, ...how(piece))));
    shown.tabIndex = -1;
    shown.focus({ preventScroll: true });
    more.remove();
  });
  return element("div", {}, shown, more);
}

/** The text in parts that are laid out on their own, each ending with a line, or else not within a character. */
function* pieces(text) {
  for (let from = 0, to = 0; from < text.length; from = to) {
    to = Math.min(text.length, from + FIRST);
    const line = text.lastIndexOf("\n", to - 1) + 1;
    if (to < text.length && line > from + FIRST / 2) to = line;
    else if (to < text.length && /[\uD800-\uDBFF]/.test(text[to - 1])) to -= 1;
    yield text.slice(from, to);
  }
}

function plain(text) {
  return [text];
}

function coloured(text) {
  const parts = [];
  let from = 0;
  for (const { 0: token, 1: string, 2: colon, index } of text.matchAll(TOKENS)) {
    const length = colon === undefined ? token.length : string.length;
    const kind = colon !== undefined ? "key" : string !== undefined ? "string" : "literal";
    parts.push(text.slice(from, index), element("span", { class: kind }, text.slice(index, index + length)));
    from = index + length;
  }
  parts.push(text.slice(from));
  return parts;
}
