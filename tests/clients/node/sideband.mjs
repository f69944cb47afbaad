// The `openai` package's own client as a backend that is attached to a call; what it saw goes to stdout as one line of JSON.
//
//   node sideband.mjs '{"http": "https://127.0.0.1:8765/v1", "ca": "server.crt", "callID": "rtc_..."}'
//
// It asks for something that cannot be had, changes the instructions and has the call answered. The client speaks TLS only.
import { readFileSync } from 'node:fs';
import OpenAI from 'openai';
import { OpenAIRealtimeWS } from 'openai/realtime/ws';
import { waits } from './waits.mjs';

const { http, ca, callID } = JSON.parse(process.argv[2]);
const client = new OpenAI({ baseURL: http, apiKey: 'none' });
const sideband = await OpenAIRealtimeWS.create(client, { callID, options: { ca: readFileSync(ca) } });

const seen = { types: [], errors: [], instructions: [], code: null };
const { until, wake } = waits(seen);
const came = (type) => until(type, () => seen.types.includes(type));

sideband.on('event', (event) => {
  seen.types.push(event.type);
  if (event.type === 'session.updated') seen.instructions.push(event.session.instructions);
  wake();
});
sideband.on('error', (error) => {
  seen.errors.push(error.error?.code ?? error.message);
  wake();
});
sideband.socket.on('close', (code) => {
  seen.code = code;
  wake();
});

await came('session.created');
sideband.send({ type: 'response.cancel' });
await until('an error', () => seen.errors.length > 0);
sideband.send({ type: 'session.update', session: { type: 'realtime', instructions: 'Be brief.' } });
await came('session.updated');
sideband.send({ type: 'response.create' });
await came('output_audio_buffer.started');
console.error('answered');
await until('the end of the call', () => seen.code !== null);
console.log(JSON.stringify(seen));
process.exit(0);
