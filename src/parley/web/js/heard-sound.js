// The samples of replies that were really played: each item's, from where it was received to where the loudspeaker says it has come.
//
// Laws: exact to the sample, whatever the loudspeaker's rate; an item that is over is forgotten.

export class HeardSound {
  /** `onHeard(pcm, at)`: these samples sounded until that performance time. */
  constructor(onHeard) {
    this.onHeard = onHeard;
    this.items = new Map(); // {chunks, from: the position of the first chunk}
  }

  received(id, pcm) {
    const item = this.items.get(id) ?? { chunks: [], from: 0 };
    item.chunks.push(pcm);
    this.items.set(id, item);
  }

  /** So many samples of the item have been played by then. */
  played(id, samples, at) {
    const item = this.items.get(id);
    while (item && item.chunks.length > 0 && item.from < samples) {
      const [chunk] = item.chunks;
      const part = chunk.subarray(0, samples - item.from);
      item.from += part.length;
      if (part.length === chunk.length) item.chunks.shift();
      else item.chunks[0] = chunk.subarray(part.length);
      this.onHeard(part, at);
    }
  }

  /** No more of it will be played. */
  finished(id, samples) {
    this.played(id, samples, performance.now());
    this.items.delete(id);
  }

  clear() {
    this.items.clear();
  }
}
