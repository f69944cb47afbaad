// One translation session: what the microphone hears goes to the server, the translation is played, shown and timed.
//
// Events: "state" (link state), "phase" (below), "session" (effective session), "level" {input}|{output}, "lag" {lagMs}, "fault" {message},
// "lost" {error}.
//
// Phases: "idle", "connecting", "open", "finishing" (nothing more is heard; what was said is translated and played out), "finished",
// "lost" (the link broke).
//
// Laws: the microphone is sent without a gap while the session is open, silence where it is muted, since the server counts time in samples;
// nothing that was received is left unplayed, unless the user wants it to be quiet. Does not know the page.

import { Clauses } from "./clauses.js";
import { Lag } from "./lag.js";
import { Link } from "./link.js";
import { fromBase64, toBase64 } from "./pcm.js";

const EARLY_FRAMES = 150; // 3 s: who presses Start speaks at once, while the connection is still being made.
const ELAPSED_STEP_MS = 200; // `elapsed_ms` is rounded down to it.
const RECOGNISER = "whisper-1"; // Stands for the pipeline's own, whichever that is.

export class Interpretation extends EventTarget {
  constructor(loudspeaker) {
    super();
    this.loudspeaker = loudspeaker;
    this.clauses = new Clauses();
    this.lag = new Lag();
    this.link = new Link({ kind: "translation", reopens: false });
    this.link.addEventListener("state", ({ detail }) => this.linked(detail));
    this.link.addEventListener("event", ({ detail }) => HANDLERS[detail.type]?.call(this, detail));
    loudspeaker.addEventListener("playing", ({ detail }) => this.playing(detail));
    loudspeaker.addEventListener("finished", ({ detail }) => this.playedOut(detail));
    loudspeaker.addEventListener("underrun", () => this.quiet());
    loudspeaker.addEventListener("silent", () => {
      this.quiet();
      this.finish();
    });
    this.phase = "idle";
    this.target = "";
    this.muted = false;
    this.serial = 0; // of items of speech
    this.reset();
  }

  /** All that belongs to one session of the server. */
  reset() {
    this.session = null;
    this.configured = false; // whether the server has taken the settings
    this.audible = false;
    this.early = [];
    this.item = null; // the speech that is being received: {name, received, elapsedMs}
    this.unplayed = new Set();
    this.closed = false; // whether the server has said that all was sent
  }

  get active() {
    return this.phase === "connecting" || this.phase === "open" || this.phase === "finishing";
  }

  /** Opens a session. `anew`: the lag is counted from nothing. */
  start(model, target, { anew = true } = {}) {
    this.reset();
    this.target = target;
    if (anew) this.lag.reset();
    else this.lag.begin();
    this.enter("connecting");
    this.link.open(model);
  }

  /** Changes the language of what is said from now on. */
  setTarget(target) {
    this.target = target;
    if (this.configured && this.phase === "open") this.configure();
  }

  configure() {
    this.send("session.update", {
      session: {
        include: ["parley.clauses", "parley.unstable_words"],
        audio: { input: { transcription: { model: RECOGNISER } }, output: { language: this.target } },
      },
    });
  }

  /** No more is said: the rest is translated and played out. */
  stop() {
    if (this.phase === "connecting") this.quit("idle");
    if (this.phase !== "open") return;
    this.send("session.close");
    this.enter("finishing");
  }

  /** Silence, at once; what is not yet translated is lost. */
  async quit(phase = "finished") {
    this.enter(phase);
    this.link.close();
    this.unplayed.clear();
    this.clauses.silenced();
    this.clauses.close(this.target);
    await this.loudspeaker.stop();
  }

  send(type, fields = {}) {
    this.link.send({ type, ...fields });
  }

  // --- the speaker --------------------------------------------------------------------------------------------------------------------

  /** A frame of the microphone. */
  hear({ pcm, level }) {
    if (this.phase !== "open" && this.phase !== "connecting") return;
    this.emit("level", { input: this.muted ? 0 : level });
    if (this.muted) pcm.fill(0);
    if (!this.configured) {
      if (this.early.push(pcm) > EARLY_FRAMES) this.early.shift();
    } else this.append(pcm);
  }

  append(pcm) {
    this.lag.sent(pcm.length, performance.now());
    this.send("session.input_audio_buffer.append", { audio: toBase64(pcm) });
  }

  setMuted(muted) {
    this.muted = muted;
    this.emit("phase", this.phase);
  }

  // --- the translation ----------------------------------------------------------------------------------------------------------------

  /**
   * Speech of a clause, which is known to be over by its record or by words that end elsewhere; `elapsedMs` null: nothing in it is
   * translated, as where the speaker is heard as well.
   */
  speak(pcm, elapsedMs) {
    if (this.item?.elapsedMs !== elapsedMs) this.endItem();
    if (this.item === null) {
      this.serial += 1;
      this.item = { name: `speech-${this.serial}`, received: 0, elapsedMs };
      this.unplayed.add(this.item.name);
    }
    const { item } = this;
    if (elapsedMs !== null) {
      this.lag.queued(item.name, item.received, elapsedMs);
      this.clauses.received(item.name, pcm.length);
    }
    item.received += pcm.length;
    this.loudspeaker.play(item.name, pcm);
  }

  endItem() {
    if (this.item) this.loudspeaker.end(this.item.name);
    this.item = null;
  }

  playing({ item, played, level, at }) {
    if (!this.unplayed.has(item)) return;
    this.emit("level", { output: level });
    const lagMs = this.lag.heard(item, played, at);
    if ((lagMs !== null) !== this.audible) {
      this.audible = lagMs !== null;
      this.emit("phase", this.phase);
    }
    if (lagMs === null) return;
    this.clauses.playing(item, played);
    this.emit("lag", { lagMs });
  }

  playedOut({ item, played }) {
    this.unplayed.delete(item);
    this.lag.finished(item);
    this.clauses.finished(item, played);
  }

  /** Nothing is heard, for now. */
  quiet() {
    this.audible = false;
    this.emit("level", { output: 0 });
    this.emit("phase", this.phase);
  }

  // --- the end ------------------------------------------------------------------------------------------------------------------------

  linked(state) {
    this.emit("state", state);
    if (!this.active || this.closed) return; // A server that stops breaks the link after it has said that all was sent.
    if (state.name === "closed") this.ended();
    if (state.name === "refused") this.lost(state.error);
  }

  /** The server has sent all that it will. */
  ended() {
    if (this.closed) return;
    this.closed = true;
    this.endItem();
    this.clauses.close(this.target);
    if (this.phase === "open") this.clauses.note("The server ended the session here.");
    this.enter("finishing");
    this.finish();
  }

  finish() {
    if (this.closed && this.phase === "finishing" && this.unplayed.size === 0) this.enter("finished");
  }

  /** The link broke: what was received is played out, and nothing more comes. */
  lost(error) {
    const opened = this.session !== null;
    this.endItem();
    this.clauses.close(this.target);
    if (opened) this.clauses.note("The session broke off here.");
    this.enter(opened ? "lost" : "idle");
    this.emit("lost", { error, opened });
  }

  enter(phase) {
    this.phase = phase;
    this.emit("phase", phase);
  }

  emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

/** What each event of the server does; called with the `Interpretation` as `this`. */
const HANDLERS = {
  "session.created"({ session }) {
    this.session = session;
    this.configure();
  },

  "session.updated"({ session }) {
    const { language } = session.audio.output;
    this.session = session;
    this.target = language;
    if (!this.configured) {
      this.configured = true;
      this.early.splice(0).forEach((pcm) => this.append(pcm));
      this.enter("open");
    }
    this.emit("session", session);
  },

  "session.input_transcript.delta"({ delta, elapsed_ms: elapsedMs }) {
    this.clauses.said(delta, elapsedMs ?? 0);
  },

  "parley.input_transcript.unstable"({ text }) {
    this.clauses.maySay(text);
  },

  "session.output_transcript.delta"({ delta }) {
    this.clauses.translated(delta);
  },

  "session.output_audio.delta"({ delta, elapsed_ms: elapsedMs }) {
    this.speak(fromBase64(delta), elapsedMs ?? null);
  },

  "parley.translation.clause"(record) {
    // Where the speaker is heard as well, the speech of a clause comes after its record, in one stream with the rest.
    const own = this.item?.elapsedMs === record.end_ms - (record.end_ms % ELAPSED_STEP_MS);
    const item = own ? this.item.name : null;
    if (own) this.endItem();
    this.clauses.clause(record, item);
  },

  "session.closed"() {
    this.ended();
  },

  error({ error }) {
    if (error.code === "session_expired") return; // The link breaks next.
    this.emit("fault", { message: error.message });
    if (!this.configured) this.quit("idle");
    else if (this.session && this.target !== this.session.audio.output.language) {
      this.target = this.session.audio.output.language; // The language was refused; the old one goes on.
      this.emit("session", this.session);
    }
  },
};
