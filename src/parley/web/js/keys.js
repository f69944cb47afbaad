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
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog:modal")) return;
    const { target, key, repeat } = event;
    const { view } = this.page;
    const { heart, scroll } = view.keyed;
    if (key === "Escape") {
      if (target.matches?.("input[type=text]")) target.blur();
      view.interrupt();
      return;
    }
    if (target.matches?.("input, select, textarea")) return;
    if (key === " " && (target === document.body || target === heart || target === scroll || target.localName === "h2")) {
      event.preventDefault();
      if (repeat) return;
      if (view.hold && view.talk.holdable) {
        this.held = true;
        view.press();
      } else view.toggle();
      return;
    }
    if (key === "Enter" && target === heart && view.hold && view.talk.holdable) {
      event.preventDefault();
      if (repeat) return;
      if (view.talk.hold) view.release();
      else view.press();
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
      t: () => nextTheme(),
      e: () => page.events.toggle(),
      ",": () => page.settings.open(),
      "?": () => byId("shortcuts-box").showModal(),
      i: () => {
        location.hash = page.view === page ? "#interpreter" : "#conversation";
      },
      ...page.view.shortcuts,
    };
  }
}
