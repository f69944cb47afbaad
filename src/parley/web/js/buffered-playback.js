// The loudspeaker where there is no audio thread to be had: browsers give AudioWorklet only to https and localhost. Takes the messages of
// playback.worklet.js and makes the same reports, by buffers that are set to begin at samples of the context's clock.
//
// Laws: positions are 24 kHz samples; what was played is what the clock has passed; a stop is silent within 15 ms, after which nothing
// sounds, and what the fade plays counts as played.

import { Resampler } from "./resampler.js";

const WIRE_RATE = 24_000;
const FADE_S = 0.005; // Shorter clicks.
const LEAD_S = 0.01; // From a decision here to the audio thread that carries it out.
const REPORT_MS = 40; // Twenty-five times a second is as fast as a picture needs it.
const PREBUFFER_S = 0.06; // Before an item begins: the jitter of a good network. A complete item needs none.
const REFILL_S = 0.12; // After an underrun: this link needs more.

export class BufferedPlayback {
  /** `onReport(message)`, as from the worklet's port. */
  constructor(context, output, onReport) {
    this.context = context;
    this.output = output;
    this.report = onReport;
    this.items = [];
    this.timer = null;
  }

  postMessage(message) {
    if (message.push !== undefined) this.push(this.item(message.push), message.pcm);
    else if (message.end !== undefined) {
      const item = this.items.find(({ id }) => id === message.end);
      if (item) item.ended = true;
    } else if (message.stop !== undefined) this.stop(message.stop);
    this.look();
  }

  item(id) {
    let item = this.items.find((known) => known.id === id);
    if (!item) {
      // `pieces`: what was set to play, {from, to: context seconds, at: sample of the item}; `waiting`: what was not yet.
      item = { id, waiting: [], left: 0, set: 0, received: 0, pieces: [], ended: false, started: false, dry: false, waitFor: PREBUFFER_S, resampler: new Resampler(WIRE_RATE, this.context.sampleRate) };
      this.items.push(item);
    }
    return item;
  }

  push(item, pcm) {
    const samples = item.resampler.push(Float32Array.from(pcm, (sample) => sample / 32768));
    item.waiting.push(samples);
    item.left += samples.length;
    item.received += pcm.length;
  }

  /** Sets what has come to play, and tells what has been played. Called at each message, and while something sounds. */
  look() {
    const now = this.context.currentTime;
    this.schedule(now);
    this.tell(now);
    if (this.items.length === 0) {
      clearInterval(this.timer);
      this.timer = null;
    } else this.timer ??= setInterval(() => this.look(), REPORT_MS);
  }

  schedule(now) {
    let before = 0; // when the item before ends
    for (const item of this.items) {
      const end = item.pieces.at(-1)?.to ?? 0;
      const running = end > now;
      const ready = running || item.ended || item.left >= item.waitFor * this.context.sampleRate;
      if (item.left > 0 && ready) this.set(item, running ? end : Math.max(before, now + LEAD_S));
      before = item.pieces.at(-1)?.to ?? 0;
      if (!item.ended || item.left > 0) return;
    }
  }

  set(item, begin) {
    const { context } = this;
    let frame = Math.ceil(begin * context.sampleRate);
    for (const samples of item.waiting.splice(0)) {
      if (samples.length === 0) continue;
      const buffer = context.createBuffer(1, samples.length, context.sampleRate);
      buffer.copyToChannel(samples, 0);
      const source = context.createBufferSource();
      const gain = context.createGain();
      source.buffer = buffer;
      source.connect(gain).connect(this.output);
      source.onended = () => gain.disconnect();
      const from = frame / context.sampleRate;
      frame += samples.length;
      source.start(from);
      item.pieces.push({ source, gain, samples, from, to: frame / context.sampleRate, at: item.set });
      item.set += samples.length;
    }
    item.left = 0;
    item.dry = false;
  }

  /** Samples of the item that have been played at this time. */
  played(item, time) {
    const { sampleRate } = this.context;
    const piece = item.pieces.findLast(({ from }) => from <= time);
    const out = piece ? piece.at + Math.min(piece.samples.length, Math.floor((time - piece.from) * sampleRate)) : 0;
    return Math.min(item.received, Math.floor((out * WIRE_RATE) / sampleRate));
  }

  tell(now) {
    while (this.items.length > 0) {
      const [item] = this.items;
      const begun = item.pieces[0]?.from ?? Infinity;
      if (!item.started && begun <= now) {
        item.started = true;
        this.report({ started: item.id, at: begun });
      }
      const over = (item.pieces.at(-1)?.to ?? 0) <= now;
      if (!over) {
        if (item.started) this.report({ playing: item.id, played: this.played(item, now), level: this.level(item, now), at: now });
        return;
      }
      if (item.left > 0 || !item.ended) {
        if (item.started && !item.dry) this.report({ underrun: item.id });
        if (item.started) Object.assign(item, { dry: true, waitFor: REFILL_S });
        return;
      }
      this.items.shift();
      this.report({ finished: item.id, played: item.received });
      if (this.items.length === 0) this.report({ silent: true });
    }
  }

  /** Loudness (RMS) of the last 40 ms that were played. */
  level(item, now) {
    const piece = item.pieces.findLast(({ from }) => from <= now);
    if (!piece) return 0;
    const end = Math.floor((now - piece.from) * this.context.sampleRate);
    const heard = piece.samples.subarray(Math.max(0, end - Math.round((REPORT_MS / 1000) * this.context.sampleRate)), end);
    return heard.length > 0 ? Math.sqrt(heard.reduce((sum, sample) => sum + sample * sample, 0) / heard.length) : 0;
  }

  stop(token) {
    const silentFrom = this.context.currentTime + LEAD_S + FADE_S;
    const played = Object.fromEntries(this.items.map((item) => [item.id, this.played(item, silentFrom)]));
    for (const { source, gain, to } of this.items.flatMap(({ pieces }) => pieces)) {
      if (to <= silentFrom - FADE_S - LEAD_S) continue;
      gain.gain.setValueAtTime(1, silentFrom - FADE_S);
      gain.gain.linearRampToValueAtTime(0, silentFrom);
      source.stop(silentFrom);
    }
    this.items = [];
    this.report({ stopped: token, played });
  }
}
