// The entries of a transcript as plain records, for files and for this tab's storage (docs/keeping.md), and back.
//
// Laws: pure; a record is JSON; `heard` of a reply is the beginning of its `text` that was heard; what was under way when a record was written
// is over when it is read.

import { heardText, textOf } from "./transcript.js";

const ANSWERS = { allowed: "allowed", denied: "denied" };
const RELOADED = "The page was closed or reloaded before you answered, and nothing was called.";

export function recordOf(entry) {
  const { id, kind, at } = entry;
  const common = { id, role: kind, at: new Date(at).toISOString() };
  if (kind === "user") {
    const { text, typed, sending, failed } = entry;
    return { ...common, text, typed, ...(sending && { sent: false }), ...(failed && { failed }) };
  }
  if (kind === "assistant") {
    const { failed, retry, withdrawn, figures } = entry;
    const [text, heard] = [textOf(entry), heardText(entry)];
    return { ...common, text, heard, ...(failed && { failed }), ...(retry && { retry }), ...(withdrawn && { withdrawn }), ...(figures && { figures }) };
  }
  if (kind === "tool") {
    const { callId, name, server, args, output, state, ms } = entry;
    return { ...common, name, ...(server && { server }), call_id: callId, arguments: args, output, failed: state !== "done", ms };
  }
  if (kind === "listing") {
    const { label, tools, output, state } = entry;
    return { ...common, server: label, tools: tools.map(({ name, description }) => ({ name, description })), ...(state !== "done" && { failed: output || "did not list its tools." }) };
  }
  if (kind === "approval") {
    const { server, name, args, state, by, failed, retry, withdrawn } = entry;
    const answer = ANSWERS[state] ?? "none";
    return { ...common, server, name, arguments: args, answer, ...(by && { by }), ...(failed && { failed }), ...(retry && { retry }), ...(withdrawn && { withdrawn }) };
  }
  return { ...common, text: entry.text };
}

/** The entry that a record was made of; throws where it is none. */
export function entryOf(record) {
  const { id, role, text = "", failed = "" } = record;
  const at = Date.parse(record.at);
  if (typeof id !== "string" || typeof text !== "string" || Number.isNaN(at)) throw new Error("no record of an entry");
  const common = { id, kind: role, at };
  switch (role) {
    case "user": {
      const waiting = record.sent === false;
      return { ...common, text, partial: false, typed: record.typed === true, sending: waiting ? "waiting" : "", failed, retry: waiting ? "send" : "" };
    }
    case "assistant": {
      const { heard = "", retry = "", withdrawn = false, figures = null } = record;
      const cut = heard !== text;
      return {
        ...common, pieces: [{ text, from: 0 }], received: 0, played: 0, state: cut ? "cut" : "done", kept: cut ? heard : null, responseId: id, failed, retry, withdrawn,
        figures,
      };
    }
    case "tool":
      return {
        ...common, name: record.name, server: record.server ?? "", callId: record.call_id, args: record.arguments, output: record.output,
        state: record.failed ? "failed" : "done", ms: record.ms,
      };
    case "listing":
      return { ...common, label: record.server, tools: Array.isArray(record.tools) ? record.tools : [], output: failed, state: failed ? "failed" : "done" };
    case "approval":
      return approvalOf(record, common);
    case "note":
      return { ...common, text };
    default:
      throw new Error("no record of an entry");
  }
}

/** A request that was open when the record was written can no longer be answered. */
function approvalOf({ server, name, arguments: args, answer, by = "", failed = "", retry = "", withdrawn = false }, common) {
  const state = Object.hasOwn(ANSWERS, answer) ? answer : "gone";
  const open = state === "gone" && !failed;
  return { ...common, server, address: "", name, args, state, by, ruled: false, failed: open ? RELOADED : failed, retry: open ? "answer" : retry, withdrawn };
}
