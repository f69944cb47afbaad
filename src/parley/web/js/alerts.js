// The one place where the page says that something stands in the way.
//
// Laws: one alert is shown, the most pressing; a countdown ticks without being announced again; the button beside it fixes it.

import { element } from "./dom.js";

const ORDER = ["server", "microphone", "fault", "silent", "hint"];

export class Alerts {
  constructor(place) {
    this.place = place;
    this.current = new Map();
    this.timer = null;
  }

  /** `until`: when something happens by itself (performance time); `whenDue`: what; `action`: [label, what]; `forMs`: goes by itself. */
  show(kind, alert) {
    this.current.set(kind, alert);
    if (alert.forMs) {
      setTimeout(() => this.current.get(kind) === alert && this.clear(kind), alert.forMs);
    }
    this.draw();
  }

  clear(kind) {
    if (this.current.delete(kind)) this.draw();
  }

  draw() {
    clearInterval(this.timer);
    const kind = ORDER.find((known) => this.current.has(known));
    this.place.hidden = kind === undefined;
    if (kind === undefined) {
      this.place.replaceChildren();
      return;
    }
    const alert = this.current.get(kind);
    this.place.dataset.kind = kind;
    this.place.replaceChildren(element("strong", {}, alert.title), alert.text);
    const actions = element("div", { class: "actions" });
    if (alert.action) {
      const [label, act] = alert.action;
      const button = element("button", { type: "button" }, label);
      button.addEventListener("click", () => {
        this.clear(kind);
        act();
      });
      actions.append(button);
    }
    if (alert.until) {
      const countdown = element("span", { class: "figure", "aria-hidden": "true" });
      actions.append(countdown);
      this.timer = setInterval(() => this.count(kind, alert, countdown), 250);
      this.count(kind, alert, countdown);
    }
    if (actions.childElementCount > 0) this.place.append(actions);
  }

  count(kind, alert, countdown) {
    const leftS = Math.ceil((alert.until - performance.now()) / 1000);
    countdown.textContent = leftS > 0 ? `Trying again in ${leftS} s` : "Trying now";
    if (leftS <= 0 && alert.whenDue && this.current.get(kind) === alert) {
      clearInterval(this.timer);
      alert.whenDue();
    }
  }
}
