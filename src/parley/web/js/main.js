// The page: puts sound, talk and picture together, and answers to pointer and keyboard. It is the conversation view itself; interpreter.js is
// the other one, and views.js tells which is shown.
//
// Reading path: talk.js (the conversation), link.js (the connection), transcript.js (what was said), dial.js and captions.js (the picture).

import { Alerts } from "./alerts.js";
import { Captions } from "./captions.js";
import { Dial } from "./dial.js";
import { byId } from "./dom.js";
import { Interpreter } from "./interpreter.js";
import { Keys } from "./keys.js";
import { Loudspeaker } from "./loudspeaker.js";
import { Microphone } from "./microphone.js";
import { microphoneOptions, prefer, preferences } from "./preferences.js";
import { pipelines, storedKey, storeKey } from "./server.js";
import { SettingsPanel } from "./settings-panel.js";
import { drawLegend, drawStage } from "./stage.js";
import { connectedWords, microphoneTrouble, serverTrouble } from "./states.js";
import { Talk } from "./talk.js";
import { nextTheme, theme } from "./theme.js";
import { TurnFigures } from "./turn-figures.js";
import { Views } from "./views.js";
import { VoicesPanel } from "./voices-panel.js";
import { showWay } from "./way.js";

const CONNECTION_NOTE = byId("connection-note").textContent;
const FIRST_LOOK_MS = 1000; // Until the server is asked again when it did not answer at first; doubled up to fifteen seconds.

class Page {
  constructor() {
    this.loudspeaker = new Loudspeaker();
    this.loudspeaker.sinkId = preferences.speaker;
    this.talk = new Talk(this.loudspeaker);
    this.talk.voice.sinkId = preferences.speaker;
    this.microphone = new Microphone((frame) => this.talk.hear(frame), () => this.microphoneLost("lost"));
    this.settings = new SettingsPanel(this.loudspeaker);
    this.voices = new VoicesPanel();
    this.alerts = new Alerts(byId("alert"));
    this.dial = new Dial(byId("ring"));
    this.captions = new Captions({
      list: byId("entries"), scroll: byId("scroll"), empty: byId("empty"), down: byId("down"), said: byId("said"),
    });
    this.interpreter = new Interpreter();
    this.views = new Views();
    this.status = { text: "Ready", state: "closed" };
    this.starting = false;
    this.turns = new TurnFigures({ transcript: this.talk.transcript, captions: this.captions, dial: this.dial });
    this.watchTalk();
    this.watchViews();
    this.watchControls();
    new Keys(this);
    byId("host").textContent = location.host;
    this.showTheme();
    this.draw();
    this.findServer(FIRST_LOOK_MS);
  }

  get hold() {
    return preferences.turns === "hold";
  }

  // --- the views ----------------------------------------------------------------------------------------------------------------------

  /** The one that is shown. */
  get view() {
    return this.views.name === "interpreter" ? this.interpreter : this;
  }

  /** One microphone and one pair of ears: whoever leaves a view ends what goes on there. */
  watchViews() {
    const { interpreter, views } = this;
    views.addEventListener("view", () => {
      if (this.view === this) interpreter.leave();
      else {
        this.interrupt();
        this.rest();
      }
      this.showStatus();
    });
    interpreter.addEventListener("status", () => {
      this.showStatus();
      this.showWay();
    });
    interpreter.addEventListener("locked", () => this.askForKey("That key does not open this server."));
    views.follow();
  }

  interrupt() {
    this.talk.interrupt();
  }

  get keyed() {
    return { heart: byId("heart"), scroll: byId("scroll") };
  }

  get shortcuts() {
    const { talk } = this;
    return {
      m: () => !this.hold && talk.listening && this.setMuted(!talk.muted),
      h: () => this.setMode(this.hold ? "free" : "hold"),
      n: () => this.startAnew(),
      "/": () => byId("message").focus(),
    };
  }

  // --- the server ---------------------------------------------------------------------------------------------------------------------

  async findServer(retryMs) {
    try {
      const served = await pipelines();
      this.settings.serve(served);
      this.interpreter.serve(served);
      this.alerts.clear("server");
      this.interpreter.alerts.clear("server");
      this.showLink(this.talk.link.state);
    } catch (error) {
      if (error.code === "invalid_api_key") return this.askForKey(storedKey() ? "That key does not open this server." : "");
      this.linkText("Not connected", "refused");
      const again = () => this.findServer(Math.min(15_000, retryMs * 2));
      const alert = { ...serverTrouble(error), until: performance.now() + retryMs, action: ["Try now", again] };
      this.alerts.show("server", { ...alert, whenDue: again });
      this.interpreter.alerts.show("server", alert);
    }
    return undefined;
  }

  /** The voices of the server are others now. */
  async findVoices() {
    this.settings.serve(await pipelines());
    this.voices.serve(this.settings.pipeline);
  }

  askForKey(why) {
    if (why) {
      byId("key-why").textContent = why;
      byId("key").value = "";
    }
    this.linkText("Locked", "refused");
    if (!byId("key-box").open) byId("key-box").showModal();
  }

  connect() {
    if (this.talk.link.state.name === "closed" || this.talk.link.state.name === "refused") this.talk.connect(this.settings.model);
  }

  showLink(state) {
    switch (state.name) {
      case "open":
        this.showWay();
        this.alerts.clear("server");
        return this.showConnected();
      case "connecting":
        return this.linkText(state.again ? "Reconnecting" : "Connecting", "connecting");
      case "waiting": {
        const { title, text } = serverTrouble(state.error);
        const lost = state.again ? "Your settings are kept; the conversation will start anew." : "";
        this.alerts.show("server", { title, text: [text, lost].filter(Boolean).join(" "), until: state.until, action: ["Try now", () => this.talk.connect(this.settings.model)] });
        return this.linkText(state.again ? "Reconnecting" : "Waiting for the server", "waiting");
      }
      case "refused":
        if (state.error.code === "invalid_api_key") return this.askForKey("That key does not open this server.");
        this.alerts.show("server", { ...serverTrouble(state.error), action: ["Try again", () => this.talk.connect(this.settings.model)] });
        return this.linkText("Not connected", "refused");
      default:
        return this.linkText("Ready", "closed");
    }
  }

  /** Where the page would have made a call and could not: why, and what it does instead. Where there are none, the settings say so. */
  showWay() {
    showWay(byId("way"), this.talk.link);
    const fallback = this.talk.link.fallback || this.interpreter.session.link.fallback;
    byId("connection-note").textContent = fallback ? `${fallback} The WebSocket is used.` : CONNECTION_NOTE;
  }

  /** The pipeline and the voice that speak, and whether one listens. */
  showConnected() {
    const { session, paused } = this.talk;
    this.linkText(connectedWords({ model: session?.model || this.settings.model, voice: session?.audio?.output?.voice, paused }), paused ? "paused" : "open");
  }

  linkText(text, state) {
    this.status = { text, state };
    this.showStatus();
  }

  /** The link of the view that is shown; where the server was not found yet, that of the page. */
  showStatus() {
    const { text, state } = this.view === this || this.interpreter.pipelines === null ? this.status : this.interpreter.status;
    byId("link").dataset.state = state;
    byId("anew").hidden = this.view !== this || this.talk.transcript.entries.size === 0;
    if (byId("link-text").textContent === text) return;
    byId("link-text").textContent = text;
    byId("status").textContent = text;
  }

  // --- talking ------------------------------------------------------------------------------------------------------------------------

  /** Opens the microphone and the connection; call it from a gesture. */
  async start() {
    if (this.starting || this.talk.listening) return;
    this.starting = true;
    this.draw();
    this.connect();
    try {
      await this.loudspeaker.open();
      await this.openMicrophone();
      this.talk.setListening(true);
    } catch (error) {
      this.microphoneLost(error.reason ?? "broken");
    }
    this.starting = false;
    this.draw();
  }

  async openMicrophone() {
    await this.microphone.start(microphoneOptions());
    this.talk.setMicrophone(this.microphone.track);
    this.alerts.clear("microphone");
  }

  microphoneLost(reason) {
    this.talk.setMicrophone(null);
    this.talk.setListening(false);
    this.alerts.show("microphone", { ...microphoneTrouble(reason, { typing: true }), ...(reason !== "insecure" && { action: ["Try again", () => this.start()] }) });
    this.draw();
  }

  rest() {
    this.talk.release();
    this.talk.setListening(false);
    this.microphone.stop();
    this.talk.setMicrophone(null);
    this.draw();
  }

  toggle() {
    if (this.talk.listening) this.rest();
    else this.start();
  }

  press() {
    if (this.talk.holdable) this.talk.press();
    this.draw();
  }

  release() {
    if (!this.talk.release()) this.alerts.show("hint", { title: "Hold it while you speak", text: "and let go when you are done.", forMs: 4000 });
    this.draw();
  }

  async say(text) {
    const at = performance.now(); // Connecting counts, too.
    this.connect();
    this.loudspeaker.open();
    this.talk.type(text, at);
  }

  startAnew() {
    this.talk.disconnect();
    this.talk.link.tryCalls();
    this.talk.transcript.entries.clear();
    this.captions.clear();
    this.turns.clear();
    if (this.talk.listening) this.connect();
    this.draw();
  }

  setMuted(muted) {
    this.talk.setMuted(muted);
    this.draw();
  }

  setMode(mode) {
    const free = this.freeTurns ?? "server_vad";
    if (preferences.turns !== "hold") this.freeTurns = preferences.turns;
    this.settings.chooseTurns(mode === "hold" ? "hold" : free);
  }

  // --- what happens -------------------------------------------------------------------------------------------------------------------

  watchTalk() {
    const { talk, dial, captions } = this;
    talk.addEventListener("state", ({ detail }) => {
      this.showLink(detail);
      this.draw();
    });
    talk.addEventListener("session", () => {
      this.showLink(talk.link.state);
      this.draw();
    });
    talk.addEventListener("phase", () => this.draw());
    talk.addEventListener("fault", ({ detail }) => this.alerts.show("fault", { title: "The server objects", text: detail.message, forMs: 9000 }));
    talk.addEventListener("level", ({ detail }) => {
      if (detail.input !== undefined && talk.listening && (!this.hold || talk.hold)) dial.heard(detail.input);
      if (detail.output !== undefined) dial.sounded(detail.output);
    });
    talk.addEventListener("turn", ({ detail }) => this.turns.show(detail));
    talk.transcript.addEventListener("entry", ({ detail }) => {
      captions.show(detail);
      this.showStatus();
    });
    talk.transcript.addEventListener("gone", ({ detail }) => captions.remove(detail));
  }

  watchControls() {
    const { settings, talk } = this;
    settings.addEventListener("behaviour", () => talk.configure());
    settings.addEventListener("mode", () => {
      talk.release();
      talk.configure();
      this.draw();
    });
    settings.addEventListener("anew", () => talk.connected && talk.connect(settings.model));
    settings.addEventListener("connection", () => {
      talk.link.tryCalls();
      this.interpreter.tryCalls();
      this.showWay();
      if (talk.link.state.name !== "closed") talk.connect(settings.model);
    });
    settings.addEventListener("voice", () => (talk.hasSpoken ? talk.connect(settings.model) : talk.configure()));
    settings.addEventListener("microphone", () => {
      for (const view of [this, this.interpreter]) if (view.microphone.open) view.openMicrophone().catch((error) => view.microphoneLost(error.reason));
    });
    settings.addEventListener("speaker", () => Promise.all([this.loudspeaker, talk.voice, this.interpreter.loudspeaker, this.interpreter.session.voice].map((voice) => voice.useDevice(preferences.speaker))).catch(() => {
      prefer({ speaker: "" });
      this.view.alerts.show("fault", { title: "That loudspeaker cannot be used", text: "The device's choice is used instead.", forMs: 6000 });
    }));
    for (const radio of document.getElementsByName("mode")) radio.addEventListener("change", () => this.setMode(radio.value));
    byId("pause").addEventListener("click", () => this.rest());
    byId("mute").addEventListener("click", () => this.setMuted(!talk.muted));
    byId("quiet").addEventListener("click", () => this.interrupt());
    byId("anew").addEventListener("click", () => this.startAnew());
    byId("theme").addEventListener("click", () => nextTheme());
    addEventListener("theme", () => this.showTheme());
    byId("settings-open").addEventListener("click", () => settings.open());
    byId("voices-open").addEventListener("click", () => {
      settings.dialog.close();
      this.voices.open(settings.pipeline);
    });
    this.voices.addEventListener("chosen", ({ detail }) => settings.chooseVoice(detail));
    this.voices.addEventListener("changed", () => this.findVoices());
    byId("help").addEventListener("click", () => byId("shortcuts-box").showModal());
    this.watchHeart();
    this.watchForms();
  }

  watchHeart() {
    const heart = byId("heart");
    heart.addEventListener("pointerdown", (event) => {
      if (!this.hold || !this.talk.holdable || event.button !== 0) return;
      heart.setPointerCapture(event.pointerId);
      this.pressedByPointer = true;
      this.press();
    });
    for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) {
      heart.addEventListener(end, () => {
        if (!this.talk.hold || !this.pressedByPointer) return;
        this.pressedByPointer = false;
        this.release();
      });
    }
    heart.addEventListener("click", () => {
      if (!this.hold || !this.talk.listening) this.toggle();
    });
    heart.addEventListener("contextmenu", (event) => event.preventDefault());
  }

  watchForms() {
    byId("composer").addEventListener("submit", (event) => {
      event.preventDefault();
      const text = byId("message").value.trim();
      if (!text) return;
      byId("message").value = "";
      this.say(text);
    });
    for (const suggestion of document.querySelectorAll(".try")) suggestion.addEventListener("click", () => this.say(suggestion.textContent));
    byId("key-form").addEventListener("submit", (event) => {
      event.preventDefault();
      storeKey(byId("key").value.trim());
      byId("key-box").close();
      if (this.talk.link.state.name === "refused") this.talk.disconnect();
      this.findServer(FIRST_LOOK_MS);
    });
    byId("key-box").addEventListener("cancel", (event) => event.preventDefault());
  }

  // --- the picture --------------------------------------------------------------------------------------------------------------------

  draw() {
    const { talk, hold, starting } = this;
    const { phase, listening, paused, muted, connected } = talk;
    const responding = phase === "speaking" || talk.response !== null;
    drawStage({ phase, listening, paused, hold, muted, held: Boolean(talk.hold), starting, connected, responding });
    this.dial.setPhase(listening && phase === "idle" ? "listening" : phase);
    drawLegend(this.dial.used);
    if (talk.link.state.name === "open") this.showConnected();
  }

  showTheme() {
    const says = { auto: "as the device", light: "light", dark: "dark" }[theme()];
    byId("theme").setAttribute("aria-label", `Theme: ${says}. Change it`);
    byId("theme").title = `Theme: ${says}`;
  }
}

/** For the browser's console, and for tests. */
globalThis.parley = new Page();
