// One translation session of the `openai` package's own client with a server; what it saw goes to stdout as one line of JSON.
//
//   node translation.mjs '{"http": "https://127.0.0.1:8765/v1", "ca": "server.crt", "model": "default", "audio": "speech.pcm",
//                          "languages": ["x-bench"]}'
//
// The speech is said once for each language that the server takes, which is asked for before it. The client speaks TLS only.
import { readFileSync } from 'node:fs';
import OpenAI from 'openai';
import { OpenAIRealtimeTranslationWS } from 'openai/realtime/translations/ws';
import { PATIENCE_MS, waits } from './waits.mjs';

const CHUNK_BYTES = 9_600;
const LISTENED_TO = [
  'session.created',
  'session.updated',
  'session.input_transcript.delta',
  'session.output_transcript.delta',
  'session.output_audio.delta',
  'session.closed',
];

const { http, ca, model, audio, languages } = JSON.parse(process.argv[2]);
const client = new OpenAI({ baseURL: http, apiKey: 'none' });
const session = await OpenAIRealtimeTranslationWS.create(client, { model, options: { ca: readFileSync(ca) } });

// `types` are all events in order, `typed` those that the client found complete: to its listeners others do not exist.
const seen = { types: [], typed: [], errors: [], settings: [], heard: '', said: '', audioBytes: 0, code: null };
const { until, wake } = waits(seen);
let fresh = '';

const count = (type) => seen.typed.filter((each) => each === type).length;

session.on('event', (event) => seen.types.push(event.type));
session.on('error', (error) => {
  seen.errors.push({ message: error.message, code: error.error?.code, param: error.error?.param });
  seen.typed.push('error');
  wake();
});
for (const type of LISTENED_TO) {
  session.on(type, (event) => {
    seen.typed.push(type);
    if (event.session) seen.settings.push(event.session.audio.output.language);
    if (type === 'session.input_transcript.delta') seen.heard += event.delta;
    if (type === 'session.output_transcript.delta') {
      seen.said += event.delta;
      fresh += event.delta;
    }
    if (type === 'session.output_audio.delta') seen.audioBytes += Buffer.from(event.delta, 'base64').length;
    wake();
  });
}
session.socket.on('close', (code) => { seen.code = code; });

const speech = readFileSync(audio);
await until('session.created', () => count('session.created') === 1);
for (const language of languages) {
  const refused = seen.errors.length;
  const answers = count('session.updated') + refused;
  session.send({
    type: 'session.update',
    session: { audio: { output: { language }, input: { transcription: { model: 'gpt-realtime-whisper' } } } },
  });
  await until('an answer to the update', () => count('session.updated') + seen.errors.length > answers);
  if (seen.errors.length > refused) continue;
  fresh = '';
  for (let at = 0; at < speech.length; at += CHUNK_BYTES) {
    const chunk = speech.subarray(at, at + CHUNK_BYTES).toString('base64');
    session.send({ type: 'session.input_audio_buffer.append', audio: chunk });
  }
  await until(`a translation into ${language}`, () => fresh !== '');
}
await session.finish({ timeoutMs: PATIENCE_MS });
console.log(JSON.stringify(seen));
process.exit(0);
