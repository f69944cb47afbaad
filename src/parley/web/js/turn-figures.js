// Shows where the time of each turn went: below its reply, beside the dial, and on the dial where the reply begins, or, where the ring has no room for
// figures, on the button of its legend.
//
// Laws: a reply of which nothing was heard has no figures, for nobody was answered: beside the dial stand those of the turn before; a new conversation has
// none.

import { byId } from "./dom.js";
import { drawNewest } from "./stage.js";
import { heardLength } from "./transcript.js";
import { waterfall } from "./waterfall.js";

export class TurnFigures {
  constructor({ transcript, captions, dial }) {
    Object.assign(this, { transcript, captions, dial });
    this.answered = []; // The last turn, and the one before.
    transcript.addEventListener("entry", ({ detail }) => detail.state === "cut" && this.withdraw(detail.responseId));
  }

  show(turn) {
    const { responseId, totalMs, playedAt } = turn;
    const replies = this.transcript.repliesOf(responseId);
    if (unheard(replies)) return;
    if (replies.length > 0) this.draw(Object.assign(replies.at(-1), { figures: turn }));
    this.answered = [...this.except(responseId), turn].slice(-2);
    this.drawLast();
    this.dial.answered(responseId, totalMs, playedAt);
  }

  /** The figures of an entry, below it. */
  draw(entry) {
    this.captions.figures(entry, entry.figures);
    this.transcript.changed(entry);
  }

  /** The reply was cut off before anything of it was heard. */
  withdraw(responseId) {
    const replies = this.transcript.repliesOf(responseId);
    if (!unheard(replies)) return;
    for (const entry of replies) this.captions.withoutFigures(Object.assign(entry, { figures: null }));
    this.dial.unanswered(responseId);
    this.answered = this.except(responseId);
    this.drawLast();
  }

  clear() {
    this.answered = [];
    this.drawLast();
    this.dial.clear();
  }

  except(responseId) {
    return this.answered.filter((turn) => turn.responseId !== responseId);
  }

  drawLast() {
    const turn = this.answered.at(-1);
    byId("last").hidden = !turn;
    drawNewest(turn);
    byId("last").replaceChildren(...(turn ? [waterfall(turn, { titled: true })] : []));
  }
}

function unheard(replies) {
  return replies.length > 0 && replies.every((entry) => entry.state === "cut" && heardLength(entry) === 0);
}
