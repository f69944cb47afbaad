// What each event of the server does to a conversation: one handler a type, called with the `Talk` as `this` (see talk.js).
//
// Laws: an event without a handler is passed over, as new ones come with new servers; a handler changes the conversation and settles its
// phase, and draws nothing.

import { fromBase64 } from "./pcm.js";

export const CONFIGURE = "configure"; // The settings' event: what a refusal of them refers to.

const ANSWER_COMES_MS = 500; // From a transcript to its response, which the server begins at once or not at all.
const QUIET_ERRORS = new Set(["response_cancel_not_active", "conversation_already_has_active_response", "item_delete_invalid_item_id"]);

/** What a response's end says to a reader, where it did not end well; whether it may be asked for again. */
function troubleOf({ status, status_details: details, output }) {
  const message = details?.error?.message ?? "";
  if (status === "failed") return [output?.length > 0 ? `The reply broke off. ${message}` : `No reply came. ${message}`, true];
  if (status !== "incomplete") return null;
  if (details?.reason === "content_filter") return ["The rest was withheld by the model's content filter.", false];
  return ["The reply reached its longest length and ends here.", false];
}

function argued({ item_id: item, delta }) {
  const entry = this.transcript.entries.get(item);
  if (entry) this.transcript.changed(Object.assign(entry, { args: entry.args + delta }));
}

/** An MCP server lists its tools: one entry for each server, whichever session asks. */
function listing({ type, id, server_label: label, tools }, state) {
  if (type === "mcp_list_tools") this.transcript.listing(label, { itemId: id, tools: tools ?? [], state, output: "" });
}

function listed(item, fields) {
  const entry = [...this.transcript.entries.values()].find(({ itemId }) => itemId === item);
  if (entry) this.transcript.listing(entry.label, fields);
}

export const HANDLERS = {
  "session.created"({ session }) {
    this.session = session;
    this.figures.reset(session.id, this.byCall);
    this.speak();
    this.configure();
    this.emit("session", session);
  },

  "session.updated"({ session }) {
    this.session = session;
    this.emit("session", session);
    if (!this.configured) this.continuation.begin(session);
    this.settle();
  },

  "conversation.item.added"({ item }) {
    listing.call(this, item, "running");
  },

  "conversation.item.done"({ item }) {
    this.asking.confirmed(item);
    listing.call(this, item, "done");
  },

  "mcp_list_tools.failed"({ item_id: item }) {
    listed.call(this, item, { state: "failed", output: "did not list its tools." });
  },

  "input_audio_buffer.speech_started"({ item_id: item, audio_start_ms: startMs }) {
    this.speaking = true;
    this.awaiting = false;
    if (this.session.audio.input.turn_detection?.interrupt_response) this.hush();
    this.transcript.user(item, { startMs });
    this.settle();
  },

  "input_audio_buffer.speech_stopped"({ item_id: item, audio_end_ms: endMs }) {
    this.transcript.user(item, { endMs });
    this.speaking = false;
    this.awaiting = this.session.audio.input.turn_detection?.create_response ?? false;
    this.figures.turnEnded(item, endMs);
    this.settle();
  },

  "input_audio_buffer.committed"({ item_id: item }) {
    this.transcript.user(item, { committed: true });
    this.figures.committed(item);
  },

  "input_audio_buffer.cleared"() {
    this.transcript.discarded();
  },

  "conversation.item.input_audio_transcription.delta"({ item_id: item, delta }) {
    this.transcript.heardWords(item, delta);
  },

  // Parley's own, which `configure` asks for. The first word of a turn that is held comes with it; a call's silence between two holds has none.
  "parley.input_transcript.unstable"({ item_id: item, text }) {
    if (this.transcript.entries.has(item) || (text && this.hold !== null)) this.transcript.maybeWords(item, text);
  },

  "conversation.item.input_audio_transcription.completed"({ item_id: item, transcript }) {
    this.transcript.user(item, { text: transcript.trim(), partial: false });
    setTimeout(() => {
      // Nothing was said that wants an answer.
      this.awaiting = false;
      this.settle();
    }, ANSWER_COMES_MS);
  },

  "conversation.item.input_audio_transcription.failed"({ item_id: item, error }) {
    this.awaiting = false;
    this.transcript.user(item, { partial: false, failed: error.message || "The words could not be recognised.", retry: "words" });
  },

  "response.created"({ response }) {
    if (response.conversation_id === null) return;
    this.response = response.id;
    this.awaiting = false;
    this.answers = Math.max(0, this.answers - 1);
    this.figures.answered(response.id);
    this.settle();
  },

  "response.output_item.added"({ item, response_id: response }) {
    if (item.type === "message") this.transcript.assistant(item.id, response).session = this.session.id;
    if (response === this.stopped) this.hush();
    if (item.type === "function_call" || item.type === "mcp_call") {
      this.transcript.add({ id: item.id, kind: "tool", callId: item.call_id ?? item.id, name: item.name, server: item.server_label ?? "", args: "", output: "", state: "writing", ms: 0 });
    }
  },

  "response.output_audio_transcript.delta"({ item_id: item, response_id: response, delta }) {
    const entry = this.transcript.said(item, response, delta);
    if (this.byCall) this.spoken.said(entry, delta);
  },

  "response.output_audio.delta"({ item_id: item, response_id: response, delta }) {
    const entry = this.transcript.assistant(item, response);
    if (entry.state === "cut") return;
    const pcm = fromBase64(delta);
    this.transcript.sounded(item, response, pcm.length);
    this.heard.received(item, pcm);
    this.loudspeaker.play(item, pcm);
  },

  "response.output_audio.done"({ item_id: item }) {
    this.loudspeaker.end(item);
  },

  // Only over a call, where the server plays.
  "output_audio_buffer.started"({ response_id: response }) {
    this.audible = true;
    this.voice.begin(response);
    this.settle();
  },

  "output_audio_buffer.stopped"() {
    this.voice.end({ heard: true });
  },

  "output_audio_buffer.cleared"() {
    this.voice.end();
  },

  "response.function_call_arguments.delta": argued,
  "response.mcp_call_arguments.delta": argued,

  // The server carries out a tool of its own, and its next response goes on from the answer.
  "response.mcp_call_arguments.done"({ item_id: item, response_id: response, arguments: args }) {
    const entry = this.transcript.entries.get(item);
    this.figures.called(response, entry?.name ?? "");
    if (entry) this.transcript.changed(Object.assign(entry, { args, state: "running" }));
  },

  "response.output_item.done"({ item, response_id: response }) {
    const entry = this.transcript.entries.get(item.id);
    if (entry?.kind === "assistant" && entry.state === "streaming") this.transcript.changed(Object.assign(entry, { state: "done" }));
    if (item.type === "function_call" && item.status === "completed") this.call({ ...item, response });
    else if (item.type === "mcp_call" && item.output != null) this.transcript.changed(Object.assign(entry, { output: item.output, state: "done" }));
    else if (entry?.kind === "tool") this.transcript.changed(Object.assign(entry, { output: item.error?.message ?? "", state: "failed" }));
  },

  "response.done"({ response }) {
    if (response.conversation_id === null) return;
    if (this.response === response.id) this.response = null;
    const trouble = troubleOf(response);
    if (trouble) this.transcript.failed(response.id, ...trouble);
    this.figures.done(response.id);
    if (this.toAnswer === response.id) {
      this.toAnswer = null;
      if (response.status === "completed") this.answer();
    }
    this.settle();
  },

  "conversation.item.truncated"({ item_id: item }) {
    for (const [eventId, cut] of this.truncations) if (cut === item) this.truncations.delete(eventId);
    this.send("conversation.item.retrieve", { item_id: item });
  },

  "conversation.item.retrieved"({ item }) {
    if (item.role === "assistant") this.transcript.kept(item.id, item.content[0]?.transcript ?? "");
    else this.asking.retrieved(item);
  },

  error({ error }) {
    if (this.asking.refused(error)) return;
    if (error.event_id === CONFIGURE && !this.configured) this.continuation.begin(this.session); // It goes on as the server has it.
    const truncated = this.truncations.get(error.event_id);
    if (truncated !== undefined) {
      // It holds less than we played, or it is gone; either way the server knows what it kept.
      this.truncations.delete(error.event_id);
      this.send("conversation.item.retrieve", { item_id: truncated });
      return;
    }
    if (error.code === "conversation_already_has_active_response") this.answers = Math.max(0, this.answers - 1);
    if (!QUIET_ERRORS.has(error.code)) {
      this.answers = 0;
      this.emit("fault", error);
    }
    this.settle();
  },
};
