// The user's answers to calls of tools that need consent, by pointer and by keyboard.
//
// Laws: focus moves only where the user moved it: to the oldest request by a key, and from an answer to the next request.

import { byId } from "./dom.js";

export class Consent {
  /** `page`: the conversation view (main.js). */
  constructor(page) {
    this.page = page;
    this.approvals = page.talk.approvals;
    this.approvals.addEventListener("change", () => page.draw());
    byId("entries").addEventListener("decide", ({ detail, target }) => this.decide(detail, target));
    byId("entries").addEventListener("ask-again", ({ detail }) => this.approvals.askAgain(detail));
  }

  decide({ entry, approve, always }, node) {
    const byKeyboard = node.querySelector(":focus-visible") !== null;
    this.page.loudspeaker.open(); // A gesture, and the reply is to be heard.
    this.approvals.decide(entry, approve, { always });
    if (byKeyboard && this.approvals.asking.length > 0) this.show();
  }

  /** Brings the oldest open request to the eye and the keyboard. */
  show() {
    const group = byId("entries").querySelector('.approval[data-state="asking"] .words');
    group?.focus();
    group?.scrollIntoView({ block: "nearest" });
  }
}
