// What a visitor meets before and beside the talk: the first screen, the test of the microphone, the MCP servers, and the note about a microphone
// that gives no sound.
//
// Laws: `?pipeline=NAME` in the address chooses that pipeline, also one that is made for benchmarks.

import { byId } from "./dom.js";
import { FirstVisit } from "./first-visit.js";
import { MicrophoneTest } from "./microphone-test.js";
import { prefer } from "./preferences.js";
import { SilenceWatch } from "./silence-watch.js";
import { silenceTrouble } from "./states.js";
import { toolServers } from "./tool-servers.js";
import { ToolServersPanel } from "./tool-servers-panel.js";

export class Visit {
  constructor(page) {
    const { alerts, settings, talk } = page;
    this.page = page;
    this.asked = new URLSearchParams(location.search).get("pipeline") ?? "";
    this.first = new FirstVisit(page);
    this.servers = new ToolServersPanel(talk.approvals);
    this.tests = ["microphone-test", "settings-microphone-test"].map((id) => new MicrophoneTest(byId(id), { before: () => this.beforeTest() }));
    this.silence = new SilenceWatch({
      onSilence: (before) => alerts.show("silent", { ...silenceTrouble(page.microphone.track?.label, before), action: ["Settings", () => settings.open()] }),
      onSound: () => alerts.clear("silent"),
    });
    settings.addEventListener("microphone", () => this.silence.change());
    talk.takesTools = () => settings.pipeline?.tools ?? true;
    this.servers.addEventListener("change", () => talk.configure());
    talk.link.addEventListener("event", ({ detail }) => toolServers.take(detail) && talk.configure());
    talk.addEventListener("phase", () => this.follow());
    page.views.addEventListener("view", () => this.endTests());
    for (const effect of ["anew", "behaviour", "connection"]) settings.addEventListener(effect, () => this.first.show());
    settings.dialog.addEventListener("close", () => this.endTests());
    this.choose = () => {
      if (this.asked) prefer({ pipeline: this.asked, translator: this.asked });
      this.choose = () => {};
    };
  }

  /** What the server serves. */
  serve({ pipelines, toolServers: admitted }) {
    this.choose();
    this.page.settings.serve(pipelines);
    this.page.interpreter.serve(pipelines);
    this.servers.serve(admitted);
    this.first.show();
  }

  /** A frame of the microphone. */
  hear(frame) {
    const { talk } = this.page;
    if (talk.listening) this.silence.hear(frame, { muted: talk.muted });
  }

  /** One microphone: what listens stops when the other begins. Why a test cannot begin, "" where it can. */
  beforeTest() {
    if (this.page.interpreter.microphone.open) return "The interpreter is listening: stop it first.";
    this.page.rest();
    this.endTests();
    return "";
  }

  follow() {
    const { listening } = this.page.talk;
    if (listening === this.listening) return;
    this.listening = listening;
    this.silence.reset();
  }

  endTests() {
    for (const test of this.tests) if (test.running) test.end();
  }
}
