// The server's HTTP answers, and the key that opens it.
//
// Laws: the key lives in this tab's sessionStorage, or in localStorage where the user wants it remembered, and goes nowhere but to the server
// this page came from. Addresses are reckoned from where these files lie, so that the page works below a path of a proxy, too.

const KEY = "parley.key";
const ROOT = new URL("../../", import.meta.url);

/** The URL of a path of the server, which begins with a slash. */
export function address(path) {
  return new URL(`.${path}`, ROOT);
}

/** `code` as the server names it ("invalid_api_key", "session_limit_reached"...), or "unreachable". */
export class ServerError extends Error {
  constructor(code, message, { status = 0, retryAfterS = 0 } = {}) {
    super(message);
    this.code = code;
    this.status = status;
    this.retryAfterS = retryAfterS;
  }
}

export function storedKey() {
  return sessionStorage.getItem(KEY) ?? localStorage.getItem(KEY) ?? "";
}

/** "" forgets it. `remember`: beyond this tab. */
export function storeKey(key, { remember = false } = {}) {
  sessionStorage.removeItem(KEY);
  localStorage.removeItem(KEY);
  if (key) (remember ? localStorage : sessionStorage).setItem(KEY, key);
}

async function request(path, options = {}) {
  const key = storedKey();
  const headers = { ...(key && { authorization: `Bearer ${key}` }), ...options.headers };
  try {
    return await fetch(address(path), { ...options, headers, cache: "no-store" });
  } catch {
    throw new ServerError("unreachable", `${location.host} does not answer.`);
  }
}

async function get(path, options) {
  const answer = await request(path, options);
  const body = await answer.json().catch(() => null);
  if (answer.ok && body) return body;
  throw refusal(answer, body);
}

function refusal(answer, body) {
  const { code = "unreadable", message = `The server answered ${answer.status}.` } = body?.error ?? {};
  return new ServerError(code, message, {
    status: answer.status,
    retryAfterS: Number(answer.headers.get("retry-after")) || 0,
  });
}

/**
 * {pipelines, toolServers}: those that can be talked to, the default first, and the MCP servers that may be named. Those that are made for benchmarks
 * are left out, but for the default and the one that is `asked` for.
 */
export async function served(asked = "") {
  const { pipelines, tool_servers: toolServers } = await get("/parley/pipelines");
  return { pipelines: pipelines.filter(({ name, measures }, index) => index === 0 || !measures || name === asked), toolServers };
}

/** Throws the `ServerError` that a session ("conversation" or "translation") would be refused with; returns where it would not be. */
export async function askAtTheDoor(model, kind) {
  await get(`/parley/admission?${new URLSearchParams({ model, kind, origin: location.origin })}`);
}

/** {state: "ready"|"off"|"not_installed", configuration}: whether calls can be made over WebRTC, and the `RTCConfiguration` for them. */
export async function callSettings() {
  return get("/parley/webrtc");
}

// Where sessions are opened.
const PATHS = { conversation: "/v1/realtime", translation: "/v1/realtime/translations" };

/** The path of WebSockets for sessions of this kind ("conversation" or "translation"). */
export function socketPath(kind) {
  return PATHS[kind];
}

/** The answer (SDP) to an offer of a call of this kind with this pipeline; throws the `ServerError` that the call is refused with. */
export async function offerCall(sdp, model, kind) {
  const asked = model ? `?${new URLSearchParams({ model })}` : "";
  const answer = await request(`${PATHS[kind]}/calls${asked}`, { method: "POST", headers: { "content-type": "application/sdp" }, body: sdp });
  if (answer.ok) return answer.text();
  throw refusal(answer, await answer.json().catch(() => null));
}

/** The waterfall of the session's last turns; empty where the session is over. */
export async function turnsOf(sessionId) {
  try {
    return (await get(`/parley/sessions/${encodeURIComponent(sessionId)}/turns`)).turns;
  } catch (error) {
    if (error instanceof ServerError) return [];
    throw error;
  }
}

/** A recording (Blob) of the text in that voice. */
export async function speech(model, voice, text) {
  const options = { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ model, voice, input: text }) };
  const answer = await request("/v1/audio/speech", options);
  if (answer.ok) return answer.blob();
  throw refusal(answer, await answer.json().catch(() => null));
}

/** The user's own voices, the newest first. */
export async function ownVoices() {
  return (await get("/v1/audio/voices?limit=100")).data;
}

/** {phrases: {language: text}}: what is read aloud by a person who consents to a voice of theirs. */
export async function consentPhrases() {
  return (await get("/parley/consent")).phrases;
}

export async function addConsent(name, language, recording) {
  return get("/v1/audio/voice_consents", { method: "POST", body: form({ name, language, recording }) });
}

/** `text` is what is said in the sample: some engines need it. */
export async function addVoice(name, consent, sample, text) {
  return get("/v1/audio/voices", { method: "POST", body: form({ name, consent, audio_sample: sample, text }) });
}

export async function removeVoice(id) {
  return get(`/v1/audio/voices/${encodeURIComponent(id)}`, { method: "DELETE" });
}

function form(fields) {
  const filled = new FormData();
  for (const [name, value] of Object.entries(fields)) {
    if (value instanceof Blob) filled.append(name, value, `${name}.wav`);
    else filled.append(name, value);
  }
  return filled;
}
