// What the user asks for beside speaking: typed messages, and once more what has failed.
//
// Laws: a typed message is in the transcript from the key that sent it, waits there for a session that can be asked, and counts as sent once the server
// has confirmed it; what is tried again takes the place of what failed.

import { fromBase64 } from "./pcm.js";
import { toolServers } from "./tool-servers.js";
import { newId } from "./transcript.js";

const TOOLS_MS = 6000; // So long a message waits for the tools of MCP servers: the reply to it can call no others.
const WIRE_RATE = 24_000;
const SLACK_S = 0.3; // That the sound of an item may be shorter than what was said of it.

export class Asking {
  constructor(talk) {
    this.talk = talk;
    this.forTools = null; // the timer, while what was typed waits for tools
    toolServers.addEventListener("change", () => this.forTools && !toolServers.listing && this.deliver());
    this.reset();
  }

  /** All that belongs to one session of the server. */
  reset() {
    this.rehearing = null; // the item whose sound was asked for
    clearTimeout(this.forTools);
    this.forTools = null;
    this.patient = true; // until tools have been waited for in vain
  }

  /** Whether something waits for a session that was typed since the page was opened. */
  get waits() {
    return this.talk.transcript.waiting().some(({ retry }) => retry !== "send");
  }

  /** A typed message; `at`: when it was; `voice`: what answers it, where that is not the session's and nothing was spoken yet. */
  type(text, { at = performance.now(), voice = "" } = {}) {
    const { talk } = this;
    talk.transcript.user(`item_${newId()}`, { text, partial: false, typed: true, sending: "waiting", askedAt: at, voice });
    if (talk.askable) this.deliver();
  }

  /** Sends what was typed, once the tools are known or have been waited for. */
  deliver() {
    const { talk } = this;
    const waiting = talk.transcript.waiting();
    if (waiting.length === 0) return;
    if (toolServers.listing && this.patient) {
      this.forTools ??= setTimeout(() => this.deliverAnyway(), TOOLS_MS);
      return;
    }
    clearTimeout(this.forTools);
    this.forTools = null;
    talk.interrupt();
    for (const entry of waiting) {
      const { id, text } = talk.transcript.changed(Object.assign(entry, { sending: "sent", retry: "" }));
      talk.send("conversation.item.create", { event_id: id, item: { id, type: "message", role: "user", content: [{ type: "input_text", text }] } });
    }
    talk.figures.asked("typed", waiting[0].askedAt);
    talk.answer({ voice: waiting.at(-1).voice });
  }

  deliverAnyway() {
    this.patient = false;
    this.deliver();
  }

  /** The server has the item. */
  confirmed(item) {
    const { transcript } = this.talk;
    const entry = transcript.entries.get(item.id);
    if (entry?.sending === "sent") transcript.changed(Object.assign(entry, { sending: "" }));
  }

  /** Asks for an answer once more. */
  again() {
    const { talk } = this;
    talk.interrupt();
    talk.figures.asked("retry");
    talk.answer();
  }

  /** Tries again what failed: an answer, the words of what was said, or sending it. */
  retry(entry) {
    const { talk } = this;
    const { retry } = entry;
    talk.transcript.changed(Object.assign(entry, { retry: "" }));
    if (entry.kind === "approval") talk.approvals.withdraw(entry);
    if (retry === "answer") this.answerAgain(entry);
    else if (retry === "words") {
      this.rehearing = entry.id;
      talk.send("conversation.item.retrieve", { item_id: entry.id });
    } else if (talk.askable) this.deliver();
  }

  answerAgain({ responseId = "" }) {
    const { talk } = this;
    for (const reply of talk.transcript.repliesOf(responseId)) {
      talk.transcript.changed(Object.assign(reply, { withdrawn: true }));
      if (talk.askable && reply.pieces.length > 0) talk.send("conversation.item.delete", { item_id: reply.id });
    }
    if (talk.askable) this.again();
    else talk.continuation.askAgain = true;
  }

  /** An item of the user's has been read back: its words are recognised once more, from its sound. */
  retrieved(item) {
    if (item.id !== this.rehearing) return;
    this.rehearing = null;
    const { talk } = this;
    const entry = talk.transcript.entries.get(item.id);
    const { audio } = item.content[0] ?? {};
    if (!audio || fromBase64(audio).length / WIRE_RATE < (entry.endMs - entry.startMs) / 1000 - SLACK_S) {
      talk.transcript.changed(Object.assign(entry, { failed: "The server no longer has the sound of this. Please say it again." }));
      return;
    }
    talk.transcript.user(item.id, { text: "", partial: true, failed: "" });
    talk.send("conversation.item.delete", { item_id: item.id });
    talk.send("conversation.item.create", { item: { id: item.id, type: "message", role: "user", content: [{ type: "input_audio", audio }] } });
    this.again();
  }

  /** An error of the server; answers whether a typed message was refused. */
  refused(error) {
    const { transcript } = this.talk;
    const entry = transcript.entries.get(error.event_id);
    if (!entry) return false;
    transcript.changed(Object.assign(entry, { sending: "", failed: error.message }));
    return true;
  }
}
