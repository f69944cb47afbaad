// A backend makes a client secret with the stock `openai` package; its holder talks with it, by subprotocol as browsers do and with the
// stock agents' client. What they saw goes to stdout as one line of JSON.
//
//   node client_secret.mjs '{"http": "http://127.0.0.1:8765/v1", "url": "ws://127.0.0.1:8765/v1/realtime"}'
import OpenAI from 'openai';
import { WebSocket } from 'ws';
import { OpenAIRealtimeWebSocket, RealtimeAgent, RealtimeSession } from '@openai/agents-realtime';

const PATIENCE_MS = 40_000;
const { http, url } = JSON.parse(process.argv[2]);
setTimeout(() => { throw new Error('waited in vain'); }, PATIENCE_MS).unref();

const openai = new OpenAI({ baseURL: http, apiKey: 'none' });
const secret = await openai.realtime.clientSecrets.create({
  expires_after: { anchor: 'created_at', seconds: 60 },
  session: { type: 'realtime', model: 'gpt-realtime', instructions: 'You answer for a bakery.' },
});

const browser = await new Promise((resolve, reject) => {
  const socket = new WebSocket(url, ['realtime', `openai-insecure-api-key.${secret.value}`]);
  socket.on('error', reject);
  socket.on('message', (data) => {
    resolve({ protocol: socket.protocol, event: JSON.parse(data) });
    socket.close();
  });
});

const transport = new OpenAIRealtimeWebSocket({
  createWebSocket: async ({ url: target, apiKey }) => {
    const socket = new WebSocket(target, { headers: { Authorization: `Bearer ${apiKey}` } });
    await new Promise((resolve, reject) => socket.on('open', resolve).on('error', reject));
    return socket;
  },
  skipOpenEventListeners: true,
});
const agent = new RealtimeAgent({ name: 'Bakery', instructions: 'You answer for a bakery.' });
const session = new RealtimeSession(agent, { transport, model: 'gpt-realtime' });
const errors = [];
const answered = new Promise((resolve) => {
  session.on('error', (error) => errors.push(error));
  session.on('transport_event', (event) => { if (event.type === 'response.done') resolve(event.response.status); });
});
await session.connect({ apiKey: secret.value, url });
session.sendMessage('Good morning');
const status = await answered;
session.close();

let forged = null;
try {
  await new OpenAI({ baseURL: http, apiKey: `${secret.value}x`, maxRetries: 0 }).models.list();
} catch (error) {
  forged = { status: error.status, code: error.code };
}
console.log(JSON.stringify({ value: secret.value, session: secret.session, browser, status, errors, forged }));
