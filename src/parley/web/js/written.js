// A conversation as a file: text for people, JSON for programs (docs/keeping.md).
//
// Laws: pure; what was not heard is marked, never left out; times are the user's own in text, UTC in JSON.

import { recordOf } from "./records.js";
import { heardLength, textOf } from "./transcript.js";

export const FORMAT = "parley.conversation";
export const VERSION = 1;

/** Who and what it was with: {server, model, voice}; the last two are "" where nothing was asked yet. */
export function asJson(entries, { server, model, voice }) {
  const head = { format: FORMAT, version: VERSION, saved_at: new Date().toISOString(), server, pipeline: model, voice };
  return `${JSON.stringify({ ...head, entries: entries.map(recordOf) }, null, 2)}\n`;
}

export function asText(entries, { server, model, voice }) {
  const began = new Intl.DateTimeFormat("en-GB", { dateStyle: "full", timeStyle: "short" }).format(entries[0]?.at ?? Date.now());
  const heads = [`Conversation with Parley at ${server}`, began, ...(model ? [`Pipeline ${model}${voice ? `, voice ${voice}` : ""}`] : [])];
  return `${heads.join("\n")}\n\n${entries.map((entry) => LINES[entry.kind](entry, clock(entry.at))).join("\n\n")}\n`;
}

function clock(at) {
  return new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" }).format(at);
}

const LINES = {
  user({ text, typed, sending, failed }, time) {
    const remarks = [...(typed ? ["typed"] : []), ...(sending ? ["not sent"] : [])];
    return lines(`You, ${time}${remarks.map((remark) => `, ${remark}`).join("")}`, text || (failed ? "" : "[no words were recognised]"), failed);
  },

  assistant(entry, time) {
    const [text, heard] = [textOf(entry), heardLength(entry)];
    const rest = text.slice(heard).trim();
    const said = [text.slice(0, heard).trim(), ...(rest ? [`[not heard: ${rest}]`] : [])];
    return lines(`Parley, ${time}`, said.filter(Boolean).join(" "), entry.failed, entry.withdrawn ? "Asked again." : "");
  },

  tool({ name, args, output, state }, time) {
    return lines(`Tool ${name}, ${time}${state === "failed" ? ", failed" : ""}`, args && args !== "{}" ? args : "", output && `→ ${output}`);
  },

  listing({ label, tools, state, output }) {
    const names = tools.map(({ name }) => name).join(", ");
    return `— MCP server ${label}: ${state === "failed" ? output : names || "no tools"}`;
  },

  approval({ server, name, args, state, failed }, time) {
    const asked = `Asked to call ${name} of ${server}, ${time}`;
    return lines(asked, args && args !== "{}" ? args : "", { allowed: "→ allowed", denied: "→ not allowed" }[state] ?? "→ not answered", failed);
  },

  note({ text }) {
    return `— ${text}`;
  },
};

function lines(...parts) {
  return parts.filter(Boolean).join("\n");
}
