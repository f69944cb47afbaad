// The microphone: permission, device, and 20 ms frames.
//
// Laws: opened only when the user asks; one tab listens at a time, since two would hear each other; a refusal is a `MicrophoneError` that names
// the state to show; echo cancellation on, since most people talk to loudspeakers.

import { Claim } from "./claim.js";
import { measured } from "./sound.js";

const RELEASED_MS = 300; // A tab that is being closed has let go of it by then.

/** `reason`: "insecure", "denied", "absent", "busy", "elsewhere" (another tab listens) or "broken". */
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

const claim = new Claim("parley.microphone"); // this tab's,
const users = new Set(); // and what listens in it

claim.addEventListener("lost", () => {
  for (const microphone of [...users]) microphone.lose("moved");
});

export class Microphone {
  /**
   * `onFrame({pcm, level, at})` for each 20 ms, which ended at that performance time; `onLost(reason)` when the device is unplugged or the permission
   * withdrawn ("lost"), or when another tab listens instead ("moved").
   */
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

  /** `take`: also where another tab listens; that one stops. */
  async start({ deviceId = "", echoCancellation = true, noiseSuppression = true, take = false } = {}) {
    this.close();
    if (!navigator.mediaDevices?.getUserMedia) throw new MicrophoneError("insecure");
    users.add(this);
    const mine = await claim.hold({ take, patienceMs: RELEASED_MS });
    if (!users.has(this)) return undefined; // It was stopped meanwhile.
    if (!mine) {
      this.stop();
      throw new MicrophoneError("elsewhere");
    }
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
      this.stop();
      throw new MicrophoneError(REASONS[error.name] ?? "broken", error);
    }
    this.close();
    this.stream = stream;
    if (!users.has(this)) return this.close();
    stream.getAudioTracks()[0].addEventListener("ended", () => {
      if (this.stream === stream) this.lose("lost");
    });
    const end = await measured(stream, (frame) => this.onFrame(frame));
    if (this.stream === stream) this.end = end;
    else end();
    return undefined;
  }

  lose(reason) {
    this.stop();
    this.onLost(reason);
  }

  /** Another tab may listen now. */
  stop() {
    this.close();
    users.delete(this);
    if (users.size === 0) claim.release();
  }

  close() {
    this.stream?.getTracks().forEach((track) => track.stop());
    this.stream = null;
    this.end();
    this.end = () => {};
  }
}
