// The events that went over the page's links, for the drawer that shows them (event-drawer.js).
//
// Lines: {direction: "sent"|"received", type, ids, session, at, until, count, kept: [{at, text}], sound: {bytes}|null, grave}, or a mark
// {note, session, at, grave}: something happened to the link. `at`, `until`: performance time; `ids`: of item, response and call.
// Sessions: {number, link: "conversation"|"interpreter", startedAt}.
//
// Laws: it holds the newest events up to a number and a sum of characters, and counts those that it dropped; sound is never kept, only its
// length; deltas of one kind are one line until another event comes; of a line of sound only the first and the last event are kept. It keeps
// texts, which nobody can change later, and does not read them: recording an event takes microseconds. Does not know the page.

import { soundBytes, withoutSound } from "./event-sound.js";

export const LIMITS = { events: 2000, characters: 8_000_000, ofOne: 2_000_000 };

const STREAMS = /\.(?:delta|append|unstable)$/;
const FAILURES = /(?:^error|\.failed)$/;
const WAYS = { true: "by a call (WebRTC)", false: "over the WebSocket" };

export class EventLog {
  constructor(limits = LIMITS) {
    this.limits = limits;
    this.onChange = () => {};
    this.sessions = 0;
    this.clear();
  }

  clear() {
    this.lines = [];
    this.streams = new Map(); // the lines of deltas that may go on
    this.kept = 0; // events and marks,
    this.characters = 0; // and what they amount to
    this.events = 0; // that its lines stand for,
    this.failures = 0; // how many lines tell of a failure,
    this.dropped = 0; // and how many events are kept no longer
    this.onChange();
  }

  // --- what happens -------------------------------------------------------------------------------------------------------------------

  /** Keeps what goes over this link from now on. */
  watch(link, name) {
    let session = { number: 0, link: name, startedAt: performance.now() };
    let before = { name: "closed" };
    let broken = false;
    link.addEventListener("traffic", ({ detail }) => this.add(session, detail));
    link.addEventListener("state", ({ detail: state }) => {
      if (state.name === "open") {
        session = { number: (this.sessions += 1), link: name, startedAt: performance.now() };
        this.mark(session, `Connected ${broken ? "again " : ""}${WAYS[link.call !== null]}`, { at: session.startedAt });
        broken = false;
      } else if (state.name === "closed" && before.name === "open") this.mark(session, "Closed");
      else if (state.name === "refused") this.mark(session, `Refused: ${state.error.message}`, { grave: true });
      else if (state.name === "waiting" && !broken) {
        broken = true;
        this.mark(session, `${state.error.message} The page tries again.`, { grave: true });
      }
      before = state;
    });
  }

  add(session, { direction, text, event }, at = performance.now()) {
    const { type } = event;
    const bytes = soundBytes(event);
    const kept = { at, text: this.fitting(withoutSound(event, text), event) };
    const ids = idsOf(event);
    const name = STREAMS.test(type) ? `${session.number} ${session.link} ${direction} ${type} ${ids.join(" ")}` : null;
    const line = this.streams.get(name);
    if (line) this.extend(line, kept, bytes);
    else {
      if (name === null) this.streams.clear();
      const grave = FAILURES.test(type) || event.response?.status === "failed";
      const sound = bytes === null ? null : { bytes };
      const made = { direction, type: String(type), ids, session, at, until: at, count: 1, kept: [kept], sound, grave };
      if (name !== null) this.streams.set(name, made);
      this.push(made);
    }
    this.trim();
    this.onChange();
  }

  extend(line, kept, bytes) {
    line.count += 1;
    this.events += 1;
    line.until = kept.at;
    if (line.sound) {
      line.sound.bytes += bytes ?? 0;
      if (line.kept.length === 2) this.forget(line.kept.pop());
    }
    line.kept.push(kept);
    this.count(kept);
  }

  mark(session, note, { grave = false, at = performance.now() } = {}) {
    this.streams.clear();
    this.push({ note, session, at, kept: [{ at, text: note }], grave });
    this.trim();
    this.onChange();
  }

  // --- the bounds ---------------------------------------------------------------------------------------------------------------------

  fitting(text, { type, event_id: id }) {
    if (text.length <= this.limits.ofOne) return text;
    return JSON.stringify({ type, ...(id && { event_id: id }), "parley.page": `[too long to be kept: ${text.length} characters]` });
  }

  push(line) {
    this.lines.push(line);
    this.tally(line, 1);
    line.kept.forEach((kept) => this.count(kept));
  }

  /** A line comes (1) or goes (-1). */
  tally({ note, count, grave }, sign) {
    if (note !== undefined) return;
    this.events += sign * count;
    if (grave) this.failures += sign;
  }

  count({ text }) {
    this.kept += 1;
    this.characters += text.length;
  }

  forget({ text }) {
    this.kept -= 1;
    this.characters -= text.length;
  }

  trim() {
    while (this.kept > this.limits.events || this.characters > this.limits.characters) this.dropOldest();
  }

  dropOldest() {
    const [line] = this.lines;
    if (line.note === undefined && !line.sound && line.kept.length > 1) {
      this.forget(line.kept.shift());
      line.count -= 1;
      this.events -= 1;
      line.at = line.kept[0].at;
      this.dropped += 1;
      return;
    }
    this.lines.shift();
    this.tally(line, -1);
    line.kept.forEach((kept) => this.forget(kept));
    this.dropped += line.count ?? 0;
    for (const [name, open] of this.streams) if (open === line) this.streams.delete(name);
  }
}

function idsOf({ item_id: ofItem, item, response_id: ofResponse, response, call_id: call }) {
  return [ofItem ?? item?.id, ofResponse ?? response?.id, call ?? item?.call_id].filter((id) => typeof id === "string");
}
