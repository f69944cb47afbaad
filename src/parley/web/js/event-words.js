// What an event is about, in a line: its message, words, item or state.
//
// Laws: pure; takes events that are masked already (event-masks.js).

const LONGEST = 160;

/** Of one event; "" where it has nothing to say beside its type. */
export function about({ type, ...event }) {
  for (const words of WORDS) {
    const found = words(event);
    if (found) return clipped(found);
  }
  return "";
}

/** On one line, and no longer than is seen. */
export function clipped(text) {
  const line = text.slice(0, 4 * LONGEST).replace(/\s+/g, " ").trim();
  return line.length > LONGEST ? `${Array.from(line).slice(0, LONGEST).join("")}…` : line;
}

const WORDS = [
  ({ error }) => error && string(error.message),
  ({ response }) => response && [response.status, string(response.status_details?.error?.message) || response.status_details?.reason].filter(Boolean).join(": "),
  ({ transcript }) => quoted(transcript),
  ({ delta }) => quoted(delta),
  ({ text }) => quoted(text),
  ({ arguments: args }) => string(args),
  ({ item }) => item && [item.type, item.role, item.name ?? item.server_label, item.status, wordsOf(item)].filter(Boolean).join(" "),
  ({ part }) => part && string(part.type),
  ({ session }) => session && [session.type, session.model].filter(Boolean).join(" "),
  ({ audio_end_ms: end }) => typeof end === "number" && `at ${end} ms`,
  ({ audio_start_ms: start }) => typeof start === "number" && `at ${start} ms`,
];

function wordsOf({ content, output }) {
  const [first] = Array.isArray(content) ? content : [];
  return quoted(first?.text ?? first?.transcript ?? output);
}

function quoted(text) {
  return string(text) && `“${text}”`;
}

function string(value) {
  return typeof value === "string" ? value : "";
}
