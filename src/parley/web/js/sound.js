// The page's one AudioContext, and where it sounds.
//
// Laws: 24 kHz where the browser agrees, so that nothing need be resampled; made on the first gesture, since browsers play nothing before.

const WIRE_RATE = 24_000;

let context = null;
let modules = null; // resolves once it has them

/** The context, running. Call it from a gesture the first time. */
export async function runningContext() {
  if (context === null) {
    context = makeContext();
    if (context.audioWorklet) modules = Promise.all([module("capture"), module("playback")]); // Only https and localhost have it.
  }
  await modules;
  if (context.state !== "running") await context.resume();
  return context;
}

function makeContext() {
  const Context = globalThis.AudioContext ?? globalThis.webkitAudioContext;
  try {
    return new Context({ sampleRate: WIRE_RATE, latencyHint: "interactive" });
  } catch {
    return new Context({ latencyHint: "interactive" });
  }
}

async function module(name, target = context) {
  return target.audioWorklet.addModule(new URL(`./${name}.worklet.js`, import.meta.url));
}

/** What comes from the stream, as 20 ms of PCM, their loudness and when they ended (capture.worklet.js); resolves to what ends it. */
export async function measured(stream, onFrame) {
  let own = await runningContext();
  let source;
  try {
    source = own.createMediaStreamSource(stream);
  } catch {
    own = await deviceContext();
    source = own.createMediaStreamSource(stream);
  }
  const capture = new AudioWorkletNode(own, "parley-capture", { numberOfOutputs: 0 });
  capture.port.onmessage = ({ data: { pcm, level, at } }) => onFrame({ pcm, level, at: performance.now() + (at - own.currentTime) * 1000 });
  source.connect(capture);
  return () => {
    source.disconnect();
    capture.port.postMessage("over");
    if (own !== context) own.close();
  };
}

/** A context at the device's own rate, for browsers that refuse to read a stream at another one. */
async function deviceContext() {
  const Context = globalThis.AudioContext ?? globalThis.webkitAudioContext;
  const own = new Context({ latencyHint: "interactive" });
  await module("capture", own);
  await own.resume();
  return own;
}

/** Devices of a kind ("audioinput", "audiooutput") that may be picked; their names are known only once the microphone is allowed. */
export async function devices(kind) {
  const all = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
  return all.filter((device) => device.kind === kind && device.deviceId !== "");
}
