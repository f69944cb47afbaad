// The connection: opened, kept, and opened again when it breaks. A call over WebRTC (call.js) or a WebSocket.
//
// States (event "state", detail): {name: "closed"}, {name: "connecting"}, {name: "open"}, {name: "waiting", until, error, again},
// {name: "refused", error}. `again`: a conversation was lost. Waiting ends by itself; refused ends by `open()`. A link that does not `reopen`
// is refused, too, where it breaks after it was open: its session cannot be gone on with.
// Event "stream" (detail): {stream, receiver}: a call brings the reply as sound.
// Event "event" (detail): an event of the server. Event "traffic" (detail): {direction: "sent"|"received", text, event}: each event that went
// over the link, before it is acted upon.
//
// Laws: exponential backoff, with jitter, bounded; what the server says about coming back is obeyed; a refusal that waiting cannot fix is
// not retried. Where a call cannot be made and the user left the choice to the page, the WebSocket is used, `fallback` says why, and no further
// call is tried until the page asks for it (`tryCalls`). Does not know what the events mean.

import { Call, CallFault, NoCalls } from "./call.js";
import { address, askAtTheDoor, ServerError, socketPath, storedKey } from "./server.js";

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 15_000;
const SETTLED_MS = 10_000; // A link that lived so long was a good one: the next failure starts from the beginning.

const FINAL_CODES = new Set([
  "invalid_api_key", "origin_not_allowed", "model_not_found", "not_found", "session_expired", "translation_not_available",
]);

// Refusals of a call that say nothing about a session over the WebSocket.
const ONLY_CALLS = new Set(["webrtc_not_available", "call_not_answered", "too_many_calls", "unreadable"]);

const CLOSES = {
  1001: ["restarting", "The server is shutting down."], // A session that has expired is told so before.
  1008: ["refused", "The server closed the connection."],
  1011: ["internal_error", "The server had an internal error."],
  1012: ["restarting", "The server is restarting."],
  1013: ["busy", "The server is busy."],
};

export class Link extends EventTarget {
  /** `kind`: "conversation" or "translation". `way()`: how to connect, "automatic", "webrtc" or "websocket". */
  constructor({ kind = "conversation", reopens = true, way = () => "websocket" } = {}) {
    super();
    this.kind = kind;
    this.reopens = reopens;
    this.way = way;
    this.call = null;
    this.fallback = ""; // why there is no call,
    this.failed = false; // and whether one was to be had
    this.state = { name: "closed" };
    this.socket = null;
    this.attempt = 0;
    this.model = "";
    this.timer = null;
    this.openedAt = 0;
    this.expired = false;
    this.finished = false; // whether the server has said that the session is over as it was meant to be
    addEventListener("online", () => this.state.name === "waiting" && this.open(this.model));
  }

  /** Connects, or connects at once instead of waiting. */
  open(model) {
    this.drop();
    this.model = model;
    this.expired = false;
    this.finished = false;
    this.enter({ name: "connecting", again: this.state.again ?? false });
    const way = this.way();
    if (way === "webrtc" || (way === "automatic" && !this.fallback)) this.place(way);
    else this.dial();
  }

  /** Calls are tried again from the next `open` on. */
  tryCalls() {
    this.fallback = "";
    this.failed = false;
  }

  async place(way) {
    const call = new Call({
      onEvent: (data) => this.call === call && this.receive(data),
      onStream: (stream, receiver) => this.call === call && this.dispatchEvent(new CustomEvent("stream", { detail: { stream, receiver } })),
      onLost: () => this.call === call && this.lost({ code: this.finished ? 1000 : 1006, reason: "" }),
    });
    this.call = call;
    try {
      await call.place(this.model, this.kind);
      if (this.call === call) this.opened();
    } catch (error) {
      if (this.call !== call) return;
      call.hangUp();
      this.call = null;
      const only = error instanceof CallFault || !(error instanceof ServerError) || ONLY_CALLS.has(error.code);
      if (only && way === "automatic") {
        this.fallback = error.message;
        this.failed = !(error instanceof NoCalls);
        this.dial();
      } else if (only) this.refuse(new ServerError("no_call", error.message));
      else if (FINAL_CODES.has(error.code)) this.refuse(error);
      else this.wait(error, this.state.again ?? false);
    }
  }

  dial() {
    const { model } = this;
    const key = storedKey();
    const url = address(socketPath(this.kind));
    url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    url.searchParams.set("model", model);
    const subprotocols = ["realtime", ...(key ? [`openai-insecure-api-key.${key}`] : [])];
    let socket;
    try {
      socket = new WebSocket(url, subprotocols);
    } catch {
      // A key with characters that a subprotocol cannot carry.
      this.refuse(new ServerError("invalid_api_key", "A key cannot contain these characters."));
      return;
    }
    this.socket = socket;
    socket.onopen = () => this.opened();
    socket.onmessage = ({ data }) => this.receive(data);
    socket.onclose = (event) => this.socket === socket && this.lost(event);
  }

  opened() {
    this.openedAt = performance.now();
    this.enter({ name: "open" });
  }

  receive(data) {
    const event = JSON.parse(data);
    this.passed("received", data, event);
    if (event.type === "error" && event.error.code === "session_expired") this.expired = true;
    if (event.type === "session.closed") this.finished = true;
    this.dispatchEvent(new CustomEvent("event", { detail: event }));
  }

  send(event) {
    const text = JSON.stringify(event);
    if (this.call ? this.call.send(text) : this.sendOverSocket(text)) this.passed("sent", text, event);
  }

  /** Answers whether it went out. */
  sendOverSocket(text) {
    if (this.socket?.readyState !== WebSocket.OPEN) return false;
    this.socket.send(text);
    return true;
  }

  passed(direction, text, event) {
    this.dispatchEvent(new CustomEvent("traffic", { detail: { direction, text, event } }));
  }

  /** Ends the conversation; nothing is retried. */
  close() {
    this.drop();
    this.attempt = 0;
    this.enter({ name: "closed" });
  }

  drop() {
    clearTimeout(this.timer);
    const { socket, call } = this;
    this.socket = null;
    this.call = null;
    socket?.close(1000);
    call?.hangUp();
  }

  async lost({ code, reason }) {
    const opened = this.state.name === "open";
    this.socket = null;
    this.call = null;
    if (opened) {
      if (performance.now() - this.openedAt > SETTLED_MS) this.attempt = 0;
      if (code === 1000) return this.enter({ name: "closed" });
      if (this.expired) return this.refuse(new ServerError("session_expired", "It has reached its longest duration."));
      const [name, message] = CLOSES[code] ?? ["lost", "The connection broke."];
      const error = new ServerError(name, reason ? `${message.slice(0, -1)}: ${reason}.` : message);
      if (code === 1008 || !this.reopens) return this.refuse(error);
      return this.wait(error, true);
    }
    // A handshake failed, and a browser never says why; the server does.
    const { model } = this;
    const again = this.state.again ?? false;
    try {
      await askAtTheDoor(model, this.kind);
      return this.socket === null && this.state.name === "connecting" && this.wait(new ServerError("lost", "The connection broke."), again);
    } catch (error) {
      if (this.socket !== null || this.state.name !== "connecting") return undefined;
      if (FINAL_CODES.has(error.code)) return this.refuse(error);
      return this.wait(error, again);
    }
  }

  refuse(error) {
    this.attempt = 0;
    this.enter({ name: "refused", error });
  }

  wait(error, again) {
    const backoff = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** this.attempt) * (0.8 + 0.4 * Math.random());
    this.attempt += 1;
    const waitMs = Math.max(backoff, error.retryAfterS * 1000);
    this.enter({ name: "waiting", until: performance.now() + waitMs, error, again });
    this.timer = setTimeout(() => this.open(this.model), waitMs);
  }

  enter(state) {
    this.state = state;
    this.dispatchEvent(new CustomEvent("state", { detail: state }));
  }
}
