// Events as they may be shown: without what opens something.
//
// Laws: it masks the values of fields whose name says that they are secret, with all that they contain; whatever looks like a key or a bearer token; the
// credentials in addresses; and the secrets that this page itself holds. Numbers stay. All that is shown, copied or saved goes through here. A
// file within an event (a data: URL) is replaced by its length.

import { storedKey } from "./server.js";
import { toolServers } from "./tool-servers.js";

const MASK = "[masked]";
const NAMES = /^(?:authorization|proxy-authorization|headers|cookie|passw(?:or)?d)$|(?:api[_-]?key|secret|[_-]token)s?$/i;
const SHORTEST = 4; // A shorter secret would mask parts of ordinary words; by its name it is masked all the same.
const SHAPES = [
  [/\b(?:sk|ek|pk)[-_][\w-]{8,}/g, MASK],
  [/\b(Bearer|Basic)\s+[\w.~+/=-]{6,}/gi, `$1 ${MASK}`],
  [/(\w:\/\/)[^\s/@]+@/g, `$1${MASK}@`],
  [/([?&][^=&\s]*(?:key|token|secret|auth|sig)[^=&\s]*=)[^&#\s"]+/gi, `$1${MASK}`],
];
const FILE = /^data:([\w/+.-]*);base64,/;

/** The event of this text, masked. */
export function masked(text) {
  return walk(JSON.parse(text), heldSecrets(), false);
}

/** A text of the page's own, masked. */
export function maskedText(text) {
  return maskedString(text, heldSecrets());
}

function heldSecrets() {
  return [storedKey(), ...Object.values(toolServers.secrets)].filter((secret) => typeof secret === "string" && secret.length >= SHORTEST);
}

function walk(value, held, secret) {
  if (typeof value === "string") return secret && value ? MASK : maskedString(value, held);
  if (Array.isArray(value)) return value.map((one) => walk(one, held, secret));
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, walk(one, held, secret || NAMES.test(name))]));
}

function maskedString(text, held) {
  const file = FILE.exec(text);
  if (file) return `[file: ${file[1]}, ${text.length - file[0].length} characters of base64]`;
  const known = held.reduce((all, secret) => all.replaceAll(secret, MASK), text);
  return SHAPES.reduce((all, [shape, mask]) => all.replace(shape, mask), known);
}
