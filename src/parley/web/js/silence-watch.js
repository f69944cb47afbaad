// Says that no sound comes from the microphone while it should: nothing but zeros, as from one that is muted in the system or at the device.
//
// Laws: a quiet room is not silent, and a headset that gates its noise is silent for a while only; what is muted here is not complained of.

const FRAMES_PER_S = 50;
const FIRST_S = 4; // Until it is said where nothing was heard since the microphone was opened,
const LATER_S = 60; // and where something was.

export class SilenceWatch {
  /** `onSilence()` when it has been silent for too long, `onSound()` when it is heard again after that. */
  constructor({ onSilence, onSound }) {
    this.on = { onSilence, onSound };
    this.reset();
  }

  /** The microphone is opened anew, or closed. */
  reset() {
    if (this.told) this.on.onSound();
    this.frames = 0;
    this.heard = false;
    this.told = false;
  }

  /** A frame of the microphone. */
  hear({ level }) {
    if (level > 0) {
      if (this.told) this.on.onSound();
      this.frames = 0;
      this.heard = true;
      this.told = false;
      return;
    }
    this.frames += 1;
    if (this.told || this.frames < FRAMES_PER_S * (this.heard ? LATER_S : FIRST_S)) return;
    this.told = true;
    this.on.onSilence();
  }
}
