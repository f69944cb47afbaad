// The loudspeaker: items of speech in, sound out, and an exact account of what was played.
//
// Laws: positions are 24 kHz samples of an item; `stop()` silences within 15 ms and then tells how far each item came. Plays on the audio
// thread (playback.worklet.js) where the browser gives one, and else by timed buffers (buffered-playback.js).

import { BufferedPlayback } from "./buffered-playback.js";
import { runningContext } from "./sound.js";

export class Loudspeaker extends EventTarget {
  // Events (detail): started {item, at: performance time}, playing {item, played, level, at: performance time}, finished {item, played}, underrun {item}, silent.
  constructor() {
    super();
    this.player = null; // takes the messages of playback.worklet.js
    this.output = null;
    this.underruns = 0;
    this.sinkId = "";
    this.stops = new Map();
    this.waiting = [];
    this.opening = null;
  }

  /** Makes it ready; call it from a gesture. */
  open() {
    this.opening ??= this.build();
    return this.opening;
  }

  async build() {
    const context = await runningContext();
    this.context = context;
    this.output = context.createGain();
    this.output.connect(context.destination);
    this.player = context.audioWorklet ? this.onAudioThread() : new BufferedPlayback(context, this.output, (data) => this.onReport(data));
    this.waiting.splice(0).forEach((message) => this.player.postMessage(message));
    if (this.sinkId) await this.useDevice(this.sinkId);
  }

  onAudioThread() {
    const node = new AudioWorkletNode(this.context, "parley-playback", { numberOfInputs: 0, outputChannelCount: [1] });
    node.port.onmessage = ({ data }) => this.onReport(data);
    node.connect(this.output);
    return node.port;
  }

  send(message) {
    if (this.player) this.player.postMessage(message);
    else this.waiting.push(message);
  }

  play(item, pcm) {
    this.send({ push: item, pcm });
  }

  end(item) {
    this.send({ end: item });
  }

  /** Silence. Resolves to {item: samples played} of every item that was not played out. */
  stop() {
    if (!this.player) {
      const items = new Set(this.waiting.splice(0).map((message) => message.push ?? message.end));
      return Promise.resolve(Object.fromEntries([...items].map((item) => [item, 0])));
    }
    const token = crypto.randomUUID?.() ?? String(Math.random());
    return new Promise((resolve) => {
      this.stops.set(token, resolve);
      this.send({ stop: token });
    });
  }

  get choosable() {
    return "setSinkId" in (globalThis.AudioContext?.prototype ?? {});
  }

  async useDevice(sinkId) {
    this.sinkId = sinkId;
    if (this.context && this.choosable) await this.context.setSinkId(sinkId);
  }

  onReport(data) {
    if (data.stopped !== undefined) {
      this.stops.get(data.stopped)?.(data.played);
      this.stops.delete(data.stopped);
      this.emit("silent", {});
    } else if (data.started !== undefined) {
      this.emit("started", { item: data.started, at: this.heardAt(data.at) });
    } else if (data.playing !== undefined) {
      this.emit("playing", { item: data.playing, played: data.played, level: data.level, at: this.heardAt(data.at) });
    } else if (data.finished !== undefined) {
      this.emit("finished", { item: data.finished, played: data.played });
    } else if (data.underrun !== undefined) {
      this.underruns += 1;
      this.emit("underrun", { item: data.underrun });
    } else if (data.silent) {
      this.emit("silent", {});
    }
  }

  /** When a moment of the context's clock reaches the ear, on `performance.now()`'s clock. */
  heardAt(contextTime) {
    const { context } = this;
    const delay = context.outputLatency || context.baseLatency || 0;
    return performance.now() + (contextTime - context.currentTime + delay) * 1000;
  }

  emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
