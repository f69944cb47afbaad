// The stock `openai` package in Node; what it saw goes to stdout as one line of JSON.
//
//   node openai.mjs '{"http": "https://127.0.0.1:8765/v1", "ca": "server.crt", "scenario": "tool"}'
//
// Scenarios: tool, barge_in and error over its own WebSocket client, which speaks TLS only; call, which makes a call of the offer in `sdp`
// and hangs it up once `hangup` comes on stdin; audio. A wait that is not met ends the process with an error: the test reads it.
import { createReadStream, readFileSync } from 'node:fs';
import OpenAI from 'openai';
import { OpenAIRealtimeWS } from 'openai/realtime/ws';
import { waits } from './waits.mjs';

const CHUNK_BYTES = 4_800;
const { http, ca, scenario, audio, sdp } = JSON.parse(process.argv[2]);
const client = new OpenAI({ baseURL: http, apiKey: 'none', maxRetries: 0 });

const weather = {
  type: 'function',
  name: 'weather',
  description: 'Tell the weather of a city.',
  parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
};

async function connected(settings) {
  const connection = await OpenAIRealtimeWS.create(client, { model: 'gpt-realtime', options: { ca: readFileSync(ca) } });
  const seen = { events: [], errors: [], audioBytes: 0 };
  const { until, wake } = waits(seen);
  connection.on('event', (event) => {
    if (event.type === 'response.output_audio.delta') seen.audioBytes += (event.delta.length * 3) / 4;
    seen.events.push(event);
    wake();
  });
  connection.on('error', (error) => {
    seen.errors.push({ code: error.error?.code, event_id: error.error?.event_id });
    wake();
  });
  const of = (type) => seen.events.filter((event) => event.type === type);
  const came = async (type, number = 1) => {
    await until(`${type} number ${number}`, () => of(type).length >= number);
    return of(type)[number - 1];
  };
  const ask = (text) => {
    connection.send({ type: 'conversation.item.create', item: { type: 'message', role: 'user', content: [{ type: 'input_text', text }] } });
    connection.send({ type: 'response.create' });
  };
  await came('session.created');
  connection.send({ type: 'session.update', session: { type: 'realtime', ...settings } });
  await came('session.updated');
  return { connection, seen, of, came, ask, until };
}

const SCENARIOS = {
  async tool() {
    const { connection, seen, came, ask } = await connected({ tools: [weather] });
    ask('What is the weather in Paris?');
    const call = await came('response.function_call_arguments.done');
    await came('response.done');
    const item = { type: 'function_call_output', call_id: call.call_id, output: 'It is sunny in Paris' };
    connection.send({ type: 'conversation.item.create', item });
    connection.send({ type: 'response.create' });
    const { transcript } = await came('response.output_audio_transcript.done');
    await came('response.done', 2);
    connection.close();
    return { arguments: call.arguments, transcript, audioBytes: seen.audioBytes, errors: seen.errors };
  },
  async barge_in() {
    const detection = { type: 'server_vad', interrupt_response: true, create_response: false };
    const { connection, seen, came, ask } = await connected({ instructions: 'STORY', audio: { input: { turn_detection: detection } } });
    ask('Tell me a story.');
    const { item_id: id } = await came('response.output_audio.delta');
    const pcm = readFileSync(audio);
    for (let at = 0; at < pcm.length; at += CHUNK_BYTES) {
      connection.send({ type: 'input_audio_buffer.append', audio: pcm.subarray(at, at + CHUNK_BYTES).toString('base64') });
    }
    const { response } = await came('response.done');
    connection.send({ type: 'conversation.item.truncate', item_id: id, content_index: 0, audio_end_ms: 400 });
    await came('conversation.item.truncated');
    ask('Go on.');
    await came('response.content_part.added', 2);
    connection.close();
    return { status: response.status, errors: seen.errors };
  },
  async error() {
    const { connection, seen, came, ask, until } = await connected({});
    connection.send({ type: 'response.cancel', event_id: 'nothing_to_cancel' });
    await until('an error', () => seen.errors.length > 0);
    ask('Good morning.');
    const { transcript } = await came('response.output_audio_transcript.done');
    connection.close();
    return { errors: seen.errors, transcript };
  },
  async call() {
    const made = await client.realtime.calls.create({ sdp, session: { type: 'realtime', model: 'gpt-realtime' } });
    const location = made.headers.get('location');
    console.log(JSON.stringify({ answer: await made.text(), location }));
    await new Promise((resolve) => process.stdin.once('data', resolve));
    const id = location.split('/').at(-1);
    await client.realtime.calls.hangup(id);
    const again = await client.realtime.calls.hangup(id).catch((error) => error);
    return { status: again.status, code: again.code };
  },
  async audio() {
    const spoken = await client.audio.speech.create({ model: 'tts-1', voice: 'alloy', input: 'Good morning.', response_format: 'pcm' });
    const { text } = await client.audio.translations.create({ model: 'whisper-1', file: createReadStream(audio) });
    const refused = await client.audio.speech.create({ model: 'tts-1', voice: 'nobody', input: 'Good morning.' }).catch((error) => error);
    return { bytes: (await spoken.arrayBuffer()).byteLength, text, refused: { status: refused.status, param: refused.param } };
  },
  async transcription() {
    const create = (fields) => client.audio.transcriptions.create({ model: 'whisper-1', file: createReadStream(audio), ...fields });
    const { text } = await create({});
    const { words } = await create({ response_format: 'verbose_json', timestamp_granularities: ['word'] });
    const subtitles = await create({ response_format: 'srt' });
    const events = [];
    for await (const event of await create({ model: 'gpt-4o-transcribe', stream: true })) events.push(event);
    const refused = await create({ model: 'nobody' }).catch((error) => error);
    const last = { type: events.at(-1).type, text: events.at(-1).text };
    return { text, words: words.map(({ word }) => word), subtitles, last, refused: { status: refused.status, param: refused.param } };
  },
};

console.log(JSON.stringify(await SCENARIOS[scenario]()));
process.exit(0);
