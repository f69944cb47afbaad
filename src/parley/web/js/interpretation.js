// One translation session: what the microphone hears goes to the server, the translation is played, shown and timed.
//
// Events: "state" (link state), "phase" (below), "session" (effective session), "level" {input}|{output}, "lag" {lagMs}, "fault" (the server's error),
// "lost" {error}.
//
// Phases: "idle", "connecting", "open", "finishing" (nothing more is heard; what was said is translated and played out), "finished",
// "lost" (the link broke).
//
// Laws: the microphone is sent without a gap while the session is open, silence where it is muted, since the server counts time in samples;
// nothing that was received is left unplayed, unless the user wants it to be quiet. Over a call it is the server that plays, and tells which
// clause it plays; the whole clause is then shown as heard. Does not know the page.

import { Clauses } from "./clauses.js";
import { Lag } from "./lag.js";
import { Link } from "./link.js";
import { fromBase64, toBase64 } from "./pcm.js";
import { RemoteVoice } from "./remote-voice.js";

const EARLY_FRAMES = 400; // 8 s: who presses Start speaks at once, and a call that does not come about is given up after 5.
const LAST_SOUND_MS = 200; // From Stop to the end of what is heard over a call: audio takes longer than the event that ends it.
const SAMPLES_PER_MS = 24;
const ELAPSED_STEP_MS = 200; // `elapsed_ms` is rounded down to it.
const RECOGNISER = "whisper-1"; // Stands for the pipeline's own, whichever that is.

export class Interpretation extends EventTarget {
  /** `way()`: how to connect, as for a `Link`. */
  constructor(loudspeaker, way) {
    super();
    this.loudspeaker = loudspeaker;
    this.clauses = new Clauses();
    this.lag = new Lag();
    this.link = new Link({ kind: "translation", reopens: false, way });
    this.link.addEventListener("stream", ({ detail }) => this.voice.attach(detail.stream, detail.receiver));
    this.link.addEventListener("state", ({ detail }) => this.linked(detail));
    this.link.addEventListener("event", ({ detail }) => HANDLERS[detail.type]?.call(this, detail));
    loudspeaker.addEventListener("playing", ({ detail }) => this.playing(detail));
    loudspeaker.addEventListener("finished", ({ detail }) => this.playedOut(detail));
    loudspeaker.addEventListener("underrun", () => this.quiet());
    loudspeaker.addEventListener("silent", () => {
      this.quiet();
      this.finish();
    });
    this.voice = new RemoteVoice();
    this.voice.addEventListener("sounding", ({ detail }) => this.playing({ item: detail.response, played: detail.samples, level: detail.level, at: performance.now() }));
    this.voice.addEventListener("finished", ({ detail }) => this.playedOut({ item: detail.response, played: detail.samples }));
    this.voice.addEventListener("silent", () => this.quiet());
    this.microphone = null; // its track
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
    this.byCall = false; // whether the audio goes by a call: as media, played and counted by the server
    this.spokenBy = null; // the microphone's track that a call sends
    this.voice.detach();
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
    const { session } = this;
    if (this.byCall) setTimeout(() => this.session === session && this.phase === "finishing" && this.heardOut(), LAST_SOUND_MS);
    else this.send("session.close");
    this.enter("finishing");
  }

  /** All that was said before the stop has been sent in the call. */
  heardOut() {
    this.send("session.close");
    this.setMicrophone(null);
  }

  /** Silence, at once; what is not yet translated is lost. */
  async quit(phase = "finished") {
    this.enter(phase);
    this.link.close();
    this.unplayed.clear();
    this.clauses.silenced();
    this.clauses.close(this.target);
    this.voice.detach();
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
    } else if (!this.byCall) this.append(pcm);
  }

  append(pcm) {
    if (!this.byCall) this.lag.sent(pcm.length, performance.now());
    this.send("session.input_audio_buffer.append", { audio: toBase64(pcm) });
  }

  /** The microphone's track, which a call sends; null where there is none. */
  setMicrophone(track) {
    this.microphone = track;
    this.sendMicrophone();
  }

  /** Lets a call hear the microphone: what was said before the server has the settings goes first, as events. */
  sendMicrophone() {
    const { call } = this.link;
    const silenced = !this.configured || this.muted;
    if (this.spokenBy !== this.microphone) {
      this.spokenBy = call && this.microphone;
      call?.speak(this.microphone, silenced);
    } else call?.mute(silenced);
  }

  setMuted(muted) {
    this.muted = muted;
    this.sendMicrophone();
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

  /** Over a call: words that end at `endMs` of the input are played from now on, or nothing (null); so much input had been received by then. */
  plays(endMs, inputMs) {
    this.lag.reached(inputMs * SAMPLES_PER_MS, performance.now());
    this.voice.end({ heard: true });
    if (endMs === null) return;
    const item = itemOf(endMs);
    this.unplayed.add(item);
    this.lag.queued(item, 0, endMs);
    this.clauses.received(item, 0);
    this.voice.begin(item);
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
    if (state.name === "open") this.byCall = this.link.call !== null;
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
    if (this.byCall) {
      this.voice.detach();
      this.unplayed.clear();
      this.clauses.silenced();
    }
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

/** The speech in a call of the words that end there. */
function itemOf(endMs) {
  return `clause-${endMs}`;
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
      this.sendMicrophone();
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

  "parley.translation.playing"({ end_ms: endMs, input_ms: inputMs }) {
    if (this.byCall) this.plays(endMs, inputMs);
  },

  "parley.translation.clause"(record) {
    if (this.byCall) {
      const spoken = record.outcome === "translated" ? itemOf(record.end_ms) : null;
      if (spoken) this.clauses.received(spoken, 0);
      this.clauses.clause(record, spoken);
      return;
    }
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
    this.emit("fault", error);
    if (!this.configured) this.quit("idle");
    else if (this.session && this.target !== this.session.audio.output.language) {
      this.target = this.session.audio.output.language; // The language was refused; the old one goes on.
      this.emit("session", this.session);
    }
  },
};
