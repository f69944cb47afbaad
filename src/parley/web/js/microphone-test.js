// The test of the microphone, before or beside a conversation: the level while three seconds are recorded, then how they sound, and which device
// heard them.
//
// Laws: the recording stays in this page and is forgotten once it was played; the microphone is open only while it is recorded; a test ends
// where the conversation, or the interpreter, begins to listen.

import { ClipRecorder } from "./clip.js";
import { element } from "./dom.js";
import { loudness } from "./loudness.js";
import { preferences } from "./preferences.js";
import { microphoneTrouble } from "./states.js";

const SECONDS = 3;
const QUIET = 0.004; // -48 dBFS: speech into a microphone that is set right is 20 dB above.

export class MicrophoneTest {
  /** `place`: an empty element. `before()` is called before the microphone is opened, and answers why it cannot be ("": it can). */
  constructor(place, { before = () => "" } = {}) {
    this.before = before;
    this.recorder = new ClipRecorder();
    this.player = new Audio();
    this.device = "";
    this.most = 0; // the loudest frame
    this.bar = element("i");
    this.level = element("span", { class: "level", role: "meter", "aria-label": "Level of the microphone", "aria-valuemin": "0", "aria-valuemax": "100", "aria-valuenow": "0" }, this.bar);
    this.button = element("button", { class: "plain", type: "button" }, "Test the microphone");
    this.says = element("p", { class: "note", role: "status" });
    place.append(this.button, this.level, this.says);
    this.level.hidden = true;
    this.button.addEventListener("click", () => (this.running ? this.end() : this.start()));
    this.recorder.addEventListener("level", ({ detail }) => this.show(detail));
    this.recorder.addEventListener("end", ({ detail }) => this.heard(detail));
    this.recorder.addEventListener("lost", ({ detail }) => this.rest(microphoneTrouble(detail.reason).title));
    this.player.addEventListener("ended", () => this.rest(`${this.device} works.`));
  }

  get running() {
    return this.recorder.recording || !this.player.paused;
  }

  async start() {
    const refusal = this.before();
    if (refusal) return this.rest(refusal);
    this.most = 0;
    this.says.textContent = "";
    try {
      await this.recorder.start(SECONDS, preferences.microphone);
    } catch (error) {
      const { title, text } = microphoneTrouble(error.reason);
      return this.rest(`${title}. ${text}`);
    }
    if (!this.recorder.recording) return undefined; // It was ended meanwhile.
    this.device = this.recorder.microphone.track?.label || "The microphone";
    this.level.hidden = false;
    this.button.textContent = "Stop";
    this.says.textContent = `Say something: ${this.device} is listening.`;
    return undefined;
  }

  show({ level }) {
    this.most = Math.max(this.most, level);
    const percent = Math.round(100 * loudness(level));
    this.bar.style.transform = `scaleX(${percent / 100})`;
    this.level.setAttribute("aria-valuenow", String(percent));
  }

  async heard({ recording }) {
    if (this.most === 0) return this.rest(`No sound comes in from ${this.device}. Is the microphone muted?`);
    if (this.most < QUIET) return this.rest(`${this.device} records hardly any sound. Come closer, or raise its volume in the system's settings.`);
    this.level.hidden = true;
    this.button.textContent = "Stop";
    this.says.textContent = "This is how you sound.";
    this.player.src = URL.createObjectURL(recording);
    try {
      if (preferences.speaker && this.player.setSinkId) await this.player.setSinkId(preferences.speaker);
      await this.player.play();
    } catch (error) {
      this.rest(`${this.device} works, but the recording could not be played: ${error.message}`);
    }
    return undefined;
  }

  /** Ends it, whatever it is at. */
  end() {
    this.recorder.abandon();
    this.rest("");
  }

  rest(text) {
    this.player.pause();
    if (this.player.src) URL.revokeObjectURL(this.player.src);
    this.level.hidden = true;
    this.bar.style.transform = "scaleX(0)";
    this.button.textContent = text ? "Test again" : "Test the microphone";
    this.says.textContent = text;
  }
}
