// What the user has chosen, as the settings of a session (`session.update`).

import { preferences, turnDetection } from "./preferences.js";
import { toolServers } from "./tool-servers.js";
import * as tools from "./tools.js";

/** `voice`, `speed`: whether these may still be changed. */
export function sessionSettings(changes) {
  const { voice, speed, instructions, tools: withTools } = preferences;
  const own = withTools ? tools.declarations : [];
  return {
    type: "realtime",
    include: ["parley.unstable_words"],
    ...(instructions !== null && { instructions }),
    tools: [...own, ...toolServers.declarations(own.length)],
    audio: {
      input: { transcription: {}, turn_detection: turnDetection() },
      output: { ...(voice && changes.voice && { voice }), ...(changes.speed && { speed }) },
    },
  };
}
