// The interpreter view: a translation session with its dial, its columns and its lag meter; answers to pointer and keyboard.
//
// Reading path: interpretation.js (the session), clauses.js (what was said and made of it), lag.js (how late), parallel.js and
// lag-meter.js (the picture).

import { Alerts } from "./alerts.js";
import { plainText } from "./clauses.js";
import { copied, save } from "./copying.js";
import { Dial } from "./dial.js";
import { byId, fill } from "./dom.js";
import { Interpretation } from "./interpretation.js";
import { LagMeter } from "./lag-meter.js";
import { byName, languageName, understood } from "./languages.js";
import { Loudspeaker } from "./loudspeaker.js";
import { Microphone } from "./microphone.js";
import { Parallel } from "./parallel.js";
import { microphoneOptions, prefer, preferences } from "./preferences.js";
import { faultWords, interpreterWords, microphoneRemedy, microphoneTrouble, serverTrouble } from "./states.js";
import { showWay } from "./way.js";

const HINT_MS = 6000;
const KEPT = "What was translated stays here. The session cannot be resumed: *Go on* opens a new one.";

const ECHO = {
  true: "Through a loudspeaker the microphone may hear the translation, and it is translated again, even with echo cancellation.",
  false: "Echo cancellation is off: through a loudspeaker the microphone hears the translation, and it is translated again.",
};

// One who speaks without a pause, and the translation that follows.
const REST = { turns: [[4, 74, "you"], [22, 92, "me"], [84, 150, "you"], [106, 168, "me"], [158, 222, "you"], [180, 238, "me"]] };

export class Interpreter extends EventTarget {
  // Events: "status" {text, state}, "locked" (the key opens nothing).
  constructor() {
    super();
    this.loudspeaker = new Loudspeaker();
    this.loudspeaker.sinkId = preferences.speaker;
    this.session = new Interpretation(this.loudspeaker, () => preferences.connection);
    this.session.voice.sinkId = preferences.speaker;
    this.microphone = new Microphone((frame) => this.session.hear(frame), (reason) => this.microphoneLost(reason));
    this.alerts = new Alerts(byId("interpreter-alert"));
    this.dial = new Dial(byId("interpreter-ring"), REST);
    this.meter = new LagMeter(byId("lag"), this.session.lag);
    this.columns = new Parallel({
      list: byId("pairs"), scroll: byId("pairs-scroll"), empty: byId("interpreter-empty"), down: byId("pairs-down"), said: byId("said"),
    });
    this.pipelines = null; // those that can translate, once the server has answered
    this.starting = false;
    this.warned = false; // of the echo
    this.status = { text: "Ready", state: "closed" };
    this.watchSession();
    this.watchControls();
    this.draw();
  }

  // --- what can be translated ---------------------------------------------------------------------------------------------------------

  /** The pipelines that the server serves, the default first. */
  serve(pipelines) {
    this.pipelines = pipelines.filter(({ translates_into: targets, hears }) => targets.length > 0 && hears);
    this.draw();
  }

  get pipeline() {
    return this.pipelines?.find(({ name }) => name === preferences.translator) ?? this.pipelines?.[0];
  }

  get target() {
    const targets = this.pipeline?.translates_into ?? [];
    return targets.includes(preferences.target) ? preferences.target : targets[0] ?? "";
  }

  // --- the session --------------------------------------------------------------------------------------------------------------------

  /** Opens the microphone and a session; call it from a gesture. `take`: also where another tab listens. */
  async start({ take = false } = {}) {
    if (this.starting || this.session.active || !this.pipeline) return;
    const { session } = this;
    const goesOn = session.phase === "lost";
    this.starting = true;
    this.alerts.clear("server");
    if (session.phase === "finished" && session.clauses.rows.length > 0) session.clauses.note("A new session");
    session.start(this.pipeline.name, this.target, { anew: !goesOn });
    try {
      await this.loudspeaker.open();
      await this.openMicrophone({ take });
      if (!this.warned) this.alerts.show("hint", { title: "Wear headphones", text: ECHO[preferences.echoCancellation], forMs: HINT_MS });
      this.warned = true;
    } catch (error) {
      session.quit("idle");
      this.microphoneLost(error.reason ?? "broken");
    }
    this.starting = false;
    this.draw();
  }

  async openMicrophone({ take = false } = {}) {
    await this.microphone.start({ ...microphoneOptions(), take });
    this.alerts.clear("microphone");
    if (!this.listens) this.microphone.stop(); // It was stopped while the browser was asking for the permission.
    this.session.setMicrophone(this.microphone.track);
  }

  get listens() {
    return this.session.phase === "open" || this.session.phase === "connecting";
  }

  /** The session goes on without it, as a speaker who is silent does. */
  microphoneLost(reason) {
    this.session.setMicrophone(null);
    const remedy = microphoneRemedy(reason);
    const again = () => (this.session.active ? this.openMicrophone(remedy).catch((error) => this.microphoneLost(error.reason)) : this.start(remedy));
    this.alerts.show(remedy ? "microphone" : "address", { ...microphoneTrouble(reason), ...(remedy && { action: [remedy.label, again] }) });
    this.draw();
  }

  stop() {
    this.microphone.stop();
    this.session.stop();
  }

  toggle() {
    if (this.session.phase === "finishing") this.session.quit();
    else if (this.session.active) this.stop();
    else this.start();
  }

  /** The view is left: what was said is still translated and heard. */
  leave() {
    if (this.session.active) this.stop();
  }

  setMuted(muted) {
    this.session.setMuted(muted);
  }

  /** As the keyboard knows a view; nothing is held here, and nothing cut in on. */
  get hold() {
    return false;
  }

  interrupt() {}

  get shortcuts() {
    return { m: () => this.listens && this.setMuted(!this.session.muted) };
  }

  get keyed() {
    return { heart: byId("interpreter-heart"), scroll: byId("pairs-scroll") };
  }

  // --- what happens -------------------------------------------------------------------------------------------------------------------

  watchSession() {
    const { session, dial, columns } = this;
    session.addEventListener("state", ({ detail }) => this.showLink(detail));
    session.addEventListener("session", () => {
      if (session.target !== preferences.target) prefer({ target: session.target }); // What the server speaks, whatever was asked for.
      this.showLink(session.link.state);
      this.draw();
    });
    session.addEventListener("phase", () => {
      if (!this.listens) this.microphone.stop();
      this.draw();
    });
    session.addEventListener("fault", ({ detail }) => this.alerts.show("fault", { ...faultWords(detail), forMs: 9000 }));
    session.addEventListener("lost", ({ detail }) => this.lost(detail));
    session.addEventListener("level", ({ detail }) => {
      if (detail.input !== undefined) dial.heard(detail.input);
      if (detail.output !== undefined) dial.sounded(detail.output);
    });
    session.addEventListener("lag", ({ detail }) => this.meter.show(detail.lagMs));
    session.clauses.addEventListener("row", ({ detail }) => {
      columns.show(detail);
      this.showActions();
    });
    session.clauses.addEventListener("live", () => this.showLive());
  }

  lost({ error, opened }) {
    if (error.code === "invalid_api_key") {
      this.dispatchEvent(new Event("locked"));
      return;
    }
    const { title, text } = serverTrouble(error);
    const shown = { title, text: opened ? KEPT : text };
    this.alerts.show("server", { ...shown, action: [opened ? "Go on" : "Try again", () => this.start()] });
  }

  /** Calls are tried again from the next session on: one that is open goes on as it is. */
  tryCalls() {
    this.session.link.tryCalls();
    this.showLink(this.session.link.state);
  }

  showLink(state) {
    showWay(byId("interpreter-way"), this.session.link);
    const name = this.pipeline?.name ?? "the server";
    if (state.name === "waiting") {
      this.alerts.show("server", { ...serverTrouble(state.error), until: state.until, action: ["Try now", () => this.session.link.open(name)] });
    } else if (state.name === "open") this.alerts.clear("server");
    const texts = { open: "Translating", connecting: "Connecting", waiting: "Waiting for the server", refused: "Not connected", closed: "Ready" };
    this.status = { text: texts[state.name], state: state.name, more: state.name === "open" ? ` with ${name}` : "" };
    this.dispatchEvent(new CustomEvent("status", { detail: this.status }));
  }

  watchControls() {
    byId("interpreter-heart").addEventListener("click", () => this.toggle());
    byId("interpreter-mute").addEventListener("click", () => this.setMuted(!this.session.muted));
    byId("target").addEventListener("change", ({ target }) => {
      prefer({ target: target.value });
      this.session.setTarget(target.value);
      this.draw();
    });
    byId("translator").addEventListener("change", ({ target }) => {
      prefer({ translator: target.value });
      this.draw();
    });
    byId("pairs-copy").addEventListener("click", () => this.copy());
    byId("pairs-save").addEventListener("click", () => this.save());
    byId("pairs-clear").addEventListener("click", () => this.clear());
  }

  // --- the text, to take along --------------------------------------------------------------------------------------------------------

  async copy() {
    if (await copied(plainText(this.session.clauses.rows))) {
      this.alerts.show("hint", { title: "Copied", text: "Both columns are in the clipboard.", forMs: 3000 });
    } else this.alerts.show("hint", { title: "Not copied", text: "This browser does not let the page write to the clipboard. Save the text instead.", forMs: 6000 });
  }

  save() {
    save(`translation-${this.session.target}.txt`, new Blob([`${plainText(this.session.clauses.rows)}\n`], { type: "text/plain" }));
  }

  clear() {
    this.session.clauses.clear();
    this.columns.clear();
    this.showLive();
    this.showActions();
  }

  // --- the picture --------------------------------------------------------------------------------------------------------------------

  draw() {
    const { session, starting } = this;
    const { phase, audible, muted } = session;
    const ready = this.pipelines === null || this.pipelines.length > 0;
    const [state, hint] = interpreterWords({ phase, audible, muted, starting, ready, waiting: session.link.state.name === "waiting" });
    byId("interpreter-state").textContent = state;
    byId("interpreter-hint").textContent = hint;
    const heart = byId("interpreter-heart");
    heart.disabled = !ready;
    const label = phase === "finishing" ? "Stop at once" : session.active ? "Stop" : phase === "lost" ? "Go on" : "Start interpreting";
    heart.setAttribute("aria-label", `${label}. ${state}`);
    const drawn = audible ? "speaking" : session.active ? "listening" : "idle";
    byId("interpreter-dial").dataset.phase = drawn;
    this.dial.setPhase(drawn);
    byId("interpreter-mute").disabled = !this.listens;
    byId("interpreter-mute").setAttribute("aria-pressed", String(muted));
    byId("interpreter-mute").title = muted ? "Unmute the microphone" : "Mute the microphone";
    byId("interpreter-mute").setAttribute("aria-label", byId("interpreter-mute").title);
    byId("no-translator").hidden = ready;
    byId("interpreter-start").hidden = !ready;
    if (!audible) this.meter.show(null, { open: "Listening", connecting: "Connecting", finishing: "Finishing", finished: "Finished" }[phase] ?? "Not started");
    this.showRoute();
    this.showLive();
    this.showActions();
  }

  showRoute() {
    const { pipeline, session } = this;
    const targets = pipeline?.translates_into ?? [];
    byId("route").hidden = targets.length === 0;
    const source = pipeline ? understood(pipeline.understands) : "";
    fill(byId("translator"), (this.pipelines ?? []).map(({ name }) => [name, name]), pipeline?.name);
    fill(byId("target"), byName(targets), session.active && session.target ? session.target : this.target);
    byId("via").hidden = (this.pipelines?.length ?? 0) < 2;
    byId("translator").disabled = session.active;
    byId("target").disabled = targets.length === 0 || session.phase === "finishing";
    byId("route-from").textContent = source;
    byId("head-source").textContent = source;
    if (!pipeline) return;
    const [one] = pipeline.understands;
    byId("head-target").textContent = languageName(byId("target").value);
    byId("lead-source").textContent = pipeline.understands.length === 1 ? `Speak ${languageName(one)}.` : "Speak.";
    byId("lead-target").textContent = `Be heard in ${languageName(byId("target").value)}.`;
  }

  showLive() {
    this.columns.showLive(this.session.clauses.live, { open: this.session.phase === "open", to: this.session.target });
  }

  showActions() {
    byId("pairs-actions").hidden = this.session.clauses.rows.length === 0;
    byId("pairs-clear").disabled = this.session.active;
  }
}
