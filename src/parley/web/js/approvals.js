// Calls of MCP servers' tools that wait for the user's consent: which are open, what was answered, and what became of each.
//
// Laws: the server calls a tool, and only after an answer that the user gave, to this call or to this tool of this address for the conversation;
// every request is answered once, and the server's account of the answer counts; a request that can no longer be answered says why, and is part
// of no later session. What is allowed for the conversation is erased with it. Does not know the page.

const STORED = "parley.allowed";
const ANSWER_COMES_MS = 800; // From the outcome of a call to the reply: the server waits 300 ms for a client that asks for it.

export class Approvals extends EventTarget {
  // Events: "change": another number of requests is open, or other tools are allowed.
  constructor(talk) {
    super();
    this.talk = talk;
    this.allowed = stored(); // [{server, address, name}]
    this.running = new Map(); // when each call began, by its item
    this.open = 0;
    talk.transcript.addEventListener("entry", () => this.count());
    talk.transcript.addEventListener("gone", () => this.count());
    talk.conversation.addEventListener("changed", () => talk.conversation.empty && this.allow([]));
  }

  get requests() {
    return [...this.talk.transcript.entries.values()].filter(({ kind }) => kind === "approval");
  }

  /** Requests that wait for the user, the oldest first. */
  get asking() {
    return this.requests.filter(({ state }) => state === "asking");
  }

  /** Whether an answer is on its way to the server, or a call that was allowed runs. */
  get working() {
    return this.running.size > 0 || this.requests.some(({ state }) => state === "sent");
  }

  count() {
    const { length } = this.asking;
    if (length === this.open) return;
    this.open = length;
    this.dispatchEvent(new Event("change"));
  }

  /** The session is gone: `Transcript.broken` closes its requests. */
  reset() {
    this.running.clear();
  }

  // --- what the user says -------------------------------------------------------------------------------------------------------------

  /** `always`: this tool is allowed for the conversation, whatever its arguments. */
  decide(entry, approve, { always = false, by = "you" } = {}) {
    const { talk } = this;
    if (entry.state !== "asking") return;
    if (approve && this.addressOf(entry.server) !== entry.address) {
      talk.transcript.changed(Object.assign(entry, { failed: unreachable(entry) }));
      return;
    }
    if (approve && always) this.allow([...this.allowed, toolOf(entry)]);
    talk.transcript.changed(Object.assign(entry, { state: "sent", by, failed: "" }));
    this.send(entry, approve);
    if (approve && always) for (const other of this.asking) if (this.allows(other)) this.decide(other, true, { by: "rule" });
  }

  send(entry, approve) {
    const item = { type: "mcp_approval_response", approval_request_id: entry.id, approve };
    this.talk.send("conversation.item.create", { event_id: eventOf(entry), item });
    this.talk.settle();
  }

  /** Whether this tool is allowed for the conversation. */
  allows(entry) {
    return entry.address !== "" && this.allowed.some((tool) => same(tool, entry));
  }

  /** The tool asks again from now on. */
  askAgain(entry) {
    this.allow(this.allowed.filter((tool) => !same(tool, entry)));
  }

  /** The tools of a server that are allowed for the conversation. */
  allowedOf({ label, url }) {
    return this.allowed.filter(({ server, address }) => server === label && address === url).map(({ name }) => name);
  }

  /** All tools of a server ask again. */
  askAgainFor({ label }) {
    this.allow(this.allowed.filter(({ server }) => server !== label));
  }

  allow(allowed) {
    if (allowed.length === 0 && this.allowed.length === 0) return;
    this.allowed = allowed;
    if (allowed.length > 0) sessionStorage.setItem(STORED, JSON.stringify(allowed));
    else sessionStorage.removeItem(STORED);
    this.mark();
    this.dispatchEvent(new Event("change"));
  }

  /** The newest request for each tool that is allowed for the conversation is where that can be ended. */
  mark() {
    const ruled = this.allowed.map((tool) => this.requests.findLast((entry) => same(tool, entry)));
    for (const entry of this.requests) if (entry.ruled !== ruled.includes(entry)) this.talk.transcript.changed(Object.assign(entry, { ruled: ruled.includes(entry) }));
  }

  /** The user wants a request that was not answered to be made again: neither this session nor a later one knows of it. */
  withdraw(entry) {
    const { talk } = this;
    talk.transcript.changed(Object.assign(entry, { withdrawn: true }));
    if (talk.askable) for (const id of [entry.id, `${entry.id}_out`.slice(-64)]) talk.send("conversation.item.delete", { item_id: id });
  }

  // --- the server's events ------------------------------------------------------------------------------------------------------------

  /** Answers whether the event needs nothing else. */
  take(event) {
    switch (event.type) {
      case "conversation.item.added":
        if (event.item.type === "mcp_call" && event.item.approval_request_id) this.begun(event.item);
        return false;
      case "conversation.item.done":
        this.done(event.item);
        return false;
      case "conversation.item.deleted":
        this.lost(event.item_id, "The request was withdrawn, and nothing was called.");
        return false;
      case "error":
        return this.refused(event.error);
      default:
        return false;
    }
  }

  done(item) {
    if (item.type === "mcp_approval_request") this.requested(item);
    else if (item.type === "mcp_approval_response") this.answered(item);
    else if (item.type === "mcp_call" && this.running.has(item.id)) this.ended(item);
  }

  requested({ id, server_label: server, name, arguments: args }) {
    const { talk } = this;
    if (talk.transcript.entries.has(id)) return;
    const asked = { id, server, address: this.addressOf(server), name, args };
    if (!this.allows(asked)) talk.transcript.approval(asked);
    else this.send(talk.transcript.approval({ ...asked, state: "sent", by: "rule" }), true);
    this.mark();
  }

  /** The address of a server of the session; "" where the session does not name it. */
  addressOf(server) {
    const known = this.talk.session.tools.find((tool) => tool.type === "mcp" && tool.server_label === server);
    return known?.server_url ?? "";
  }

  /** The server has taken an answer: ours, or that of another client of the session. */
  answered({ approval_request_id: request, approve }) {
    const { transcript } = this.talk;
    const entry = transcript.entries.get(request);
    if (entry?.kind !== "approval") return;
    const by = entry.state === "sent" ? entry.by : "another";
    transcript.changed(Object.assign(entry, { state: approve ? "allowed" : "denied", by, failed: "", retry: "" }));
    if (!approve) this.expectReply();
  }

  begun({ id, server_label: server, name, arguments: args }) {
    const { talk } = this;
    this.running.set(id, performance.now());
    talk.transcript.add({ id, kind: "tool", callId: id, name, server, args, output: "", state: "running", ms: 0 });
    talk.settle();
  }

  ended({ id, output, error }) {
    const { transcript } = this.talk;
    const ms = performance.now() - this.running.get(id);
    this.running.delete(id);
    const entry = transcript.entries.get(id);
    if (entry) transcript.changed(Object.assign(entry, { output: output ?? error?.message ?? "", state: output == null ? "failed" : "done", ms }));
    this.expectReply();
  }

  /** The server goes on by itself, at once or not at all. */
  expectReply() {
    const { talk } = this;
    talk.awaiting = true;
    talk.settle();
    setTimeout(() => {
      talk.awaiting = false;
      talk.settle();
    }, ANSWER_COMES_MS);
  }

  lost(id, reason) {
    const { transcript } = this.talk;
    const entry = transcript.entries.get(id);
    if (entry?.kind === "approval" && (entry.state === "asking" || entry.state === "sent")) transcript.changed(Object.assign(entry, { state: "gone", failed: reason }));
  }

  /** The server does not take an answer. */
  refused(error) {
    const { talk } = this;
    const entry = this.requests.find((known) => eventOf(known) === error.event_id);
    if (!entry) return false;
    if (entry.state !== "sent") return true; // Another client was quicker.
    if (this.addressOf(entry.server) === "") {
      talk.transcript.changed(Object.assign(entry, { state: "asking", failed: unreachable(entry) }));
    } else this.lost(entry.id, error.message);
    talk.settle();
    return true;
  }
}

/** Nothing is called at another address than the one that was asked about. */
function unreachable({ server }) {
  return `${server} is no longer among the MCP servers of this conversation, or has another address now. Deny the call, or add the server again.`;
}

function eventOf({ id }) {
  return `decide_${id}`;
}

function toolOf({ server, address, name }) {
  return { server, address, name };
}

function same(one, other) {
  return one.server === other.server && one.address === other.address && one.name === other.name;
}

function stored() {
  try {
    const known = JSON.parse(sessionStorage.getItem(STORED) ?? "[]");
    return known.filter(({ server, address, name }) => [server, address, name].every((part) => typeof part === "string"));
  } catch {
    return [];
  }
}
