// What the page says when something stands in the way: what it is, and how to fix it.

const MICROPHONE = {
  denied: ["The microphone is blocked", "This browser does not let the page use it. Allow the microphone beside the address, then try again."],
  absent: ["No microphone was found", "Plug one in, or choose another in the settings."],
  busy: ["The microphone is taken", "Another program holds it. Close that one, then try again."],
  insecure: ["A microphone needs https or localhost", "Browsers hand out the microphone only there. Open this page as https://, or through a tunnel to localhost."],
  broken: ["The microphone could not be opened", "Unplug it and plug it in again, or choose another in the settings."],
  lost: ["The microphone is gone", "It was unplugged, or the permission was withdrawn."],
};

const TYPING = new Set(["denied", "absent", "insecure"]); // Where a conversation can go on without a microphone.

const SERVER = {
  unreachable: ["The server does not answer", "Start it with `parley serve`, or look whether this machine is online."],
  lost: ["The connection broke", ""],
  restarting: ["The server is restarting", ""],
  busy: ["The server is busy", "All its sessions are taken."],
  session_limit_reached: ["The server is full", "All its sessions are taken."],
  server_overloaded: ["The server is at its limit", "It accepts no new session until the load falls."],
  server_shutting_down: ["The server is restarting", ""],
  origin_not_allowed: ["This address is not on the server's list", ""],
  model_not_found: ["That pipeline is not served", "Choose another in the settings."],
  translation_not_available: ["That pipeline cannot translate", ""],
  session_expired: ["The conversation has reached its longest duration", "Start a new one whenever you like."],
  no_call: ["No call could be made", ""],
  internal_error: ["The server had an internal error", "Its log tells more."],
};

/** {title, text} for a `MicrophoneError`'s reason; `typing`: whether the user can write instead. */
export function microphoneTrouble(reason, { typing = false } = {}) {
  const [title, text] = MICROPHONE[reason] ?? MICROPHONE.broken;
  return { title, text: typing && TYPING.has(reason) ? `${text} Typing works meanwhile.` : text };
}

/** {title, text} for a `ServerError`. */
export function serverTrouble(error) {
  const [title, text] = SERVER[error.code] ?? ["The server refused", ""];
  return { title, text: text || (error.code === "lost" || error.code === "restarting" ? "" : error.message) };
}

/**
 * What the dial says: [state, hint], by phase and mode. `paused`: the microphone was open before and is not now. What goes on is said whether or not
 * it listens; how to take part in it, only as it can be done.
 */
export function dialWords({ phase, listening, paused, hold, muted, held, starting, connected }) {
  if (starting) return ["One moment", ""];
  if (held) return ["Listening", "let go when you are done"];
  if (phase === "hearing") return ["Listening", "go on"];
  if (phase === "thinking") return ["Thinking", ""];
  if (phase === "speaking" && !listening) return ["Speaking", "press to talk"];
  if (phase === "speaking") return ["Speaking", hold ? "hold to cut in" : muted ? "press M to be heard" : "cut in any time"];
  if (listening && !connected) return ["Waiting", "for the server"];
  if (!listening && paused) return ["Resume", hold ? "then hold to talk" : "the microphone is off"];
  if (!listening) return hold ? ["Start", "then hold to talk"] : ["Start", "and just speak"];
  if (muted) return ["Muted", "press M to be heard"];
  return hold ? ["Hold", "to talk"] : ["Your turn", "just speak"];
}

/** What the header says of an open connection. */
export function connectedWords({ model, voice, paused }) {
  const connection = `onnected to ${model || "the server"}${voice ? `, voice ${voice.id ?? voice}` : ""}`;
  return paused ? `Paused, c${connection}` : `C${connection}`;
}

/** What the interpreter's dial says: [state, hint], by its phase. */
export function interpreterWords({ phase, audible, muted, starting, ready, waiting }) {
  if (!ready) return ["Unavailable", "no translator"];
  if (starting) return ["One moment", ""];
  if (phase === "connecting") return waiting ? ["Waiting", "for the server"] : ["One moment", "connecting"];
  if (phase === "finishing") return ["Finishing", "press to stop now"];
  if (phase === "open" && muted) return ["Muted", "press M to be heard"];
  if (phase === "open") return [audible ? "Translating" : "Listening", "press to stop"];
  if (phase === "finished") return ["Finished", "press to start anew"];
  if (phase === "lost") return ["Interrupted", "press to go on"];
  return ["Start", "and just speak"];
}
