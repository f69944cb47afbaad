// What the page says when something stands in the way: what it is, and how to fix it.

const MICROPHONE = {
  denied: ["The microphone is blocked", "This browser does not let the page use it. Allow the microphone beside the address, then try again."],
  absent: ["No microphone was found", "Plug one in, then try again."],
  busy: ["The microphone is in use", "Another program uses it. Close that program, then try again."],
  insecure: ["You can type here, but not talk", `Browsers give the microphone only to \`https://\` addresses and to the machine itself. Ask the person who runs this server for its https address; or, on a computer, run \`ssh -L 8765:localhost:${location.port || 80} ${location.hostname}\` and open \`http://localhost:8765\`.`],
  broken: ["The microphone could not be opened", "Unplug it and plug it in again, or choose another in the settings."],
  elsewhere: ["Parley listens in another tab", "One tab listens at a time: two would hear each other."],
  moved: ["Another tab listens now", "This one has stopped. Nothing of the conversation is lost."],
  lost: ["The microphone was lost", "It was unplugged, or its permission was withdrawn."],
};

const ELSEWHERE = new Set(["elsewhere", "moved"]);
const TYPING = new Set(["denied", "absent"]); // Where a conversation can go on without a microphone.

const SERVER = {
  unreachable: ["The server does not answer", "Start it with `parley serve`, or check that this device is online."],
  lost: ["The connection broke", ""],
  restarting: ["The server is restarting", ""],
  busy: ["The server is busy", "It has as many conversations as it takes."],
  session_limit_reached: ["The server is full", "It has as many conversations as it takes."],
  server_overloaded: ["The server is overloaded", "It takes new conversations again when it has less to do."],
  server_shutting_down: ["The server is restarting", ""],
  origin_not_allowed: ["This server does not accept this address", ""],
  model_not_found: ["That assistant no longer exists", "Choose another in the settings."],
  translation_not_available: ["That pipeline cannot translate", ""],
  session_expired: ["The session reached its longest duration", "The conversation goes on in a new session when you try again."],
  no_call: ["The WebRTC call could not be made", ""],
  internal_error: ["The server had an internal error", "Its log has the details."],
};

/** {title, text} for a `MicrophoneError`'s reason; `typing`: whether the user can write instead. */
export function microphoneTrouble(reason, { typing = false } = {}) {
  const [title, text] = MICROPHONE[reason] ?? MICROPHONE.broken;
  return { title, text: typing && TYPING.has(reason) ? `${text} Typing works meanwhile.` : text };
}

/** What a button beside it does: {label, take}, `take` as `Microphone.start` has it; null where no button helps. */
export function microphoneRemedy(reason) {
  if (reason === "insecure") return null;
  return ELSEWHERE.has(reason) ? { label: "Listen here", take: true } : { label: "Try again", take: false };
}

/** {title, text} where no sound comes from the microphone `name`: what to check. `heard`: there was some before. */
export function silenceTrouble(name, { heard }) {
  const device = name ? `\u201c${name}\u201d` : "the microphone";
  if (heard) {
    return {
      title: "Nothing heard for a minute",
      text: `There was sound before. Check that ${device} is still connected and switched on, and that no switch or key mutes it.`,
    };
  }
  return {
    title: "No sound comes in",
    text: `Check that ${device} is the one you speak into, that no switch or key mutes it, and its volume in the system's settings.`,
  };
}

/** {title, text} for a `ServerError`. */
export function serverTrouble(error) {
  const [title, text] = SERVER[error.code] ?? ["The server refused the connection", ""];
  return { title, text: text || (error.code === "lost" || error.code === "restarting" ? "" : error.message) };
}

/** {title, text} for an error event of the server: what was refused, or what failed there. */
export function faultWords({ type, param, message }) {
  if (type === "server_error") return { title: "An error in the server", text: message };
  return { title: param?.startsWith("session.") ? "A setting was refused" : "A request was refused", text: message };
}

/**
 * What the dial says: [state, hint], by phase and mode. `paused`: the microphone was open before and is not now; `deaf`: there can be none;
 * `asked`: how many calls of tools wait for the user's consent. What goes on is said whether or not it listens; how to take part in it, only as it can be done.
 */
export function dialWords({ phase, listening, paused, hold, muted, held, starting, connected, deaf, asked }) {
  if (deaf && phase === "idle" && !asked) return ["Type", "this address has no microphone"];
  if (starting) return ["One moment", ""];
  if (held) return ["Listening", "let go when you are done"];
  if (phase === "hearing") return ["Listening", "go on"];
  if (phase === "thinking") return ["Thinking", ""];
  if (phase === "speaking" && !listening) return ["Speaking", "press to talk"];
  if (phase === "speaking") return ["Speaking", hold ? "hold to cut in" : muted ? "unmute to be heard" : "cut in any time"];
  if (asked && connected) return ["Waiting", asked > 1 ? `for ${asked} answers` : "for your answer"];
  if (listening && !connected) return ["Waiting", "for the server"];
  if (!listening && paused) return ["Resume", hold ? "then hold to talk" : "the microphone is off"];
  if (!listening) return hold ? ["Start", "then hold to talk"] : ["Start", "and just speak"];
  if (muted) return ["Muted", "unmute to be heard"];
  return hold ? ["Hold", "to talk"] : ["Your turn", "just speak"];
}

/** What the header says of an open connection: {text, more}, of which `more` is shown where there is room. */
export function connectedWords({ model, voice, paused }) {
  const what = `${model || "the server"}${voice ? `, voice ${voice.id ?? voice}` : ""}`;
  return paused ? { text: "Paused", more: `, connected to ${what}` } : { text: "Connected", more: ` to ${what}` };
}

/** What the interpreter's dial says: [state, hint], by its phase. */
export function interpreterWords({ phase, audible, muted, starting, ready, waiting }) {
  if (!ready) return ["Unavailable", "no translator"];
  if (starting) return ["One moment", ""];
  if (phase === "connecting") return waiting ? ["Waiting", "for the server"] : ["One moment", "connecting"];
  if (phase === "finishing") return ["Finishing", "press to stop now"];
  if (phase === "open" && muted) return ["Muted", "unmute to be heard"];
  if (phase === "open") return [audible ? "Translating" : "Listening", "press to stop"];
  if (phase === "finished") return ["Finished", "press to start again"];
  if (phase === "lost") return ["Interrupted", "press to go on"];
  return ["Start", "and just speak"];
}
