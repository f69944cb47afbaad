// One conversation of the stock RealtimeSession over WebRTC, in a browser: `talk(task)` resolves to what it saw. The package is taken as it is
// published for browsers.
//
// Scenarios: text, speech, tool, barge_in, by_hand, error, wrong_key. A wait that is not met rejects: the test reads it.
import { OpenAIRealtimeWebRTC, RealtimeAgent, RealtimeSession, tool } from './node_modules/@openai/agents-realtime/dist/bundle/openai-realtime-agents.mjs';
import { recordedVoice } from './recorded-voice.mjs';
import { waits } from './waits.mjs';

const seen = { types: [], errors: [], toolCalls: [], history: [], statuses: [], cuts: [], energy: 0, rejected: '' };
const { until, wake } = waits(seen);
const count = (type) => seen.types.filter((each) => each === type).length;
const event = (type, number = 1) => until(`${type} number ${number}`, () => count(type) >= number);

const weather = tool({
  name: 'weather',
  description: 'Tell the weather of a city.',
  parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'], additionalProperties: false },
  strict: true,
  execute: async ({ city }) => {
    seen.toolCalls.push(city);
    return `It is sunny in ${city}`;
  },
});

/** How much sound the call has brought. */
async function energy(transport) {
  let total = 0;
  for (const receiver of transport.connectionState.peerConnection.getReceivers()) {
    for (const { type, totalAudioEnergy = 0 } of (await receiver.getStats()).values()) if (type === 'inbound-rtp') total += totalAudioEnergy;
  }
  return total;
}

const SCENARIOS = {
  async text({ session }) {
    session.sendMessage('Good morning.');
    await event('output_audio_buffer.stopped');
  },
  async speech({ speak }) {
    speak();
    await event('output_audio_buffer.stopped');
    await event('conversation.item.retrieved');
  },
  async tool({ session }) {
    session.sendMessage('What is the weather in Paris?');
    await event('output_audio_buffer.stopped');
    await event('response.done', 2);
  },
  async barge_in({ session, speak }) {
    session.sendMessage('Tell me a story.');
    await event('output_audio_buffer.started');
    speak();
    await event('output_audio_buffer.cleared');
    await event('conversation.item.truncated');
    await event('response.done');
    session.sendMessage('Go on.');
    await event('output_audio_buffer.started', 2);
  },
  async by_hand({ session }) {
    session.sendMessage('Tell me a story.');
    await event('output_audio_buffer.started');
    session.interrupt();
    await event('output_audio_buffer.cleared');
    await event('conversation.item.truncated');
    await event('response.done');
  },
  async error({ session, transport }) {
    transport.sendEvent({ type: 'response.cancel', event_id: 'nothing_to_cancel' });
    await until('an error', () => seen.errors.length > 0);
    session.sendMessage('Good morning.');
    await event('output_audio_buffer.started');
  },
};

globalThis.talk = async ({ url, key, scenario }) => {
  const { stream, speak } = await recordedVoice();
  const audioElement = new Audio();
  const transport = new OpenAIRealtimeWebRTC({ baseUrl: url, mediaStream: stream, audioElement });
  const story = scenario === 'barge_in' || scenario === 'by_hand';
  const agent = new RealtimeAgent({ name: 'agent', instructions: story ? 'STORY' : 'Repeat.', tools: scenario === 'tool' ? [weather] : [] });
  const turnDetection = { type: 'server_vad', interruptResponse: scenario !== 'by_hand', createResponse: scenario !== 'barge_in' };
  const session = new RealtimeSession(agent, { transport, model: 'gpt-realtime', config: { audio: { input: { turnDetection } } } });
  session.on('transport_event', (message) => {
    seen.types.push(message.type);
    if (message.type === 'response.done') seen.statuses.push(message.response.status);
    if (message.type === 'conversation.item.truncated') seen.cuts.push(message.audio_end_ms);
    queueMicrotask(wake);
  });
  session.on('history_updated', (history) => {
    seen.history = history;
    wake();
  });
  session.on('error', ({ error }) => {
    seen.errors.push(error?.error ?? String(error));
    wake();
  });
  try {
    await session.connect({ apiKey: key });
  } catch (error) {
    seen.rejected = error.message;
    return seen;
  }
  await SCENARIOS[scenario]({ session, transport, speak });
  seen.energy = await energy(transport);
  seen.history = session.history;
  session.close();
  return seen;
};
