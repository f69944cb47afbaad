// Draws where the time of a turn went: a strip to glance at, a table to read.
//
// Laws: a table is a table, bars are its decoration; positions are set through the style object, which the page's policy allows; the figures of a table
// add up to its total: what ran beside something else and cost no time is in brackets.

import { seconds } from "./dial.js";
import { element } from "./dom.js";

const NAMES = {
  pause: "Sure you were done",
  connect: "Connecting",
  send: "Reaching the server",
  transcript: "Writing down your words",
  ask: "Before the model was asked",
  model: "Finding the first word",
  call: "Asking for the tool",
  tool: "Tool",
  voice: "Making the first sound",
  wait: "Held until sure",
  playback: "Reaching your ear",
  other: "Not measured",
};

// What they are called by those who build such servers.
const TERMS = {
  pause: "endpointing: from your last sound to the end of the turn",
  connect: "opening the session",
  send: "network: from this page to the server",
  transcript: "speech to text",
  ask: "from the end of the turn to the request to the language model",
  model: "time to first token of the language model",
  call: "arguments of the function call",
  tool: "function call",
  voice: "text to speech: time to first audio",
  wait: "speculative reply, held until the turn was over",
  playback: "network, jitter buffer and output latency",
  other: "no measured stage covers it",
};

const TITLES = {
  spoken: "from your last sound to the first of the reply",
  hold: "from letting go to the first sound of the reply",
  typed: "from sending to the first sound of the reply",
  retry: "from asking again to the first sound of the reply",
  again: "from the beginning of the reply to its first sound",
};

const SHORTEST_MS = 0.5; // Less is written as 0 ms.

function title({ kind, away, tools }) {
  const from = away ? "from your last sound, as the server heard it, to the first of the reply" : TITLES[kind];
  return tools.length === 0 ? from : `${from}, ${tools.length === 1 ? "a tool" : `${tools.length} tools`} in between`;
}

/** A line: the figure, and the stages in one bar. */
export function strip(turn) {
  const bar = element("span", { class: "strip", "aria-hidden": "true" });
  for (const { name, waitedMs } of turn.stages) {
    const piece = element("i", { "data-stage": name });
    piece.style.flexGrow = String(waitedMs);
    piece.style.flexBasis = "0";
    bar.append(piece);
  }
  return element("summary", {}, element("strong", {}, seconds(turn.totalMs)), bar, "to answer");
}

/** Whether it ran, and nobody waited for it. */
function meanwhile({ from, to, waitedMs }) {
  return waitedMs < SHORTEST_MS && to - from >= SHORTEST_MS;
}

/** The whole of it. */
export function waterfall(turn, { titled = false } = {}) {
  const table = element("table", { class: "waterfall" });
  if (titled) table.append(element("caption", {}, element("b", {}, seconds(turn.totalMs)), title(turn)));
  const body = element("tbody");
  const span = turn.totalMs || 1;
  for (const stage of turn.stages) {
    const { name, from, to, waitedMs, tool } = stage;
    const bar = element("i", { "data-stage": name });
    bar.style.left = `${(100 * from) / span}%`;
    bar.style.width = `${(100 * (to - from)) / span}%`;
    const figure = meanwhile(stage)
      ? element("td", { class: "ms", title: "Ran meanwhile and cost no time" }, `(${seconds(to - from)})`)
      : element("td", { class: "ms" }, seconds(waitedMs));
    body.append(
      element("tr", {}, element("th", { scope: "row", title: TERMS[name] }, NAMES[name], ...(tool ? [" ", element("code", {}, tool)] : [])), element("td", { class: "track" }, bar), figure),
    );
  }
  table.append(body);
  const whole = document.createDocumentFragment();
  whole.append(table);
  if (turn.won || turn.lost) whole.append(speculation(turn));
  return whole;
}

function speculation({ won, lost, stages }) {
  const dropped = lost === 1 ? "One early attempt was dropped." : `${lost} early attempts were dropped.`;
  const begun = `The reply was begun in your pause${stages.some(meanwhile) ? ": what is in brackets cost no time." : "."}`;
  const text = won ? begun : "The reply was begun too soon and made again.";
  return element("p", { class: "speculation", "data-outcome": won ? "won" : "lost" }, won && !lost ? text : `${text} ${dropped}`);
}
