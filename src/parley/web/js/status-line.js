// The line in the header that says how the page is connected: a word or two, and more where there is room.
//
// Laws: the words are never cut off; where only the first of them are seen, the rest is there for screen readers and for the pointer.

import { byId, element } from "./dom.js";

export function showStatusLine({ text, state, more = "" }) {
  const whole = text + more;
  const link = byId("link");
  link.dataset.state = state;
  if (link.title === whole) return;
  link.title = whole;
  byId("link-text").replaceChildren(text, ...(more ? [element("span", { class: "more" }, more)] : []));
  byId("status").textContent = whole;
}
