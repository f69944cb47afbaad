// A conversation with the server: what the microphone hears goes to it, what it says is played, shown and, when cut off, accounted for.
//
// Events: "state" (link state), "phase" ("idle"|"listening"|"hearing"|"thinking"|"speaking"), "session" (effective session),
// "level" {input}|{output}, "fault" (the server's error), "turn" (see figures.js).
//
// Laws: only GA events are sent, and one of Parley's own is asked for (live words); the server's settings count, not what was asked for; a reply that
// is stopped is silent at once and then truncated to the millisecond played. Over a call it is the server that plays, counts and truncates; what is
// shown as heard meanwhile is reckoned (spoken-text.js). Sessions come and go beneath one conversation (continuation.js): a new one is told what was
// said before it is asked anything. Does not know the page.

import { Approvals } from "./approvals.js";
import { Asking } from "./asking.js";
import { Continuation } from "./continuation.js";
import { Figures } from "./figures.js";
import { HeardSound } from "./heard-sound.js";
import { Link } from "./link.js";
import { toBase64 } from "./pcm.js";
import { preferences } from "./preferences.js";
import { RemoteVoice } from "./remote-voice.js";
import { CONFIGURE, HANDLERS } from "./server-events.js";
import { sessionSettings } from "./session-settings.js";
import { SpokenText } from "./spoken-text.js";
import * as tools from "./tools.js";
import { milliseconds } from "./transcript.js";

const PREROLL_FRAMES = 10; // 200 ms: who presses a key speaks at once, and the first sound must not be lost.
const EARLY_FRAMES = 150; // 3 s: who presses Start speaks at once, while the connection is still being made.
const LAST_SOUND_MS = 200; // From letting go to the end of what is heard over a call: audio takes longer than the event that ends it.
const SHORTEST_HOLD_MS = 250; // Less was a slip; the server refuses less than 100 ms anyway.
const MUTED_TAIL_FRAMES = 450; // 9 s of silence after muting: a turn under way ends by itself, however patient the detector.

export class Talk extends EventTarget {
  constructor(loudspeaker, conversation) {
    super();
    this.loudspeaker = loudspeaker;
    this.conversation = conversation;
    this.transcript = conversation.transcript;
    this.continuation = new Continuation(this);
    this.asking = new Asking(this);
    this.approvals = new Approvals(this);
    this.heard = new HeardSound((pcm, at) => this.conversation.record("assistant", pcm, at));
    this.figures = new Figures((turn) => this.emit("turn", turn));
    this.link = new Link({ way: () => preferences.connection });
    this.link.addEventListener("stream", ({ detail }) => this.voice.attach(detail.stream, detail.receiver));
    this.link.addEventListener("state", ({ detail }) => this.linked(detail));
    this.link.addEventListener("event", ({ detail }) => this.take(detail));
    loudspeaker.addEventListener("started", ({ detail }) => this.begun(detail));
    loudspeaker.addEventListener("playing", ({ detail }) => this.playing(detail));
    loudspeaker.addEventListener("finished", ({ detail }) => this.played(detail));
    loudspeaker.addEventListener("silent", () => this.silent());
    this.voice = new RemoteVoice();
    this.voice.addEventListener("started", ({ detail }) => this.figures.played(detail.response, detail.at));
    this.voice.addEventListener("sounding", ({ detail }) => this.sounding(detail));
    this.voice.addEventListener("heard", ({ detail }) => this.conversation.record("assistant", detail.pcm, detail.at));
    this.voice.addEventListener("finished", ({ detail }) => this.spoken.finished(detail.response, detail.samples));
    this.voice.addEventListener("silent", () => this.silent());
    this.spoken = new SpokenText(this.transcript);
    this.takesTools = () => true; // whether what answers calls tools: it may refuse every reply of a session that has some
    this.microphone = null; // its track
    this.session = null;
    this.phase = "idle";
    this.muted = false;
    this.listening = false;
    this.listened = false; // in this conversation
    this.early = []; // said before there was one
    this.reset();
  }

  /** All that belongs to one session of the server. */
  reset() {
    this.response = null;
    this.stopped = null;
    this.speaking = false;
    this.audible = false;
    this.hold = null;
    this.preroll = [];
    this.configured = false; // whether the server has taken our settings, and what was said before
    this.tail = 0;
    this.sentSamples = 0;
    this.answers = 0;
    this.truncations = new Map();
    this.serial = 0; // of truncations
    this.session = null;
    this.awaiting = false;
    this.toAnswer = null;
    this.asking.reset();
    this.approvals.reset();
    this.spokenBy = null; // the microphone's track that a call sends
    this.figures.reset();
    this.voice.detach();
  }

  // --- the link ---------------------------------------------------------------------------------------------------------------------

  connect(model) {
    this.link.open(model);
  }

  get connected() {
    return this.link.state.name === "open" && this.session !== null;
  }

  /** Whether the user has talked before, and is not listened to now. */
  get paused() {
    return !this.listening && (this.listened || [...this.transcript.entries.values()].some(({ kind, typed }) => kind === "user" && !typed));
  }

  /** Whether it may be asked something: it has our settings, and knows what was said before. */
  get askable() {
    return this.connected && this.configured;
  }

  /** Whether the audio goes by a call: as media, played and counted by the server. */
  get byCall() {
    return this.link.call !== null;
  }

  /** Whether an answer is on its way. */
  get expecting() {
    return this.response !== null || this.answers > 0 || this.awaiting || this.toAnswer !== null || this.approvals.working;
  }

  /** Ends the session; the next one has nothing to go on from but the transcript. */
  disconnect() {
    this.listened = this.listening;
    this.heard.clear();
    this.link.close();
    this.continuation.forget();
  }

  linked(state) {
    if (state.name !== "open") {
      if (this.session !== null) this.continuation.ended({ lost: state.name === "waiting" || state.name === "refused" });
      this.reset();
    }
    this.emit("state", state);
    this.settle();
  }

  /** The server has our settings, and what was said before: now it can be asked. */
  ready() {
    this.configured = true;
    const early = this.early.splice(0);
    if (this.session.audio.input.turn_detection !== null) early.forEach(({ pcm, at }) => this.append(pcm, at));
    this.speak();
    this.asking.deliver();
    this.settle();
  }

  send(type, fields = {}) {
    this.link.send({ type, ...fields });
  }

  // --- settings ---------------------------------------------------------------------------------------------------------------------

  /** Tells the server what was chosen: the voice until it has spoken, its speed between replies. */
  configure() {
    if (!this.connected) return;
    const may = { tools: this.takesTools(), voice: !this.hasSpoken, speed: this.response === null };
    this.send("session.update", { event_id: CONFIGURE, session: sessionSettings(may) });
  }

  get hasSpoken() {
    return [...this.transcript.entries.values()].some((entry) => entry.kind === "assistant" && entry.session === this.session?.id && entry.received > 0);
  }

  // --- the user's side ----------------------------------------------------------------------------------------------------------------

  /** A frame of the microphone. */
  hear({ pcm, level, at }) {
    this.emit("level", { input: this.muted ? 0 : level });
    if (!this.listening) return;
    if (preferences.turns === "hold" ? this.hold : !this.muted) this.conversation.record("user", pcm, at);
    if (!this.configured) {
      if (!this.muted && this.early.push({ pcm, at }) > EARLY_FRAMES) this.early.shift();
      return;
    }
    if (this.session.audio.input.turn_detection === null) {
      if (this.hold) this.overSocket(pcm, at);
      else {
        this.preroll.push({ pcm, at });
        if (this.preroll.length > PREROLL_FRAMES) this.preroll.shift();
      }
      return;
    }
    if (!this.muted) this.tail = MUTED_TAIL_FRAMES;
    else if (this.tail > 0) {
      this.tail -= 1;
      pcm.fill(0);
    } else return;
    this.overSocket(pcm, at);
  }

  overSocket(pcm, at) {
    if (!this.byCall) this.append(pcm, at);
  }

  /** The microphone's track, which a call sends; null where there is none. */
  setMicrophone(track) {
    this.microphone = track;
    this.speak();
  }

  /** Lets a call hear the microphone, or not: what was said before goes first, as events. */
  speak() {
    const { call } = this.link;
    if (!call) return;
    const held = this.configured ? this.session.audio.input.turn_detection === null : preferences.turns === "hold";
    const source = this.listening && (!held || this.hold !== null) ? this.microphone : null;
    if (this.spokenBy !== source) {
      this.spokenBy = source;
      call.speak(source, this.silenced);
    } else call.mute(this.silenced);
  }

  /** Whether silence is sent in place of the microphone: what is said before the server has the settings follows as events. */
  get silenced() {
    return !this.configured || (this.muted && this.hold === null);
  }

  append(pcm, at) {
    this.sentSamples += pcm.length;
    this.figures.captured(milliseconds(this.sentSamples), at);
    this.send("input_audio_buffer.append", { audio: toBase64(pcm) });
  }

  setListening(listening) {
    this.listened ||= listening;
    this.listening = listening;
    this.preroll = [];
    this.early = [];
    this.speak();
    if (!listening && this.connected && !this.hold) this.send("input_audio_buffer.clear");
    this.settle();
  }

  setMuted(muted) {
    this.muted = muted;
    this.speak();
    this.settle();
  }

  get holdable() {
    return this.askable && this.listening && this.session.audio.input.turn_detection === null;
  }

  press() {
    if (!this.holdable || this.hold) return;
    this.interrupt();
    this.hold = { since: performance.now(), session: this.session.id };
    if (this.byCall) this.send("input_audio_buffer.clear"); // The silence since the last turn.
    this.preroll.splice(0).forEach(({ pcm, at }) => this.append(pcm, at));
    this.speak();
    this.settle();
  }

  /** The end of what was said while holding; answers false where that was too short to be meant. */
  release() {
    if (!this.hold) return true;
    const heldMs = performance.now() - this.hold.since;
    const { hold } = this;
    this.hold = null;
    if (heldMs < SHORTEST_HOLD_MS) {
      this.send("input_audio_buffer.clear");
      this.speak();
      this.settle();
      return false;
    }
    this.figures.asked("hold");
    this.answers += 1;
    if (this.byCall) setTimeout(() => this.session?.id === hold.session && this.heardOut(), LAST_SOUND_MS);
    else this.heardOut();
    this.settle();
    return true;
  }

  /** All that was said while holding has been sent. */
  heardOut() {
    this.send("input_audio_buffer.commit");
    this.send("response.create");
    if (this.hold === null) this.speak();
  }

  /** Asks for a reply; `voice`: in another voice than the session's, where that is still possible. */
  answer({ voice = "" } = {}) {
    this.answers += 1;
    this.send("response.create", voice && !this.hasSpoken ? { response: { audio: { output: { voice } } } } : {});
    this.settle();
  }

  // --- being interrupted --------------------------------------------------------------------------------------------------------------

  /** The user wants it to be quiet. */
  interrupt() {
    if (this.response !== null) this.send("response.cancel");
    this.stopped = this.response; // What it has already sent is on its way.
    if (this.byCall && this.audible) this.send("output_audio_buffer.clear");
    this.hush();
  }

  /** Silence at once; then tell the server, for each item that was not heard out, how much of it was. Over a call it knows, and tells us. */
  async hush() {
    if (this.byCall) this.voice.hush();
    const cut = this.transcript.unfinished();
    if (cut.length === 0) return;
    cut.forEach((entry) => this.transcript.cut(entry, entry.played));
    if (this.byCall) return;
    const played = await this.silence();
    for (const entry of cut) {
      const samples = Math.min(entry.received, played[entry.id] ?? 0);
      this.transcript.cut(entry, samples);
      if (entry.withdrawn) continue; // The server no longer has it.
      this.serial += 1;
      const eventId = `truncate_${this.serial}`;
      this.truncations.set(eventId, entry.id);
      this.send("conversation.item.truncate", {
        event_id: eventId, item_id: entry.id, content_index: 0, audio_end_ms: milliseconds(samples),
      });
    }
  }

  /** Silence. Resolves to {item: samples played} of every item that was not played out. */
  async silence() {
    const played = await this.loudspeaker.stop();
    for (const [item, samples] of Object.entries(played)) this.heard.finished(item, samples);
    return played;
  }

  // --- the server's events ------------------------------------------------------------------------------------------------------------

  take(event) {
    if (this.continuation.take(event) || this.approvals.take(event)) return;
    const handler = HANDLERS[event.type];
    if (handler) handler.call(this, event);
  }

  begun({ item, at }) {
    const entry = this.transcript.entries.get(item);
    this.audible = true;
    if (entry) this.figures.played(entry.responseId, at);
    this.settle();
  }

  playing({ item, played, level, at }) {
    this.emit("level", { output: level });
    this.heard.played(item, played, at);
    this.transcript.played(item, played);
  }

  played({ item, played }) {
    this.heard.finished(item, played);
    this.transcript.played(item, played);
  }

  sounding({ response, samples, level }) {
    this.emit("level", { output: level });
    this.spoken.heard(response, samples);
  }

  silent() {
    this.audible = false;
    this.emit("level", { output: 0 });
    this.settle();
  }

  /** Carries a call out; once the response that made it is done, the model goes on with the answer. */
  call({ call_id: callId, id, name, arguments: argumentsText, response }) {
    const began = performance.now();
    const entry = this.transcript.entries.get(id);
    this.figures.called(response, name);
    const { output, failed } = tools.run(name, argumentsText);
    Object.assign(entry, { args: argumentsText, output, state: failed ? "failed" : "done", ms: performance.now() - began });
    this.transcript.changed(entry);
    this.send("conversation.item.create", { item: { type: "function_call_output", call_id: callId, output } });
    this.toAnswer = response;
  }

  settle() {
    const phase = this.currentPhase();
    if (phase === this.phase) return;
    this.phase = phase;
    this.emit("phase", phase);
  }

  currentPhase() {
    if (this.hold || this.speaking) return "hearing";
    if (this.audible) return "speaking";
    if (this.response !== null || this.answers > 0 || this.awaiting || this.approvals.working) return "thinking";
    return this.connected && this.listening ? "listening" : "idle";
  }

  emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
