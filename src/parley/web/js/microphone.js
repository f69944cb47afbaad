// The microphone: permission, device, and 20 ms frames.
//
// Laws: opened only when the user asks; a refusal is a `MicrophoneError` that names the state to show; echo cancellation on, since most
// people talk to loudspeakers.

import { measured } from "./sound.js";

/** `reason`: "insecure", "denied", "absent", "busy" or "broken". */
export class MicrophoneError extends Error {
  constructor(reason, cause) {
    super(`microphone ${reason}`, { cause });
    this.reason = reason;
  }
}

const REASONS = {
  NotAllowedError: "denied",
  SecurityError: "denied",
  NotFoundError: "absent",
  OverconstrainedError: "absent",
  NotReadableError: "busy",
  AbortError: "busy",
};

export class Microphone {
  /** `onFrame({pcm, level, at})` for each 20 ms, which ended at that performance time; `onLost()` when the device is unplugged or the permission withdrawn. */
  constructor(onFrame, onLost) {
    this.onFrame = onFrame;
    this.onLost = onLost;
    this.stream = null;
    this.end = () => {}; // of the measuring
  }

  get open() {
    return this.stream !== null;
  }

  /** What it hears, for a call; null where it is closed. */
  get track() {
    return this.stream?.getAudioTracks()[0] ?? null;
  }

  async start({ deviceId = "", echoCancellation = true, noiseSuppression = true } = {}) {
    this.stop();
    if (!navigator.mediaDevices?.getUserMedia) throw new MicrophoneError("insecure");
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({
        audio: {
          channelCount: 1,
          echoCancellation,
          noiseSuppression,
          autoGainControl: true,
          ...(deviceId && { deviceId: { exact: deviceId } }),
        },
      });
    } catch (error) {
      if (deviceId && error.name === "OverconstrainedError") return this.start({ echoCancellation, noiseSuppression });
      throw new MicrophoneError(REASONS[error.name] ?? "broken", error);
    }
    this.stream = stream;
    stream.getAudioTracks()[0].addEventListener("ended", () => {
      if (this.stream !== stream) return;
      this.stop();
      this.onLost();
    });
    const end = await measured(stream, (frame) => this.onFrame(frame));
    if (this.stream === stream) this.end = end;
    else end();
    return undefined;
  }

  stop() {
    this.stream?.getTracks().forEach((track) => track.stop());
    this.stream = null;
    this.end();
    this.end = () => {};
  }
}
