// The page's two views, chosen by the address: #interpreter, and everything else is the conversation.
//
// Laws: a link to a view is an ordinary link, so that the browser's history, its keyboard and screen readers know it; one view is shown, and
// the others are out of reach; skipping to a control leaves the address alone.

import { byId } from "./dom.js";

const VIEWS = {
  conversation: { title: "Parley", skip: ["message", "Skip to the message box"] },
  interpreter: { title: "Interpreter · Parley", skip: ["interpreter-heart", "Skip to the start button"] },
};

export class Views extends EventTarget {
  // Events: "view" {from, to}.
  constructor() {
    super();
    this.name = "conversation";
    addEventListener("hashchange", () => this.follow());
    byId("skip").addEventListener("click", (event) => {
      event.preventDefault();
      byId(VIEWS[this.name].skip[0]).focus();
    });
  }

  /** Of the view that is shown. */
  get title() {
    return VIEWS[this.name].title;
  }

  /** Shows the view that the address names. Call it once the views can take the event. */
  follow() {
    const hash = location.hash.slice(1);
    const name = Object.hasOwn(VIEWS, hash) ? hash : hash === "" ? "conversation" : this.name;
    const from = this.name;
    this.name = name;
    for (const known of Object.keys(VIEWS)) {
      byId(known).hidden = known !== name;
      if (known === name) byId(`to-${known}`).setAttribute("aria-current", "page");
      else byId(`to-${known}`).removeAttribute("aria-current");
    }
    const [target, text] = VIEWS[name].skip;
    byId("skip").href = `#${target}`;
    byId("skip").textContent = text;
    if (from !== name) this.dispatchEvent(new CustomEvent("view", { detail: { from, to: name } }));
  }
}
