// A clip recorded from the microphone: 24 kHz, as a WAV.
//
// Laws: the microphone is open only while the clip is recorded; a clip ends by itself after `seconds`.

import { Microphone } from "./microphone.js";
import { wav } from "./wav.js";

const RATE = 24_000;

export class ClipRecorder extends EventTarget {
  // Events (detail): level {level, seconds}, end {recording: Blob, seconds}, lost {reason}.
  constructor() {
    super();
    this.frames = [];
    this.limit = 0;
    this.microphone = new Microphone((frame) => this.hear(frame), (reason) => this.lose(reason));
  }

  get recording() {
    return this.microphone.open;
  }

  get seconds() {
    return this.frames.reduce((sum, { length }) => sum + length, 0) / RATE;
  }

  /** Begins; throws a `MicrophoneError`. The voice is wanted as it is: nothing cancels or suppresses anything. */
  async start(seconds, deviceId) {
    this.frames = [];
    this.limit = seconds;
    await this.microphone.start({ deviceId, echoCancellation: false, noiseSuppression: false });
  }

  hear({ pcm, level }) {
    if (!this.recording) return;
    this.frames.push(pcm);
    this.emit("level", { level, seconds: this.seconds });
    if (this.seconds >= this.limit) this.stop();
  }

  /** Ends the clip. Without effect where none is recorded. */
  stop() {
    if (!this.recording) return;
    this.microphone.stop();
    const { frames, seconds } = this;
    this.frames = [];
    this.emit("end", { recording: wav(frames), seconds });
  }

  /** Ends without a clip. */
  abandon() {
    this.microphone.stop();
    this.frames = [];
  }

  lose(reason) {
    this.frames = [];
    this.emit("lost", { reason });
  }

  emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
