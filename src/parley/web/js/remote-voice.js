// The reply as a call brings it: a stream that sounds by itself. The server says which response it belongs to, and this tells how long it has
// sounded.
//
// Events (detail): started {response, at: performance time}, sounding {response, samples, level}, heard {pcm, at: when it ended}, finished {response, samples},
// silent.
//
// Laws: positions are 24 kHz samples since the response began to sound, on this page's clock; `hush()` silences at once, until the next response
// begins. Does not know items or words.

import { measured, runningContext } from "./sound.js";

const SAMPLES_PER_MS = 24;
const FRAMES_SHOWN = 2; // Of 20 ms: twenty-five times a second is as fast as a picture needs it.

export class RemoteVoice extends EventTarget {
  constructor() {
    super();
    this.element = new Audio();
    this.element.autoplay = true;
    this.unmeasure = () => {};
    this.receiver = null;
    this.response = null;
    this.begunAt = 0;
    this.frames = 0;
    this.sinkId = "";
  }

  /** Plays the stream, and measures how loud it is. */
  async attach(stream, receiver) {
    this.detach();
    this.receiver = receiver;
    this.element.srcObject = stream;
    this.element.muted = false;
    await this.useDevice(this.sinkId);
    this.element.play().catch(() => {}); // It begins with the user's next gesture.
    const end = await measured(stream, (frame) => this.measured(frame));
    if (this.element.srcObject === stream) this.unmeasure = end;
    else end();
  }

  detach() {
    this.unmeasure();
    this.unmeasure = () => {};
    this.element.srcObject = null;
    this.receiver = null;
    this.end();
  }

  /** The loudspeaker to use; "" is the device's choice. */
  async useDevice(sinkId) {
    this.sinkId = sinkId;
    if (this.element.setSinkId) await this.element.setSinkId(sinkId);
  }

  /** The server sends the first of this response. */
  async begin(response) {
    this.end();
    this.response = response;
    this.element.muted = false;
    const sentAt = performance.now();
    this.begunAt = sentAt;
    const delayMs = await this.delayMs();
    if (this.response !== response || this.begunAt !== sentAt) return;
    this.begunAt += delayMs;
    this.emit("started", { response, at: this.begunAt });
  }

  /** All of it has been sent, and `heard`; or the rest is not going to be. */
  end({ heard = false } = {}) {
    const { response } = this;
    if (response === null) return;
    const samples = this.samples;
    this.response = null;
    if (heard) this.emit("finished", { response, samples });
    this.emit("silent", {});
  }

  hush() {
    this.element.muted = true;
  }

  get samples() {
    return Math.max(0, Math.round((performance.now() - this.begunAt) * SAMPLES_PER_MS));
  }

  /** What the browser keeps of the stream, so as not to stutter, and what its output takes. */
  async delayMs() {
    const context = await runningContext();
    let bufferS = 0;
    for (const { type, jitterBufferDelay = 0, jitterBufferEmittedCount: count = 0 } of (await this.receiver?.getStats())?.values() ?? []) {
      if (type === "inbound-rtp" && count > 0) bufferS = jitterBufferDelay / count;
    }
    return (bufferS + (context.outputLatency || context.baseLatency || 0)) * 1000;
  }

  measured({ pcm, level, at }) {
    this.frames += 1;
    if (this.response === null || this.element.muted) return;
    this.emit("heard", { pcm, at });
    if (this.frames % FRAMES_SHOWN !== 0) return;
    this.emit("sounding", { response: this.response, samples: this.samples, level });
  }

  emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
