// The page: puts sound, talk and picture together, and answers to pointer and keyboard. It is the conversation view itself; interpreter.js is
// the other one, and views.js tells which is shown.
//
// Reading path: talk.js (the conversation), link.js (the connection), transcript.js (what was said), dial.js and captions.js (the picture).

import { Alerts } from "./alerts.js";
import { Captions } from "./captions.js";
import { Consent } from "./consent.js";
import { Conversation } from "./conversation.js";
import { ConversationActions } from "./conversation-actions.js";
import { Dial } from "./dial.js";
import { byId } from "./dom.js";
import { EventDrawer } from "./event-drawer.js";
import { Heart } from "./heart.js";
import { Interpreter } from "./interpreter.js";
import { KeyBox } from "./key-box.js";
import { Keys } from "./keys.js";
import { Loudspeaker } from "./loudspeaker.js";
import { Microphone } from "./microphone.js";
import { microphoneOptions, preferences } from "./preferences.js";
import { OtherTabs } from "./other-tabs.js";
import { canHear, lookAtAddress } from "./page-address.js";
import { keepReadingOrder } from "./reading-order.js";
import { served, storedKey } from "./server.js";
import { carryOut } from "./settings-effects.js";
import { SettingsPanel } from "./settings-panel.js";
import { showStatusLine } from "./status-line.js";
import { drawLegend, drawStage } from "./stage.js";
import { connectedWords, faultWords, microphoneRemedy, microphoneTrouble, serverTrouble } from "./states.js";
import { TabTitle } from "./tab-title.js";
import { Talk } from "./talk.js";
import { nextTheme, theme } from "./theme.js";
import { TurnFigures } from "./turn-figures.js";
import { Views } from "./views.js";
import { VoicesPanel } from "./voices-panel.js";
import { Visit } from "./visit.js";
import { showWay } from "./way.js";

const CONNECTION_NOTE = byId("connection-note").textContent;
const FIRST_LOOK_MS = 1000; // Until the server is asked again when it did not answer at first; doubled up to fifteen seconds.

class Page {
  constructor() {
    this.loudspeaker = new Loudspeaker();
    this.loudspeaker.sinkId = preferences.speaker;
    this.conversation = new Conversation();
    this.talk = new Talk(this.loudspeaker, this.conversation);
    this.talk.voice.sinkId = preferences.speaker;
    this.microphone = new Microphone((frame) => this.hear(frame), (reason) => this.microphoneLost(reason));
    this.settings = new SettingsPanel(this.loudspeaker);
    this.voices = new VoicesPanel();
    this.alerts = new Alerts(byId("alert"));
    this.dial = new Dial(byId("ring"));
    this.captions = new Captions({
      list: byId("entries"), scroll: byId("scroll"), empty: byId("empty"), down: byId("down"), said: byId("said"),
    });
    this.interpreter = new Interpreter();
    this.events = new EventDrawer({ conversation: this.talk.link, interpreter: this.interpreter.session.link });
    this.views = new Views();
    this.keyBox = new KeyBox([this.alerts, this.interpreter.alerts]);
    this.status = { text: "Ready", state: "closed" };
    this.starting = false;
    this.turns = new TurnFigures({ transcript: this.talk.transcript, captions: this.captions, dial: this.dial });
    this.watchTalk();
    this.actions = new ConversationActions(this);
    this.watchViews();
    this.watchControls();
    this.consent = new Consent(this);
    new Keys(this);
    new Heart(this);
    this.visit = new Visit(this);
    new TabTitle(this);
    new OtherTabs(this);
    byId("host").textContent = location.host;
    keepReadingOrder();
    this.showTheme();
    this.conversation.restore();
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
    interpreter.addEventListener("locked", () => this.askForKey());
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
      n: () => this.actions.startAnew(),
      a: () => this.consent.show(),
      "/": () => byId("message").focus(),
    };
  }

  // --- the server ---------------------------------------------------------------------------------------------------------------------

  async findServer(retryMs) {
    clearTimeout(this.looking);
    try {
      this.visit.serve(await served(this.visit.asked));
      this.alerts.clear("server");
      this.interpreter.alerts.clear("server");
      this.showLink(this.talk.link.state);
      lookAtAddress(this.settings.model, [this.alerts, this.interpreter.alerts]);
      if (this.talk.listening || this.talk.asking.waits) this.connect();
    } catch (error) {
      if (error.code === "invalid_api_key") return this.askForKey();
      this.linkText("Not connected", "refused");
      const again = () => this.findServer(Math.min(15_000, retryMs * 2));
      clearTimeout(this.looking);
      this.looking = setTimeout(again, retryMs);
      const alert = { ...serverTrouble(error), until: performance.now() + retryMs, action: ["Try now", again] };
      for (const { alerts } of [this, this.interpreter]) alerts.show("server", alert);
    }
    return undefined;
  }

  /** The voices of the server are others now. */
  async findVoices() {
    this.visit.serve(await served(this.visit.asked));
    this.voices.serve(this.settings.pipeline);
  }

  askForKey() {
    this.linkText("Locked", "refused");
    this.keyBox.ask({ wrong: storedKey() !== "" });
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
        const lost = state.again ? "The conversation goes on as soon as it is back." : "";
        this.alerts.show("server", { title, text: [text, lost].filter(Boolean).join(" "), until: state.until, action: ["Try now", () => this.talk.connect(this.settings.model)] });
        return this.linkText(state.again ? "Reconnecting" : "Waiting for the server", "waiting");
      }
      case "refused":
        if (state.error.code === "invalid_api_key") return this.askForKey();
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

  /** What speaks, in which voice, and whether one listens. */
  showConnected() {
    const { session, paused } = this.talk;
    const { text, more } = connectedWords({ model: session?.model || this.settings.model, voice: session?.audio?.output?.voice, paused });
    this.linkText(text, paused ? "paused" : "open", more);
  }

  /** `more` is shown where there is room for it. */
  linkText(text, state, more = "") {
    this.status = { text, state, more };
    this.showStatus();
  }

  /** The link of the view that is shown; where the server was not found yet, that of the page. */
  showStatus() {
    showStatusLine(this.view === this || this.interpreter.pipelines === null ? this.status : this.interpreter.status);
  }

  // --- talking ------------------------------------------------------------------------------------------------------------------------

  /** Opens the microphone and the connection; call it from a gesture. `take`: also where another tab listens. */
  async start({ take = false } = {}) {
    if (this.starting || this.talk.listening) return;
    this.starting = true;
    this.visit.endTests();
    this.draw();
    this.connect();
    try {
      await this.loudspeaker.open();
      await this.openMicrophone({ take });
      if (this.starting) this.talk.setListening(true);
      else this.rest();
    } catch (error) {
      this.microphoneLost(error.reason ?? "broken");
    }
    this.starting = false;
    this.draw();
  }

  hear(frame) {
    this.talk.hear(frame);
    this.visit.hear(frame);
  }

  async openMicrophone({ take = false } = {}) {
    await this.microphone.start({ ...microphoneOptions(), take });
    this.talk.setMicrophone(this.microphone.track);
    this.alerts.clear("microphone");
  }

  microphoneLost(reason) {
    this.talk.setMicrophone(null);
    this.talk.setListening(false);
    const remedy = microphoneRemedy(reason);
    this.alerts.show(remedy ? "microphone" : "address", { ...microphoneTrouble(reason, { typing: true }), ...(remedy && { action: [remedy.label, () => this.start(remedy)] }) });
    this.draw();
  }

  rest() {
    this.starting = false;
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

  async say(text, { voice = "" } = {}) {
    const at = performance.now(); // Connecting counts, too.
    this.alerts.clear("microphone"); // The conversation goes on without it.
    this.connect();
    this.loudspeaker.open();
    this.talk.asking.type(text, { at, voice });
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
    talk.addEventListener("fault", ({ detail }) => this.alerts.show("fault", { ...faultWords(detail), forMs: 9000 }));
    talk.addEventListener("level", ({ detail }) => {
      if (detail.input !== undefined && talk.listening && (!this.hold || talk.hold)) dial.heard(detail.input);
      if (detail.output !== undefined) dial.sounded(detail.output);
    });
    talk.addEventListener("turn", ({ detail }) => this.turns.show(detail));
    talk.transcript.addEventListener("entry", ({ detail }) => {
      captions.show(detail);
      if (detail.restored && detail.figures) captions.figures(detail, detail.figures);
    });
    talk.transcript.addEventListener("gone", ({ detail }) => captions.remove(detail));
  }

  watchControls() {
    const { settings, talk } = this;
    carryOut(this);
    for (const radio of document.getElementsByName("mode")) radio.addEventListener("change", () => this.setMode(radio.value));
    byId("pause").addEventListener("click", () => this.rest());
    byId("mute").addEventListener("click", () => this.setMuted(!talk.muted));
    byId("quiet").addEventListener("click", () => this.interrupt());
    byId("theme").addEventListener("click", () => nextTheme());
    addEventListener("theme", () => this.showTheme());
    byId("settings-open").addEventListener("click", () => settings.open());
    byId("voices-open").addEventListener("click", () => {
      settings.dialog.close();
      this.voices.open(settings.pipeline);
    });
    this.voices.addEventListener("chosen", ({ detail }) => settings.chooseVoice(detail));
    this.voices.addEventListener("changed", () => this.findVoices());
    for (const id of ["help", "show-keys"]) byId(id).addEventListener("click", () => byId("shortcuts-box").showModal());
    this.watchForms();
  }

  watchForms() {
    const { talk } = this;
    byId("composer").addEventListener("submit", (event) => {
      event.preventDefault();
      const text = byId("message").value.trim();
      if (!text) return;
      byId("message").value = "";
      this.say(text);
    });
    this.keyBox.addEventListener("given", () => {
      if (talk.link.state.name === "refused") talk.disconnect();
      this.findServer(FIRST_LOOK_MS);
    });
  }

  // --- the picture --------------------------------------------------------------------------------------------------------------------

  draw() {
    const { talk, hold, starting } = this;
    const { phase, listening, paused, muted, connected } = talk;
    const responding = phase === "speaking" || talk.response !== null;
    drawStage({ phase, listening, paused, hold, muted, held: Boolean(talk.hold), starting, connected, responding, deaf: !canHear, asked: talk.approvals.asking.length });
    this.dial.setPhase(listening && phase === "idle" ? "listening" : phase);
    drawLegend(this.dial.used);
    if (talk.link.state.name === "open") this.showConnected();
  }

  showTheme() {
    const says = { auto: "like the device", light: "light", dark: "dark" }[theme()];
    byId("theme").setAttribute("aria-label", `Theme: ${says}. Change it`);
    byId("theme").title = `Theme: ${says}`;
  }
}

/** For the browser's console, and for tests. */
globalThis.parley = new Page();
