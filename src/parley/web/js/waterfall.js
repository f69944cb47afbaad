// Draws where the time of a turn went: a strip to glance at, a table to read.
//
// Laws: a table is a table, bars are its decoration; positions are set through the style object, which the page's policy allows.

import { seconds } from "./dial.js";
import { element } from "./dom.js";

const NAMES = {
  pause: "Sure you were done",
  transcript: "Writing down your words",
  model: "Finding the first word",
  call: "Asking for the tool",
  tool: "Tool",
  voice: "Making the first sound",
  wait: "Held until sure",
  playback: "Reaching your ear",
};

// What they are called by those who build such servers.
const TERMS = {
  pause: "endpointing: from your last sound to the end of the turn",
  transcript: "speech to text",
  model: "time to first token of the language model",
  call: "arguments of the function call",
  tool: "function call",
  voice: "text to speech: time to first audio",
  wait: "speculative reply, held until the turn was over",
  playback: "network, jitter buffer and output latency",
};

const TITLES = {
  spoken: "from your last sound to the first of the reply",
  hold: "from letting go to the first sound of the reply",
  typed: "from sending to the first sound of the reply",
  again: "from the beginning of the reply to its first sound",
};

function title({ kind, away, tools }) {
  const from = away ? "from your last sound, as the server heard it, to the first of the reply" : TITLES[kind];
  return tools.length === 0 ? from : `${from}, ${tools.length === 1 ? "a tool" : `${tools.length} tools`} in between`;
}

/** A line: the figure, and the stages in one bar. */
export function strip(turn) {
  const bar = element("span", { class: "strip", "aria-hidden": "true" });
  let reached = 0;
  for (const { name, from, to } of inOrder(turn)) {
    const piece = element("i", { "data-stage": name });
    piece.style.flexGrow = String(Math.max(0, to - Math.max(from, reached)));
    piece.style.flexBasis = "0";
    reached = Math.max(reached, to);
    bar.append(piece);
  }
  return element("summary", {}, element("strong", {}, seconds(turn.totalMs)), bar, "to answer");
}

function inOrder({ stages }) {
  return stages.filter(({ to, from }) => to > from).sort((one, other) => one.to - other.to);
}

/** The whole of it. */
export function waterfall(turn, { titled = false } = {}) {
  const table = element("table", { class: "waterfall" });
  if (titled) table.append(element("caption", {}, element("b", {}, seconds(turn.totalMs)), title(turn)));
  const body = element("tbody");
  const span = Math.max(turn.totalMs, ...turn.stages.map(({ to }) => to)) || 1;
  for (const { name, from, to, tool } of turn.stages) {
    const bar = element("i", { "data-stage": name });
    bar.style.left = `${(100 * Math.max(0, from)) / span}%`;
    bar.style.width = `${(100 * Math.max(0, to - Math.max(0, from))) / span}%`;
    body.append(
      element("tr", {}, element("th", { scope: "row", title: TERMS[name] }, NAMES[name], ...(tool ? [" ", element("code", {}, tool)] : [])), element("td", { class: "track" }, bar), element("td", { class: "ms" }, seconds(to - from))),
    );
  }
  table.append(body);
  const whole = document.createDocumentFragment();
  whole.append(table);
  if (turn.won || turn.lost) whole.append(speculation(turn));
  return whole;
}

function speculation({ won, lost }) {
  const dropped = lost === 1 ? "One early attempt was dropped." : `${lost} early attempts were dropped.`;
  const text = won ? "The reply was begun in your pause, before the turn was surely over." : "The reply was begun too soon and made again.";
  return element("p", { class: "speculation", "data-outcome": won ? "won" : "lost" }, won && !lost ? text : `${text} ${dropped}`);
}
