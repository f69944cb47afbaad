// Says that no sound comes from the microphone while it should: nothing but zeros, as from one that is muted in the system or at the device.
//
// Laws: a quiet room is not silent, and a headset that gates its noise is silent for a while only; what is muted here is not complained of, and
// neither is the time before; a microphone that was heard once, before a pause or not, is given the longer time, counted from what was heard last.

const FRAMES_PER_S = 50;
const FIRST_S = 4; // Until it is said where nothing was ever heard of this microphone,
const LATER_S = 60; // and where something was.

export class SilenceWatch {
  /** `onSilence({heard})` when it has been silent for too long (`heard`: it was not, before); `onSound()` when that is over. */
  constructor({ onSilence, onSound }) {
    this.on = { onSilence, onSound };
    this.heard = false;
    this.reset();
  }

  /** It is opened again, or closed. */
  reset() {
    if (this.told) this.on.onSound();
    this.frames = 0;
    this.told = false;
  }

  /** Another microphone is used. */
  change() {
    this.heard = false;
    this.reset();
  }

  /** A frame of the microphone. */
  hear({ level }, { muted = false } = {}) {
    if (muted || level > 0) {
      this.heard ||= !muted;
      this.reset();
      return;
    }
    this.frames += 1;
    if (this.told || this.frames < FRAMES_PER_S * (this.heard ? LATER_S : FIRST_S)) return;
    this.told = true;
    this.on.onSilence({ heard: this.heard });
  }
}
