// The stage of a conversation: what the dial says, and the controls around it.
//
// Laws: draws what it is given and decides nothing; a control says what pressing it does, and is there only while that can be done.

import { seconds } from "./dial.js";
import { byId } from "./dom.js";
import { dialWords } from "./states.js";

const EXAMPLE_MS = 640; // The wait that the legend shows where there was none yet.

/** `responding`: a reply is made or heard. The rest: see `dialWords`. */
export function drawStage(now) {
  const { phase, listening, paused, hold, muted, held, responding } = now;
  const [state, hint] = dialWords({ ...now, muted: muted && !hold });
  byId("heart-state").textContent = state;
  byId("heart-hint").textContent = hint;
  const heart = byId("heart");
  const label = hold && listening ? "Hold to talk" : listening ? "Pause listening" : paused ? "Resume listening" : "Start talking";
  heart.setAttribute("aria-label", `${label}. ${state}`);
  if (hold && listening) heart.setAttribute("aria-pressed", String(held));
  else heart.removeAttribute("aria-pressed");
  byId("dial").dataset.phase = phase;
  showPause(listening);
  byId("mute").disabled = !listening || hold;
  byId("mute").setAttribute("aria-pressed", String(muted));
  byId("mute").setAttribute("aria-label", muted ? "Unmute the microphone" : "Mute the microphone");
  byId("mute").title = muted ? "Unmute the microphone (M)" : "Mute the microphone (M)";
  byId("quiet").disabled = !responding;
  for (const radio of document.getElementsByName("mode")) radio.checked = (radio.value === "hold") === hold;
}

/** Whoever has paused with the keyboard is where it can be resumed. */
function showPause(listening) {
  const pause = byId("pause");
  if (!listening && pause === document.activeElement) byId("heart").focus();
  pause.hidden = !listening;
}

/** What is drawn on the ring: an example until it has been used. */
export function drawLegend(used) {
  byId("legend-word").textContent = used ? "Legend" : "Example";
  byId("legend-lead").textContent = used ? "The ring shows the last twenty seconds." : "This is an example of twenty seconds. Your conversation takes its place.";
  byId("ring").setAttribute("aria-label", used ? "The last twenty seconds of the conversation" : "An example of twenty seconds of a conversation");
  nameLegend();
}

/** The time of the newest turn, on the button of the legend; undefined where there is none. */
export function drawNewest(turn) {
  byId("newest-figure").textContent = turn ? seconds(turn.totalMs) : "";
  byId("legend-figure").textContent = seconds(turn?.totalMs ?? EXAMPLE_MS);
  nameLegend();
}

function nameLegend() {
  const figure = byId("newest-figure").textContent;
  byId("legend-open").setAttribute("aria-label", `${figure || byId("legend-word").textContent}: what the ring shows`);
}
