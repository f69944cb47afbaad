// What both sides said, as far as it is known, made from the server's events and from what was played.
//
// Entries: {id, kind: "user", text, partial, typed, failed}
//          {id, kind: "assistant", pieces: [{text, from}], received, played, state: "streaming"|"done"|"cut", kept, responseId, failed}
//          {id, kind: "tool", name, args, output, state: "writing"|"running"|"done"|"failed", ms}
//          {id, kind: "note", text}
//
// Laws: pure (no sound, no socket, no page); an entry is announced by the event "entry" whenever it has changed; words that were cut off
// stay and are marked, with the server's word on which were kept over our own reckoning.

const SAMPLES_PER_MS = 24;

export class Transcript extends EventTarget {
  constructor() {
    super();
    this.entries = new Map();
  }

  changed(entry) {
    this.dispatchEvent(new CustomEvent("entry", { detail: entry }));
    return entry;
  }

  add(entry) {
    this.entries.set(entry.id, entry);
    return this.changed(entry);
  }

  user(id, fields = {}) {
    const known = this.entries.get(id);
    if (known) return this.changed(Object.assign(known, fields));
    return this.add({ id, kind: "user", text: "", partial: true, typed: false, failed: "", ...fields });
  }

  /** Someone spoke and nothing came of it. */
  forget(id) {
    const entry = this.entries.get(id);
    if (!entry) return;
    this.entries.delete(id);
    this.dispatchEvent(new CustomEvent("gone", { detail: entry }));
  }

  heardWords(id, delta) {
    const entry = this.user(id);
    return this.user(id, { text: entry.text + delta });
  }

  assistant(id, responseId) {
    const known = this.entries.get(id);
    if (known) return known;
    return this.add({
      id, kind: "assistant", pieces: [], received: 0, played: 0, state: "streaming", kept: null, responseId, failed: "",
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

  /** Assistant entries that have not been played out. */
  unfinished() {
    return [...this.entries.values()].filter(
      (entry) => entry.kind === "assistant" && entry.state !== "cut" && (entry.state === "streaming" || entry.played < entry.received),
    );
  }
}

export function textOf(entry) {
  return entry.kind === "assistant" ? entry.pieces.map(({ text }) => text).join("") : entry.text;
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
