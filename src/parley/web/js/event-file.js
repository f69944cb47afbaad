// The events of the drawer as a file of JSON Lines (docs/events.md).
//
// Laws: pure but for the clock; everything is masked; a line of sound, of which not every event is kept, says how many it stands for.

import { masked, maskedText } from "./event-masks.js";
import { soundMs } from "./event-sound.js";

export const FORMAT = "parley.events";
export const VERSION = 1;

export function asJsonLines(log) {
  const head = { format: FORMAT, version: VERSION, saved_at: new Date().toISOString(), server: location.host, dropped: log.dropped };
  return [head, ...log.lines.flatMap(records)].map((record) => `${JSON.stringify(record)}\n`).join("");
}

function records(line) {
  const { session, direction, note, kept, sound, count } = line;
  const ms = (at) => Math.round(at - session.startedAt);
  const where = { session: session.number, link: session.link };
  if (note !== undefined) return [{ ...where, at_ms: ms(line.at), note: maskedText(note) }];
  if (sound && count > 1) {
    const stands = { count, until_ms: ms(line.until), sound_bytes: sound.bytes, sound_ms: soundMs(sound.bytes) };
    return [{ ...where, at_ms: ms(line.at), direction, ...stands, event: masked(kept[0].text) }];
  }
  return kept.map(({ at, text }) => ({ ...where, at_ms: ms(at), direction, event: masked(text) }));
}
