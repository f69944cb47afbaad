// A call over WebRTC: the microphone goes out as a track, the reply comes in as a stream, events travel on a data channel.
//
// Laws: only this file knows RTCPeerConnection; a call is made with the key of the page, as a WebSocket is; the microphone's track is a copy,
// so that it can be silenced without silencing the page's own meter. Does not know what the events mean, nor what to do where no call can be made.

import { callSettings, offerCall } from "./server.js";

const CHANNEL = "oai-events";
const CONNECT_MS = 5_000; // From the server's answer to an open channel: a second is usual, through a relay three.

/** The server took no offence, but no call came about; the WebSocket may do. */
export class CallFault extends Error {}

/** Nothing went wrong: there are no calls here. */
export class NoCalls extends CallFault {}

export class Call {
  /** `onEvent(data)` for each message, `onStream(stream, receiver)` once the reply can be heard, `onLost()` when the call that was open is over. */
  constructor({ onEvent, onStream, onLost }) {
    this.on = { onEvent, onStream, onLost };
    this.peer = null;
    this.channel = null;
    this.sender = null;
    this.track = null;
    this.over = false;
    this.timer = null;
    this.lost = () => {};
  }

  /** `kind`: "conversation" or "translation". Resolves when events can be sent. Throws `ServerError` where the server refuses, `CallFault` where the call cannot be made. */
  async place(model, kind) {
    if (!globalThis.RTCPeerConnection) throw new NoCalls("This browser has no WebRTC.");
    if (!globalThis.isSecureContext) throw new NoCalls("Browsers make calls only at https addresses and on localhost.");
    const { state, configuration } = await callSettings();
    if (state !== "ready") throw new NoCalls("This server has no WebRTC.");
    if (this.over) return;
    const peer = new RTCPeerConnection(configuration);
    this.peer = peer;
    const { sender, receiver } = peer.addTransceiver("audio", { direction: "sendrecv" });
    this.sender = sender;
    if (this.track) await sender.replaceTrack(this.track);
    peer.ontrack = ({ streams: [stream], track }) => this.on.onStream(stream ?? new MediaStream([track]), receiver);
    const opened = this.watch(peer.createDataChannel(CHANNEL));
    opened.catch(() => {}); // It is awaited below, where the answer was good.
    await peer.setLocalDescription();
    const answer = await offerCall(peer.localDescription.sdp, model, kind);
    if (this.over) return;
    await peer.setRemoteDescription({ type: "answer", sdp: answer });
    this.timer = setTimeout(() => this.lost("No sound came through: UDP may be blocked."), CONNECT_MS);
    await opened;
  }

  watch(channel) {
    this.channel = channel;
    return new Promise((resolve, reject) => {
      let open = false;
      this.lost = (why) => {
        if (this.over) return;
        this.hangUp();
        if (open) this.on.onLost();
        else reject(new CallFault(why));
      };
      channel.onopen = () => {
        clearTimeout(this.timer);
        open = true;
        resolve();
      };
      channel.onmessage = ({ data }) => this.on.onEvent(data);
      channel.onclose = () => this.lost("The call ended at once.");
      this.peer.onconnectionstatechange = () => ["failed", "closed"].includes(this.peer.connectionState) && this.lost("No sound came through: UDP may be blocked.");
    });
  }

  /** What the server hears from now on, `muted` or not; null: nothing is sent. */
  async speak(track, muted) {
    const old = this.track;
    this.track = track?.clone() ?? null;
    this.mute(muted);
    await this.sender?.replaceTrack(this.track);
    old?.stop();
  }

  /** Silence in place of the microphone, and back. */
  mute(muted) {
    if (this.track) this.track.enabled = !muted;
  }

  /** Answers whether it went out. */
  send(text) {
    if (this.channel?.readyState !== "open") return false;
    this.channel.send(text);
    return true;
  }

  hangUp() {
    this.over = true;
    clearTimeout(this.timer);
    this.track?.stop();
    this.peer?.close();
  }
}
