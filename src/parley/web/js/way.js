// How a view is connected, where that is not as it was meant to be.
//
// Laws: nothing is said where there are no calls to be had: that has not gone wrong, and the settings say it.

/** Says in `place` that the link would have made a call and could not, and why. */
export function showWay(place, { fallback, failed }) {
  place.textContent = failed ? `Connected over a WebSocket, because no WebRTC call could be made. ${fallback}` : "";
  place.hidden = !failed;
}
