// What a speaker said and what was made of it, clause by clause, from the events of translation sessions.
//
// Rows: {id, kind: "clause", source, text, from, to, outcome: "translated"|"shown"|"skipped", differences, item, received, played, state}
//       {id, kind: "note", text}
// `state`: "ahead" (not yet heard), "playing", "heard", or "mute" where there is nothing to hear.
//
// Laws: pure (no sound, no socket, no page); a row is announced by the event "row" whenever it has changed, the text that belongs to no row
// yet by "live"; every word of the speaker that was told is in a row or in the live text, and in one only. `live.unstable` follows
// `live.source`, may still change, and is in no row.

export class Clauses extends EventTarget {
  constructor() {
    super();
    this.serial = 0;
    this.clear();
  }

  clear() {
    this.rows = [];
    this.items = new Map(); // item: row
    this.sounds = new Map(); // item: {received, played, state}, of speech that has no row yet
    this.source = [];
    this.text = "";
    this.unstable = "";
  }

  get live() {
    const source = this.source.map(({ delta }) => delta).join("").trim();
    return { source, unstable: source ? this.unstable : this.unstable.trim(), text: this.text.trim() };
  }

  said(delta, elapsedMs) {
    this.source.push({ delta, elapsedMs });
    this.unstable = "";
    this.emit("live", this.live);
  }

  /** Words after those that were said, as the recogniser has them for now. */
  maySay(text) {
    this.unstable = text;
    this.emit("live", this.live);
  }

  translated(delta) {
    this.text += delta;
    this.emit("live", this.live);
  }

  /** The record of a clause; `item`: its speech, null where it has none. */
  clause(record, item) {
    const skipped = this.take(record.source, record.end_ms);
    if (skipped) this.add({ kind: "clause", source: skipped, text: "", from: record.from_language, to: record.to_language, outcome: "skipped", differences: [] }, null);
    const at = this.text.indexOf(record.text);
    this.text = at < 0 ? "" : this.text.slice(at + record.text.length);
    const { source, text, from_language: from, to_language: to, outcome, differences } = record;
    this.add({ kind: "clause", source, text, from, to, outcome, differences }, item);
    this.emit("live", this.live);
  }

  add(fields, item) {
    this.serial += 1;
    const sound = this.sounds.get(item) ?? { received: 0, played: 0, state: "mute" };
    const row = { id: this.serial, item, ...sound, ...fields };
    this.rows.push(row);
    if (item !== null) this.items.set(item, row);
    this.sounds.delete(item);
    this.emit("row", row);
  }

  note(text) {
    this.add({ kind: "note", text }, null);
  }

  /** Takes a clause's words out of the live text; answers the words before them, which were passed over. */
  take(source, endMs) {
    const told = this.source.map(({ delta }) => delta).join("");
    const words = source.split(/\s+/).filter(Boolean).map((word) => word.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&"));
    const found = words.length > 0 ? new RegExp(words.join("\\s+")).exec(told) : null;
    if (!found) {
      this.source = this.source.filter(({ elapsedMs }) => elapsedMs > endMs);
      return "";
    }
    const end = found.index + found[0].length;
    const rest = told.slice(end);
    this.source = rest ? [{ delta: rest, elapsedMs: this.source.at(-1).elapsedMs }] : [];
    return told.slice(0, found.index).trim();
  }

  /** The session is over: what is left of the speaker's words was not translated. */
  close(to) {
    const { source, text } = this.live;
    this.source = [];
    this.text = "";
    this.unstable = "";
    if (source || text) this.add({ kind: "clause", source, text, from: "", to, outcome: text ? "translated" : "skipped", differences: [] }, null);
    this.emit("live", this.live);
  }

  // --- what is heard of it -----------------------------------------------------------------------------------------------------------

  received(item, samples) {
    this.heard(item, (sound) => ({ received: sound.received + samples, state: sound.state === "mute" ? "ahead" : sound.state }));
  }

  playing(item, played) {
    this.heard(item, () => ({ played, state: "playing" }));
  }

  finished(item, played) {
    const row = this.items.get(item);
    this.items.delete(item);
    this.sounds.delete(item); // Speech that is passed on as it is has no record.
    if (row) this.emit("row", Object.assign(row, { played, state: "heard" }));
  }

  heard(item, change) {
    const row = this.items.get(item);
    const sound = row ?? this.sounds.get(item) ?? { received: 0, played: 0, state: "mute" };
    Object.assign(sound, change(sound));
    if (row) this.emit("row", row);
    else this.sounds.set(item, sound);
  }

  /** The sound was cut off: nothing more will be heard. */
  silenced() {
    for (const row of this.items.values()) this.emit("row", Object.assign(row, { state: "mute" }));
    this.items.clear();
    this.sounds.clear();
  }

  emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

/** How many characters of a row's translation have been heard, by the share of its speech that was, to whole words. */
export function heardCharacters({ text, received, played, state }) {
  if (state === "ahead") return 0;
  if (state !== "playing" || received === 0) return text.length;
  const reached = Math.round((text.length * Math.min(received, played)) / received);
  const next = text.slice(reached).search(/\s/);
  return next < 0 ? text.length : reached + next;
}

/** All rows as plain text: a line for the speaker, one for the translation, an empty one between clauses. */
export function plainText(rows) {
  return rows.map((row) => (row.kind === "note" ? `(${row.text})` : [row.source, row.text].filter(Boolean).join("\n"))).join("\n\n");
}
