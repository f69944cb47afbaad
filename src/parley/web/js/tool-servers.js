// The MCP servers that the user has named: kept in this browser, sent with the session's settings, and what the server says of each.
//
// Laws: what authorizes lives in this tab's sessionStorage; a server that was refused is left out of the settings until it is changed, since
// one refusal would refuse them all.
// Event "change": one was added, removed, refused, or has listed its tools.

import { prefer, preferences } from "./preferences.js";

const SECRETS = "parley.tool-servers";
const FIELD = /^session\.tools\[(\d+)\]/;

class ToolServers extends EventTarget {
  constructor() {
    super();
    this.states = new Map(); // label -> {state: "asked"|"listed"|"failed"|"refused", tools, message}
    this.items = new Map(); // the item of a listing -> its label
    this.sentAfter = 0; // how many tools stand before these in the settings that were sent last
    this.sent = [];
  }

  /** [{label, url, approval}] */
  get all() {
    const stored = Array.isArray(preferences.toolServers) ? preferences.toolServers : [];
    return stored.filter((one) => typeof one?.label === "string" && typeof one?.url === "string");
  }

  /** Whether the session has been asked for tools that it has not listed yet. */
  get listing() {
    return [...this.states.values()].some(({ state }) => state === "asked");
  }

  state(label) {
    return this.states.get(label) ?? { state: "new", tools: [], message: "" };
  }

  add({ label, url, authorization, approval }) {
    prefer({ toolServers: [...this.all.filter((one) => one.label !== label), { label, url, approval }] });
    this.keepSecret(label, authorization);
    this.set(label, null);
  }

  remove(label) {
    prefer({ toolServers: this.all.filter((one) => one.label !== label) });
    this.keepSecret(label, "");
    this.set(label, null);
  }

  /** As `session.tools` takes them; `after` is how many tools stand before them there. */
  declarations(after) {
    const sent = this.all.filter(({ label }) => this.state(label).state !== "refused");
    const secrets = this.secrets;
    this.sentAfter = after;
    this.sent = sent.map(({ label }) => label);
    for (const label of this.sent) if (!this.states.has(label)) this.set(label, { state: "asked", tools: [], message: "" });
    return sent.map(({ label, url, approval }) => ({
      type: "mcp",
      server_label: label,
      server_url: url,
      require_approval: approval ? "always" : "never",
      ...(secrets[label] && { authorization: secrets[label] }),
    }));
  }

  /** A session begins: it knows none of them. */
  forget() {
    for (const [label, { state }] of this.states) if (state !== "refused") this.states.delete(label);
    this.items.clear();
    this.dispatchEvent(new Event("change"));
  }

  /** An event of the server. Answers whether the settings are to be sent again. */
  take(event) {
    switch (event.type) {
      case "session.created":
        this.forget();
        return false;
      case "conversation.item.added":
      case "conversation.item.done":
        if (event.item.type === "mcp_list_tools") this.began(event.item);
        return false;
      case "mcp_list_tools.completed":
        this.listed(this.items.get(event.item_id), "listed", "");
        return false;
      case "mcp_list_tools.failed":
        this.listed(this.items.get(event.item_id), "failed", "It did not list its tools.");
        return false;
      case "error":
        return this.refused(event.error);
      default:
        return false;
    }
  }

  began({ id, server_label: label, tools = [] }) {
    this.items.set(id, label);
    this.set(label, { state: "asked", tools: tools.map(({ name }) => name), message: "" });
  }

  listed(label, state, message) {
    if (label) this.set(label, { ...this.state(label), state, message });
  }

  /** An error of the server's: about one of these, or about something else. */
  refused({ param, message }) {
    const failed = this.all.find(({ label }) => this.state(label).state === "failed" && message.includes(`MCP server '${label}'`));
    if (failed) this.listed(failed.label, "failed", message);
    const [, index] = FIELD.exec(param ?? "") ?? [];
    const label = this.sent[Number(index) - this.sentAfter];
    if (index === undefined || label === undefined) return false;
    this.set(label, { state: "refused", tools: [], message });
    return true;
  }

  set(label, state) {
    if (state) this.states.set(label, state);
    else this.states.delete(label);
    this.dispatchEvent(new Event("change"));
  }

  get secrets() {
    try {
      return JSON.parse(sessionStorage.getItem(SECRETS)) ?? {};
    } catch {
      return {};
    }
  }

  keepSecret(label, secret) {
    const secrets = { ...this.secrets, [label]: secret };
    if (!secret) delete secrets[label];
    sessionStorage.setItem(SECRETS, JSON.stringify(secrets));
  }
}

export const toolServers = new ToolServers();
