// The loudspeaker, on the audio thread: plays items one after the other and counts, to the sample, how much of each was played.
//
// In:  {push: item, pcm: Int16Array}  more of an item      {end: item}  it is complete      {stop: token}  silence, now
// Out: {started: item, at}  its first sample plays at context time `at`
//      {playing: item, played, level, at}  every 40 ms: so much of it has been played at context time `at`
//      {finished: item, played}                             {underrun: item}
//      {stopped: token, played: {item: samples}}  what each unfinished item came to          {silent: true}
//
// Laws: positions are 24 kHz samples; what was played is counted when it leaves, never when it comes; a stop fades within 5 ms, and what
// the fade plays counts as played.

import { Resampler } from "./resampler.js";

const WIRE_RATE = 24_000;
const FADE_S = 0.005; // Shorter clicks.
const REPORT_S = 0.04; // Twenty-five times a second is as fast as a picture needs it.
const PREBUFFER_S = 0.06; // Before an item begins: the jitter of a good network. A complete item needs none.
const REFILL_S = 0.12; // After an underrun: this link needs more.

class Playback extends AudioWorkletProcessor {
  constructor() {
    super();
    this.items = [];
    this.fading = null;
    this.sounding = false;
    this.sum = 0;
    this.reported = 0;
    this.port.onmessage = ({ data }) => this.take(data);
  }

  take(message) {
    if (message.push !== undefined) {
      const item = this.item(message.push);
      const samples = item.resampler.push(Float32Array.from(message.pcm, (sample) => sample / 32768));
      item.chunks.push(samples);
      item.left += samples.length;
      item.received += message.pcm.length;
    } else if (message.end !== undefined) {
      const item = this.items.find(({ id }) => id === message.end);
      if (item) item.ended = true;
    } else if (message.stop !== undefined) {
      if (this.sounding && this.items[0]?.left > 0) this.fading = { token: message.stop, left: Math.round(FADE_S * sampleRate) };
      else this.clear(message.stop);
    }
  }

  item(id) {
    let item = this.items.find((known) => known.id === id);
    if (!item) {
      item = {
        id, chunks: [], at: 0, left: 0, out: 0, received: 0, ended: false, started: false,
        waitFor: PREBUFFER_S, resampler: new Resampler(WIRE_RATE, sampleRate),
      };
      this.items.push(item);
    }
    return item;
  }

  played(item) {
    return Math.min(item.received, Math.floor((item.out * WIRE_RATE) / sampleRate));
  }

  clear(token) {
    const played = Object.fromEntries(this.items.map((item) => [item.id, this.played(item)]));
    this.items = [];
    this.fading = null;
    this.sounding = false;
    this.port.postMessage({ stopped: token, played });
  }

  process(_, [output]) {
    const speaker = output[0];
    for (let index = 0; index < speaker.length; index += 1) {
      let sample = this.next(index);
      if (this.fading) {
        sample *= this.fading.left / (FADE_S * sampleRate);
        this.fading.left -= 1;
        if (this.fading.left <= 0) this.clear(this.fading.token);
      }
      speaker[index] = sample;
      this.sum += sample * sample;
    }
    for (const channel of output.slice(1)) channel.set(speaker);
    this.report(speaker.length);
    return true;
  }

  /** The next sample; zero where there is none. */
  next(index) {
    let item = this.items[0];
    while (item && item.left === 0 && item.ended) {
      this.port.postMessage({ finished: item.id, played: this.played(item) });
      this.items.shift();
      this.sounding = false;
      item = this.items[0];
      if (!item) this.port.postMessage({ silent: true });
    }
    if (!item) return 0;
    if (!this.sounding) {
      if (item.left === 0 || (!item.ended && item.left < item.waitFor * sampleRate)) return 0;
      this.sounding = true;
      if (!item.started) {
        item.started = true;
        this.port.postMessage({ started: item.id, at: currentTime + index / sampleRate });
      }
    }
    if (item.left === 0) {
      this.sounding = false;
      item.waitFor = REFILL_S;
      this.port.postMessage({ underrun: item.id });
      return 0;
    }
    const chunk = item.chunks[0];
    const sample = chunk[item.at];
    item.at += 1;
    item.left -= 1;
    item.out += 1;
    if (item.at === chunk.length) {
      item.chunks.shift();
      item.at = 0;
    }
    return sample;
  }

  report(samples) {
    this.reported += samples;
    if (this.reported < REPORT_S * sampleRate) return;
    if (this.sounding) {
      const item = this.items[0];
      const level = Math.sqrt(this.sum / this.reported);
      this.port.postMessage({ playing: item.id, played: this.played(item), level, at: currentTime + samples / sampleRate });
    }
    this.sum = 0;
    this.reported = 0;
  }
}

registerProcessor("parley-playback", Playback);
