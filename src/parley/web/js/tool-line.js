// A tool in the transcript: its name and what came of it in a line; what it was asked and what it answered, folded.
//
// Laws: text is only ever set as text; what is folded is made when it is opened; a line that is open stays open while its answer comes.

import { element } from "./dom.js";
import { clipped } from "./event-words.js";
import { dataBlock, dataIn, textBlock } from "./json-block.js";

/** Draws an entry of the kind "tool" (a call) or "listing" (the tools of an MCP server) into its words. */
export function drawTool(words, entry) {
  words.className = "words call";
  if (!words.firstChild) words.append(element("p", { class: "line" }), element("div", { class: "folds" }));
  const [line, folds] = words.children;
  const { name, server } = entry.kind === "listing" ? { name: entry.label } : entry;
  line.replaceChildren(element("span", { class: "name" }, name), ...(server ? [" ", element("span", { class: "server" }, `of ${server}`)] : []), " ", element("span", { class: "brief" }, brief(entry)));
  for (const [title, content, make] of partsOf(entry)) fold(folds, title, content, make);
}

/** What came of it, in a sentence. */
export function brief(entry) {
  return entry.kind === "listing" ? offer(entry) : outcome(entry);
}

function outcome({ state, output }) {
  if (state === "writing" || state === "running") return "is at work…";
  const data = dataIn(output);
  const told = data === undefined ? output : data.message ?? data.error?.message ?? data.error;
  if (typeof told === "string" && told.trim()) return clipped(told);
  if (state === "failed") return "failed.";
  if (Array.isArray(data)) return data.length === 1 ? "answered with a list of one." : `answered with a list of ${data.length}.`;
  return data ? clipped(`answered with ${listed(Object.keys(data)) || "nothing"}.`) : "answered with nothing.";
}

function offer({ state, tools, output }) {
  if (state === "running") return "lists its tools…";
  if (state === "failed") return output;
  return clipped(`offers ${tools.length === 1 ? "one tool" : `${tools.length} tools`}${tools.length > 0 ? `: ${listed(tools.map(({ name }) => name))}` : ""}.`);
}

function partsOf(entry) {
  if (entry.kind === "listing") return [["Tools", entry.state === "done" && entry.tools.length > 0 ? entry.tools : "", dataBlock]];
  const { args, output } = entry;
  const whole = brief(entry) === output; // The line says it all.
  return [["Arguments", args && args !== "{}" ? args : "", textBlock], ["Answer", whole ? "" : output, textBlock]];
}

/** Shows the part, or that it is there no more; `make(content)` is asked for its element while it is open. */
function fold(folds, title, content, make) {
  let part = folds.querySelector(`[data-part="${title}"]`);
  if (!content) return part?.remove();
  if (!part) {
    part = element("details", { "data-part": title }, element("summary", {}, title));
    part.addEventListener("toggle", () => show(part));
    folds.append(part);
  }
  if (part.content === content) return undefined;
  Object.assign(part, { content, make });
  return show(part);
}

function show(part) {
  if (!part.open) return;
  if (part.shown === part.content) return;
  part.shown = part.content;
  part.replaceChildren(part.firstChild, part.make(part.content));
}

function listed(names) {
  return new Intl.ListFormat("en", { type: "conjunction" }).format(names.map(String));
}
