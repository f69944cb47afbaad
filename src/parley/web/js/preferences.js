// What the user has chosen, remembered in this browser.
//
// Laws: unknown or broken stored values fall back to the defaults; secrets are never stored here.

const STORED = "parley.preferences";

const DEFAULTS = {
  pipeline: "",
  translator: "", // the pipeline of the interpreter
  target: "", // the language that it speaks
  voice: "",
  speed: 1,
  instructions: null, // null: the pipeline's own
  turns: "server_vad", // "server_vad" | "semantic_vad" | "hold"
  threshold: 0.5,
  prefixMs: 300,
  silenceMs: 500,
  eagerness: "auto",
  interruptible: true,
  tools: true,
  toolServers: [], // {label, url, approval} of MCP servers (tool-servers.js)
  microphone: "",
  speaker: "",
  echoCancellation: true,
  noiseSuppression: true,
  connection: "automatic", // "automatic" | "webrtc" | "websocket"
  shortcuts: true,
  recording: true, // whether the page keeps the sound of a conversation, for its download
};

function load() {
  try {
    const stored = JSON.parse(localStorage.getItem(STORED)) ?? {};
    const fitting = Object.entries(stored).filter(
      ([name, value]) => Object.hasOwn(DEFAULTS, name) && (typeof value === typeof DEFAULTS[name] || name === "instructions"),
    );
    return { ...DEFAULTS, ...Object.fromEntries(fitting) };
  } catch {
    return { ...DEFAULTS };
  }
}

export const preferences = load();

/** How the microphone is to be opened. */
export function microphoneOptions() {
  const { microphone: deviceId, echoCancellation, noiseSuppression } = preferences;
  return { deviceId, echoCancellation, noiseSuppression };
}

/** Everything as it was at first, but for the MCP servers, which were not chosen but brought. */
export function preferDefaults() {
  prefer({ ...DEFAULTS, toolServers: preferences.toolServers });
}

/** Other tabs keep theirs until they are reloaded, and what was chosen there stays chosen. */
export function prefer(changes) {
  Object.assign(preferences, changes);
  localStorage.setItem(STORED, JSON.stringify({ ...load(), ...changes }));
}

/** `audio.input.turn_detection` as chosen. */
export function turnDetection({ turns, threshold, prefixMs, silenceMs, eagerness, interruptible } = preferences) {
  const both = { create_response: true, interrupt_response: interruptible };
  if (turns === "hold") return null;
  if (turns === "semantic_vad") return { type: "semantic_vad", eagerness, ...both };
  return { type: "server_vad", threshold, prefix_padding_ms: prefixMs, silence_duration_ms: silenceMs, ...both };
}
