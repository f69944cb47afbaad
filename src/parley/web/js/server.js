// The server's HTTP answers, and the key that opens it.
//
// Laws: the key lives in this tab's sessionStorage and goes nowhere but to the server this page came from.

const KEY = "parley.key";

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
  return sessionStorage.getItem(KEY) ?? "";
}

export function storeKey(key) {
  if (key) sessionStorage.setItem(KEY, key);
  else sessionStorage.removeItem(KEY);
}

async function get(path) {
  const key = storedKey();
  let answer;
  try {
    answer = await fetch(path, { headers: key ? { authorization: `Bearer ${key}` } : {}, cache: "no-store" });
  } catch {
    throw new ServerError("unreachable", `${location.host} does not answer.`);
  }
  const body = await answer.json().catch(() => null);
  if (answer.ok && body) return body;
  const { code = "unreadable", message = `The server answered ${answer.status}.` } = body?.error ?? {};
  throw new ServerError(code, message, {
    status: answer.status,
    retryAfterS: Number(answer.headers.get("retry-after")) || 0,
  });
}

export async function pipelines() {
  return (await get("/parley/pipelines")).pipelines;
}

/** Throws the `ServerError` that a session ("conversation" or "translation") would be refused with; returns where it would not be. */
export async function askAtTheDoor(model, kind) {
  await get(`/parley/admission?${new URLSearchParams({ model, kind, origin: location.origin })}`);
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
