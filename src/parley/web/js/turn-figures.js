// Shows where the time of each turn went: below its reply, beside the dial, and on the dial where the reply begins.
//
// Laws: a reply of which nothing was heard has no figures, for nobody was answered; a new conversation has none.

import { byId } from "./dom.js";
import { heardLength } from "./transcript.js";
import { waterfall } from "./waterfall.js";

export class TurnFigures {
  constructor({ transcript, captions, dial }) {
    Object.assign(this, { transcript, captions, dial });
    this.beside = null; // the response whose figures stand beside the dial
    transcript.addEventListener("entry", ({ detail }) => detail.state === "cut" && this.withdraw(detail.responseId));
  }

  show(turn) {
    const { responseId, totalMs, playedAt } = turn;
    const replies = this.replies(responseId);
    if (unheard(replies)) return;
    if (replies.length > 0) this.captions.figures(replies.at(-1), turn);
    byId("last").replaceChildren(waterfall(turn, { titled: true }));
    byId("last").hidden = false;
    this.beside = responseId;
    this.dial.answered(responseId, totalMs, playedAt);
  }

  /** The reply was cut off before anything of it was heard. */
  withdraw(responseId) {
    const replies = this.replies(responseId);
    if (!unheard(replies)) return;
    for (const entry of replies) this.captions.withoutFigures(entry);
    this.dial.unanswered(responseId);
    if (this.beside === responseId) this.hide();
  }

  clear() {
    this.hide();
    this.dial.clear();
  }

  hide() {
    this.beside = null;
    byId("last").hidden = true;
    byId("last").replaceChildren();
  }

  replies(responseId) {
    return [...this.transcript.entries.values()].filter((entry) => entry.kind === "assistant" && entry.responseId === responseId);
  }
}

function unheard(replies) {
  return replies.length > 0 && replies.every((entry) => entry.state === "cut" && heardLength(entry) === 0);
}
