// What the user has chosen, as the settings of a session (`session.update`).

import { preferences, turnDetection } from "./preferences.js";
import { toolServers } from "./tool-servers.js";
import * as tools from "./tools.js";

/** `may`: {tools, voice, speed}, whether the session takes tools, and whether these may still be changed. */
export function sessionSettings(may) {
  const { voice, speed, instructions, tools: withTools } = preferences;
  const own = withTools ? tools.declarations : [];
  return {
    type: "realtime",
    include: ["parley.unstable_words"],
    ...(instructions !== null && { instructions }),
    tools: may.tools ? [...own, ...toolServers.declarations(own.length)] : [],
    audio: {
      input: { transcription: {}, turn_detection: turnDetection() },
      output: { ...(voice && may.voice && { voice }), ...(may.speed && { speed }) },
    },
  };
}
