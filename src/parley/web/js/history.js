// What a new session of the server is told of the conversation: the transcript, as heard, as items of the Realtime protocol.
//
// Laws: pure; only what was said and heard, and calls of tools with their outputs, always in pairs; bounded, the newest first; an item that is too
// long is shortened in its middle, and says so.

import { heardText } from "./transcript.js";

export const HISTORY = { entries: 500, characters: 100_000 };
const LONGEST_TEXT = 12_000; // Characters of one item: a message of the data channel takes 256 KiB, and no reply that was heard is longer.
const GAP = "\n[...]\n";
const UNHEARD = "(inaudible)"; // As the server's own prompts have it, and the first of these.
const NOT_CALLED = {
  denied: "The user did not approve this call.",
  gone: "Not called: the user was asked, and the conversation was interrupted before the answer.",
};

/** {items, left}: the newest items that fit, in order, and how many entries do not. Messages that wait to be sent are no history. */
export function historyOf(entries, limits = HISTORY) {
  const kept = [];
  let characters = 0;
  const told = [...entries].map(itemsOf).filter((items) => items.length > 0);
  for (const items of told.toReversed()) {
    characters += items.reduce((sum, item) => sum + JSON.stringify(item).length, 0);
    if (kept.length === limits.entries || characters > limits.characters) break;
    kept.unshift(items);
  }
  return { items: kept.flat(), left: told.length - kept.length };
}

function itemsOf(entry) {
  if (entry.kind === "user") {
    if (entry.sending || entry.partial) return [];
    return [message(entry.id, "user", "input_text", entry.text || UNHEARD)];
  }
  if (entry.kind === "assistant") {
    const heard = heardText(entry).trim();
    return entry.withdrawn || !heard ? [] : [message(entry.id, "assistant", "output_text", heard)];
  }
  if (entry.kind === "tool" && (entry.state === "done" || entry.state === "failed")) {
    return callOf(entry);
  }
  if (entry.kind === "approval") return askedOf(entry);
  return [];
}

/** A call that was not made. One that was allowed is told as a tool's. */
function askedOf(entry) {
  const { id, name, args, state, withdrawn } = entry;
  const output = NOT_CALLED[state];
  if (withdrawn || !output) return [];
  return callOf({ id, callId: id, name, args, output });
}

function callOf({ id, callId, name, args, output }) {
  return [
    { id, type: "function_call", call_id: callId, name, arguments: args || "{}" },
    { id: `${id}_out`.slice(-64), type: "function_call_output", call_id: callId, output: shortened(output) },
  ];
}

function message(id, role, type, text) {
  return { id, type: "message", role, content: [{ type, text: shortened(text) }] };
}

function shortened(text) {
  if (text.length <= LONGEST_TEXT) return text;
  const half = (LONGEST_TEXT - GAP.length) / 2;
  return `${text.slice(0, half)}${GAP}${text.slice(-half)}`;
}
