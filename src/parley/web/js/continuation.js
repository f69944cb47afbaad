// Makes one conversation of several sessions of the server: what ends with a session, what the next one is told, and what is said of it.
//
// Laws: a reply that was being spoken is cut to what was heard; a session is asked nothing before it was told what was said; a break that the user
// did not choose is said, and so is what a session does not know.

import { historyOf } from "./history.js";
import { Replay } from "./replay.js";
import { newId } from "./transcript.js";

export class Continuation {
  constructor(talk) {
    this.talk = talk;
    this.silenced = Promise.resolve();
    this.forget();
  }

  /** The next session does not go on from the last. */
  forget() {
    this.previous = null; // {model, voice} of the last session that was ready
    this.askAgain = false;
    this.stopReplay();
  }

  stopReplay() {
    this.replay?.cancel();
    this.replay = null;
    this.begun = null; // the session that is being told
  }

  // --- the end of a session -----------------------------------------------------------------------------------------------------------

  /** `lost`: nobody chose that it ends. */
  ended({ lost }) {
    const { talk } = this;
    const { transcript, response } = talk;
    this.stopReplay();
    if (talk.configured) this.previous = described(talk.session);
    const cut = transcript.unfinished();
    for (const entry of cut) transcript.cut(entry, entry.played);
    this.silenced = talk.silence().then((played) => cut.forEach((entry) => entry.id in played && transcript.cut(entry, Math.min(entry.received, played[entry.id]))));
    const { expecting } = talk;
    transcript.broken();
    const asked = expecting && transcript.waiting().length === 0;
    const heard = cut.some(({ played }) => played > 0);
    if (lost) this.mark(cut.at(-1), asked, response);
    else if (asked && !heard) {
      for (const { id } of cut) transcript.forget(id);
      this.askAgain = true;
    }
  }

  /** Says in the transcript what was lost. */
  mark(cut, asked, response) {
    const { transcript } = this.talk;
    if (cut) transcript.changed(Object.assign(cut, { failed: "The connection broke here.", retry: "answer" }));
    else if (asked) transcript.failed(response ?? newId(), "The connection broke before the answer came.", true);
  }

  // --- the beginning of the next ------------------------------------------------------------------------------------------------------

  /** The session has our settings: it is told what was said before. */
  async begin(session) {
    if (this.begun === session.id) return;
    this.begun = session.id;
    await this.silenced;
    if (this.begun !== session.id) return;
    const { talk } = this;
    const { items, left } = historyOf(talk.transcript.entries.values());
    this.replay = new Replay(items, (type, fields) => talk.send(type, fields), (refused) => this.told(items.length, refused, left));
    this.replay.start();
  }

  /** An event of the server; answers whether it was for the replay. */
  take(event) {
    return this.replay?.take(event) ?? false;
  }

  told(items, refused, left) {
    const { talk, previous } = this;
    this.replay = null;
    const told = this.account(items, refused, left, previous, described(talk.session));
    if (told) talk.transcript.note(told);
    this.previous = null;
    talk.ready();
    if (this.askAgain && talk.transcript.waiting().length === 0) talk.asking.again();
    this.askAgain = false;
  }

  account(items, refused, left, previous, now) {
    const change = items + left > 0 && previous !== null ? changed(previous, now) : "";
    if (items > 0 && refused === items) return `${change || "Connected"}. The server did not accept the conversation so far, and does not know it.`;
    const parts = change ? [`${change}; the conversation goes on.`] : [];
    if (refused > 0) parts.push(`The server did not accept ${refused} of its ${items} parts.`);
    if (left > 0) parts.push(`The conversation is long: the server does not know its first ${left === 1 ? "entry" : `${left} entries`}.`);
    return parts.join(" ");
  }
}

function described({ model, audio }) {
  const { voice } = audio.output;
  return { model, voice: voice?.id ?? voice };
}

function changed(before, now) {
  if (before.model !== now.model) return `Now with ${now.model}`;
  if (before.voice !== now.voice) return `Now with the voice ${now.voice}`;
  return "Reconnected";
}
