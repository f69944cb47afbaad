// The one place where a view says that something stands in the way.
//
// Laws: one alert is shown, the most pressing; a countdown ticks without being announced again; the button beside it fixes it; every alert
// can be dismissed, and one that is shown again and again by itself (`until`) then stays away until it is settled.

import { element, icon } from "./dom.js";
import { inline } from "./markup.js";

const ORDER = ["server", "microphone", "fault", "tab", "silent", "hint", "address"];
const CROSS = "M6 6l12 12M18 6L6 18";

export class Alerts {
  constructor(place) {
    this.place = place;
    this.current = new Map();
    this.dismissed = new Map(); // the titles of alerts, by kind
    this.timer = null;
    this.drawn = "";
  }

  /** `title`, `text` (light markup); `until`: when it is tried again (performance time); `action`: [label, what], `instead`: another; `forMs`: it goes by itself. */
  show(kind, alert) {
    if (!alert.until) this.dismissed.delete(kind);
    this.current.set(kind, alert);
    if (alert.forMs) {
      setTimeout(() => this.current.get(kind) === alert && this.clear(kind), alert.forMs);
    }
    this.draw();
  }

  /** It is settled. */
  clear(kind) {
    this.dismissed.delete(kind);
    if (this.current.delete(kind)) this.draw();
  }

  dismiss(kind) {
    this.dismissed.set(kind, this.current.get(kind)?.title);
    this.draw();
  }

  draw() {
    clearInterval(this.timer);
    const kind = ORDER.find((known) => this.current.has(known) && this.dismissed.get(known) !== this.current.get(known).title);
    const alert = this.current.get(kind);
    this.place.hidden = kind === undefined;
    const drawn = kind === undefined ? "" : JSON.stringify([kind, alert.title, alert.text, alert.action?.[0], alert.instead?.[0], Boolean(alert.until)]);
    if (drawn !== this.drawn) {
      this.drawn = drawn;
      this.place.replaceChildren(...(kind === undefined ? [] : this.parts(kind, alert)));
      this.place.dataset.kind = kind ?? "";
    }
    if (!alert?.until) return;
    this.timer = setInterval(() => this.count(alert), 250);
    this.count(alert);
  }

  parts(kind, { title, text, action, instead, until }) {
    const words = element("p", {}, element("strong", {}, title), ...inline(text));
    const dismiss = element("button", { class: "round dismiss", type: "button", "aria-label": "Dismiss", title: "Dismiss" }, icon(CROSS));
    dismiss.addEventListener("click", () => this.dismiss(kind));
    if (!action && !until) return [words, dismiss];
    const actions = element("div", { class: "actions" });
    if (action) actions.append(this.button(kind, "action", action[0]));
    if (instead) actions.append(this.button(kind, "instead", instead[0]));
    if (until) actions.append(element("span", { class: "figure", "aria-hidden": "true" }));
    return [words, actions, dismiss];
  }

  button(kind, which, label) {
    const button = element("button", { type: "button", class: which }, label);
    button.addEventListener("click", () => {
      const [, act] = this.current.get(kind)[which];
      this.clear(kind);
      act();
    });
    return button;
  }

  count({ until }) {
    const leftS = Math.ceil((until - performance.now()) / 1000);
    this.place.querySelector(".figure").textContent = leftS > 0 ? `Trying again in ${leftS} s` : "Trying now";
  }
}
