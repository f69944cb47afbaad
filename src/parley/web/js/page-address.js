// What can be done at the address that this page was opened at, said before the first word: browsers give the microphone only to https and to
// the machine itself, and a server may take pages only from addresses that it knows.

import { askAtTheDoor } from "./server.js";
import { microphoneTrouble, serverTrouble } from "./states.js";

/** Whether a browser would ever give this page the microphone. */
export const canHear = Boolean(navigator.mediaDevices?.getUserMedia);

/** Shows in each of `alerts` what this address does not allow. */
export async function lookAtAddress(model, alerts) {
  if (!canHear) for (const view of alerts) view.show("address", microphoneTrouble("insecure"));
  try {
    await askAtTheDoor(model, "conversation");
  } catch (error) {
    // Anything else may be over when the user begins, and is then said.
    if (error.code === "origin_not_allowed") for (const view of alerts) view.show("server", serverTrouble(error));
  }
}
