// Draws a call of an MCP server's tool that needs the user's consent: what would be called, with which arguments, and the answers; once it was
// answered, what became of it.
//
// Laws: the arguments are shown as they are sent, to the character, however long; what would be seen as something else is spelled out; a press
// counts only after the card has been there for a moment, because it comes where another thing may have been pressed. An answer is an event
// "decide" of the list (detail: {entry, approve, always}), allowing no more an event "ask-again" (detail: the entry).

import { element } from "./dom.js";

const UNSEEN = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u00ad\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u2800\u3164\ufeff\uffa0\ufff9-\ufffb]|[\udb40][\udc00-\udfff]/g;
const FOLDED_LINES = 8;
const SETTLE_MS = 500; // Longer than from seeing a button move to not pressing it.

const OUTCOMES = {
  sent: { you: "Answering", rule: "Allowed for this conversation" },
  allowed: { you: "You allowed it", rule: "Allowed for this conversation", another: "Allowed by another client" },
  denied: { you: "You did not allow it", another: "Another client did not allow it" },
  gone: {},
};

/** `words`: the place for what it says, in `node`, the entry of the list. */
export function drawApproval(node, words, entry) {
  const { state, by, server, name, ruled } = entry;
  const drawn = [state, by, ruled].join(" ");
  node.dataset.state = state;
  node.dataset.withdrawn = entry.withdrawn;
  if (node.dataset.drawn === drawn) return;
  const focused = words.contains(document.activeElement);
  node.dataset.drawn = drawn;
  words.className = "words approval";
  words.setAttribute("role", "group");
  words.setAttribute("aria-label", `${seen(name)} of ${seen(server)}`);
  words.tabIndex = -1;
  words.replaceChildren(wish(entry), given(entry.args, state === "asking"), ...(state === "asking" ? [answers(node, entry)] : outcome(node, entry)));
  if (focused) words.focus();
}

/** What a screen reader is told of it, once for each state. */
export function approvalSentence({ state, server, name, args, by }) {
  if (state === "asking") {
    const [fields] = readable(args);
    return `May ${seen(server)} call ${seen(name)}${args && args !== "{}" ? `, with ${fields}` : ""}? Your answer is awaited in the conversation.`;
  }
  const said = OUTCOMES[state][by];
  return said && state !== "sent" ? `${seen(name)} of ${seen(server)}: ${said}.` : "";
}

function wish({ state, server, name }) {
  const what = [element("b", { class: "name" }, seen(name)), " of ", element("b", { class: "server" }, seen(server))];
  return element("p", { class: "wish" }, ...(state === "asking" ? ["Call ", ...what, "?"] : what));
}

/** The arguments, open where they are to be judged and short. */
function given(args, judged) {
  if (!args || args === "{}") return element("p", { class: "given none" }, "without arguments");
  const [text, lines] = readable(args);
  const details = element("details", { class: "given" }, element("summary", {}, lines > 1 ? `Arguments, ${lines} lines` : "Arguments"), element("pre", { tabindex: "0" }, text));
  details.open = judged && lines <= FOLDED_LINES;
  return details;
}

function answers(node, entry) {
  const shownAt = performance.now();
  const button = (label, kind, answer) => {
    const made = element("button", { class: kind, type: "button" }, label);
    made.addEventListener("click", () => {
      if (performance.now() - shownAt < SETTLE_MS) return;
      node.dispatchEvent(new CustomEvent("decide", { bubbles: true, detail: { entry, ...answer } }));
    });
    return made;
  };
  return element(
    "div", { class: "answers" },
    button("Allow", "solid", { approve: true, always: false }),
    button("Deny", "plain", { approve: false, always: false }),
    ...(entry.address ? [button(`Allow ${seen(entry.name)} for this conversation`, "plain always", { approve: true, always: true })] : []),
  );
}

function outcome(node, entry) {
  const said = OUTCOMES[entry.state][entry.by];
  if (!said) return [];
  const line = element("p", { class: "outcome" }, said);
  if (entry.ruled) {
    const again = element("button", { class: "plain", type: "button" }, "Ask me again");
    again.addEventListener("click", () => node.dispatchEvent(new CustomEvent("ask-again", { bubbles: true, detail: entry })));
    line.append(" ", again);
  }
  return [line];
}

/** [text, lines]: JSON with a member a line where that changes nothing of it, and else as it came. */
function readable(args) {
  const pretty = laidOut(args) ?? args;
  const text = seen(pretty);
  return [text, text.split("\n").length];
}

/** Each member of an object on a line of its own; undefined where another text would come of it. */
function laidOut(args) {
  try {
    const data = JSON.parse(args);
    if (data === null || typeof data !== "object") return undefined;
    return JSON.stringify(data) === packed(args) ? JSON.stringify(data, null, 2) : undefined;
  } catch {
    return undefined;
  }
}

/** JSON without the white space between its parts. */
function packed(json) {
  return json.replaceAll(/"(?:[^"\\]|\\.)*"|\s+/g, (part) => (part.startsWith('"') ? part : ""));
}

/** With characters that nobody sees, or that turn the text around, spelled out. */
function seen(text) {
  return text.replaceAll(UNSEEN, (character) => [...character].map((one) => `\\u{${one.codePointAt(0).toString(16)}}`).join(""));
}
