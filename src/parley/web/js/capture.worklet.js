// The microphone, on the audio thread: 24 kHz, 16 bits, frames of 20 ms with their loudness.
//
// Laws: every sample that comes is passed on, in order; the frame's buffer is handed over, never copied. Knows nothing of the wire.

import { Resampler } from "./resampler.js";

const WIRE_RATE = 24_000;
const FRAME = 480; // 20 ms: short enough for the ear of the server, long enough to keep the message rate low.

class Capture extends AudioWorkletProcessor {
  constructor() {
    super();
    this.resampler = new Resampler(sampleRate, WIRE_RATE);
    this.frame = new Int16Array(FRAME);
    this.filled = 0;
    this.sum = 0;
    this.live = true;
    this.port.onmessage = () => {
      this.live = false;
    };
  }

  process([input]) {
    if (input.length > 0) {
      for (const sample of this.resampler.push(mono(input))) this.add(sample);
    }
    return this.live;
  }

  add(sample) {
    this.frame[this.filled] = Math.max(-32768, Math.min(32767, Math.round(sample * 32767)));
    this.sum += sample * sample;
    this.filled += 1;
    if (this.filled < FRAME) return;
    const { frame } = this;
    this.port.postMessage({ pcm: frame, level: Math.sqrt(this.sum / FRAME), at: currentTime }, [frame.buffer]);
    this.frame = new Int16Array(FRAME);
    this.filled = 0;
    this.sum = 0;
  }
}

function mono(channels) {
  if (channels.length === 1) return channels[0];
  return channels[0].map((sample, index) => channels.reduce((sum, channel) => sum + channel[index], 0) / channels.length);
}

registerProcessor("parley-capture", Capture);
