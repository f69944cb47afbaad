// What both sides said, as far as it is known, made from the server's events and from what was played.
//
// Entries, each with `at` (when it began: milliseconds since 1970):
//          {id, kind: "user", text, unstable, partial, committed, typed, sending: ""|"waiting"|"sent", failed, retry}
//          {id, kind: "assistant", pieces: [{text, from}], received, played, state: "streaming"|"done"|"cut", kept, responseId, failed, retry,
//           withdrawn, figures}
//          {id, kind: "tool", callId, name, server, args, output, state: "writing"|"running"|"done"|"failed", ms}
//          {id, kind: "listing", label, tools, output, state: "running"|"done"|"failed"}: the tools of an MCP server, and what went wrong
//          {id, kind: "approval", server, address, name, args, state: "asking"|"sent"|"allowed"|"denied"|"gone", by: ""|"you"|"rule"|"another", ruled,
//           failed, retry, withdrawn}
//          {id, kind: "note", text}
// `unstable`: words behind `text` that may still change. `committed`: what was said is in the conversation; until then it may be discarded.
// `sending`: a typed message that the server has not confirmed. `failed`: what went
// wrong, in a sentence; `retry`: what may be tried again, "answer", "words", "send" or "". `withdrawn`: another reply took its place.
// `restored`: it was there before, and nobody is told of it again. An approval is a call of an MCP server's tool that needs the user's consent
// (approvals.js); `ruled`: that tool is allowed for the conversation.
//
// Laws: pure (no sound, no socket, no page); an entry is announced by the event "entry" whenever it has changed, and never after it has left;
// words that were cut off stay and are marked, with the server's word on which were kept over our own reckoning; what failed can be tried
// again until the next thing is said.

const SAMPLES_PER_MS = 24;
export const UNANSWERED = "The connection ended before you answered, and nothing was called.";

export class Transcript extends EventTarget {
  constructor() {
    super();
    this.entries = new Map();
  }

  changed(entry) {
    if (this.entries.get(entry.id) === entry) this.dispatchEvent(new CustomEvent("entry", { detail: entry }));
    return entry;
  }

  add(entry) {
    entry.at ??= Date.now();
    this.entries.set(entry.id, entry);
    return this.changed(entry);
  }

  /** A line of the page's own between the entries. */
  note(text) {
    return this.add({ id: `note_${newId()}`, kind: "note", text });
  }

  /** What an MCP server offers, or why not. */
  listing(label, fields) {
    const id = `listing_${label}`;
    const known = this.entries.get(id);
    return known ? this.changed(Object.assign(known, fields)) : this.add({ id, kind: "listing", label, ...fields });
  }

  user(id, fields = {}) {
    const known = this.entries.get(id);
    if (known) return this.changed(Object.assign(known, fields));
    this.closeRetries();
    return this.add({ id, kind: "user", text: "", partial: true, committed: false, typed: false, sending: "", failed: "", retry: "", ...fields });
  }

  /** Something new is said: what failed before stays as it is. */
  closeRetries() {
    for (const entry of this.entries.values()) if (entry.retry && entry.retry !== "send") this.changed(Object.assign(entry, { retry: "" }));
  }

  /** Someone spoke and nothing came of it. */
  forget(id) {
    const entry = this.entries.get(id);
    if (!entry) return;
    this.entries.delete(id);
    this.dispatchEvent(new CustomEvent("gone", { detail: entry }));
  }

  /** Empties it, and answers what was in it. */
  clear() {
    const entries = [...this.entries.values()];
    this.entries.clear();
    for (const entry of entries) this.dispatchEvent(new CustomEvent("gone", { detail: entry }));
    return entries;
  }

  /** Entries that were here before, in their order. */
  restore(entries) {
    for (const entry of entries) this.add(Object.assign(entry, { restored: true }));
  }

  heardWords(id, delta) {
    const entry = this.user(id);
    return this.user(id, { text: entry.text + delta, unstable: "" });
  }

  /** What was being said is discarded. */
  discarded() {
    for (const { id, kind, partial, committed } of this.entries.values()) if (kind === "user" && partial && !committed) this.forget(id);
  }

  /** What else has been heard of it, and may still change. */
  maybeWords(id, unstable) {
    if (this.user(id).partial) this.user(id, { unstable });
  }

  assistant(id, responseId) {
    const known = this.entries.get(id);
    if (known) return known;
    return this.add({
      id, kind: "assistant", pieces: [], received: 0, played: 0, state: "streaming", kept: null, responseId, failed: "", retry: "", withdrawn: false, figures: null,
    });
  }

  said(id, responseId, delta) {
    const entry = this.assistant(id, responseId);
    entry.pieces.push({ text: delta, from: entry.received });
    return this.changed(entry);
  }

  sounded(id, responseId, samples) {
    const entry = this.assistant(id, responseId);
    entry.received += samples;
    return entry;
  }

  played(id, samples) {
    const entry = this.entries.get(id);
    if (!entry || entry.state === "cut") return;
    entry.played = samples;
    this.changed(entry);
  }

  /** The reply was stopped after `samples`; until the server says which words that kept, they are reckoned. */
  cut(entry, samples) {
    entry.state = "cut";
    entry.played = samples;
    entry.kept = null;
    return this.changed(entry);
  }

  kept(id, text) {
    const entry = this.entries.get(id);
    if (!entry || entry.kind !== "assistant") return;
    entry.state = "cut";
    entry.kept = text;
    this.changed(entry);
  }

  /** The model wants to call a tool, and the user is asked whether it may. */
  approval(fields) {
    return this.add({ kind: "approval", state: "asking", by: "", ruled: false, failed: "", retry: "", withdrawn: false, ...fields });
  }

  /** The response did not end well. `retry`: whether it may be asked for again. */
  failed(responseId, reason, retry) {
    const entry = this.repliesOf(responseId).at(-1) ?? this.assistant(`failed_${responseId}`, responseId);
    if (entry.state === "streaming") entry.state = "done";
    return this.changed(Object.assign(entry, { failed: reason, retry: retry ? "answer" : "" }));
  }

  /** What was said in a response, in order. */
  repliesOf(responseId) {
    return [...this.entries.values()].filter((entry) => entry.kind === "assistant" && entry.responseId === responseId);
  }

  /** Typed messages that are still to be sent. */
  waiting() {
    return [...this.entries.values()].filter((entry) => entry.sending === "waiting");
  }

  /** Assistant entries that have not been played out. */
  unfinished() {
    return [...this.entries.values()].filter(
      (entry) => entry.kind === "assistant" && entry.state !== "cut" && (entry.state === "streaming" || entry.played < entry.received),
    );
  }

  /** The session is gone: nothing that was under way goes on, and typed messages that it did not confirm wait for the next. */
  broken() {
    for (const entry of this.entries.values()) {
      if (entry.sending === "sent") this.changed(Object.assign(entry, { sending: "waiting" }));
      if (entry.retry === "words") this.changed(Object.assign(entry, { retry: "" })); // The sound went with the session.
      if (entry.kind === "user" && entry.partial) {
        if (entry.text) this.user(entry.id, { partial: false });
        else this.forget(entry.id);
      }
      if (entry.kind === "listing" && entry.state === "running") this.changed(Object.assign(entry, { state: "failed", output: "did not list its tools." }));
      if (entry.kind === "tool" && (entry.state === "writing" || entry.state === "running")) {
        this.changed(Object.assign(entry, { state: "failed", output: entry.output || "The connection broke." }));
      }
      if (entry.kind === "approval" && (entry.state === "asking" || entry.state === "sent")) this.changed(Object.assign(entry, unanswered(entry)));
    }
  }
}

/** What becomes of a request whose session ends. */
function unanswered({ state }) {
  const failed = state === "asking" ? UNANSWERED : "The connection ended as you answered: whether it was called is not known.";
  return { state: "gone", failed, retry: "answer" };
}

/** An id for an item of the page's own making. */
export function newId() {
  return Array.from(crypto.getRandomValues(new Uint32Array(3)), (part) => part.toString(36).padStart(7, "0")).join("");
}

export function textOf(entry) {
  return entry.kind === "assistant" ? entry.pieces.map(({ text }) => text).join("") : entry.text;
}

/** The words of a reply that were heard. */
export function heardText(entry) {
  return textOf(entry).slice(0, heardLength(entry));
}

/** How many characters of an assistant's entry have been heard: exactly where the server said so, else by each piece's share of its audio. */
export function heardLength(entry) {
  const text = textOf(entry);
  if (entry.state === "cut" && entry.kept !== null) return keptLength(text, entry.kept);
  if (entry.state === "done" && entry.played >= entry.received) return text.length;
  let position = 0;
  for (const [index, piece] of entry.pieces.entries()) {
    const to = entry.pieces[index + 1]?.from ?? entry.received;
    if (entry.played < to || (to === piece.from && entry.played <= to)) {
      if (entry.played <= piece.from) return position;
      return wholeWords(text, position + Math.round((piece.text.length * (entry.played - piece.from)) / (to - piece.from)));
    }
    position += piece.text.length;
  }
  return position;
}

/** The server keeps a beginning of the text; were it ever something else, as many characters of ours are meant. */
function keptLength(text, kept) {
  if (text.startsWith(kept)) return kept.length;
  return Math.min(text.length, kept.length);
}

function wholeWords(text, length) {
  const next = text.slice(length).search(/\s/);
  return next < 0 ? text.length : length + next;
}

export function milliseconds(samples) {
  return Math.floor(samples / SAMPLES_PER_MS);
}
