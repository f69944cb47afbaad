// The keyboard: single keys where nothing is being typed, and the space bar as the talk button.
//
// Laws: a key that a focused control uses is left to it; single-key shortcuts can be turned off; a user who cannot hold a key down presses
// Enter on the dial to begin and again to end.

import { byId } from "./dom.js";
import { preferences } from "./preferences.js";
import { nextTheme } from "./theme.js";

export class Keys {
  constructor(page) {
    this.page = page;
    this.held = false;
    addEventListener("keydown", (event) => this.down(event));
    addEventListener("keyup", (event) => this.up(event));
    addEventListener("blur", () => this.letGo());
  }

  down(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    const { target, key, repeat } = event;
    const heart = byId("heart");
    if (key === "Escape") {
      if (target.matches?.("input[type=text]")) target.blur();
      this.page.talk.interrupt();
      return;
    }
    if (target.matches?.("input, select, textarea")) return;
    if (key === " " && (target === document.body || target === heart || target === byId("scroll"))) {
      event.preventDefault();
      if (repeat) return;
      if (this.page.hold && this.page.talk.holdable) {
        this.held = true;
        this.page.press();
      } else this.page.toggle();
      return;
    }
    if (key === "Enter" && target === heart && this.page.hold && this.page.talk.holdable) {
      event.preventDefault();
      if (repeat) return;
      if (this.page.talk.hold) this.page.release();
      else this.page.press();
      return;
    }
    if (repeat || !preferences.shortcuts) return;
    const act = this.shortcuts[key.toLowerCase()];
    if (!act) return;
    event.preventDefault();
    act();
  }

  up({ key }) {
    if (key === " ") this.letGo();
  }

  letGo() {
    if (!this.held) return;
    this.held = false;
    this.page.release();
  }

  get shortcuts() {
    const { page } = this;
    return {
      m: () => !page.hold && page.talk.listening && page.setMuted(!page.talk.muted),
      h: () => page.setMode(page.hold ? "free" : "hold"),
      n: () => page.startAnew(),
      t: () => nextTheme(),
      "/": () => byId("message").focus(),
      ",": () => page.settings.open(),
      "?": () => byId("shortcuts-box").showModal(),
    };
  }
}
