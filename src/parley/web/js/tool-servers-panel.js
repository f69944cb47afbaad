// MCP servers in the settings: those that were added, with their tools or what went wrong, and a form to add one.
//
// Laws: what is typed is checked before it is kept; where the server admits none, or only some, it says so beforehand.
// Event "change": the session's settings are others now.

import { byId, element } from "./dom.js";
import { toolServers } from "./tool-servers.js";

const LABEL = /^[A-Za-z0-9_-]{1,64}$/;
const TOKEN = /^[\x21-\x7e]*$/;
const STATES = { new: "Its tools are listed when a conversation is open.", asked: "Listing its tools." };

export class ToolServersPanel extends EventTarget {
  /** `approvals`: what the user has allowed (approvals.js). */
  constructor(approvals) {
    super();
    this.approvals = approvals;
    this.admitted = ["*"];
    for (const source of [toolServers, approvals]) source.addEventListener("change", () => this.show());
    byId("tool-server-add").addEventListener("click", () => this.add());
    for (const input of byId("tool-server-form").querySelectorAll("input")) {
      input.addEventListener("keydown", (event) => {
        if (event.key !== "Enter") return;
        event.preventDefault(); // It would close the sheet.
        this.add();
      });
    }
    this.show();
  }

  /** The addresses that the server lets the holder of this key name ("*": any). */
  serve(admitted) {
    this.admitted = admitted;
    this.show();
  }

  show() {
    const none = this.admitted.length === 0;
    byId("tool-server-list").replaceChildren(...toolServers.all.map((server) => this.row(server)));
    byId("tool-server-form").hidden = none;
    byId("tool-servers-note").textContent = this.rule;
  }

  get rule() {
    if (this.admitted.length === 0) {
      return "MCP servers cannot be added here, because others can reach this server and could use it to reach machines beside it. Its owner can allow addresses: server.allowed_mcp_servers in parley.toml.";
    }
    const which = this.admitted.includes("*") ? "" : ` It may call: ${this.admitted.join(", ")}.`;
    return `Tools of MCP servers, called by the Parley server for you.${which}`;
  }

  row(server) {
    const { label, url, approval } = server;
    const { state, tools, message } = toolServers.state(label);
    const remove = element("button", { class: "plain", type: "button", "aria-label": `Remove ${label}` }, "Remove");
    remove.addEventListener("click", () => {
      toolServers.remove(label);
      this.dispatchEvent(new Event("change"));
    });
    const about = element("p", { class: "note" }, url, approval ? ", asks before each call" : "");
    const row = element("li", { "data-state": state }, element("div", { class: "line" }, element("strong", {}, label), remove), about);
    if (state === "listed" && tools.length > 0) row.append(element("ul", { class: "tool-names", "aria-label": `Tools of ${label}` }, ...tools.map((name) => element("li", {}, name))));
    else row.append(element("p", { class: state in STATES ? "note" : "note wrong" }, state === "listed" ? "It has no tools." : (STATES[state] ?? message)));
    const allowed = this.approvals.allowedOf(server);
    if (approval && allowed.length > 0) row.append(this.allowed(server, allowed));
    return row;
  }

  allowed(server, names) {
    const again = element("button", { class: "plain", type: "button", "aria-label": `Ask me again before each call of ${server.label}` }, "Ask me again");
    again.addEventListener("click", () => this.approvals.askAgainFor(server));
    return element("div", { class: "line allowed" }, element("p", { class: "note" }, `Allowed in this conversation: ${names.join(", ")}`), again);
  }

  add() {
    const [label, url, authorization] = ["label", "url", "key"].map((name) => byId(`tool-server-${name}`).value.trim());
    const wrong = this.wrong(label, url, authorization);
    byId("tool-server-wrong").textContent = wrong;
    if (wrong) return;
    toolServers.add({ label, url, authorization, approval: byId("tool-server-approval").checked });
    for (const name of ["label", "url", "key"]) byId(`tool-server-${name}`).value = "";
    byId("tool-server-form").open = false;
    this.dispatchEvent(new Event("change"));
  }

  /** What is wrong with what was typed; "" where nothing is. */
  wrong(label, url, authorization) {
    if (!LABEL.test(label)) return "The name must be 1 to 64 letters, digits, underscores or hyphens.";
    if (toolServers.all.some((one) => one.label === label)) return `There is already one named ${label}.`;
    if (!URL.canParse?.(url) || !/^https?:$/.test(new URL(url).protocol)) return "The address must be a web address that begins with https:// or http://.";
    if (!TOKEN.test(authorization)) return "The access token must not have spaces or special characters.";
    return "";
  }
}
