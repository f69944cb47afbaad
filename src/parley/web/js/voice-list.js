// The list of voices in the settings: grouped by language, each with a few words and a button that plays it.
//
// Laws: one voice is heard at a time, and a second press stops it; what is heard is a sentence in the voice's language. The list is made
// when it is opened.
// Events: "chosen" (detail: the voice's name).

import { element } from "./dom.js";
import { sampleSentence } from "./sample-sentences.js";
import { speech } from "./server.js";
import { voiceGroups, voiceLine, voiceName, voiceWords } from "./voice-words.js";

const PLAY = "M8 5.5v13l11-6.5z";
const STOP = "M7 7h10v10H7z";

export class VoiceList extends EventTarget {
  /** `place`: a details element with an output in its summary, a group for the voices and a paragraph for what goes wrong. */
  constructor(place) {
    super();
    this.place = place;
    this.now = place.querySelector("summary output");
    this.group = place.querySelector("[role=radiogroup]");
    this.note = place.querySelector(".note");
    this.pipeline = null;
    this.chosen = "";
    this.player = new Audio();
    this.player.addEventListener("ended", () => this.stop());
    this.button = null; // that of the voice that is heard
    place.addEventListener("toggle", () => (place.open ? this.draw() : this.stop()));
  }

  /** What there is to choose from, and what is chosen. */
  show(pipeline, chosen) {
    const other = pipeline !== this.pipeline;
    Object.assign(this, { pipeline, chosen });
    const voice = this.voices.find(({ name }) => name === chosen);
    this.now.textContent = voice ? voiceLine(voice) : chosen;
    if (!this.place.open) this.group.replaceChildren();
    else if (other) this.draw();
    else for (const radio of this.group.querySelectorAll("input")) radio.checked = radio.value === chosen;
  }

  get voices() {
    return this.pipeline?.voices ?? [];
  }

  draw() {
    this.stop();
    const groups = this.pipeline ? voiceGroups(this.pipeline) : [];
    const folded = groups.filter(({ wide }) => !wide);
    const parts = groups.filter(({ wide }) => wide).map((group) => this.part(group));
    if (folded.length > 0) {
      const more = element("details", { class: "more-voices" }, element("summary", {}, `More languages (${folded.length})`));
      more.append(...folded.map((group) => this.part(group)));
      more.open = folded.some(({ voices }) => voices.some(({ name }) => name === this.chosen));
      parts.push(more);
    }
    this.group.replaceChildren(...parts);
    this.group.querySelector("input:checked")?.closest("li").scrollIntoView({ block: "nearest" });
  }

  part({ title, note, voices, alike = false }) {
    const list = element("ul", {}, ...voices.map((voice) => this.row(voice, alike ? "" : voiceWords(voice))));
    const alone = voices.length === 1 && voiceName(voices[0]) === title;
    const part = element("section", { "aria-label": title });
    if (!alone) part.append(element("h3", {}, title));
    if (note) part.append(element("p", { class: "note" }, note));
    part.append(list);
    return part;
  }

  row(voice, words) {
    const radio = element("input", { type: "radio", name: "voice", value: voice.name });
    radio.checked = voice.name === this.chosen;
    radio.addEventListener("change", () => this.dispatchEvent(new CustomEvent("chosen", { detail: voice.name })));
    const usual = voice.name === this.pipeline.voice ? "default" : "";
    const about = [words, usual].filter(Boolean).join(", ");
    const label = element("label", {}, radio, element("span", { class: "name" }, voiceName(voice)), element("span", { class: "note" }, about));
    const row = element("li", {}, label);
    if (this.pipeline.previews) row.append(this.previewOf(voice));
    return row;
  }

  previewOf(voice) {
    const button = element("button", { class: "round hear", type: "button", "aria-pressed": "false", "aria-label": `Hear ${voiceName(voice)}`, title: `Hear ${voiceName(voice)}` });
    button.innerHTML = `<svg viewBox="0 0 24 24" aria-hidden="true"><path d="${PLAY}" fill="currentColor"/></svg>`;
    button.addEventListener("click", () => (this.button === button ? this.stop() : this.play(voice, button)));
    return button;
  }

  async play(voice, button) {
    this.stop();
    this.button = button;
    this.mark("loading");
    try {
      const recording = await speech(this.pipeline.name, voice.name, sampleSentence(voice.language || this.pipeline.language));
      if (this.button !== button) return;
      this.player.src = URL.createObjectURL(recording);
      await this.player.play();
      if (this.button === button) this.mark("playing");
    } catch (error) {
      if (this.button !== button) return;
      this.stop();
      this.note.textContent = error.message;
    }
  }

  stop() {
    this.player.pause();
    if (this.player.src) URL.revokeObjectURL(this.player.src);
    this.note.textContent = "";
    this.mark("");
    this.button = null;
  }

  /** What the button of the voice that is heard shows: "loading", "playing", or "" for nothing. */
  mark(state) {
    if (!this.button) return;
    this.button.dataset.state = state;
    this.button.setAttribute("aria-pressed", String(state !== ""));
    this.button.querySelector("path").setAttribute("d", state ? STOP : PLAY);
  }
}
