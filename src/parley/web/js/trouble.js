// What an entry of the transcript says beneath its words where something is amiss, and the button that tries again.
//
// Laws: the button is there only while trying again makes sense (see `retry` in transcript.js); a press is an event "retry" (detail: the entry)
// of the list.

import { element } from "./dom.js";

const LABELS = { answer: "Try again", words: "Try again", send: "Send now" };

export function drawTrouble(node, entry) {
  const says = sayingOf(entry);
  const drawn = `${says} ${entry.retry}`;
  const old = node.querySelector(".trouble");
  if ((old?.dataset.drawn ?? " ") === drawn) return;
  if (!says && !entry.retry) {
    old?.remove();
    return;
  }
  const line = element("p", { class: "trouble", "data-drawn": drawn, "data-grave": String(Boolean(entry.failed)) }, element("span", {}, says));
  if (entry.retry) {
    const button = element("button", { class: "plain", type: "button" }, LABELS[entry.retry]);
    button.addEventListener("click", () => node.dispatchEvent(new CustomEvent("retry", { bubbles: true, detail: entry })));
    line.append(button);
  }
  if (old) old.replaceWith(line);
  else node.querySelector(".words").after(line);
}

function sayingOf({ kind, failed = "", sending = "", retry = "", withdrawn = false }) {
  if (kind === "user" && retry === "answer") return "Not answered.";
  if (failed) return withdrawn ? `${failed} Asked again.` : failed;
  if (sending === "waiting" && retry === "send") return "Not sent yet.";
  return withdrawn ? "Asked again." : "";
}
