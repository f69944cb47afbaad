// The sound of a conversation, both sides on one time line: what the server was given to hear, and what the user really heard of the replies.
//
// Laws: positions are 24 kHz samples; only what sounds takes memory; a time in which nothing is recorded counts for two seconds at the most; the last
// half hour is kept, and what is older is counted, not kept. Never leaves the page by itself.

import { wav } from "./wav.js";

const SAMPLES_PER_MS = 24;
const BLOCK = 24_000; // A second.
const BLOCKS_KEPT = 30 * 60; // Half an hour: at most 173 MB, and half of it where one listens while the other speaks.
const LONGEST_PAUSE = 2 * BLOCK;
const JITTER = 60 * SAMPLES_PER_MS; // Clocks are read so inexactly: what is nearer than this to the sound before it follows without a gap.

export class Recording {
  constructor() {
    this.clear();
  }

  clear() {
    this.sides = { user: { blocks: new Map(), end: 0 }, assistant: { blocks: new Map(), end: 0 } };
    this.originMs = 0;
    this.end = 0; // of both sides
    this.dropped = 0; // samples at the beginning that are no longer kept
  }

  get empty() {
    return this.end === 0;
  }

  /** Seconds of sound that are kept. */
  get seconds() {
    return (this.end - this.dropped) / BLOCK;
  }

  /** `pcm` (Int16Array) of a side ("user", "assistant") sounded until `endMs` (performance time). */
  add(name, pcm, endMs) {
    if (pcm.length === 0) return;
    if (this.empty) this.originMs = endMs - pcm.length / SAMPLES_PER_MS;
    const side = this.sides[name];
    let from = Math.round((endMs - this.originMs) * SAMPLES_PER_MS) - pcm.length;
    if (from > this.end + LONGEST_PAUSE) {
      this.originMs += (from - this.end - LONGEST_PAUSE) / SAMPLES_PER_MS;
      from = this.end + LONGEST_PAUSE;
    }
    if (from < side.end + JITTER) from = side.end;
    this.write(side.blocks, pcm, from);
    side.end = from + pcm.length;
    this.end = Math.max(this.end, side.end);
    this.drop();
  }

  write(blocks, pcm, from) {
    if (!pcm.some((sample) => sample !== 0)) return;
    for (let at = 0; at < pcm.length; ) {
      const index = Math.floor((from + at) / BLOCK);
      if (!blocks.has(index)) blocks.set(index, new Int16Array(BLOCK));
      const within = from + at - index * BLOCK;
      const part = pcm.subarray(at, at + BLOCK - within);
      blocks.get(index).set(part, within);
      at += part.length;
    }
  }

  drop() {
    const first = Math.ceil(this.end / BLOCK) - BLOCKS_KEPT;
    if (first * BLOCK <= this.dropped) return;
    this.dropped = first * BLOCK;
    for (const { blocks } of Object.values(this.sides)) for (const index of blocks.keys()) if (index < first) blocks.delete(index);
  }

  /** A WAV of two channels: the user on the left, the assistant on the right. What is missing at its beginning is said in the file. */
  file() {
    const { user, assistant } = this.sides;
    const chunks = [];
    for (let from = this.dropped; from < this.end; from += BLOCK) {
      const length = Math.min(BLOCK, this.end - from);
      const both = new Int16Array(2 * length);
      for (const [channel, { blocks }] of [user, assistant].entries()) {
        const block = blocks.get(from / BLOCK);
        for (let at = 0; block && at < length; at += 1) both[2 * at + channel] = block[at];
      }
      chunks.push(both);
    }
    const dropped = this.dropped === 0 ? "" : ` The first ${Math.round(this.dropped / BLOCK)} s are missing: a page keeps the last 30 minutes.`;
    return wav(chunks, { channels: 2, comment: `Left: the user. Right: the assistant, as heard.${dropped}` });
  }
}
