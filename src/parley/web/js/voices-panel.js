// The sheet of voices: two of them compared, and voices of one's own made and removed.
//
// Laws: a clip stays in this page until "Make the voice" sends it; one thing is recorded, and one played, at a time.
// Events: "chosen" (detail: the voice), "changed" (the server's voices are others now).

import { ClipRecorder } from "./clip.js";
import { byId, closesBeside, element, fill } from "./dom.js";
import { byName } from "./languages.js";
import { preferences } from "./preferences.js";
import { addConsent, addVoice, consentPhrases, ownVoices, removeVoice, speech } from "./server.js";
import { microphoneTrouble } from "./states.js";

const CONSENT_S = 20; // The sentence takes six.
const SAMPLE_S = 20; // The passage takes ten.
const SHORTEST_SAMPLE_S = 3;
const PASSAGE =
  "When I was small, the harbour was full of boats. We counted them every morning, and every morning there was one more, or one less. " +
  "Where did they all go? Nobody could ever tell me.";

export class VoicesPanel extends EventTarget {
  constructor() {
    super();
    this.dialog = byId("voices");
    this.pipeline = null;
    this.phrases = {};
    this.clips = { consent: null, sample: null };
    this.player = new Audio();
    this.recorder = new ClipRecorder();
    this.recorded = ""; // Which of the clips the recorder is at.
    byId("passage").textContent = PASSAGE;
    this.wire();
  }

  async open(pipeline) {
    this.pipeline = pipeline;
    this.showChoices();
    this.dialog.showModal();
    await Promise.all([this.showOwn(), this.showPhrases()]);
  }

  wire() {
    for (const side of ["a", "b"]) {
      byId(`play-${side}`).addEventListener("click", () => this.play(side));
      byId(`use-${side}`).addEventListener("click", () => this.use(byId(`voice-${side}`).value));
      byId(`voice-${side}`).addEventListener("change", () => this.note(""));
    }
    byId("voices-close").addEventListener("click", () => this.dialog.close());
    this.dialog.addEventListener("close", () => this.silence());
    closesBeside(this.dialog);
    byId("consent-language").addEventListener("change", () => this.showPhrase());
    byId("new-voice").addEventListener("input", () => this.showReady());
    for (const clip of ["consent", "sample"]) byId(`record-${clip}`).addEventListener("click", () => this.record(clip));
    byId("make-voice").addEventListener("click", () => this.make());
    this.recorder.addEventListener("level", ({ detail }) => this.showLevel(detail));
    this.recorder.addEventListener("end", ({ detail }) => this.keep(detail));
    this.recorder.addEventListener("lost", ({ detail }) => this.showRecording(microphoneTrouble(detail.reason).title));
  }

  silence() {
    this.player.pause();
    this.recorder.abandon();
    this.recorded = "";
    this.showRecording();
  }

  // --- compare ------------------------------------------------------------------------------------------------------------------------

  /** Every voice of the pipeline, twice; A is the one in use. */
  showChoices() {
    const { voices = [], voice = "" } = this.pipeline ?? {};
    const all = [...voices.filter(({ of }) => of === "user"), ...voices.filter(({ of }) => of !== "user")].map(({ name }) => name);
    const used = all.includes(preferences.voice) ? preferences.voice : voice;
    const wanted = { a: used, b: all.find((name) => name !== used) ?? used };
    for (const side of ["a", "b"]) {
      const select = byId(`voice-${side}`);
      fill(select, all.map((name) => [name, name]), all.includes(select.value) ? select.value : wanted[side]);
    }
  }

  async play(side) {
    const voice = byId(`voice-${side}`).value;
    const text = byId("sample").value.trim();
    if (!text) return this.note("Enter a text to say.");
    this.player.pause();
    this.note(`Making the sample of ${side.toUpperCase()}, ${voice}.`);
    try {
      const recording = await speech(this.pipeline?.name ?? "", voice, text);
      URL.revokeObjectURL(this.player.src);
      this.player.src = URL.createObjectURL(recording);
      this.player.onended = () => this.note("");
      await this.player.play();
      this.note(`Playing ${side.toUpperCase()}, ${voice}.`);
    } catch (error) {
      this.note(error.message);
    }
    return undefined;
  }

  use(voice) {
    this.dispatchEvent(new CustomEvent("chosen", { detail: voice }));
    this.note(`Replies use ${voice} from now on.`);
  }

  note(text) {
    byId("compare-note").textContent = text;
  }

  // --- own voices ---------------------------------------------------------------------------------------------------------------------

  async showOwn() {
    let voices = [];
    try {
      voices = await ownVoices();
    } catch (error) {
      byId("no-own-voices").textContent = error.message;
    }
    byId("no-own-voices").hidden = voices.length > 0;
    byId("own-voices").replaceChildren(...voices.map((voice) => this.ownVoice(voice)));
  }

  ownVoice({ id, name }) {
    const remove = element("button", { class: "plain", type: "button", "aria-label": `Remove ${name}` }, "Remove");
    remove.addEventListener("click", async () => {
      if (remove.dataset.sure === undefined) {
        remove.dataset.sure = "";
        remove.textContent = "Press again to remove";
        return;
      }
      await removeVoice(id).catch((error) => this.note(error.message));
      await this.changed();
    });
    return element("li", {}, name, element("span", { class: "note" }, id), remove);
  }

  async changed() {
    await this.showOwn();
    this.dispatchEvent(new Event("changed"));
  }

  /** The pipelines were asked for again. */
  serve(pipeline) {
    this.pipeline = pipeline;
    this.showChoices();
  }

  // --- a new one ----------------------------------------------------------------------------------------------------------------------

  async showPhrases() {
    const able = this.pipeline?.clones ?? false;
    byId("steps").hidden = !able;
    byId("cannot-add").hidden = able;
    byId("cannot-add").textContent = "This pipeline cannot make a voice from a recording. That needs one whose speech engine can, such as phonon.";
    if (!able) return;
    this.phrases = await consentPhrases().catch(() => ({}));
    const select = byId("consent-language");
    const own = navigator.language.split("-")[0];
    fill(select, byName(Object.keys(this.phrases)), select.value || (own in this.phrases ? own : "en"));
    this.showPhrase();
  }

  showPhrase() {
    const tag = byId("consent-language").value;
    byId("consent-phrase").textContent = this.phrases[tag] ?? "";
    byId("consent-phrase").lang = tag;
    this.clips.consent = null;
    this.showRecording();
  }

  async record(clip) {
    if (this.recorder.recording) {
      const same = this.recorded === clip;
      this.recorder.stop();
      if (same) return;
    }
    this.player.pause();
    this.recorded = clip;
    this.clips[clip] = null;
    try {
      await this.recorder.start(clip === "consent" ? CONSENT_S : SAMPLE_S, preferences.microphone);
      this.showRecording();
    } catch (error) {
      this.recorded = "";
      this.showRecording();
      byId(`${clip}-state`).textContent = microphoneTrouble(error.reason).title;
    }
  }

  keep({ recording, seconds }) {
    const clip = this.recorded;
    this.recorded = "";
    const short = clip === "sample" && seconds < SHORTEST_SAMPLE_S;
    if (!short) this.clips[clip] = { recording, seconds };
    this.showRecording();
    if (short) byId("sample-state").textContent = "That was too short.";
  }

  showLevel({ level, seconds }) {
    const clip = this.recorded;
    if (!clip) return;
    byId(`${clip}-level`).value = Math.min(1, level);
    byId(`${clip}-state`).textContent = `${seconds.toFixed(0)} s`;
  }

  showRecording(trouble = "") {
    for (const clip of ["consent", "sample"]) {
      const active = this.recorded === clip && this.recorder.recording;
      const kept = this.clips[clip];
      byId(`record-${clip}`).textContent = active ? "Stop" : kept ? "Record again" : "Record";
      byId(`${clip}-level`).hidden = !active;
      if (!active) byId(`${clip}-state`).textContent = kept ? `${kept.seconds.toFixed(1)} s recorded` : "";
    }
    if (trouble) byId("make-note").textContent = trouble;
    this.showReady();
  }

  showReady() {
    const { consent, sample } = this.clips;
    byId("make-voice").disabled = !(consent && sample && byId("new-voice").value.trim());
  }

  async make() {
    const name = byId("new-voice").value.trim();
    const { consent, sample } = this.clips;
    byId("make-voice").disabled = true;
    byId("make-note").textContent = "The server checks the consent, then makes the voice.";
    try {
      const { id } = await addConsent(name, byId("consent-language").value, consent.recording);
      await addVoice(name, id, sample.recording, PASSAGE);
      this.clips = { consent: null, sample: null };
      byId("new-voice").value = "";
      await this.changed();
      byId("make-note").textContent = `${name} is ready: compare it above, or use it.`;
    } catch (error) {
      byId("make-note").textContent = error.message;
    }
    this.showRecording();
  }
}
