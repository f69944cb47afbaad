// The conversation that the user has: what was said (transcript.js), how it sounded (recording.js), and its copy in this tab's storage.
// Sessions of the server come and go beneath it (talk.js).
//
// Laws: this tab alone keeps it, without its sound and without any key, the newest part that fits; *New conversation* erases it there at once, and
// for a few seconds it can be taken back from memory; a copy of one that another tab has (a browser copies a tab with its storage) becomes one of
// its own as soon as anything is said in it. Does not know the page, nor the server.

import { Claim } from "./claim.js";
import { preferences } from "./preferences.js";
import { entryOf, recordOf } from "./records.js";
import { Recording } from "./recording.js";
import { newId, Transcript } from "./transcript.js";

const STORED = "parley.conversation";
const NAME = "parley.conversation.name";
const RELOADED_MS = 1500; // Until the tab as it was before a reload has let go of it.
const SAVE_AFTER_MS = 1000; // Entries change many times a second while a reply is heard.
const MOST_CHARACTERS = 1_000_000; // In storage: browsers give a page about five million.
const FROM_BEFORE = "Above: from before the reload";

export class Conversation extends EventTarget {
  // Events: "changed": whether there is something in it, or in its recording, may be otherwise now. "shared": another tab has it, too, or no longer.
  constructor() {
    super();
    this.transcript = new Transcript();
    this.recording = new Recording();
    this.cleared = null; // what can be taken back: {entries, recording}
    this.claim = null; // of its name
    this.shared = false; // whether it is the copy of one in another tab
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
    if (this.shared) this.own();
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
    this.disown();
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
    if (this.empty) {
      sessionStorage.removeItem(STORED);
      return;
    }
    if (this.claim === null) this.own();
    store([...this.transcript.entries.values()].map((entry) => JSON.stringify(recordOf(entry))));
  }

  /** This tab's alone from now on. */
  own() {
    this.disown();
    this.claimName(newId());
  }

  /** Resolves to whether no other tab has it. */
  claimName(name) {
    this.claim = new Claim(`${NAME}.${name}`);
    sessionStorage.setItem(NAME, name);
    return this.claim.hold({ patienceMs: RELOADED_MS });
  }

  disown() {
    this.claim?.release();
    this.claim = null;
    sessionStorage.removeItem(NAME);
    this.share(false);
  }

  share(shared) {
    if (shared === this.shared) return;
    this.shared = shared;
    this.dispatchEvent(new Event("shared"));
  }

  /** Looks whether another tab has the conversation that this one kept. */
  async lookAround() {
    const name = sessionStorage.getItem(NAME);
    if (!name) return;
    const mine = await this.claimName(name);
    if (!mine && sessionStorage.getItem(NAME) === name) this.share(true);
  }

  /** Reads what this tab kept over a reload. */
  restore() {
    const entries = stored();
    if (entries.length === 0) return;
    const last = entries.findLast(({ kind }) => kind !== "note" && kind !== "listing");
    if (last?.kind === "user" && !last.sending && !last.failed) last.retry = "answer"; // The reload came before its answer.
    this.transcript.restore(entries.filter(({ kind, text }) => kind !== "note" || text !== FROM_BEFORE));
    this.transcript.restore([{ id: "note_reload", kind: "note", text: FROM_BEFORE }]);
    this.lookAround();
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
