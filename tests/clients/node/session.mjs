// One conversation of the stock RealtimeSession with a server; what it saw goes to stdout as one line of JSON.
//
//   node session.mjs '{"url": "ws://127.0.0.1:8765/v1/realtime", "scenario": "text", "audio": "speech.pcm"}'
//
// Scenarios: text, speech, tool, mcp, mcp_approval, barge_in, two_turns. A wait that is not met ends the process with an error: the test reads it.
import { readFileSync } from 'node:fs';
import { WebSocket } from 'ws';
import { hostedMcpTool } from '@openai/agents-core';
import { OpenAIRealtimeWebSocket, RealtimeAgent, RealtimeSession, tool } from '@openai/agents-realtime';
// Not exported: what the client itself parses events with. An event that fails its schema there is silently treated as unknown.
import { parseRealtimeEvent } from './node_modules/@openai/agents-realtime/dist/openaiRealtimeEvents.mjs';
import { waits } from './waits.mjs';

const CHUNK_BYTES = 4_800;

const { url, scenario, audio, mcp } = JSON.parse(process.argv[2]);
const seen = { types: [], unparsed: [], errors: [], toolCalls: [], audioBytes: 0, interruptions: 0, history: [], statuses: [] };
const { until, wake } = waits(seen);

const count = (type) => seen.types.filter((each) => each === type).length;
const responses = (number) => until(`response.done number ${number}`, () => count('response.done') >= number);

const weather = tool({
  name: 'weather',
  description: 'Tell the weather of a city.',
  parameters: {
    type: 'object',
    properties: { city: { type: 'string' } },
    required: ['city'],
    additionalProperties: false,
  },
  strict: true,
  execute: async ({ city }) => {
    seen.toolCalls.push(city);
    return `It is sunny in ${city}`;
  },
});

const books = () =>
  hostedMcpTool({
    serverLabel: 'books',
    serverUrl: mcp,
    ...(scenario === 'mcp' ? { requireApproval: 'never' } : { requireApproval: 'always' }),
  });
const tools = { tool: () => [weather], mcp: () => [books()], mcp_approval: () => [books()] };

const agent = new RealtimeAgent({
  name: 'agent',
  instructions: scenario === 'barge_in' ? 'STORY' : 'Repeat.',
  tools: tools[scenario]?.() ?? [],
});

const transport = new OpenAIRealtimeWebSocket({
  url,
  createWebSocket: async ({ url: target, apiKey }) => {
    const socket = new WebSocket(target, { headers: { Authorization: `Bearer ${apiKey}` } });
    socket.addEventListener('message', (message) => {
      const event = JSON.parse(message.data);
      const { isGeneric } = parseRealtimeEvent(message);
      if (isGeneric) seen.unparsed.push(event.type);
      if (event.type === 'response.done') seen.statuses.push(event.response.status);
      seen.types.push(event.type);
      queueMicrotask(wake);
    });
    return socket;
  },
});

const session = new RealtimeSession(agent, {
  transport,
  model: 'gpt-realtime',
  config: {
    audio: {
      input: {
        turnDetection: {
          type: 'server_vad',
          interruptResponse: true,
          createResponse: scenario !== 'barge_in',
        },
      },
    },
  },
});
session.on('tool_approval_requested', (_context, _agent, request) => session.approve(request.approvalItem));
session.on('error', (error) => seen.errors.push(error));
session.on('audio', (event) => {
  seen.audioBytes += event.data.byteLength;
  wake();
});
session.on('audio_interrupted', () => {
  seen.interruptions += 1;
  wake();
});
session.on('history_updated', (history) => {
  seen.history = history;
  wake();
});

function speak() {
  const pcm = readFileSync(audio);
  for (let at = 0; at < pcm.length; at += CHUNK_BYTES) {
    const chunk = pcm.subarray(at, at + CHUNK_BYTES);
    session.sendAudio(chunk.buffer.slice(chunk.byteOffset, chunk.byteOffset + chunk.byteLength));
  }
}

const scenarios = {
  async text() {
    session.sendMessage('Good morning.');
    await responses(1);
  },
  async two_turns() {
    session.sendMessage('My name is Ada.');
    await responses(1);
    session.sendMessage('And yours?');
    await responses(2);
  },
  async speech() {
    speak();
    await responses(1);
    const transcribed = 'conversation.item.input_audio_transcription.completed';
    await until(transcribed, () => count(transcribed) === 1);
    await until('the retrieved item', () => count('conversation.item.retrieved') >= 1);
  },
  async tool() {
    session.sendMessage('What is the weather in Paris?');
    await responses(2);
  },
  async mcp() {
    await until('the list of tools', () => count('mcp_list_tools.completed') === 1);
    session.sendMessage('Where is the book Paris?');
    await responses(2);
  },
  async mcp_approval() {
    await until('the list of tools', () => count('mcp_list_tools.completed') === 1);
    session.sendMessage('Where is the book Paris?');
    await responses(2);
  },
  async barge_in() {
    session.sendMessage('Tell me a story.');
    await until('audio', () => seen.audioBytes > 0);
    speak();
    await until('an interruption', () => seen.interruptions > 0);
    await responses(1);
    await until('the truncation', () => count('conversation.item.truncated') === 1);
    session.sendMessage('Go on.');
    await until('a second response', () => count('response.created') === 2);
  },
};

await session.connect({ apiKey: 'none', url });
await scenarios[scenario]();
seen.history = session.history;
session.close();
console.log(JSON.stringify(seen));
process.exit(0);
