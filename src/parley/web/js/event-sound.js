// The sound in events: how much it is, and the events without it.
//
// Laws: pure; the page's sound is 16-bit samples of 24 kHz, as its sessions have it.

const BYTES_PER_MS = 48;
const DELTA = /(?:^|[._])audio\.delta$/;
const SOUND = /"audio":\s?"/;
const number = new Intl.NumberFormat("en");

/** What an event carries of sound in place of everything else, in bytes; null where it is another. */
export function soundBytes(event) {
  const payload = payloadOf(event);
  return payload === null ? null : bytesOf(event[payload]);
}

/** The event as JSON, each sound in it replaced by its length; `text` is the event as it went over the link. */
export function withoutSound(event, text) {
  const payload = payloadOf(event);
  if (payload !== null) return JSON.stringify({ ...event, [payload]: placeholder(bytesOf(event[payload])) });
  if (!SOUND.test(text)) return text;
  return JSON.stringify(event, (key, value) => (key === "audio" && typeof value === "string" ? placeholder(bytesOf(value)) : value));
}

/** "1,920 bytes, 40 ms" */
export function soundLength(bytes) {
  return `${number.format(bytes)} bytes, ${number.format(Math.round(bytes / BYTES_PER_MS))} ms`;
}

export function soundMs(bytes) {
  return Math.round(bytes / BYTES_PER_MS);
}

function placeholder(bytes) {
  return `[sound: ${soundLength(bytes)}]`;
}

/** The member that is sound, in events that bring nothing else. */
function payloadOf({ type, audio, delta }) {
  if (typeof audio === "string") return "audio";
  return typeof delta === "string" && DELTA.test(type) ? "delta" : null;
}

function bytesOf(base64) {
  const padding = base64.endsWith("==") ? 2 : base64.endsWith("=") ? 1 : 0;
  return Math.floor((base64.length * 3) / 4) - padding;
}
