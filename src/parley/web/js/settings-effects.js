// What a changed setting does to what is going on: most are a message to the server, some open a device or a session anew.
//
// Laws: a setting that the session can take over does not end it.

import { prefer, preferences } from "./preferences.js";

/** `page`: the conversation view (main.js). */
export function carryOut(page) {
  const { interpreter, settings, talk } = page;
  const on = (effect, act) => settings.addEventListener(effect, act);
  on("behaviour", () => talk.configure());
  on("mode", () => {
    talk.release();
    talk.configure();
    page.draw();
  });
  on("anew", () => talk.connected && talk.connect(settings.model));
  on("connection", () => {
    talk.link.tryCalls();
    interpreter.tryCalls();
    page.showWay();
    if (talk.link.state.name !== "closed") talk.connect(settings.model);
  });
  on("voice", () => (talk.hasSpoken ? talk.connect(settings.model) : talk.configure()));
  on("microphone", () => {
    for (const view of [page, interpreter]) if (view.microphone.open) view.openMicrophone().catch((error) => view.microphoneLost(error.reason));
  });
  on("speaker", () => chooseSpeaker(page));
}

async function chooseSpeaker({ interpreter, loudspeaker, talk, view }) {
  const voices = [loudspeaker, talk.voice, interpreter.loudspeaker, interpreter.session.voice];
  try {
    await Promise.all(voices.map((voice) => voice.useDevice(preferences.speaker)));
  } catch {
    prefer({ speaker: "" });
    view.alerts.show("fault", { title: "That loudspeaker cannot be used", text: "The system's default is used instead.", forMs: 6000 });
  }
}
