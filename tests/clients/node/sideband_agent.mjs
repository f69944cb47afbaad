// An agent of `@openai/agents-realtime` as a backend that is attached to a call; what it saw goes to stdout as one line of JSON.
//
//   node sideband_agent.mjs '{"url": "ws://127.0.0.1:8765/v1/realtime", "callId": "rtc_..."}'
//
// It is asked for the weather, runs its tool, and stays until the answer has been heard.
import { OpenAIRealtimeSIP, RealtimeAgent, RealtimeSession, tool } from '@openai/agents-realtime';
import { waits } from './waits.mjs';

const { url, callId } = JSON.parse(process.argv[2]);
const seen = { types: [], errors: [], asked: [] };
const { until, wake } = waits(seen);

const weather = tool({
  name: 'weather',
  description: 'Tell the weather of a city.',
  parameters: {
    type: 'object', properties: { city: { type: 'string' } }, required: ['city'], additionalProperties: false,
  },
  strict: true,
  execute: async ({ city }) => {
    seen.asked.push(city);
    return `It is sunny in ${city}`;
  },
});
const agent = new RealtimeAgent({ name: 'helper', instructions: 'Help.', tools: [weather] });
const session = new RealtimeSession(agent, { transport: new OpenAIRealtimeSIP() });
session.transport.on('*', (event) => {
  seen.types.push(event.type);
  wake();
});
session.on('error', (error) => {
  seen.errors.push(String(error.error?.message ?? JSON.stringify(error.error)));
  wake();
});

await session.connect({ apiKey: 'none', callId, url: `${url}?call_id=${callId}` });
session.sendMessage('What is the weather in Paris?');
await until('the answer', () => seen.types.includes('output_audio_buffer.stopped'));
session.close();
console.log(JSON.stringify(seen));
process.exit(0);
