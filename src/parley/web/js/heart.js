// The dial as a button, under a pointer: a press begins and pauses listening, and where one holds to talk, it is held. The keyboard: keys.js.
//
// Laws: a press that began on the dial ends with the pointer, wherever that is by then.

import { byId } from "./dom.js";

export class Heart {
  /** `page`: the conversation view (main.js). */
  constructor(page) {
    this.page = page;
    this.pressed = false;
    const heart = byId("heart");
    heart.addEventListener("pointerdown", (event) => this.down(event));
    for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) heart.addEventListener(end, () => this.up());
    heart.addEventListener("click", () => {
      if (!page.hold || !page.talk.listening) page.toggle();
    });
    heart.addEventListener("contextmenu", (event) => event.preventDefault());
  }

  down({ button, currentTarget, pointerId }) {
    const { page } = this;
    if (!page.hold || !page.talk.holdable || button !== 0) return;
    currentTarget.setPointerCapture(pointerId);
    this.pressed = true;
    page.press();
  }

  up() {
    if (!this.page.talk.hold || !this.pressed) return;
    this.pressed = false;
    this.page.release();
  }
}
