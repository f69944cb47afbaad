// The WebSocket: opened, kept, and opened again when it breaks.
//
// States (event "state", detail): {name: "closed"}, {name: "connecting"}, {name: "open"}, {name: "waiting", until, error, again},
// {name: "refused", error}. `again`: a conversation was lost. Waiting ends by itself; refused ends by `open()`. A link that does not `reopen`
// is refused, too, where it breaks after it was open: its session cannot be gone on with.
//
// Laws: exponential backoff, with jitter, bounded; what the server says about coming back is obeyed; a refusal that waiting cannot fix is
// not retried. Does not know what the events mean.

import { askAtTheDoor, ServerError, storedKey } from "./server.js";

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 15_000;
const SETTLED_MS = 10_000; // A link that lived so long was a good one: the next failure starts from the beginning.

const FINAL_CODES = new Set([
  "invalid_api_key", "origin_not_allowed", "model_not_found", "not_found", "session_expired", "translation_not_available",
]);

const PATHS = { conversation: "/v1/realtime", translation: "/v1/realtime/translations" };

const CLOSES = {
  1001: ["restarting", "The server is shutting down."], // A session that has expired is told so before.
  1008: ["refused", "The server closed the connection."],
  1011: ["internal_error", "The server had an internal error."],
  1012: ["restarting", "The server is restarting."],
  1013: ["busy", "The server is busy."],
};

export class Link extends EventTarget {
  /** `kind`: "conversation" or "translation". */
  constructor({ kind = "conversation", reopens = true } = {}) {
    super();
    this.kind = kind;
    this.reopens = reopens;
    this.state = { name: "closed" };
    this.socket = null;
    this.attempt = 0;
    this.model = "";
    this.timer = null;
    this.openedAt = 0;
    this.expired = false;
    addEventListener("online", () => this.state.name === "waiting" && this.open(this.model));
  }

  /** Connects, or connects at once instead of waiting. */
  open(model) {
    this.drop();
    this.model = model;
    this.expired = false;
    this.enter({ name: "connecting", again: this.state.again ?? false });
    const key = storedKey();
    const url = new URL(PATHS[this.kind], location.href);
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
    socket.onopen = () => {
      this.openedAt = performance.now();
      this.enter({ name: "open" });
    };
    socket.onmessage = ({ data }) => this.receive(data);
    socket.onclose = (event) => this.socket === socket && this.lost(event);
  }

  receive(data) {
    const event = JSON.parse(data);
    if (event.type === "error" && event.error.code === "session_expired") this.expired = true;
    this.dispatchEvent(new CustomEvent("event", { detail: event }));
  }

  send(event) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(event));
  }

  /** Ends the conversation; nothing is retried. */
  close() {
    this.drop();
    this.attempt = 0;
    this.enter({ name: "closed" });
  }

  drop() {
    clearTimeout(this.timer);
    const { socket } = this;
    this.socket = null;
    socket?.close(1000);
  }

  async lost({ code, reason }) {
    const opened = this.state.name === "open";
    this.socket = null;
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
