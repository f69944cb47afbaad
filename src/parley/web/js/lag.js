// How far what is heard of a translation lies behind the speaker.
//
// Laws: pure; the speaker's clock is the audio that was sent (24 kHz samples), and goes on by itself once no more is sent; the lag of a
// moment is that clock less the place in the input where the words end that are heard then. The figures of a session take bounded memory.

const SAMPLES_PER_MS = 24;
const BIN_MS = 50; // Finer than the page shows.
const BINS = 1200; // A minute; whatever is later counts as a minute.

export class Lag {
  constructor() {
    this.reset();
  }

  /** Forgets everything: figures, too. */
  reset() {
    this.counts = new Uint32Array(BINS);
    this.total = 0;
    this.begin();
  }

  /** A new session, whose input begins at 0; the figures go on. */
  begin() {
    this.sentSamples = 0;
    this.sentAt = 0;
    this.spans = new Map(); // item: [{from, elapsedMs}]
  }

  /** So many samples of the microphone were sent at `at` (ms). */
  sent(samples, at) {
    this.sentSamples += samples;
    this.sentAt = at;
  }

  /** The server had received so many samples of the microphone at `at` (ms), where it counts them itself. */
  reached(samples, at) {
    this.sentSamples = samples;
    this.sentAt = at;
  }

  /** The item goes on, from its sample `from` on, with words that end at `elapsedMs` of the input. */
  queued(item, from, elapsedMs) {
    const spans = this.spans.get(item);
    if (!spans) this.spans.set(item, [{ from, elapsedMs }]);
    else if (spans.at(-1).elapsedMs !== elapsedMs) spans.push({ from, elapsedMs });
  }

  /** The sample `played` of the item is heard at `at` (ms): the lag in ms, which is counted; null for an unknown item. */
  heard(item, played, at) {
    const span = this.spans.get(item)?.findLast(({ from }) => from <= played);
    if (!span) return null;
    const lagMs = Math.max(0, this.sentSamples / SAMPLES_PER_MS + (at - this.sentAt) - span.elapsedMs);
    this.counts[Math.min(BINS - 1, Math.floor(lagMs / BIN_MS))] += 1;
    this.total += 1;
    return lagMs;
  }

  finished(item) {
    this.spans.delete(item);
  }

  /** Where the share (0 to 1) of what was heard lies below, in ms, to the nearest 50; null before anything was heard. */
  quantile(share) {
    if (this.total === 0) return null;
    let below = 0;
    for (let bin = 0; bin < BINS; bin += 1) {
      below += this.counts[bin];
      if (below >= share * this.total) return (bin + 0.5) * BIN_MS;
    }
    return null;
  }
}
