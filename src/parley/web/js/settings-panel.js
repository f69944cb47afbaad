// The settings sheet: shows what was chosen, and says what has changed.
//
// Events: "behaviour" (a session.update will do), "anew" (needs a new conversation), "connection", "microphone", "speaker", "mode", "voice",
// "defaults".

import { byId, closesBeside, fill } from "./dom.js";
import { prefer, preferDefaults, preferences } from "./preferences.js";
import { storeKey, storedKey } from "./server.js";
import { devices } from "./sound.js";
import { VoiceList } from "./voice-list.js";

export class SettingsPanel extends EventTarget {
  constructor(loudspeaker) {
    super();
    this.loudspeaker = loudspeaker;
    this.dialog = byId("settings");
    this.pipelines = [];
    this.voices = new VoiceList(byId("voice-choice"));
    this.wire();
    this.show();
    navigator.mediaDevices?.addEventListener?.("devicechange", () => this.dialog.open && this.showDevices());
  }

  open() {
    this.show();
    this.showDevices();
    byId("forget-key").hidden = !storedKey();
    this.dialog.showModal();
  }

  /** The pipelines that the server serves, the default first. */
  serve(pipelines) {
    this.pipelines = pipelines;
    this.show();
  }

  get pipeline() {
    return this.pipelines.find(({ name }) => name === preferences.pipeline) ?? this.pipelines[0];
  }

  /** What to connect to; "" is the server's default. */
  get model() {
    return this.pipeline?.name ?? "";
  }

  wire() {
    const on = (id, name, read, effect) =>
      byId(id).addEventListener("change", ({ target }) => {
        prefer({ [name]: read(target) });
        this.show();
        this.tell(effect);
      });
    const value = (target) => target.value;
    const number = (target) => Number(target.value);
    const checked = (target) => target.checked;
    byId("pipeline").addEventListener("change", ({ target }) => {
      prefer({ pipeline: target.value });
      if (!this.voiceNames.includes(preferences.voice)) prefer({ voice: "" });
      this.show();
      this.tell("anew");
    });
    this.voices.addEventListener("chosen", ({ detail }) => this.chooseVoice(detail));
    on("speed", "speed", number, "behaviour");
    on("instructions", "instructions", ({ value: text }) => (text.trim() && text !== this.pipeline?.instructions ? text : null), "behaviour");
    on("with-tools", "tools", checked, "behaviour");
    on("silence", "silenceMs", number, "behaviour");
    on("threshold", "threshold", number, "behaviour");
    on("eagerness", "eagerness", value, "behaviour");
    on("interruptible", "interruptible", checked, "behaviour");
    on("microphone", "microphone", value, "microphone");
    on("speaker", "speaker", value, "speaker");
    on("echo", "echoCancellation", checked, "microphone");
    on("noise", "noiseSuppression", checked, "microphone");
    on("connection", "connection", value, "connection");
    on("shortcuts", "shortcuts", checked, "");
    for (const id of ["speed", "silence", "threshold"]) byId(id).addEventListener("input", () => this.showNumbers());
    for (const radio of document.getElementsByName("turns")) {
      radio.addEventListener("change", () => this.chooseTurns(radio.value));
    }
    const defaults = byId("defaults");
    defaults.addEventListener("click", () => this.sure(defaults) && this.defaults());
    this.dialog.addEventListener("close", () => this.unsure(defaults));
    byId("forget-key").addEventListener("click", () => {
      storeKey("");
      location.reload();
    });
    this.dialog.addEventListener("close", () => (byId("voice-choice").open = false));
    closesBeside(this.dialog);
  }

  chooseVoice(voice) {
    prefer({ voice });
    this.show();
    this.tell("voice");
  }

  chooseTurns(turns) {
    prefer({ turns });
    this.show();
    this.tell("mode");
  }

  show() {
    const { pipeline } = this;
    fill(byId("pipeline"), this.pipelines.map(({ name }, index) => [name, index === 0 && name !== "default" ? `${name} (default)` : name]), this.model);
    byId("chain").textContent = pipeline ? Object.values(pipeline.engines).map((engine) => engine.name).join(" → ") : "";
    this.showVoices(pipeline);
    byId("speed").value = preferences.speed;
    byId("instructions").value = preferences.instructions ?? pipeline?.instructions ?? "";
    const tools = pipeline?.tools ?? true;
    Object.assign(byId("with-tools"), { checked: preferences.tools && tools, disabled: !tools });
    byId("silence").value = preferences.silenceMs;
    byId("threshold").value = preferences.threshold;
    byId("eagerness").value = preferences.eagerness;
    byId("interruptible").checked = preferences.interruptible;
    byId("echo").checked = preferences.echoCancellation;
    byId("noise").checked = preferences.noiseSuppression;
    byId("connection").value = preferences.connection;
    byId("shortcuts").checked = preferences.shortcuts;
    for (const radio of document.getElementsByName("turns")) radio.checked = radio.value === preferences.turns;
    for (const part of this.dialog.querySelectorAll("[data-for]")) {
      const free = preferences.turns !== "hold";
      part.hidden = part.dataset.for === "free" ? !free : part.dataset.for !== preferences.turns;
    }
    this.showNumbers();
  }

  showNumbers() {
    byId("speed-value").textContent = `${Number(byId("speed").value).toFixed(2)} ×`;
    byId("silence-value").textContent = `${byId("silence").value} ms`;
    byId("threshold-value").textContent = Number(byId("threshold").value).toFixed(2);
  }

  get voiceNames() {
    return (this.pipeline?.voices ?? []).map(({ name }) => name);
  }

  showVoices(pipeline) {
    this.voices.show(pipeline, this.voiceNames.includes(preferences.voice) ? preferences.voice : pipeline?.voice ?? "");
  }

  /** Whether a button that cannot be taken back was pressed for the second time. */
  sure(button) {
    if (button.dataset.sure !== undefined) {
      this.unsure(button);
      return true;
    }
    button.dataset.sure = button.textContent;
    button.textContent = "Press again: all that you chose here is reset";
    return false;
  }

  unsure(button) {
    if (button.dataset.sure === undefined) return;
    button.textContent = button.dataset.sure;
    delete button.dataset.sure;
  }

  defaults() {
    preferDefaults();
    this.show();
    this.showDevices();
    for (const effect of ["connection", "mode", "microphone", "speaker"]) this.tell(effect);
  }

  async showDevices() {
    const [microphones, speakers] = await Promise.all([devices("audioinput"), devices("audiooutput")]);
    fill(byId("microphone"), [["", "System default"], ...named(microphones, "Microphone")], preferences.microphone);
    fill(byId("speaker"), [["", "System default"], ...named(speakers, "Loudspeaker")], preferences.speaker);
    byId("speaker").disabled = !this.loudspeaker.choosable;
    byId("devices-note").hidden = microphones.length > 0;
  }

  tell(type) {
    if (type) this.dispatchEvent(new Event(type));
  }
}

function named(all, kind) {
  return all.filter(({ deviceId }) => deviceId !== "default").map(({ deviceId, label }, index) => [deviceId, label || `${kind} ${index + 1}`]);
}
