// One conversation of the Vercel AI SDK's realtime session in a browser: `talk(task)` resolves to what it saw. Bundled by the test.
//
// Scenarios: text, tool, barge_in, error. A wait that is not met rejects: the test reads it.
import { createOpenAI } from '@ai-sdk/openai';
import { Experimental_AbstractRealtimeSession as AbstractRealtimeSession } from 'ai';
import { recordedVoice } from './recorded-voice.mjs';
import { waits } from './waits.mjs';

const seen = { types: [], errors: [], toolCalls: [], statuses: [], played: false, messages: [] };
const { until, wake } = waits(seen);

const weather = {
  type: 'function',
  name: 'weather',
  description: 'Tell the weather of a city.',
  parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
};

class Session extends AbstractRealtimeSession {
  setState(key, value) {
    this.state = { ...this.state, [key]: value };
    if (key === 'isPlaying' && value) seen.played = true;
    queueMicrotask(wake);
  }
}

const count = (type) => seen.types.filter((each) => each === type).length;
const event = (type, number = 1) => until(`${type} number ${number}`, () => count(type) >= number);

const SCENARIOS = {
  async text({ session }) {
    session.sendTextMessage('Good morning.');
    await event('response-done');
    await until('sound', () => seen.played);
  },
  async tool({ session }) {
    session.sendTextMessage('What is the weather in Paris?');
    await event('response-done', 2);
  },
  async barge_in({ session, stream, speak }) {
    session.startAudioCapture(stream);
    session.sendTextMessage('Tell me a story.');
    await until('sound', () => seen.played);
    speak();
    await event('response-done');
    session.sendTextMessage('Go on.');
    await event('audio-transcript-delta', count('audio-transcript-delta') + 1);
  },
  async error({ session }) {
    session.cancelResponse();
    await until('an error', () => seen.errors.length > 0 || count('error') > 0);
    session.sendTextMessage('Good morning.');
    await event('response-done');
  },
};

globalThis.talk = async ({ scenario }) => {
  const { stream, speak } = await recordedVoice();
  const session = new Session({
    model: createOpenAI({ apiKey: 'none' }).experimental_realtime('gpt-realtime'),
    api: { token: 'token' },
    sessionConfig: {
      instructions: scenario === 'barge_in' ? 'STORY' : 'Repeat.',
      ...(scenario === 'tool' && { tools: [weather] }),
      turnDetection: { type: 'server-vad' },
    },
    onToolCall: ({ toolCall: { args } }) => {
      seen.toolCalls.push(args.city);
      return `It is sunny in ${args.city}`;
    },
    onEvent: ({ type, status }) => {
      seen.types.push(type);
      if (type === 'response-done') seen.statuses.push(status);
      queueMicrotask(wake);
    },
    onError: (error) => {
      seen.errors.push(error.message);
      wake();
    },
  });
  await session.connect();
  await event('session-updated');
  await SCENARIOS[scenario]({ session, stream, speak });
  seen.messages = session.state.messages;
  session.disconnect();
  return seen;
};
