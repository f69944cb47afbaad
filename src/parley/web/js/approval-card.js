// Draws a call of an MCP server's tool that needs the user's consent: what would be called, with which arguments, and the answers; once it was
// answered, what became of it.
//
// Laws: the arguments are shown as they are sent, to the character, however long; what would be seen as something else is spelled out; a press
// counts only after the card has been there for a moment, because it comes where another thing may have been pressed. An answer is an event
// "decide" of the list (detail: {entry, approve, always}), allowing no more an event "ask-again" (detail: the entry).

import { element } from "./dom.js";

const UNSEEN = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u00ad\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u2800\u3164\ufeff\uffa0\ufff9-\ufffb]|[\udb40][\udc00-\udfff]/g;
const FOLDED_LINES = 8;
const FOLDED_CHARACTERS = 600;
const SETTLE_MS = 500; // Longer than from seeing a button move to not pressing it.

const OUTCOMES = {
  sent: { you: "Sending your answer", rule: "Allowed for this conversation" },
  allowed: { you: "Allowed", rule: "Allowed for this conversation", another: "Allowed by another client" },
  denied: { you: "Denied", another: "Denied by another client" },
  gone: {},
};

/** `words`: the place for what it says, in `node`, the entry of the list. */
export function drawApproval(node, words, entry) {
  const { state, by, server, name, ruled } = entry;
  const drawn = [state, by, ruled].join(" ");
  node.dataset.state = state;
  node.dataset.withdrawn = entry.withdrawn;
  if (node.dataset.drawn === drawn) return;
  const focused = words.querySelector(":focus-visible") !== null; // By the keyboard; a pointer leaves the keys to the page.
  node.dataset.drawn = drawn;
  words.className = "words approval";
  words.setAttribute("role", "group");
  words.setAttribute("aria-label", `${seen(name)} of ${seen(server)}`);
  words.tabIndex = -1;
  if (state === "asking") words.replaceChildren(wish(entry), given(entry.args, true), answers(node, entry));
  else words.replaceChildren(outcome(node, entry), ...(state === "allowed" ? [] : [given(entry.args, false)])); // The call has them, too.
  if (focused) words.focus();
}

/** What a screen reader is told of it, once for each state. */
export function approvalSentence({ state, server, name, args, by, failed }) {
  if (state === "asking") {
    const [fields] = readable(args);
    const given = isEmpty(args) ? "" : `, with ${fields}`;
    return `Let Parley use ${seen(name)} of ${seen(server)}${given}? Allow or deny it in the conversation.`;
  }
  const said = OUTCOMES[state][by] ?? failed;
  return said && state !== "sent" ? `${seen(name)} of ${seen(server)}: ${said}` : "";
}

function wish(entry) {
  return element("p", { class: "wish" }, "Let Parley use ", ...tool(entry), "?");
}

function tool({ server, name }) {
  return [element("b", { class: "name" }, seen(name)), " of ", element("b", { class: "server" }, seen(server))];
}

/** The arguments, open where they are to be judged and short. */
function given(args, judged) {
  if (isEmpty(args)) return element("p", { class: "given" }, "Without arguments");
  const [text, lines] = readable(args);
  const short = lines <= FOLDED_LINES && text.length <= FOLDED_CHARACTERS;
  const label = short ? "Arguments" : `Arguments: ${lines > 1 ? `${lines} lines` : `${text.length} characters`}`;
  const details = element("details", { class: "given" }, element("summary", {}, label), element("pre", { tabindex: "0" }, text));
  details.open = judged && short;
  return details;
}

function isEmpty(args) {
  return !args || args === "{}";
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
  const line = element("p", { class: "outcome" }, element("span", {}, ...tool(entry), ...(said ? [element("span", { class: "said" }, said)] : [])));
  if (entry.ruled) {
    const again = element("button", { class: "plain", type: "button" }, "Ask me again");
    again.addEventListener("click", () => node.dispatchEvent(new CustomEvent("ask-again", { bubbles: true, detail: entry })));
    line.append(again);
  }
  return line;
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
