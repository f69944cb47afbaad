// The conversation that the user has: what was said (transcript.js), how it sounded (recording.js), and its copy in this tab's storage.
// Sessions of the server come and go beneath it (talk.js).
//
// Laws: this tab alone keeps it, without its sound and without any key, the newest part that fits; *New conversation* erases it there at once, and
// for a few seconds it can be taken back from memory. Does not know the page, nor the server.

import { preferences } from "./preferences.js";
import { entryOf, recordOf } from "./records.js";
import { Recording } from "./recording.js";
import { Transcript } from "./transcript.js";

const STORED = "parley.conversation";
const SAVE_AFTER_MS = 1000; // Entries change many times a second while a reply is heard.
const MOST_CHARACTERS = 1_000_000; // In storage: browsers give a page about five million.
const FROM_BEFORE = "Above: from before the reload";

export class Conversation extends EventTarget {
  // Events: "changed": whether there is something in it, or in its recording, may be otherwise now.
  constructor() {
    super();
    this.transcript = new Transcript();
    this.recording = new Recording();
    this.cleared = null; // what can be taken back: {entries, recording}
    this.timer = null;
    for (const type of ["entry", "gone"]) this.transcript.addEventListener(type, ({ detail }) => this.touched(detail));
    addEventListener("pagehide", () => this.save());
    document.addEventListener("visibilitychange", () => document.hidden && this.save());
  }

  get empty() {
    return this.transcript.entries.size === 0;
  }

  /** Something happened to an entry. That an MCP server lists its tools is nothing that anybody said. */
  touched({ kind }) {
    if (kind !== "listing") this.cleared = null;
    this.timer ??= setTimeout(() => this.save(), SAVE_AFTER_MS);
    this.dispatchEvent(new Event("changed"));
  }

  /** Sound of a side ("user", "assistant") that ended at that performance time; kept where the user lets the page keep it. */
  record(side, pcm, endMs) {
    if (preferences.recording) this.recording.add(side, pcm, endMs);
  }

  /** Forgets all of it. Until something new is said, `takeBack` undoes it. */
  clear() {
    const { recording } = this;
    this.recording = new Recording();
    const entries = this.transcript.clear();
    this.save();
    this.cleared = { entries, recording };
    this.dispatchEvent(new Event("changed"));
  }

  /** What was cleared is gone for good. */
  forgetCleared() {
    this.cleared = null;
  }

  takeBack() {
    if (this.cleared === null) return;
    const { entries, recording } = this.cleared;
    this.recording = recording;
    this.transcript.restore(entries);
    this.save();
  }

  // --- this tab's storage -------------------------------------------------------------------------------------------------------------

  save() {
    clearTimeout(this.timer);
    this.timer = null;
    if (this.empty) sessionStorage.removeItem(STORED);
    else store([...this.transcript.entries.values()].map((entry) => JSON.stringify(recordOf(entry))));
  }

  /** Reads what this tab kept over a reload. */
  restore() {
    const entries = stored();
    if (entries.length === 0) return;
    const last = entries.findLast(({ kind }) => kind !== "note" && kind !== "listing");
    if (last?.kind === "user" && !last.sending && !last.failed) last.retry = "answer"; // The reload came before its answer.
    this.transcript.restore(entries.filter(({ kind, text }) => kind !== "note" || text !== FROM_BEFORE));
    this.transcript.restore([{ id: "note_reload", kind: "note", text: FROM_BEFORE }]);
  }
}

/** Writes the newest records that fit. */
function store(records) {
  for (let most = MOST_CHARACTERS; most > 1000; most /= 2) {
    const kept = [];
    let characters = 0;
    for (const record of records.toReversed()) {
      characters += record.length;
      if (characters > most) break;
      kept.unshift(record);
    }
    try {
      sessionStorage.setItem(STORED, `[${kept.join(",")}]`);
      return;
    } catch (error) {
      if (error.name !== "QuotaExceededError") throw error;
    }
  }
  sessionStorage.removeItem(STORED);
}

/** The entries in storage; none where they cannot be read. */
function stored() {
  try {
    return JSON.parse(sessionStorage.getItem(STORED) ?? "[]").map(entryOf);
  } catch {
    sessionStorage.removeItem(STORED);
    return [];
  }
}
