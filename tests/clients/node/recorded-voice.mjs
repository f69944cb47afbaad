/** A microphone that says the recording of the page's server when it is asked to. */
export async function recordedVoice() {
  const context = new AudioContext({ sampleRate: 48_000 });
  const recording = await context.decodeAudioData(await (await fetch('speech.wav')).arrayBuffer());
  const microphone = context.createMediaStreamDestination();
  const speak = () => {
    const source = context.createBufferSource();
    source.buffer = recording;
    source.connect(microphone);
    source.start();
  };
  return { stream: microphone.stream, speak };
}
