// Asks for the key of a server that demands one, and says how to get back to the question where it was put off.
//
// Events: "given" (a key was stored). Laws: whoever leaves the box without a key finds a button that opens it again.

import { byId } from "./dom.js";
import { storeKey } from "./server.js";

const ASKED = [...byId("key-why").childNodes];
const WRONG = ["This server does not accept that key. Check that it is complete and has not expired."];

export class KeyBox extends EventTarget {
  /** `alerts`: of each view. */
  constructor(alerts) {
    super();
    this.alerts = alerts;
    this.dialog = byId("key-box");
    byId("key-form").addEventListener("submit", (event) => {
      event.preventDefault();
      const key = byId("key").value.trim();
      if (!key) return;
      storeKey(key, { remember: byId("key-remember").checked });
      byId("key").value = "";
      this.dialog.close("given");
      this.dispatchEvent(new Event("given"));
    });
    byId("key-later").addEventListener("click", () => this.dialog.close(""));
    this.dialog.addEventListener("close", () => this.dialog.returnValue !== "given" && this.putOff());
  }

  /** `wrong`: one was given, and it opens nothing. */
  ask({ wrong = false } = {}) {
    byId("key-why").replaceChildren(...(wrong ? WRONG : ASKED));
    byId("key-why").classList.toggle("wrong", wrong);
    byId("key").value = "";
    this.dialog.returnValue = "";
    if (!this.dialog.open) this.dialog.showModal();
  }

  putOff() {
    const alert = { title: "This server is locked", text: "It asks for a key before you can talk or type.", action: ["Enter the key", () => this.ask()] };
    for (const alerts of this.alerts) alerts.show("server", alert);
  }
}
